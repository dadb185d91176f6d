#include "delivery_stage.h"

/*
 * What an attempt came to, shown to the hook `result`: it may turn temporary into permanent and
 * back, choose when to try again, or another next hop. Delivered is delivered; what was not tried
 * (expired, held) is not asked about.
 */

static bool is_asked_about(const struct delivery_lease *l, const struct delivery_rcpt *r)
{
	return !l->is_expired &&
	       (r->outcome == IPC_OUTCOME_DEFER || r->outcome == IPC_OUTCOME_FAIL);
}

struct policy_result *delivery_result_view(struct delivery_lease *l, struct delivery_rcpt *r)
{
	uint64_t now = net_loop_wall(l->delivery->loop);
	struct policy_result *v = r->result ? r->result : arena_alloc(&l->arena, sizeof *v);

	if (!v)
		return NULL;
	if (!r->result)
		list_init(&v->handles);
	v->rcpt = r->view;
	v->outcome = r->outcome == IPC_OUTCOME_FAIL ? ATTEMPT_FAILED : ATTEMPT_DEFERRED;
	v->code = r->code;
	v->esc = r->esc;
	v->text = r->text;
	v->age_us = now > l->envelope.created_us ? now - l->envelope.created_us : 0;
	r->result = v;
	return v;
}

/* reroute - a next hop that the hook chose: there at once, under its own key */
static bool reroute(struct delivery_lease *l, struct delivery_rcpt *r, struct str before)
{
	char key[DELIVERY_HOP_TEXT];
	struct delivery_hop hop;
	struct fault why;
	struct str text;

	if (!r->view || r->view->route.n == 0 || str_eq(r->view->route, before))
		return false;
	/* policy_edit has checked its grammar, but does not know the placeholders. */
	if (delivery_hop_parse(r->view->route, &hop, &why) < 0)
		return false;
	text = arena_str(&l->arena, delivery_hop_key(&hop, key));
	if (!text.p || str_eq(text, l->key))
		return false;
	r->key = r->next_hop = text;
	r->outcome = IPC_OUTCOME_ROUTE;
	return true;
}

static void by_verdict(struct delivery_lease *l, struct delivery_rcpt *r)
{
	const struct verdict *v = &l->question.verdict;
	bool is_reject = v->kind == VERDICT_REJECT,
	     is_defer = !is_reject && v->kind != VERDICT_PASS && v->kind != VERDICT_ACCEPT;

	if (!is_reject && !is_defer && reroute(l, r, r->envelope->route)) {
		r->rule = v->rule;
		return;
	}
	if (is_reject || is_defer) {
		r->rule = v->rule;
		r->outcome = is_reject ? IPC_OUTCOME_FAIL : IPC_OUTCOME_DEFER;
		if (v->text.n > 0) {
			r->code = v->code;
			r->esc = arena_str(&l->arena, str_of(v->esc));
			r->text = v->text;
			r->is_reply = false;
		}
	}
	if (r->outcome == IPC_OUTCOME_DEFER && r->result)
		r->retry_us = r->result->retry_us;
}

enum step delivery_result(struct delivery_lease *l)
{
	if (!delivery_lease_has_policy(l, HOOK_RESULT))
		return STEP_DONE;
	for (; l->at < l->nrcpts; l->at++) {
		struct delivery_rcpt *r = &l->rcpts[l->at];

		if (!is_asked_about(l, r))
			continue;
		if (!l->has_answer) {
			if (!delivery_result_view(l, r)) /* no memory: the reply stands */
				continue;
			l->attempt.peer = l->peer;
			l->attempt.number = r->attempts + 1;
			if (delivery_lease_ask(l, HOOK_RESULT) == STEP_MORE)
				return STEP_MORE;
		}
		l->has_answer = false;
		by_verdict(l, r);
	}
	return STEP_DONE;
}
