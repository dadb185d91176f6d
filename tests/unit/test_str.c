#include "check.h"

TEST(equality_is_of_bytes_and_ieq_folds_ascii_letters_only)
{
	static const struct {
		struct str a, b;
		bool eq, ieq;
	} table[] = {
		{ STR(""), STR_NONE, true, true },
		{ STR("a"), STR("a"), true, true },
		{ STR("a"), STR("A"), false, true },
		{ STR("a"), STR("ab"), false, false },
		{ STR("a\0b"), STR("a\0b"), true, true },
		{ STR("a\0b"), STR("a\0c"), false, false },
		{ STR("["), STR("{"), false, false },
		{ STR("@"), STR("`"), false, false },
		{ STR("\xc4"), STR("\xe4"), false, false },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		CHECK_INT(i, str_eq(table[i].a, table[i].b), table[i].eq);
		CHECK_INT(i, str_ieq(table[i].a, table[i].b), table[i].ieq);
		CHECK_INT(i, str_cmp(table[i].a, table[i].b) == 0, table[i].eq);
	}
}

TEST(sorting_puts_the_shorter_of_two_first)
{
	static const struct str sorted[] = { STR(""),   STR("A"), STR("a"),   STR("a\0"),
					     STR("aa"), STR("b"), STR("\xff") };

	for (size_t i = 0; i + 1 < COUNT(sorted); i++) {
		CHECK(i, str_cmp(sorted[i], sorted[i + 1]) < 0);
		CHECK(i, str_cmp(sorted[i + 1], sorted[i]) > 0);
	}
}

TEST(prefixes_and_suffixes_are_found)
{
	static const struct {
		struct str s, part;
		bool prefix, iprefix, suffix, isuffix;
	} table[] = {
		{ STR("Received"), STR("Rec"), true, true, false, false },
		{ STR("Received"), STR("rec"), false, true, false, false },
		{ STR("Received"), STR("ved"), false, false, true, true },
		{ STR("Received"), STR("VED"), false, false, false, true },
		{ STR("a"), STR(""), true, true, true, true },
		{ STR_NONE, STR(""), true, true, true, true },
		{ STR("a"), STR("aa"), false, false, false, false },
		{ STR("a"), STR("a"), true, true, true, true },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		CHECK_INT(i, str_has_prefix(table[i].s, table[i].part), table[i].prefix);
		CHECK_INT(i, str_has_iprefix(table[i].s, table[i].part), table[i].iprefix);
		CHECK_INT(i, str_has_suffix(table[i].s, table[i].part), table[i].suffix);
		CHECK_INT(i, str_has_isuffix(table[i].s, table[i].part), table[i].isuffix);
	}
}

TEST(a_byte_is_found_from_both_ends)
{
	assert_int_equal(str_find(STR("a.b.c"), '.'), 1);
	assert_int_equal(str_rfind(STR("a.b.c"), '.'), 3);
	assert_int_equal(str_find(STR("abc"), '.'), -1);
	assert_int_equal(str_rfind(STR("abc"), '.'), -1);
	assert_int_equal(str_find(STR_NONE, '.'), -1);
	assert_int_equal(str_rfind(STR_NONE, '.'), -1);
	assert_int_equal(str_find(STR("a\0."), '.'), 2);
	assert_int_equal(str_find_any(STR("user%host"), "@%!"), 4);
	assert_int_equal(str_find_any(STR("user"), "@%!"), -1);
	assert_int_equal(str_find_any(STR("a\0b"), "@"), -1);
}

TEST(cutting_never_passes_an_end)
{
	CHECK_STR(0, str_drop(STR("abc"), 2), STR("c"));
	CHECK_STR(1, str_drop(STR("abc"), 9), STR(""));
	CHECK_STR(2, str_drop(STR_NONE, 9), STR(""));
	CHECK_STR(3, str_head(STR("abc"), 2), STR("ab"));
	CHECK_STR(4, str_head(STR("abc"), 9), STR("abc"));
	CHECK_STR(5, str_trim(STR(" \t\r\na b\r\n ")), STR("a b"));
	CHECK_STR(6, str_trim(STR(" \r\n")), STR(""));
	CHECK_STR(7, str_of(NULL), STR(""));
	CHECK_STR(8, str_of("x"), STR("x"));
}

TEST(taking_consumes_the_separator_and_a_miss_nothing)
{
	struct str s = STR("a,,b"), head;

	assert_true(str_take(&s, ',', &head));
	CHECK_STR(0, head, STR("a"));
	assert_true(str_take(&s, ',', &head));
	CHECK_STR(1, head, STR(""));
	assert_false(str_take(&s, ',', &head));
	CHECK_STR(2, s, STR("b"));
}

TEST(numbers_are_whole_and_bounded)
{
	static const struct {
		struct str text;
		uint64_t max, want;
		bool ok;
	} table[] = {
		{ STR("0"), 10, 0, true },
		{ STR("007"), 10, 7, true },
		{ STR("10"), 10, 10, true },
		{ STR("11"), 10, 0, false },
		{ STR(""), 10, 0, false },
		{ STR("-1"), 10, 0, false },
		{ STR("1 "), 10, 0, false },
		{ STR("0x1"), 10, 0, false },
		{ STR("9"), 5, 0, false },
		{ STR("5"), 5, 5, true },
		{ STR("\xb2"), 9, 0, false },
		{ STR("1"), 0, 0, false },
		{ STR("18446744073709551615"), UINT64_MAX, UINT64_MAX, true },
		{ STR("18446744073709551616"), UINT64_MAX, 0, false },
		{ STR("99999999999999999999"), UINT64_MAX, 0, false },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		uint64_t got = 0;

		CHECK_INT(i, str_u64(table[i].text, table[i].max, &got), table[i].ok);
		CHECK(i, got == table[i].want);
	}
}

TEST(a_copy_is_cut_and_terminated)
{
	char to[4] = "zzz";

	assert_int_equal(str_copy(to, sizeof to, STR("abcdef")), 3);
	assert_string_equal(to, "abc");
	assert_int_equal(str_copy(to, sizeof to, STR_NONE), 0);
	assert_string_equal(to, "");
	assert_int_equal(str_copy(to, 0, STR("x")), 0);
}

TEST(the_nearest_is_nearer_than_asked_and_the_first_of_equals)
{
	struct str_near near = { STR("listn"), 3, STR_NONE };

	str_near_try(&near, STR(""));
	str_near_try(&near, STR("domains"));
	CHECK_STR(0, near.found, STR(""));
	str_near_try(&near, STR("lists"));
	str_near_try(&near, STR("listen"));
	CHECK_STR(0, near.found, STR("lists"));
	near = (struct str_near){ STR("ab"), 2, STR_NONE };
	str_near_try(&near, STR(""));
	str_near_try(&near, STR("cd"));
	CHECK_STR(0, near.found, STR(""));
}

TEST(distance_counts_edits_up_to_its_cap)
{
	static const struct {
		struct str a, b;
		unsigned want;
	} table[] = {
		{ STR("listen"), STR("listen"), 0 },
		{ STR("listen"), STR("listn"), 1 },
		{ STR("lisetn"), STR("listen"), 2 },
		{ STR(""), STR("abc"), 3 },
		{ STR("kitten"), STR("sitting"), 3 },
		{ STR("abcdefghijk"), STR("mnopqrstuvw"), 8 },
		{ STR("0123456789012345678901234567890123456789012345678901234567890123456789"),
		  STR("0"), 8 },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		CHECK_INT(i, str_distance(table[i].a, table[i].b), table[i].want);
		CHECK_INT(i, str_distance(table[i].b, table[i].a), table[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality_is_of_bytes_and_ieq_folds_ascii_letters_only),
		cmocka_unit_test(sorting_puts_the_shorter_of_two_first),
		cmocka_unit_test(prefixes_and_suffixes_are_found),
		cmocka_unit_test(a_byte_is_found_from_both_ends),
		cmocka_unit_test(cutting_never_passes_an_end),
		cmocka_unit_test(taking_consumes_the_separator_and_a_miss_nothing),
		cmocka_unit_test(numbers_are_whole_and_bounded),
		cmocka_unit_test(a_copy_is_cut_and_terminated),
		cmocka_unit_test(the_nearest_is_nearer_than_asked_and_the_first_of_equals),
		cmocka_unit_test(distance_counts_edits_up_to_its_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
