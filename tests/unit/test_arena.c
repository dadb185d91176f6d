#include "arena.h"

#include "check.h"

TEST(memory_is_zeroed_aligned_and_apart)
{
	struct arena a;
	char *before = NULL;

	arena_init(&a, 1 << 20);
	for (size_t n = 0; n < 300; n++) {
		char *p = arena_alloc(&a, n);

		assert_non_null(p);
		CHECK_INT(n, (uintptr_t)p % 16, 0);
		CHECK(n, p != before);
		for (size_t i = 0; i < n; i++)
			CHECK_INT(n, p[i], 0);
		memset(p, 0xff, n);
		before = p;
	}
	arena_fini(&a);
}

TEST(no_more_than_the_cap_is_handed_out)
{
	struct arena a;

	arena_init(&a, 100);
	assert_non_null(arena_alloc(&a, 64));
	assert_null(arena_alloc(&a, 64));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 7));
	assert_non_null(arena_alloc(&a, 32));
	assert_null(arena_alloc(&a, 1));
	assert_null(arena_str(&a, STR("x")).p);
	assert_null(arena_printf(&a, "%s", "x").p);
	assert_true(a.used <= a.cap);
	arena_fini(&a);
}

TEST(a_block_larger_than_a_chunk_is_fine)
{
	struct arena a;
	char *p;

	arena_init(&a, SIZE_MAX);
	p = arena_alloc(&a, 1000000);
	assert_non_null(p);
	memset(p, 1, 1000000);
	assert_non_null(arena_alloc(&a, 1));
	arena_fini(&a);
}

TEST(reset_gives_the_whole_cap_back_and_zeroes_again)
{
	struct arena a;

	arena_init(&a, 64 * 1024);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 64; i++) {
			char *p = arena_alloc(&a, 1024);

			assert_non_null(p);
			CHECK_INT(i, p[0], 0);
			CHECK_INT(i, p[1023], 0);
			memset(p, 7, 1024);
		}
		assert_null(arena_alloc(&a, 1));
		arena_reset(&a);
		assert_int_equal(a.used, 0);
	}
	arena_fini(&a);
}

TEST(copies_are_terminated_and_may_be_empty)
{
	struct arena a;
	struct str s;

	arena_init(&a, 4096);
	s = arena_str(&a, STR("a\0b"));
	CHECK_STR(0, s, STR("a\0b"));
	assert_int_equal(s.p[3], 0);
	s = arena_str(&a, STR_NONE);
	assert_non_null(s.p);
	assert_int_equal(s.p[0], 0);
	s = arena_printf(&a, "%s-%d", "x", 42);
	CHECK_STR(1, s, STR("x-42"));
	assert_int_equal(s.p[4], 0);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
		cmocka_unit_test(no_more_than_the_cap_is_handed_out),
		cmocka_unit_test(a_block_larger_than_a_chunk_is_fine),
		cmocka_unit_test(reset_gives_the_whole_cap_back_and_zeroes_again),
		cmocka_unit_test(copies_are_terminated_and_may_be_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
