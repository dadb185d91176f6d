#include "net_conn_core.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct net_conn *spares[NET_CONN_SPARES];
static unsigned nspares;

void net_conn_release(struct net_conn *c)
{
	buf_fini(&c->in);
	buf_fini(&c->out);
	net_wire_tls_fini(c);
	if (nspares < NET_CONN_SPARES)
		spares[nspares++] = c;
	else
		free(c);
}

static struct net_conn *make(struct net_loop *loop, int fd, const struct net_conn_options *o)
{
	struct net_conn *c = nspares ? spares[--nspares] : malloc(sizeof *c);

	if (!c)
		abort();
	memset(c, 0, sizeof *c);
	c->loop = loop;
	c->wire = &net_wire_plain;
	c->ops = o->ops;
	c->owner = o->owner;
	c->due = c->alarm_at = NET_FOREVER;
	buf_init(&c->in, o->in_max);
	buf_init(&c->out, o->out_max);
	net_watch_init(&c->watch, loop, fd, net_conn_ready);
	net_timer_init(&c->alarm, loop, net_conn_alarm);
	c->turn.run = net_conn_turn;
	return c;
}

struct net_conn *net_conn_new(struct net_loop *loop, int fd, const struct net_conn_options *o)
{
	struct net_conn *c = make(loop, fd, o);

	net_conn_enter(c, CONN_OPEN);
	net_watch_want(&c->watch, net_conn_interest(c));
	return c;
}

static int bind_from(int fd, const struct net_address *from, struct fault *why)
{
	char text[NET_ADDRESS_TEXT];
	int on = 1;

	/*
	 * The kernel chooses the port at connect, when it knows the peer: 60,000 connections per
	 * peer rather than in all.
	 */
	if (from->u.any.sa_family != AF_UNIX && net_address_port(from) == 0)
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(fd, &from->u.any, from->n) < 0)
		return fault_sys(why, "cannot send from %s", net_address_text(from, text));
	return 0;
}

struct net_conn *net_conn_connect(struct net_loop *loop, const struct net_address *to,
				  const struct net_address *from, const struct net_conn_options *o,
				  struct fault *why)
{
	char text[NET_ADDRESS_TEXT];
	struct net_conn *c;
	int on = 1, fd;

	fd = socket(to->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		fault_sys(why, "no socket for %s", net_address_text(to, text));
		return NULL;
	}
	if (from && bind_from(fd, from, why) < 0) {
		close(fd);
		return NULL;
	}
	if (to->u.any.sa_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	c = make(loop, fd, o);
	if (connect(fd, &to->u.any, to->n) < 0 && errno != EINPROGRESS) {
		c->broken = errno;
		net_loop_defer(loop, &c->turn);
		return c;
	}
	net_watch_want(&c->watch,
		       net_conn_interest(c)); /* when it succeeds at once, it is writable */
	return c;
}

struct buf *net_conn_in(struct net_conn *c)
{
	/* What is taken now may let us read again, or give memory back. */
	if (buf_room(&c->in) == 0 || (!c->is_landed && c->in.cap > NET_CONN_KEEP))
		net_loop_defer(c->loop, &c->turn);
	return &c->in;
}

bool net_conn_write(struct net_conn *c, struct str s)
{
	net_conn_flush_later(c);
	if (buf_add(&c->out, s))
		return true;
	c->is_full = true;
	return false;
}

struct buf *net_conn_out(struct net_conn *c)
{
	return &c->out;
}

void net_conn_flush_later(struct net_conn *c)
{
	net_loop_defer(c->loop, &c->turn);
}

bool net_conn_full(const struct net_conn *c)
{
	return buf_len(&c->out) > c->out.max / 2;
}

void net_conn_pause(struct net_conn *c)
{
	c->is_paused = true;
	c->is_waiting = c->is_guarded = false;
	net_loop_defer(c->loop, &c->turn);
}

void net_conn_guard(struct net_conn *c)
{
	net_conn_pause(c);
	c->is_guarded = buf_len(&c->in) == 0 && !c->wire->has_more(c);
}

void net_conn_resume(struct net_conn *c)
{
	c->is_paused = c->is_guarded = false;
	c->is_waiting = true;
	net_loop_defer(c->loop, &c->turn);
}

void net_conn_deadline(struct net_conn *c, uint64_t after_us)
{
	uint64_t now = net_loop_now(c->loop);

	c->due = after_us < NET_FOREVER - now ? now + after_us : NET_FOREVER;
	if (c->due >= c->alarm_at && net_timer_is_running(&c->alarm))
		return;
	if (c->due == NET_FOREVER)
		return;
	c->alarm_at = c->due;
	net_timer_start(&c->alarm, after_us);
}

void net_conn_peer(const struct net_conn *c, struct net_address *out)
{
	memset(out, 0, sizeof *out);
	out->n = sizeof out->u;
	if (getpeername(net_conn_fd(c), &out->u.any, &out->n) < 0)
		out->n = 0;
}

void net_conn_local(const struct net_conn *c, struct net_address *out)
{
	memset(out, 0, sizeof *out);
	out->n = sizeof out->u;
	if (getsockname(net_conn_fd(c), &out->u.any, &out->n) < 0)
		out->n = 0;
}

uint64_t net_conn_bytes_in(const struct net_conn *c)
{
	return c->bytes_in;
}

uint64_t net_conn_bytes_out(const struct net_conn *c)
{
	return c->bytes_out;
}

static struct net_conn *disown(struct net_conn **owned)
{
	struct net_conn *c = *owned;

	*owned = NULL;
	if (c) {
		assert(net_conn_is_owned(c));
		c->ops = NULL;
		c->owner = NULL;
	}
	return c;
}

void net_conn_close(struct net_conn **owned)
{
	struct net_conn *c = disown(owned);

	if (!c)
		return;
	if (c->state == CONN_CONNECTING || c->broken) {
		net_conn_die(c);
		return;
	}
	net_conn_enter(c, CONN_CLOSING);
	net_timer_start(&c->alarm, NET_LINGER);
	net_loop_defer(c->loop, &c->turn);
}

void net_conn_abort(struct net_conn **owned)
{
	struct net_conn *c = disown(owned);

	if (c)
		net_conn_die(c);
}
