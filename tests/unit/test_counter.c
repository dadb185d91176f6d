#include "counter.h"

#include "check.h"

static struct counter_slab slab;

/* The order of these tests matters: attaching happens once in the life of a process. */

TEST(what_was_counted_before_attaching_goes_along_and_stale_gauges_do_not)
{
	counter_add(COUNTER_SESSIONS, 2);
	gauge_set(GAUGE_SESSIONS_OPEN, 1);
	histogram_add(HISTOGRAM_SYNC_TIME, 9);
	slab.counters[COUNTER_SESSIONS] = 40; /* left by the process that had the slab before */
	slab.gauges[GAUGE_SESSIONS_OPEN] = 17;
	slab.gauges[GAUGE_QUEUE_HELD] = 17;
	counter_attach(&slab);
	assert_int_equal(slab.counters[COUNTER_SESSIONS], 42);
	assert_int_equal(slab.gauges[GAUGE_SESSIONS_OPEN], 1);
	assert_int_equal(slab.gauges[GAUGE_QUEUE_HELD], 0);
	assert_int_equal(slab.histograms[HISTOGRAM_SYNC_TIME].buckets[1], 1);
}

TEST(counters_add_and_gauges_move)
{
	counter_add(COUNTER_COMMANDS, 1);
	counter_add(COUNTER_COMMANDS, 4);
	gauge_set(GAUGE_OUT_OPEN, 3);
	gauge_move(GAUGE_OUT_OPEN, -2);
	counter_beat(77);
	assert_int_equal(slab.counters[COUNTER_COMMANDS], 5);
	assert_int_equal(slab.gauges[GAUGE_OUT_OPEN], 1);
	assert_int_equal(slab.heartbeat, 77);
}

TEST(a_time_falls_into_the_first_bucket_that_holds_it)
{
	static const struct {
		uint64_t us;
		unsigned bucket;
	} table[] = {
		{ 0, 0 },
		{ 1, 0 },
		{ 8, 0 },
		{ 9, 1 },
		{ 16, 1 },
		{ 17, 2 },
		{ 1024, 7 },
		{ 1025, 8 },
		{ UINT64_C(8) << 26, 26 },
		{ (UINT64_C(8) << 26) + 1, 27 },
		{ UINT64_MAX, 27 },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		uint64_t *bucket = &slab.histograms[HISTOGRAM_HOOK_TIME].buckets[table[i].bucket],
			 before = *bucket;

		histogram_add(HISTOGRAM_HOOK_TIME, table[i].us);
		CHECK_INT(i, *bucket, before + 1);
		CHECK(i, table[i].us <= histogram_bound(table[i].bucket));
		if (table[i].bucket)
			CHECK(i, table[i].us > histogram_bound(table[i].bucket - 1));
	}
	assert_int_equal(slab.histograms[HISTOGRAM_HOOK_TIME].count, COUNT(table));
	assert_true(histogram_bound(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}

TEST(rules_have_slots_by_name_and_the_last_is_for_the_rest)
{
	char name[80];
	unsigned first = rule_slot(STR("known-recipients"));

	rule_add(first, RULE_REFUSED);
	assert_int_equal(rule_slot(STR("known-recipients")), first);
	assert_int_equal(slab.rules[first].counts[RULE_REFUSED], 1);
	assert_string_equal(slab.rules[first].name, "known-recipients");
	for (unsigned i = 1; i < COUNTER_RULES - 1; i++) {
		int n = snprintf(name, sizeof name, "rule %u", i);

		CHECK_INT(i, rule_slot((struct str){ name, (size_t)n }), i);
	}
	assert_int_equal(rule_slot(STR("one too many")), COUNTER_RULES - 1);
	assert_int_equal(rule_slot(STR("two too many")), COUNTER_RULES - 1);
	assert_string_equal(slab.rules[COUNTER_RULES - 1].name, "other");
	assert_int_equal(rule_slot(STR("rule 100")), 100);
}

TEST(every_figure_has_a_name_of_its_own_and_a_help)
{
	for (int i = 0; i < COUNTERS; i++) {
		assert_true(str_has_suffix(str_of(counter_info[i].name), STR("_total")));
		assert_true(strlen(counter_info[i].help) > 3);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(counter_info[i].name, counter_info[k].name);
	}
	for (int i = 0; i < GAUGES; i++)
		assert_true(strlen(gauge_info[i].name) > 3);
	for (int i = 0; i < HISTOGRAMS; i++)
		assert_true(str_has_suffix(str_of(histogram_info[i].name), STR("_seconds")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_was_counted_before_attaching_goes_along_and_stale_gauges_do_not),
		cmocka_unit_test(counters_add_and_gauges_move),
		cmocka_unit_test(a_time_falls_into_the_first_bucket_that_holds_it),
		cmocka_unit_test(rules_have_slots_by_name_and_the_last_is_for_the_rest),
		cmocka_unit_test(every_figure_has_a_name_of_its_own_and_a_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
