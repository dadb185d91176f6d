/*
 *   GREETING --220--> EHLO --250--> READY <------------------+-----------------+---------------+
 *                      | 5xx         | a mail                | all decided     | 2xx           | final reply, LMTP: all of them
 *                      v             v                       |                 |               |
 *                     HELO        ENVELOPE --- nothing accepted --> RSET       |               |
 *                                    |    \-- 354 and nothing accepted --> EMPTY ("." alone)   |
 *                                    +------ 354 --> BODY --- end mark --> FINAL --------------+
 *   READY --quit--> QUIT --> OVER            lost(): from everywhere to OVER
 *
 * next_*() carry out a phase; on_*() take a whole reply; enter() is the only setter. While `sweep` is on, one reply decides
 * recipient after recipient before anything else happens, so `reply` is still the one that decided.
 */
#include "smtp_client.h"

#include <assert.h>

#include "address.h"

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
	[SMTP_STAGE_RSET]     = { "rset",      30 },    /* nothing depends on it: a new connection is as good */
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

void smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options)
{
	*c = (struct smtp_client){ .phase = CLIENT_GREETING, .options = *options };
	smtp_reply_init(&c->reply);
}

static void enter(struct smtp_client *c, enum smtp_client_phase phase)
{
	c->phase = phase;
}

void smtp_client_mail(struct smtp_client *c, struct smtp_mail *mail)
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

/* stage_of - what is awaited in a phase; in the envelope it depends on whose turn it is */
static enum smtp_stage stage_of(const struct smtp_client *c)
{
	switch (c->phase) {
	case CLIENT_GREETING:
		return SMTP_STAGE_GREETING;
	case CLIENT_EHLO:
	case CLIENT_HELO:
		return SMTP_STAGE_HELLO;
	case CLIENT_ENVELOPE:
		return c->got == 0 ? SMTP_STAGE_MAIL : c->got <= c->mail->n ? SMTP_STAGE_RCPT : SMTP_STAGE_DATA;
	case CLIENT_BODY:
		return SMTP_STAGE_BLOCK;
	case CLIENT_FINAL:
	case CLIENT_EMPTY:
		return SMTP_STAGE_FINAL;
	case CLIENT_READY:
	case CLIENT_RSET:
		return SMTP_STAGE_RSET;
	case CLIENT_QUIT:
	case CLIENT_OVER:
	case CLIENT_PHASES:
		break;
	}
	return SMTP_STAGE_QUIT;
}

static struct smtp_client_todo todo(const struct smtp_client *c, enum smtp_client_what what)
{
	return (struct smtp_client_todo){ .what = what, .stage = stage_of(c) };
}

/* sweep - the reply in hand decides every recipient that has no result yet */
static void sweep(struct smtp_client *c, enum smtp_outcome outcome)
{
	if (!c->mail)
		return;
	c->sweep.is_on = true;
	c->sweep.is_unsure = false;
	c->sweep.next = 0;
	c->sweep.outcome = outcome;
	c->sweep.stage = stage_of(c);
}

static enum smtp_outcome outcome_of(int code)
{
	return code / 100 == 2 ? SMTP_DELIVERED : code / 100 == 5 ? SMTP_FAILED : SMTP_DEFERRED;
}

/* end - the session is over, by the reply in hand; what is undecided is deferred unless that reply was a refusal for good */
static void end(struct smtp_client *c, enum smtp_outcome outcome)
{
	sweep(c, outcome);
	c->sweep.is_unsure = c->phase == CLIENT_FINAL && outcome == SMTP_DEFERRED;
	enter(c, CLIENT_OVER);
}

/* ended_by_us - the same, in our words */
static void ended_by_us(struct smtp_client *c, const char *esc, struct str why)
{
	smtp_reply_set(&c->reply, 0, esc, why);
	end(c, SMTP_DEFERRED);
}

void smtp_client_lost(struct smtp_client *c, struct str why)
{
	if (c->phase != CLIENT_OVER && !c->sweep.is_on)
		ended_by_us(c, "4.4.2", why);
	else
		enter(c, CLIENT_OVER);
}

void smtp_client_timeout(struct smtp_client *c)
{
	smtp_client_lost(c, STR("timed out"));
}

static struct smtp_client_todo result(struct smtp_client *c, unsigned rcpt, enum smtp_outcome outcome, enum smtp_stage stage)
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

/* sweep_next - the next result of a sweep; false: all are decided */
static bool sweep_next(struct smtp_client *c, struct smtp_client_todo *out)
{
	for (; c->sweep.next < c->mail->n; c->sweep.next++) {
		if (!is_open(&c->mail->rcpts[c->sweep.next]))
			continue;
		*out = result(c, c->sweep.next++, c->sweep.outcome, c->sweep.stage);
		out->is_unsure = c->sweep.is_unsure;
		return true;
	}
	c->sweep.is_on = false;
	return false;
}

/* settle - every recipient is decided: give the mail back; what the server still thinks of it is dropped by RSET */
static struct smtp_client_todo settle(struct smtp_client *c)
{
	if (c->phase != CLIENT_OVER)
		enter(c, c->is_dirty ? CLIENT_RSET : CLIENT_READY);
	c->mail = NULL;
	c->sent = c->got = 0;
	return todo(c, SMTP_CLIENT_DONE);
}

/* is_early - octets came although no reply is owed: the end of the session, in the server's words if it takes its leave */
static bool is_early(struct smtp_client *c, struct str *in)
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
		end(c, SMTP_DEFERRED);
	else
		ended_by_us(c, "4.5.0", STR("the server spoke out of turn"));
	return true;
}

/*
 * reply_take - one whole reply; DONE: it is in hand
 *
 * A server that cannot speak, or takes its leave (421), ends the session here: ERROR, and everything is decided.
 */
static enum step reply_take(struct smtp_client *c, struct str *in)
{
	enum step got;

	do {
		got = smtp_reply_take(&c->reply, in);
		if (got == STEP_DONE && c->phase == CLIENT_EHLO && c->reply.code == 250 && c->reply.lines > 1)
			smtp_extension_learn(&c->peer, c->reply.line);
	} while (got == STEP_DONE && !c->reply.is_last);
	if (got == STEP_ERROR) {
		ended_by_us(c, "4.5.0", str_of(smtp_reply_flaw_text[c->reply.flaw]));
	} else if (got == STEP_DONE && c->reply.code == 421) {
		end(c, SMTP_DEFERRED);
		got = STEP_ERROR;
	}
	return got;
}

/* say - a command; its room was seen to */
static void say(struct buf *out, struct str verb, struct str argument)
{
	bool fits = buf_add(out, verb) && buf_add(out, argument) && buf_add(out, STR("\r\n"));

	assert(fits);
}

/* hello - EHLO or LHLO, or HELO to those who do not know it */
static void hello(struct smtp_client *c, struct buf *out, enum smtp_client_phase phase)
{
	c->peer = (struct smtp_offers){ 0 };
	say(out, phase == CLIENT_HELO ? STR("HELO ") : c->options.is_lmtp ? STR("LHLO ") : STR("EHLO "), c->options.hello);
	enter(c, phase);
}

/* on_greeting - 220; anything else refuses the session, for now or for good */
static void on_greeting(struct smtp_client *c, struct str *in, struct buf *out)
{
	if (c->reply.code != 220)
		end(c, c->reply.code / 100 == 5 ? SMTP_FAILED : SMTP_DEFERRED);
	else if (!is_early(c, in))
		hello(c, out, CLIENT_EHLO);
}

/* on_hello - RFC 5321 3.2: a server that refuses EHLO may know HELO; one that refuses us (554, 521) does not */
static void on_hello(struct smtp_client *c, struct str *in, struct buf *out)
{
	int code = c->reply.code;

	if (code / 100 == 2)
		enter(c, CLIENT_READY);
	else if (c->phase == CLIENT_EHLO && !c->options.is_lmtp && code / 100 == 5 && code != 554 && code != 521) {
		if (!is_early(c, in))
			hello(c, out, CLIENT_HELO);
	} else
		end(c, code / 100 == 5 ? SMTP_FAILED : SMTP_DEFERRED);
}

/* is_unfit - a mail that this peer cannot take, or nobody: decided without a word to it */
static bool is_unfit(struct smtp_client *c)
{
	const struct smtp_mail *m = c->mail;
	struct address sender;

	if (m->sender.n > 0 && address_parse(m->sender, &sender) != ADDRESS_OK)
		smtp_reply_set(&c->reply, 0, "5.1.7", STR("the sender's address cannot be sent"));
	else if (m->is_8bit && !smtp_offers_has(&c->peer, SMTP_EXTENSION_8BITMIME))
		smtp_reply_set(&c->reply, 0, "5.6.3", STR("the next host does not take 8-bit mail"));
	else if (smtp_offers_has(&c->peer, SMTP_EXTENSION_SIZE) && c->peer.size > 0 && m->size > c->peer.size)
		smtp_reply_set(&c->reply, 0, "5.3.4", STR("the message is too big for the next host"));
	else
		return false;
	return true;
}

/* skip_unsent - recipients whose address could not be sent have no command and no reply */
static unsigned skip_unsent(const struct smtp_client *c, unsigned position)
{
	while (position >= 1 && position <= c->mail->n && c->mail->rcpts[position - 1].state == SMTP_RCPT_UNSENT)
		position++;
	return position;
}

static bool is_sendable(struct str address)
{
	struct address parsed;

	return address_parse(address, &parsed) == ADDRESS_OK || str_ieq(address, STR("postmaster"));
}

/* begin - look at the mail and its recipients before anything is sent; true: *out is a result */
static bool begin(struct smtp_client *c, struct smtp_client_todo *out)
{
	if (c->checked == 0 && is_unfit(c)) {
		sweep(c, SMTP_FAILED);
		c->sweep.stage = SMTP_STAGE_MAIL;
		c->is_refused = true;
		enter(c, CLIENT_ENVELOPE);
		return false;
	}
	while (c->checked < c->mail->n) {
		unsigned i = c->checked++;

		if (is_sendable(c->mail->rcpts[i].address))
			continue;
		smtp_reply_set(&c->reply, 0, "5.1.3", STR("the recipient's address cannot be sent"));
		*out = result(c, i, SMTP_FAILED, SMTP_STAGE_RCPT);
		c->mail->rcpts[i].state = SMTP_RCPT_UNSENT;
		return true;
	}
	if (skip_unsent(c, 1) > c->mail->n) {
		*out = settle(c);
		return true;
	}
	enter(c, CLIENT_ENVELOPE);
	return false;
}

static void say_mail(struct smtp_client *c, struct buf *out)
{
	const struct smtp_mail *m = c->mail;
	bool fits = buf_add(out, STR("MAIL FROM:<")) && buf_add(out, m->sender) && buf_byte(out, '>');

	if (smtp_offers_has(&c->peer, SMTP_EXTENSION_SIZE) && m->size > 0)
		fits = fits && buf_printf(out, " SIZE=%llu", (unsigned long long)m->size);
	if (m->is_8bit)
		fits = fits && buf_add(out, STR(" BODY=8BITMIME"));
	assert(fits);
	say(out, STR(""), STR(""));
}

static void say_rcpt(struct str address, struct buf *out)
{
	bool fits = buf_add(out, STR("RCPT TO:<")) && buf_add(out, address);

	assert(fits);
	say(out, STR(">"), STR(""));
}

/* is_next_due - may the next command of the envelope be sent now? */
static bool is_next_due(const struct smtp_client *c)
{
	bool may_pipeline = smtp_offers_has(&c->peer, SMTP_EXTENSION_PIPELINING) && !c->options.is_lockstep;

	if (c->is_refused || c->sent > c->mail->n + 1)
		return false;
	if (c->sent != c->got && !may_pipeline)
		return false;
	return c->sent <= c->mail->n || c->sent != c->got || c->accepted > 0;
}

/* send_envelope - RFC 2920: MAIL, RCPT and DATA in one group where the peer offers PIPELINING, else one by one */
static void send_envelope(struct smtp_client *c, struct buf *out)
{
	while (is_next_due(c) && buf_room(out) >= SMTP_CLIENT_OUT / 2) {
		if (c->sent == 0)
			say_mail(c, out);
		else if (c->sent <= c->mail->n)
			say_rcpt(c->mail->rcpts[c->sent - 1].address, out);
		else
			say(out, STR("DATA"), STR(""));
		c->sent = skip_unsent(c, c->sent + 1);
	}
}

/*
 * rcpt_outcome - what a refusal of RCPT means
 *
 * RFC 5321 4.5.3.1.10: some servers say 552 for "too many recipients" and mean 452; those that mean a full mailbox say 5.2.2.
 */
static enum smtp_outcome rcpt_outcome(const struct smtp_client *c)
{
	struct str esc = str_of(c->reply.esc);

	if (c->reply.code == 552 && (esc.n == 0 || str_eq(esc, STR("5.5.3"))))
		return SMTP_DEFERRED;
	return c->reply.code / 100 == 5 ? SMTP_FAILED : SMTP_DEFERRED;
}

/*
 * on_data - the reply to DATA
 *
 * RFC 2920 3.1: DATA was in the group although, as it turns out, no recipient was accepted: "the client SHOULD send a single
 * dot". Not where a recipient was accepted although MAIL was refused (that would deliver an empty message), and not in LMTP,
 * where no reply would follow: there the connection ends.
 */
static void on_data(struct smtp_client *c, struct buf *out)
{
	bool is_wanted = c->accepted > 0 && !c->is_refused;

	if (c->reply.code / 100 >= 4) {
		sweep(c, outcome_of(c->reply.code));
		c->sweep.stage = SMTP_STAGE_DATA;
	} else if (c->reply.code != 354) {
		ended_by_us(c, "4.5.0", STR("neither 354 nor a refusal came for DATA"));
	} else if (is_wanted) {
		smtp_stuff_init(&c->stuff);
		enter(c, CLIENT_BODY);
	} else if (c->accepted == 0 && !c->options.is_lmtp) {
		say(out, STR("."), STR(""));
		c->is_dirty = false;
		enter(c, CLIENT_EMPTY);
	} else {
		ended_by_us(c, "4.5.0", STR("DATA was accepted without a sender or a recipient"));
	}
}

/* on_envelope - the reply to MAIL, RCPT or DATA; true: *out is a result */
static bool on_envelope(struct smtp_client *c, struct buf *buf, struct smtp_client_todo *out)
{
	unsigned position = c->got;
	bool is_yes = c->reply.code / 100 == 2;

	if (position == 0) {
		c->is_refused = !is_yes;
		c->is_dirty = is_yes;
		if (!is_yes)
			sweep(c, c->reply.code / 100 == 5 ? SMTP_FAILED : SMTP_DEFERRED);
	} else if (position > c->mail->n) {
		on_data(c, buf);
	} else if (is_yes) {
		c->accepted++;
		if (!c->is_refused)
			c->mail->rcpts[position - 1].state = SMTP_RCPT_ACCEPTED;
	} else if (!c->is_refused) {
		*out = result(c, position - 1, rcpt_outcome(c), SMTP_STAGE_RCPT);
	}
	c->got = skip_unsent(c, position + 1);
	return !is_yes && position >= 1 && position <= c->mail->n && !c->is_refused;
}

/* next_envelope - send what is due, take what came; true: *out is something to do */
static bool next_envelope(struct smtp_client *c, struct str *in, struct buf *buf, struct smtp_client_todo *out)
{
	enum step got;

	if (c->sent == c->got && is_early(c, in))
		return false;
	send_envelope(c, buf);
	if (c->sent == c->got && !is_next_due(c)) {
		*out = settle(c);
		return true;
	}
	got = reply_take(c, in);
	if (got == STEP_DONE)
		return on_envelope(c, buf, out);
	*out = todo(c, SMTP_CLIENT_WAIT);
	return got == STEP_MORE;
}

/* next_accepted - LMTP: whose reply comes next; n: all are decided */
static unsigned next_accepted(const struct smtp_client *c)
{
	unsigned i = 0;

	while (i < c->mail->n && c->mail->rcpts[i].state != SMTP_RCPT_ACCEPTED)
		i++;
	return i;
}

/* on_final - the reply behind the end mark; LMTP: one for each accepted recipient, in order; true: *out is a result */
static bool on_final(struct smtp_client *c, struct smtp_client_todo *out)
{
	unsigned i;

	c->is_dirty = false;
	if (c->reply.code / 100 == 3) {
		ended_by_us(c, "4.5.0", STR("354 came for a whole message"));
		return false;
	}
	if (!c->options.is_lmtp) {
		sweep(c, outcome_of(c->reply.code));
		return false;
	}
	i = next_accepted(c);
	assert(i < c->mail->n);
	*out = result(c, i, outcome_of(c->reply.code), SMTP_STAGE_FINAL);
	return true;
}

/* on_early_final - a reply while the body is on its way: a refusal counts, but the two sides are out of step from here on */
static void on_early_final(struct smtp_client *c)
{
	if (c->reply.code / 100 >= 4)
		end(c, outcome_of(c->reply.code));
	else
		ended_by_us(c, "4.5.0", STR("the server spoke out of turn"));
}

/* on_reply - a whole reply is in hand; true: *out is something to do */
static bool on_reply(struct smtp_client *c, struct str *in, struct buf *buf, struct smtp_client_todo *out)
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
		on_early_final(c);
		break;
	case CLIENT_FINAL:
		return on_final(c, out);
	case CLIENT_EMPTY:
		*out = settle(c);
		return true;
	case CLIENT_RSET:
		c->is_dirty = false;
		enter(c, c->reply.code / 100 == 2 ? CLIENT_READY : CLIENT_OVER);
		break;
	case CLIENT_QUIT:
		enter(c, CLIENT_OVER);
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
static bool next_reply(struct smtp_client *c, struct str *in, struct buf *buf, struct smtp_client_todo *out)
{
	enum step got = reply_take(c, in);

	if (got == STEP_DONE)
		return on_reply(c, in, buf, out);
	*out = todo(c, c->phase == CLIENT_BODY ? SMTP_CLIENT_BODY : SMTP_CLIENT_WAIT);
	return got == STEP_MORE;
}

static bool next_ready(struct smtp_client *c, struct str *in, struct smtp_client_todo *out)
{
	if (is_early(c, in))
		return false;
	if (c->mail)
		return begin(c, out);
	*out = todo(c, SMTP_CLIENT_READY);
	return true;
}

/* turn - one thing to do, or one step on the way to it */
static bool turn(struct smtp_client *c, struct str *in, struct buf *buf, struct smtp_client_todo *out)
{
	switch (c->phase) {
	case CLIENT_READY:
		return next_ready(c, in, out);
	case CLIENT_ENVELOPE:
		return next_envelope(c, in, buf, out);
	case CLIENT_RSET:
		if (c->is_dirty)
			say(buf, STR("RSET"), STR(""));
		c->is_dirty = false;
		return next_reply(c, in, buf, out);
	case CLIENT_FINAL:
		if (next_accepted(c) < c->mail->n)
			return next_reply(c, in, buf, out);
		*out = settle(c);
		return true;
	case CLIENT_OVER:
		*out = c->mail ? settle(c) : todo(c, SMTP_CLIENT_CLOSE);
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
		if (c->sweep.is_on ? sweep_next(c, &next) : turn(c, in, out, &next))
			return next;
}

/* spoilt - what we were about to send could be read in two ways: no end mark will ever follow, so the server forgets it */
static void spoilt(struct smtp_client *c)
{
	smtp_reply_set(&c->reply, 0, "5.6.0", STR("the message holds a bare CR, a bare LF or a NUL"));
	end(c, SMTP_FAILED);
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
		enter(c, CLIENT_FINAL);
	return true;
}

void smtp_client_quit(struct smtp_client *c, struct buf *out)
{
	assert(c->phase == CLIENT_READY && !c->mail);
	say(out, STR("QUIT"), STR(""));
	enter(c, CLIENT_QUIT);
}
