#include "net_conn_core.h"

#include <errno.h>

/*
 * Where every read lands first. The owner of an empty input buffer works on it in place and takes
 * what it can; only what is left moves to the connection's own memory. So reading 64 KiB costs no
 * copy, and waiting connections cost no buffer.
 */
static char landing[NET_READ];

struct str net_wire_receive(struct net_conn *c, size_t most)
{
	ssize_t n = recv(net_conn_fd(c), landing, most < sizeof landing ? most : sizeof landing,
			 MSG_DONTWAIT);

	if (n > 0)
		return (struct str){ landing, (size_t)n };
	if (n == 0) {
		c->is_eof = true;
		net_conn_end(c, NET_END_PEER);
	} else if (!net_wire_is_passing(errno)) {
		c->broken = errno;
		net_conn_end(c, NET_END_ERROR);
	}
	return STR_NONE;
}

ssize_t net_wire_drop(struct net_conn *c)
{
	return recv(net_conn_fd(c), landing, sizeof landing, MSG_DONTWAIT);
}

bool net_wire_send(struct net_conn *c, struct buf *from)
{
	struct str out = buf_str(from);
	ssize_t n = send(net_conn_fd(c), out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && !net_wire_is_passing(errno)) {
		net_conn_broke(c, errno);
		return false;
	}
	if (n > 0)
		buf_take(from, (size_t)n);
	c->is_blocked = n < (ssize_t)out.n;
	return !c->is_blocked;
}

void net_wire_show(struct net_conn *c, struct str s)
{
	struct buf own = c->in;

	c->bytes_in += s.n;
	if (buf_len(&own) > 0) {
		(void)buf_add(&c->in, s); /* the wire asked how much fits */
		c->ops->readable(c->owner);
		return;
	}
	c->in = (struct buf){
		.p = (char *)(uintptr_t)s.p, .tail = s.n, .cap = s.n, .max = own.max
	};
	c->is_landed = true;
	c->ops->readable(c->owner);
	c->is_landed = false;
	own.head = own.tail = 0;
	if (buf_len(&c->in) > 0)
		(void)buf_add(&own, buf_str(&c->in));
	c->in = own;
}

void net_wire_settle(struct buf *b)
{
	struct buf small = { .max = b->max };
	size_t n = buf_len(b);

	if (b->cap <= NET_CONN_KEEP)
		return;
	if (n == 0) {
		buf_shrink(b);
	} else if (n <= b->cap / 8) {
		(void)buf_add(&small, buf_str(b));
		buf_fini(b);
		*b = small;
	}
}

/* ---- as it is */

static void plain_read(struct net_conn *c)
{
	struct str got = net_wire_receive(c, buf_room(&c->in));

	if (got.n)
		net_wire_show(c, got);
}

static bool plain_has_more(const struct net_conn *c)
{
	(void)c;
	return false;
}

static void plain_more(struct net_conn *c)
{
	(void)c;
}

static bool plain_is_writing(const struct net_conn *c)
{
	return buf_len(&c->out) > 0;
}

static void plain_write(struct net_conn *c)
{
	size_t before = buf_len(&c->out);

	if (before == 0)
		return;
	(void)net_wire_send(c, &c->out);
	if (!c->broken)
		c->bytes_out += before - buf_len(&c->out);
}

const struct net_wire net_wire_plain = { plain_read, plain_has_more, plain_more, plain_write,
					 plain_is_writing };
