#include "clock.h"

#include "check.h"

#include <time.h>

TEST(time_does_not_run_backwards)
{
	uint64_t before = clock_mono();

	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_mono();

		CHECK(i, now >= before);
		before = now;
	}
	assert_true(clock_wall() > UINT64_C(1700000000) * CLOCK_SECOND);
}

TEST(the_calendar_agrees_with_the_library)
{
	for (int64_t t = -5000000000; t < 20000000000; t += 9876543) {
		struct clock_date d = clock_date_of(t);
		time_t when = (time_t)t;
		struct tm want;

		gmtime_r(&when, &want);
		CHECK_INT(t, d.year, want.tm_year + 1900);
		CHECK_INT(t, d.month, want.tm_mon + 1);
		CHECK_INT(t, d.day, want.tm_mday);
		CHECK_INT(t, d.hour, want.tm_hour);
		CHECK_INT(t, d.minute, want.tm_min);
		CHECK_INT(t, d.second, want.tm_sec);
		CHECK_INT(t, d.weekday, want.tm_wday);
		CHECK_INT(t, clock_seconds(&d), t);
	}
}

TEST(leap_days_come_when_they_must)
{
	static const struct {
		int year;
		bool is_leap;
	} years[] = { { 1900, false }, { 1996, true }, { 2000, true },
		      { 2023, false }, { 2024, true }, { 2100, false } };

	for (size_t i = 0; i < COUNT(years); i++) {
		struct clock_date d = { .year = years[i].year, .month = 2, .day = 28 };

		d = clock_date_of(clock_seconds(&d) + 86400);
		CHECK_INT(i, d.month, years[i].is_leap ? 2 : 3);
		CHECK_INT(i, d.day, years[i].is_leap ? 29 : 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_does_not_run_backwards),
		cmocka_unit_test(the_calendar_agrees_with_the_library),
		cmocka_unit_test(leap_days_come_when_they_must),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
