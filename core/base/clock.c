#include "clock.h"

#include <assert.h>
#include <time.h>

#define DAY       86400
#define ERA_DAYS  146097 /* 400 years */
#define ERA_SHIFT 719468 /* days from 0000-03-01 to 1970-01-01 */

static uint64_t now(clockid_t which)
{
	struct timespec t;
	int rc = clock_gettime(which, &t);

	assert(rc == 0);
	return (uint64_t)t.tv_sec * CLOCK_SECOND + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_mono(void)
{
	return now(CLOCK_MONOTONIC);
}

uint64_t clock_wall(void)
{
	return now(CLOCK_REALTIME);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/*
 * The civil calendar in eras of 400 years that begin on 1 March, so that a leap day is the last of
 * its year.
 */
struct clock_date clock_date_of(int64_t seconds)
{
	int64_t days = floor_div(seconds, DAY), era = floor_div(days + ERA_SHIFT, ERA_DAYS);
	unsigned second = (unsigned)(seconds - days * DAY);
	unsigned day = (unsigned)(days + ERA_SHIFT - era * ERA_DAYS);
	unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	unsigned of_year = day - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153; /* 0 is March */

	return (struct clock_date){
		.year = (int)(era * 400 + year + (month >= 10)),
		.month = month < 10 ? month + 3 : month - 9,
		.day = of_year - (153 * month + 2) / 5 + 1,
		.hour = second / 3600,
		.minute = second / 60 % 60,
		.second = second % 60,
		.weekday = (unsigned)(days + 4 - floor_div(days + 4, 7) * 7),
	};
}

int64_t clock_seconds(const struct clock_date *d)
{
	int64_t year = d->year - (d->month <= 2), era = floor_div(year, 400);
	unsigned of_era = (unsigned)(year - era * 400);
	unsigned month = d->month > 2 ? d->month - 3 : d->month + 9;
	unsigned of_year = (153 * month + 2) / 5 + d->day - 1;
	unsigned day = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
	int64_t days = era * ERA_DAYS + day - ERA_SHIFT;

	return days * DAY + d->hour * 3600 + d->minute * 60 + d->second;
}
