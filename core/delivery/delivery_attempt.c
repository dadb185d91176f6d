#include "delivery_stage.h"

#include "counter.h"

/*
 * expire - no attempt: its time is over. The class is 4, as RFC 3464 2.3.4 has it for what never
 * stopped being temporary.
 */
static void expire(struct delivery_lease *l)
{
	struct str last = l->last.n > 0 ? l->last : STR("it was never tried");
	struct str text = arena_printf(
		&l->arena, "the message could not be delivered in time; last: %.*s", STR_ARG(last));

	counter_add(COUNTER_EXPIRED, l->nrcpts);
	delivery_lease_decide_all(l, &(struct delivery_said){ .outcome = IPC_OUTCOME_FAIL,
							      .esc = STR("4.4.7"),
							      .text = text });
}

static void start(struct delivery_lease *l)
{
	struct fault why;

	if (l->is_expired) {
		expire(l);
		return;
	}
	if (delivery_hop_parse(l->next_hop, &l->hop, &why) < 0) {
		delivery_lease_decide_all(l, &(struct delivery_said){ .outcome = IPC_OUTCOME_HOLD,
								      .esc = STR("5.4.4"),
								      .text = str_of(why.text) });
		return;
	}
	switch (l->hop.kind) {
	case HOP_SMTP:
	case HOP_LMTP:
		delivery_pool_attempt(l);
		break;
	case HOP_MAILDIR:
		delivery_maildir_attempt(l);
		break;
	case HOP_KINDS:
		break;
	}
}

enum step delivery_attempt(struct delivery_lease *l)
{
	if (!l->is_started) {
		l->is_started = true;
		start(l);
	}
	return l->undecided > 0 ? STEP_MORE : STEP_DONE;
}
