#include "session_private.h"

#include <assert.h>

#include "counter.h"

/* What a verdict does where it was given. */
enum effect {
	NONSENSE, /* not a verdict of this hook: 451, as every failure of policy */
	GO,
	TRUST,  /* and mark */
	REFUSE, /* behind the data: at its true end */
	CUT,    /* close without a word */
	KEEP,   /* the message is accepted, and not (just) queued */
	COPY,   /* the same, or a refusal, for one copy: session_submit.c */
	LOSE,   /* 250, and this recipient gets nothing */
};

/* clang-format off */
static const uint8_t effects[HOOKS][VERDICTS] = {
	/*
	 *                      PASS  ACCEPT  TRUST     DEFER   REJECT  DROP      ABORT
	 * QUARANTINE  HOLD      DISCARD
	 */
	[HOOK_CONNECT]      = { GO,   GO,     TRUST,    REFUSE, REFUSE, REFUSE,   CUT,      NONSENSE,   NONSENSE, NONSENSE },
	[HOOK_TLS]          = { GO,   GO,     TRUST,    REFUSE, REFUSE, REFUSE,   CUT,      NONSENSE,   NONSENSE, NONSENSE },
	[HOOK_EHLO]         = { GO,   GO,     TRUST,    REFUSE, REFUSE, REFUSE,   CUT,      NONSENSE,   NONSENSE, NONSENSE },
	[HOOK_MAIL]         = { GO,   GO,     TRUST,    REFUSE, REFUSE, REFUSE,   NONSENSE, NONSENSE,   NONSENSE, NONSENSE },
	[HOOK_RCPT]         = { GO,   GO,     TRUST,    REFUSE, REFUSE, REFUSE,   NONSENSE, NONSENSE,   NONSENSE, LOSE     },
	[HOOK_DATA]         = { GO,   GO,     TRUST,    REFUSE, REFUSE, REFUSE,   NONSENSE, NONSENSE,   NONSENSE, NONSENSE },
	[HOOK_HEADERS]      = { GO,   GO,     NONSENSE, REFUSE, REFUSE, REFUSE,   NONSENSE, KEEP,       KEEP,     KEEP     },
	[HOOK_MESSAGE]      = { GO,   GO,     NONSENSE, REFUSE, REFUSE, REFUSE,   NONSENSE, KEEP,       KEEP,     KEEP     },
	[HOOK_MESSAGE_RCPT] = { GO,   GO,     NONSENSE, COPY,   COPY,   NONSENSE, NONSENSE, COPY,       COPY,     COPY     },
	[HOOK_DISCONNECT]   = { GO,   GO,     GO,       GO,     GO,     GO,       GO,       GO,         GO,       GO       },
};
/* clang-format on */

struct session_refusal session_refusal_own(const char *stage, unsigned code, const char *esc,
					   const char *text)
{
	struct session_refusal no = { .stage = stage };

	no.verdict.kind = code < 500 ? VERDICT_DEFER : VERDICT_REJECT;
	no.verdict.code = (uint16_t)code;
	no.verdict.text = str_of(text);
	(void)str_copy(no.verdict.esc, sizeof no.verdict.esc, str_of(esc));
	return no;
}

/* within - a code of the class that the verdict means, whatever was filled in */
static uint16_t within(unsigned code, unsigned least, unsigned most, unsigned otherwise)
{
	return (uint16_t)(code >= least && code <= most ? code : otherwise);
}

struct smtp_verdict session_verdict_smtp(const struct verdict *v)
{
	struct smtp_verdict out = { .esc = str_of(v->esc), .text = v->text };

	switch (v->kind) {
	case VERDICT_DEFER:
		out.code = within(v->code, 400, 499, 451);
		break;
	case VERDICT_REJECT:
		out.code = within(v->code, 500, 599, 550);
		break;
	case VERDICT_DROP:
		out.code = within(v->code, 400, 599, 421);
		out.is_drop = true;
		break;
	case VERDICT_PASS:
	case VERDICT_ACCEPT:
	case VERDICT_TRUST:
	case VERDICT_ABORT:
	case VERDICT_QUARANTINE:
	case VERDICT_HOLD:
	case VERDICT_DISCARD:
	case VERDICTS:
		out = (struct smtp_verdict){ 0 };
		break;
	}
	return out;
}

static struct session_refusal refusal_of(const struct policy_question *q)
{
	return (struct session_refusal){
		.stage = policy_hook_name[q->hook],
		.is_policy = true,
		.verdict = q->verdict,
	};
}

/* mark - trusted from here on: what was asked about the connection lasts as long as it */
static void mark(struct session *s, const struct policy_question *q)
{
	if (q->tx) {
		q->tx->is_trusted = true;
		q->tx->trust_reason = q->verdict.reason;
		q->tx->trust_rule = q->verdict.rule;
	} else {
		s->view.is_trusted = true;
		s->is_trusted_at_connect |= q->hook == HOOK_CONNECT;
		s->view.trust_reason = q->verdict.reason;
		s->view.trust_rule = q->verdict.rule;
	}
}

/* answer - the machine's yes, unless `no` says otherwise */
static void answer(struct session *s, const struct session_refusal *no)
{
	struct smtp_verdict v = session_verdict_smtp(&no->verdict);

	session_do(s, smtp_server_verdict(&s->smtp, &v), no);
}

static void decided_rcpt(struct session *s, enum effect effect)
{
	struct policy_rcpt *r = s->question.rcpt;
	struct session_refusal no = { .stage = NULL };

	r->is_permitted |= s->question.verdict.kind == VERDICT_ACCEPT;
	if (effect == REFUSE && !session_rcpt_overrules(s, r, &s->question.verdict))
		no = refusal_of(&s->question);
	else if (effect != LOSE)
		no = session_rcpt_judge(s, r);
	r->verdict = effect == LOSE ? s->question.verdict : no.verdict;
	r->state = no.stage ? RCPT_REFUSED : RCPT_ACCEPTED;
	counter_add(no.stage ? COUNTER_RCPT_REFUSED : COUNTER_RCPT_ACCEPTED, 1);
	answer(s, &no);
}

static void decided_command(struct session *s, enum effect effect)
{
	struct session_refusal no = { .stage = NULL };

	if (effect == CUT) {
		session_cause_set(&s->cause,
				  &(struct session_refusal){ policy_hook_name[s->question.hook],
							     true, s->question.verdict });
		session_do(s, smtp_server_abort(&s->smtp), NULL);
		return;
	}
	if (effect == REFUSE)
		no = refusal_of(&s->question);
	answer(s, &no);
}

static void decided_headers(struct session *s, enum effect effect)
{
	struct session_refusal no = refusal_of(&s->question);

	if (effect == REFUSE)
		session_data_refuse(s->tx, &no);
	if (effect == KEEP)
		s->tx->kept = s->question.verdict;
}

static void decided_message(struct session *s, enum effect effect)
{
	struct session_refusal no = refusal_of(&s->question);

	if (effect == REFUSE) {
		session_submit_no(s->tx, &no);
		return;
	}
	if (effect == KEEP)
		s->tx->kept = s->question.verdict;
	session_submit_copies(s);
}

static enum effect effect_of(const struct policy_question *q)
{
	assert(q->hook < HOOKS && q->verdict.kind < VERDICTS);
	return (enum effect)effects[q->hook][q->verdict.kind];
}

void session_verdict_settle(struct policy_question *q)
{
	if (effect_of(q) == NONSENSE)
		policy_fail(q, q->verdict.rule);
}

void session_decided(struct session *s)
{
	struct policy_question *q = &s->question;
	enum effect effect;

	session_verdict_settle(q);
	effect = effect_of(q);
	if (effect == TRUST)
		mark(s, q);
	policy_unpin(s->server->policies, &s->pin);
	switch (q->hook) {
	case HOOK_CONNECT:
	case HOOK_TLS:
	case HOOK_EHLO:
	case HOOK_MAIL:
	case HOOK_DATA:
		decided_command(s, effect);
		break;
	case HOOK_RCPT:
		decided_rcpt(s, effect);
		break;
	case HOOK_HEADERS:
		decided_headers(s, effect);
		break;
	case HOOK_MESSAGE:
		decided_message(s, effect);
		break;
	case HOOK_MESSAGE_RCPT:
		session_submit_copy_decided(s);
		session_submit_copies(s);
		break;
	case HOOK_DISCONNECT:
	case HOOK_ROUTE:
	case HOOK_RESULT:
	case HOOK_BOUNCE:
	case HOOKS:
		assert(!"not asked of the edge, or answered elsewhere");
	}
}
