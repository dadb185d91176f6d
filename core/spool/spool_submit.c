/* Submit: one message becomes records in the batch that gathers, at once, or when its slot is
 * synced. */
#include "spool_submit.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "spool_core.h"

static const struct spool_refusal malformed = { 451, "the message cannot be stored as it is" };
static const struct spool_refusal too_big = { 452, "the message is too big for the spool" };
static const struct spool_refusal full = { 452, "the spool is full" };
static const struct spool_refusal failing = { 451, "the spool cannot write" };
static const struct spool_refusal no_memory = { 452, "the spool has no memory left" };
static const struct spool_refusal bad_slot = { 451, "the message could not be stored" };

static struct spool_submit *submit_of(struct list *node)
{
	return LIST_ITEM(node, struct spool_submit, node);
}

static uint64_t hash_of(const struct id *id)
{
	return map_hash((struct str){ (const char *)id->b, sizeof id->b });
}

static bool is_same(const struct map_node *node, const void *id)
{
	return id_is_eq(&container_of(node, struct spool_submit, pending)->id, id);
}

/* Measuring */

static bool has_slot(const struct spool_variant *v)
{
	for (unsigned i = 0; i < v->accept.nextents; i++)
		if (!v->accept.extents[i].p)
			return true;
	return false;
}

/* measure - the bytes of all its records; 0: it breaks a bound */
static size_t measure(struct spool_submit *s)
{
	size_t size = 0, one;

	if (s->nvariants == 0 || s->nvariants > SPOOL_VARIANTS)
		return 0;
	for (unsigned i = 0; i < s->nvariants; i++) {
		struct spool_variant *v = &s->variants[i];

		v->accept.slot = s->slot && has_slot(v) ? spool_slot_number(s->slot) : 0;
		v->accept.slot_length = v->accept.slot ? spool_slot_length(s->slot) : 0;
		v->accept.slot_key = v->accept.slot ? spool_slot_key(s->slot) : NULL;
		v->accept.is_slot_sealed = v->accept.slot_key != NULL;
		one = spool_accept_size(&v->accept);
		if (one == 0 || one > SPOOL_BODY_MAX)
			return 0;
		size += spool_record_size(one);
	}
	for (unsigned i = 0; i < s->nreplaces; i++) {
		const struct spool_replace *r = &s->replaces[i];

		if (!r->is_done &&
		    (r->recipients > SPOOL_RECIPIENTS || r->state.blob.n > SPOOL_BLOB_MAX))
			return 0;
		size += spool_record_size(r->is_done ? spool_done_size(1)
						     : spool_state_size(r->recipients, &r->state));
	}
	return size;
}

/* cost - what its records take in a batch, at most */
static size_t cost(const struct spool *sp, const struct spool_submit *s)
{
	return spool_batch_cost(sp->gathering, s->size, s->nvariants + s->nreplaces);
}

/* Writing its records, into the batch or into an image of its own */

static char *put_accept(char *to, const struct spool_submit *s, const struct spool_variant *v)
{
	struct spool_record r = { .length = (uint32_t)spool_accept_size(&v->accept),
				  .type = SPOOL_ACCEPT,
				  .variant = v->number,
				  .id = s->id };

	spool_record_put(to, &r);
	spool_accept_put(to + SPOOL_RECORD_HEAD, &v->accept);
	return to + spool_record_size(r.length);
}

static char *put_replace(char *to, const struct spool *sp, const struct spool_replace *p)
{
	const struct spool_handle *h = p->handle;
	struct spool_place place = { h->segment, h->ordinal,
				     sp->segments[h->segment]->header.epoch };
	struct spool_record r = { .type = p->is_done ? SPOOL_DONE : SPOOL_STATE, .id = p->id };

	r.length = (uint32_t)(p->is_done ? spool_done_size(1)
					 : spool_state_size(p->recipients, &p->state));
	spool_record_put(to, &r);
	if (p->is_done)
		spool_put32(spool_done_put(to + SPOOL_RECORD_HEAD, &place, 1), h->ordinal);
	else
		spool_state_put(to + SPOOL_RECORD_HEAD, &place, p->recipients, &p->state);
	return to + spool_record_size(r.length);
}

static void put_all(const struct spool *sp, const struct spool_submit *s, char *to)
{
	for (unsigned i = 0; i < s->nvariants; i++)
		to = put_accept(to, s, &s->variants[i]);
	for (unsigned i = 0; i < s->nreplaces; i++)
		to = put_replace(to, sp, &s->replaces[i]);
}

/* take_handles - they are the spool's until the answer */
static void take_handles(struct spool *sp, struct spool_submit *s)
{
	for (unsigned i = 0; i < s->nvariants; i++) {
		struct spool_handle *h = s->variants[i].handle;

		*h = (struct spool_handle){ .phase = SPOOL_PHASE_ARRIVING,
					    .slot = (uint16_t)s->variants[i].accept.slot };
		list_init(&h->living);
		list_init(&h->moving);
		list_append(&s->arriving, &h->moving);
	}
	for (unsigned i = 0; i < s->nreplaces; i++) {
		struct spool_handle *h = s->replaces[i].handle;

		assert(h->phase >= SPOOL_PHASE_CLEAN && h->phase <= SPOOL_PHASE_FLYING);
		/* what it had to write is written afterwards */
		h->again |= h->phase != SPOOL_PHASE_CLEAN;
		h->phase = s->replaces[i].is_done ? SPOOL_PHASE_FINISHING : SPOOL_PHASE_REPLACING;
		list_remove(&h->moving);
		list_append(&s->replaced, &h->moving);
		if (s->replaces[i].is_done)
			spool_recent_add(&sp->recent, &s->replaces[i].id);
	}
}

/* Answers */

static void answer(struct spool *sp, struct spool_submit *s, enum spool_outcome outcome,
		   struct spool_refusal why)
{
	s->outcome = outcome;
	s->why = why;
	list_append(&sp->answers, &s->node);
}

static void give_back(struct spool *sp, struct spool_submit *s)
{
	if (s->slot)
		spool_slot_abort(sp, &s->slot);
}

/* free_image - the key of its slot may stand in it */
static void free_image(struct spool_submit *s)
{
	if (s->image)
		sodium_memzero(s->image, s->size);
	free(s->image);
	s->image = NULL;
}

/* forget - it is about to be answered: the next submit of this id is another one */
static void forget(struct spool *sp, struct spool_submit *s)
{
	map_remove(&sp->pending, &s->pending);
	free_image(s);
}

void spool_submit_refuse(struct spool *sp, struct list *submits, struct spool_refusal why,
			 struct list *to)
{
	struct list *node;

	while ((node = list_take(submits))) {
		struct spool_submit *s = submit_of(node);

		spool_progress_refused(sp, s);
		if (s->writing)
			spool_slot_clear(sp, s->writing);
		s->outcome = SPOOL_REFUSED;
		s->why = why;
		list_append(to, node);
	}
}

static void say(struct spool_submit *s)
{
	s->done(s, s->outcome, s->outcome == SPOOL_REFUSED ? &s->why : NULL);
}

void spool_submit_answer(struct spool *sp)
{
	struct list mine = LIST_INIT(mine), *node, *twin;

	while ((node = list_take(&sp->answers)))
		list_append(&mine, node);
	while ((node = list_take(&mine))) {
		struct spool_submit *s = submit_of(node);
		struct list twins = LIST_INIT(twins);

		if (s->is_pending)
			forget(sp, s);
		while ((twin = list_take(&s->twins))) {
			submit_of(twin)->outcome =
				s->outcome == SPOOL_REFUSED ? SPOOL_REFUSED : SPOOL_KNOWN;
			submit_of(twin)->why = s->why;
			list_append(&twins, twin);
		}
		say(s);
		while ((twin = list_take(&twins)))
			say(submit_of(twin));
	}
}

void spool_submits_fini(struct spool *sp)
{
	struct map_node *node;

	while ((node = map_next(&sp->pending, NULL)))
		forget(sp, container_of(node, struct spool_submit, pending));
}

/* Into the batch */

static void join(struct spool *sp, struct spool_submit *s)
{
	struct spool_batch *b = sp->gathering;

	list_append(&b->submits, &s->node);
	b->nsubmits++;
	b->needs_room |= !s->is_urgent;
}

/* refusal_of - why this submit cannot be taken at all, whatever waits; NULL: it can */
static const struct spool_refusal *refusal_of(struct spool *sp, struct spool_submit *s)
{
	s->size = measure(s);
	if (s->size == 0)
		return &malformed;
	if (cost(sp, s) > spool_batch_most(sp->gathering))
		return &too_big;
	if (spool_commit_is_failing(sp))
		return &failing;
	if (s->slot && spool_slot_has_failed(s->slot))
		return &bad_slot;
	if (!spool_supply_has_room(
		    sp, spool_batch_padded(spool_batch_size(sp->gathering) + cost(sp, s)),
		    s->is_urgent ? SPOOL_FOR_BOUNCES : SPOOL_FOR_MAIL))
		return &full;
	return NULL;
}

static bool is_known(struct spool *sp, struct spool_submit *s)
{
	struct map_node *node = map_get(&sp->pending, hash_of(&s->id), is_same, &s->id);

	if (node) {
		list_append(&container_of(node, struct spool_submit, pending)->twins, &s->node);
		return true;
	}
	if (!sp->o.owner.is_live(sp->o.owner.arg, &s->id) && !spool_recent_has(&sp->recent, &s->id))
		return false;
	answer(sp, s, SPOOL_KNOWN, (struct spool_refusal){ 0 });
	return true;
}

static bool is_refused(struct spool *sp, struct spool_submit *s)
{
	const struct spool_refusal *why = refusal_of(sp, s);

	if (!why && s->slot) {
		s->image = malloc(s->size);
		if (!s->image)
			why = &no_memory;
	}
	if (why)
		answer(sp, s, SPOOL_REFUSED, *why);
	return why != NULL;
}

static void begin(struct spool_submit *s)
{
	list_init(&s->node);
	list_init(&s->arriving);
	list_init(&s->replaced);
	list_init(&s->twins);
	s->is_pending = false;
	s->image = NULL;
	s->writing = NULL;
	s->why = (struct spool_refusal){ 0 };
}

/* is_moving - what it replaces is being copied to another place: soon it is there */
static bool is_moving(const struct spool_submit *s)
{
	for (unsigned i = 0; i < s->nreplaces; i++)
		if (s->replaces[i].handle->phase == SPOOL_PHASE_MOVING)
			return true;
	return false;
}

bool spool_submit(struct spool *sp, struct spool_submit *s)
{
	begin(s);
	if (is_moving(s)) {
		sp->is_room_wanted = true;
		return false;
	}
	if (is_known(sp, s) || is_refused(sp, s)) {
		give_back(sp, s);
		return true;
	}
	if (!s->slot && spool_batch_room(sp->gathering) < cost(sp, s)) {
		sp->is_room_wanted = true;
		return false;
	}
	take_handles(sp, s);
	s->is_pending = true;
	map_put(&sp->pending, &s->pending, hash_of(&s->id));
	if (s->slot) {
		put_all(sp, s, s->image);
		s->writing = s->slot;
		s->slot = NULL;
		spool_slot_close(sp, s->writing, s);
		return true;
	}
	put_all(sp, s, spool_batch_space(sp->gathering, s->size));
	spool_batch_took(sp->gathering, s->size);
	join(sp, s);
	return true;
}

/* With a slot */

/* fill_in - the slot's sum, in every ACCEPT that names it; returns how many do */
static unsigned fill_in(struct spool_submit *s, const uint8_t sum[SPOOL_SUM])
{
	struct spool_accept accept;
	struct spool_record r;
	unsigned n = 0;

	for (size_t at = 0; at < s->size; at += spool_record_size(r.length)) {
		spool_record_peek(s->image + at, &r);
		if (r.type != SPOOL_ACCEPT || !spool_accept_get(r.payload, &accept) ||
		    accept.slot == 0)
			continue;
		spool_accept_sum(s->image + at + SPOOL_RECORD_HEAD, sum);
		n++;
	}
	return n;
}

void spool_submit_synced(struct spool *sp, struct spool_submit *s, const uint8_t *sum)
{
	unsigned messages;

	if (!sum) {
		list_append(&sp->slots.failed, &s->node);
		return;
	}
	messages = fill_in(s, sum);
	spool_slot_keep(s->writing, messages);
	if (messages == 0) {
		spool_slot_clear(sp, s->writing);
		s->writing = NULL;
	}
	list_append(&sp->slots.ready, &s->node);
}

void spool_submit_turn(struct spool *sp)
{
	spool_submit_refuse(sp, &sp->slots.failed, bad_slot, &sp->answers);
	if (spool_commit_is_failing(sp))
		spool_submit_refuse(sp, &sp->slots.ready, failing, &sp->answers);
	while (!list_is_empty(&sp->slots.ready)) {
		struct spool_submit *s = submit_of(sp->slots.ready.next);

		if (spool_batch_room(sp->gathering) < cost(sp, s))
			return;
		list_remove(&s->node);
		memcpy(spool_batch_space(sp->gathering, s->size), s->image, s->size);
		spool_batch_took(sp->gathering, s->size);
		free_image(s);
		join(sp, s);
	}
}

void spool_submit_room(struct spool *sp)
{
	if (!sp->is_room_wanted ||
	    spool_batch_room(sp->gathering) < spool_batch_most(sp->gathering) / 2)
		return;
	sp->is_room_wanted = false;
	sp->o.owner.room(sp->o.owner.arg);
}
