#include "spool_walk.h"

#include <string.h>

/* fill - the window from `offset` on; blocks that the disk will not give are zeros, which nothing
 * takes for data */
static void fill(struct spool_walk *w, uint64_t offset, size_t n)
{
	w->window_at = offset;
	w->window_n = n;
	if (spool_file_read_all(w->file, w->fd, w->window, n, offset) == 0)
		return;
	for (size_t at = 0; at < n; at += SPOOL_BLOCK) {
		size_t block = n - at < SPOOL_BLOCK ? n - at : SPOOL_BLOCK;

		if (spool_file_read_all(w->file, w->fd, w->window + at, block, offset + at) == 0)
			continue;
		memset(w->window + at, 0, block);
		w->is_unreadable = true;
	}
}

/* peek - n bytes at offset, or NULL when the file does not have them */
static const char *peek(struct spool_walk *w, uint64_t offset, size_t n)
{
	uint64_t from = offset & ~(uint64_t)(SPOOL_BLOCK - 1), span;

	if (offset > w->size || n > w->size - offset)
		return NULL;
	if (offset >= w->window_at && offset + n <= w->window_at + w->window_n)
		return w->window + (offset - w->window_at);
	span = offset + n - from;
	if (span > SPOOL_WINDOW)
		return NULL;
	if (span < w->stride)
		span = w->stride;
	if (span > SPOOL_WINDOW)
		span = SPOOL_WINDOW;
	if (span > w->size - from)
		span = w->size - from;
	fill(w, from, (size_t)span);
	return w->window + (offset - from);
}

/* head_at - a batch of this life of this segment begins at that block */
static bool head_at(struct spool_walk *w, uint64_t offset, struct spool_head *head)
{
	const char *p = peek(w, offset, SPOOL_BATCH_HEAD);

	return p && spool_head_get(p, head) && head->epoch == w->header.epoch &&
	       head->salt == w->header.salt && head->number == w->header.number &&
	       head->block == offset / SPOOL_BLOCK && head->lsn >= w->lsn_next &&
	       spool_round(head->length, SPOOL_BLOCK) <= SPOOL_BATCH_MAX;
}

/* find_head - the next batch at or behind `offset` and before `upto`; 0: none */
static uint64_t find_head(struct spool_walk *w, uint64_t offset, uint64_t upto,
			  struct spool_head *head)
{
	for (; offset + SPOOL_BATCH_HEAD <= upto; offset += SPOOL_BLOCK)
		if (head_at(w, offset, head))
			return offset;
	return 0;
}

/* batch_is_whole - its records follow each other without a gap, every checksum is right */
static bool batch_is_whole(struct spool_walk *w, uint64_t offset, const struct spool_head *head)
{
	const char *p = peek(w, offset, head->length);
	struct str in = p ? (struct str){ p + SPOOL_BATCH_HEAD, head->length - SPOOL_BATCH_HEAD }
			  : STR_NONE;
	struct spool_record r;

	if (!p)
		return false;
	for (uint32_t i = 0; i < head->records; i++)
		if (spool_record_take(&in, w->seed, &r) != STEP_DONE || r.lsn != head->lsn + i ||
		    !spool_record_is_whole(&r, w->seed))
			return false;
	return in.n == 0;
}

static void deliver_batch(struct spool_walk *w, uint64_t offset, const struct spool_head *head)
{
	const char *p = peek(w, offset, head->length);
	struct str in = { p + SPOOL_BATCH_HEAD, head->length - SPOOL_BATCH_HEAD };
	struct spool_record r;

	for (uint32_t i = 0; i < head->records; i++) {
		uint64_t at = offset + (uint64_t)(in.p - p);

		if (spool_record_take(&in, w->seed, &r) == STEP_DONE)
			w->record(w->arg, &r, at);
	}
	if (w->batches++ == 0)
		w->lsn_first = head->lsn;
	w->lsn_next = head->lsn + head->records;
	if (head->durable_upto > w->durable_upto)
		w->durable_upto = head->durable_upto;
}

static void hurt(struct spool_walk *w, uint64_t from, uint64_t to, const char *what,
		 const struct id *id)
{
	struct spool_damage d = { w->header.number, from, to - from, what, id };

	if (from < to)
		w->damage(w->arg, &d);
}

/* record_at - a record with an honest head and an LSN from this stretch begins there; its payload
 * may be damaged */
static bool record_at(struct spool_walk *w, uint64_t at, uint64_t to, struct spool_record *r)
{
	const char *p = peek(w, at, SPOOL_RECORD_HEAD);
	struct str in = p ? (struct str){ p, SPOOL_RECORD_HEAD } : STR_NONE;
	uint64_t size;

	if (!p || spool_record_take(&in, w->seed, r) == STEP_ERROR)
		return false;
	size = spool_record_size(r->length);
	if (r->lsn < w->lsn_next || r->lsn >= w->lsn_upto || size > to - at)
		return false;
	p = peek(w, at, size);
	if (p)
		spool_record_peek(p, r);
	return p != NULL;
}

/* salvage - everything legible in a stretch that was acknowledged and is broken; the rest is named
 * as damage */
static void salvage(struct spool_walk *w, uint64_t from, uint64_t to)
{
	struct spool_record r;
	uint64_t bad = from; /* where the present gap began */
	uint64_t at = from;

	while (at + SPOOL_RECORD_HEAD <= to) {
		if (!record_at(w, at, to, &r)) {
			at += 8;
			continue;
		}
		hurt(w, bad, at, "unreadable", NULL);
		if (spool_record_is_whole(&r, w->seed))
			w->record(w->arg, &r, at);
		else
			hurt(w, at, at + spool_record_size(r.length),
			     "a record with a wrong checksum", &r.id);
		at += spool_record_size(r.length);
		w->lsn_next = r.lsn + 1;
		bad = at;
	}
	hurt(w, bad, to, "unreadable", NULL);
}

/* proof - a later batch whose writer knew that everything before it was synced; 0: there is none */
static uint64_t proof(struct spool_walk *w, uint64_t offset, struct spool_head *next)
{
	while ((offset = find_head(w, offset, w->size, next)) != 0) {
		if (next->durable_upto >= next->lsn ||
		    (w->lsn_next > 0 && next->durable_upto > w->lsn_next))
			return offset;
		offset += SPOOL_BLOCK;
	}
	return 0;
}

/* mend - at a broken batch: pass over it and return where to go on, or 0 when this is the end */
static uint64_t mend(struct spool_walk *w, uint64_t at, uint64_t limit)
{
	struct spool_head head, next;
	bool has_head = head_at(w, at, &head) && head.length <= limit - at;
	uint64_t behind = at + (has_head ? spool_round(head.length, SPOOL_BLOCK) : SPOOL_BLOCK);
	uint64_t found = proof(w, behind, &next), from = at, to;

	if (found > limit)
		found = 0; /* behind a known end lies what was refused */
	if (!found && !w->end && !(has_head && head.lsn < w->durable))
		return 0;
	to = found ? found : w->end ? limit : behind;
	w->lsn_upto = found ? next.lsn : UINT64_MAX;
	if (has_head) {
		salvage(w, at + SPOOL_BATCH_HEAD, at + head.length);
		w->lsn_next = head.lsn + head.records;
		from = behind;
	}
	if (from < to)
		salvage(w, from, to);
	return to;
}

static void begin(struct spool_walk *w)
{
	w->seed = spool_seed(w->header.epoch, w->header.salt);
	w->window_n = 0;
	w->batches = 0;
	w->lsn_first = w->lsn_next = w->durable_upto = 0;
	w->tail = SPOOL_BLOCK;
	w->is_unreadable = false;
}

bool spool_walk_first(struct spool_walk *w)
{
	uint64_t upto = w->stride < w->size ? w->stride : w->size, at;
	struct spool_head head;

	begin(w);
	at = find_head(w, SPOOL_BLOCK, upto, &head);
	if (at == 0)
		return false;
	if (at == SPOOL_BLOCK && batch_is_whole(w, at, &head))
		deliver_batch(w, at, &head);
	w->lsn_first = head.lsn;
	return true;
}

void spool_walk(struct spool_walk *w)
{
	struct spool_head head;
	uint64_t limit;

	begin(w);
	limit = w->end && w->end < w->size ? w->end : w->size;
	while (w->tail < limit) {
		uint64_t next = 0;

		if (head_at(w, w->tail, &head) && head.length <= limit - w->tail &&
		    batch_is_whole(w, w->tail, &head)) {
			deliver_batch(w, w->tail, &head);
			next = w->tail + spool_round(head.length, SPOOL_BLOCK);
		} else {
			next = mend(w, w->tail, limit);
		}
		if (next == 0)
			break;
		w->tail = next;
	}
	hurt(w, w->size, w->end, "the file is too short", NULL);
}
