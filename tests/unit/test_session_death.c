/* layer: session */
#include "session_bed.h"

/*
 * The worst moments. A session that dies at any point of its life leaves nothing behind: no
 * question, no pin, no slot, no transaction; and whatever breaks between edge and spool, a 250 is
 * only said for what is durable (session_bed.h looks).
 */

static const char *const steps[] = {
	"EHLO client.example\r\n",
	"MAIL FROM:<a@sender.example>\r\n",
	"RCPT TO:<b@example.com>\r\n",
	"DATA\r\n",
	"Subject: x\r\n\r\n",
	"body\r\n",
	".\r\n",
	"QUIT\r\n",
};

static void some_turns(void)
{
	for (int i = 0; i < 6; i++)
		turn(bed.loop);
}

/* live - up to and with step n; questions of `hook` stay open */
static struct bed_client live(size_t n)
{
	struct bed_client c = client_open();

	some_turns();
	for (size_t i = 0; i < n; i++) {
		say(&c, steps[i]);
		some_turns();
	}
	return c;
}

enum death { BY_CLIENT, BY_DEADLINE, BY_SERVER, BY_DRAIN, DEATHS };

static void die(struct bed_client *c, enum death how)
{
	switch (how) {
	case BY_CLIENT:
		client_close(c);
		some_turns();
		while (bed.policy.nopen > 0) { /* a paused connection learns of it when it speaks */
			bed_answer();
			some_turns();
		}
		break;
	case BY_DEADLINE:
		clock_ahead_us += bed.o.session_us + 1000000;
		some_turns();
		while (bed.policy.nopen > 0) { /* `disconnect` */
			bed_answer();
			some_turns();
		}
		break;
	case BY_DRAIN:
		session_server_drain(bed.server);
		some_turns();
		break;
	case BY_SERVER:
	case DEATHS:
		break;
	}
}

TEST(a_session_may_die_at_every_point)
{
	for (size_t n = 0; n <= COUNT(steps); n++)
		for (enum policy_hook hook = HOOK_CONNECT; hook <= HOOK_DISCONNECT; hook++)
			for (enum death how = 0; how < DEATHS; how++) {
				struct bed_client c;

				bed_begin(state);
				bed.policy.waits[hook] = true;
				c = live(n);
				die(&c, how);
				if (how == BY_CLIENT || how == BY_DEADLINE)
					CHECK_INT(n * 100 + hook, session_server_count(bed.server),
						  0);
				client_close(&c);
				bed_end(state);
			}
}

TEST(a_session_may_die_while_the_spool_is_silent)
{
	for (size_t n = 0; n <= COUNT(steps); n++)
		for (enum death how = 0; how < DEATHS; how++) {
			struct bed_client c;

			bed_begin(state);
			bed.spool.commit = n % 2 ? BED_DEAF : BED_WAITS;
			c = live(n);
			die(&c, how);
			if (how == BY_DEADLINE)
				CHECK_INT(n, session_server_count(bed.server), 0);
			client_close(&c);
			bed_end(state);
		}
}

TEST(what_comes_in_one_breath_is_answered_in_order_however_late)
{
	struct bed_client c;
	struct buf all;

	buf_init(&all, 4096);
	for (size_t i = 0; i < COUNT(steps); i++)
		assert_true(buf_add(&all, str_of(steps[i])));
	bed.policy.is_late = true;
	c = client_open();
	say_str(&c, buf_str(&all));
	hear(&c, "220 ");
	hear(&c, "250 ");
	hear(&c, "250 2.1.0");
	hear(&c, "250 2.1.5");
	hear(&c, "354 ");
	hear(&c, "250 2.6.0");
	hear(&c, "221 ");
	hear_end(&c);
	client_close(&c);
	buf_fini(&all);
}

/* ---- the channel breaks after each frame */

enum loss { LOST_AND_BACK, LOST_FOR_GOOD, LOSSES };

static unsigned frames_left;
static enum loss loss;
static struct net_deferred breaking;

static void break_channel(struct net_deferred *d)
{
	(void)d;
	if (loss == LOST_FOR_GOOD)
		bed_disconnect();
	else
		bed_connect(BED_RING);
}

/*
 * counted_frame - the n-th frame is still taken, and then everything on its way is lost, the answer
 * too
 */
static void counted_frame(void *owner, const struct ipc_frame *frame)
{
	if (frames_left == 0)
		return;
	bed_spool_frame(owner, frame);
	if (--frames_left == 0)
		break_channel(&breaking);
}

/*
 * One message of that size; the spool's end is replaced by the counting one. True: the channel did
 * break.
 */
static bool break_after(unsigned n, enum loss how, size_t size)
{
	static struct ipc_channel_ops ops;
	struct bed_client c;
	const char *line;
	struct buf b;
	bool broke;

	loss = how;
	frames_left = n;
	ops = (struct ipc_channel_ops){ .frame = counted_frame, .broken = bed_broken };
	bed_connect_to(&ops, BED_RING);
	buf_init(&b, size + 256);
	assert_true(buf_add(&b, STR("Subject: x\r\n\r\n")));
	while (buf_len(&b) < size)
		assert_true(buf_add(&b, STR("all work and no play makes jack a dull boy\r\n")));
	assert_true(buf_add(&b, STR(".\r\n")));
	c = client_open();
	greet(&c);
	envelope(&c);
	data(&c);
	for (struct str rest = buf_str(&b); rest.n > 0; rest = str_drop(rest, 16384)) {
		unsigned turns = 0;

		for (struct str piece = str_head(rest, 16384); piece.n > 0;) {
			ssize_t sent = send(c.fd, piece.p, piece.n, MSG_NOSIGNAL);

			piece = sent > 0 ? str_drop(piece, (size_t)sent) : piece;
			turn(bed.loop);
			if (++turns == 50) /* it waits for a spool that does not come */
				clock_ahead_us += bed.o.commit_us + 1000000;
		}
	}
	some_turns();
	if (how == LOST_FOR_GOOD)
		clock_ahead_us += bed.o.commit_us + 1000000;
	line = next_line(&c);
	broke = frames_left == 0;
	if (strncmp(line, "250 2.6.0", 9) != 0 && strncmp(line, "451 4.3.0", 9) != 0)
		fail_msg("after frame %u: '%s'", n, line);
	say(&c, "NOOP\r\n");
	hear(&c, "250 2.0.0");
	client_close(&c);
	buf_fini(&b);
	return broke;
}

TEST(a_channel_that_breaks_after_any_frame_makes_no_false_250)
{
	static const size_t sizes[] = { 1000, 300000 };

	for (size_t i = 0; i < COUNT(sizes); i++)
		for (enum loss how = 0; how < LOSSES; how++) {
			bool broke = true;

			for (unsigned n = 1; broke; n++) {
				bed_begin(state);
				broke = break_after(n, how, sizes[i]);
				bed_end(state);
			}
		}
}

/* ---- many at once, all with late answers, all leaving at random */

TEST(a_crowd_that_comes_and_goes_leaves_nothing_behind)
{
	enum { CROWD = 24, ROUNDS = 1500 };
	static struct {
		struct bed_client c;
		size_t step;
	} crowd[CROWD];
	uint32_t seed = 7;

	for (size_t i = 0; i < CROWD; i++)
		crowd[i].c.fd = -1;
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t who;

		seed = seed * 1664525u + 1013904223u;
		who = seed >> 24 & (CROWD - 1);
		who = who < CROWD ? who : 0;
		bed.spool.commit = seed >> 20 & 7 ? BED_COMMITS : BED_REFUSES;
		bed.policy.is_late = seed >> 16 & 1;
		if (crowd[who].c.fd < 0) {
			crowd[who].c = client_open();
			crowd[who].step = 0;
		} else if (crowd[who].step == COUNT(steps) || (seed >> 12 & 15) == 0) {
			client_close(&crowd[who].c);
		} else {
			say(&crowd[who].c, steps[crowd[who].step++]);
		}
		if (bed.spool.nstored == BED_STORED)
			break;
		turn(bed.loop);
	}
	for (size_t i = 0; i < CROWD; i++)
		client_close(&crowd[i].c);
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
}

/* The last holder of what a reload replaced: what its machine still reads must outlive its last turn. */
TEST(a_session_may_end_under_options_that_are_gone)
{
	struct bed_client c = live(1);

	bed_options();
	say(&c, "QUIT\r\n");
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_may_die_at_every_point),
		cmocka_unit_test(a_session_may_die_while_the_spool_is_silent),
		BED_TEST(a_session_may_end_under_options_that_are_gone),
		BED_TEST(what_comes_in_one_breath_is_answered_in_order_however_late),
		cmocka_unit_test(a_channel_that_breaks_after_any_frame_makes_no_false_250),
		BED_TEST(a_crowd_that_comes_and_goes_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
