/* Compaction: what lives is copied out of the segment in which the least lives, so that it can be
 * used again. A step is read by a thread, written with the next batch, and counts when that is
 * durable; before, and if it fails, the message is where it was. */
#include "spool_core.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "counter.h"
#include "spool_load.h"

/* IDLE -- free segments are short --> READING -- read --> READY -- in a batch, or given up -->
 * IDLE */

#define BUFFER  (SPOOL_BODY_MAX + SPOOL_BODY_MAX / 128)
#define GROWTH  (20 * 1024) /* by which a record may grow: its latest state */
#define WORTH   8           /* an eighth of the segment must be won, */
#define WORTH_2 3           /* and a third while there is no hurry */

int spool_move_init(struct spool *sp, struct fault *why)
{
	struct spool_mover *m = &sp->mover;

	m->buffer = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->buffer != MAP_FAILED)
		return 0;
	m->buffer = NULL;
	return fault_sys(why, "reserving %u bytes for compaction", BUFFER);
}

void spool_move_fini(struct spool *sp)
{
	if (sp->mover.buffer)
		munmap(sp->mover.buffer, BUFFER);
	sp->mover.buffer = NULL;
}

static bool can_move(const struct spool_handle *h)
{
	return h->phase == SPOOL_PHASE_CLEAN || h->phase == SPOOL_PHASE_DIRTY;
}

/* Choosing and reading */

static bool is_worth_it(const struct spool_segment *s, unsigned share)
{
	return s->state == SPOOL_SEGMENT_CLOSED && !s->is_pinned && !s->is_stuck &&
	       !list_is_empty(&s->living) && s->bytes <= s->size - s->size / share;
}

/* emptiest - the segment that costs least, if all that lives in it finds room; NULL: none */
static struct spool_segment *emptiest(const struct spool *sp, unsigned share)
{
	struct spool_segment *best = NULL;

	for (unsigned i = 1; i <= sp->nsegments; i++) {
		struct spool_segment *s = sp->segments[i];

		if (s && is_worth_it(s, share) && (!best || s->bytes < best->bytes))
			best = s;
	}
	return best && spool_supply_has_space(sp, best->bytes + best->bytes / WORTH) ? best : NULL;
}

static void read_work(struct spool_job *job)
{
	struct spool_mover *m = container_of(job, struct spool_mover, job);

	for (unsigned i = 0; i < m->n; i++) {
		struct spool_moved *item = &m->items[i];

		item->got = spool_file_read_most(m->file, m->fd, m->buffer + item->at, item->size,
						 item->offset);
	}
}

static void read_done(struct spool_job *job)
{
	struct spool_mover *m = container_of(job, struct spool_mover, job);

	m->state = SPOOL_MOVER_READY;
}

/* pick - the next ones of it, in the order of their ordinals; false: none that can be moved now */
static bool pick(struct spool_mover *m, struct spool_segment *s)
{
	size_t at = 0;

	m->n = 0;
	LIST_EACH(node, &s->living)
	{
		struct spool_handle *h = LIST_ITEM(node, struct spool_handle, living);
		size_t size = spool_size_unpack(h->size);

		if (!can_move(h))
			continue;
		if (m->n == SPOOL_MOVE_STEP || (m->n > 0 && at + size > SPOOL_MOVE_BYTES))
			break;
		assert(at + size <= BUFFER);
		m->items[m->n++] = (struct spool_moved){ h->ordinal, h->offset, at, size, 0 };
		at += size;
	}
	return m->n > 0;
}

static void begin(struct spool *sp, struct spool_segment *s)
{
	struct spool_mover *m = &sp->mover;

	if (!pick(m, s))
		return;
	m->state = SPOOL_MOVER_READING;
	m->source = s;
	m->file = sp->file;
	m->fd = s->fd;
	s->readers++;
	m->job.work = read_work;
	m->job.done = read_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &m->job);
}

void spool_move_turn(struct spool *sp)
{
	struct spool_segment *s;

	if (!sp->mover.may_begin || sp->mover.state != SPOOL_MOVER_IDLE || sp->is_flushing ||
	    spool_commit_is_failing(sp))
		return;
	sp->mover.may_begin = false;
	if (!spool_supply_is_short(sp))
		return;
	s = emptiest(sp,
		     spool_supply_has_room(sp, SPOOL_MOVE_BYTES, SPOOL_FOR_MAIL) ? WORTH_2 : WORTH);
	if (s)
		begin(sp, s);
}

bool spool_move_is_ready(const struct spool *sp)
{
	return sp->mover.state == SPOOL_MOVER_READY;
}

unsigned spool_move_jobs(const struct spool *sp)
{
	return sp->mover.state == SPOOL_MOVER_READING;
}

size_t spool_move_need(const struct spool *sp)
{
	return spool_move_is_ready(sp) ? sp->mover.items[0].size + GROWTH : 0;
}

/* Writing */

/* give_up - it cannot be read: it stays where it is, and its segment with it */
static void give_up(struct spool *sp, const struct spool_moved *item)
{
	struct fault why;

	sp->mover.source->is_stuck = true;
	fault_set(&why, "segment %u: the message at %llu cannot be read", sp->mover.source->number,
		  (unsigned long long)item->offset);
	sp->o.owner.failed(sp->o.owner.arg, "spool.move", &why);
	counter_add(COUNTER_SPOOL_FAULTS, 1);
}

/* write_move - false: no room */
static bool write_move(struct spool *sp, struct spool_batch *b, struct spool_handle *h,
		       const struct spool_moved *item, size_t limit)
{
	const struct spool_segment *s = sp->mover.source;
	struct spool_place from = { s->number, h->ordinal, s->header.epoch };
	struct str bytes = { sp->mover.buffer + item->at, item->got };
	struct spool_record r;
	struct spool_accept a;
	uint16_t recipients;
	char *p;

	if (spool_load_decode(s, bytes, &r, &a) != STEP_DONE) {
		give_up(sp, item);
		return true;
	}
	recipients = sp->o.owner.state(sp->o.owner.arg, h, &a.state);
	assert(recipients == a.recipients && a.state.blob.n <= SPOOL_BLOB_MAX);
	r.type = SPOOL_MOVE;
	r.length = (uint32_t)(SPOOL_MOVE_FIXED + spool_accept_size(&a));
	if (spool_batch_size(b) + spool_batch_cost(b, spool_record_size(r.length), 1) > limit ||
	    b->accepts >= b->segment->ordinals_max - b->segment->ordinals)
		return false;
	p = spool_batch_add(b, &r);
	spool_accept_put(spool_move_put(p, &from), &a);
	spool_segment_hold(sp->mover.source, b->segment->number);
	list_remove(&h->moving);
	h->phase = SPOOL_PHASE_MOVING;
	list_append(&b->moving, &h->moving);
	return true;
}

void spool_move_write(struct spool *sp, struct spool_batch *b, size_t limit)
{
	struct spool_mover *m = &sp->mover;
	struct list *node;

	if (!spool_move_is_ready(sp))
		return;
	node = m->source->living.next;
	for (unsigned i = 0; i < m->n; i++) {
		struct spool_handle *h = NULL;

		/* both are in the order of ordinals; who finished meanwhile is missing here */
		for (; node != &m->source->living; node = node->next) {
			h = LIST_ITEM(node, struct spool_handle, living);
			if (h->ordinal >= m->items[i].ordinal)
				break;
		}
		if (node == &m->source->living)
			break;
		if (h->ordinal == m->items[i].ordinal && can_move(h) &&
		    !write_move(sp, b, h, &m->items[i], limit))
			break;
	}
	m->source->readers--;
	m->state = SPOOL_MOVER_IDLE;
}

/* Landed, or not */

static void arrive(struct spool *sp, struct spool_handle *h, const struct spool_batch *b,
		   const struct spool_record *r, uint64_t offset)
{
	struct spool_segment *to = b->segment;
	struct spool_segment *from = sp->segments[h->segment];

	spool_segment_finish(from, h->ordinal);
	from->bytes -= spool_size_unpack(h->size);
	if (h->noted)
		sp->segments[h->noted]->states--;
	list_remove(&h->living);
	h->noted = 0;
	h->segment = (uint16_t)to->number;
	h->ordinal = r->ordinal;
	h->offset = (uint32_t)offset;
	h->size = spool_size_pack(spool_batch_stored(b, r->length)) & 0xfff;
	list_append(&to->living, &h->living);
	to->bytes += spool_size_unpack(h->size);
}

void spool_move_landed(struct spool *sp, struct spool_batch *b)
{
	struct spool_segment *to = b->segment;
	struct spool_record r;
	struct spool_place from;
	uint64_t at = b->offset + spool_batch_front(b), behind = at;

	for (size_t next = 0; spool_batch_next(b, &next, &r); at = behind) {
		behind += spool_batch_stored(b, r.length);
		if (r.type != SPOOL_MOVE)
			continue;
		spool_message_of(&r, &from);
		to->live++;
		if (spool_segment_is_finished(sp->segments[from.segment], from.ordinal)) {
			/* finished while it flew: here too */
			spool_segment_finish(to, r.ordinal);
			spool_progress_pend(sp, to, r.ordinal);
			continue;
		}
		assert(!list_is_empty(&b->moving));
		arrive(sp, LIST_ITEM(b->moving.next, struct spool_handle, moving), b, &r, at);
		spool_progress_settle(sp, LIST_ITEM(b->moving.next, struct spool_handle, moving));
		sp->stats.moved++;
		counter_add(COUNTER_SPOOL_MOVED, 1);
	}
	assert(list_is_empty(&b->moving));
}
