#include "json.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 17  /* enough to tell any two doubles apart */
#define RUN    128 /* plain bytes are added in runs of at most that many */

void json_init(struct json *j, struct buf *out)
{
	*j = (struct json){ .out = out };
}

static void put(struct json *j, struct str s)
{
	if (!j->full && !buf_add(j->out, s))
		j->full = true;
}

static void put_escape(struct json *j, unsigned code)
{
	char text[16];

	(void)snprintf(text, sizeof text, "\\u%04x", code);
	put(j, (struct str){ text, 6 });
}

/*
 * utf8_take - consume one code point (RFC 3629: shortest form, no surrogates); -1 consumes one byte
 * that is none
 */
static int32_t utf8_take(struct str *s)
{
	static const int32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)*s->p;
	size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	int32_t code = more ? c & (0x3f >> more) : c;
	bool bad = (c >= 0x80 && c < 0xc2) || c > 0xf4 || more >= s->n;

	for (size_t i = 1; !bad && i <= more; i++) {
		unsigned char next = (unsigned char)s->p[i];

		bad = (next & 0xc0) != 0x80;
		code = code << 6 | (next & 0x3f);
	}
	bad = bad || code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff);
	*s = str_drop(*s, bad ? 1 : more + 1);
	return bad ? -1 : code;
}

/*
 * is_plain - may it stand as it is? Not what ends a JSON string, not what moves a terminal (C0,
 * DEL, C1), not what some readers take for a line end or what turns the direction of the text
 * around.
 */
static bool is_plain(int32_t code)
{
	return code >= 0x20 && code != '"' && code != '\\' && (code < 0x7f || code > 0x9f) &&
	       (code < 0x2028 || code > 0x202e) && (code < 0x2066 || code > 0x2069);
}

static void put_special(struct json *j, int32_t code)
{
	static const char shorts[][3] = {
		['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t",
	};

	if (code < 0)
		put_escape(j, 0xfffd);
	else if ((size_t)code < sizeof shorts / sizeof *shorts && shorts[code][0])
		put(j, (struct str){ shorts[code], 2 });
	else
		put_escape(j, (unsigned)code);
}

static void put_quoted(struct json *j, struct str s)
{
	struct str run = { s.p, 0 };

	put(j, STR("\""));
	while (s.n && !j->full) {
		struct str before = s;
		int32_t code = utf8_take(&s);

		if (is_plain(code) && run.n < RUN) {
			run.n += before.n - s.n;
			continue;
		}
		put(j, run);
		run = (struct str){ is_plain(code) ? before.p : s.p,
				    is_plain(code) ? before.n - s.n : 0 };
		if (!is_plain(code))
			put_special(j, code);
	}
	put(j, run);
	put(j, STR("\""));
}

/*
 * begin - what stands before a value; the length before it, to go back to when the value does not
 * fit
 */
static size_t begin(struct json *j, const char *key)
{
	size_t length = buf_len(j->out);

	if (j->comma)
		put(j, STR(","));
	if (key) {
		put_quoted(j, str_of(key));
		put(j, STR(":"));
	}
	return length;
}

/* end - a value stands whole or not at all */
static void end(struct json *j, size_t length, bool was_full)
{
	if (j->full && !was_full)
		j->out->tail = j->out->head + length;
	j->comma = true;
}

void json_raw(struct json *j, const char *key, struct str value)
{
	bool was_full = j->full;
	size_t length = begin(j, key);

	put(j, value);
	end(j, length, was_full);
}

void json_open(struct json *j, const char *key, char bracket)
{
	json_raw(j, key, (struct str){ &bracket, 1 });
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	put(j, (struct str){ &bracket, 1 });
	j->comma = true;
}

void json_str(struct json *j, const char *key, struct str value)
{
	bool was_full = j->full;
	size_t length = begin(j, key);

	put_quoted(j, value);
	end(j, length, was_full);
}

void json_int(struct json *j, const char *key, int64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%lld", (long long)value);

	json_raw(j, key, (struct str){ text, (size_t)n });
}

void json_bool(struct json *j, const char *key, bool value)
{
	json_raw(j, key, value ? STR("true") : STR("false"));
}

/*
 * shortest - the fewest significant digits that read back as the same number. printf and strtod
 * agree on the locale's decimal point, whatever it is; only the digits and the exponent behind the
 * 'e' are used.
 */
static size_t shortest(double value, char digits[DIGITS], int *exponent)
{
	char text[DIGITS + 24];
	size_t n = 0;

	for (int precision = DIGITS - 3; precision < DIGITS; precision++) {
		(void)snprintf(text, sizeof text, "%.*e", precision, value);
		if (strtod(text, NULL) == value)
			break;
	}
	for (const char *p = text; *p != 'e'; p++)
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	*exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	return n;
}

void json_num(struct json *j, const char *key, double value)
{
	static const char zeros[] = "0.000";
	char digits[DIGITS], text[64];
	int exponent, whole = 0, n;
	size_t count;

	if (value != value || value - value != 0) { /* JSON has no NaN and no infinity */
		json_raw(j, key, STR("null"));
		return;
	}
	if (value > -1e15 && value < 1e15 && value == (double)(int64_t)value) {
		json_int(j, key, (int64_t)value);
		return;
	}
	count = shortest(value, digits, &exponent);
	if (exponent >= -3 && exponent < 15) /* no integer: there are digits behind the point */
		whole = exponent >= 0 ? exponent + 1 : 0;
	else
		whole = 1;
	n = snprintf(text, sizeof text, "%s%.*s%.*s%s%.*s", value < 0 ? "-" : "", whole, digits,
		     whole ? 0 : 1 - exponent, zeros, whole && (int)count > whole ? "." : "",
		     (int)count - whole, digits + whole);
	if (exponent < -3 || exponent >= 15)
		n += snprintf(text + n, sizeof text - (size_t)n, "e%d", exponent);
	json_raw(j, key, (struct str){ text, (size_t)n });
}

void json_time(struct json *j, const char *key, uint64_t wall_us)
{
	struct clock_date d = clock_date_of((int64_t)(wall_us / CLOCK_SECOND));
	char text[64];
	int n = snprintf(text, sizeof text, "\"%04d-%02u-%02uT%02u:%02u:%02u.%03uZ\"", d.year,
			 d.month, d.day, d.hour, d.minute, d.second,
			 (unsigned)(wall_us % CLOCK_SECOND / 1000));

	json_raw(j, key, (struct str){ text, (size_t)n });
}
