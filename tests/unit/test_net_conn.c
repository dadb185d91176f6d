#include "net_conn.h"

#include <malloc.h>

#include "net_side.h"

static char pattern(size_t i)
{
	return (char)(i * 7 + i / 251);
}

static void fill(char *to, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = pattern(from + i);
}

static void is_pattern(struct str s, size_t from)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != pattern(from + i))
			fail_msg("byte %zu is wrong", from + i);
}

TEST(what_the_peer_sends_is_shown_and_what_is_written_reaches_it)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	s.reply = "250 ok\r\n";
	peer_says(&s, "NOOP\r\n");
	turn(*state);
	side_got(&s, "NOOP\r\n");
	peer_hears(&s, "250 ok\r\n");
	assert_int_equal(net_conn_bytes_in(s.c), 6);
	assert_int_equal(net_conn_bytes_out(s.c), 8);
	side_over(*state, &s);
}

TEST(replies_of_one_turn_leave_in_one_piece)
{
	struct side s;

	side_pair(*state, &s, SOCK_SEQPACKET, 1024, 1024);
	CALL(assert_true(net_conn_write(s.c, STR("250-a\r\n"))));
	CALL(assert_true(net_conn_write(s.c, STR("250-b\r\n"))));
	CALL(assert_true(buf_printf(net_conn_out(s.c), "%d c\r\n", 250)));
	CALL(net_conn_flush_later(s.c));
	assert_int_equal(net_conn_bytes_out(s.c), 0);
	turn(*state);
	peer_hears(&s, "250-a\r\n250-b\r\n250 c\r\n");
	side_over(*state, &s);
}

TEST(what_is_not_taken_is_shown_again_with_the_next_bytes)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	s.take = 0;
	peer_says(&s, "MAIL FR");
	turn(*state);
	turn(*state);
	assert_int_equal(s.readable, 1);
	CHECK_STR(0, buf_str(net_conn_in(s.c)), STR("MAIL FR"));
	peer_says(&s, "OM:<");
	turn(*state);
	CHECK_STR(1, buf_str(net_conn_in(s.c)), STR("MAIL FROM:<"));
	s.take = 4;
	peer_says(&s, ">");
	turn(*state);
	side_got(&s, "MAIL");
	s.take = SIZE_MAX;
	peer_says(&s, "\r\n");
	turn(*state);
	side_got(&s, "MAIL FROM:<>\r\n");
	assert_int_equal(s.readable, 4);
	side_over(*state, &s);
}

/* Whatever sizes the peer sends in and the owner takes by, the stream is the same. */
TEST(chunking_never_changes_the_stream)
{
	static const size_t sends[] = { 1, 100, 513, 4096, 65536, 200000 };
	static const size_t takes[] = { 1, 63, 1024, SIZE_MAX },
			    bounds[] = { 64, 1024, 65536, 300000 };
	static char bytes[200000];

	for (size_t i = 0; i < COUNT(sends) * COUNT(takes) * COUNT(bounds); i++) {
		size_t chunk = sends[i % COUNT(sends)],
		       take = takes[i / COUNT(sends) % COUNT(takes)], sent = 0;
		size_t all = take == 1 ? 3000 : chunk * 3;
		struct side s;

		side_pair(*state, &s, SOCK_STREAM, bounds[i / COUNT(sends) / COUNT(takes)], 1024);
		s.take = take;
		for (unsigned n = 0; buf_len(&s.got) < all && n < TURNS; n++) {
			size_t left = all - sent < chunk ? all - sent : chunk;
			ssize_t rc;

			fill(bytes, sent, left);
			rc = send(s.peer, bytes, left, 0);
			sent += rc > 0 ? (size_t)rc : 0;
			turn(*state);
			if (buf_len(net_conn_in(s.c)) > 0)
				side_take(&s); /* outside of readable(), as after an answer */
		}
		CHECK_INT(i, buf_len(&s.got), all);
		is_pattern(buf_str(&s.got), 0);
		side_over(*state, &s);
	}
}

TEST(a_full_input_buffer_stops_the_peer_until_something_is_taken)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 8, 1024);
	s.take = 0;
	peer_says(&s, "0123456789ab");
	for (int i = 0; i < 5; i++)
		turn(*state);
	CHECK_STR(0, buf_str(net_conn_in(s.c)), STR("01234567"));
	assert_int_equal(s.readable, 1);
	buf_take(net_conn_in(s.c), 6);
	s.take = SIZE_MAX;
	turn(*state);
	turn(*state);
	side_got(&s, "6789ab");
	side_over(*state, &s);
}

TEST(a_guarded_connection_tells_of_its_end_unless_something_is_left_to_read)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	CALL(net_conn_guard(s.c));
	peer_says(&s, "QUIT");
	close(s.peer);
	s.peer = -1;
	turn(*state);
	turn(*state);
	assert_int_equal(s.readable, 0);
	assert_int_equal(s.ended, 0); /* it left, but not before it said something */
	CALL(net_conn_resume(s.c));
	s.take = SIZE_MAX;
	turn(*state);
	turn(*state);
	side_got(&s, "QUIT");
	assert_int_equal(s.ended, 1);
	side_over(*state, &s);

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	CALL(net_conn_guard(s.c));
	close(s.peer);
	s.peer = -1;
	turn(*state);
	turn(*state);
	assert_int_equal(s.ended, 1);
	side_over(*state, &s);
}

TEST(a_paused_connection_is_silent_and_shows_what_waits_when_resumed)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	s.take = 2;
	peer_says(&s, "abcd");
	turn(*state);
	side_got(&s, "ab");
	CALL(net_conn_pause(s.c));
	peer_says(&s, "ef");
	turn(*state);
	turn(*state);
	assert_int_equal(s.readable, 1);
	CALL(net_conn_resume(s.c));
	CALL(net_conn_pause(s.c));
	turn(*state);
	assert_int_equal(s.readable, 1);
	CALL(net_conn_resume(s.c));
	CALL(net_conn_resume(s.c));
	s.take = SIZE_MAX;
	turn(*state);
	side_got(&s, "abcdef");
	CALL(net_conn_resume(s.c));
	turn(*state);
	assert_int_equal(s.readable, 3); /* nothing waits: nothing is shown */
	s.take = 0;
	peer_says(&s, "g");
	turn(*state);
	turn(*state);
	assert_int_equal(s.readable, 4); /* nor is that resume remembered */
	side_over(*state, &s);
}

TEST(a_pause_inside_readable_keeps_the_rest_in_the_buffer)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 1024);
	s.take = 3;
	peer_says(&s, "onetwo");
	turn(*state);
	CALL(net_conn_pause(s.c));
	turn(*state);
	CHECK_STR(0, buf_str(net_conn_in(s.c)), STR("two"));
	CALL(net_conn_resume(s.c));
	turn(*state);
	side_got(&s, "onetwo");
	side_over(*state, &s);
}

static size_t drain_peer(struct side *s, size_t heard)
{
	static char bytes[65536];
	ssize_t n = recv(s->peer, bytes, sizeof bytes, 0);

	if (n <= 0)
		return 0;
	is_pattern((struct str){ bytes, (size_t)n }, heard);
	return (size_t)n;
}

TEST(a_slow_peer_gets_every_byte_and_the_producer_is_told_when_to_go_on)
{
	size_t all = 3000000, written = 0, heard = 0, most = 0;
	char chunk[3000];
	struct side s;
	bool may_write = true;

	side_pair(*state, &s, SOCK_STREAM, 1024, 100000);
	for (unsigned i = 0; heard < all && i < TURNS; i++) {
		unsigned drained = s.drained;

		while (may_write && written < all) {
			fill(chunk, written, sizeof chunk);
			CALL(assert_true(net_conn_write(s.c, (struct str){ chunk, sizeof chunk })));
			written += sizeof chunk;
			may_write = !net_conn_full(s.c);
		}
		if (buf_len(net_conn_out(s.c)) > most)
			most = buf_len(net_conn_out(s.c));
		turn(*state);
		may_write |= s.drained > drained;
		if (i % 3 == 0)
			heard += drain_peer(&s, heard);
	}
	assert_int_equal(heard, all);
	assert_true(most <= 53000);
	assert_true(s.drained > 5);
	assert_int_equal(net_conn_bytes_out(s.c), all);
	side_over(*state, &s);
}

TEST(a_refused_write_queues_nothing_and_is_followed_by_drained)
{
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, 10);
	CALL(assert_true(net_conn_write(s.c, STR("1234"))));
	CALL(assert_false(net_conn_write(s.c, STR("5678901"))));
	assert_false(net_conn_full(s.c));
	turn(*state);
	peer_hears(&s, "1234");
	assert_int_equal(s.drained, 1);
	turn(*state);
	assert_int_equal(s.drained, 1);
	side_over(*state, &s);
}

TEST(a_blocked_connection_still_reads)
{
	static char bytes[1 << 20];
	struct side s;

	side_pair(*state, &s, SOCK_STREAM, 1024, sizeof bytes);
	CALL(assert_true(net_conn_write(s.c, (struct str){ bytes, sizeof bytes })));
	turn(*state);
	assert_true(buf_len(net_conn_out(s.c)) > 0);
	peer_says(&s, "hello");
	turn(*state);
	side_got(&s, "hello");
	side_over(*state, &s);
}

#define IDLE 200

/* 10,000 quiet clients are 15 MB. */
TEST(a_quiet_connection_holds_little_memory)
{
	static char line[60000];
	struct side *sides = calloc(IDLE, sizeof *sides);
	size_t before = mallinfo2().uordblks;

	if (before == 0) {
		free(sides);
		skip(); /* a sanitizer's allocator counts nothing */
	}
	memset(line, 'x', sizeof line);
	for (size_t i = 0; i < IDLE; i++) {
		side_pair(*state, &sides[i], SOCK_STREAM, 100000, 100000);
		assert_int_equal(send(sides[i].peer, line, sizeof line, 0), sizeof line);
		CALL(assert_true(net_conn_write(sides[i].c, (struct str){ line, sizeof line })));
		turn(*state);
		assert_int_equal(recv(sides[i].peer, line, sizeof line, 0), sizeof line);
		buf_fini(&sides[i].got);
	}
	CHECK(mallinfo2().uordblks - before, mallinfo2().uordblks - before <= IDLE * 1536);
	for (size_t i = 0; i < IDLE; i++)
		side_over(*state, &sides[i]);
	free(sides);
}

static int listener(const char *at, struct net_address *where)
{
	int fd;

	assert_int_equal(net_address_parse(str_of(at), where, NULL), 0);
	fd = socket(where->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, &where->u.any, where->n), 0);
	assert_int_equal(listen(fd, 4), 0);
	where->n = sizeof where->u;
	assert_int_equal(getsockname(fd, &where->u.any, &where->n), 0);
	return fd;
}

static void connecting(struct net_loop *loop, struct side *s, const struct net_address *to,
		       const struct net_address *from)
{
	struct net_conn_options o = side_options(s, 1024, 1024);
	struct fault why = { 0 };

	memset(s, 0, sizeof *s);
	s->take = SIZE_MAX;
	s->peer = -1;
	buf_init(&s->got, 4096);
	CALL(s->c = net_conn_connect(loop, to, from, &o, &why));
	str_copy(s->why, sizeof s->why, str_of(why.text));
}

static const char *unix_place(void)
{
	static char place[64];

	snprintf(place, sizeof place, "unix:/tmp/test_net_conn.%d.sock", (int)getpid());
	unlink(place + 5);
	return place;
}

TEST(a_connection_out_is_told_and_what_was_written_before_goes_along)
{
	const char *const places[] = { "127.0.0.1:0", "[::1]:0", unix_place() };

	for (size_t i = 0; i < COUNT(places); i++) {
		struct net_address at, peer;
		char there[NET_ADDRESS_TEXT], here[NET_ADDRESS_TEXT];
		struct side s;
		int fd;

		fd = listener(places[i], &at);
		connecting(*state, &s, &at, NULL);
		assert_non_null(s.c);
		assert_int_equal(s.connected, 0);
		CALL(assert_true(net_conn_write(s.c, STR("EHLO x\r\n"))));
		UNTIL(*state, s.connected);
		s.peer = accept(fd, NULL, NULL);
		assert_true(s.peer >= 0);
		turn(*state);
		peer_hears(&s, "EHLO x\r\n");
		net_conn_peer(s.c, &peer);
		assert_string_equal(net_address_text(&peer, there), net_address_text(&at, here));
		net_conn_local(s.c, &peer);
		assert_true(net_address_is_local(&peer));
		assert_int_equal(s.connected, 1);
		side_over(*state, &s);
		close(fd);
	}
	unix_place();
}

TEST(a_connection_leaves_from_the_address_asked_for)
{
	struct net_address at, from, seen = { .n = sizeof seen.u };
	char text[NET_ADDRESS_TEXT];
	int fd = listener("127.0.0.1:0", &at);
	struct side s;

	assert_int_equal(net_address_parse(STR("127.0.0.9:0"), &from, NULL), 0);
	connecting(*state, &s, &at, &from);
	UNTIL(*state, s.connected);
	s.peer = accept(fd, &seen.u.any, &seen.n);
	assert_string_equal(net_address_host(&seen, text), "127.0.0.9");
	side_over(*state, &s);
	assert_int_equal(net_address_parse(STR("192.0.2.1:0"), &from, NULL), 0);
	connecting(*state, &s, &at, &from);
	assert_null(s.c); /* not one of ours: not even an attempt */
	assert_non_null(strstr(s.why, "192.0.2.1"));
	close(fd);
}

TEST(a_refused_connection_ends_and_never_inside_the_call)
{
	const char *const places[] = { "127.0.0.1:0", unix_place(), "unix:/nowhere/at/all" };

	for (size_t i = 0; i < COUNT(places); i++) {
		struct net_address at;
		struct side s;

		if (i < 2)
			close(listener(places[i], &at));
		else
			assert_int_equal(net_address_parse(str_of(places[i]), &at, NULL), 0);
		connecting(*state, &s, &at, NULL);
		assert_non_null(s.c);
		CALL(assert_true(net_conn_write(s.c, STR("lost"))));
		UNTIL(*state, s.ended);
		assert_int_equal(s.end, NET_END_ERROR);
		assert_non_null(strstr(s.why, "cannot connect"));
		assert_int_equal(s.connected, 0);
		side_over(*state, &s);
	}
	unix_place();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(what_the_peer_sends_is_shown_and_what_is_written_reaches_it),
		LOOP_TEST(replies_of_one_turn_leave_in_one_piece),
		LOOP_TEST(what_is_not_taken_is_shown_again_with_the_next_bytes),
		LOOP_TEST(chunking_never_changes_the_stream),
		LOOP_TEST(a_full_input_buffer_stops_the_peer_until_something_is_taken),
		LOOP_TEST(a_guarded_connection_tells_of_its_end_unless_something_is_left_to_read),
		LOOP_TEST(a_paused_connection_is_silent_and_shows_what_waits_when_resumed),
		LOOP_TEST(a_pause_inside_readable_keeps_the_rest_in_the_buffer),
		LOOP_TEST(a_slow_peer_gets_every_byte_and_the_producer_is_told_when_to_go_on),
		LOOP_TEST(a_refused_write_queues_nothing_and_is_followed_by_drained),
		LOOP_TEST(a_blocked_connection_still_reads),
		LOOP_TEST(a_quiet_connection_holds_little_memory),
		LOOP_TEST(a_connection_out_is_told_and_what_was_written_before_goes_along),
		LOOP_TEST(a_connection_leaves_from_the_address_asked_for),
		LOOP_TEST(a_refused_connection_ends_and_never_inside_the_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
