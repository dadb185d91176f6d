#include "queue_flow.h"

#include "check.h"

static const struct queue_flow_limits limits = { 2, 20 };

static unsigned after_good(struct queue_flow *f, unsigned n)
{
	while (n-- > 0)
		queue_flow_good(f, &limits);
	return queue_flow_allows(f, &limits);
}

static unsigned after_bad(struct queue_flow *f, enum ipc_cause cause)
{
	queue_flow_bad(f, cause, &limits);
	return queue_flow_allows(f, &limits);
}

TEST(it_begins_small_and_grows_by_one_with_each_success_up_to_the_most)
{
	struct queue_flow f = { 0 };

	assert_int_equal(queue_flow_allows(&f, &limits), QUEUE_FLOW_FIRST);
	for (unsigned i = 1; i <= 20; i++)
		CHECK_INT(i, after_good(&f, 1),
			  QUEUE_FLOW_FIRST + i < 20 ? QUEUE_FLOW_FIRST + i : 20);
}

TEST(a_refusal_for_its_rate_halves_it_once_per_round)
{
	struct queue_flow f = { 0 };

	(void)after_good(&f, 15);
	assert_int_equal(after_bad(&f, IPC_CAUSE_RATE), 10);
	for (unsigned i = 0; i < 9; i++) /* those that were under way already */
		CHECK_INT(i, after_bad(&f, IPC_CAUSE_RATE), 10);
	assert_int_equal(after_bad(&f, IPC_CAUSE_RATE), 5);
	for (unsigned i = 0; i < 100; i++)
		(void)after_bad(&f, IPC_CAUSE_BROKEN);
	assert_int_equal(queue_flow_allows(&f, &limits), 2);
}

TEST(after_a_refusal_it_grows_by_one_per_round)
{
	struct queue_flow f = { 0 };

	(void)after_good(&f, 15);
	assert_int_equal(after_bad(&f, IPC_CAUSE_BROKEN), 10);
	assert_int_equal(after_good(&f, 9), 10);
	assert_int_equal(after_good(&f, 2), 11);
	assert_int_equal(after_good(&f, 400), 20);
}

TEST(a_dead_host_is_probed_by_one_until_it_answers)
{
	static const enum ipc_cause answers[] = { IPC_CAUSE_OTHER, IPC_CAUSE_GREYLIST };

	for (size_t i = 0; i < COUNT(answers); i++) {
		struct queue_flow f = { 0 };

		(void)after_good(&f, 15);
		CHECK_INT(i, after_bad(&f, IPC_CAUSE_CONNECT), 1);
		CHECK_INT(i, after_bad(&f, IPC_CAUSE_CONNECT), 1);
		CHECK_INT(i, after_bad(&f, IPC_CAUSE_POLICY), 1); /* it was not asked */
		CHECK_INT(i, after_bad(&f, answers[i]), 2);
		CHECK_INT(i, after_good(&f, 5), 7);
	}
}

TEST(what_says_nothing_about_its_width_changes_nothing)
{
	struct queue_flow f = { 0 };

	(void)after_good(&f, 5);
	assert_int_equal(after_bad(&f, IPC_CAUSE_GREYLIST), 10);
	assert_int_equal(after_bad(&f, IPC_CAUSE_OTHER), 10);
	assert_int_equal(after_bad(&f, IPC_CAUSE_POLICY), 10);
}

TEST(new_limits_hold_at_once)
{
	struct queue_flow f = { 0 };

	(void)after_good(&f, 15);
	assert_int_equal(queue_flow_allows(&f, &(struct queue_flow_limits){ 1, 3 }), 3);
	assert_int_equal(queue_flow_allows(&f, &(struct queue_flow_limits){ 30, 40 }), 30);
	assert_int_equal(queue_flow_allows(&f, &(struct queue_flow_limits){ 0, 1 }), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_begins_small_and_grows_by_one_with_each_success_up_to_the_most),
		cmocka_unit_test(a_refusal_for_its_rate_halves_it_once_per_round),
		cmocka_unit_test(after_a_refusal_it_grows_by_one_per_round),
		cmocka_unit_test(a_dead_host_is_probed_by_one_until_it_answers),
		cmocka_unit_test(what_says_nothing_about_its_width_changes_nothing),
		cmocka_unit_test(new_limits_hold_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
