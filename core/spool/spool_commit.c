/* Commit: while one batch is synced the next one gathers; then it goes out in one write and one
 * sync, and everybody who waited is answered. No other code says that a message is durable. */
#include "spool_core.h"

#include <assert.h>
#include <errno.h>

#include "counter.h"

/* up to so many in DATA, waiting for company costs more than it saves */
#define GATHER_SESSIONS 8

static const struct spool_refusal not_stored = { 451, "the message could not be stored" };
static const struct spool_refusal full = { 452, "the spool is full" };

bool spool_commit_is_failing(const struct spool *sp)
{
	return sp->failures >= 2;
}

/* When */

static bool waits_for_company(const struct spool *sp)
{
	const struct spool_batch *b = sp->gathering;

	return sp->o.gather_us > 0 && sp->in_data > GATHER_SESSIONS && b->nsubmits < sp->in_data &&
	       !sp->is_room_wanted && !sp->is_flushing && sp->now < b->since + sp->o.gather_us;
}

static bool is_due(const struct spool *sp)
{
	if (sp->flying)
		return false;
	if (spool_commit_is_failing(sp))
		return sp->now >= sp->probe_at;
	if (!list_is_empty(&sp->refused))
		return true; /* they are answered when their ABORT is durable */
	if (sp->gathering->nsubmits > 0)
		return !waits_for_company(sp);
	return spool_progress_is_due(sp) || (spool_move_is_ready(sp) && !sp->is_flushing);
}

uint64_t spool_commit_timer(const struct spool *sp)
{
	uint64_t next = SPOOL_NEVER;

	if (sp->flying || sp->is_blocked)
		return SPOOL_NEVER;
	if (spool_commit_is_failing(sp))
		return sp->probe_at;
	if (sp->gathering->nsubmits > 0)
		next = sp->gathering->since + sp->o.gather_us;
	if (sp->has_progress && sp->dirty_since + sp->o.lazy_us < next)
		next = sp->dirty_since + sp->o.lazy_us;
	return next;
}

/* Landing */

static void settle_ends(struct spool *sp, bool is_durable)
{
	for (unsigned i = 1; i <= sp->nsegments; i++) {
		struct spool_segment *s = sp->segments[i];

		if (!s || !s->is_end_flying)
			continue;
		s->is_end_flying = false;
		s->is_end_durable = is_durable;
	}
}

static void answer_later(struct spool *sp, struct list *submits)
{
	struct list *node;

	while ((node = list_take(submits)))
		list_append(&sp->answers, node);
}

static void count_landed(struct spool *sp, const struct spool_batch *b)
{
	sp->stats.batches++;
	sp->stats.syncs++;
	sp->stats.bytes += b->head.length;
	counter_add(COUNTER_SPOOL_COMMITS, 1);
	counter_add(COUNTER_SPOOL_SYNCS, 1);
	counter_add(COUNTER_SPOOL_BYTES, spool_round(b->head.length, SPOOL_BLOCK));
	histogram_add(HISTOGRAM_SYNC_TIME, b->sync_us);
}

static void landed(struct spool *sp, struct spool_batch *b)
{
	sp->failures = 0;
	sp->probe_us = SPOOL_PROBE_US;
	count_landed(sp, b);
	settle_ends(sp, true);
	LIST_EACH(node, &b->submits)
	{
		struct spool_submit *s = LIST_ITEM(node, struct spool_submit, node);

		spool_progress_arrived(sp, s, b->segment);
		s->outcome = SPOOL_DURABLE;
	}
	spool_progress_landed(sp, b);
	answer_later(sp, &b->submits);
	answer_later(sp, &sp->refused);
}

/* crashed - the batch may be on disk, whole, in part, or not at all: void it before anybody is told
 * that it was refused */
static void crashed(struct spool *sp, struct spool_batch *b)
{
	struct fault why;

	errno = b->error;
	fault_sys(&why, "writing %u bytes to segment %u at %llu", b->head.length,
		  b->segment->number, (unsigned long long)b->offset);
	sp->o.owner.failed(sp->o.owner.arg, "spool.commit", &why);
	counter_add(COUNTER_SPOOL_FAULTS, 1);
	sp->failures++;
	settle_ends(sp, false);
	spool_supply_suspect(sp, b);
	spool_progress_revert(sp, b);
	spool_submit_refuse(sp, &b->submits, not_stored, &sp->refused);
	if (!spool_commit_is_failing(sp))
		return;
	answer_later(sp, &sp->refused); /* nothing can be made durable now, their ABORT neither */
	spool_submit_refuse(sp, &sp->gathering->submits, not_stored, &sp->answers);
	spool_batch_reset(sp->gathering);
	sp->probe_at = sp->now + sp->probe_us;
	sp->probe_us =
		sp->probe_us * 2 < SPOOL_PROBE_MAX_US ? sp->probe_us * 2 : SPOOL_PROBE_MAX_US;
}

static void commit_work(struct spool_job *job)
{
	spool_batch_write(container_of(job, struct spool, commit_job)->flying);
}

static void commit_done(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, commit_job);
	struct spool_batch *b = sp->flying;

	sp->flying = NULL;
	if (b->error)
		crashed(sp, b);
	else
		landed(sp, b);
	spool_batch_reset(b);
}

/* Launching */

/* write_ends - where the segments end that are left behind: first of all, so that it stands before
 * what it allows */
static void write_ends(struct spool *sp, struct spool_batch *b)
{
	for (unsigned i = 1; i <= sp->nsegments && b->front_records < SPOOL_ENDS_MAX; i++) {
		struct spool_segment *s = sp->segments[i];

		if (!s || s->is_end_durable ||
		    (s->state != SPOOL_SEGMENT_CLOSED && s->state != SPOOL_SEGMENT_SUSPECT))
			continue;
		spool_batch_end(b, &s->end, s->state == SPOOL_SEGMENT_SUSPECT);
		s->is_end_flying = true;
		spool_segment_hold(s, b->segment->number);
	}
}

static void place_handles(struct spool_batch *b)
{
	size_t next = 0, at = 0, behind = spool_batch_front(b); /* in memory, on disk */
	struct spool_record r;

	LIST_EACH(node, &b->submits)
	{
		LIST_EACH(moving, &LIST_ITEM(node, struct spool_submit, node)->arriving)
		{
			struct spool_handle *h = LIST_ITEM(moving, struct spool_handle, moving);
			bool found;

			do {
				at = behind;
				found = spool_batch_next(b, &next, &r);
				behind += spool_batch_stored(b, r.length);
			} while (found && r.type != SPOOL_ACCEPT);
			assert(found);
			h->segment = (uint16_t)b->segment->number;
			h->ordinal = r.ordinal;
			h->offset = (uint32_t)(b->offset + at);
			h->size = spool_size_pack(spool_batch_stored(b, r.length)) & 0xfff;
		}
	}
}

/* give_up - there is no place for these submits and there will be none soon */
static void give_up(struct spool *sp)
{
	spool_submit_refuse(sp, &sp->gathering->submits, full, &sp->answers);
	spool_batch_reset(sp->gathering);
}

/* with_move - room for a step of compaction too, when there is some */
static size_t with_move(const struct spool *sp, size_t need)
{
	size_t more = need + spool_move_need(sp);

	return more <= sp->gathering->capacity &&
			       spool_supply_has_room(sp, spool_batch_padded(more), SPOOL_FOR_NOTES)
		       ? more
		       : need;
}

static void launch(struct spool *sp)
{
	struct spool_batch *b = sp->gathering;
	size_t need = spool_batch_size(b), limit;

	if (sp->has_progress)
		need += spool_progress_need(sp) + b->growth;
	if (b->nsubmits > 0 &&
	    !spool_supply_has_room(sp, spool_batch_padded(need),
				   b->needs_room ? SPOOL_FOR_MAIL : SPOOL_FOR_BOUNCES)) {
		give_up(sp);
		return;
	}
	need = with_move(sp, need);
	if (!spool_supply_has_room(sp, spool_batch_padded(need), SPOOL_FOR_NOTES))
		answer_later(sp, &sp->refused); /* no place for their ABORT, and none in sight */
	b->segment = spool_supply_choose(sp, spool_batch_padded(need), b->accepts);
	sp->is_blocked = b->segment == NULL;
	if (sp->is_blocked)
		return; /* a segment is being made, filled or freed: later */
	limit = spool_segment_room(b->segment, false) - SPOOL_BLOCK;
	write_ends(sp, b);
	spool_progress_write(sp, b, limit < b->capacity ? limit : b->capacity);
	if (spool_batch_is_empty(b))
		return;
	b->segment->tail += spool_batch_place(b, b->segment, sp->lsn);
	sp->lsn += b->head.records;
	place_handles(b);
	sp->flying = b;
	sp->gathering = &sp->batches[b == &sp->batches[0]];
	sp->commit_job.work = commit_work;
	sp->commit_job.done = commit_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_COMMIT, &sp->commit_job);
}

void spool_commit_turn(struct spool *sp)
{
	if (sp->gathering->nsubmits > 0 && sp->gathering->since == 0)
		sp->gathering->since = sp->now;
	if (sp->has_progress && sp->dirty_since == 0)
		sp->dirty_since = sp->now;
	if (!sp->flying)
		spool_supply_reclaim(sp);
	sp->is_blocked = false;
	if (is_due(sp))
		launch(sp);
	if (!sp->has_progress && sp->gathering->nsubmits == 0)
		sp->is_flushing = false;
}
