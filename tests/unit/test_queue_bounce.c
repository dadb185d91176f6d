#include "queue_rig.h"

/* A bounce and the failures that it reports are durable together, or neither is. */

static struct rig_peer *at[2];
static uint64_t tags[2];

/* two_leases - one message, two recipients, two destinations */
static struct queue_message *two_leases(unsigned number)
{
	struct queue_message *m = rig_message(number, 2, IPC_STATE_QUEUE);
	struct rig_peer *p;

	rig_turn(3);
	p = rig_count(&rig.delivers[0], IPC_ROUTE) ? &rig.delivers[0] : &rig.delivers[1];
	rig_to(0, "mx0", "mx0");
	rig_to(1, "mx1", "mx1");
	rig_answer(p, IPC_ROUTED, rig_tag(p, IPC_ROUTE));
	for (unsigned i = 0; i < 2; i++) {
		struct rig_frame *f;

		p = rig_owner(i ? "mx1" : "mx0");
		f = rig_take(p, IPC_DISPATCH);
		at[rig_lease(f)->rcpts[0].index] = p;
		tags[rig_lease(f)->rcpts[0].index] = f->tag;
		rig_free(&f);
	}
	return m;
}

static void fail_with_bounce(unsigned i, unsigned bounce)
{
	rig_outcome(i, IPC_OUTCOME_FAIL, "5.1.1 no such user");
	rig_bounce(bounce, IPC_STATE_QUEUE);
	rig_answer(at[i], IPC_RESULT, tags[i]);
}

static bool is_there(unsigned number)
{
	struct id id = rig_id(number, 0x8000);

	return queue_message_find(&rig.queue->index, &id, 0) != NULL;
}

TEST(a_bounce_is_stored_with_the_failure_and_the_message_is_over)
{
	rig_begin();
	tags[0] = rig_dispatched(1, "mx", &at[0]);
	fail_with_bounce(0, 2);
	rig_turn(5);
	assert_null(rig_find(1, 0));
	assert_true(is_there(2));
	rig_crash(0);
	assert_null(rig_find(1, 0));
	assert_true(is_there(2));
	rig_end();
}

TEST(two_bounces_of_one_message_at_once_go_one_after_the_other)
{
	rig_begin();
	two_leases(1);
	rig_outcome(0, IPC_OUTCOME_FAIL, "5.1.1 no such user");
	rig_bounce(2, IPC_STATE_QUEUE);
	rig_answer(at[0], IPC_RESULT, tags[0]);
	fail_with_bounce(1, 3);
	rig_turn(8);
	assert_null(rig_find(1, 0));
	assert_true(is_there(2) && is_there(3));
	rig_end();
}

/* in_one_turn - both answers are in the ring before the queue looks */
static void in_one_turn(enum ipc_outcome second)
{
	rig.delivers[0].is_deaf = rig.delivers[1].is_deaf = false;
	for (unsigned i = 0; i < 2; i++) {
		static struct ipc_result r;
		struct ipc_submit s = { .id = rig_id(2 + i, 0x8000), .nvariants = 1 };
		struct buf bounce, answer;

		buf_init(&bounce, IPC_FRAME_MAX);
		buf_init(&answer, IPC_FRAME_MAX);
		s.variants[0] = (struct ipc_variant){ IPC_STATE_QUEUE, STR("rcpt: a@b\n"),
						      STR("A: b\r\n") };
		assert_true(ipc_submit_encode(&bounce, &s));
		r = (struct ipc_result){ .noutcomes = 1 };
		r.outcomes[0] = (struct ipc_outcome_of){ .index = i,
							 .outcome = i ? second : IPC_OUTCOME_FAIL };
		r.has_bounce = r.outcomes[0].outcome == IPC_OUTCOME_FAIL;
		r.bounce = buf_str(&bounce);
		assert_true(ipc_result_encode(&answer, &r));
		assert_true(rig_send(at[i], IPC_RESULT, tags[i], buf_str(&answer)));
		buf_fini(&bounce);
		buf_fini(&answer);
	}
	rig_turn(8);
}

TEST(two_bounces_in_one_turn_do_not_meet_in_the_spool)
{
	rig_begin();
	two_leases(1);
	in_one_turn(IPC_OUTCOME_FAIL);
	assert_null(rig_find(1, 0));
	assert_true(is_there(2) && is_there(3));
	rig_crash(0);
	assert_true(is_there(2) && is_there(3));
	rig_end();
}

TEST(the_last_recipient_may_finish_while_a_bounce_is_on_its_way)
{
	struct spool_stats stats;

	rig_begin();
	two_leases(1);
	in_one_turn(IPC_OUTCOME_DONE);
	assert_null(rig_find(1, 0));
	assert_true(is_there(2));
	rig_turn(3);
	spool_stats(rig.spool, &stats);
	assert_int_equal(stats.live, 1); /* the bounce: the spool was told that the rest is over */
	rig_restart();
	assert_null(rig_find(1, 0));
	rig_end();
}

TEST(without_the_bounce_nothing_has_failed)
{
	struct queue_message *m;

	rig_begin();
	tags[0] = rig_dispatched(1, "mx", &at[0]);
	rig.disk.fail_at = rig.disk.calls + 1;
	rig.disk.fails_for_ever = true;
	rig.disk.fail_errno = 5;
	fail_with_bounce(0, 2);
	rig_wait(3 * RIG_SECOND);
	m = rig_find(1, 0);
	assert_non_null(m);
	assert_int_equal(m->left, 1);
	rig.disk.fail_at = 0;
	rig.disk.fails_for_ever = false;
	rig_wait(400 * RIG_SECOND);
	assert_int_equal(rig_find(1, 0)->left, 1);
	assert_false(is_there(2));
	rig_end();
}

TEST(a_bounce_that_makes_no_sense_softens_the_failure)
{
	static struct ipc_result r;
	struct buf answer;
	struct queue_message *m;

	rig_begin();
	tags[0] = rig_dispatched(1, "mx", &at[0]);
	r = (struct ipc_result){ .noutcomes = 1, .has_bounce = true, .bounce = STR("nonsense") };
	r.outcomes[0].outcome = IPC_OUTCOME_FAIL;
	buf_init(&answer, IPC_FRAME_MAX);
	assert_true(ipc_result_encode(&answer, &r));
	assert_true(rig_send(at[0], IPC_RESULT, tags[0], buf_str(&answer)));
	buf_fini(&answer);
	rig_turn(4);
	m = rig_find(1, 0);
	assert_non_null(m);
	assert_int_equal(m->job.place, PLACE_WAITING);
	rig_end();
}

TEST(a_bounce_that_is_known_already_counts)
{
	rig_begin();
	tags[0] = rig_dispatched(1, "mx", &at[0]);
	fail_with_bounce(0, 2);
	rig_turn(5);
	tags[0] = rig_dispatched(3, "mx", &at[0]);
	fail_with_bounce(0, 2); /* the same again */
	rig_turn(5);
	assert_null(rig_find(3, 0));
	rig_restart();
	assert_null(rig_find(3, 0));
	assert_true(is_there(2));
	rig_end();
}

TEST(a_bounce_with_an_id_of_an_edge_is_none)
{
	rig_begin();
	rig_message(9, 1, IPC_STATE_HOLD);
	tags[0] = rig_dispatched(1, "mx", &at[0]);
	rig_outcome(0, IPC_OUTCOME_FAIL, "5.0.0 x");
	rig_bounce(9, IPC_STATE_QUEUE);
	rig_answer(at[0], IPC_RESULT, tags[0]);
	rig_turn(4);
	assert_null(rig_find(1, 0)); /* that one has its own number: stored */
	assert_true(is_there(9));
	assert_int_equal(rig_find(9, 0)->job.place, PLACE_HELD);
	rig_end();
}

TEST(a_bounce_may_be_quarantined)
{
	struct id id = rig_id(2, 0x8000);

	rig_begin();
	tags[0] = rig_dispatched(1, "mx", &at[0]);
	rig_outcome(0, IPC_OUTCOME_FAIL, "5.0.0 x");
	rig_bounce(2, IPC_STATE_QUARANTINE);
	rig_answer(at[0], IPC_RESULT, tags[0]);
	rig_turn(5);
	assert_int_equal(queue_message_find(&rig.queue->index, &id, 0)->job.place,
			 PLACE_QUARANTINED);
	rig_crash(0);
	assert_int_equal(queue_message_find(&rig.queue->index, &id, 0)->job.place,
			 PLACE_QUARANTINED);
	rig_end();
}

TEST(the_channel_may_go_while_a_bounce_is_on_its_way)
{
	rig_begin();
	tags[0] = rig_dispatched(1, "mx", &at[0]);
	rig_outcome(0, IPC_OUTCOME_FAIL, "5.0.0 x");
	rig_bounce(2, IPC_STATE_QUEUE);
	rig_answer(at[0], IPC_RESULT, tags[0]);
	rig_lose(at[0]);
	queue_check(rig.queue);
	rig_turn(5);
	assert_null(rig_find(1, 0));
	assert_true(is_there(2));
	rig_end();
}

TEST(a_crash_while_a_bounce_is_on_its_way_leaves_one_of_the_two)
{
	for (uint64_t keep = 0; keep < 64; keep++) {
		struct queue_message *m;

		rig_begin();
		tags[0] = rig_dispatched(1, "mx", &at[0]);
		rig.disk.off_at = rig.disk.calls + 1 + (unsigned)keep % 8;
		rig_outcome(0, IPC_OUTCOME_FAIL, "5.0.0 x");
		rig_bounce(2, IPC_STATE_QUEUE);
		rig_answer(at[0], IPC_RESULT, tags[0]);
		rig_turn(2);
		rig_crash(keep / 8 * 0x2b);
		m = rig_find(1, 0);
		CHECK(keep, (m != NULL) != is_there(2));
		rig_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bounce_is_stored_with_the_failure_and_the_message_is_over),
		cmocka_unit_test(two_bounces_of_one_message_at_once_go_one_after_the_other),
		cmocka_unit_test(two_bounces_in_one_turn_do_not_meet_in_the_spool),
		cmocka_unit_test(the_last_recipient_may_finish_while_a_bounce_is_on_its_way),
		cmocka_unit_test(without_the_bounce_nothing_has_failed),
		cmocka_unit_test(a_bounce_that_makes_no_sense_softens_the_failure),
		cmocka_unit_test(a_bounce_that_is_known_already_counts),
		cmocka_unit_test(a_bounce_with_an_id_of_an_edge_is_none),
		cmocka_unit_test(a_bounce_may_be_quarantined),
		cmocka_unit_test(the_channel_may_go_while_a_bounce_is_on_its_way),
		cmocka_unit_test(a_crash_while_a_bounce_is_on_its_way_leaves_one_of_the_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
