#include "smtp_client_core.h"

#include <assert.h>

/* clang-format off */
static const struct {
	const char *name;
	unsigned seconds;
} stages[SMTP_STAGES] = {                       /* RFC 5321 4.5.3.2 */
	[SMTP_STAGE_GREETING] = { "greeting", 300 },    /* .1 */
	[SMTP_STAGE_HELLO]    = { "hello",    300 },
	[SMTP_STAGE_MAIL]     = { "mail",     300 },    /* .2 */
	[SMTP_STAGE_RCPT]     = { "rcpt",     300 },    /* .3 */
	[SMTP_STAGE_DATA]     = { "data",     120 },    /* .4 */
	[SMTP_STAGE_BLOCK]    = { "body",     180 },    /* .5 */
	[SMTP_STAGE_FINAL]    = { "final",    600 },    /* .6 */
	[SMTP_STAGE_RSET]     = { "rset",      30 },    /* a new connection is as good */
	[SMTP_STAGE_QUIT]     = { "quit",      10 },
};
/* clang-format on */

const char *smtp_stage_name(enum smtp_stage stage)
{
	return stages[stage].name;
}

unsigned smtp_stage_seconds(enum smtp_stage stage)
{
	return stages[stage].seconds;
}

void smtp_client_enter(struct smtp_client *c, enum smtp_client_phase phase)
{
	c->phase = phase;
}

/* smtp_client_stage - what is awaited in a phase; in the envelope it depends on whose turn it is */
enum smtp_stage smtp_client_stage(const struct smtp_client *c)
{
	switch (c->phase) {
	case CLIENT_GREETING:
		return SMTP_STAGE_GREETING;
	case CLIENT_EHLO:
	case CLIENT_HELO:
		return SMTP_STAGE_HELLO;
	case CLIENT_READY:
		return SMTP_STAGE_MAIL;
	case CLIENT_ENVELOPE:
		return c->got == 0            ? SMTP_STAGE_MAIL
		       : c->got <= c->mail->n ? SMTP_STAGE_RCPT
					      : SMTP_STAGE_DATA;
	case CLIENT_BODY:
		return SMTP_STAGE_BLOCK;
	case CLIENT_FINAL:
	case CLIENT_EMPTY:
		return SMTP_STAGE_FINAL;
	case CLIENT_RSET:
		return SMTP_STAGE_RSET;
	case CLIENT_QUIT:
	case CLIENT_OVER:
	case CLIENT_PHASES:
		break;
	}
	return SMTP_STAGE_QUIT;
}

struct smtp_client_todo smtp_client_todo_of(const struct smtp_client *c, enum smtp_client_what what)
{
	return (struct smtp_client_todo){ .what = what, .stage = smtp_client_stage(c) };
}

/* smtp_client_sweep - the reply in hand decides every recipient that has no result yet */
void smtp_client_sweep(struct smtp_client *c, enum smtp_outcome outcome)
{
	if (!c->mail)
		return;
	c->sweep.is_on = true;
	c->sweep.is_unsure = false;
	c->sweep.next = 0;
	c->sweep.outcome = outcome;
	c->sweep.stage = smtp_client_stage(c);
}

enum smtp_outcome smtp_client_outcome(int code)
{
	return code / 100 == 2 ? SMTP_DELIVERED : code / 100 == 5 ? SMTP_FAILED : SMTP_DEFERRED;
}

/*
 * smtp_client_end - the session is over, by the reply in hand: it decides what is undecided
 *
 * Behind a whole message our own words (code 0) mean that no reply came: the server may have
 * taken it. So may an LMTP server have done for recipients it has not spoken of, whatever it said
 * of another.
 */
void smtp_client_end(struct smtp_client *c, enum smtp_outcome outcome)
{
	smtp_client_sweep(c, outcome);
	c->sweep.is_unsure = c->phase == CLIENT_FINAL && (c->reply.code == 0 || c->options.is_lmtp);
	smtp_client_enter(c, CLIENT_OVER);
}

/* smtp_client_end_ours - the same, in our words */
void smtp_client_end_ours(struct smtp_client *c, const char *esc, struct str why)
{
	smtp_reply_set(&c->reply, 0, esc, why);
	smtp_client_end(c, SMTP_DEFERRED);
}

struct smtp_client_todo smtp_client_result(struct smtp_client *c, unsigned rcpt,
					   enum smtp_outcome outcome, enum smtp_stage stage)
{
	c->mail->rcpts[rcpt].state = SMTP_RCPT_DECIDED;
	return (struct smtp_client_todo){
		.what = SMTP_CLIENT_RESULT,
		.stage = stage,
		.rcpt = rcpt,
		.outcome = outcome,
	};
}

static bool is_open(const struct smtp_mail_rcpt *r)
{
	return r->state == SMTP_RCPT_PENDING || r->state == SMTP_RCPT_ACCEPTED;
}

/* smtp_client_sweep_next - the next result of a sweep; false: all are decided */
bool smtp_client_sweep_next(struct smtp_client *c, struct smtp_client_todo *out)
{
	for (; c->sweep.next < c->mail->n; c->sweep.next++) {
		if (!is_open(&c->mail->rcpts[c->sweep.next]))
			continue;
		*out = smtp_client_result(c, c->sweep.next++, c->sweep.outcome, c->sweep.stage);
		out->is_unsure = c->sweep.is_unsure;
		return true;
	}
	c->sweep.is_on = false;
	return false;
}

/*
 * smtp_client_settle - every recipient is decided: give the mail back; what the server still
 * thinks of it is dropped by RSET
 */
struct smtp_client_todo smtp_client_settle(struct smtp_client *c)
{
	if (c->phase != CLIENT_OVER)
		smtp_client_enter(c, c->is_dirty ? CLIENT_RSET : CLIENT_READY);
	c->mail = NULL;
	c->sent = c->got = 0;
	return smtp_client_todo_of(c, SMTP_CLIENT_DONE);
}

/*
 * smtp_client_is_early - octets came although no reply is owed: the end of the session, in the
 * server's words if it takes its leave
 */
bool smtp_client_is_early(struct smtp_client *c, struct str *in)
{
	enum step got;

	if (in->n == 0)
		return false;
	do
		got = smtp_reply_take(&c->reply, in);
	while (got == STEP_DONE && !c->reply.is_last);
	if (got == STEP_MORE && !c->mail)
		return false;
	if (got == STEP_DONE && c->reply.code == 421)
		smtp_client_end(c, SMTP_DEFERRED);
	else
		smtp_client_end_ours(c, "4.5.0", STR("the server spoke out of turn"));
	return true;
}

/*
 * smtp_client_reply - one whole reply; DONE: it is in hand
 *
 * A server that cannot speak, or takes its leave (421), ends the session here: ERROR, and
 * everything is decided.
 */
enum step smtp_client_reply(struct smtp_client *c, struct str *in)
{
	enum step got;

	do {
		got = smtp_reply_take(&c->reply, in);
		if (got == STEP_DONE && c->phase == CLIENT_EHLO && c->reply.code == 250 &&
		    c->reply.lines > 1)
			smtp_extension_learn(&c->peer, c->reply.line);
	} while (got == STEP_DONE && !c->reply.is_last);
	if (got == STEP_ERROR) {
		smtp_client_end_ours(c, "4.5.0", str_of(smtp_reply_flaw_text[c->reply.flaw]));
	} else if (got == STEP_DONE && c->reply.code == 421) {
		smtp_client_end(c, SMTP_DEFERRED);
		got = STEP_ERROR;
	}
	return got;
}

/* smtp_client_say - a command; its room was seen to */
void smtp_client_say(struct buf *out, struct str verb, struct str argument)
{
	bool fits = buf_add(out, verb) && buf_add(out, argument) && buf_add(out, STR("\r\n"));

	assert(fits);
}
