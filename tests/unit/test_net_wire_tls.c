#include "net_conn.h"

#include "net_side.h"
#include "tls_bed.h"

static struct bed_cert cert;
static struct tls_store *store;
static struct tls_context *context;

static int begin(void **state)
{
	(void)state;
	tls_process_init();
	bed_cert(&cert, EVP_EC_gen("P-256"), "mx.example", "DNS:mx.example", NULL);
	store = tls_store_new();
	bed_add(store, &cert);
	context = bed_context(&(struct tls_options){ .listener = STR("mx"), .store = store });
	return 0;
}

static int end(void **state)
{
	(void)state;
	tls_context_drop(&context);
	tls_store_drop(&store);
	bed_cert_free(&cert);
	return 0;
}

/* A secured connection, and OpenSSL's client at the peer's socket. */
struct world {
	struct side side;
	struct tls_client client;
	unsigned secured;
	bool pauses; /* in secured() */
};

static void secured(void *owner)
{
	struct side *s = told(owner);
	struct world *w = container_of(s, struct world, side);

	w->secured++;
	if (w->pauses)
		CALL(net_conn_pause(s->c));
}

static void world_init(struct net_loop *loop, struct world *w, size_t in_max)
{
	static struct net_conn_ops ops;
	struct net_conn_options o;
	int ends[2];

	*w = (struct world){ .side.take = SIZE_MAX };
	ops = side_ops;
	ops.secured = secured;
	o = side_options(&w->side, in_max, 65536);
	o.ops = &ops;
	buf_init(&w->side.got, 16 << 20);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
			 0);
	w->side.peer = ends[1];
	CALL(w->side.c = net_conn_new(loop, ends[0], &o));
	tls_client_init(&w->client);
	tls_client_begin(&w->client);
}

static void world_fini(struct net_loop *loop, struct world *w)
{
	tls_client_fini(&w->client);
	side_over(loop, &w->side);
}

static void secure(struct world *w)
{
	struct tls *tls = tls_new(context);

	CALL(net_conn_secure(w->side.c, &tls));
	assert_null(tls);
}

/* carry - between the client's memory and the socket; false: the connection is closed */
static bool carry(struct world *w)
{
	struct str said = tls_client_say(&w->client);
	static char heard[65536];
	ssize_t n;

	while (said.n) {
		n = send(w->side.peer, said.p, said.n, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		said = str_drop(said, (size_t)n);
	}
	n = recv(w->side.peer, heard, sizeof heard, 0);
	if (n > 0)
		tls_client_hear(&w->client, (struct str){ heard, (size_t)n });
	return n != 0;
}

static bool is_shaken(struct world *w)
{
	(void)SSL_do_handshake(w->client.ssl);
	(void)carry(w);
	return SSL_is_init_finished(w->client.ssl) && w->secured;
}

static void says(struct world *w, const char *text)
{
	assert_int_equal(SSL_write(w->client.ssl, text, (int)strlen(text)), strlen(text));
	(void)carry(w);
}

/* hears - what the client has read so far is added */
static struct str hears(struct world *w)
{
	static char text[65536];
	static size_t have;
	int n;

	if (!w) {
		have = 0;
		return STR_NONE;
	}
	(void)carry(w);
	n = SSL_read(w->client.ssl, text + have, (int)(sizeof text - have));
	have += n > 0 ? (size_t)n : 0;
	return (struct str){ text, have };
}

TEST(what_was_written_before_leaves_as_it_is_and_what_comes_after_is_sealed)
{
	struct net_loop *loop = *state;
	struct world w;

	world_init(loop, &w, 4096);
	CALL(net_conn_write(w.side.c, STR("220 go ahead\r\n")));
	secure(&w);
	CALL(net_conn_write(w.side.c, STR("hello")));
	turn(loop);
	peer_hears(&w.side, "220 go ahead\r\n");
	CHECK_INT(0, net_conn_is_secure(w.side.c), false);
	UNTIL(loop, is_shaken(&w));
	CHECK_INT(0, net_conn_is_secure(w.side.c), true);
	CHECK_INT(0, w.secured, 1);
	(void)hears(NULL);
	UNTIL(loop, str_eq(hears(&w), STR("hello")));
	says(&w, "to you, too");
	UNTIL(loop, str_eq(buf_str(&w.side.got), STR("to you, too")));
	CHECK_INT(0, net_conn_bytes_in(w.side.c), 11);
	CHECK_INT(0, net_conn_bytes_out(w.side.c), 14 + 5);
	world_fini(loop, &w);
}

TEST(nothing_is_shown_while_paused_and_nothing_is_lost)
{
	struct net_loop *loop = *state;
	struct world w;

	world_init(loop, &w, 100);
	w.pauses = true;
	secure(&w);
	UNTIL(loop, is_shaken(&w));
	says(&w, "one");
	says(&w, "two");
	for (unsigned i = 0; i < 10; i++)
		turn(loop);
	CHECK_INT(0, w.side.readable, 0);
	CALL(net_conn_guard(w.side.c));
	for (unsigned i = 0; i < 10; i++)
		turn(loop);
	CHECK_INT(1, w.side.readable, 0);
	CALL(net_conn_resume(w.side.c));
	UNTIL(loop, str_eq(buf_str(&w.side.got), STR("onetwo")));
	world_fini(loop, &w);
}

/* More than the owner's buffer, and more than a record, taken in small bites. */
TEST(an_owner_may_take_as_slowly_as_it_likes)
{
	static char bulk[50000];
	struct net_loop *loop = *state;
	struct world w;

	for (size_t i = 0; i < sizeof bulk; i++)
		bulk[i] = (char)('a' + i % 26);
	world_init(loop, &w, 700);
	secure(&w);
	UNTIL(loop, is_shaken(&w));
	assert_int_equal(SSL_write(w.client.ssl, bulk, sizeof bulk), sizeof bulk);
	(void)carry(&w);
	w.side.take = 300;
	for (unsigned i = 0; i < TURNS && buf_len(&w.side.got) < sizeof bulk; i++) {
		turn(loop);
		CHECK(i, buf_len(net_conn_in(w.side.c)) <= 700);
		side_take(&w.side);
	}
	CHECK_STR(0, buf_str(&w.side.got), ((struct str){ bulk, sizeof bulk }));
	world_fini(loop, &w);
}

TEST(the_last_words_and_the_farewell_leave_before_the_end)
{
	struct net_loop *loop = *state;
	struct world w;

	world_init(loop, &w, 4096);
	secure(&w);
	UNTIL(loop, is_shaken(&w));
	CALL(net_conn_write(w.side.c, STR("221 bye\r\n")));
	CALL(net_conn_close(&w.side.c));
	(void)hears(NULL);
	UNTIL(loop, str_eq(hears(&w), STR("221 bye\r\n")));
	(void)hears(&w);
	CHECK_INT(0, SSL_get_shutdown(w.client.ssl), SSL_RECEIVED_SHUTDOWN);
	UNTIL(loop, !carry(&w));
	close(w.side.peer);
	buf_fini(&w.side.got);
	tls_client_fini(&w.client);
}

TEST(the_peer_s_farewell_is_its_end)
{
	struct net_loop *loop = *state;
	struct world w;

	world_init(loop, &w, 4096);
	secure(&w);
	UNTIL(loop, is_shaken(&w));
	says(&w, "QUIT");
	(void)SSL_shutdown(w.client.ssl);
	(void)carry(&w);
	UNTIL(loop, w.side.ended);
	CHECK_INT(0, w.side.end, NET_END_PEER);
	side_got(&w.side, "QUIT");
	world_fini(loop, &w);
}

TEST(what_is_no_handshake_ends_it_and_nothing_of_it_is_shown)
{
	struct net_loop *loop = *state;
	struct world w;

	world_init(loop, &w, 4096);
	secure(&w);
	peer_says(&w.side, "MAIL FROM:<a@example.org>\r\n");
	UNTIL(loop, w.side.ended);
	CHECK_INT(0, w.side.end, NET_END_TLS);
	CHECK_INT(0, net_conn_failure(w.side.c), TLS_FAILURE_NO_TLS);
	CHECK_INT(0, w.side.readable + w.secured, 0);
	CHECK(0, strstr(w.side.why, "not TLS"));
	world_fini(loop, &w);
}

TEST(a_handshake_that_stalls_ends_by_the_deadline_and_its_close_does_not_wait)
{
	struct net_loop *loop = *state;
	struct world w;

	world_init(loop, &w, 4096);
	secure(&w);
	CALL(net_conn_deadline(w.side.c, 1000000));
	CALL(net_conn_write(w.side.c, STR("421 too late\r\n")));
	peer_says(&w.side, "\x16\x03\x01"); /* the begin of a record */
	turn(loop);
	clock_ahead_us += 1000000;
	UNTIL(loop, w.side.ended);
	CHECK_INT(0, w.side.end, NET_END_DEADLINE);
	CALL(net_conn_close(&w.side.c));
	turn(loop);
	CHECK(0, recv(w.side.peer, (char[8]){ 0 }, 8, 0) <= 0); /* not a word of it in plain text */
	close(w.side.peer);
	buf_fini(&w.side.got);
	tls_client_fini(&w.client);
}

/* 4 MiB to a peer that reads nothing: the bound holds; when it reads, all of it comes. */
TEST(a_peer_that_does_not_read_stops_the_producer)
{
	static char text[65536];
	struct net_loop *loop = *state;
	size_t sent = 0, got = 0;
	struct world w;

	world_init(loop, &w, 4096);
	secure(&w);
	UNTIL(loop, is_shaken(&w));
	for (unsigned i = 0; i < 400; i++) {
		bool fits;

		CALL(fits = net_conn_write(w.side.c, (struct str){ text, 10000 }));
		sent += fits ? 10000 : 0;
		turn(loop);
	}
	CHECK(0, sent < 2000000);
	for (unsigned i = 0; i < TURNS && got < sent; i++) {
		int n;

		turn(loop);
		(void)carry(&w);
		while ((n = SSL_read(w.client.ssl, text, sizeof text)) > 0)
			got += (size_t)n;
	}
	CHECK_INT(0, got, sent);
	CHECK(0, w.side.drained > 0);
	world_fini(loop, &w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(what_was_written_before_leaves_as_it_is_and_what_comes_after_is_sealed),
		LOOP_TEST(nothing_is_shown_while_paused_and_nothing_is_lost),
		LOOP_TEST(an_owner_may_take_as_slowly_as_it_likes),
		LOOP_TEST(the_last_words_and_the_farewell_leave_before_the_end),
		LOOP_TEST(the_peer_s_farewell_is_its_end),
		LOOP_TEST(what_is_no_handshake_ends_it_and_nothing_of_it_is_shown),
		LOOP_TEST(a_handshake_that_stalls_ends_by_the_deadline_and_its_close_does_not_wait),
		LOOP_TEST(a_peer_that_does_not_read_stops_the_producer),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
