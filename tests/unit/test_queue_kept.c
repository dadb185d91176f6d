#include "queue_kept.h"

#include "queue_rig.h"

/* What is held or quarantined. */

static struct queue_message *kept(unsigned number, unsigned nrcpts, enum ipc_state state)
{
	return rig_message(number, nrcpts, state);
}

static uint64_t bytes_kept(void)
{
	return rig.queue->index.quarantined_kib * 1024;
}

static struct ipc_refusal refusal(unsigned number)
{
	static struct rig_frame *f;
	struct ipc_refusal r;

	rig_free(&f);
	f = rig_take(&rig.edges[0], IPC_REFUSED);
	assert_non_null(f);
	assert_int_equal(f->tag, number);
	assert_true(ipc_refusal_decode(f->payload, &r));
	return r;
}

TEST(the_reason_bucket_and_time_come_from_the_envelope_and_survive_a_crash)
{
	rig_begin();
	rig.submit_lines = "reason: 100%25 junk\nbucket: spam\nttl: 600000000\n";
	(void)kept(1, 2, IPC_STATE_QUARANTINE);
	(void)kept(2, 1, IPC_STATE_HOLD);
	for (unsigned round = 0; round < 3; round++) {
		struct queue_message *m = rig_find(1, 0);

		CHECK_INT(round, m->job.place, PLACE_QUARANTINED);
		CHECK_INT(round, m->job.due, m->created + 600);
		CHECK_STR(round, queue_said(m, SAID_LAST), STR("100% junk"));
		CHECK_STR(round, queue_said(m, SAID_BUCKET), STR("spam"));
		CHECK_INT(round, bytes_kept(), 1024);
		CHECK_INT(round, rig_find(2, 0)->job.place, PLACE_HELD);
		CHECK_STR(round, queue_said(rig_find(2, 0), SAID_LAST), STR("100% junk"));
		if (round == 1) /* the third time from a STATE */
			queue_progress(rig.queue, m);
		rig_restart();
	}
	rig_end();
}

TEST(a_full_quarantine_takes_nothing_and_the_queue_still_does)
{
	unsigned n = 0;

	rig_init();
	rig.options.quarantine_bytes = 5 * 1024;
	rig_start();
	for (; n < 5; n++)
		(void)kept(n, 1, IPC_STATE_QUARANTINE);
	rig_submit(0, n, 1, IPC_STATE_QUARANTINE);
	assert_int_equal(refusal(n).code, 452);
	(void)kept(n, 1, IPC_STATE_QUEUE);
	assert_int_equal(bytes_kept(), 5 * 1024);
	assert_true(queue_kept_release(rig.queue, rig_find(0, 0), PLACE_QUARANTINED, NULL));
	(void)kept(n + 1, 1, IPC_STATE_QUARANTINE);
	rig_end();
}

TEST(what_is_in_the_quarantine_for_too_long_goes_and_nobody_is_told)
{
	rig_begin();
	(void)kept(1, 3, IPC_STATE_QUARANTINE);
	(void)kept(2, 1, IPC_STATE_HOLD);
	rig_wait(86390 * RIG_SECOND);
	assert_non_null(rig_find(1, 0));
	rig_wait(20 * RIG_SECOND);
	assert_null(rig_find(1, 0));
	assert_int_equal(bytes_kept(), 0);
	assert_int_equal(rig_count(&rig.delivers[0], IPC_ROUTE), 0);
	assert_int_equal(rig_count(&rig.delivers[1], IPC_ROUTE), 0);
	rig_wait(864000 * RIG_SECOND);
	assert_int_equal(rig_find(2, 0)->job.place, PLACE_HELD);
	rig_restart();
	assert_null(rig_find(1, 0));
	rig_end();
}

static struct rig_frame *next_route(void)
{
	struct rig_frame *f = NULL;

	for (unsigned i = 0; i < RIG_DELIVERS && !f; i++)
		f = rig_take(&rig.delivers[i], IPC_ROUTE);
	return f;
}

TEST(release_asks_for_the_way_as_if_it_had_just_come)
{
	struct rig_frame *f;

	rig_begin();
	(void)kept(1, 2, IPC_STATE_QUARANTINE);
	assert_false(queue_kept_release(rig.queue, rig_find(1, 0), PLACE_HELD, NULL));
	assert_true(queue_kept_release(rig.queue, rig_find(1, 0), PLACE_QUARANTINED, NULL));
	f = next_route();
	assert_int_equal(rig_lease(f)->nrcpts, 2);
	assert_int_equal(rig_lease(f)->last.n, 0);
	rig_free(&f);
	rig_restart();
	assert_int_equal(rig_find(1, 0)->job.place, PLACE_ROUTING);
	rig_end();
}

TEST(release_to_somebody_else_reaches_him_alone_also_after_a_crash)
{
	struct str to = STR("abuse@example.net");

	rig_begin();
	(void)kept(1, 3, IPC_STATE_QUARANTINE);
	assert_true(queue_kept_release(rig.queue, rig_find(1, 0), PLACE_QUARANTINED, &to));
	for (unsigned round = 0; round < 2; round++) {
		struct rig_frame *f = next_route();
		struct ipc_lease *l = rig_lease(f);
		struct envelope e;
		struct arena arena;
		struct fault why;

		arena_init(&arena, 1 << 20);
		CHECK_INT(round, l->nrcpts, 1);
		CHECK_INT(round, envelope_read(l->envelope, &arena, &e, &why), 0);
		CHECK_INT(round, e.nrcpts, 3);
		CHECK_STR(round, e.rcpts[l->rcpts[0].index].address, to);
		CHECK_STR(round, e.sender, STR("a@b"));
		arena_fini(&arena);
		rig_free(&f);
		rig_restart();
	}
	assert_int_equal(rig_find(1, 0)->left, 1);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_reason_bucket_and_time_come_from_the_envelope_and_survive_a_crash),
		cmocka_unit_test(a_full_quarantine_takes_nothing_and_the_queue_still_does),
		cmocka_unit_test(what_is_in_the_quarantine_for_too_long_goes_and_nobody_is_told),
		cmocka_unit_test(release_asks_for_the_way_as_if_it_had_just_come),
		cmocka_unit_test(release_to_somebody_else_reaches_him_alone_also_after_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
