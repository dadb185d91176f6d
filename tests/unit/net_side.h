/*
 * net_side - an owner of a connection that records what it is told, and a bare socket as its peer.
 *
 * Every call into net_conn goes through CALL(), so that a callback inside it is a failure.
 */
#ifndef NET_SIDE_H
#define NET_SIDE_H

#include <errno.h>
#include <fcntl.h>

#include "net_conn.h"
#include "turns.h"

enum act { ACT_NONE, ACT_CLOSE, ACT_ABORT };

struct side {
	struct net_conn *c;
	int peer;
	struct buf got;
	size_t take;       /* at most, of what is shown; SIZE_MAX: all */
	const char *reply; /* written for every readable() */
	enum act on_connected, on_readable, on_drained, on_ended;
	unsigned connected, readable, drained, ended;
	enum net_end end;
	char why[sizeof((struct fault *)NULL)->text];
};

static bool is_inside;

#define CALL(statement)                                                                            \
	do {                                                                                       \
		bool was_ = is_inside;                                                             \
		is_inside = true;                                                                  \
		statement;                                                                         \
		is_inside = was_;                                                                  \
	} while (0)

static inline void act(struct side *s, enum act what)
{
	if (what == ACT_CLOSE)
		CALL(net_conn_close(&s->c));
	else if (what == ACT_ABORT)
		CALL(net_conn_abort(&s->c));
}

/*
 * told - a callback: not inside a call, not after the close, and with the calls in it watched
 * again
 */
static struct side *told(void *owner)
{
	struct side *s = owner;

	assert_false(is_inside);
	assert_non_null(s->c);
	return s;
}

static inline void side_connected(void *owner)
{
	struct side *s = told(owner);

	s->connected++;
	act(s, s->on_connected);
}

static inline void side_take(struct side *s)
{
	struct buf *in = net_conn_in(s->c);
	struct str head = str_head(buf_str(in), s->take);

	assert_true(buf_add(&s->got, head));
	buf_take(in, head.n);
}

static inline void side_readable(void *owner)
{
	struct side *s = told(owner);

	s->readable++;
	assert_true(buf_len(net_conn_in(s->c)) > 0);
	side_take(s);
	if (s->reply)
		CALL(assert_true(net_conn_write(s->c, str_of(s->reply))));
	act(s, s->on_readable);
}

static inline void side_drained(void *owner)
{
	struct side *s = told(owner);

	s->drained++;
	act(s, s->on_drained);
}

static inline void side_ended(void *owner, enum net_end end, const struct fault *why)
{
	struct side *s = told(owner);

	s->ended++;
	s->end = end;
	assert_true(why->text[0]);
	str_copy(s->why, sizeof s->why, str_of(why->text));
	act(s, s->on_ended);
}

static const struct net_conn_ops side_ops = {
	.connected = side_connected,
	.readable = side_readable,
	.drained = side_drained,
	.ended = side_ended,
};

static inline struct net_conn_options side_options(struct side *s, size_t in_max, size_t out_max)
{
	return (struct net_conn_options){
		.ops = &side_ops, .owner = s, .in_max = in_max, .out_max = out_max
	};
}

/* side_pair - over a socketpair of that type; SOCK_SEQPACKET shows which bytes left in one piece */
static inline void side_pair(struct net_loop *loop, struct side *s, int type, size_t in_max,
			     size_t out_max)
{
	struct net_conn_options o = side_options(s, in_max, out_max);
	int ends[2];

	memset(s, 0, sizeof *s);
	s->take = SIZE_MAX;
	buf_init(&s->got, 16 << 20);
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	s->peer = ends[1];
	CALL(s->c = net_conn_new(loop, ends[0], &o));
}

static inline void side_over(struct net_loop *loop, struct side *s)
{
	CALL(net_conn_abort(&s->c));
	if (s->peer >= 0)
		close(s->peer);
	buf_fini(&s->got);
	turn(loop);
}

static inline void peer_says(const struct side *s, const char *text)
{
	assert_int_equal(send(s->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void peer_hears(const struct side *s, const char *text)
{
	char got[256];
	ssize_t n = recv(s->peer, got, sizeof got, 0);

	if (n < 0 || (size_t)n != strlen(text) || memcmp(got, text, (size_t)n) != 0)
		fail_msg("the peer heard '%.*s' (%zd), not '%s'", (int)(n < 0 ? 0 : n), got, n,
			 text);
}

static inline void side_got(const struct side *s, const char *text)
{
	CHECK_STR(0, buf_str(&s->got), str_of(text));
}

static int loop_begin(void **state)
{
	clock_stop();
	*state = net_loop_new();
	return 0;
}

static int loop_end(void **state)
{
	net_loop_free((struct net_loop **)state);
	return *state != NULL;
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, loop_begin, loop_end)

#endif
