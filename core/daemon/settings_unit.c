#include "settings_unit.h"

#include "step.h"

#include <stdio.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* clang-format off */
static const struct unit sizes[] = {            /* biggest first */
	{ "TiB", UINT64_C(1) << 40 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "B",   1 },
};
static const struct unit durations[] = {
	{ "w",  UINT64_C(604800000000) },
	{ "d",  UINT64_C(86400000000) },
	{ "h",  UINT64_C(3600000000) },
	{ "m",  UINT64_C(60000000) },
	{ "s",  UINT64_C(1000000) },
	{ "ms", 1000 },
	{ "us", 1 },
};
/* clang-format on */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* part_take - consume "25MiB" or "30m": digits and the name of a unit after `after` in its table
 * (SIZE_MAX: any) */
static bool part_take(struct str *text, const struct unit *units, size_t nunits, size_t *next,
		      uint64_t *out)
{
	size_t digits = 0, letters;
	uint64_t number;

	while (digits < text->n && is_digit(text->p[digits]))
		digits++;
	for (letters = digits; letters < text->n && !is_digit(text->p[letters]); letters++)
		;
	for (size_t i = *next; i < nunits; i++) {
		struct str name = { text->p + digits, letters - digits };

		if (!str_eq(name, str_of(units[i].name)))
			continue;
		if (!str_u64(str_head(*text, digits), UINT64_MAX / units[i].factor, &number))
			return false;
		*text = str_drop(*text, letters);
		*next = i + 1;
		*out = number * units[i].factor;
		return true;
	}
	return false;
}

/* size = 1*DIGIT ("B" / "KiB" / "MiB" / "GiB" / "TiB") */
bool settings_unit_size(struct str text, uint64_t *bytes)
{
	size_t next = 0;

	return part_take(&text, sizes, COUNT(sizes), &next, bytes) && text.n == 0;
}

/* duration = 1*(1*DIGIT ("w" / "d" / "h" / "m" / "s" / "ms" / "us"))    ; each once, the longer
 * first */
bool settings_unit_duration(struct str text, uint64_t *us)
{
	uint64_t sum = 0, part;
	size_t next = 0;

	if (text.n == 0)
		return false;
	while (text.n) {
		if (!part_take(&text, durations, COUNT(durations), &next, &part) ||
		    part > UINT64_MAX - sum)
			return false;
		sum += part;
	}
	*us = sum;
	return true;
}

const char *settings_unit_size_text(uint64_t bytes, char text[SETTINGS_UNIT_TEXT])
{
	size_t i = 0;

	while (i + 1 < COUNT(sizes) && (bytes == 0 || bytes % sizes[i].factor))
		i++;
	(void)snprintf(text, SETTINGS_UNIT_TEXT, "%llu%s",
		       (unsigned long long)(bytes / sizes[i].factor), sizes[i].name);
	return text;
}

const char *settings_unit_duration_text(uint64_t us, char text[SETTINGS_UNIT_TEXT])
{
	size_t n = 0;

	if (us == 0)
		return "0s";
	for (size_t i = 0; i < COUNT(durations); i++) {
		uint64_t whole = us / durations[i].factor;

		if (whole == 0)
			continue;
		n += (size_t)snprintf(text + n, SETTINGS_UNIT_TEXT - n, "%llu%s",
				      (unsigned long long)whole, durations[i].name);
		us %= durations[i].factor;
	}
	return text;
}
