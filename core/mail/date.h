/*
 * date - the date-time of RFC 5322 3.3, with the obsolete forms of 4.3 when reading.
 *
 * What        written in UTC ("Tue, 24 Nov 2026 11:09:15 +0000"); read with comments, missing
 *             weekday or seconds, years of two and three digits, named zones.
 * Why         no locale, no time zone database: strftime and strptime know both.
 */
#ifndef DATE_H
#define DATE_H

#include "str.h"

#define DATE_TEXT 40

/* returns text, NUL-terminated */
const char *date_write(uint64_t wall_us, char text[DATE_TEXT]);
/* since 1970; false: no date, out is untouched */
bool date_parse(struct str text, int64_t *seconds);

#endif
