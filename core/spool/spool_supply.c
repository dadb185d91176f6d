/* Segments: made and filled with zeros ahead of need, chosen for the next batch, freed when nothing
 * in them counts. */
#include "spool_core.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "counter.h"
#include "rnd.h"

/* A new segment is usable as soon as its first piece is filled and its name is durable: a fresh
 * spool says "ready" after 16 MiB, not after 128. The rest is filled while it serves, some pieces
 * ahead of the tail: a spool takes the disk it needs, and what waits for a piece waits for a small
 * one. A piece holds the largest batch. Once filled a segment stays so. */
#define PIECE (uint64_t) SPOOL_PIECE
_Static_assert(SPOOL_PIECE >= 2 * SPOOL_BODY_MAX, "a piece holds the largest batch");
#define AHEAD (3 * PIECE)
#define ZEROS (256 * 1024)
/* a segment of n bytes takes at most n / ORDINAL_BYTES messages: that bounds its bitmaps */
#define ORDINAL_BYTES 256
/* free segments are short when less than a fifth of all is free, or can be made */
#define SHORT 5

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* next_header - for its next life. What was plain stays so: it is blanked first (spool_rekey.c) */
static struct spool_header next_header(struct spool *sp, const struct spool_segment *s)
{
	struct spool_header h = { .number = s->number, .epoch = ++sp->epoch, .size = s->size };

	rnd_fill(&h.salt, sizeof h.salt);
	if (s->state == SPOOL_SEGMENT_MAKING || spool_key_of(&s->header))
		spool_rekey_fresh(sp, &h);
	return h;
}

/* Making */

static int fill(struct spool_file *f, int fd, uint64_t from, uint64_t upto)
{
	static const char zeros[ZEROS];

	if (f->reserve(f, fd, from, upto - from) < 0)
		return -1;
	for (; from < upto; from += least(ZEROS, upto - from))
		if (spool_file_write_all(f, fd, zeros, (size_t)least(ZEROS, upto - from), from) < 0)
			return -1;
	return f->sync(f, fd);
}

static int make(struct spool *sp, struct spool_segment *s)
{
	struct spool_file *f = sp->file;
	struct spool_space space;
	char path[24];

	if (f->space(f, &space) == 0 &&
	    (space.bytes < s->size + sp->o.keep_bytes || space.inodes == 0)) {
		errno = ENOSPC;
		return -1;
	}
	spool_segment_path(path, s->number);
	s->fd = f->open(f, path, SPOOL_FILE_MAKE);
	if (s->fd < 0)
		return -1;
	s->filled = least(PIECE, s->size);
	if (fill(f, s->fd, 0, s->filled) < 0 ||
	    spool_segment_write_header(f, s->fd, 0, &s->header) < 0)
		return -1;
	return f->sync_dir(f, "seg");
}

static void make_work(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, supply.make_job);
	struct spool_segment *s = sp->supply.making;

	sp->supply.make_error = make(sp, s) < 0 ? errno : 0;
	if (sp->supply.make_error && s->fd >= 0)
		/* give back what it took; the name is used by the next try */
		sp->file->truncate(sp->file, s->fd, 0);
}

static void make_done(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, supply.make_job);
	struct spool_segment *s = sp->supply.making;
	struct fault why;

	sp->supply.is_making = false;
	sp->supply.has_make_failed = sp->supply.make_error != 0;
	if (sp->supply.make_error == 0) {
		spool_rekey_take(sp, s);
		spool_segment_set(s, SPOOL_SEGMENT_FREE);
		sp->supply.free++;
		return;
	}
	errno = sp->supply.make_error;
	fault_sys(&why, "making segment %u", s->number);
	sp->o.owner.failed(sp->o.owner.arg, "spool.make", &why);
	sp->supply.make_after = sp->now + SPOOL_RETRY_US;
	if (s->fd >= 0)
		sp->file->close(sp->file, s->fd);
	sp->segments[s->number] = NULL;
	spool_segment_free(&s);
}

/* free_number - the lowest unused number; 0: there is none */
static unsigned free_number(const struct spool *sp)
{
	for (unsigned i = 1; i <= sp->o.segments; i++)
		if (!sp->segments[i])
			return i;
	return 0;
}

/* is_low - mail is refused for want of space, and nothing else may happen that asks again */
static bool is_low(const struct spool *sp)
{
	return sp->supply.space.bytes < sp->o.segment_size + sp->o.keep_bytes;
}

bool spool_supply_can_grow(const struct spool *sp)
{
	const struct spool_supply *y = &sp->supply;

	if (y->has_make_failed)
		return false;
	return y->is_making || (free_number(sp) != 0 && !is_low(sp));
}

static void begin_make(struct spool *sp)
{
	unsigned number = free_number(sp);
	struct spool_segment *s = number ? spool_segment_new(number) : NULL;

	if (!s) {
		sp->supply.has_make_failed = true;
		sp->supply.make_after = sp->now + SPOOL_RETRY_US;
		return;
	}
	s->size = sp->o.segment_size;
	s->header = next_header(sp, s);
	sp->segments[number] = s;
	if (number > sp->nsegments)
		sp->nsegments = number;
	sp->supply.making = s;
	sp->supply.is_making = true;
	sp->supply.make_job.work = make_work;
	sp->supply.make_job.done = make_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &sp->supply.make_job);
}

/* Filling, piece by piece */

static void fill_work(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, supply.fill_job);
	char path[24];
	int fd;

	/* A descriptor of its own: the kernel tells of a lost write once per open file, and it must
	 * tell the committer. Nobody else writes behind fill_from. */
	spool_segment_path(path, sp->supply.filling->number);
	fd = sp->file->open(sp->file, path, SPOOL_FILE_WRITE);
	sp->supply.fill_error =
		fd < 0 || fill(sp->file, fd, sp->supply.fill_from, sp->supply.fill_upto) < 0 ? errno
											     : 0;
	if (fd >= 0)
		sp->file->close(sp->file, fd);
}

static void fill_done(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, supply.fill_job);
	struct spool_segment *s = sp->supply.filling;
	struct fault why;

	sp->supply.is_filling = false;
	if (sp->supply.fill_error == 0) {
		s->filled = sp->supply.fill_upto;
		return;
	}
	errno = sp->supply.fill_error;
	fault_sys(&why, "filling segment %u", s->number);
	sp->o.owner.failed(sp->o.owner.arg, "spool.fill", &why);
	sp->supply.fill_after = sp->now + SPOOL_RETRY_US;
}

/* wants_fill - as far as it should be filled by now it is not */
static bool wants_fill(const struct spool_segment *s)
{
	if (!s || (s->state != SPOOL_SEGMENT_CURRENT && s->state != SPOOL_SEGMENT_FREE))
		return false;
	if (s->state == SPOOL_SEGMENT_FREE)
		return s->filled < least(PIECE, s->size);
	return s->filled < least(s->tail + AHEAD, s->size);
}

static void begin_fill(struct spool *sp)
{
	struct spool_segment *s = sp->current;

	for (unsigned i = 1; !wants_fill(s) && i <= sp->nsegments; i++)
		s = sp->segments[i];
	if (!wants_fill(s))
		return;
	sp->supply.filling = s;
	sp->supply.fill_from = s->filled;
	sp->supply.fill_upto = least(s->filled + PIECE, s->size);
	sp->supply.is_filling = true;
	sp->supply.fill_job.work = fill_work;
	sp->supply.fill_job.done = fill_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &sp->supply.fill_job);
}

static bool is_stuck(const struct spool *sp)
{
	return sp->now < sp->supply.fill_after;
}

/* How much of the disk is left */

static void space_work(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, supply.space_job);

	if (sp->file->space(sp->file, &sp->supply.asked) < 0)
		sp->supply.asked = (struct spool_space){ 0, 0 };
}

static void space_done(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, supply.space_job);

	sp->supply.space = sp->supply.asked;
	sp->supply.is_asking = false;
	sp->mover.may_begin = true;
}

static void begin_space(struct spool *sp)
{
	sp->supply.space_at = sp->now;
	sp->supply.is_asking = true;
	sp->supply.space_job.work = space_work;
	sp->supply.space_job.done = space_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &sp->supply.space_job);
}

/* wants_make - too few are free */
static bool wants_make(const struct spool *sp)
{
	const struct spool_supply *y = &sp->supply;

	return !y->is_making && y->free < sp->o.spare && free_number(sp) != 0;
}

void spool_supply_turn(struct spool *sp)
{
	struct spool_supply *y = &sp->supply;

	if (wants_make(sp) && sp->now >= y->make_after)
		begin_make(sp);
	if (!y->is_filling && !is_stuck(sp))
		begin_fill(sp);
	if (!y->is_asking && sp->now >= y->space_at + SPOOL_SPACE_US)
		begin_space(sp);
}

uint64_t spool_supply_timer(const struct spool *sp)
{
	const struct spool_supply *y = &sp->supply;
	uint64_t next = SPOOL_NEVER;

	if (wants_make(sp) && sp->now < y->make_after)
		next = y->make_after;
	if (!y->is_asking && is_low(sp))
		next = least(next, y->space_at + SPOOL_SPACE_US);
	if (is_stuck(sp))
		next = least(next, y->fill_after);
	return next;
}

/* Choosing */

/* leave - nothing more is written to the current segment */
static void leave(struct spool *sp, enum spool_segment_state state, const struct spool_end *end)
{
	struct spool_segment *s = sp->current;

	spool_segment_set(s, state);
	s->end = *end;
	spool_segment_shrink(s);
	sp->current = NULL;
}

static struct spool_segment *best_free(const struct spool *sp, uint64_t need)
{
	struct spool_segment *best = NULL;

	for (unsigned i = 1; i <= sp->nsegments; i++) {
		struct spool_segment *s = sp->segments[i];

		if (s && s->state == SPOOL_SEGMENT_FREE && spool_rekey_is_ready(sp, s) &&
		    spool_segment_room(s, false) >= need &&
		    (!best || s->size - s->filled < best->size - best->filled))
			best = s; /* the one with the least left to fill */
	}
	return best;
}

struct spool_segment *spool_supply_choose(struct spool *sp, uint64_t need, uint32_t accepts)
{
	struct spool_segment *s = sp->current;

	if (s && accepts <= s->ordinals_max - s->ordinals) {
		if (spool_segment_room(s, false) >= need)
			return s;
		if (spool_segment_room(s, true) >= need && !is_stuck(sp))
			return NULL; /* its zeros are on the way */
	}
	s = best_free(sp, need);
	if (!s || !spool_segment_bits(s, (uint32_t)(s->size / ORDINAL_BYTES) + accepts))
		return NULL;
	if (sp->current)
		leave(sp, SPOOL_SEGMENT_CLOSED,
		      &(struct spool_end){ sp->current->number, sp->current->header.epoch,
					   sp->current->tail, sp->lsn, sp->lsn, 0 });
	spool_segment_set(s, SPOOL_SEGMENT_CURRENT);
	sp->supply.free--;
	sp->current = s;
	return s;
}

void spool_supply_suspect(struct spool *sp, const struct spool_batch *b)
{
	assert(b->segment == sp->current);
	leave(sp, SPOOL_SEGMENT_SUSPECT,
	      &(struct spool_end){ b->segment->number, b->head.epoch, b->offset, b->head.lsn,
				   sp->lsn, 0 });
	sp->stats.segments_suspect++;
}

/* how many free segments are left to the others */
static const unsigned kept[] = {
	[SPOOL_FOR_MAIL] = 2, [SPOOL_FOR_BOUNCES] = 1, [SPOOL_FOR_NOTES] = 0
};

bool spool_supply_has_room(const struct spool *sp, uint64_t need, enum spool_claim claim)
{
	unsigned left = kept[claim];

	if (spool_supply_can_grow(sp))
		return true;
	if (sp->supply.free >= left && sp->current &&
	    spool_segment_room(sp->current, !is_stuck(sp)) >= need)
		return true;
	return sp->supply.free > left && (best_free(sp, need) || !is_stuck(sp));
}

bool spool_supply_has_space(const struct spool *sp, uint64_t bytes)
{
	uint64_t room = sp->current ? spool_segment_room(sp->current, true) : 0;

	for (unsigned i = 1; room < bytes && i <= sp->nsegments; i++)
		if (sp->segments[i] && sp->segments[i]->state == SPOOL_SEGMENT_FREE)
			room += sp->segments[i]->size - SPOOL_BLOCK;
	return room >= bytes;
}

/* can_make - segments that can still be made: unused numbers, as far as the disk reaches */
static unsigned can_make(const struct spool *sp)
{
	uint64_t keep = sp->o.keep_bytes, bytes = sp->supply.space.bytes;
	unsigned numbers = 0;

	for (unsigned i = 1; i <= sp->o.segments; i++)
		numbers += sp->segments[i] == NULL;
	return (unsigned)least(numbers, bytes > keep ? (bytes - keep) / sp->o.segment_size : 0);
}

bool spool_supply_is_short(const struct spool *sp)
{
	unsigned used = 0,
		 usable = sp->supply.free + (sp->supply.has_make_failed ? 0 : can_make(sp));

	for (unsigned i = 1; i <= sp->nsegments; i++)
		used += sp->segments[i] && sp->segments[i]->state != SPOOL_SEGMENT_FREE;
	return usable <= kept[SPOOL_FOR_MAIL] || (uint64_t)usable * SHORT < used + usable;
}

/* Freeing */

static void free_work(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, supply.free_job);
	struct spool_segment *s = sp->supply.freeing;

	sp->supply.free_error =
		spool_segment_write_header(sp->file, s->fd, 1, &sp->supply.next) < 0 ? errno : 0;
}

static void free_done(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, supply.free_job);
	struct spool_segment *s = sp->supply.freeing;
	struct fault why;

	sp->supply.is_freeing = false;
	sp->supply.may_reclaim = true;
	if (sp->supply.free_error) {
		errno = sp->supply.free_error;
		fault_sys(&why, "freeing segment %u", s->number);
		sp->o.owner.failed(sp->o.owner.arg, "spool.free", &why);
		spool_segment_set(s, SPOOL_SEGMENT_BROKEN);
		return;
	}
	s->header = sp->supply.next;
	spool_rekey_take(sp, s);
	spool_segment_renew(s);
	spool_segment_set(s, SPOOL_SEGMENT_FREE);
	sp->supply.free++;
}

/* is_held - notes about living segments stand in s: ask for them to be carried forward (I13) */
static bool is_held(struct spool *sp, const struct spool_segment *s)
{
	bool held = false;

	for (unsigned i = 1; i <= sp->nsegments; i++) {
		struct spool_segment *t = sp->segments[i];

		if (!t || t == s || !spool_segment_is_held(t, s->number))
			continue;
		spool_progress_want_dead(sp, t);
		held = true;
	}
	return held;
}

/* carry_states - touch living messages whose latest STATE stands in s, some segments of them in
 * each turn */
static void carry_states(struct spool *sp, const struct spool_segment *s)
{
	unsigned touched = 0;

	for (unsigned i = 0; i < sp->nsegments && touched < SPOOL_CARRY_STEP; i++) {
		struct spool_segment *t = sp->segments[sp->supply.carry_at++ % sp->nsegments + 1];

		if (!t)
			continue;
		LIST_EACH(node, &t->living)
		{
			struct spool_handle *h = LIST_ITEM(node, struct spool_handle, living);

			if (h->noted != s->number)
				continue;
			spool_touch(sp, h);
			touched++;
		}
	}
}

static bool may_go(const struct spool_segment *s)
{
	return s->state == SPOOL_SEGMENT_CLOSED && s->live == 0 && s->npending == 0 &&
	       s->readers == 0 && !s->is_pinned;
}

/* States cost a record each to carry: their segment is freed only when free ones are short; the one
 * with the fewest first. */
static struct spool_segment *cheapest(const struct spool *sp)
{
	struct spool_segment *best = NULL;

	for (unsigned i = 1; i <= sp->nsegments; i++) {
		struct spool_segment *s = sp->segments[i];

		if (s && may_go(s) && (!best || s->states < best->states))
			best = s;
	}
	return best;
}

void spool_supply_reclaim(struct spool *sp)
{
	struct spool_segment *s;

	if (!sp->supply.may_reclaim || sp->supply.is_freeing)
		return;
	sp->supply.may_reclaim = false;
	s = cheapest(sp);
	if (!s)
		return;
	if (s->states > 0) {
		if (spool_supply_is_short(sp))
			carry_states(sp, s);
		return;
	}
	if (is_held(sp, s))
		return; /* again when those notes have landed */
	sp->supply.freeing = s;
	sp->supply.is_freeing = true;
	sp->supply.next = next_header(sp, s);
	spool_segment_set(s, SPOOL_SEGMENT_FREEING);
	sp->supply.free_job.work = free_work;
	sp->supply.free_job.done = free_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &sp->supply.free_job);
}

unsigned spool_supply_jobs(const struct spool *sp)
{
	const struct spool_supply *y = &sp->supply;

	return y->is_making + y->is_filling + y->is_freeing + y->is_asking;
}

void spool_supply_close(struct spool *sp)
{
	for (unsigned i = 1; sp->segments && i <= sp->nsegments; i++) {
		if (sp->segments[i] && sp->segments[i]->fd >= 0)
			sp->file->close(sp->file, sp->segments[i]->fd);
		spool_segment_free(&sp->segments[i]);
	}
	free(sp->segments);
	sp->segments = NULL;
}
