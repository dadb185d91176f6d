/*
 * clock - the two times.
 *
 * Monotonic for every wait and deadline; wall time for what people and other hosts read. Both in
 * microseconds. Pure layers never ask for the time: it arrives as an argument. The calendar below
 * is arithmetic, for everybody.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#define CLOCK_SECOND UINT64_C(1000000)

uint64_t clock_mono(void);
uint64_t clock_wall(void);

struct clock_date {             /* UTC, proleptic Gregorian */
	int year;
	unsigned month, day;    /* from 1 */
	unsigned hour, minute, second;
	unsigned weekday;       /* 0 is Sunday */
};

struct clock_date clock_date_of(int64_t seconds);               /* since 1970-01-01 */
/* the reverse; weekday is not read */
int64_t clock_seconds(const struct clock_date *d);

#endif
