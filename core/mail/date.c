#include "date.h"

#include "clock.h"
#include "step.h"

#include <stdio.h>

static const struct str days[] = {
	{ "Sun", 3 }, { "Mon", 3 }, { "Tue", 3 }, { "Wed", 3 },
	{ "Thu", 3 }, { "Fri", 3 }, { "Sat", 3 },
};

/* clang-format off */
static const struct str months[] = {
	{ "Jan", 3 }, { "Feb", 3 }, { "Mar", 3 }, { "Apr", 3 }, { "May", 3 }, { "Jun", 3 },
	{ "Jul", 3 }, { "Aug", 3 }, { "Sep", 3 }, { "Oct", 3 }, { "Nov", 3 }, { "Dec", 3 },
};

/*
 * obs-zone; a military letter says nothing about the offset that can be trusted, so it is UTC (RFC
 * 5322 4.3)
 */
static const struct zone { struct str name; int hours; } zones[] = {
	{ { "UT", 2 },   0 }, { { "GMT", 3 },  0 }, { { "UTC", 3 },  0 },
	{ { "EST", 3 }, -5 }, { { "EDT", 3 }, -4 }, { { "CST", 3 }, -6 }, { { "CDT", 3 }, -5 },
	{ { "MST", 3 }, -7 }, { { "MDT", 3 }, -6 }, { { "PST", 3 }, -8 }, { { "PDT", 3 }, -7 },
};
/* clang-format on */

#define COMMENT_DEPTH 16

const char *date_write(uint64_t wall_us, char text[DATE_TEXT])
{
	struct clock_date d = clock_date_of((int64_t)(wall_us / CLOCK_SECOND));

	(void)snprintf(text, DATE_TEXT, "%s, %u %s %04d %02u:%02u:%02u +0000", days[d.weekday].p,
		       d.day, months[d.month - 1].p, d.year % 10000, d.hour, d.minute, d.second);
	return text;
}

static bool at(struct str s, char c)
{
	return s.n && *s.p == c;
}

/* comment = "(" *([FWS] ccontent) [FWS] ")"   ccontent = ctext / quoted-pair / comment */
static bool skip_comment(struct str *s)
{
	unsigned depth = 0;

	do {
		if (!s->n || depth > COMMENT_DEPTH)
			return false;
		if (at(*s, '\\'))
			*s = str_drop(*s, 1);
		else if (at(*s, '('))
			depth++;
		else if (at(*s, ')'))
			depth--;
		*s = str_drop(*s, 1);
	} while (depth);
	return true;
}

/* skip - [CFWS]; false: a comment without end */
static bool skip(struct str *s)
{
	while (s->n) {
		if (at(*s, '(')) {
			if (!skip_comment(s))
				return false;
		} else if (at(*s, ' ') || at(*s, '\t') || at(*s, '\r') || at(*s, '\n')) {
			*s = str_drop(*s, 1);
		} else {
			break;
		}
	}
	return true;
}

/* take_mark - [CFWS] mark [CFWS] */
static bool take_mark(struct str *s, char mark)
{
	if (!skip(s) || !at(*s, mark))
		return false;
	*s = str_drop(*s, 1);
	return skip(s);
}

static struct str take_span(struct str *s, bool (*is)(char))
{
	struct str span = *s;
	size_t n = 0;

	while (n < s->n && is(s->p[n]))
		n++;
	*s = str_drop(*s, n);
	return str_head(span, n);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* take_number - of `least` to `most` digits; *digits says how many there were */
static bool take_number(struct str *s, size_t least, size_t most, size_t *digits, unsigned *out)
{
	struct str text = take_span(s, is_digit);
	uint64_t value;

	if (text.n < least || text.n > most || !str_u64(text, 9999, &value))
		return false;
	*digits = text.n;
	*out = (unsigned)value;
	return true;
}

/*
 * day-of-week = ([FWS] day-name) ","; the name must be one, whether it is the right one is not
 * asked
 */
static bool skip_weekday(struct str *s)
{
	struct str name;

	if (!skip(s))
		return false;
	if (!s->n || !is_letter(*s->p))
		return true;
	name = take_span(s, is_letter);
	for (size_t i = 0; i < COUNT(days); i++)
		if (str_ieq(name, days[i]))
			return take_mark(s, ',');
	return false;
}

static bool take_month(struct str *s, unsigned *month)
{
	struct str name;

	if (!skip(s))
		return false;
	name = take_span(s, is_letter);
	for (*month = 1; *month <= COUNT(months); ++*month)
		if (str_ieq(name, months[*month - 1]))
			return skip(s);
	return false;
}

/*
 * date = day month year; year of 2 digits: below 50 is 20xx, else 19xx; of 3: 1900 is added (RFC
 * 5322 4.3)
 */
static bool take_date(struct str *s, struct clock_date *d)
{
	static const unsigned char lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	size_t digits;
	unsigned year;
	bool is_leap;

	if (!take_number(s, 1, 2, &digits, &d->day) || !take_month(s, &d->month))
		return false;
	if (!take_number(s, 2, 4, &digits, &year) || !skip(s))
		return false;
	if (digits == 3 || (digits == 2 && year >= 50))
		year += 1900;
	else if (digits == 2)
		year += 2000;
	is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	d->year = (int)year;
	return d->day > 0 && d->day <= lengths[d->month - 1] &&
	       (d->month != 2 || d->day < 29 || is_leap);
}

/* time-of-day = hour ":" minute [ ":" second ]; a leap second is taken for the one before */
static bool take_time(struct str *s, struct clock_date *d)
{
	size_t digits;

	d->second = 0;
	if (!take_number(s, 1, 2, &digits, &d->hour) || !take_mark(s, ':'))
		return false;
	if (!take_number(s, 2, 2, &digits, &d->minute) || !skip(s))
		return false;
	if (at(*s, ':') && (!take_mark(s, ':') || !take_number(s, 2, 2, &digits, &d->second)))
		return false;
	if (d->hour > 23 || d->minute > 59 || d->second > 60)
		return false;
	if (d->second == 60)
		d->second = 59;
	return skip(s);
}

/* zone = ( "+" / "-" ) 4DIGIT / obs-zone; a name that nobody knows is UTC, none at all too */
static bool take_zone(struct str *s, int *seconds)
{
	bool is_west = at(*s, '-');
	size_t digits;
	unsigned value;
	struct str name;

	*seconds = 0;
	if (is_west || at(*s, '+')) {
		*s = str_drop(*s, 1);
		if (!take_number(s, 4, 4, &digits, &value) || value % 100 > 59)
			return false;
		*seconds = (int)(value / 100 * 3600 + value % 100 * 60) * (is_west ? -1 : 1);
		return true;
	}
	name = take_span(s, is_letter);
	for (size_t i = 0; i < COUNT(zones); i++)
		if (str_ieq(name, zones[i].name))
			*seconds = zones[i].hours * 3600;
	return true;
}

/* date-time = [ day-of-week "," ] date time [CFWS] */
bool date_parse(struct str text, int64_t *seconds)
{
	struct clock_date d = { 0 };
	int zone;

	if (!skip_weekday(&text) || !take_date(&text, &d) || !take_time(&text, &d))
		return false;
	if (!take_zone(&text, &zone) || !skip(&text) || text.n)
		return false;
	*seconds = clock_seconds(&d) - zone;
	return true;
}
