#include "session_private.h"

#include <assert.h>

/*
 * A transaction keeps the generation that was active at MAIL. A question about the connection takes
 * the one that is active then, for as long as it is open; so a connection at rest holds none.
 */
static bool is_about_connection(enum policy_hook hook)
{
	return hook <= HOOK_EHLO || hook == HOOK_DISCONNECT;
}

/*
 * A transaction that outlives several reloads is told to come again, so that a slow client cannot
 * keep old rules alive.
 */
#define OVERDUE_GRACE (60 * UINT64_C(1000000))

static bool is_overdue(const struct session *s)
{
	return s->question.generation && s->question.generation->is_overdue &&
	       net_loop_now(s->server->loop) - s->tx->began_us > OVERDUE_GRACE;
}

static void answered(struct policy_question *q)
{
	struct session *s = container_of(q, struct session, question);

	if (q->hook == HOOK_DISCONNECT) {
		session_bury(s);
		return;
	}
	session_enter(s, q->hook >= HOOK_HEADERS ? SESSION_BODY : SESSION_READING);
	session_decided(s);
	session_pump(s);
}

static void about_connection(struct session *s)
{
	struct policy_question *q = &s->question;

	assert(!s->pin);
	s->pin = policy_pin(s->server->policies);
	q->generation = s->pin;
	q->arena = &s->arena;
	if (s->pin)
		(void)str_copy(s->generation, sizeof s->generation, str_of(s->pin->name));
}

static void about_transaction(struct session *s, struct policy_rcpt *rcpt)
{
	struct policy_question *q = &s->question;

	q->generation = s->tx->view.generation;
	q->arena = &s->tx->arena;
	q->tx = &s->tx->view;
	q->rcpt = rcpt;
	if (q->hook >= HOOK_HEADERS)
		q->msg = &s->tx->msg;
}

enum step session_ask(struct session *s, enum policy_hook hook, struct policy_rcpt *rcpt)
{
	struct policy_question *q = &s->question;
	enum step step;

	*q = (struct policy_question){ .hook = hook, .conn = &s->view, .answered = answered };
	if (is_about_connection(hook))
		about_connection(s);
	else
		about_transaction(s, rcpt);
	if (q->tx && is_overdue(s)) {
		policy_fail(q, STR_NONE);
		return STEP_DONE;
	}
	step = policy_ask(q);
	if (step == STEP_MORE && hook != HOOK_DISCONNECT)
		session_enter(s, SESSION_ASKING);
	return step;
}

void session_unask(struct session *s)
{
	policy_cancel(&s->question);
	policy_unpin(s->server->policies, &s->pin);
}
