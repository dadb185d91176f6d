#include "script_pattern.h"

#include <ctype.h>
#include <string.h>

#define ESC       '%'
#define STOP_MASK 0xfff /* how often *stop is looked at */

static const char *match(struct script_pattern *m, const char *s, const char *p);

static const char *subject_end(const struct script_pattern *m)
{
	return m->subject.p + m->subject.n;
}

static const char *pattern_end(const struct script_pattern *m)
{
	return m->pattern.p + m->pattern.n;
}

static const char *fail(struct script_pattern *m, enum pattern_fault fault)
{
	if (m->fault == PATTERN_FINE)
		m->fault = fault;
	return NULL;
}

/* spend - n steps of the budget; false: it is used up */
static bool spend(struct script_pattern *m, size_t n)
{
	if (m->fault != PATTERN_FINE)
		return false;
	if (n > m->steps) {
		m->steps = 0;
		return fail(m, PATTERN_STEPS_OUT);
	}
	m->steps -= (unsigned)n;
	if (m->stop && (m->steps & STOP_MASK) < n && *m->stop)
		return fail(m, PATTERN_STOPPED);
	return true;
}

/* ---- single characters */

/* item_end - behind the single item at p: x, %x, [set] */
static const char *item_end(struct script_pattern *m, const char *p)
{
	const char *end = pattern_end(m);

	if (*p == ESC)
		return p + 1 < end ? p + 2 : fail(m, PATTERN_ENDS_ESC);
	if (*p++ != '[')
		return p;
	if (p < end && *p == '^')
		p++;
	do { /* the first character is taken as it is, even a ']' */
		if (p >= end)
			return fail(m, PATTERN_SET_OPEN);
		if (*p++ == ESC && p < end)
			p++;
	} while (p >= end || *p != ']');
	return p + 1;
}

static bool is_in_class(int c, int class)
{
	bool is = false;

	if (!strchr("acdglpsuwxz", tolower(class)) || class == 0)
		return class == c;
	switch (tolower(class)) {
	case 'a':
		is = isalpha(c);
		break;
	case 'c':
		is = iscntrl(c);
		break;
	case 'd':
		is = isdigit(c);
		break;
	case 'g':
		is = isgraph(c);
		break;
	case 'l':
		is = islower(c);
		break;
	case 'p':
		is = ispunct(c);
		break;
	case 's':
		is = isspace(c);
		break;
	case 'u':
		is = isupper(c);
		break;
	case 'w':
		is = isalnum(c);
		break;
	case 'x':
		is = isxdigit(c);
		break;
	case 'z': /* old, but Lua still knows it */
		is = c == 0;
		break;
	}
	return is != !!isupper(class);
}

/* is_in_set - p is at '[', end at its ']' */
static bool is_in_set(unsigned char c, const char *p, const char *end)
{
	bool wanted = true;

	p++;
	if (*p == '^') {
		wanted = false;
		p++;
	}
	for (; p < end; p++) {
		if (*p == ESC) {
			p++;
			if (is_in_class(c, (unsigned char)*p))
				return wanted;
		} else if (p + 2 < end && p[1] == '-') {
			if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
				return wanted;
			p += 2;
		} else if ((unsigned char)*p == c) {
			return wanted;
		}
	}
	return !wanted;
}

/* is_single - the subject's character at s fits the item from p to end; a long set is long work */
static bool is_single(struct script_pattern *m, const char *s, const char *p, const char *end)
{
	if (s >= subject_end(m))
		return false;
	if (*p == ESC)
		return is_in_class((unsigned char)*s, (unsigned char)p[1]);
	if (*p == '[')
		return spend(m, (size_t)(end - p) / 8 + 1) &&
		       is_in_set((unsigned char)*s, p, end - 1);
	return *p == '.' || *p == *s;
}

/* ---- repetitions; p is the item, end is behind it */

static const char *repeat_most(struct script_pattern *m, const char *s, const char *p,
			       const char *end)
{
	size_t n = 0;

	while (is_single(m, s + n, p, end))
		n++;
	if (!spend(m, n))
		return NULL;
	for (size_t left = n + 1; left > 0 && m->fault == PATTERN_FINE; left--) {
		const char *found = match(m, s + left - 1, end + 1);

		if (found)
			return found;
	}
	return NULL;
}

static const char *repeat_least(struct script_pattern *m, const char *s, const char *p,
				const char *end)
{
	for (;;) {
		const char *found = match(m, s, end + 1);

		if (found || m->fault != PATTERN_FINE)
			return found;
		if (!is_single(m, s, p, end))
			return NULL;
		if (!spend(m, 1))
			return NULL;
		s++;
	}
}

static const char *maybe(struct script_pattern *m, const char *s, const char *p, const char *end)
{
	const char *found = is_single(m, s, p, end) ? match(m, s + 1, end + 1) : NULL;

	return found || m->fault != PATTERN_FINE ? found : match(m, s, end + 1);
}

/* ---- %b %f %1 ( ) */

static const char *balance(struct script_pattern *m, const char *s, const char *p)
{
	unsigned depth = 1;

	if (pattern_end(m) - p < 4)
		return fail(m, PATTERN_BALANCE);
	if (s >= subject_end(m) || *s != p[2])
		return NULL;
	for (const char *at = s + 1; at < subject_end(m); at++) {
		if (!spend(m, 1))
			return NULL;
		if (*at == p[3]) {
			if (--depth == 0)
				return match(m, at + 1, p + 4);
		} else if (*at == p[2]) {
			depth++;
		}
	}
	return NULL;
}

static const char *frontier(struct script_pattern *m, const char *s, const char *p)
{
	const char *set = p + 2, *end;
	unsigned char before = s == m->subject.p ? 0 : (unsigned char)s[-1];
	unsigned char here = s < subject_end(m) ? (unsigned char)*s : 0;

	if (set >= pattern_end(m) || *set != '[')
		return fail(m, PATTERN_FRONTIER);
	end = item_end(m, set);
	if (!end || !spend(m, (size_t)(end - set) / 4) || is_in_set(before, set, end - 1) ||
	    !is_in_set(here, set, end - 1))
		return NULL;
	return match(m, s, end);
}

static const char *back_reference(struct script_pattern *m, const char *s, const char *p)
{
	unsigned i = (unsigned)(p[1] - '1');
	size_t n;

	if (p[1] == '0' || i >= m->ncaptures || m->captures[i].n == CAPTURE_OPEN)
		return fail(m, PATTERN_CAPTURE);
	n = (size_t)m->captures[i].n; /* a position never fits: it is longer than any subject */
	if ((size_t)(subject_end(m) - s) < n || !spend(m, n) || memcmp(m->captures[i].p, s, n) != 0)
		return NULL;
	return match(m, s + n, p + 2);
}

static const char *capture_open(struct script_pattern *m, const char *s, const char *p)
{
	bool is_position = p + 1 < pattern_end(m) && p[1] == ')';
	const char *found;

	if (m->ncaptures >= PATTERN_CAPTURES)
		return fail(m, PATTERN_CAPTURES_MANY);
	m->captures[m->ncaptures].p = s;
	m->captures[m->ncaptures].n = is_position ? CAPTURE_POSITION : CAPTURE_OPEN;
	m->ncaptures++;
	found = match(m, s, p + (is_position ? 2 : 1));
	if (!found)
		m->ncaptures--;
	return found;
}

static const char *capture_close(struct script_pattern *m, const char *s, const char *p)
{
	const char *found;
	unsigned i = m->ncaptures;

	while (i > 0 && m->captures[i - 1].n != CAPTURE_OPEN)
		i--;
	if (i == 0)
		return fail(m, PATTERN_CAPTURE);
	m->captures[i - 1].n = s - m->captures[i - 1].p;
	found = match(m, s, p + 1);
	if (!found)
		m->captures[i - 1].n = CAPTURE_OPEN;
	return found;
}

/* ---- the matcher */

/* special - what is not a plain item: *out is set and true is returned; false: it is an item */
static bool special(struct script_pattern *m, const char *s, const char *p, const char **out)
{
	bool is_last = p + 1 == pattern_end(m);

	switch (*p) {
	case '(':
		*out = capture_open(m, s, p);
		return true;
	case ')':
		*out = capture_close(m, s, p);
		return true;
	case '$':
		if (!is_last)
			return false;
		*out = s == subject_end(m) ? s : NULL;
		return true;
	case ESC:
		if (is_last)
			return false;
		if (p[1] == 'b')
			*out = balance(m, s, p);
		else if (p[1] == 'f')
			*out = frontier(m, s, p);
		else if (p[1] >= '0' && p[1] <= '9')
			*out = back_reference(m, s, p);
		else
			return false;
		return true;
	}
	return false;
}

/*
 * items - walks plain items without recursion; the rest of the pattern behind a repetition or a
 * special is a match of its own
 */
static const char *items(struct script_pattern *m, const char *s, const char *p)
{
	const char *found = NULL, *end;

	while (p < pattern_end(m)) {
		if (!spend(m, 1))
			return NULL;
		if (special(m, s, p, &found))
			return found;
		end = item_end(m, p);
		if (!end)
			return NULL;
		switch (end < pattern_end(m) ? *end : '\0') {
		case '?':
			return maybe(m, s, p, end);
		case '+':
			return is_single(m, s, p, end) ? repeat_most(m, s + 1, p, end) : NULL;
		case '*':
			return repeat_most(m, s, p, end);
		case '-':
			return repeat_least(m, s, p, end);
		}
		if (!is_single(m, s, p, end))
			return NULL;
		s++;
		p = end;
	}
	return s;
}

static const char *match(struct script_pattern *m, const char *s, const char *p)
{
	const char *found;

	if (m->fault != PATTERN_FINE || m->depth >= PATTERN_DEPTH)
		return fail(m, PATTERN_DEEP);
	m->depth++;
	found = items(m, s, p);
	m->depth--;
	return m->fault == PATTERN_FINE ? found : NULL;
}

void script_pattern_init(struct script_pattern *m, struct str subject, struct str pattern)
{
	m->subject = subject.n ? subject : STR("");
	m->pattern = pattern.n ? pattern : STR("");
	m->stop = NULL;
	m->steps = PATTERN_STEPS;
	m->fault = PATTERN_FINE;
	m->depth = m->ncaptures = 0;
}

ptrdiff_t script_pattern_at(struct script_pattern *m, size_t at)
{
	const char *end;

	m->ncaptures = 0;
	end = match(m, m->subject.p + at, m->pattern.p);
	if (!end)
		return -1;
	for (unsigned i = 0; i < m->ncaptures; i++)
		if (m->captures[i].n == CAPTURE_OPEN) {
			(void)fail(m, PATTERN_CAPTURE_OPEN);
			return -1;
		}
	return end - m->subject.p;
}

ptrdiff_t script_pattern_find(struct script_pattern *m, size_t at, bool anchored, size_t *end)
{
	do {
		ptrdiff_t found = script_pattern_at(m, at);

		if (found >= 0) {
			*end = (size_t)found;
			return (ptrdiff_t)at;
		}
		if (m->fault != PATTERN_FINE || !spend(m, 1))
			return -1;
		at++;
	} while (at <= m->subject.n && !anchored);
	return -1;
}

ptrdiff_t script_pattern_plain(struct script_pattern *m, size_t at)
{
	struct str rest = str_drop(m->subject, at);

	while (rest.n >= m->pattern.n) {
		ptrdiff_t hop = m->pattern.n ? str_find(rest, m->pattern.p[0]) : 0;

		if (hop < 0 || !spend(m, (size_t)hop / 16 + m->pattern.n / 8 + 1))
			return -1;
		rest = str_drop(rest, (size_t)hop);
		if (rest.n < m->pattern.n)
			return -1;
		if (str_eq(str_head(rest, m->pattern.n), m->pattern))
			return rest.p ? rest.p - m->subject.p : 0;
		rest = str_drop(rest, 1);
	}
	return -1;
}

bool script_pattern_is_plain(struct str pattern)
{
	return str_find_any(pattern, "^$*+?.([%-") < 0;
}

const char *script_pattern_text(enum pattern_fault fault)
{
	switch (fault) {
	case PATTERN_STEPS_OUT:
		return "this pattern takes too long on this text; make it simpler or the text "
		       "shorter";
	case PATTERN_STOPPED:
		return "the handler was stopped";
	case PATTERN_DEEP:
		return "pattern too complex";
	case PATTERN_ENDS_ESC:
		return "malformed pattern (ends with '%')";
	case PATTERN_SET_OPEN:
		return "malformed pattern (missing ']')";
	case PATTERN_BALANCE:
		return "malformed pattern (missing arguments to '%b')";
	case PATTERN_FRONTIER:
		return "missing '[' after '%f' in pattern";
	case PATTERN_CAPTURE:
		return "invalid capture in pattern";
	case PATTERN_CAPTURE_OPEN:
		return "unfinished capture";
	case PATTERN_CAPTURES_MANY:
		return "too many captures";
	case PATTERN_FINE:
	case PATTERN_FAULTS:
		break;
	}
	return "no fault";
}
