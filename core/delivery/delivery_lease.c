/*
 *            ROUTE frame                                     DISPATCH frame
 *                |                                                 |
 *                v                                                 v
 *              ROUTE --------------+                            ATTEMPT --all decided--> RESULT
 *          (hook `route`)          |                       (pool, maildir)     (hook `result`)
 *                                  v                                                     |
 *                                BOUNCE <------------------------------------------------+
 *                            (hook `bounce`)
 *                                  |
 *                                  v
 *                                REPORT --ROUTED or RESULT sent--> SPARE
 *
 * delivery_lease_go() walks; each stage says MORE when it has to wait. What cannot be worked on
 * (we drain, or the frame makes no sense) enters REPORT at once without a recipient. A lease that
 * came while we drain is given back: due again at once, elsewhere.
 */
#include "delivery_lease.h"

#include <assert.h>
#include <stdlib.h>

#include "counter.h"
#include "delivery_cause.h"
#include "delivery_core.h"
#include "delivery_session.h"
#include "delivery_stage.h"
#include "log.h"

#define TEXT_MOST (IPC_REPLY_TEXT - IPC_ESC - 1)
#define TEXT_CUT  80 /* of each, when a thousand long ones do not fit one frame */

static const struct {
	enum step (*run)(struct delivery_lease *);
	enum lease_phase next;
} stages[LEASE_PHASES] = {
	[LEASE_ROUTE] = { delivery_route, LEASE_BOUNCE },
	[LEASE_ATTEMPT] = { delivery_attempt, LEASE_RESULT },
	[LEASE_RESULT] = { delivery_result, LEASE_BOUNCE },
	[LEASE_BOUNCE] = { delivery_bounce, LEASE_REPORT },
};

static void enter(struct delivery_lease *l, enum lease_phase phase)
{
	l->phase = phase;
	l->at = 0;
}

/* ---- birth and death */

static struct delivery_lease *lease_new(struct delivery *d)
{
	struct list *spare = list_take(&d->spares);
	struct delivery_lease *l;

	if (spare) {
		d->nspares--;
		return LIST_ITEM(spare, struct delivery_lease, node);
	}
	l = calloc(1, sizeof *l);
	if (!l)
		abort();
	l->delivery = d;
	list_init(&l->node);
	buf_init(&l->frame, IPC_FRAME_MAX);
	buf_init(&l->bounce, IPC_FRAME_MAX);
	arena_init(&l->arena, DELIVERY_LEASE_BYTES);
	delivery_body_init(&l->body);
	return l;
}

static void lease_free(struct delivery_lease **lp)
{
	struct delivery_lease *l = *lp;

	*lp = NULL;
	buf_fini(&l->frame);
	buf_fini(&l->bounce);
	arena_fini(&l->arena);
	delivery_body_fini(&l->body);
	free(l);
}

void delivery_lease_fini_spares(struct delivery *d)
{
	for (struct list *node; (node = list_take(&d->spares)) != NULL;) {
		struct delivery_lease *l = LIST_ITEM(node, struct delivery_lease, node);

		lease_free(&l);
	}
	d->nspares = 0;
}

static void view_fini(struct delivery_lease *l)
{
	if (!l->tx.arena)
		return;
	for (unsigned i = 0; i < l->nrcpts; i++)
		if (l->rcpts[i].result)
			policy_handles_cut(&l->rcpts[i].result->handles);
	policy_handles_cut(&l->attempt.handles);
	policy_handles_cut(&l->failure.handles);
	policy_tx_fini(&l->tx);
	l->tx.arena = NULL;
}

/* release - back among the spares, with the memory that the next one will want */
static void release(struct delivery_lease **lp)
{
	struct delivery_lease *l = *lp;
	struct delivery *d = l->delivery;

	*lp = NULL;
	view_fini(l);
	policy_unpin(d->policies, &l->generation);
	list_remove(&l->node);
	list_remove(&l->unsent);
	list_remove(&l->reading);
	list_remove(&l->waiting);
	map_remove(&d->by_tag, &l->by_tag);
	d->nleases--;
	enter(l, LEASE_SPARE);
	buf_reset(&l->frame);
	if (l->frame.cap > DELIVERY_SPARE_FRAME)
		buf_fini(&l->frame);
	buf_reset(&l->bounce);
	buf_shrink(&l->bounce);
	delivery_body_set(&l->body, STR_NONE, STR_NONE, 0);
	arena_reset(&l->arena);
	if (d->nspares >= DELIVERY_SPARES) {
		lease_free(&l);
		return;
	}
	list_prepend(&d->spares, &l->node);
	d->nspares++;
}

void delivery_lease_drop(struct delivery_lease **lp)
{
	struct delivery_lease *l = *lp;

	if (l->is_asking)
		policy_cancel(&l->question);
	if (l->session)
		delivery_session_forget(l->session);
	delivery_maildir_forget(l);
	release(lp);
}

/* ---- taking one */

static struct str tag_bytes(const uint64_t *tag)
{
	return (struct str){ (const char *)tag, sizeof *tag };
}

static bool has_tag(const struct map_node *node, const void *tag)
{
	return LIST_ITEM(node, const struct delivery_lease, by_tag)->tag == *(const uint64_t *)tag;
}

struct delivery_lease *delivery_lease_find(struct delivery *d, uint64_t tag)
{
	struct map_node *node = map_get(&d->by_tag, map_hash(tag_bytes(&tag)), has_tag, &tag);

	return node ? LIST_ITEM(node, struct delivery_lease, by_tag) : NULL;
}

/* begin - what is true of every new lease */
static struct delivery_lease *begin(struct delivery *d, uint64_t tag)
{
	struct delivery_lease *l = lease_new(d);

	assert(l->phase == LEASE_SPARE && !l->session && !l->generation && !l->tx.arena);
	l->tag = tag;
	l->is_route = l->is_expired = l->is_returned = l->is_started = l->is_retried =
		l->is_asking = l->has_answer = false;
	l->rcpts = NULL;
	l->nrcpts = l->undecided = 0;
	l->envelope = (struct envelope){ 0 };
	l->file = (struct delivery_file){ 0 };
	l->peer = STR_NONE;
	list_init(&l->unsent);
	list_init(&l->reading);
	list_init(&l->waiting);
	list_append(&d->leases, &l->node);
	map_put(&d->by_tag, &l->by_tag, map_hash(tag_bytes(&tag)));
	d->nleases++;
	l->started_us = net_loop_now(d->loop);
	l->wall_us = net_loop_wall(d->loop);
	l->generation = policy_pin(d->policies);
	return l;
}

/* decode - the frame is copied whole, once; everything else points into the copy */
static bool decode(struct delivery_lease *l, struct str payload)
{
	struct ipc_lease *in = &l->delivery->in;

	if (!buf_add(&l->frame, payload) || !ipc_lease_decode(buf_str(&l->frame), in))
		return false;
	l->id = in->id;
	l->variant = in->variant;
	l->is_expired = in->is_expired;
	l->next_hop = in->next_hop;
	l->key = in->key;
	l->header = in->header;
	l->last = in->last;
	delivery_body_set(&l->body, in->header, in->body, in->body_length);
	l->rcpts = arena_alloc(&l->arena, in->nrcpts * sizeof *l->rcpts);
	if (!l->rcpts)
		return false;
	for (unsigned i = 0; i < in->nrcpts; i++)
		l->rcpts[i] = (struct delivery_rcpt){ .index = in->rcpts[i].index,
						      .attempts = in->rcpts[i].attempts,
						      .vars = in->rcpts[i].vars,
						      .outcome = DELIVERY_UNDECIDED };
	l->nrcpts = l->undecided = in->nrcpts;
	return true;
}

/* open_envelope - false: `why` says what is wrong with it */
static bool open_envelope(struct delivery_lease *l, struct fault *why)
{
	struct str vars = l->delivery->in.vars;

	if (envelope_read(l->delivery->in.envelope, &l->arena, &l->envelope, why) < 0)
		return false;
	if (vars.n > 0)
		l->envelope.vars = vars;
	for (unsigned i = 0; i < l->nrcpts; i++) {
		struct delivery_rcpt *r = &l->rcpts[i];

		if (r->index >= l->envelope.nrcpts) {
			(void)fault_set(why, "recipient %u of %u", (unsigned)r->index,
					l->envelope.nrcpts);
			return false;
		}
		r->envelope = &l->envelope.rcpts[r->index];
	}
	return true;
}

/* hold_unreadable - trying again does not mend it, and it must not be lost: a person has to look */
static void hold_unreadable(struct delivery_lease *l, const struct fault *why)
{
	const struct delivery_said said = { .outcome = IPC_OUTCOME_HOLD,
					    .esc = STR("4.3.0"),
					    .text = STR("the envelope cannot be read") };

	log_fault(LOG_LEVEL_ERROR, "delivery.envelope", "the message is held", why);
	delivery_lease_decide_all(l, &said);
}

void delivery_lease_take(struct delivery *d, const struct ipc_frame *frame)
{
	struct delivery_lease *l;
	struct fault why = { 0 };

	if (delivery_lease_find(d, frame->tag))
		return; /* lent twice: the first one answers */
	l = begin(d, frame->tag);
	l->is_route = frame->type == IPC_ROUTE;
	l->is_returned = d->is_draining;
	enter(l, LEASE_REPORT);
	if (!d->is_draining && d->nleases <= DELIVERY_LEASES && !decode(l, frame->payload)) {
		(void)fault_set(&why, "tag %llu", (unsigned long long)frame->tag);
		log_fault(LOG_LEVEL_ERROR, "delivery.lease",
			  "a lease that makes no sense is given back", &why);
	}
	if (l->nrcpts > 0) {
		if (open_envelope(l, &why))
			enter(l, l->is_route ? LEASE_ROUTE : LEASE_ATTEMPT);
		else
			hold_unreadable(l, &why);
	}
	delivery_lease_go(l);
}

/* ---- outcomes */

static struct str clean(struct delivery_lease *l, struct str text)
{
	struct str copy = arena_str(&l->arena, str_head(text, TEXT_MOST));
	char *p = (char *)(uintptr_t)copy.p;

	for (size_t i = 0; i < copy.n; i++)
		if (p[i] < ' ' || p[i] > '~')
			p[i] = '?';
	return copy.p ? copy : STR_NONE;
}

void delivery_lease_decide(struct delivery_lease *l, unsigned i, const struct delivery_said *said)
{
	struct delivery_rcpt *r = &l->rcpts[i];
	const struct delivery_rcpt *before = i > 0 ? r - 1 : r;

	if (r->outcome == DELIVERY_UNDECIDED)
		l->undecided--;
	r->outcome = said->outcome;
	r->code = said->code;
	r->esc = arena_str(&l->arena, str_head(said->esc, IPC_ESC - 1));
	r->text = str_eq(before->text, said->text) ? before->text : clean(l, said->text);
	r->is_reply = said->is_reply;
	r->is_unsure = said->is_unsure;
	r->stage = said->stage;
}

void delivery_lease_decide_all(struct delivery_lease *l, const struct delivery_said *said)
{
	for (unsigned i = 0; i < l->nrcpts; i++)
		if (l->rcpts[i].outcome == DELIVERY_UNDECIDED)
			delivery_lease_decide(l, i, said);
}

/* ---- questions */

static void view_rcpt(struct delivery_lease *l, struct delivery_rcpt *r)
{
	struct policy_address address = { .text = r->envelope->address };

	(void)policy_address_copy(&l->arena, r->envelope->address, &address);
	r->view = policy_rcpt_add(&l->tx, address);
	if (!r->view)
		return;
	r->view->state = RCPT_ACCEPTED;
	r->view->is_permitted = true;
	r->view->original = r->envelope->original.n > 0 ? r->envelope->original : address.text;
	r->view->route = r->envelope->route;
	r->view->attempts = r->attempts;
	(void)policy_vars_unpack(&r->view->vars, r->vars.n > 0 ? r->vars : r->envelope->vars);
	r->view->vars.is_changed = false;
}

/* view_init - hooks see the recipients of this lease, and the rest as it was stored */
static void view_init(struct delivery_lease *l)
{
	const struct envelope *e = &l->envelope;
	struct policy_tx *tx = &l->tx;

	policy_tx_init(tx, NULL, &l->arena);
	tx->id = l->id;
	tx->generation = l->generation;
	tx->helo = e->helo;
	tx->peer_ip = e->peer;
	tx->listener = e->listener;
	tx->sender = (struct policy_address){ .text = e->sender };
	if (e->sender.n > 0)
		(void)policy_address_copy(&l->arena, e->sender, &tx->sender);
	tx->sender_original = e->sender;
	tx->size = l->is_route ? l->body.length : delivery_body_size(&l->body);
	tx->is_8bit = e->is_8bit;
	tx->created_us = e->created_us;
	if (e->vars.n > 0)
		(void)policy_vars_unpack(&tx->vars, e->vars);
	tx->vars.is_changed = false;
	for (unsigned i = 0; i < l->nrcpts; i++)
		view_rcpt(l, &l->rcpts[i]);
	l->attempt = (struct policy_attempt){ .destination = l->key, .next_hop = l->next_hop };
	list_init(&l->attempt.handles);
	l->failure = (struct policy_bounce){ 0 };
	list_init(&l->failure.handles);
}

static void answered(struct policy_question *q)
{
	struct delivery_lease *l = container_of(q, struct delivery_lease, question);

	l->is_asking = false;
	l->has_answer = true;
	delivery_lease_go(l);
}

bool delivery_lease_has_policy(struct delivery_lease *l, enum policy_hook hook)
{
	if (!policy_answers(l->generation, hook))
		return false;
	if (!l->tx.arena)
		view_init(l);
	return true;
}

enum step delivery_lease_ask(struct delivery_lease *l, enum policy_hook hook)
{
	struct policy_question *q = &l->question;
	struct delivery_rcpt *r = l->at < l->nrcpts ? &l->rcpts[l->at] : NULL;

	*q = (struct policy_question){
		.hook = hook, .generation = l->generation, .arena = &l->arena, .answered = answered
	};
	if (!delivery_lease_has_policy(l, hook))
		return STEP_DONE; /* PASS */
	if (l->tx.nrcpts <
	    l->nrcpts) { /* the view did not fit its bound: not asking must not mean yes */
		policy_fail(q, STR_NONE);
		return STEP_DONE;
	}
	q->tx = &l->tx;
	if (hook == HOOK_BOUNCE)
		q->bounce = &l->failure;
	else
		q->rcpt = r->view;
	if (hook == HOOK_RESULT) {
		q->attempt = &l->attempt;
		q->result = r->result;
	}
	l->is_asking = policy_ask(q) == STEP_MORE;
	return l->is_asking ? STEP_MORE : STEP_DONE;
}

/* ---- walking, and the answer */

/*
 * renew - a long attempt does not keep an old generation alive that nothing of this lease has
 * seen yet
 */
static void renew(struct delivery_lease *l)
{
	if (!policy_generation_is_overdue(l->generation) || l->tx.arena)
		return;
	policy_unpin(l->delivery->policies, &l->generation);
	l->generation = policy_pin(l->delivery->policies);
}

void delivery_lease_go(struct delivery_lease *l)
{
	while (l->phase != LEASE_REPORT) {
		renew(l);
		if (stages[l->phase].run(l) == STEP_MORE)
			return;
		enter(l, stages[l->phase].next);
	}
	delivery_event(l);
	if (!l->is_route && l->is_started)
		histogram_add(HISTOGRAM_ATTEMPT_TIME,
			      net_loop_now(l->delivery->loop) - l->started_us);
	if (!list_is_empty(&l->delivery->unsent) || !delivery_lease_report(&l))
		list_append(&l->delivery->unsent, &l->unsent);
}

struct fitting { /* how much is said, so that it fits one frame */
	size_t text;
	bool has_vars; /* of the recipients */
};

static struct str reported_text(struct delivery_lease *l, const struct delivery_rcpt *r)
{
	struct str text;

	if (r->outcome == IPC_OUTCOME_DONE || r->outcome == IPC_OUTCOME_ROUTE)
		return STR_NONE;
	if (r->esc.n == 0)
		return r->text;
	text = arena_printf(&l->arena, "%.*s %.*s", STR_ARG(r->esc), STR_ARG(r->text));
	return text.p ? text : STR_NONE;
}

static struct str changed(const struct policy_vars *v)
{
	return v->is_changed ? policy_vars_packed(v) : STR_NONE;
}

static struct ipc_outcome_of outcome_of(struct delivery_lease *l, const struct delivery_rcpt *r,
					const struct fitting *fitting)
{
	bool waits = r->outcome == IPC_OUTCOME_DEFER;

	return (struct ipc_outcome_of){
		.index = r->index,
		.outcome = r->outcome,
		.code = r->code,
		.text = str_head(reported_text(l, r), fitting->text),
		.key = r->key,
		.next_hop = r->next_hop,
		.retry_us = waits ? r->retry_us : 0,
		.cause =
			waits ? delivery_cause(r->is_reply, r->rule.n > 0, r->code, r->esc, r->text)
			      : IPC_CAUSE_OTHER,
		.vars = fitting->has_vars && r->view ? changed(&r->view->vars) : STR_NONE,
	};
}

static struct ipc_schedule schedule_of(const struct delivery_lease *l)
{
	const struct policy_schedule *s = &l->tx.schedule;

	if (!l->tx.arena) /* no hook was asked */
		return (struct ipc_schedule){ 0, 0, 0 };
	return (struct ipc_schedule){ (uint32_t)(s->first / 1000000),
				      (uint32_t)(s->longest / 1000000),
				      (uint32_t)(s->expire / 1000000) };
}

static void fill(struct delivery_lease *l, const struct fitting *fitting)
{
	struct ipc_result *out = &l->delivery->result;

	out->noutcomes = 0;
	for (unsigned i = 0; i < l->nrcpts; i++) {
		const struct delivery_rcpt *r = &l->rcpts[i];

		assert(r->outcome != DELIVERY_UNDECIDED);
		out->outcomes[out->noutcomes++] = outcome_of(l, r, fitting);
	}
	out->vars = l->tx.arena ? changed(&l->tx.vars) : STR_NONE;
	out->schedule = schedule_of(l);
	out->is_returned = l->is_returned;
	out->bounce = buf_str(&l->bounce);
	out->has_bounce = out->bounce.n > 0;
}

/* encode - should even the short form not fit, the lease is given back: better twice than lost */
static void encode(struct delivery_lease *l)
{
	struct delivery *d = l->delivery;
	const struct fitting all[] = { { IPC_REPLY_TEXT, true },
				       { TEXT_CUT, true },
				       { TEXT_CUT, false } };
	bool fits = false;

	for (size_t i = 0; i < COUNT(all) && !fits; i++) {
		buf_reset(&d->out);
		fill(l, &all[i]);
		fits = ipc_result_encode(&d->out, &d->result) &&
		       buf_len(&d->out) <= ipc_channel_max(d->spool);
	}
	if (fits)
		return;
	buf_reset(&d->out);
	d->result.noutcomes = 0;
	d->result.vars = d->result.bounce = STR_NONE;
	d->result.schedule = (struct ipc_schedule){ 0, 0, 0 };
	d->result.is_returned = d->result.has_bounce = false;
	fits = ipc_result_encode(&d->out, &d->result);
	assert(fits);
}

bool delivery_lease_report(struct delivery_lease **lp)
{
	struct delivery_lease *l = *lp;

	assert(l->phase == LEASE_REPORT);
	if (!l->delivery->spool)
		return false;
	encode(l);
	if (!delivery_send(l->delivery, l->is_route ? IPC_ROUTED : IPC_RESULT, l->tag))
		return false;
	release(lp);
	return true;
}
