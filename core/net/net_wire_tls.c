/*
 *   socket -> landing -> OpenSSL -> opened -> the owner
 *                |
 *                +----> held              what had no taker: the owner is full, or paused
 *
 *   the owner -> out -> OpenSSL -> sealed -> socket
 *
 * A record is opened only when it can be shown; so what waits, waits sealed, in `held` and in the
 * kernel. Until the handshake is over nothing leaves `out`.
 */
#include "net_conn_core.h"

#include <assert.h>
#include <stdlib.h>

struct net_tls {
	struct tls *tls;
	struct buf held, sealed;
	bool is_stuck;  /* OpenSSL has something to say, and `sealed` had no room */
	bool is_parted; /* close_notify was said */
};

static char opened[TLS_RECORD];

/* pull - open and show, as long as somebody wants it */
static void pull(struct net_conn *c, struct str *in)
{
	struct net_tls *t = c->tls;
	enum tls_event event = TLS_BYTES;

	while ((event == TLS_BYTES || event == TLS_SECURED) && net_conn_is_wanting(c)) {
		size_t room = buf_room(&c->in);
		struct buf plain = { .p = opened, .cap = sizeof opened };

		plain.max = room < sizeof opened ? room : sizeof opened;
		event = tls_receive(t->tls, in, &plain, &t->sealed);
		if (event == TLS_BYTES)
			net_wire_show(c, buf_str(&plain));
		else if (event == TLS_SECURED)
			c->ops->secured(c->owner);
	}
	t->is_stuck = event == TLS_ROOM;
	if (event == TLS_FAILED)
		net_conn_end(c, NET_END_TLS);
	if (event == TLS_CLOSED) {
		c->is_eof = true;
		net_conn_end(c, NET_END_PEER);
	}
	net_loop_defer(c->loop, &c->turn); /* there may be an answer to send */
}

static bool secure_has_more(const struct net_conn *c)
{
	return buf_len(&c->tls->held) > 0 || c->tls->is_stuck || tls_has_more(c->tls->tls);
}

static void secure_read(struct net_conn *c)
{
	struct str got = net_wire_receive(c, NET_TLS_IN);

	if (!got.n)
		return;
	pull(c, &got);
	(void)buf_add(&c->tls->held, got); /* it was empty: else the socket is not read */
}

static void secure_more(struct net_conn *c)
{
	struct str rest = buf_str(&c->tls->held);
	size_t before = rest.n;

	if (c->tls->is_stuck && buf_len(&c->tls->sealed) > 0)
		return;
	pull(c, &rest);
	buf_take(&c->tls->held, before - rest.n);
}

/* is_talking - what the owner wrote can leave */
static bool is_talking(const struct net_conn *c)
{
	return tls_is_secured(c->tls->tls) && !c->tls->is_parted;
}

static bool secure_is_writing(const struct net_conn *c)
{
	return buf_len(&c->tls->sealed) > 0 ||
	       (is_talking(c) && (buf_len(&c->out) > 0 || c->state == CONN_CLOSING));
}

/* seal - move what fits from `out` to `sealed`, and say goodbye behind the last of it */
static void seal(struct net_conn *c)
{
	struct net_tls *t = c->tls;
	size_t before = buf_len(&c->out);

	if (!is_talking(c))
		return;
	if (!tls_send(t->tls, &c->out, &t->sealed) && c->state < CONN_ENDED)
		net_conn_end(c, NET_END_TLS);
	c->bytes_out += before - buf_len(&c->out);
	if (c->state != CONN_CLOSING || buf_len(&c->out) > 0 || buf_room(&t->sealed) < TLS_OVERHEAD)
		return;
	tls_close(t->tls, &t->sealed);
	t->is_parted = true;
}

static void secure_write(struct net_conn *c)
{
	struct net_tls *t = c->tls;

	do
		seal(c);
	while (buf_len(&t->sealed) > 0 && net_wire_send(c, &t->sealed));
	if (t->is_stuck && buf_len(&t->sealed) == 0)
		net_loop_defer(c->loop, &c->turn);
}

const struct net_wire net_wire_tls = { secure_read, secure_has_more, secure_more, secure_write,
				       secure_is_writing };

void net_wire_tls_explain(const struct net_conn *c, struct fault *why)
{
	(void)tls_failure(c->tls->tls, why);
}

void net_wire_tls_settle(struct net_conn *c)
{
	net_wire_settle(&c->tls->held);
	net_wire_settle(&c->tls->sealed);
}

void net_wire_tls_reset(struct net_conn *c)
{
	buf_reset(&c->tls->sealed);
	c->tls->is_parted = true;
}

void net_wire_tls_fini(struct net_conn *c)
{
	struct net_tls *t = c->tls;

	c->tls = NULL;
	if (!t)
		return;
	tls_free(&t->tls);
	buf_fini(&t->held);
	buf_fini(&t->sealed);
	free(t);
}

/* ---- calls */

void net_conn_secure(struct net_conn *c, struct tls **tls)
{
	struct net_tls *t = calloc(1, sizeof *t);
	struct str before = buf_str(&c->out);
	bool fits;

	if (!t)
		abort();
	assert(c->state == CONN_OPEN && !c->tls && buf_len(&c->in) == 0 && c->ops->secured);
	t->tls = *tls;
	*tls = NULL;
	buf_init(&t->held, NET_TLS_IN);
	buf_init(&t->sealed, NET_TLS_OUT);
	fits = buf_add(&t->sealed, before);
	assert(fits); /* our answer to STARTTLS, and nothing else */
	c->bytes_out += before.n;
	buf_reset(&c->out);
	c->tls = t;
	c->wire = &net_wire_tls;
	net_loop_defer(c->loop, &c->turn);
}

bool net_conn_is_secure(const struct net_conn *c)
{
	return c->tls && tls_is_secured(c->tls->tls);
}

void net_conn_facts(const struct net_conn *c, struct tls_facts *out)
{
	tls_facts(c->tls->tls, out);
}

enum tls_failure net_conn_failure(const struct net_conn *c)
{
	struct fault why;

	return tls_failure(c->tls->tls, &why);
}
