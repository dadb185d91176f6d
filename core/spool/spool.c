#include "spool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "counter.h"
#include "spool_core.h"

#define SEGMENT_SIZE (UINT64_C(128) * 1024 * 1024)
#define SEGMENT_MIN  (UINT64_C(128) * 1024)
#define LAZY_US      50000
#define KEEP_BYTES   (UINT64_C(64) * 1024 * 1024)

static void set_defaults(struct spool_options *o)
{
	o->segment_size = o->segment_size ? o->segment_size : SEGMENT_SIZE;
	o->segments = o->segments ? o->segments : 4096;
	o->spare = o->spare ? o->spare : 2;
	o->slots = o->slots ? o->slots : 1024;
	o->recent = o->recent ? o->recent : 65536;
	o->lazy_us = o->lazy_us ? o->lazy_us : LAZY_US;
	o->keep_bytes = o->keep_bytes ? o->keep_bytes : KEEP_BYTES;
}

static int check_options(const struct spool_options *o, struct fault *why)
{
	if (o->segment_size % SPOOL_BLOCK || o->segment_size < SEGMENT_MIN ||
	    o->segment_size > SPOOL_SEGMENT_MAX)
		return fault_set(why, "the size of segments must be a multiple of 4 KiB between "
				      "128 KiB and 1 GiB");
	if (o->segments > SPOOL_SEGMENTS_MAX || o->slots > SPOOL_SLOTS_MAX ||
	    o->threads > SPOOL_POOL_THREADS)
		return fault_set(why, "too many segments, slots or threads");
	return 0;
}

static void init_lists(struct spool *sp)
{
	list_init(&sp->refused);
	list_init(&sp->answers);
	list_init(&sp->dirty);
	list_init(&sp->pended);
	map_init(&sp->pending);
}

/* init_batches - as large as the smallest segment allows: any batch fits into any segment */
static int init_batches(struct spool *sp, struct fault *why)
{
	uint64_t least = sp->o.segment_size;

	for (unsigned i = 1; i <= sp->nsegments; i++) {
		const struct spool_segment *s = sp->segments[i];

		if (s && s->state != SPOOL_SEGMENT_BROKEN && s->size >= SEGMENT_MIN &&
		    s->size < least)
			least = s->size;
	}
	least -= 2 * SPOOL_BLOCK; /* block 0, and what stands in front of a batch's body */
	if (least > SPOOL_BODY_MAX)
		least = SPOOL_BODY_MAX;
	for (int i = 0; i < 2; i++) {
		if (spool_batch_init(&sp->batches[i], (size_t)least, why) < 0)
			return -1;
		sp->batches[i].sealed = sp->rekey.sealed;
		sp->batches[i].growth = sp->rekey.sealed ? SPOOL_CIPHER_GROWTH : 0;
	}
	sp->batches[0].file = sp->batches[1].file = sp->file;
	sp->gathering = &sp->batches[0];
	return 0;
}

/* first_supply - a segment to write to and slots, before anybody is told that the spool is ready */
static void first_supply(struct spool *sp)
{
	if (sp->file->space(sp->file, &sp->supply.space) < 0)
		sp->supply.space = (struct spool_space){ 0, 0 };
	spool_slots_sweep(sp);
	if (sp->supply.free == 0)
		spool_supply_turn(sp);
	spool_rekey_turn(sp);
	spool_slots_turn(sp);
	while (!spool_pool_is_idle(&sp->pool)) {
		spool_pool_wait(&sp->pool);
		spool_pool_turn(&sp->pool);
	}
}

struct spool *spool_open(const struct spool_options *options, struct fault *why)
{
	struct spool *sp = calloc(1, sizeof *sp);

	if (!sp) {
		fault_set(why, "no memory for the spool");
		return NULL;
	}
	sp->o = *options;
	sp->file = options->file;
	sp->lock = -1;
	sp->probe_us = SPOOL_PROBE_US;
	set_defaults(&sp->o);
	init_lists(sp);
	if (check_options(&sp->o, why) < 0 || spool_pool_init(&sp->pool, sp->o.threads, why) < 0)
		goto fail;
	sp->has_pool = true;
	if (spool_rekey_init(sp, why) < 0 ||
	    spool_recent_init(&sp->recent, sp->o.recent, why) < 0 ||
	    spool_slots_init(sp, why) < 0 || spool_recover(sp, why) < 0 ||
	    init_batches(sp, why) < 0 || spool_move_init(sp, why) < 0)
		goto fail;
	first_supply(sp);
	return sp;
fail:
	spool_close(&sp);
	return NULL;
}

void spool_close(struct spool **spp)
{
	struct spool *sp = *spp;

	if (!sp)
		return;
	if (sp->has_pool)
		spool_pool_fini(&sp->pool);
	spool_submits_fini(sp);
	spool_slots_fini(sp);
	spool_supply_close(sp);
	spool_move_fini(sp);
	spool_recent_fini(&sp->recent);
	spool_batch_fini(&sp->batches[0]);
	spool_batch_fini(&sp->batches[1]);
	spool_rekey_fini(sp);
	map_fini(&sp->pending);
	if (sp->lock >= 0)
		sp->file->close(sp->file, sp->lock);
	free(sp);
	*spp = NULL;
}

int spool_wakeup(const struct spool *sp)
{
	return sp->pool.wakeup;
}

static void set_gauges(const struct spool *sp)
{
	gauge_set(GAUGE_SPOOL_SEGMENTS, sp->nsegments);
	gauge_set(GAUGE_SPOOL_SEGMENTS_FREE, sp->supply.free);
	gauge_set(GAUGE_SPOOL_SLOTS_FREE, sp->slots.free);
}

void spool_turn(struct spool *sp, uint64_t mono_us)
{
	sp->now = mono_us;
	spool_pool_turn(&sp->pool);
	spool_submit_turn(sp);
	spool_submit_answer(sp);
	spool_commit_turn(sp);
	spool_move_turn(sp);
	spool_submit_room(sp);
	spool_slots_turn(sp);
	spool_supply_turn(sp);
	spool_rekey_turn(sp);
	spool_submit_answer(sp);
	set_gauges(sp);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t spool_next_timer(const struct spool *sp)
{
	uint64_t soon = least(spool_commit_timer(sp), spool_supply_timer(sp));

	return least(soon, least(spool_slots_timer(sp), spool_rekey_timer(sp)));
}

void spool_hint(struct spool *sp, unsigned in_data)
{
	sp->in_data = in_data;
}

void spool_flush(struct spool *sp)
{
	sp->is_flushing = true;
}

/* is_quiet - no job but those that make, empty or rekey segments for later */
static bool is_quiet(const struct spool *sp)
{
	return sp->pool.open == spool_supply_jobs(sp) + spool_move_jobs(sp) + spool_rekey_jobs(sp);
}

bool spool_is_idle(const struct spool *sp)
{
	return !sp->flying && !sp->has_progress && sp->gathering->nsubmits == 0 && is_quiet(sp) &&
	       list_is_empty(&sp->slots.ready) && list_is_empty(&sp->slots.failed) &&
	       list_is_empty(&sp->refused) && list_is_empty(&sp->answers) &&
	       list_is_empty(&sp->slots.leaving);
}

void spool_settle(struct spool *sp, uint64_t mono_us)
{
	/* turns in a row that left no job behind: what remains waits for a time */
	unsigned still = 0;

	while (still < 3) {
		spool_flush(sp);
		spool_turn(sp, mono_us);
		if (spool_is_idle(sp))
			return;
		still = spool_pool_is_idle(&sp->pool) ? still + 1 : 0;
		spool_pool_wait(&sp->pool);
	}
}

bool spool_is_accepting(struct spool *sp, uint64_t size, struct spool_refusal *why)
{
	uint64_t inlined = size < SPOOL_INLINE ? size : SPOOL_INLINE;

	if (spool_commit_is_failing(sp))
		*why = (struct spool_refusal){ 451, "the spool cannot write" };
	else if (!spool_supply_has_room(
			 sp, spool_batch_padded(spool_batch_size(sp->gathering) + (size_t)inlined),
			 SPOOL_FOR_MAIL))
		*why = (struct spool_refusal){ 452, "the spool is full" };
	else if (size > SPOOL_INLINE && sp->supply.space.bytes < size + sp->o.keep_bytes)
		*why = (struct spool_refusal){ 452, "the disk is full" };
	else if (size > SPOOL_INLINE && spool_slots_are_used_up(sp))
		*why = (struct spool_refusal){ 452, "too many big messages at once" };
	else
		return true;
	return false;
}

void spool_stats(const struct spool *sp, struct spool_stats *out)
{
	*out = sp->stats;
	out->segments = out->segments_broken = out->segments_suspect = 0;
	for (unsigned i = 1; i <= sp->nsegments; i++) {
		const struct spool_segment *s = sp->segments[i];

		out->segments += s != NULL;
		out->segments_broken += s && s->state == SPOOL_SEGMENT_BROKEN;
		out->segments_suspect += s && s->state == SPOOL_SEGMENT_SUSPECT;
	}
	out->segments_free = sp->supply.free;
	out->slots = sp->slots.count;
	out->slots_free = sp->slots.free;
	out->is_failing = spool_commit_is_failing(sp);
}
