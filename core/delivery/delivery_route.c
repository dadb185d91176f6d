#include "delivery_stage.h"

#include <assert.h>

/*
 * Where a recipient goes: what a policy chose at the edge; else what the hook `route` says now;
 * else the settings. Whoever says nothing gets the mail held, with a reason that names the
 * domain: a bounce could not be taken back, a hold can.
 */

/* to_hop - the next hop becomes the outcome, in its one spelling */
static void to_hop(struct delivery_lease *l, struct delivery_rcpt *r, struct str next_hop)
{
	char key[DELIVERY_HOP_TEXT];
	struct delivery_hop hop;
	struct fault why;
	struct delivery_said said = { .outcome = IPC_OUTCOME_HOLD, .esc = STR("5.4.4") };

	if (delivery_hop_parse(next_hop, &hop, &why) < 0) {
		said.text = str_of(why.text);
		delivery_lease_decide(l, l->at, &said);
		return;
	}
	r->next_hop = r->key = arena_str(&l->arena, delivery_hop_key(&hop, key));
	said = (struct delivery_said){ .outcome = IPC_OUTCOME_ROUTE };
	if (!r->key.p)
		said = (struct delivery_said){ .outcome = IPC_OUTCOME_DEFER,
					       .esc = STR("4.3.1"),
					       .text = STR("no memory") };
	delivery_lease_decide(l, l->at, &said);
}

static struct str domain_of(struct str address)
{
	ptrdiff_t at = str_rfind(address, '@');

	return at < 0 ? STR_NONE : str_drop(address, (size_t)at + 1);
}

static void by_settings(struct delivery_lease *l, struct delivery_rcpt *r)
{
	struct str domain = domain_of(r->envelope->address);
	struct str next_hop = delivery_settings_route(&l->delivery->settings, domain);
	struct str text;

	if (next_hop.n > 0) {
		to_hop(l, r, next_hop);
		return;
	}
	text = arena_printf(&l->arena, "no route for %.*s", STR_ARG(domain));
	delivery_lease_decide(l, l->at,
			      &(struct delivery_said){ .outcome = IPC_OUTCOME_HOLD,
						       .esc = STR("5.4.4"),
						       .text = text });
}

/* said_of - a verdict that decides */
static struct delivery_said said_of(const struct verdict *v, enum ipc_outcome outcome)
{
	struct delivery_said said = {
		.outcome = outcome, .code = v->code, .esc = str_of(v->esc), .text = v->text
	};

	if (said.text.n == 0)
		said.text = v->reason.n > 0 ? v->reason : STR("by policy");
	return said;
}

static void by_verdict(struct delivery_lease *l, struct delivery_rcpt *r)
{
	const struct verdict *v = &l->question.verdict;
	struct delivery_said said = { .outcome = DELIVERY_UNDECIDED };

	r->rule = v->rule;
	switch (v->kind) {
	case VERDICT_PASS:
	case VERDICT_ACCEPT:
	case VERDICT_TRUST:
		if (r->view && r->view->route.n > 0)
			to_hop(l, r, r->view->route);
		else
			by_settings(l, r);
		return;
	case VERDICT_HOLD:
	case VERDICT_QUARANTINE:
		said = said_of(v, IPC_OUTCOME_HOLD);
		break;
	case VERDICT_DISCARD:
		said = said_of(v, IPC_OUTCOME_DONE);
		break;
	case VERDICT_REJECT:
		said = said_of(v, IPC_OUTCOME_FAIL);
		break;
	case VERDICT_DEFER:
	case VERDICT_DROP:
	case VERDICT_ABORT:
	case VERDICTS:
		said = said_of(v, IPC_OUTCOME_DEFER);
		break;
	}
	delivery_lease_decide(l, l->at, &said);
}

enum step delivery_route(struct delivery_lease *l)
{
	for (; l->at < l->nrcpts; l->at++) {
		struct delivery_rcpt *r = &l->rcpts[l->at];

		if (r->envelope->route.n > 0) {
			to_hop(l, r, r->envelope->route);
			continue;
		}
		if (!l->has_answer && delivery_lease_ask(l, HOOK_ROUTE) == STEP_MORE)
			return STEP_MORE;
		l->has_answer = false;
		by_verdict(l, r);
	}
	return STEP_DONE;
}
