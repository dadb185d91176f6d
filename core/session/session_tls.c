/*
 *   STARTTLS: READING -- answer() --> 220 -- begin() --> SECURING -- secured() --> `tls`
 *   implicit: open(), `connect` ------------------> SECURING -- secured() --> `tls`, 220
 *
 * RFC 3207 4.2: what the client said in plain text is forgotten: its hello, the trust that it
 * earned by it. What `connect` found out by itself stays, and so do conn.vars, which are the
 * policy's own.
 */
#include "session_private.h"

#include "counter.h"

/* clang-format off */
static const enum counter failure_counter[TLS_FAILURES] = {
	[TLS_FAILURE_NONE] = COUNTER_TLS_FAILED_OTHER,
	[TLS_FAILURE_NO_TLS] = COUNTER_TLS_FAILED_NO_TLS,
	[TLS_FAILURE_VERSION] = COUNTER_TLS_FAILED_VERSION,
	[TLS_FAILURE_CIPHER] = COUNTER_TLS_FAILED_CIPHER,
	[TLS_FAILURE_CERTIFICATE] = COUNTER_TLS_FAILED_CERTIFICATE,
	[TLS_FAILURE_ALERT] = COUNTER_TLS_FAILED_ALERT,
	[TLS_FAILURE_OTHER] = COUNTER_TLS_FAILED_OTHER,
};
/* clang-format on */

/* make - by the settings of now: a certificate may be another than at connect */
static bool make(struct session *s)
{
	const struct session_listener *l =
		session_config_listener(s->server->config, s->view.listener);

	s->tls = l->context ? tls_new(l->context) : NULL;
	return s->tls != NULL;
}

/* session_tls_open - where TLS is implicit it begins with the connection, whatever is said */
bool session_tls_open(struct session *s)
{
	if (s->smtp.tls != SMTP_TLS_IMPLICIT)
		return true;
	if (!make(s)) {
		session_do(s, smtp_server_abort(&s->smtp), NULL);
		return false;
	}
	net_conn_secure(s->conn, &s->tls);
	return true;
}

/* starttls_no - why the handshake does not begin; without a stage it does */
static struct session_refusal starttls_no(struct session *s)
{
	if (buf_len(net_conn_in(s->conn)) > 0) {
		/* whoever wrote that wanted it to be read as if it had come through TLS */
		struct session_refusal no = session_refusal_own(
			"starttls", 554, "5.5.1", "nothing may stand behind STARTTLS");

		counter_add(COUNTER_TLS_INJECTED, 1);
		no.verdict.kind = VERDICT_DROP;
		return no;
	}
	if (!make(s))
		return session_refusal_own("starttls", 454, "4.7.0", "TLS is not available now");
	return (struct session_refusal){ .stage = NULL };
}

void session_tls_answer(struct session *s)
{
	struct session_refusal no = starttls_no(s);
	struct smtp_verdict v = session_verdict_smtp(&no.verdict);

	session_do(s, smtp_server_verdict(&s->smtp, &v), no.stage ? &no : NULL);
}

void session_tls_begin(struct session *s)
{
	net_conn_secure(s->conn, &s->tls);
	session_enter(s, SESSION_SECURING);
}

/* view_facts - the texts live as long as the connection */
static void view_facts(struct session *s, const struct tls_facts *f)
{
	s->view.tls = (struct policy_tls){
		.version = str_of(f->version),
		.cipher = str_of(f->cipher),
		.name = arena_str(&s->arena, str_of(f->name)),
		.is_resumed = f->is_resumed,
		.fingerprint = arena_str(&s->arena, str_of(f->fingerprint)),
		.subject = arena_str(&s->arena, str_of(f->subject)),
		.is_verified = f->is_verified,
		.problem = str_of(f->problem),
	};
}

static void forget(struct session *s)
{
	s->view.helo = STR_NONE;
	s->view.is_esmtp = false;
	if (s->is_trusted_at_connect)
		return;
	s->view.is_trusted = false;
	s->view.trust_reason = s->view.trust_rule = STR_NONE;
}

static void count(const struct tls_facts *f)
{
	counter_add(COUNTER_TLS_HANDSHAKES, 1);
	if (f->is_resumed)
		counter_add(COUNTER_TLS_RESUMED, 1);
	if (str_eq(str_of(f->version), STR("TLSv1.3")))
		counter_add(COUNTER_TLS_1_3, 1);
	if (f->is_verified)
		counter_add(COUNTER_TLS_VERIFIED, 1);
}

void session_tls_secured(void *owner)
{
	struct session *s = owner;
	struct tls_facts facts;
	struct smtp_todo todo;

	net_conn_facts(s->conn, &facts);
	view_facts(s, &facts);
	count(&facts);
	forget(s);
	s->stage = "tls";
	session_enter(s, SESSION_READING);
	todo = smtp_server_secured(&s->smtp);
	if (todo.what != SMTP_ASK)
		session_do(s, todo, NULL);
	else if (session_ask(s, HOOK_TLS, NULL) == STEP_DONE)
		session_decided(s);
	session_pump(s);
}

void session_tls_ended(struct session *s, enum net_end end, const struct fault *why)
{
	enum counter counter = COUNTER_TLS_FAILED_GONE;

	if (end == NET_END_TLS)
		counter = failure_counter[net_conn_failure(s->conn)];
	if (end == NET_END_DEADLINE)
		counter = COUNTER_TLS_FAILED_TIMEOUT;
	counter_add(counter, 1);
	session_cause_set(&s->cause, &(struct session_refusal){
					     .stage = "tls", .verdict.text = str_of(why->text) });
}

void session_tls_renew(struct session *s)
{
	enum smtp_tls now = session_config_listener(s->config, s->view.listener)->tls;

	if (!s->smtp.is_secure && now != SMTP_TLS_IMPLICIT)
		smtp_server_tls(&s->smtp, now);
}
