/* layer: net */
#include "net_conn.h"

#include "net_side.h"

static char bulk[4 << 20];

/*
 * hear_all - everything until the end; returns the errno of the end, 0 for a clean one, EAGAIN
 * while it is open
 */
static int hear_all(struct side *s)
{
	static char bytes[65536];

	for (;;) {
		ssize_t n = recv(s->peer, bytes, sizeof bytes, 0);

		if (n <= 0)
			return n == 0 ? 0 : errno;
		assert_true(buf_add(&s->got, (struct str){ bytes, (size_t)n }));
	}
}

/* is_gone - a byte sent there comes back as an error; that it does not fit yet is none */
static bool is_gone(const struct side *s)
{
	return send(s->peer, "x", 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN;
}

/* tcp_pair - a reset exists only over TCP */
static void tcp_pair(struct net_loop *loop, struct side *s, size_t in_max, size_t out_max)
{
	struct net_conn_options o = side_options(s, in_max, out_max);
	struct net_address at;
	int listening, fd;

	memset(s, 0, sizeof *s);
	s->take = SIZE_MAX;
	buf_init(&s->got, 16 << 20);
	assert_int_equal(net_address_parse(STR("127.0.0.1:0"), &at, NULL), 0);
	listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listening, &at.u.any, at.n), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, &at.u.any, &at.n), 0);
	s->peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(s->peer, &at.u.any, at.n), 0);
	assert_int_equal(fcntl(s->peer, F_SETFL, O_NONBLOCK), 0);
	fd = accept(listening, NULL, NULL);
	assert_true(fd >= 0);
	close(listening);
	CALL(s->c = net_conn_new(loop, fd, &o));
}

static void peer_resets(struct side *s)
{
	struct linger at_once = { .l_onoff = 1 };

	assert_int_equal(setsockopt(s->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
	close(s->peer);
	s->peer = -1;
}

TEST(the_last_bytes_are_shown_before_the_peers_end_is_told)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	peer_says(&s, "QUIT\r\n");
	shutdown(s.peer, SHUT_WR);
	UNTIL(*state, s.ended);
	side_got(&s, "QUIT\r\n");
	assert_int_equal(s.end, NET_END_PEER);
	CALL(assert_true(net_conn_write(s.c, STR("221 bye\r\n"))));
	CALL(net_conn_close(&s.c));
	assert_null(s.c);
	turn(*state);
	assert_int_equal(s.ended, 1);
	buf_reset(&s.got);
	assert_int_equal(hear_all(&s), 0);
	side_got(&s, "221 bye\r\n");
	side_over(*state, &s);
}

TEST(the_peers_end_waits_while_paused)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	CALL(net_conn_pause(s.c));
	peer_says(&s, "x");
	close(s.peer);
	s.peer = -1;
	for (int i = 0; i < 5; i++)
		turn(*state);
	assert_int_equal(s.ended + s.readable, 0);
	CALL(net_conn_resume(s.c));
	UNTIL(*state, s.ended);
	side_got(&s, "x");
	side_over(*state, &s);
}

TEST(a_reset_is_an_error_once)
{
	struct side s;

	tcp_pair(*state, &s, 1024, 1024);
	peer_resets(&s);
	UNTIL(*state, s.ended);
	assert_int_equal(s.end, NET_END_ERROR);
	assert_non_null(strstr(s.why, "reset"));
	CALL((void)net_conn_write(s.c, STR("too late")));
	turn(*state);
	turn(*state);
	assert_int_equal(s.ended, 1);
	side_over(*state, &s);
}

TEST(the_peers_last_words_come_before_the_error_of_a_write)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	peer_says(&s, "421 too busy\r\n");
	close(s.peer);
	s.peer = -1;
	CALL(assert_true(net_conn_write(
		s.c, STR("EHLO x\r\n")))); /* EPIPE at the end of this turn, no SIGPIPE */
	UNTIL(*state, s.ended);
	side_got(&s, "421 too busy\r\n");
	assert_int_equal(s.end, NET_END_ERROR);
	side_over(*state, &s);
}

TEST(a_deadline_ends_the_connection_when_it_passes_and_not_before)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	CALL(net_conn_deadline(s.c, 10000000));
	clock_ahead_us += 9000000;
	turn(*state);
	turn(*state);
	assert_int_equal(s.ended, 0);
	CALL(net_conn_deadline(s.c, 10000000)); /* a later one: the alarm at 10 s comes too early */
	clock_ahead_us += 9000000;
	for (int i = 0; i < 5; i++)
		turn(*state);
	assert_int_equal(s.ended, 0);
	clock_ahead_us += 1100000;
	UNTIL(*state, s.ended);
	assert_int_equal(s.end, NET_END_DEADLINE);
	CALL(assert_true(net_conn_write(s.c, STR("421 timeout\r\n"))));
	CALL(net_conn_close(&s.c));
	turn(*state);
	assert_int_equal(hear_all(&s), 0);
	side_got(&s, "421 timeout\r\n");
	side_over(*state, &s);
}

TEST(an_earlier_deadline_counts_and_none_never_comes)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	CALL(net_conn_deadline(s.c, 60000000));
	CALL(net_conn_deadline(s.c, NET_FOREVER));
	clock_ahead_us += 61000000;
	for (int i = 0; i < 5; i++)
		turn(*state);
	assert_int_equal(s.ended, 0);
	CALL(net_conn_deadline(s.c, 60000000));
	CALL(net_conn_deadline(s.c, 1000000));
	clock_ahead_us += 1100000;
	UNTIL(*state, s.ended);
	side_over(*state, &s);
}

TEST(a_connection_out_that_nobody_answers_ends_at_its_deadline)
{
	struct net_address at;
	int listening, number, fds[16];
	unsigned n = 0;
	struct side s;

	/*
	 * A queue of accepted connections that is full: the kernel drops further attempts in
	 * silence.
	 */
	assert_int_equal(net_address_parse(STR("127.0.0.1:0"), &at, NULL), 0);
	listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listening, &at.u.any, at.n), 0);
	assert_int_equal(listen(listening, 0), 0);
	assert_int_equal(getsockname(listening, &at.u.any, &at.n), 0);
	for (; n < COUNT(fds); n++) {
		fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(connect(fds[n], &at.u.any, at.n) == 0 || errno == EINPROGRESS);
	}
	memset(&s, 0, sizeof s);
	s.peer = -1;
	struct net_conn_options o = side_options(&s, 1024, 1024);
	assert_int_equal(close(number = dup(listening)), 0);
	CALL(s.c = net_conn_connect(*state, &at, NULL, &o, NULL));
	CALL(assert_true(net_conn_write(s.c, STR("EHLO x\r\n"))));
	CALL(net_conn_deadline(s.c, 30000000));
	for (int i = 0; i < 5; i++)
		turn(*state);
	assert_int_equal(s.connected + s.ended, 0);
	clock_ahead_us += 30100000;
	UNTIL(*state, s.ended);
	assert_int_equal(s.end, NET_END_DEADLINE);
	CALL(net_conn_close(&s.c));
	turn(*state);
	assert_int_equal(dup(listening), number); /* closed at once: nobody to linger for */
	close(number);
	close(listening);
	while (n > 0)
		close(fds[--n]);
}

TEST(a_close_lets_what_is_queued_out_first)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, sizeof bulk);
	CALL(assert_true(net_conn_write(s.c, (struct str){ bulk, sizeof bulk })));
	CALL(net_conn_close(&s.c));
	UNTIL(*state, hear_all(&s) == 0);
	assert_int_equal(buf_len(&s.got), sizeof bulk);
	side_over(*state, &s);
}

TEST(a_peer_that_does_not_read_is_left_after_the_linger)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, sizeof bulk);
	CALL(assert_true(net_conn_write(s.c, (struct str){ bulk, sizeof bulk })));
	CALL(net_conn_close(&s.c));
	turn(*state);
	clock_ahead_us += NET_LINGER - 100000;
	turn(*state);
	assert_true(send(s.peer, "x", 1, MSG_NOSIGNAL) == 1);
	clock_ahead_us += 200000;
	UNTIL(*state, is_gone(&s));
	(void)hear_all(&s);
	assert_true(buf_len(&s.got) < sizeof bulk);
	side_over(*state, &s);
}

/*
 * Without the drain the kernel answers the unread bytes with a reset, and the peer never reads
 * the 421.
 */
TEST(a_close_with_unread_input_does_not_destroy_the_last_reply)
{
	struct side s;

	tcp_pair(*state, &s, 1024, 1024);
	s.take = 0;
	assert_true(send(s.peer, bulk, 300000, 0) > 1024);
	turn(*state);
	CALL(assert_true(net_conn_write(s.c, STR("421 enough\r\n"))));
	CALL(net_conn_close(&s.c));
	turn(*state);
	assert_int_equal(send(s.peer, bulk, 1000, MSG_NOSIGNAL), 1000);
	for (int i = 0; i < 20; i++)
		turn(*state);
	assert_int_equal(hear_all(&s), 0);
	side_got(&s, "421 enough\r\n");
	side_over(*state, &s);
}

TEST(a_peer_that_goes_on_sending_is_left_after_a_bounded_amount)
{
	size_t sent = 0;
	struct side s;

	tcp_pair(*state, &s, 1024, 1024);
	s.take = 0;
	assert_true(send(s.peer, bulk, 10000, 0) > 1024);
	turn(*state);
	CALL(net_conn_close(&s.c));
	for (unsigned i = 0; i < TURNS; i++) {
		ssize_t n = send(s.peer, bulk, 10000, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
		turn(*state);
	}
	assert_true(sent > NET_DRAIN / 2 && sent < 32 * (size_t)NET_DRAIN);
	assert_true(send(s.peer, bulk, 1, MSG_NOSIGNAL) < 0);
	side_over(*state, &s);
}

TEST(a_peer_that_never_closes_is_left_after_the_linger)
{
	struct side s;

	tcp_pair(*state, &s, 1024, 1024);
	s.take = 0;
	peer_says(&s, "x");
	turn(*state);
	CALL(net_conn_close(&s.c));
	turn(*state);
	assert_int_equal(hear_all(&s), 0);
	clock_ahead_us += NET_LINGER - 100000;
	for (int i = 0; i < 5; i++) {
		peer_says(&s, "still taken");
		turn(*state);
	}
	clock_ahead_us += 200000;
	UNTIL(*state, is_gone(&s));
	side_over(*state, &s);
}

TEST(an_abort_loses_what_is_queued)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	CALL(assert_true(net_conn_write(s.c, STR("never"))));
	CALL(net_conn_abort(&s.c));
	CALL(net_conn_abort(&s.c));
	CALL(net_conn_close(&s.c));
	turn(*state);
	assert_int_equal(hear_all(&s), 0);
	assert_int_equal(buf_len(&s.got), 0);
	side_over(*state, &s);
}

/* told() fails on any callback after the close; the sanitizer on any touch of the memory. */
TEST(an_owner_may_close_inside_any_callback)
{
	for (int what = ACT_CLOSE; what <= ACT_ABORT; what++) {
		struct side s;

		side_pair(*state, &s, SOCK_STREAM, 4096, 1024);
		s.on_readable = (enum act)what;
		s.take = 2;
		peer_says(&s, "abc");
		UNTIL(*state, !s.c);
		for (int i = 0; i < 5; i++)
			turn(*state);
		assert_int_equal(s.readable, 1);
		side_over(*state, &s);

		side_pair(*state, &s, SOCK_STREAM, 4096, 1024);
		s.on_readable = (enum act)what;
		s.take = 0;
		CALL(net_conn_pause(s.c));
		CALL(net_conn_resume(s.c));
		CALL(assert_true(net_conn_write(s.c, STR("w"))));
		peer_says(&s, "abc");
		UNTIL(*state, !s.c);
		side_over(*state, &s);

		side_pair(*state, &s, SOCK_STREAM, 4096, 10);
		s.on_drained = (enum act)what;
		CALL(assert_true(net_conn_write(s.c, STR("12345678"))));
		turn(*state);
		assert_int_equal(s.drained, 1);
		assert_null(s.c);
		turn(*state);
		side_over(*state, &s);

		side_pair(*state, &s, SOCK_STREAM, 4096, 10);
		s.on_ended = (enum act)what;
		close(s.peer);
		s.peer = -1;
		UNTIL(*state, !s.c);
		turn(*state);
		side_over(*state, &s);

		side_pair(*state, &s, SOCK_STREAM, 4096, 10);
		s.on_ended = (enum act)what;
		CALL(net_conn_deadline(s.c, 1000));
		clock_ahead_us += 2000;
		UNTIL(*state, !s.c);
		turn(*state);
		side_over(*state, &s);

		side_pair(*state, &s, SOCK_STREAM, 4096, 10);
		s.on_ended = (enum act)what;
		CALL(assert_true(net_conn_write(s.c, STR("x"))));
		close(s.peer);
		s.peer = -1;
		UNTIL(*state, !s.c);
		turn(*state);
		side_over(*state, &s);
	}
}

TEST(an_owner_may_close_at_once_when_connected_or_refused)
{
	for (int i = 0; i < 4; i++) {
		int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct side s = { .peer = -1 };
		struct net_conn_options o = side_options(&s, 1024, 1024);
		struct net_address at;

		assert_int_equal(net_address_parse(STR("127.0.0.1:0"), &at, NULL), 0);
		assert_int_equal(bind(listening, &at.u.any, at.n), 0);
		assert_int_equal(getsockname(listening, &at.u.any, &at.n), 0);
		if (i < 2)
			assert_int_equal(listen(listening, 4), 0);
		s.on_connected = s.on_ended = i % 2 ? ACT_CLOSE : ACT_ABORT;
		CALL(s.c = net_conn_connect(*state, &at, NULL, &o, NULL));
		UNTIL(*state, !s.c);
		assert_int_equal(i < 2 ? s.connected : s.ended, 1);
		turn(*state);
		CALL(s.c = net_conn_connect(*state, &at, NULL, &o, NULL));
		CALL(net_conn_close(&s.c)); /* before anything was told */
		turn(*state);
		turn(*state);
		close(listening);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(the_last_bytes_are_shown_before_the_peers_end_is_told),
		LOOP_TEST(the_peers_end_waits_while_paused),
		LOOP_TEST(a_reset_is_an_error_once),
		LOOP_TEST(the_peers_last_words_come_before_the_error_of_a_write),
		LOOP_TEST(a_deadline_ends_the_connection_when_it_passes_and_not_before),
		LOOP_TEST(an_earlier_deadline_counts_and_none_never_comes),
		LOOP_TEST(a_connection_out_that_nobody_answers_ends_at_its_deadline),
		LOOP_TEST(a_close_lets_what_is_queued_out_first),
		LOOP_TEST(a_peer_that_does_not_read_is_left_after_the_linger),
		LOOP_TEST(a_close_with_unread_input_does_not_destroy_the_last_reply),
		LOOP_TEST(a_peer_that_goes_on_sending_is_left_after_a_bounded_amount),
		LOOP_TEST(a_peer_that_never_closes_is_left_after_the_linger),
		LOOP_TEST(an_abort_loses_what_is_queued),
		LOOP_TEST(an_owner_may_close_inside_any_callback),
		LOOP_TEST(an_owner_may_close_at_once_when_connected_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
