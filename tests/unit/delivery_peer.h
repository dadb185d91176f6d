/*
 * delivery_peer - a scripted SMTP or LMTP server on loopback, in the same loop as what it tests.
 *
 * The local part of a recipient says what becomes of it: "550x@" is refused at RCPT with 550,
 * "lx452@" gets 452 after the body in LMTP, everything else 250. The rest is in struct
 * peer_script.
 */
#ifndef DELIVERY_PEER_H
#define DELIVERY_PEER_H

#include "buf.h"
#include "check.h"
#include "net_conn.h"
#include "net_listen.h"

enum peer_act {
	PEER_SAY,
	PEER_CLOSE,
	PEER_SILENT
}; /* say the reply; close instead; say nothing, ever */

struct peer_script {
	const char *greeting, *ehlo, *mail, *data, *final, *rset; /* NULL: the good one */
	enum peer_act at_mail, at_data, at_final;
	bool is_lmtp;
	bool is_slow;            /* one byte a turn */
	bool is_plain;           /* offers nothing */
	bool closes_after;       /* the connection is closed when it is idle after a message */
	unsigned endless;        /* lines of a greeting that does not end */
	const char *during_body; /* said as soon as the body begins */
};

struct peer {
	struct net_loop *loop;
	struct net_listen *listen;
	struct peer_script script;
	char hop[160];
	struct buf log,
		messages; /* commands; bodies as they came over the wire, without the end mark */
	unsigned connections, finished, rcpts;
	char finals[64][4];
	struct list conns;
};

struct peer_conn {
	struct peer *peer;
	struct list node;
	struct net_conn *conn;
	struct buf out;
	struct net_deferred turn;
	bool in_body, was_idle_closed, in_start;
	unsigned nrcpts;
	char finals[64][4];
};

static void peer_gone(struct peer_conn *c)
{
	list_remove(&c->node);
	net_deferred_cancel(&c->turn);
	net_conn_close(&c->conn);
	buf_fini(&c->out);
	free(c);
}

static void peer_drip(struct net_deferred *d)
{
	struct peer_conn *c = container_of(d, struct peer_conn, turn);
	size_t n = c->peer->script.is_slow ? 1 : buf_len(&c->out);

	if (n > buf_len(&c->out))
		return;
	(void)net_conn_write(c->conn, str_head(buf_str(&c->out), n));
	buf_take(&c->out, n);
	if (buf_len(&c->out) > 0)
		net_loop_defer_next(c->peer->loop, &c->turn);
}

static void peer_say(struct peer_conn *c, const char *line)
{
	assert_true(buf_add(&c->out, str_of(line)) && buf_add(&c->out, STR("\r\n")));
	net_loop_defer(c->peer->loop, &c->turn);
}

static const char *peer_or(const char *text, const char *good)
{
	return text ? text : good;
}

static bool peer_is_digits(struct str s)
{
	uint64_t n;

	return s.n == 3 && str_u64(s, 999, &n);
}

static void peer_rcpt(struct peer_conn *c, struct str line)
{
	ptrdiff_t begin = str_find(line, '<'), at = str_find(line, '@');
	struct str local = begin < 0 || at < begin
				   ? STR_NONE
				   : (struct str){ line.p + begin + 1, (size_t)(at - begin - 1) };
	char reply[64];

	if (local.n > 3 && peer_is_digits(str_head(local, 3))) {
		(void)snprintf(reply, sizeof reply, "%.3s %c.1.1 no thanks", local.p, local.p[0]);
		peer_say(c, reply);
		return;
	}
	assert_true(c->nrcpts < COUNT(c->finals));
	(void)snprintf(c->finals[c->nrcpts++], 4, "%.3s",
		       local.n > 4 && peer_is_digits(str_drop(local, local.n - 3))
			       ? local.p + local.n - 3
			       : "250");
	peer_say(c, "250 2.1.5 fine");
}

/* peer_act - false: the connection is gone */
static bool peer_act(struct peer_conn *c, enum peer_act act, const char *reply)
{
	if (act == PEER_CLOSE) {
		peer_gone(c);
		return false;
	}
	if (act == PEER_SAY)
		peer_say(c, reply);
	return true;
}

static bool peer_command(struct peer_conn *c, struct str line)
{
	const struct peer_script *s = &c->peer->script;

	assert_true(buf_add(&c->peer->log, line) && buf_byte(&c->peer->log, '\n'));
	if (str_has_prefix(line, STR("EHLO")) || str_has_prefix(line, STR("LHLO"))) {
		peer_say(c, peer_or(s->ehlo,
				    s->is_plain ? "250 peer"
						: "250-peer\r\n250-PIPELINING\r\n250 8BITMIME"));
	} else if (str_has_prefix(line, STR("MAIL"))) {
		c->nrcpts = 0;
		return peer_act(c, s->at_mail, peer_or(s->mail, "250 2.1.0 fine"));
	} else if (str_has_prefix(line, STR("RCPT"))) {
		peer_rcpt(c, line);
	} else if (str_has_prefix(line, STR("DATA"))) {
		c->in_body = c->in_start = peer_or(s->data, "354")[0] == '3' && c->nrcpts > 0;
		if (!c->in_body && !s->data) {
			peer_say(c, "554 5.5.1 no valid recipients");
			return true;
		}
		if (!peer_act(c, s->at_data, peer_or(s->data, "354 go on")))
			return false;
		if (s->during_body)
			peer_say(c, s->during_body);
	} else if (str_has_prefix(line, STR("QUIT"))) {
		peer_say(c, "221 2.0.0 bye");
	} else {
		peer_say(c, peer_or(s->rset, "250 2.0.0 fine"));
	}
	return true;
}

static bool peer_finish(struct peer_conn *c)
{
	const struct peer_script *s = &c->peer->script;
	char reply[64];

	c->in_body = false;
	c->peer->finished++;
	assert_true(buf_byte(&c->peer->messages, '\f'));
	if (s->at_final != PEER_SAY || !s->is_lmtp)
		return peer_act(c, s->at_final, peer_or(s->final, "250 2.0.0 queued as X"));
	for (unsigned i = 0; i < c->nrcpts; i++) {
		(void)snprintf(reply, sizeof reply, "%s %c.0.0 final", c->finals[i],
			       c->finals[i][0]);
		peer_say(c, reply);
	}
	return true;
}

static void peer_readable(void *owner)
{
	struct peer_conn *c = owner;

	for (;;) {
		struct buf *in = net_conn_in(c->conn);
		struct str all = buf_str(in), line;
		ptrdiff_t end = str_find(all, '\n');

		if (end < 0)
			return;
		line = str_head(all, (size_t)end + 1);
		if (c->in_body && !str_eq(line, STR(".\r\n"))) {
			assert_true(buf_add(&c->peer->messages, line));
		} else if (c->in_body ? !peer_finish(c) : !peer_command(c, str_trim(line))) {
			return;
		}
		buf_take(in, line.n);
		if (c->peer->script.closes_after && !c->in_body && str_eq(line, STR(".\r\n"))) {
			peer_drip(&c->turn);
			peer_gone(c);
			return;
		}
	}
}

static void peer_ended(void *owner, enum net_end end, const struct fault *why)
{
	(void)end;
	(void)why;
	peer_gone(owner);
}

static void peer_accepted(void *owner, int fd)
{
	static const struct net_conn_ops ops = { .readable = peer_readable, .ended = peer_ended };
	struct peer *p = owner;
	struct peer_conn *c = calloc(1, sizeof *c);
	struct net_conn_options o = {
		.ops = &ops, .owner = c, .in_max = 1 << 17, .out_max = 1 << 17
	};

	assert_non_null(c);
	c->peer = p;
	c->turn.run = peer_drip;
	buf_init(&c->out, 1 << 20);
	c->conn = net_conn_new(p->loop, fd, &o);
	net_conn_deadline(c->conn, NET_FOREVER);
	list_append(&p->conns, &c->node);
	p->connections++;
	for (unsigned i = 0; i < p->script.endless; i++)
		peer_say(c, "220-and so on");
	if (!p->script.endless)
		peer_say(c, peer_or(p->script.greeting, "220 peer ESMTP"));
}

/* peer_open - at an address like "127.0.0.1:0" or "unix:/path"; p->hop is how to get there */
static void peer_open(struct peer *p, struct net_loop *loop, const char *at, const char *scheme)
{
	struct net_address address;
	char text[NET_ADDRESS_TEXT];
	struct fault why = { 0 };
	int fd;

	*p = (struct peer){ .loop = loop };
	list_init(&p->conns);
	buf_init(&p->log, 1 << 20);
	buf_init(&p->messages, 64 << 20);
	assert_int_equal(net_address_parse(str_of(at), &address, &why), 0);
	fd = net_listen_open(&address, &why);
	if (fd < 0)
		fail_msg("%s", why.text);
	address.n = sizeof address.u;
	assert_int_equal(getsockname(fd, &address.u.any, &address.n), 0);
	(void)snprintf(p->hop, sizeof p->hop, "%s%s", scheme, net_address_text(&address, text));
	p->listen = net_listen_new(loop, fd, peer_accepted, p);
	p->script.is_lmtp = strcmp(scheme, "lmtp:") == 0;
}

static void peer_hang_up(struct peer *p)
{
	while (!list_is_empty(&p->conns))
		peer_gone(LIST_ITEM(p->conns.next, struct peer_conn, node));
}

static void peer_close(struct peer *p)
{
	peer_hang_up(p);
	net_listen_close(&p->listen);
	buf_fini(&p->log);
	buf_fini(&p->messages);
}

#endif
