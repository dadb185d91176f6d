#include "fault.h"

#include "check.h"

#include <errno.h>

TEST(a_fault_says_why_and_returns_minus_one)
{
	struct fault why = { .sys = 99 };

	assert_int_equal(fault_set(&why, "line %d: %s\n", 3, "bad"), -1);
	assert_string_equal(why.text, "line 3: bad");
	assert_int_equal(why.sys, 0);
}

TEST(a_system_fault_carries_errno_and_keeps_it)
{
	struct fault why;

	errno = ENOENT;
	assert_int_equal(fault_sys(&why, "open %s", "/x"), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(why.sys, ENOENT);
	assert_string_equal(why.text, "open /x: No such file or directory");
}

TEST(nobody_need_ask_why)
{
	errno = EIO;
	assert_int_equal(fault_set(NULL, "x"), -1);
	assert_int_equal(fault_sys(NULL, "x"), -1);
	assert_int_equal(errno, EIO);
}

TEST(a_fault_may_be_wrapped_into_itself)
{
	struct fault why;

	fault_set(&why, "inner");
	fault_set(&why, "outer: %s", why.text);
	assert_string_equal(why.text, "outer: inner");
}

TEST(long_text_is_cut)
{
	char text[2000];
	struct fault why;

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	errno = EIO;
	fault_sys(&why, "%s", text);
	assert_int_equal(strlen(why.text), sizeof why.text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_says_why_and_returns_minus_one),
		cmocka_unit_test(a_system_fault_carries_errno_and_keeps_it),
		cmocka_unit_test(nobody_need_ask_why),
		cmocka_unit_test(a_fault_may_be_wrapped_into_itself),
		cmocka_unit_test(long_text_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
