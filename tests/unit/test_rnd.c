#include "rnd.h"

#include "check.h"

TEST(two_fills_differ)
{
	unsigned char a[32] = { 0 }, b[32] = { 0 };

	rnd_fill(a, sizeof a);
	rnd_fill(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
}

TEST(numbers_stay_below_their_bound_and_reach_all_of_it)
{
	unsigned seen[7] = { 0 };

	for (int i = 0; i < 7000; i++) {
		uint64_t value = rnd_below(7);

		CHECK(i, value < 7);
		seen[value]++;
	}
	for (size_t i = 0; i < COUNT(seen); i++)
		CHECK(i, seen[i] > 700);
	assert_int_equal(rnd_below(1), 0);
	assert_true(rnd_below(UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_fills_differ),
		cmocka_unit_test(numbers_stay_below_their_bound_and_reach_all_of_it),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
