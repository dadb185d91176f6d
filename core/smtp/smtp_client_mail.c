#include "smtp_client_mail.h"

#include <assert.h>

#include "address.h"
#include "smtp_client_core.h"

/* is_unfit - a mail that this peer cannot take, or nobody: decided without a word to it */
static bool is_unfit(struct smtp_client *c)
{
	const struct smtp_mail *m = c->mail;
	struct address sender;

	if (m->sender.n > 0 && address_parse(m->sender, &sender) != ADDRESS_OK)
		smtp_reply_set(&c->reply, 0, "5.1.7", STR("the sender's address cannot be sent"));
	else if (m->is_8bit && !smtp_offers_has(&c->peer, SMTP_EXTENSION_8BITMIME))
		smtp_reply_set(&c->reply, 0, "5.6.3",
			       STR("the next host does not take 8-bit mail"));
	else if (smtp_offers_has(&c->peer, SMTP_EXTENSION_SIZE) && c->peer.size > 0 &&
		 m->size > c->peer.size)
		smtp_reply_set(&c->reply, 0, "5.3.4",
			       STR("the message is too big for the next host"));
	else
		return false;
	return true;
}

/* skip_unsent - recipients whose address could not be sent have no command and no reply */
static unsigned skip_unsent(const struct smtp_client *c, unsigned position)
{
	while (position >= 1 && position <= c->mail->n &&
	       c->mail->rcpts[position - 1].state == SMTP_RCPT_UNSENT)
		position++;
	return position;
}

static bool is_sendable(struct str address)
{
	struct address parsed;

	return address_parse(address, &parsed) == ADDRESS_OK || str_ieq(address, STR("postmaster"));
}

/*
 * smtp_client_mail_begin - look at the mail and its recipients before anything is sent; true:
 * *out is a result
 */
bool smtp_client_mail_begin(struct smtp_client *c, struct smtp_client_todo *out)
{
	if (c->checked == 0 && is_unfit(c)) {
		smtp_client_sweep(c, SMTP_FAILED);
		c->sweep.stage = SMTP_STAGE_MAIL;
		c->is_refused = true;
		smtp_client_enter(c, CLIENT_ENVELOPE);
		return false;
	}
	while (c->checked < c->mail->n) {
		unsigned i = c->checked++;

		if (is_sendable(c->mail->rcpts[i].address))
			continue;
		smtp_reply_set(&c->reply, 0, "5.1.3",
			       STR("the recipient's address cannot be sent"));
		*out = smtp_client_result(c, i, SMTP_FAILED, SMTP_STAGE_RCPT);
		c->mail->rcpts[i].state = SMTP_RCPT_UNSENT;
		return true;
	}
	if (skip_unsent(c, 1) > c->mail->n) {
		*out = smtp_client_settle(c);
		return true;
	}
	smtp_client_enter(c, CLIENT_ENVELOPE);
	return false;
}

static void say_mail(struct smtp_client *c, struct buf *out)
{
	const struct smtp_mail *m = c->mail;
	bool fits =
		buf_add(out, STR("MAIL FROM:<")) && buf_add(out, m->sender) && buf_byte(out, '>');

	if (smtp_offers_has(&c->peer, SMTP_EXTENSION_SIZE) && m->size > 0)
		fits = fits && buf_printf(out, " SIZE=%llu", (unsigned long long)m->size);
	if (m->is_8bit)
		fits = fits && buf_add(out, STR(" BODY=8BITMIME"));
	assert(fits);
	smtp_client_say(out, STR(""), STR(""));
}

static void say_rcpt(struct str address, struct buf *out)
{
	bool fits = buf_add(out, STR("RCPT TO:<")) && buf_add(out, address);

	assert(fits);
	smtp_client_say(out, STR(">"), STR(""));
}

/* is_next_due - may the next command of the envelope be sent now? */
static bool is_next_due(const struct smtp_client *c)
{
	bool may_pipeline =
		smtp_offers_has(&c->peer, SMTP_EXTENSION_PIPELINING) && !c->options.is_lockstep;

	if (c->is_refused || c->sent > c->mail->n + 1)
		return false;
	if (c->sent != c->got && !may_pipeline)
		return false;
	return c->sent <= c->mail->n || c->sent != c->got || c->accepted > 0;
}

/*
 * send_envelope - RFC 2920: MAIL, RCPT and DATA in one group where the peer offers PIPELINING,
 * else one by one
 */
static void send_envelope(struct smtp_client *c, struct buf *out)
{
	while (is_next_due(c) && buf_room(out) >= SMTP_CLIENT_OUT / 2) {
		if (c->sent == 0)
			say_mail(c, out);
		else if (c->sent <= c->mail->n)
			say_rcpt(c->mail->rcpts[c->sent - 1].address, out);
		else
			smtp_client_say(out, STR("DATA"), STR(""));
		c->sent = skip_unsent(c, c->sent + 1);
	}
}

/*
 * rcpt_outcome - what a refusal of RCPT means
 *
 * RFC 5321 4.5.3.1.10: some servers say 552 for "too many recipients" and mean 452; those that
 * mean a full mailbox say 5.2.2.
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
 * RFC 2920 3.1: DATA was in the group although, as it turns out, no recipient was accepted: "the
 * client SHOULD send a single dot". Not where a recipient was accepted although MAIL was refused
 * (that would deliver an empty message), and not in LMTP, where no reply would follow: there the
 * connection ends.
 */
static void on_data(struct smtp_client *c, struct buf *out)
{
	bool is_wanted = c->accepted > 0 && !c->is_refused;

	if (c->reply.code / 100 >= 4) {
		smtp_client_sweep(c, smtp_client_outcome(c->reply.code));
		c->sweep.stage = SMTP_STAGE_DATA;
	} else if (c->reply.code != 354) {
		smtp_client_end_ours(c, "4.5.0", STR("neither 354 nor a refusal came for DATA"));
	} else if (is_wanted) {
		smtp_stuff_init(&c->stuff);
		smtp_client_enter(c, CLIENT_BODY);
	} else if (c->accepted == 0 && !c->options.is_lmtp) {
		smtp_client_say(out, STR("."), STR(""));
		c->is_dirty = false;
		smtp_client_enter(c, CLIENT_EMPTY);
	} else {
		smtp_client_end_ours(c, "4.5.0",
				     STR("DATA was accepted without a sender or a recipient"));
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
			smtp_client_sweep(c,
					  c->reply.code / 100 == 5 ? SMTP_FAILED : SMTP_DEFERRED);
	} else if (position > c->mail->n) {
		on_data(c, buf);
	} else if (is_yes) {
		c->accepted++;
		if (!c->is_refused)
			c->mail->rcpts[position - 1].state = SMTP_RCPT_ACCEPTED;
	} else if (!c->is_refused) {
		*out = smtp_client_result(c, position - 1, rcpt_outcome(c), SMTP_STAGE_RCPT);
	}
	c->got = skip_unsent(c, position + 1);
	return !is_yes && position >= 1 && position <= c->mail->n && !c->is_refused;
}

/* smtp_client_mail_next - send what is due, take what came; true: *out is something to do */
bool smtp_client_mail_next(struct smtp_client *c, struct str *in, struct buf *buf,
			   struct smtp_client_todo *out)
{
	enum step got;

	if (c->sent == c->got && smtp_client_is_early(c, in))
		return false;
	send_envelope(c, buf);
	if (c->sent == c->got && !is_next_due(c)) {
		*out = smtp_client_settle(c);
		return true;
	}
	got = smtp_client_reply(c, in);
	if (got == STEP_DONE)
		return on_envelope(c, buf, out);
	*out = smtp_client_todo_of(c, SMTP_CLIENT_WAIT);
	return got == STEP_MORE;
}

unsigned smtp_client_mail_owed(const struct smtp_client *c)
{
	unsigned i = 0;

	while (i < c->mail->n && c->mail->rcpts[i].state != SMTP_RCPT_ACCEPTED)
		i++;
	return i;
}

/*
 * smtp_client_mail_final - the reply behind the end mark; LMTP: one for each accepted recipient,
 * in order; true: *out is a result
 */
bool smtp_client_mail_final(struct smtp_client *c, struct smtp_client_todo *out)
{
	unsigned i;

	c->is_dirty = false;
	if (c->reply.code / 100 == 3) {
		smtp_client_end_ours(c, "4.5.0", STR("354 came for a whole message"));
		return false;
	}
	if (!c->options.is_lmtp) {
		smtp_client_sweep(c, smtp_client_outcome(c->reply.code));
		return false;
	}
	i = smtp_client_mail_owed(c);
	assert(i < c->mail->n);
	*out = smtp_client_result(c, i, smtp_client_outcome(c->reply.code), SMTP_STAGE_FINAL);
	return true;
}

/*
 * smtp_client_mail_early - a reply while the body is on its way: a refusal counts, but the two
 * sides are out of step from here on
 */
void smtp_client_mail_early(struct smtp_client *c)
{
	if (c->reply.code / 100 >= 4)
		smtp_client_end(c, smtp_client_outcome(c->reply.code));
	else
		smtp_client_end_ours(c, "4.5.0", STR("the server spoke out of turn"));
}
