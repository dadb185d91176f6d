#include "delivery_peer.h"
#include "delivery_rig.h"

static struct peer peer;

static int up(void **state)
{
	rig_up(state);
	peer_open(&peer, rig.loop, "127.0.0.1:0", "smtp:");
	return 0;
}

static int down(void **state)
{
	rig_down(state);
	return 0;
}

/* The peer lives in the loop that rig_down frees. */
static void finish(void)
{
	delivery_free(&rig.delivery);
	peer_close(&peer);
}

static bool said_goodbye(void)
{
	return rig_has(buf_str(&peer.log), "QUIT");
}

static bool two_are_open(void)
{
	unsigned open = 0;

	LIST_EACH(node, &peer.conns)
		open++;
	return open == 2;
}

static bool one_is_finished(void)
{
	return peer.finished == 1;
}

static bool three_are_finished(void)
{
	return peer.finished == 3;
}

static bool is_at_work(void)
{
	return !delivery_is_idle(rig.delivery);
}

static const struct ipc_outcome_of *one(struct rig_lease lease)
{
	static uint64_t tag;

	lease.tag = ++tag;
	if (!lease.sender)
		lease.sender = "s@example.org";
	if (!lease.rcpts[0])
		lease.rcpts[0] = "a@example.net";
	if (!lease.hop)
		lease.hop = peer.hop;
	if (!lease.body.n)
		lease.body = STR("body\r\n.dot\r\n");
	rig_send(&lease);
	rig_run(rig.nresults + 1);
	return rig_of(lease.tag)->outcomes;
}

TEST(a_message_arrives_byte_for_byte_in_one_group_of_commands)
{
	const struct ipc_outcome_of *o = one((struct rig_lease){ .header = STR("Subject: x\r\n") });

	assert_int_equal(o->outcome, IPC_OUTCOME_DONE);
	CHECK_STR(0, buf_str(&peer.messages), STR("Subject: x\r\n\r\nbody\r\n..dot\r\n\f"));
	CHECK_STR(0, buf_str(&peer.log),
		  STR("EHLO gate.example.org\nMAIL FROM:<s@example.org>\nRCPT "
		      "TO:<a@example.net>\nDATA\n"));
	assert_true(rig_logged("\"event\":\"delivery\""));
	assert_true(rig_logged("\"outcome\":\"delivered\""));
	assert_true(rig_logged("queued as X"));
	finish();
}

TEST(a_connection_is_used_again_up_to_its_number_of_messages)
{
	struct delivery_options o = rig_options;

	o.messages_per_connection = 3;
	delivery_options_set(rig.delivery, &o);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(one((struct rig_lease){ 0 })->outcome, IPC_OUTCOME_DONE);
	assert_int_equal(peer.connections, 3);
	assert_int_equal(peer.finished, 7);
	rig_until(said_goodbye);
	finish();
}

TEST(messages_at_once_take_as_many_connections_and_no_more_stay_than_allowed)
{
	struct delivery_options o = rig_options;

	o.idle_per_key = 2;
	delivery_options_set(rig.delivery, &o);
	for (uint64_t tag = 100; tag < 110; tag++)
		rig_send(&(struct rig_lease){ .tag = tag,
					      .hop = peer.hop,
					      .sender = "s@example.org",
					      .rcpts = { "a@example.net" },
					      .body = STR("x\r\n") });
	rig_run(10);
	for (uint64_t tag = 100; tag < 110; tag++)
		assert_int_equal(rig_of(tag)->outcomes[0].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(peer.connections, 10);
	rig_until(two_are_open);
	rig_turns(5000);
	assert_true(two_are_open());
	finish();
}

/* clang-format off */
static const struct {
	const char *name;
	struct peer_script script;
	enum ipc_outcome outcome;
	uint16_t code;
	const char *text;               /* what the answer's text holds */
	unsigned messages;              /* that the peer took whole */
} stages[] = {
	{ "greeting 4xx",   { .greeting = "421 4.3.2 busy" },            IPC_OUTCOME_DEFER, 421, "4.3.2 busy", 0 },
	{ "greeting 5xx",   { .greeting = "554 5.7.1 go away" },         IPC_OUTCOME_FAIL,  554, "5.7.1 go away", 0 },
	{ "ehlo 5xx",       { .ehlo = "554 5.7.1 not you" },             IPC_OUTCOME_FAIL,  554, "not you", 0 },
	{ "mail 4xx",       { .mail = "451 4.7.1 grey" },                IPC_OUTCOME_DEFER, 451, "4.7.1 grey", 0 },
	{ "mail 5xx",       { .mail = "550 5.1.8 bad sender" },          IPC_OUTCOME_FAIL,  550, "5.1.8 bad sender", 0 },
	{ "data 4xx",       { .data = "451 4.3.0 no" },                  IPC_OUTCOME_DEFER, 451, "4.3.0 no", 0 },
	{ "data 5xx",       { .data = "554 5.3.0 no" },                  IPC_OUTCOME_FAIL,  554, "5.3.0 no", 0 },
	{ "final 4xx",      { .final = "452 4.3.1 full" },               IPC_OUTCOME_DEFER, 452, "4.3.1 full", 1 },
	{ "final 5xx",      { .final = "554 5.6.0 spam" },               IPC_OUTCOME_FAIL,  554, "5.6.0 spam", 1 },
	{ "mail closes",    { .at_mail = PEER_CLOSE },                   IPC_OUTCOME_DEFER, 0, "4.4.2", 0 },
	{ "354 then close", { .at_data = PEER_CLOSE },                   IPC_OUTCOME_DEFER, 0, "4.4.2", 0 },
	{ "final is lost",  { .at_final = PEER_CLOSE },                  IPC_OUTCOME_DEFER, 0, "4.4.2", 1 },
	{ "slow but good",  { .is_slow = true },                         IPC_OUTCOME_DONE,  250, "", 1 },
	{ "no extensions",  { .is_plain = true },                        IPC_OUTCOME_DONE,  250, "", 1 },
	{ "endless reply",  { .endless = 5000 },                         IPC_OUTCOME_DEFER, 0, "4.5.0", 0 },
	{ "garbage",        { .greeting = "hello\r\nworld" },            IPC_OUTCOME_DEFER, 0, "4.5.0", 0 },
	{ "two greetings",  { .greeting = "220 a\r\n220 b" },            IPC_OUTCOME_DEFER, 0, "4.5.0", 0 },
	{ "refuses midway", { .during_body = "552 5.3.4 too big" },      IPC_OUTCOME_FAIL,  552, "5.3.4 too big", 1 },
};
/* clang-format on */

TEST(each_stage_can_refuse_and_each_ends_as_its_code_says)
{
	for (size_t i = 0; i < COUNT(stages); i++) {
		const struct ipc_outcome_of *o;
		uint64_t before = peer.finished;

		peer.script = stages[i].script;
		o = one((struct rig_lease){ 0 });
		CHECK_INT(i, o->outcome, stages[i].outcome);
		CHECK_INT(i, o->code, stages[i].code);
		if (o->outcome != IPC_OUTCOME_DONE && !rig_has(o->text, stages[i].text))
			fail_msg("%s: '%.*s'", stages[i].name, STR_ARG(o->text));
		if (stages[i].messages == 0)
			CHECK_INT(i, peer.finished, before);
		peer_hang_up(&peer);
		rig_turns(10000); /* what is open sees it */
	}
	finish();
}

TEST(a_lost_final_reply_is_said_to_be_unsure)
{
	peer.script.at_final = PEER_CLOSE;
	assert_int_equal(one((struct rig_lease){ 0 })->outcome, IPC_OUTCOME_DEFER);
	assert_true(rig_logged("\"unsure\":true"));
	finish();
}

TEST(each_recipient_has_its_own_outcome)
{
	const struct ipc_outcome_of *o =
		one((struct rig_lease){ .rcpts = { "a@example.net", "550b@example.net",
						   "c@example.net", "450d@example.net" } });

	assert_int_equal(o[0].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(o[1].outcome, IPC_OUTCOME_FAIL);
	CHECK_STR(0, o[1].text, STR("5.1.1 no thanks"));
	assert_int_equal(o[2].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(o[3].outcome, IPC_OUTCOME_DEFER);
	assert_int_equal(o[3].code, 450);
	assert_true(rig_of(rig.results[0].tag)->has_bounce);
	finish();
}

TEST(lmtp_answers_for_each_recipient)
{
	static struct peer lmtp;
	const struct ipc_outcome_of *o;
	char path[64];

	(void)snprintf(path, sizeof path, "unix:/tmp/moongate-lmtp-%ld", (long)getpid());
	peer_open(&lmtp, rig.loop, path, "lmtp:");
	o = one((struct rig_lease){ .hop = lmtp.hop,
				    .rcpts = { "a@example.net", "lx452@example.net",
					       "550c@example.net", "lx554@example.net" } });
	assert_int_equal(o[0].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(o[1].outcome, IPC_OUTCOME_DEFER);
	assert_int_equal(o[2].outcome, IPC_OUTCOME_FAIL);
	assert_int_equal(o[3].outcome, IPC_OUTCOME_FAIL);
	assert_int_equal(o[3].code, 554);
	assert_int_equal(one((struct rig_lease){ .hop = lmtp.hop })->outcome, IPC_OUTCOME_DONE);
	assert_int_equal(lmtp.connections, 1);
	assert_true(str_has_prefix(buf_str(&lmtp.log), STR("LHLO ")));
	finish();
	peer_close(&lmtp);
	(void)unlink(path + 5);
}

TEST(eight_bits_are_not_sent_to_who_does_not_take_them)
{
	peer.script.is_plain = true;
	assert_int_equal(one((struct rig_lease){ .is_8bit = true })->outcome, IPC_OUTCOME_FAIL);
	assert_true(rig_logged("5.6.3"));
	finish();
}

TEST(an_idle_connection_that_the_peer_closed_costs_no_attempt)
{
	peer.script.closes_after = true;
	for (unsigned i = 0; i < 3; i++) /* the close and the next message may cross */
		assert_int_equal(one((struct rig_lease){ 0 })->outcome, IPC_OUTCOME_DONE);
	assert_int_equal(peer.finished, 3);
	finish();
}

TEST(a_stale_connection_is_replaced_once)
{
	assert_int_equal(one((struct rig_lease){ 0 })->outcome, IPC_OUTCOME_DONE);
	peer.script.mail = "421 4.4.2 idle too long";
	assert_int_equal(one((struct rig_lease){ 0 })->outcome, IPC_OUTCOME_DEFER);
	assert_int_equal(peer.connections, 2);
	finish();
}

TEST(a_dead_host_fails_the_others_at_once_and_is_tried_again_later)
{
	char hop[sizeof peer.hop];
	struct rig_lease l = { .hop = hop,
			       .sender = "s@example.org",
			       .rcpts = { "a@example.net" },
			       .body = STR("x") };

	strcpy(hop, peer.hop);
	net_listen_close(&peer.listen);
	for (l.tag = 50; l.tag < 60; l.tag++)
		rig_send(&l);
	rig_run(10);
	for (l.tag = 50; l.tag < 60; l.tag++) {
		const struct ipc_outcome_of *o = rig_of(l.tag)->outcomes;

		assert_int_equal(o->outcome, IPC_OUTCOME_DEFER);
		assert_true(str_has_prefix(o->text, STR("4.4.1 127.0.0.1:")));
	}
	buf_fini(&peer.log);
	buf_fini(&peer.messages);
	peer_open(&peer, rig.loop, hop + 5, "smtp:");
	rig_send(&l);
	rig_run(11); /* too early: remembered */
	assert_int_equal(rig_of(l.tag)->outcomes[0].outcome, IPC_OUTCOME_DEFER);
	assert_int_equal(peer.connections, 0);
	rig_turns(1100000);
	l.tag++;
	rig_send(&l);
	rig_run(12);
	assert_int_equal(rig_of(l.tag)->outcomes[0].outcome, IPC_OUTCOME_DONE);
	finish();
}

static struct str big(size_t n)
{
	static char text[3 << 20];

	for (size_t i = 0; i < n; i++)
		text[i] = i % 64 == 62   ? '\r'
			  : i % 64 == 63 ? '\n'
			  : i % 64 == 0  ? '.'
					 : (char)('a' + i / 64 % 26);
	return (struct str){ text, n };
}

/* The wire has each leading dot twice. */
static bool is_stuffed(struct str wire, struct str text)
{
	size_t at = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (i % 64 == 0 && (at >= wire.n || wire.p[at++] != '.'))
			return false;
		if (at >= wire.n || wire.p[at++] != text.p[i])
			return false;
	}
	return str_eq(str_drop(wire, at), STR("\f"));
}

TEST(a_big_body_is_read_piece_by_piece)
{
	static const size_t most[] = { 0, 50000, 777 };

	for (size_t i = 0; i < COUNT(most); i++) {
		size_t n = most[i] == 777 ? 128 * 1024 : 3 << 20;

		rig.most = most[i];
		buf_reset(&peer.messages);
		CHECK_INT(i, one((struct rig_lease){ .body = big(n) })->outcome, IPC_OUTCOME_DONE);
		CHECK(i,
		      is_stuffed(str_drop(buf_str(&peer.messages), strlen("Subject: hi\r\n\r\n")),
				 big(n)));
	}
	finish();
}

TEST(many_big_bodies_share_the_ring)
{
	for (uint64_t tag = 1; tag <= 30; tag++)
		rig_send(&(struct rig_lease){ .tag = tag,
					      .hop = peer.hop,
					      .sender = "s@example.org",
					      .rcpts = { "a@example.net" },
					      .body = big(512 * 1024) });
	rig_run(30);
	for (uint64_t tag = 1; tag <= 30; tag++)
		assert_int_equal(rig_of(tag)->outcomes[0].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(peer.finished, 30);
	finish();
}

TEST(a_body_that_cannot_be_read_never_ends)
{
	rig.is_unreadable = true;
	assert_int_equal(one((struct rig_lease){ .body = big(200 * 1024) })->outcome,
			 IPC_OUTCOME_DEFER);
	rig_turns(20000);
	assert_int_equal(peer.finished, 0);
	assert_true(rig_logged("cannot be read"));
	assert_true(rig_logged("\"status\":\"4.3.0\""));
	finish();
}

TEST(a_message_that_smuggles_is_never_ended)
{
	const struct ipc_outcome_of *o =
		one((struct rig_lease){ .body = STR("a\n.\r\nMAIL FROM:<x@y>\r\n") });

	assert_int_equal(o->outcome, IPC_OUTCOME_FAIL);
	rig_turns(20000);
	assert_int_equal(peer.finished, 0);
	finish();
}

TEST(when_the_spool_is_gone_its_leases_are_forgotten)
{
	peer.script.at_final = PEER_SILENT;
	rig_send(&(struct rig_lease){ .tag = 1,
				      .hop = peer.hop,
				      .sender = "s@example.org",
				      .rcpts = { "a@example.net" },
				      .body = STR("x\r\n") });
	rig_until(one_is_finished);
	assert_false(delivery_is_idle(rig.delivery));
	rig_channel();
	assert_true(delivery_is_idle(rig.delivery));
	peer.script.at_final = PEER_SAY;
	assert_int_equal(one((struct rig_lease){ 0 })->outcome, IPC_OUTCOME_DONE);
	assert_int_equal(rig.nresults, 1);
	finish();
}

TEST(draining_finishes_what_runs_and_gives_the_rest_back)
{
	peer.script.is_slow = true;
	rig_send(&(struct rig_lease){ .tag = 1,
				      .hop = peer.hop,
				      .sender = "s@example.org",
				      .rcpts = { "a@example.net" },
				      .body = STR("x\r\n") });
	rig_until(is_at_work);
	delivery_drain(rig.delivery);
	rig_send(&(struct rig_lease){ .tag = 2,
				      .hop = peer.hop,
				      .sender = "s@example.org",
				      .rcpts = { "a@example.net" },
				      .body = STR("x\r\n") });
	rig_run(2);
	assert_int_equal(rig_of(1)->outcomes[0].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(rig_of(2)->noutcomes, 0);
	assert_true(delivery_is_idle(rig.delivery));
	finish();
}

TEST(a_frame_that_makes_no_sense_is_given_back)
{
	struct str garbage = STR("not a lease");

	assert_true(ipc_channel_send(
		rig.spool, &(struct ipc_frame){ .type = IPC_DISPATCH, .tag = 9 }, &garbage, 1));
	assert_true(ipc_channel_send(rig.spool, &(struct ipc_frame){ .type = IPC_DATA, .tag = 77 },
				     &garbage, 1));
	rig_run(1);
	assert_int_equal(rig_of(9)->noutcomes, 0);
	finish();
}

TEST(answers_and_questions_wait_for_room_in_the_ring)
{
	struct str filler = heap_copy(big(100 * 1024)), tiny = STR_NONE;
	struct rig_lease l = { .hop = peer.hop,
			       .sender = "s@example.org",
			       .rcpts = { "a@example.net" },
			       .body = STR("x\r\n") };
	struct ipc_frame head = { .type = RIG_FILLER };

	ipc_channel_pause(rig.spool);
	while (ipc_channel_send(rig.deliver, &head, &filler, 1))
		;
	while (ipc_channel_send(rig.deliver, &head, &tiny, 1))
		;
	for (l.tag = 1; l.tag <= 3; l.tag++)
		rig_send(&l);
	l.body = big(200 * 1024);
	rig_send(&l);
	rig_until(three_are_finished);
	assert_int_equal(rig.nresults, 0);
	ipc_channel_resume(rig.spool);
	rig_run(4);
	for (l.tag = 1; l.tag <= 4; l.tag++)
		assert_int_equal(rig_of(l.tag)->outcomes[0].outcome, IPC_OUTCOME_DONE);
	assert_true(delivery_is_idle(rig.delivery));
	heap_free(filler);
	finish();
}

TEST(a_hop_that_cannot_be_understood_holds_the_mail)
{
	const struct ipc_outcome_of *o = one((struct rig_lease){ .hop = "mail.example.org:25" });

	assert_int_equal(o->outcome, IPC_OUTCOME_HOLD);
	assert_true(o->text.n > 0);
	finish();
}

TEST(many_messages_take_no_more_memory_than_few)
{
	for (unsigned i = 0; i < 200; i++) {
		(void)one((struct rig_lease){ 0 });
		free(rig.results[rig.nresults - 1].bytes);
		free(rig.results[--rig.nresults].result);
		buf_reset(&rig.log);
		buf_reset(&peer.log);
		buf_reset(&peer.messages);
	}
	assert_int_equal(peer.finished, 200);
	assert_int_equal(peer.connections, 2);
	finish();
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(a_message_arrives_byte_for_byte_in_one_group_of_commands),
		RUN(a_connection_is_used_again_up_to_its_number_of_messages),
		RUN(messages_at_once_take_as_many_connections_and_no_more_stay_than_allowed),
		RUN(each_stage_can_refuse_and_each_ends_as_its_code_says),
		RUN(a_lost_final_reply_is_said_to_be_unsure),
		RUN(each_recipient_has_its_own_outcome),
		RUN(lmtp_answers_for_each_recipient),
		RUN(eight_bits_are_not_sent_to_who_does_not_take_them),
		RUN(an_idle_connection_that_the_peer_closed_costs_no_attempt),
		RUN(a_stale_connection_is_replaced_once),
		RUN(a_dead_host_fails_the_others_at_once_and_is_tried_again_later),
		RUN(a_big_body_is_read_piece_by_piece),
		RUN(many_big_bodies_share_the_ring),
		RUN(a_body_that_cannot_be_read_never_ends),
		RUN(a_message_that_smuggles_is_never_ended),
		RUN(when_the_spool_is_gone_its_leases_are_forgotten),
		RUN(draining_finishes_what_runs_and_gives_the_rest_back),
		RUN(a_frame_that_makes_no_sense_is_given_back),
		RUN(answers_and_questions_wait_for_room_in_the_ring),
		RUN(a_hop_that_cannot_be_understood_holds_the_mail),
		RUN(many_messages_take_no_more_memory_than_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
