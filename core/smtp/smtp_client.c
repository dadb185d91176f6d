/*
 *   GREETING --220--> EHLO --250--> READY <------------------+-----------------+---------------+
 *                      | 5xx         | a mail                | all decided     | 2xx          | all
 *                      v             v                       |                 |               |
 *                     HELO        ENVELOPE --- nothing accepted --> RSET       |               |
 *                                    |    \-- 354 and nothing accepted --> EMPTY ("." alone)   |
 *                                    +------ 354 --> BODY --- end mark --> FINAL --------------+
 *   READY --quit--> QUIT --> OVER            smtp_client_end(): from everywhere to OVER
 *
 * turn() carries out a phase, on_reply() takes a whole reply; smtp_client_enter() is the only
 * setter. ENVELOPE to FINAL are in smtp_client_mail.c. While `sweep` is on, one reply decides
 * recipient after recipient before anything else happens.
 */
#include "smtp_client.h"

#include <assert.h>

#include "smtp_client_core.h"
#include "smtp_client_mail.h"

void smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options)
{
	*c = (struct smtp_client){ .phase = CLIENT_GREETING, .options = *options };
	smtp_reply_init(&c->reply);
}

void smtp_client_give(struct smtp_client *c, struct smtp_mail *mail)
{
	assert(!c->mail && mail->n > 0 && c->phase != CLIENT_OVER && c->phase != CLIENT_QUIT);
	c->mail = mail;
	c->checked = 0;
	c->accepted = 0;
	c->sent = c->got = 0;
	c->is_refused = false;
}

bool smtp_client_has_mail(const struct smtp_client *c)
{
	return c->mail != NULL;
}

void smtp_client_lost(struct smtp_client *c, struct str why)
{
	if (c->phase != CLIENT_OVER && !c->sweep.is_on)
		smtp_client_end_ours(c, "4.4.2", why);
	else
		smtp_client_enter(c, CLIENT_OVER);
}

void smtp_client_timeout(struct smtp_client *c)
{
	smtp_client_lost(c, STR("timed out"));
}

/* hello - EHLO or LHLO, or HELO to those who do not know it */
static void hello(struct smtp_client *c, struct buf *out, enum smtp_client_phase phase)
{
	c->peer = (struct smtp_offers){ 0 };
	smtp_client_say(out,
			phase == CLIENT_HELO ? STR("HELO ")
			: c->options.is_lmtp ? STR("LHLO ")
					     : STR("EHLO "),
			c->options.hello);
	smtp_client_enter(c, phase);
}

/* on_greeting - 220; anything else refuses the session, for now or for good */
static void on_greeting(struct smtp_client *c, struct str *in, struct buf *out)
{
	if (c->reply.code != 220)
		smtp_client_end(c, c->reply.code / 100 == 5 ? SMTP_FAILED : SMTP_DEFERRED);
	else if (!smtp_client_is_early(c, in))
		hello(c, out, CLIENT_EHLO);
}

/*
 * on_hello - RFC 5321 3.2: a server that refuses EHLO may know HELO; one that refuses us (554,
 * 521) does not
 */
static void on_hello(struct smtp_client *c, struct str *in, struct buf *out)
{
	int code = c->reply.code;

	if (code / 100 == 2)
		smtp_client_enter(c, CLIENT_READY);
	else if (c->phase == CLIENT_EHLO && !c->options.is_lmtp && code / 100 == 5 && code != 554 &&
		 code != 521) {
		if (!smtp_client_is_early(c, in))
			hello(c, out, CLIENT_HELO);
	} else
		smtp_client_end(c, code / 100 == 5 ? SMTP_FAILED : SMTP_DEFERRED);
}

/* on_reply - a whole reply is in hand; true: *out is something to do */
static bool on_reply(struct smtp_client *c, struct str *in, struct buf *buf,
		     struct smtp_client_todo *out)
{
	switch (c->phase) {
	case CLIENT_GREETING:
		on_greeting(c, in, buf);
		break;
	case CLIENT_EHLO:
	case CLIENT_HELO:
		on_hello(c, in, buf);
		break;
	case CLIENT_BODY:
		smtp_client_mail_early(c);
		break;
	case CLIENT_FINAL:
		return smtp_client_mail_final(c, out);
	case CLIENT_EMPTY:
		*out = smtp_client_settle(c);
		return true;
	case CLIENT_RSET:
		if (c->reply.code / 100 == 2)
			smtp_client_enter(c, CLIENT_READY);
		else
			smtp_client_end(c, SMTP_DEFERRED);
		break;
	case CLIENT_QUIT:
		smtp_client_enter(c, CLIENT_OVER);
		break;
	case CLIENT_READY:
	case CLIENT_ENVELOPE:
	case CLIENT_OVER:
	case CLIENT_PHASES:
		assert(!"no reply is taken here");
	}
	return false;
}

/* next_reply - phases that wait for one reply; true: *out is something to do */
static bool next_reply(struct smtp_client *c, struct str *in, struct buf *buf,
		       struct smtp_client_todo *out)
{
	enum step got = smtp_client_reply(c, in);

	if (got == STEP_DONE)
		return on_reply(c, in, buf, out);
	*out = smtp_client_todo_of(c,
				   c->phase == CLIENT_BODY ? SMTP_CLIENT_BODY : SMTP_CLIENT_WAIT);
	return got == STEP_MORE;
}

static bool next_ready(struct smtp_client *c, struct str *in, struct smtp_client_todo *out)
{
	if (smtp_client_is_early(c, in))
		return false;
	if (c->mail)
		return smtp_client_mail_begin(c, out);
	*out = smtp_client_todo_of(c, SMTP_CLIENT_READY);
	return true;
}

/* turn - one thing to do, or one step on the way to it */
static bool turn(struct smtp_client *c, struct str *in, struct buf *buf,
		 struct smtp_client_todo *out)
{
	switch (c->phase) {
	case CLIENT_READY:
		return next_ready(c, in, out);
	case CLIENT_ENVELOPE:
		return smtp_client_mail_next(c, in, buf, out);
	case CLIENT_RSET:
		if (c->is_dirty)
			smtp_client_say(buf, STR("RSET"), STR(""));
		c->is_dirty = false;
		return next_reply(c, in, buf, out);
	case CLIENT_FINAL:
		if (smtp_client_mail_owed(c) < c->mail->n)
			return next_reply(c, in, buf, out);
		*out = smtp_client_settle(c);
		return true;
	case CLIENT_OVER:
		*out = c->mail ? smtp_client_settle(c) : smtp_client_todo_of(c, SMTP_CLIENT_CLOSE);
		return true;
	case CLIENT_GREETING:
	case CLIENT_EHLO:
	case CLIENT_HELO:
	case CLIENT_BODY:
	case CLIENT_EMPTY:
	case CLIENT_QUIT:
		return next_reply(c, in, buf, out);
	case CLIENT_PHASES:
		break;
	}
	assert(!"a phase");
	return false;
}

struct smtp_client_todo smtp_client_next(struct smtp_client *c, struct str *in, struct buf *out)
{
	struct smtp_client_todo next;

	for (;;)
		if (c->sweep.is_on ? smtp_client_sweep_next(c, &next) : turn(c, in, out, &next))
			return next;
}

/*
 * spoilt - what we were about to send could be read in two ways: no end mark will ever follow, so
 * the server forgets it
 */
static void spoilt(struct smtp_client *c)
{
	smtp_reply_set(&c->reply, 0, "5.6.0",
		       STR("the message holds a bare CR, a bare LF or a NUL"));
	smtp_client_end(c, SMTP_FAILED);
}

void smtp_client_body(struct smtp_client *c, struct str *body, struct buf *out)
{
	assert(c->phase == CLIENT_BODY);
	while (body->n > 0 && buf_room(out) > 0) {
		struct str piece = str_head(*body, buf_room(out)), rest = piece, slice;
		bool is_there = smtp_stuff_next(&c->stuff, &rest, &slice);

		*body = str_drop(*body, piece.n - rest.n);
		if (!is_there)
			break;
		(void)buf_add(out, slice);
	}
	if (c->stuff.is_flawed)
		spoilt(c);
}

bool smtp_client_body_end(struct smtp_client *c, struct buf *out)
{
	struct smtp_stuff after = c->stuff;

	assert(c->phase == CLIENT_BODY);
	if (!buf_add(out, smtp_stuff_end(&after)))
		return false;
	c->stuff = after;
	if (after.is_flawed)
		spoilt(c);
	else
		smtp_client_enter(c, CLIENT_FINAL);
	return true;
}

void smtp_client_quit(struct smtp_client *c, struct buf *out)
{
	assert(c->phase == CLIENT_READY && !c->mail);
	smtp_client_say(out, STR("QUIT"), STR(""));
	smtp_client_enter(c, CLIENT_QUIT);
}
