#include "session_private.h"

#include "log.h"

#define EVENT_RCPTS 32 /* recipients shown one by one */

/* clang-format off */
const char *const session_outcome_name[SESSION_OUTCOMES] = {
	[SESSION_ABANDONED] = "abandoned", [SESSION_REFUSED] = "refused",
	[SESSION_DISCARDED] = "discarded", [SESSION_ACCEPTED] = "accepted",
};

static const char *const rcpt_state_name[] = {
	[RCPT_ASKED] = "asked",     [RCPT_ACCEPTED] = "accepted",
	[RCPT_REFUSED] = "refused", [RCPT_REMOVED] = "removed",
};
/* clang-format on */

void session_cause_set(struct session_cause *c, const struct session_refusal *by)
{
	const struct verdict *v = &by->verdict;

	c->stage = by->stage;
	c->verdict = by->is_policy ? verdict_name[v->kind] : NULL;
	c->code = v->code;
	(void)str_copy(c->rule, sizeof c->rule, v->rule);
	(void)str_copy(c->esc, sizeof c->esc, str_of(v->esc));
	(void)str_copy(c->text, sizeof c->text, v->text);
}

static void put_if(struct json *j, const char *key, struct str value)
{
	if (value.n)
		json_str(j, key, value);
}

static void put_id(struct json *j, const char *key, const struct id *id)
{
	char text[ID_TEXT + 1];

	json_str(j, key, str_of(id_text(id, text)));
}

static void put_ms(struct json *j, const char *key, uint64_t us)
{
	json_num(j, key, (double)us / 1e3);
}

static void put_cause(struct json *j, const struct session_cause *c)
{
	if (!c->stage)
		return;
	json_str(j, "stage", str_of(c->stage));
	if (c->verdict)
		json_str(j, "verdict", str_of(c->verdict));
	put_if(j, "rule", str_of(c->rule));
	if (c->code)
		json_int(j, "code", c->code);
	put_if(j, "esc", str_of(c->esc));
	put_if(j, "reply", str_of(c->text));
}

/* put_kept - what else a rule decided about a whole message or one copy of it */
static void put_kept(struct json *j, const struct verdict *v)
{
	if (v->kind == VERDICT_PASS)
		return;
	json_str(j, "verdict", str_of(verdict_name[v->kind]));
	put_if(j, "rule", v->rule);
	put_if(j, "reason", v->reason);
	put_if(j, "bucket", v->bucket);
}

static void put_peer(struct json *j, const struct policy_conn *c)
{
	json_str(j, "listener", c->listener);
	json_str(j, "peer", c->peer_ip);
	if (c->peer_port)
		json_int(j, "port", c->peer_port);
}

/* put_tls - what was agreed on, and who showed a certificate */
static void put_tls(struct json *j, const struct policy_tls *t)
{
	if (!t->version.n)
		return;
	json_open(j, "tls", '{');
	json_str(j, "version", t->version);
	json_str(j, "cipher", t->cipher);
	put_if(j, "name", t->name);
	if (t->is_resumed)
		json_bool(j, "resumed", true);
	if (t->fingerprint.n) {
		json_str(j, "subject", t->subject);
		json_str(j, "fingerprint", t->fingerprint);
		json_bool(j, "verified", t->is_verified);
		put_if(j, "problem", t->problem);
	}
	json_close(j, '}');
}

void session_event_session(const struct session *s)
{
	struct json *j = log_open(LOG_LEVEL_INFO, "session");
	uint64_t now = net_loop_now(s->server->loop);

	put_id(j, "session", &s->view.id);
	put_peer(j, &s->view);
	put_if(j, "helo", s->view.helo);
	put_tls(j, &s->view.tls);
	json_str(j, "end", str_of(s->end));
	put_cause(j, &s->cause);
	put_if(j, "generation", str_of(s->generation));
	json_int(j, "accepted", s->accepted);
	json_int(j, "refused", s->refused);
	json_int(j, "commands", s->smtp.commands);
	json_int(j, "errors", s->smtp.errors);
	json_int(j, "bytes_in", (int64_t)s->bytes_in);
	json_int(j, "bytes_out", (int64_t)s->bytes_out);
	if (s->view.is_trusted)
		put_if(j, "trusted", s->view.trust_rule);
	put_ms(j, "ms", now - s->began_us);
	log_close();
}

static void put_rcpt(struct json *j, const struct policy_rcpt *r)
{
	bool is_no = r->verdict.kind == VERDICT_DEFER || r->verdict.kind == VERDICT_REJECT ||
		     r->verdict.kind == VERDICT_DROP;

	json_open(j, NULL, '{');
	json_str(j, "to", r->address.text);
	if (!str_eq(r->original, r->address.text))
		json_str(j, "original", r->original);
	json_str(j, "state", str_of(rcpt_state_name[r->state]));
	put_kept(j, &r->verdict);
	if (is_no) {
		json_int(j, "code", r->verdict.code);
		put_if(j, "esc", str_of(r->verdict.esc));
		put_if(j, "reply", str_head(r->verdict.text, SESSION_TEXT));
	}
	put_if(j, "route", r->route);
	json_close(j, '}');
}

static void put_rcpts(struct json *j, const struct policy_tx *view)
{
	json_int(j, "nrcpts", view->nrcpts);
	json_open(j, "rcpts", '[');
	for (unsigned i = 0; i < view->nrcpts && i < EVENT_RCPTS; i++)
		put_rcpt(j, view->rcpts[i]);
	json_close(j, ']');
}

/*
 * put_times - how long MAIL to DATA, DATA to its end, and the end to the reply took, as far as it
 * came
 */
static void put_times(struct json *j, const struct session_tx *tx)
{
	uint64_t now = net_loop_now(tx->server->loop);

	json_time(j, "begun", tx->view.created_us);
	if (tx->data_us)
		put_ms(j, "envelope_ms", tx->data_us - tx->began_us);
	if (tx->ended_us)
		put_ms(j, "data_ms", tx->ended_us - tx->data_us);
	if (tx->submitted_us)
		put_ms(j, "commit_ms", now - tx->submitted_us);
	put_ms(j, "ms", now - tx->began_us);
}

void session_event_message(const struct session_tx *tx)
{
	bool is_good = tx->outcome == SESSION_ACCEPTED || tx->outcome == SESSION_DISCARDED;
	bool is_in_doubt = !is_good && tx->commit == SESSION_COMMIT_SENT;
	struct json *j = log_open(LOG_LEVEL_INFO, "message");

	put_id(j, "id", &tx->view.id);
	put_id(j, "session", &tx->view.conn->id);
	json_str(j, "outcome", str_of(session_outcome_name[tx->outcome]));
	/* durable perhaps, and not answered 250: it may arrive all the same */
	if (is_in_doubt)
		json_bool(j, "in_doubt", true);
	if (is_good)
		put_kept(j, &tx->kept);
	else
		put_cause(j, &tx->cause);
	if (tx->view.generation)
		json_str(j, "generation", str_of(tx->view.generation->name));
	put_peer(j, tx->view.conn);
	json_str(j, "helo", tx->view.helo);
	put_if(j, "tls", tx->view.conn->tls.version);
	json_str(j, "sender", tx->view.sender.text);
	json_int(j, "size", (int64_t)tx->data.size);
	if (tx->nvariants > 1)
		json_int(j, "variants", tx->nvariants);
	if (tx->view.is_trusted)
		put_if(j, "trusted", tx->view.trust_rule);
	put_times(j, tx);
	put_rcpts(j, &tx->view);
	log_close();
}
