/*
 *   new -> ASKING ----> READING <-----> ASKING        session_command(), session_decided()
 *         (connect)      |    ^
 *                    354 |    | the reply behind the data
 *                        v    |
 *                       BODY  +--- SPOOLING           (commit)
 *                       ^  ^          ^
 *                       |  +----------+             no room in the slot: session_slot.c
 *                       +---> ASKING                  headers, message, message_rcpt
 *
 *   ASKING (connect) or READING (STARTTLS) -> SECURING -> READING or ASKING (tls)   session_tls.c
 *
 *   any but LEAVING, DEAD -> LEAVING -> DEAD          session_leave(), session_bury()
 *
 * True in     READING     no question is open, the spool owes nothing
 *           BODY        a transaction; the machine is in BODY or ENDED
 *           ASKING      a question is open; the connection is paused
 *           SECURING    the handshake runs: no byte of the session is shown
 *           SPOOLING    a transaction in the list of waiting ones; the connection is paused
 *           LEAVING     no connection, no transaction; `disconnect` is being asked
 *           DEAD        nothing: memory goes at the end of the turn
 *
 * session_enter() is the only setter.
 */
#include "session_private.h"

#include <assert.h>
#include <stdlib.h>

#include "counter.h"

/* clang-format off */
const char *const session_state_name[SESSION_STATES] = {
	[SESSION_READING] = "reading",   [SESSION_BODY] = "body",       [SESSION_ASKING] = "asking",
	[SESSION_SECURING] = "securing",
	[SESSION_SPOOLING] = "spooling", [SESSION_LEAVING] = "leaving", [SESSION_DEAD] = "dead",
};
/* clang-format on */

static uint64_t now_of(const struct session *s)
{
	return net_loop_now(s->server->loop);
}

/*
 * left - of the time that a session may take; the policy and the spool have bounds of their own,
 * which are shorter
 */
static uint64_t left(const struct session *s)
{
	uint64_t spent = now_of(s) - s->began_us, all = s->config->o.session_us;

	return spent < all ? all - spent : 1;
}

static void set_deadline(struct session *s, uint64_t after_us)
{
	uint64_t rest = left(s);

	net_conn_deadline(s->conn, after_us < rest ? after_us : rest);
}

/* is_sending - its SUBMIT comes soon, or waits to be durable */
static bool is_sending(enum session_state state)
{
	return state == SESSION_BODY || state == SESSION_SPOOLING;
}

void session_enter(struct session *s, enum session_state state)
{
	enum session_state before = s->state;

	assert(before != SESSION_DEAD && (before != SESSION_LEAVING || state == SESSION_DEAD));
	s->state = state;
	s->server->sending += is_sending(state);
	s->server->sending -= is_sending(before);
	if (before == SESSION_SPOOLING && s->tx)
		session_server_unwait(s->tx);
	switch (state) {
	case SESSION_READING:
		set_deadline(s, s->config->o.command_us);
		net_conn_resume(s->conn);
		break;
	case SESSION_SECURING:
		set_deadline(s, s->config->o.handshake_us);
		net_conn_resume(s->conn);
		break;
	case SESSION_BODY:
		set_deadline(s, s->config->o.data_us);
		net_conn_resume(s->conn);
		break;
	case SESSION_ASKING:
		set_deadline(s, UINT64_MAX);
		net_conn_guard(s->conn);
		break;
	case SESSION_SPOOLING:
		set_deadline(s, UINT64_MAX);
		net_conn_pause(s->conn);
		session_server_wait(s->tx);
		break;
	case SESSION_LEAVING:
	case SESSION_DEAD:
	case SESSION_STATES:
		break;
	}
}

void session_check(const struct session *s)
{
	smtp_server_check(&s->smtp);
	assert((s->conn == NULL) == (s->state >= SESSION_LEAVING));
	assert((s->state == SESSION_ASKING) == (s->question.task && s->conn));
	assert(s->tx || (s->state != SESSION_BODY && s->state != SESSION_SPOOLING));
	assert(!s->tx || s->tx->session == s);
	assert(!s->tx || list_is_empty(&s->tx->waits) == (s->state != SESSION_SPOOLING));
}

/* ---- what is said */

static bool has_transaction(const struct smtp_server *m)
{
	switch (m->phase) {
	case SMTP_MAIL:
	case SMTP_RCPT:
	case SMTP_BODY:
	case SMTP_ENDED:
		return true;
	case SMTP_READY:
		return m->asking == SMTP_ASK_MAIL;
	case SMTP_GREETING:
	case SMTP_START:
	case SMTP_SECURING:
	case SMTP_DENIED:
	case SMTP_OVER:
	case SMTP_PHASES:
		break;
	}
	return false;
}

/*
 * note - a no is remembered where it belongs; that of a rule is not forgotten for what the machine
 * says to commands after it
 */
static void note(struct session *s, const struct smtp_todo *todo, const struct session_refusal *by)
{
	struct session_refusal own = { .stage = s->stage };
	struct session_cause *cause = s->tx ? &s->tx->cause : &s->cause;
	bool is_final = s->tx && s->tx->outcome == SESSION_REFUSED;

	if (!by && cause->verdict && !is_final)
		return;
	if (!by) {
		own.verdict.code = todo->code;
		own.verdict.text = todo->text;
		(void)str_copy(own.verdict.esc, sizeof own.verdict.esc, todo->esc);
		by = &own;
	}
	session_cause_set(cause, by);
}

static void say(struct session *s, struct smtp_todo *todo)
{
	bool fits = smtp_server_write(&s->smtp, todo, net_conn_out(s->conn));

	assert(fits); /* turn() takes no command while the output is half full */
	net_conn_flush_later(s->conn);
}

void session_do(struct session *s, struct smtp_todo todo, const struct session_refusal *by)
{
	if (todo.code >= 400)
		note(s, &todo, by);
	switch (todo.what) {
	case SMTP_ASK:
		assert(!"a question is asked where its subject is known");
		break;
	case SMTP_REPLY:
		say(s, &todo);
		break;
	case SMTP_REPLY_BODY:
		say(s, &todo);
		session_data_begin(s);
		break;
	case SMTP_REPLY_SECURE:
		say(s, &todo);
		session_tls_begin(s);
		break;
	case SMTP_SECURE:
		session_enter(s, SESSION_SECURING);
		break;
	case SMTP_NOTHING:
		break;
	case SMTP_REPLY_CLOSE:
		say(s, &todo);
		session_leave(s, todo.code == 221 ? "quit" : "closed");
		break;
	case SMTP_CLOSE:
		session_leave(s, "aborted");
		break;
	}
	if (s->tx && !has_transaction(&s->smtp))
		session_tx_end(s);
}

/* ---- commands */

static void put_text(char *to, size_t size, struct str s, struct str *view)
{
	*view = (struct str){ to, str_copy(to, size, s) };
}

/* refuse_for_now - the client's queue is a better place to wait than ours */
static void refuse_for_now(struct session *s, const char *stage, const char *text)
{
	struct session_refusal no = session_refusal_own(stage, 452, "4.3.1", text);
	struct smtp_verdict v = session_verdict_smtp(&no.verdict);

	session_do(s, smtp_server_verdict(&s->smtp, &v), &no);
}

/*
 * has_room - as far as the spool told: before a body is sent that could only be refused at its end
 */
static bool has_room(const struct session *s, uint64_t size)
{
	switch (s->server->room) {
	case IPC_ROOM_NONE:
		return false;
	case IPC_ROOM_SMALL:
		return size <= IPC_BODY_INLINE;
	case IPC_ROOM_ALL:
	case IPC_ROOMS:
		break;
	}
	return true;
}

/* ask - the machine has a question; what it is about becomes visible to policy first */
static enum step ask(struct session *s, const struct smtp_command *c)
{
	struct policy_rcpt *rcpt;

	switch (s->smtp.asking) {
	case SMTP_ASK_HELLO:
		put_text(s->helo, sizeof s->helo, c->argument, &s->view.helo);
		s->view.is_esmtp = c->verb != VERB_HELO;
		return session_ask(s, HOOK_EHLO, NULL);
	case SMTP_ASK_MAIL:
		return session_rcpt_begin(s, c) ? session_ask(s, HOOK_MAIL, NULL) : STEP_ERROR;
	case SMTP_ASK_RCPT:
		rcpt = session_rcpt_add(s, c);
		return rcpt ? session_ask(s, HOOK_RCPT, rcpt) : STEP_ERROR;
	case SMTP_ASK_DATA:
		return session_tx_charge(s->tx) ? session_ask(s, HOOK_DATA, NULL) : STEP_ERROR;
	case SMTP_ASK_NONE:
	case SMTP_ASK_CONNECT:
	case SMTP_ASK_MESSAGE:
	case SMTP_ASK_STARTTLS:
	case SMTP_ASK_TLS:
		break;
	}
	assert(!"no command asks that");
	return STEP_ERROR;
}

/* renew - a transaction begins under the options of its time */
static void renew(struct session *s)
{
	if (s->config == s->server->config)
		return;
	session_config_drop(&s->config);
	s->config = session_config_take(s->server->config);
	s->smtp.limits = &s->config->limits;
	s->smtp.host = s->config->o.hostname;
	session_tls_renew(s);
}

static void command(struct session *s, struct str line)
{
	uint32_t errors = s->smtp.errors;
	struct smtp_command c;
	struct smtp_todo todo;

	counter_add(COUNTER_COMMANDS, 1);
	if (s->server->is_draining && !s->tx) {
		session_stop(s, SMTP_STOP_DRAIN, "drain");
		return;
	}
	smtp_command_parse(line, smtp_server_offers(&s->smtp), &c);
	s->stage = smtp_verb_name(c.verb);
	if (c.verb == VERB_MAIL && s->smtp.phase == SMTP_READY)
		renew(s);
	todo = smtp_server_command(&s->smtp, &c);
	counter_add(COUNTER_COMMAND_ERRORS, s->smtp.errors - errors);
	s->view.errors = s->smtp.errors;
	if (todo.what != SMTP_ASK) {
		if (c.verb == VERB_RCPT && !c.flaw && s->tx && todo.code >= 400)
			session_rcpt_note(s, &c, &todo);
		session_do(s, todo, NULL);
		return;
	}
	if (s->smtp.asking == SMTP_ASK_STARTTLS) {
		session_tls_answer(s);
		return;
	}
	if (s->smtp.asking == SMTP_ASK_MAIL && !has_room(s, c.params.size)) {
		refuse_for_now(s, "spool", "the store is full, try again later");
		return;
	}
	switch (ask(s, &c)) {
	case STEP_DONE:
		session_decided(s);
		break;
	case STEP_MORE:
		break;
	case STEP_ERROR:
		refuse_for_now(s, "memory", "too much mail at once, try again later");
		break;
	}
}

/* ---- bytes */

static void bad_line(struct session *s, enum smtp_line_flaw flaw)
{
	uint32_t errors = s->smtp.errors;

	counter_add(COUNTER_COMMANDS, 1);
	if (flaw != SMTP_LINE_TOO_LONG)
		counter_add(COUNTER_SMUGGLING, 1);
	s->is_skipping = flaw == SMTP_LINE_TOO_LONG;
	s->skip = SMTP_LINE_SKIP;
	s->stage = "line";
	session_do(s, smtp_server_line(&s->smtp, flaw), NULL);
	counter_add(COUNTER_COMMAND_ERRORS, s->smtp.errors - errors);
	s->view.errors = s->smtp.errors;
}

/* skip_line - find the end of a line that was too long; true: found, or the session is over */
static bool skip_line(struct session *s)
{
	struct buf *b = net_conn_in(s->conn);
	struct str in = buf_str(b), rest = in;
	enum step step = smtp_line_skip(&rest, &s->skip);

	buf_take(b, in.n - rest.n);
	s->is_skipping = step == STEP_MORE;
	if (step == STEP_ERROR)
		session_do(s, smtp_server_abort(&s->smtp), NULL);
	return step != STEP_MORE;
}

/*
 * take_line - one command from the input; it is copied, since a transaction may want the buffer
 * while it is looked at
 */
static bool take_line(struct session *s)
{
	struct buf *b = net_conn_in(s->conn), *line = &s->server->line;
	struct str in = buf_str(b), rest = in;
	struct smtp_line got;

	switch (smtp_line_take(&rest, s->config->o.command_line, &got)) {
	case STEP_DONE:
		buf_reset(line);
		(void)buf_add(line, got.text);
		buf_take(b, in.n - rest.n);
		command(s, buf_str(line));
		break;
	case STEP_MORE:
		return false;
	case STEP_ERROR:
		bad_line(s, got.flaw);
		break;
	}
	if (s->state == SESSION_READING)
		/* of a whole command: a byte now and then buys no time */
		set_deadline(s, s->config->o.command_us);
	return true;
}

static bool turn(struct session *s)
{
	switch (s->state) {
	case SESSION_READING:
		if (net_conn_full(s->conn))
			return false;
		return s->is_skipping ? skip_line(s) : take_line(s);
	case SESSION_BODY:
		return session_data_turn(s);
	case SESSION_ASKING:
	case SESSION_SECURING:
	case SESSION_SPOOLING:
	case SESSION_LEAVING:
	case SESSION_DEAD:
	case SESSION_STATES:
		break;
	}
	return false;
}

/*
 * session_pump - take commands and octets until policy or spool owes an answer, or the peer stops
 * reading
 */
void session_pump(struct session *s)
{
	while (turn(s))
		;
	if (s->server->is_draining)
		session_drain(s);
	session_check(s);
}

static void readable(void *owner)
{
	session_pump(owner);
}

static void ended(void *owner, enum net_end end, const struct fault *why)
{
	struct session *s = owner;

	if (end == NET_END_TLS || s->state == SESSION_SECURING)
		session_tls_ended(s, end, why);
	switch (end) {
	case NET_END_PEER:
		session_leave(s, "peer closed");
		break;
	case NET_END_ERROR:
		session_leave(s, "connection broke");
		break;
	case NET_END_TLS:
		session_leave(s, "tls failed");
		break;
	case NET_END_DEADLINE:
		session_stop(s, SMTP_STOP_TIMEOUT, "timeout");
		break;
	case NET_ENDS:
		break;
	}
}

/* ---- birth and death */

static const struct net_conn_ops conn_ops = {
	.secured = session_tls_secured, .readable = readable, .drained = readable, .ended = ended
};

static void die(struct net_deferred *d)
{
	struct session *s = container_of(d, struct session, death);
	struct session_server *server = s->server;

	list_remove(&s->node);
	session_config_drop(&s->config); /* not before: the machine's limits are in it */
	if (server->nspare_sessions < SESSION_SPARES) {
		server->nspare_sessions++;
		list_append(&server->spare_sessions, &s->node);
	} else {
		session_free(&s);
	}
}

void session_free(struct session **owned)
{
	struct session *s = *owned;

	*owned = NULL;
	net_deferred_cancel(&s->death);
	session_config_drop(&s->config);
	arena_fini(&s->arena);
	free(s);
}

static struct session *take_spare(struct session_server *server)
{
	struct list *node = list_take(&server->spare_sessions);
	struct session *s;

	if (node) {
		struct arena arena;

		server->nspare_sessions--;
		s = LIST_ITEM(node, struct session, node);
		arena = s->arena;
		*s = (struct session){ .arena = arena };
		return s;
	}
	s = calloc(1, sizeof *s);
	if (!s)
		abort();
	arena_init(&s->arena, SESSION_ARENA);
	return s;
}

static void look_at_peer(struct session *s, const struct net_address *peer)
{
	char text[NET_ADDRESS_TEXT];
	struct net_address address;

	net_conn_peer(s->conn, &address);
	if (peer)
		address = *peer;
	put_text(s->peer_ip, sizeof s->peer_ip, str_of(net_address_host(&address, text)),
		 &s->view.peer_ip);
	s->view.peer_port = net_address_port(&address);
	s->view.is_local = net_address_is_local(&address);
	net_conn_local(s->conn, &address);
	put_text(s->local_ip, sizeof s->local_ip, str_of(net_address_host(&address, text)),
		 &s->view.local_ip);
	s->view.local_port = net_address_port(&address);
}

struct session *session_new(struct session_server *server, int fd, struct str listener,
			    const struct net_address *peer)
{
	struct session *s = take_spare(server);
	struct net_conn_options o = {
		.ops = &conn_ops, .owner = s, .in_max = SESSION_IN, .out_max = SESSION_OUT
	};
	uint64_t wall = net_loop_wall(server->loop);

	s->server = server;
	s->config = session_config_take(server->config);
	s->death.run = die;
	s->began_us = net_loop_now(server->loop);
	list_init(&s->node);
	policy_conn_init(&s->view, &s->arena);
	s->view.id = id_make(wall, s->config->o.edge);
	s->view.started_us = wall;
	s->view.listener = listener;
	s->conn = net_conn_new(server->loop, fd, &o);
	look_at_peer(s, peer);
	smtp_server_init(&s->smtp, s->config->o.hostname, &s->config->limits, false);
	smtp_server_tls(&s->smtp, session_config_listener(s->config, listener)->tls);
	(void)smtp_server_connect(&s->smtp);
	server->count++;
	list_append(&server->sessions, &s->node);
	counter_add(COUNTER_SESSIONS, 1);
	gauge_move(GAUGE_SESSIONS_OPEN, 1);
	session_enter(s, SESSION_READING);
	if (session_tls_open(s) && session_ask(s, HOOK_CONNECT, NULL) == STEP_DONE)
		session_decided(s);
	return s;
}

void session_stop(struct session *s, enum smtp_stop why, const char *end)
{
	session_unask(s);
	s->end = end;
	s->stage = "session";
	session_do(s, smtp_server_stop(&s->smtp, why), NULL);
}

void session_drain(struct session *s)
{
	if (s->state == SESSION_READING && !s->tx && s->smtp.phase != SMTP_OVER &&
	    buf_len(net_conn_in(s->conn)) == 0)
		session_stop(s, SMTP_STOP_DRAIN, "drain");
}

void session_leave(struct session *s, const char *end)
{
	session_unask(s);
	if (!s->end)
		s->end = end;
	tls_free(&s->tls);
	s->bytes_in = net_conn_bytes_in(s->conn);
	s->bytes_out = net_conn_bytes_out(s->conn) + buf_len(net_conn_out(s->conn));
	if (s->tx)
		session_tx_end(s);
	net_conn_close(&s->conn);
	session_enter(s, SESSION_LEAVING);
	if (session_ask(s, HOOK_DISCONNECT, NULL) == STEP_DONE)
		session_bury(s);
}

void session_bury(struct session *s)
{
	struct session_server *server = s->server;

	session_event_session(s);
	histogram_add(HISTOGRAM_SESSION_TIME, now_of(s) - s->began_us);
	gauge_move(GAUGE_SESSIONS_OPEN, -1);
	session_unask(s);
	policy_conn_fini(&s->view);
	arena_reset(&s->arena);
	server->count--;
	list_remove(&s->node);
	list_append(&server->dying, &s->node);
	session_enter(s, SESSION_DEAD);
	net_loop_defer(server->loop, &s->death);
}
