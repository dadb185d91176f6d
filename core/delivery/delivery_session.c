/*
 *   connect() --> CONNECTING --connected()--> BUSY --the lease is done--> IDLE --take()--> BUSY
 *                     |                        |                           |
 *                     | ended(), fail()        | CLOSE                     | quit()
 *                     |                        v                           v
 *                     +----------------------> OVER <----------------- QUITTING
 *
 * BUSY and CONNECTING have a lease, but for the moment between DONE and READY. OVER: the memory
 * is gone with it.
 */
#include "delivery_session.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "clock.h"
#include "counter.h"
#include "delivery_core.h"

static const struct net_conn_ops ops;

static void enter(struct delivery_session *s, enum session_phase phase)
{
	s->phase = phase;
}

/* ---- leases come and go */

static bool give(struct delivery_session *s, struct delivery_lease *l)
{
	struct smtp_mail *m = &l->mail;

	delivery_body_rewind(&l->body, STR_NONE);
	*m = (struct smtp_mail){ .sender = l->envelope.sender,
				 .n = l->nrcpts,
				 .size = delivery_body_size(&l->body),
				 .is_8bit = l->envelope.is_8bit };
	m->rcpts = arena_alloc(&l->arena, m->n * sizeof *m->rcpts);
	if (!m->rcpts)
		return false;
	for (unsigned i = 0; i < m->n; i++)
		m->rcpts[i].address = l->rcpts[i].envelope->address;
	s->lease = l;
	l->session = s;
	s->awaited.got = UINT_MAX;
	smtp_client_give(&s->client, m);
	return true;
}

static struct delivery_lease *take_back(struct delivery_session *s)
{
	struct delivery_lease *l = s->lease;

	s->lease = NULL;
	if (l)
		l->session = NULL;
	return l;
}

/* end - the session is over; its memory goes with it */
static void end(struct delivery_session *s)
{
	assert(!s->lease);
	enter(s, SESSION_OVER);
	delivery_pool_remove(s);
	net_deferred_cancel(&s->turn);
	net_conn_close(&s->conn);
	gauge_move(GAUGE_OUT_OPEN, -1);
	free(s);
}

void delivery_session_forget(struct delivery_session *s)
{
	(void)take_back(s);
	net_conn_abort(&s->conn);
	end(s);
}

void delivery_session_fail(struct delivery_session *s, struct str text)
{
	struct delivery_lease *l = take_back(s);

	assert(s->phase == SESSION_CONNECTING && l);
	end(s);
	delivery_lease_decide_all(l, &(struct delivery_said){ .outcome = IPC_OUTCOME_DEFER,
							      .esc = STR("4.4.1"),
							      .text = text });
	delivery_lease_go(l);
}

/* ---- waiting */

/* await - one deadline per awaited reply; bytes that do not complete it do not move it */
static void await(struct delivery_session *s, enum smtp_stage stage)
{
	uint64_t after = smtp_stage_seconds(stage) * CLOCK_SECOND;
	unsigned got = s->client.got;

	net_conn_flush_later(s->conn);
	if (s->awaited.stage == stage && s->awaited.got == got &&
	    s->awaited.progress == s->progress)
		return;
	s->awaited.stage = stage;
	s->awaited.got = got;
	s->awaited.progress = s->progress;
	if (s->lease) {
		uint64_t spent = net_loop_now(s->delivery->loop) - s->lease->started_us;
		uint64_t left = spent < DELIVERY_LONGEST ? DELIVERY_LONGEST - spent : 0;

		after = after < left ? after : left;
	}
	net_conn_deadline(s->conn, after);
}

/* ---- what the machine says */

static struct delivery_said said_of(struct delivery_session *s, const struct smtp_client_todo *t)
{
	static const enum ipc_outcome outcomes[] = {
		[SMTP_DELIVERED] = IPC_OUTCOME_DONE,
		[SMTP_DEFERRED] = IPC_OUTCOME_DEFER,
		[SMTP_FAILED] = IPC_OUTCOME_FAIL,
	};
	const struct smtp_reply *r = &s->client.reply;
	struct delivery_said said = { .outcome = outcomes[t->outcome],
				      .code = (uint16_t)r->code,
				      .esc = str_of(r->esc),
				      .text = { r->text, r->length },
				      .is_reply = r->code != 0,
				      .is_unsure = t->is_unsure,
				      .stage = t->stage };

	if (said.is_reply)
		return said;
	if (s->lease->body.is_lost)
		said.esc = STR("4.3.0");
	said.text = arena_printf(&s->lease->arena, "%s: %s, at stage %s", s->key->peer, r->text,
				 smtp_stage_name(t->stage));
	if (!said.text.p)
		said.text = STR("no reply");
	return said;
}

/*
 * is_stale - the connection had been idle too long for the other side: nothing was taken, nothing
 * is known about the mail
 */
static bool is_stale(const struct delivery_session *s, const struct smtp_client_todo *t)
{
	bool is_untouched = t->stage == SMTP_STAGE_MAIL || t->stage == SMTP_STAGE_RSET;
	int code = s->client.reply.code;

	return s->messages > 0 && s->client.phase == CLIENT_OVER && is_untouched &&
	       (code == 0 || code == 421) && t->outcome == SMTP_DEFERRED &&
	       s->lease->undecided ==
		       s->lease->nrcpts; /* once: a retried one gets a new connection */
}

static void over_again(struct delivery_session *s)
{
	struct delivery_lease *l = take_back(s);

	end(s);
	l->is_retried = true;
	l->is_started = false;
	delivery_lease_go(l);
}

/* result - false: the session is gone */
static bool result(struct delivery_session *s, const struct smtp_client_todo *t)
{
	struct delivery_said said;

	if (is_stale(s, t)) {
		over_again(s);
		return false;
	}
	s->progress++;
	said = said_of(s, t);
	if (said.is_unsure)
		counter_add(COUNTER_UNSURE, 1);
	delivery_lease_decide(s->lease, t->rcpt, &said);
	return true;
}

static void done(struct delivery_session *s)
{
	struct delivery_lease *l = take_back(s);

	s->messages++;
	s->progress++;
	if (l->undecided == 0)
		delivery_lease_go(l);
	else
		assert(!"the machine decides every recipient");
}

static void ready(struct delivery_session *s)
{
	if (s->phase != SESSION_BUSY)
		return;
	/* It answered before it read all of the message: no second one goes to whatever this is. */
	if (buf_len(net_conn_out(s->conn)) > 0 && s->messages > 0) {
		end(s);
		return;
	}
	net_conn_deadline(s->conn, NET_FOREVER); /* the pool sweeps */
	enter(s, SESSION_IDLE);
	delivery_pool_idle(s);
}

/* reserve - a small message grows its buffer once, not by doubling from the size of a command */
static void reserve(const struct delivery_body *b, struct buf *out)
{
	uint64_t size = delivery_body_size(b) + delivery_body_size(b) / 64 + 16;

	if (b->part == BODY_HEADER && size < buf_room(out))
		(void)buf_space(out, size);
}

/*
 * body - true: the machine has something to say about it; false: wait for the peer, or for the
 * spool
 */
static bool body(struct delivery_session *s)
{
	struct delivery_body *b = &s->lease->body;
	struct buf *out = net_conn_out(s->conn);
	struct str piece, rest = STR_NONE;

	reserve(b, out);
	while (rest.n == 0 && (piece = delivery_body_piece(b)).n > 0) {
		rest = piece;
		smtp_client_body(&s->client, &rest, out);
		if (s->client.phase != CLIENT_BODY)
			return true;
		delivery_body_took(b, piece.n - rest.n);
		s->progress += rest.n < piece.n;
	}
	if (b->is_lost) {
		smtp_client_lost(&s->client, STR("the message cannot be read from the spool"));
		return true;
	}
	if (delivery_body_is_end(b) && smtp_client_body_end(&s->client, out))
		return true;
	delivery_read(s->delivery, s->lease);
	await(s, SMTP_STAGE_BLOCK);
	return false;
}

/* carry_out - true: ask the machine again */
static bool carry_out(struct delivery_session *s, const struct smtp_client_todo *t)
{
	switch (t->what) {
	case SMTP_CLIENT_WAIT:
		await(s, t->stage);
		return false;
	case SMTP_CLIENT_READY:
		ready(s);
		return false;
	case SMTP_CLIENT_BODY:
		return body(s);
	case SMTP_CLIENT_RESULT:
		return result(s, t);
	case SMTP_CLIENT_DONE:
		done(s);
		return true;
	case SMTP_CLIENT_CLOSE:
		end(s);
		return false;
	}
	return false;
}

static void pump(struct delivery_session *s)
{
	struct smtp_client_todo todo;

	do {
		struct buf *in = net_conn_in(s->conn);
		struct str input = buf_str(in);
		size_t before = input.n;

		todo = smtp_client_next(&s->client, &input, net_conn_out(s->conn));
		buf_take(in, before - input.n);
	} while (carry_out(s, &todo));
}

/* ---- what the connection says */

static void connected(void *owner)
{
	struct delivery_session *s = owner;

	enter(s, SESSION_BUSY);
	delivery_pool_alive(s->key);
	pump(s);
}

static void moved(void *owner)
{
	pump(owner);
}

static void ended(void *owner, enum net_end how, const struct fault *why)
{
	struct delivery_session *s = owner;
	struct str text;

	if (s->phase == SESSION_CONNECTING) {
		text = arena_printf(&s->lease->arena, "%s: %s", s->key->peer, why->text);
		delivery_pool_dead(s->delivery, s->key, text.p ? text : STR("cannot connect"));
		return; /* it failed all that were connecting, this one too */
	}
	if (how == NET_END_DEADLINE)
		smtp_client_timeout(&s->client);
	else
		smtp_client_lost(&s->client, str_of(why->text));
	pump(s);
}

static const struct net_conn_ops ops = {
	.connected = connected, .readable = moved, .drained = moved, .ended = ended
};

static void turn(struct net_deferred *t)
{
	pump(container_of(t, struct delivery_session, turn));
}

/* ---- what the pool says */

int delivery_session_connect(struct delivery_key *key, struct delivery_lease *l, struct fault *why)
{
	struct delivery *d = l->delivery;
	struct delivery_session *s = calloc(1, sizeof *s);
	struct net_conn_options o = {
		.ops = &ops, .owner = s, .in_max = DELIVERY_IN, .out_max = DELIVERY_OUT
	};
	struct smtp_client_options options = { .is_lmtp = key->is_lmtp };

	if (!s)
		abort();
	options.hello = (struct str){ s->hello,
				      str_copy(s->hello, sizeof s->hello, d->settings.o.hostname) };
	smtp_client_init(&s->client, &options);
	s->delivery = d;
	s->key = key;
	s->turn.run = turn;
	list_init(&s->key_idle);
	list_init(&s->pool_idle);
	if (!give(s, l)) {
		free(s);
		return fault_set(why, "no memory");
	}
	s->conn = net_conn_connect(d->loop, &key->address, NULL, &o, why);
	if (!s->conn) {
		(void)take_back(s);
		free(s);
		return -1;
	}
	net_conn_deadline(s->conn, DELIVERY_CONNECT);
	list_append(&key->sessions, &s->node);
	counter_add(COUNTER_OUT_CONNECTIONS, 1);
	gauge_move(GAUGE_OUT_OPEN, 1);
	return 0;
}

void delivery_session_take(struct delivery_session *s, struct delivery_lease *l)
{
	assert(s->phase == SESSION_IDLE);
	delivery_pool_busy(s);
	enter(s, SESSION_BUSY);
	if (!give(s, l)) {
		enter(s, SESSION_IDLE);
		delivery_pool_idle(s);
		delivery_lease_decide_all(l, &(struct delivery_said){ .outcome = IPC_OUTCOME_DEFER,
								      .esc = STR("4.3.1"),
								      .text = STR("no memory") });
		return;
	}
	net_loop_defer(s->delivery->loop, &s->turn);
}

void delivery_session_more(struct delivery_session *s)
{
	net_loop_defer(s->delivery->loop, &s->turn);
}

void delivery_session_quit(struct delivery_session *s)
{
	assert(s->phase == SESSION_IDLE);
	delivery_pool_busy(s);
	enter(s, SESSION_QUITTING);
	s->awaited.got = UINT_MAX;
	smtp_client_quit(&s->client, net_conn_out(s->conn));
	net_loop_defer(s->delivery->loop, &s->turn);
}
