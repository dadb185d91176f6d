/* Progress: which messages are finished and what state the others have reached, noted lazily. What
 * is lost of it by a crash repeats deliveries; nothing here ever loses one. */
#include "spool_core.h"

#include <assert.h>
#include <string.h>

/* clang-format off */
/* The phases of a handle:
 *
 *   NONE -- submit --> ARRIVING -- durable --> CLEAN -- touch --> DIRTY -- in a batch --> FLYING
 *   FLYING -- durable --> CLEAN, or DIRTY when touched meanwhile;  FLYING -- failed --> DIRTY
 *   CLEAN, DIRTY -- compaction --> MOVING, and on as FLYING
 *   CLEAN, DIRTY, FLYING -- replaces --> REPLACING or FINISHING -- answered --> CLEAN, DIRTY, or gone
 */
/* clang-format on */

enum { NOTE_MIN = 20 * 1024 }; /* room in which any STATE fits */

static struct spool_handle *handle_of(struct list *node)
{
	return LIST_ITEM(node, struct spool_handle, moving);
}

static struct spool_segment *segment_of(struct spool *sp, const struct spool_handle *h)
{
	return sp->segments[h->segment];
}

static void list_move(struct list *to, struct list *from)
{
	struct list *node;

	while ((node = list_take(from)))
		list_append(to, node);
}

static void set_phase(struct spool_handle *h, enum spool_phase phase, struct list *to)
{
	list_remove(&h->moving);
	h->phase = phase;
	if (to)
		list_append(to, &h->moving);
}

static void set_dirty(struct spool *sp)
{
	sp->has_progress = true;
}

void spool_progress_settle(struct spool *sp, struct spool_handle *h)
{
	if (!h->again) {
		set_phase(h, SPOOL_PHASE_CLEAN, NULL);
		return;
	}
	h->again = 0;
	set_phase(h, SPOOL_PHASE_DIRTY, &sp->dirty);
	set_dirty(sp);
}

void spool_touch(struct spool *sp, struct spool_handle *h)
{
	assert(h->phase != SPOOL_PHASE_NONE && h->phase != SPOOL_PHASE_ARRIVING);
	if (h->phase == SPOOL_PHASE_DIRTY)
		return;
	h->again = 1;
	if (h->phase == SPOOL_PHASE_CLEAN)
		spool_progress_settle(sp, h);
}

void spool_progress_pend(struct spool *sp, struct spool_segment *s, uint32_t ordinal)
{
	spool_segment_pend(s, ordinal);
	list_remove(&s->pended);
	list_append(&sp->pended, &s->pended);
	set_dirty(sp);
}

void spool_progress_gone(struct spool *sp, struct spool_handle *h, bool is_pending)
{
	struct spool_segment *s = segment_of(sp, h);

	spool_segment_finish(s, h->ordinal);
	s->bytes -= spool_size_unpack(h->size);
	if (h->noted)
		sp->segments[h->noted]->states--;
	if (is_pending)
		spool_progress_pend(sp, s, h->ordinal);
	if (h->slot)
		spool_slot_drop(sp, h->slot);
	list_remove(&h->living);
	set_phase(h, SPOOL_PHASE_NONE, NULL);
	sp->stats.live--;
	sp->supply.may_reclaim = true;
}

void spool_done(struct spool *sp, struct spool_handle *h, const struct id *id)
{
	assert(h->phase != SPOOL_PHASE_NONE && h->phase != SPOOL_PHASE_ARRIVING);
	spool_recent_add(&sp->recent, id);
	spool_progress_gone(sp, h, true);
}

void spool_progress_want_dead(struct spool *sp, struct spool_segment *s)
{
	s->wants_dead = true;
	set_dirty(sp);
}

bool spool_progress_is_due(const struct spool *sp)
{
	return sp->has_progress && (sp->is_flushing || sp->now >= sp->dirty_since + sp->o.lazy_us);
}

static size_t dead_size(const struct spool_segment *s)
{
	return spool_record_size(spool_dead_size(s->ordinals));
}

size_t spool_progress_need(const struct spool *sp)
{
	size_t need = NOTE_MIN;

	for (unsigned i = 1; i <= sp->nsegments; i++)
		if (sp->segments[i] && sp->segments[i]->wants_dead &&
		    dead_size(sp->segments[i]) > need)
			need = dead_size(sp->segments[i]);
	return need;
}

/* Writing */

/* left - for one more record */
static size_t left(const struct spool_batch *b, size_t limit)
{
	size_t taken = spool_batch_size(b) + b->growth;

	return limit > taken ? limit - taken : 0;
}

/* write_done - one DONE about s: false when there was no room for a single ordinal */
static bool write_done(struct spool *sp, struct spool_batch *b, struct spool_segment *s,
		       size_t limit)
{
	struct spool_place place = { s->number, 0, s->header.epoch };
	size_t least = spool_record_size(spool_done_size(2)), max;
	uint32_t n;
	char *p;

	if (left(b, limit) < least)
		return false;
	max = (left(b, limit) - least) / 4 + 2;
	n = spool_segment_take_pending(s, sp->scratch,
				       max < SPOOL_DONE_MAX ? (uint32_t)max : SPOOL_DONE_MAX);
	p = spool_batch_add(b, &(struct spool_record){ .length = (uint32_t)spool_done_size(n),
						       .type = SPOOL_DONE });
	p = spool_done_put(p, &place, n);
	for (uint32_t i = 0; i < n; i++)
		p = spool_put32(p, sp->scratch[i]);
	spool_segment_hold(s, b->segment->number);
	return true;
}

static void write_all_done(struct spool *sp, struct spool_batch *b, size_t limit)
{
	while (!list_is_empty(&sp->pended)) {
		struct spool_segment *s = LIST_ITEM(sp->pended.next, struct spool_segment, pended);

		if (!write_done(sp, b, s, limit))
			return;
		if (s->npending == 0)
			list_remove(&s->pended);
	}
	b->has_all_pending = true;
}

static void write_dead(struct spool *sp, struct spool_batch *b, struct spool_segment *s,
		       size_t limit)
{
	bool closed = s->state == SPOOL_SEGMENT_CLOSED || s->state == SPOOL_SEGMENT_SUSPECT;
	struct spool_bits bits = { { s->number, 0, s->header.epoch },
				   s->ordinals,
				   STR_NONE,
				   closed ? s->end.end : 0,
				   closed ? s->end.lsn : 0 };
	char *p;

	if (left(b, limit) < dead_size(s)) {
		set_dirty(sp);
		return;
	}
	p = spool_batch_add(
		b, &(struct spool_record){ .length = (uint32_t)spool_dead_size(s->ordinals),
					   .type = SPOOL_DEAD });
	p = spool_dead_put(p, &bits);
	for (uint32_t i = 0; i < spool_round(s->ordinals, 64) / 64; i++)
		p = spool_put64(p, s->finished[i]);
	s->wants_dead = false;
	spool_segment_hold(s, b->segment->number);
}

/* write_state - false: no room */
static bool write_state(struct spool *sp, struct spool_batch *b, struct spool_handle *h,
			size_t limit)
{
	struct spool_place place = { h->segment, h->ordinal, segment_of(sp, h)->header.epoch };
	struct spool_state state = { 0 };
	uint16_t recipients;
	size_t size;

	if (left(b, limit) < NOTE_MIN)
		return false;
	recipients = sp->o.owner.state(sp->o.owner.arg, h, &state);
	size = spool_state_size(recipients, &state);
	assert(state.blob.n <= SPOOL_BLOB_MAX && recipients <= SPOOL_RECIPIENTS);
	spool_state_put(spool_batch_add(b, &(struct spool_record){ .length = (uint32_t)size,
								   .type = SPOOL_STATE }),
			&place, recipients, &state);
	set_phase(h, SPOOL_PHASE_FLYING, &b->flying);
	return true;
}

void spool_progress_write(struct spool *sp, struct spool_batch *b, size_t limit)
{
	b->notes = b->length;
	sp->has_progress = false;
	write_all_done(sp, b, limit);
	for (unsigned i = 1; i <= sp->nsegments; i++)
		if (sp->segments[i] && sp->segments[i]->wants_dead)
			write_dead(sp, b, sp->segments[i], limit);
	while (!list_is_empty(&sp->dirty) && write_state(sp, b, handle_of(sp->dirty.next), limit))
		;
	if (!list_is_empty(&sp->dirty) || !list_is_empty(&sp->pended))
		set_dirty(sp); /* no room for all of it: the next batch */
	spool_move_write(sp, b, limit);
	sp->dirty_since = 0;
	if (b->has_all_pending)
		list_move(&b->leaving, &sp->slots.leaving);
}

/* Landed, or not */

static void noted(struct spool *sp, struct spool_handle *h, const struct spool_segment *in)
{
	if (h->noted)
		sp->segments[h->noted]->states--;
	h->noted = (uint16_t)in->number;
	sp->segments[h->noted]->states++;
}

void spool_progress_landed(struct spool *sp, struct spool_batch *b)
{
	struct spool_record r;
	struct spool_bits bits;
	struct list *node;

	for (size_t at = b->notes; spool_batch_next(b, &at, &r);)
		if (r.type == SPOOL_DEAD && spool_dead_get(r.payload, &bits))
			spool_segment_hold_only(sp->segments[bits.place.segment],
						b->segment->number);
	while ((node = list_take(&b->flying))) {
		noted(sp, handle_of(node), b->segment);
		spool_progress_settle(sp, handle_of(node));
	}
	spool_move_landed(sp, b);
	sp->mover.may_begin = true;
	spool_slots_leave(sp, &b->leaving);
	sp->supply.may_reclaim = true;
}

/* revert_done - of a batch that failed: its ordinals need their note again */
static void revert_done(struct spool *sp, const struct spool_record *r)
{
	struct spool_bits bits;

	if (!spool_done_get(r->payload, &bits))
		return;
	for (uint32_t i = 0; i < bits.count; i++)
		spool_progress_pend(sp, sp->segments[bits.place.segment], spool_done_at(&bits, i));
}

void spool_progress_revert(struct spool *sp, struct spool_batch *b)
{
	struct spool_record r;
	struct spool_bits bits;
	struct list *node;

	for (size_t at = b->notes; spool_batch_next(b, &at, &r);) {
		if (r.type == SPOOL_DONE)
			revert_done(sp, &r);
		if (r.type == SPOOL_DEAD && spool_dead_get(r.payload, &bits))
			spool_progress_want_dead(sp, sp->segments[bits.place.segment]);
	}
	list_move(&b->flying, &b->moving);
	while ((node = list_take(&b->flying))) {
		handle_of(node)->again = 1;
		spool_progress_settle(sp, handle_of(node));
	}
	list_move(&sp->slots.leaving, &b->leaving);
}

/* With a submit */

void spool_progress_arrived(struct spool *sp, struct spool_submit *s,
			    const struct spool_segment *in)
{
	struct list *node;

	while ((node = list_take(&s->arriving))) {
		struct spool_handle *h = handle_of(node);

		h->phase = SPOOL_PHASE_CLEAN;
		list_append(&segment_of(sp, h)->living, &h->living);
		segment_of(sp, h)->live++;
		segment_of(sp, h)->bytes += spool_size_unpack(h->size);
		sp->stats.live++;
	}
	while ((node = list_take(&s->replaced))) {
		struct spool_handle *h = handle_of(node);

		if (h->phase == SPOOL_PHASE_FINISHING) {
			spool_segment_hold(segment_of(sp, h), in->number);
			spool_progress_gone(sp, h, false);
		} else {
			noted(sp, h, in);
			spool_progress_settle(sp, h);
		}
	}
}

void spool_progress_refused(struct spool *sp, struct spool_submit *s)
{
	struct list *node;

	while ((node = list_take(&s->arriving)))
		handle_of(node)->phase = SPOOL_PHASE_NONE;
	while ((node = list_take(&s->replaced)))
		spool_progress_settle(sp, handle_of(node));
}
