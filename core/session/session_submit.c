/*
 *   all here -> `message` -> `message_rcpt` for each -> sort -> SUBMIT --DURABLE--> 250
 *                  |                |                     |       +--REFUSED, too late--> its no
 *                  no          all refused: no      all discarded: 250
 *
 * The one way to 250 is grant(), and grant() wants a token, which is made in two places: where
 * DURABLE came in for this transaction, and where a rule discarded every copy (said in an event).
 * Nothing else in the tree can make one.
 */
#include "session_private.h"

#include <assert.h>
#include <stdio.h>

#include "counter.h"

struct token {
	enum session_outcome outcome; /* ACCEPTED: durable; DISCARDED */
};

static void grant(struct session_tx *tx, const struct token *token)
{
	struct session *s = tx->session;
	char id[ID_TEXT + 1], text[sizeof "queued as " + ID_TEXT];

	(void)snprintf(text, sizeof text, "queued as %s", id_text(&tx->view.id, id));
	tx->outcome = token->outcome;
	s->view.messages++;
	session_enter(s, SESSION_READING);
	session_do(s, smtp_server_durable(&s->smtp, str_of(text)), NULL);
}

/* session_submit_no - every way to refuse a message whose end was seen */
void session_submit_no(struct session_tx *tx, const struct session_refusal *refusal)
{
	struct smtp_verdict v = session_verdict_smtp(&refusal->verdict);
	struct session *s = tx->session;

	assert(v.code >= 400);
	tx->outcome = SESSION_REFUSED;
	session_enter(s, SESSION_READING);
	session_do(s, smtp_server_verdict(&s->smtp, &v), refusal);
}

static void trouble(struct session_tx *tx, unsigned code, const char *esc, const char *text)
{
	struct session_refusal no = session_refusal_own("spool", code, esc, text);

	session_submit_no(tx, &no);
}

/* flawed - the machine refuses by itself what two readers could understand differently */
static void flawed(struct session *s, enum smtp_data_flaw flaw)
{
	if (flaw == SMTP_DATA_BARE_CR || flaw == SMTP_DATA_BARE_LF || flaw == SMTP_DATA_NUL)
		counter_add(COUNTER_SMUGGLING, 1);
	s->tx->outcome = SESSION_REFUSED;
	session_enter(s, SESSION_READING);
	session_do(s, smtp_server_end(&s->smtp, flaw), NULL);
}

void session_submit_ended(struct session *s)
{
	struct session_tx *tx = s->tx;

	if (tx->data.flaw) {
		flawed(s, tx->data.flaw);
		return;
	}
	(void)smtp_server_end(&s->smtp, SMTP_DATA_CLEAN);
	if (tx->refusal.stage) {
		session_submit_no(tx, &tx->refusal);
		return;
	}
	/* by `headers`: nothing is left to decide */
	if (tx->kept.kind == VERDICT_DISCARD)
		session_submit_copies(s);
	else if (session_ask(s, HOOK_MESSAGE, NULL) == STEP_DONE)
		session_decided(s);
}

/* ---- copies */

static bool is_asked(const struct session_tx *tx, const struct policy_rcpt *r)
{
	return r->state == RCPT_ACCEPTED && r->verdict.kind == VERDICT_PASS &&
	       tx->kept.kind != VERDICT_DISCARD;
}

/* session_submit_copy_decided - `message_rcpt` was answered for the recipient at tx->copy */
void session_submit_copy_decided(struct session *s)
{
	struct policy_question *q = &s->question;

	session_verdict_settle(q);
	if (q->verdict.kind != VERDICT_PASS && q->verdict.kind != VERDICT_ACCEPT)
		q->rcpt->verdict = q->verdict;
	s->tx->copy++;
}

/*
 * worst - all copies are refused: a 4xx among them lets the client come again for all; else the
 * first 5xx
 */
static const struct verdict *worst(const struct session_tx *tx)
{
	const struct verdict *found = NULL;

	for (unsigned i = 0; i < tx->view.nrcpts; i++) {
		const struct policy_rcpt *r = tx->view.rcpts[i];

		if (r->state != RCPT_ACCEPTED || !session_copies_is_refused(r))
			continue;
		if (!found || (found->kind != VERDICT_DEFER && r->verdict.kind == VERDICT_DEFER))
			found = &r->verdict;
	}
	return found;
}

/* is_any_good - a copy that was not refused is to be stored */
static bool is_any_good(const struct session_tx *tx)
{
	for (unsigned i = 0; i < tx->view.nrcpts; i++)
		if (tx->variant_of[i] != SESSION_NO_VARIANT &&
		    !session_copies_is_refused(tx->view.rcpts[i]))
			return true;
	return false;
}

static void commit(struct session_tx *tx)
{
	tx->commit = SESSION_COMMIT_WANTED;
	session_server_tag(tx);
	session_enter(tx->session, SESSION_SPOOLING);
	session_submit_push(tx);
}

static void all_decided(struct session_tx *tx)
{
	const struct verdict *no;

	if (!session_copies_sort(tx)) {
		trouble(tx, 452, "4.5.3", "too many different copies of one message");
		return;
	}
	if (is_any_good(tx)) {
		commit(tx);
		return;
	}
	no = worst(tx);
	if (no)
		session_submit_no(tx, &(struct session_refusal){
					      policy_hook_name[HOOK_MESSAGE_RCPT], true, *no });
	else
		grant(tx, &(struct token){ SESSION_DISCARDED });
}

void session_submit_copies(struct session *s)
{
	struct session_tx *tx = s->tx;

	while (tx->copy < tx->view.nrcpts) {
		struct policy_rcpt *r = tx->view.rcpts[tx->copy];

		if (!is_asked(tx, r)) {
			tx->copy++;
			continue;
		}
		if (session_ask(s, HOOK_MESSAGE_RCPT, r) == STEP_MORE)
			return;
		session_submit_copy_decided(s);
	}
	all_decided(tx);
}

/* ---- commit */

/*
 * session_submit_push - send it, now or when the channel has room; again when the channel is
 * another one
 */
void session_submit_push(struct session_tx *tx)
{
	struct session_server *server = tx->server;
	uint16_t sending = server->sending < UINT16_MAX ? (uint16_t)server->sending : UINT16_MAX;
	struct ipc_frame head = { .type = IPC_SUBMIT, .flags = sending, .tag = tx->tag };
	struct ipc_submit submit;
	struct str payload;

	if (tx->commit != SESSION_COMMIT_WANTED || !server->spool)
		return;
	buf_reset(&server->frame);
	if (!session_copies_build(tx, &submit) || !ipc_submit_encode(&server->frame, &submit) ||
	    buf_len(&server->frame) > ipc_channel_max(server->spool)) {
		trouble(tx, 452, "4.3.4",
			"header, recipients and notes of this message are too much for one "
			"message");
		return;
	}
	payload = buf_str(&server->frame);
	if (!ipc_channel_send(server->spool, &head, &payload, 1))
		return;
	tx->commit = SESSION_COMMIT_SENT;
	tx->submitted_us = net_loop_now(server->loop);
}

void session_submit_durable(struct session_tx *tx)
{
	/* the spool cannot have what it was not given */
	if (tx->commit != SESSION_COMMIT_SENT)
		return;
	histogram_add(HISTOGRAM_COMMIT_WAIT, net_loop_now(tx->server->loop) - tx->submitted_us);
	grant(tx, &(struct token){ SESSION_ACCEPTED });
}

/*
 * session_submit_late - the spool may still make it durable: then it arrives, and arrives again
 * when the client comes back
 */
void session_submit_late(struct session_tx *tx)
{
	trouble(tx, 451, "4.3.0", "the message could not be stored in time, try again later");
}
