#include "admin_control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "turns.h"

#define ASKED 64

struct asked {
	uint64_t tag;
	char words[128]; /* with '|' for NUL */
	bool spool;
};

struct rig {
	struct net_loop *loop;
	struct admin_control *admin;
	struct asked asked[ASKED];
	unsigned nasked, pauses;
	bool is_paused, is_away;
	struct counter_slab slab;
};

/* ---- the other side --------------------------------------------------------------------------- */

static bool note(struct rig *r, uint64_t tag, struct str words, bool spool)
{
	struct asked *a = &r->asked[r->nasked++ % ASKED];

	*a = (struct asked){ .tag = tag, .spool = spool };
	str_copy(a->words, sizeof a->words, words);
	for (size_t i = 0; i < words.n && i < sizeof a->words - 1; i++)
		if (words.p[i] == '\0')
			a->words[i] = '|';
		else
			a->words[i] = words.p[i];
	return !r->is_away;
}

static bool to_master(void *owner, uint64_t tag, struct str words)
{
	return note(owner, tag, words, false);
}

static bool to_spool(void *owner, uint64_t tag, struct str words)
{
	return note(owner, tag, words, true);
}

static void spool_pause(void *owner, bool paused)
{
	struct rig *r = owner;

	assert_int_not_equal(r->is_paused, paused);
	r->is_paused = paused;
	r->pauses++;
}

static unsigned slabs(void *owner, struct admin_slab out[ADMIN_SLABS])
{
	struct rig *r = owner;

	for (unsigned i = 0; i < ADMIN_SLABS; i++)
		out[i] = (struct admin_slab){ "edge", i, &r->slab };
	return ADMIN_SLABS;
}

static const struct admin_ops ops = { to_master, to_spool, spool_pause, slabs };

static int begin(void **state)
{
	struct rig *r = calloc(1, sizeof *r);

	assert_non_null(r);
	r->loop = net_loop_new();
	r->admin = admin_control_new(r->loop, &ops, r);
	*state = r;
	return 0;
}

static int end(void **state)
{
	struct rig *r = *state;

	admin_control_free(&r->admin);
	clock_ahead_us += 2 * NET_LINGER;
	turn(r->loop);
	turn(r->loop);
	net_loop_free(&r->loop);
	free(r);
	return 0;
}

/* ---- an operator ------------------------------------------------------------------------------ */

struct operator
{
	int fd;
	unsigned code; /* of the last chunk */
	bool is_over;
	struct buf raw, text;
};

static struct operator* arrive(struct rig *r)
{
	struct operator* o = calloc(1, sizeof *o);
	int pair[2];

	assert_non_null(o);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	admin_control_accept(r->admin, pair[0]);
	o->fd = pair[1];
	o->code = 999;
	buf_init(&o->raw, 64 * 1024 * 1024);
	buf_init(&o->text, 64 * 1024 * 1024);
	return o;
}

static void leave(struct operator* o)
{
	if (o->fd >= 0)
		(void)close(o->fd);
	buf_fini(&o->raw);
	buf_fini(&o->text);
	free(o);
}

static void say(const struct operator* o, struct str s)
{
	assert_int_equal(send(o->fd, s.p, s.n, MSG_NOSIGNAL), s.n);
}

/* hear - take what is there, at most `most` bytes */
static void hear(struct operator* o, size_t most)
{
	while (most > 0 && !o->is_over) {
		size_t n = most < 65536 ? most : 65536;
		ssize_t got = read(o->fd, buf_space(&o->raw, n), n);

		if (got < 0)
			break;
		o->is_over = got == 0;
		buf_wrote(&o->raw, (size_t)got);
		most -= (size_t)got;
	}
	for (struct str text;;) {
		struct str rest = buf_str(&o->raw);

		if (admin_wire_chunk_take(&rest, &o->code, &text) != STEP_DONE)
			return;
		assert_true(buf_add(&o->text, text));
		buf_take(&o->raw, buf_len(&o->raw) - rest.n);
	}
}

static bool has_heard_all(struct operator* o)
{
	hear(o, SIZE_MAX);
	return o->is_over;
}

static void expect(struct rig *r, struct operator* o, unsigned code, const char *text)
{
	UNTIL(r->loop, has_heard_all(o));
	CHECK_STR(0, buf_str(&o->text), str_of(text));
	assert_int_equal(o->code, code);
	assert_int_equal(buf_len(&o->raw), 0);
}

/* ---- the samples ------------------------------------------------------------------------------ */

TEST(words_reach_the_master_and_its_answer_comes_back)
{
	struct rig *r = *state;
	struct operator* o = arrive(r);

	say(o, STR("policy\0list\0--json\n"));
	UNTIL(r->loop, r->nasked == 1);
	assert_string_equal(r->asked[0].words, "policy|list|--json");
	assert_false(r->asked[0].spool);
	admin_control_answer(r->admin, r->asked[0].tag, ADMIN_MORE, STR("one\n"));
	admin_control_answer(r->admin, r->asked[0].tag, ADMIN_MORE, STR(""));
	admin_control_answer(r->admin, r->asked[0].tag, 1, STR("two\n"));
	expect(r, o, 1, "one\ntwo\n");
	assert_int_equal(admin_control_clients(r->admin), 0);
	leave(o);
}

static const struct {
	struct str request;
	const char *words; /* NULL: answered here */
	bool spool;
	unsigned code;
	const char *text;
} requests[] = {
	{ STR("status\n"), "status", false, 0, "" },
	{ STR("reload\n"), "reload", false, 0, "" },
	{ STR("drain\n"), "drain", false, 0, "" },
	{ STR("policy\0rollback\n"), "policy|rollback", false, 0, "" },
	{ STR("queue\0list\n"), "queue|list", true, 0, "" },
	{ STR("queue\0drop\0all\n"), "queue|drop|all", true, 0, "" },
	{ STR("nonsense\n"), NULL, false, 64, "moongate: the daemon knows no such request\n" },
	{ STR("statu\n"), NULL, false, 64, "moongate: the daemon knows no such request\n" },
	{ STR("\n"), NULL, false, 64, "moongate: not a request\n" },
	{ STR("a\0\0b\n"), NULL, false, 64, "moongate: not a request\n" },
};

TEST(each_noun_goes_to_who_can_answer_it)
{
	struct rig *r = *state;

	for (size_t i = 0; i < COUNT(requests); i++) {
		struct operator* o = arrive(r);
		unsigned before = r->nasked;

		say(o, requests[i].request);
		if (requests[i].words) {
			UNTIL(r->loop, r->nasked == before + 1);
			assert_string_equal(r->asked[before].words, requests[i].words);
			assert_int_equal(r->asked[before].spool, requests[i].spool);
			admin_control_answer(r->admin, r->asked[before].tag, 0, STR(""));
		}
		expect(r, o, requests[i].code, requests[i].text ? requests[i].text : "");
		leave(o);
	}
}

TEST(chunking_never_changes_the_request)
{
	static const struct str request = STR("queue\0show\0ID\n");
	struct rig *r = *state;

	for (size_t cut = 1; cut < request.n; cut++) {
		struct operator* o = arrive(r);
		unsigned before = r->nasked;

		say(o, str_head(request, cut));
		turn(r->loop);
		turn(r->loop);
		assert_int_equal(r->nasked, before);
		say(o, str_drop(request, cut));
		UNTIL(r->loop, r->nasked == before + 1);
		assert_string_equal(r->asked[before % ASKED].words, "queue|show|ID");
		admin_control_answer(r->admin, r->asked[before % ASKED].tag, 0, STR("x"));
		expect(r, o, 0, "x");
		leave(o);
	}
}

TEST(answers_find_who_asked)
{
	struct rig *r = *state;
	struct operator* a = arrive(r), *b = arrive(r);

	say(a, STR("queue\0list\n"));
	UNTIL(r->loop, r->nasked == 1);
	say(b, STR("queue\0list\n"));
	UNTIL(r->loop, r->nasked == 2);
	assert_int_not_equal(r->asked[0].tag, r->asked[1].tag);
	admin_control_answer(r->admin, r->asked[1].tag, 0, STR("b"));
	admin_control_answer(r->admin, r->asked[0].tag, 0, STR("a"));
	expect(r, a, 0, "a");
	expect(r, b, 0, "b");
	leave(a);
	leave(b);
}

TEST(an_answer_longer_than_a_chunk_goes_in_several)
{
	static char text[2 * ADMIN_CHUNK + 7];
	struct rig *r = *state;
	struct operator* o = arrive(r);

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + i % 23);
	say(o, STR("policy\0order\n"));
	UNTIL(r->loop, r->nasked == 1);
	admin_control_answer(r->admin, r->asked[0].tag, 3, (struct str){ text, sizeof text });
	UNTIL(r->loop, has_heard_all(o));
	CHECK_STR(0, buf_str(&o->text), ((struct str){ text, sizeof text }));
	assert_int_equal(o->code, 3);
	leave(o);
}

TEST(what_follows_a_request_is_not_one)
{
	struct rig *r = *state;
	struct operator* o = arrive(r);

	say(o, STR("status\nreload\n"));
	UNTIL(r->loop, r->nasked == 1);
	say(o, STR("drain\n"));
	for (unsigned i = 0; i < 5; i++)
		turn(r->loop);
	assert_int_equal(r->nasked, 1);
	assert_string_equal(r->asked[0].words, "status");
	admin_control_answer(r->admin, r->asked[0].tag, 0, STR("ok"));
	UNTIL(r->loop, has_heard_all(o));
	CHECK_STR(0, buf_str(&o->text), STR("ok"));
	leave(o);
}

TEST(a_late_answer_reaches_nobody)
{
	struct rig *r = *state;
	struct operator* a = arrive(r), *b;

	say(a, STR("queue\0list\n"));
	UNTIL(r->loop, r->nasked == 1);
	leave(a);
	UNTIL(r->loop, admin_control_clients(r->admin) == 0);
	b = arrive(r);
	admin_control_answer(r->admin, r->asked[0].tag, 0, STR("old"));
	admin_control_answer(r->admin, 0, 0, STR("none"));
	admin_control_answer(r->admin, 12345, 0, STR("none"));
	say(b, STR("queue\0list\n"));
	UNTIL(r->loop, r->nasked == 2);
	admin_control_answer(r->admin, r->asked[0].tag, 0, STR("old"));
	admin_control_answer(r->admin, r->asked[1].tag, 0, STR("new"));
	expect(r, b, 0, "new");
	leave(b);
}

TEST(nobody_there_is_an_answer)
{
	struct rig *r = *state;
	struct operator* o = arrive(r);

	r->is_away = true;
	say(o, STR("queue\0list\n"));
	expect(r, o, 75, "moongate: not ready for that now, try again\n");
	leave(o);
}

TEST(a_spool_that_goes_away_is_said)
{
	struct rig *r = *state;
	struct operator* o = arrive(r), *m = arrive(r);

	say(o, STR("queue\0list\n"));
	say(m, STR("status\n"));
	UNTIL(r->loop, r->nasked == 2);
	admin_control_answer(r->admin, r->asked[0].spool ? r->asked[0].tag : r->asked[1].tag,
			     ADMIN_MORE, STR("some"));
	admin_control_spool_gone(r->admin);
	expect(r, o, 75, "somemoongate: the spool was restarted meanwhile, try again\n");
	admin_control_answer(r->admin, r->asked[0].spool ? r->asked[1].tag : r->asked[0].tag, 0,
			     STR("fine"));
	expect(r, m, 0, "fine");
	leave(o);
	leave(m);
}

TEST(who_asks_nothing_is_cut)
{
	struct rig *r = *state;
	struct operator* o = arrive(r);

	say(o, STR("sta"));
	turn(r->loop);
	clock_ahead_us += ADMIN_REQUEST_WAIT + 1000000;
	UNTIL(r->loop, has_heard_all(o));
	assert_int_equal(r->nasked, 0);
	assert_int_equal(admin_control_clients(r->admin), 0);
	leave(o);
}

TEST(no_answer_in_time_is_said)
{
	struct rig *r = *state;
	struct operator* o = arrive(r);

	say(o, STR("reload\n"));
	UNTIL(r->loop, r->nasked == 1);
	clock_ahead_us += ADMIN_ANSWER_WAIT + 1000000;
	expect(r, o, 75, "moongate: no answer in time\n");
	leave(o);
}

TEST(a_flood_is_not_a_request)
{
	static char flood[3 * ADMIN_REQUEST];
	struct rig *r = *state;
	struct operator* o = arrive(r);

	memset(flood, 'x', sizeof flood);
	(void)send(o->fd, flood, sizeof flood, MSG_NOSIGNAL);
	UNTIL(r->loop, has_heard_all(o) || errno == ECONNRESET);
	assert_int_equal(r->nasked, 0);
	UNTIL(r->loop, admin_control_clients(r->admin) == 0);
	leave(o);
}

TEST(more_clients_than_fit_are_turned_away_and_the_others_served)
{
	struct operator* o[ADMIN_CLIENTS + 1];
	struct rig *r = *state;

	for (unsigned i = 0; i <= ADMIN_CLIENTS; i++)
		o[i] = arrive(r);
	assert_int_equal(admin_control_clients(r->admin), ADMIN_CLIENTS);
	UNTIL(r->loop, has_heard_all(o[ADMIN_CLIENTS]));
	say(o[0], STR("status\n"));
	UNTIL(r->loop, r->nasked == 1);
	admin_control_answer(r->admin, r->asked[0].tag, 0, STR("ok"));
	expect(r, o[0], 0, "ok");
	for (unsigned i = 0; i <= ADMIN_CLIENTS; i++)
		leave(o[i]);
	UNTIL(r->loop, admin_control_clients(r->admin) == 0);
}

/* A reader that is slow pauses the spool, and gets every byte in the end. */
TEST(a_long_answer_of_the_spool_waits_for_its_reader)
{
	static char piece[50000];
	struct rig *r = *state;
	struct operator* o = arrive(r);
	size_t sent = 0;

	say(o, STR("queue\0list\n"));
	UNTIL(r->loop, r->nasked == 1);
	while (sent < 8u * 1024 * 1024) {
		memset(piece, 'a' + (int)(sent / sizeof piece % 26), sizeof piece);
		if (!r->is_paused) {
			admin_control_answer(r->admin, r->asked[0].tag, ADMIN_MORE,
					     (struct str){ piece, sizeof piece });
			sent += sizeof piece;
		}
		turn(r->loop);
		if (r->is_paused)
			hear(o, 100000);
	}
	admin_control_answer(r->admin, r->asked[0].tag, 0, STR(""));
	UNTIL(r->loop, has_heard_all(o));
	assert_int_equal(o->code, 0);
	assert_int_equal(buf_len(&o->text), sent);
	for (size_t i = 0; i < sent; i++)
		if (buf_str(&o->text).p[i] != 'a' + (char)(i / sizeof piece % 26))
			fail_msg("byte %zu is wrong", i);
	assert_true(r->pauses >= 2);
	assert_false(r->is_paused);
	leave(o);
}

TEST(a_paused_spool_goes_on_when_its_slow_reader_leaves)
{
	static char piece[50000];
	struct rig *r = *state;
	struct operator* o = arrive(r);

	say(o, STR("queue\0list\n"));
	UNTIL(r->loop, r->nasked == 1);
	for (unsigned i = 0; i < 100 && !r->is_paused; i++) {
		admin_control_answer(r->admin, r->asked[0].tag, ADMIN_MORE,
				     (struct str){ piece, sizeof piece });
		turn(r->loop);
	}
	assert_true(r->is_paused);
	leave(o);
	UNTIL(r->loop, !r->is_paused);
	assert_int_equal(admin_control_clients(r->admin), 0);
}

TEST(a_source_that_does_not_stop_loses_its_client_not_its_memory)
{
	static char piece[ADMIN_CHUNK];
	struct rig *r = *state;
	struct operator* o = arrive(r);

	say(o, STR("queue\0list\n"));
	UNTIL(r->loop, r->nasked == 1);
	for (unsigned i = 0; i < 100; i++)
		admin_control_answer(r->admin, r->asked[0].tag, ADMIN_MORE,
				     (struct str){ piece, sizeof piece });
	assert_int_equal(admin_control_clients(r->admin), 0);
	UNTIL(r->loop, has_heard_all(o) || errno == ECONNRESET);
	assert_true(o->code == 999 || o->code == ADMIN_MORE);
	leave(o);
}

TEST(metrics_are_answered_here_however_long)
{
	struct rig *r = *state;
	struct operator* o = arrive(r), *j = arrive(r);

	for (unsigned i = 0; i < HISTOGRAMS; i++)
		r->slab.histograms[i].buckets[3] = 1;
	say(o, STR("metrics\n"));
	UNTIL(r->loop, has_heard_all(o));
	assert_int_equal(o->code, 0);
	assert_int_equal(r->nasked, 0);
	assert_true(buf_len(&o->text) > ADMIN_OUT);
	assert_true(str_has_prefix(buf_str(&o->text), STR("# HELP moongate_build_info")));
	say(j, STR("metrics\0--json\n"));
	UNTIL(r->loop, has_heard_all(j));
	assert_true(str_has_prefix(buf_str(&j->text), STR("{\"metric\":")));
	assert_int_equal(admin_control_clients(r->admin), 0);
	leave(o);
	leave(j);
}

/* Over a real listening socket: the kernel says who it is. As root, another user may ask nothing. */
TEST(only_root_and_our_own_user_are_heard)
{
	struct rig *r = *state;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char path[] = "/tmp/moongate-admin-XXXXXX";
	struct operator* o;
	int fd, to;

	assert_non_null(mkdtemp(path));
	(void)snprintf(at.sun_path, sizeof at.sun_path, "%s/control.sock", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 8), 0);
	admin_control_listen(r->admin, fd);
	o = arrive(r);
	(void)close(o->fd);
	to = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (geteuid() == 0) {
		assert_int_equal(chmod(path, 0755) | chmod(at.sun_path, 0777), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	assert_int_equal(connect(to, (const struct sockaddr *)&at, sizeof at), 0);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(fcntl(to, F_SETFL, O_NONBLOCK), 0);
	o->fd = to;
	say(o, STR("status\n"));
	if (getuid() == 0) {
		expect(r, o, 77, "moongate: only root and the daemon's own user may ask\n");
		assert_int_equal(r->nasked, 0);
	} else {
		UNTIL(r->loop, r->nasked == 1);
	}
	leave(o);
	(void)unlink(at.sun_path);
	(void)rmdir(path);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(words_reach_the_master_and_its_answer_comes_back),
		RIG_TEST(each_noun_goes_to_who_can_answer_it),
		RIG_TEST(chunking_never_changes_the_request),
		RIG_TEST(answers_find_who_asked),
		RIG_TEST(an_answer_longer_than_a_chunk_goes_in_several),
		RIG_TEST(what_follows_a_request_is_not_one),
		RIG_TEST(a_late_answer_reaches_nobody),
		RIG_TEST(nobody_there_is_an_answer),
		RIG_TEST(a_spool_that_goes_away_is_said),
		RIG_TEST(who_asks_nothing_is_cut),
		RIG_TEST(no_answer_in_time_is_said),
		RIG_TEST(a_flood_is_not_a_request),
		RIG_TEST(more_clients_than_fit_are_turned_away_and_the_others_served),
		RIG_TEST(a_long_answer_of_the_spool_waits_for_its_reader),
		RIG_TEST(a_paused_spool_goes_on_when_its_slow_reader_leaves),
		RIG_TEST(a_source_that_does_not_stop_loses_its_client_not_its_memory),
		RIG_TEST(metrics_are_answered_here_however_long),
		RIG_TEST(only_root_and_our_own_user_are_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
