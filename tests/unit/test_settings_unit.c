#include "settings_unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "step.h"

#define S UINT64_C(1000000)

static const struct sample {
	const char *text;
	bool good;
	uint64_t value;
} sizes[] = {
	{ "0B", true, 0 },
	{ "25MiB", true, 25 << 20 },
	{ "1KiB", true, 1024 },
	{ "1GiB", true, UINT64_C(1) << 30 },
	{ "3TiB", true, UINT64_C(3) << 40 },
	{ "16777215TiB", true, UINT64_C(16777215) << 40 },
	{ "16777216TiB", false, 0 },
	{ "", false, 0 },
	{ "25", false, 0 },
	{ "MiB", false, 0 },
	{ "25MB", false, 0 },
	{ "25mib", false, 0 },
	{ "25 MiB", false, 0 },
	{ "-1B", false, 0 },
	{ "1.5GiB", false, 0 },
	{ "1GiB1MiB", false, 0 },
	{ "99999999999999999999999B", false, 0 },
}, durations[] = {
	{ "0s", true, 0 },
	{ "5m", true, 300 * S },
	{ "1h30m", true, 5400 * S },
	{ "2w3d", true, 17 * 86400 * S },
	{ "1s500ms", true, 1500000 },
	{ "7us", true, 7 },
	{ "2ms", true, 2000 },
	{ "30m1h", false, 0 },
	{ "5m5m", false, 0 },
	{ "5", false, 0 },
	{ "m", false, 0 },
	{ "", false, 0 },
	{ "5 m", false, 0 },
	{ "5M", false, 0 },
	{ "1h30", false, 0 },
	{ "18446744073709551615us", true, UINT64_MAX },
	{ "18446744073709551616us", false, 0 },
	{ "30500568904w1us", false, 0 },
};

static void a_size_is_digits_and_one_unit(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		uint64_t value = 0;

		if (settings_unit_size(str_of(sizes[i].text), &value) != sizes[i].good)
			fail_msg("%s", sizes[i].text);
		if (sizes[i].good)
			assert_int_equal(value, sizes[i].value);
	}
}

static void a_duration_is_units_from_long_to_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(durations); i++) {
		uint64_t value = 0;

		if (settings_unit_duration(str_of(durations[i].text), &value) != durations[i].good)
			fail_msg("%s", durations[i].text);
		if (durations[i].good)
			assert_int_equal(value, durations[i].value);
	}
}

static void what_is_written_reads_back(void **state)
{
	static const uint64_t numbers[] = { 0,    1,    7,       999,        1000,      1023,
					    1024, 4095, 1000000, 5400000000, UINT64_MAX };
	char text[SETTINGS_UNIT_TEXT];
	uint64_t back;

	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		assert_true(settings_unit_size(str_of(settings_unit_size_text(numbers[i], text)),
					       &back));
		assert_int_equal(back, numbers[i]);
		assert_true(settings_unit_duration(
			str_of(settings_unit_duration_text(numbers[i], text)), &back));
		assert_int_equal(back, numbers[i]);
	}
}

static void the_shortest_text_is_written(void **state)
{
	char text[SETTINGS_UNIT_TEXT];

	(void)state;
	assert_string_equal(settings_unit_size_text(25 << 20, text), "25MiB");
	assert_string_equal(settings_unit_size_text(1025, text), "1025B");
	assert_string_equal(settings_unit_duration_text(5400 * S, text), "1h30m");
	assert_string_equal(settings_unit_duration_text(0, text), "0s");
	assert_string_equal(settings_unit_duration_text(1500, text), "1ms500us");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_is_digits_and_one_unit),
		cmocka_unit_test(a_duration_is_units_from_long_to_short),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(the_shortest_text_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
