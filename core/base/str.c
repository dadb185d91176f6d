#include "str.h"

#include <string.h>

#define DISTANCE_CAP  8
#define DISTANCE_WORD 64 /* longer words are never a slip of the same key */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

struct str str_of(const char *text)
{
	return text ? (struct str){ text, strlen(text) } : STR_NONE;
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_ieq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

int str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.p, b.p, n) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

bool str_has_prefix(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_head(s, prefix.n), prefix);
}

bool str_has_iprefix(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_ieq(str_head(s, prefix.n), prefix);
}

bool str_has_suffix(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_drop(s, s.n - suffix.n), suffix);
}

bool str_has_isuffix(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_ieq(str_drop(s, s.n - suffix.n), suffix);
}

ptrdiff_t str_find(struct str s, char c)
{
	const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;

	return hit ? hit - s.p : -1;
}

ptrdiff_t str_rfind(struct str s, char c)
{
	for (size_t i = s.n; i > 0; i--)
		if (s.p[i - 1] == c)
			return (ptrdiff_t)(i - 1);
	return -1;
}

ptrdiff_t str_find_any(struct str s, const char *set)
{
	size_t members = strlen(set);

	for (size_t i = 0; i < s.n; i++)
		if (memchr(set, s.p[i], members))
			return (ptrdiff_t)i;
	return -1;
}

struct str str_drop(struct str s, size_t n)
{
	if (n >= s.n)
		n = s.n;
	return n ? (struct str){ s.p + n, s.n - n } : s;
}

struct str str_head(struct str s, size_t n)
{
	return (struct str){ s.p, n < s.n ? n : s.n };
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	while (s.n && is_blank(s.p[0]))
		s = str_drop(s, 1);
	return s;
}

bool str_take(struct str *s, char sep, struct str *head)
{
	ptrdiff_t at = str_find(*s, sep);

	if (at < 0)
		return false;
	*head = str_head(*s, (size_t)at);
	*s = str_drop(*s, (size_t)at + 1);
	return true;
}

bool str_u64(struct str s, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';

		if (digit > 9 || value > max / 10 || digit > max - value * 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

size_t str_copy(char *to, size_t size, struct str s)
{
	size_t n;

	if (size == 0)
		return 0;
	n = s.n < size ? s.n : size - 1;
	if (n)
		memcpy(to, s.p, n);
	to[n] = '\0';
	return n;
}

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* str_distance - Levenshtein's, one row at a time */
unsigned str_distance(struct str a, struct str b)
{
	unsigned row[DISTANCE_WORD + 1];

	if (a.n > DISTANCE_WORD || b.n > DISTANCE_WORD)
		return DISTANCE_CAP;
	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (unsigned i = 0; i < a.n; i++) {
		unsigned diagonal = row[0];

		row[0] = i + 1;
		for (unsigned j = 0; j < b.n; j++) {
			unsigned replaced = diagonal + (a.p[i] != b.p[j]);

			diagonal = row[j + 1];
			row[j + 1] = smaller(replaced, smaller(row[j], diagonal) + 1);
		}
	}
	return smaller(row[b.n], DISTANCE_CAP);
}

void str_near_try(struct str_near *n, struct str candidate)
{
	unsigned distance = str_distance(n->word, candidate);

	if (candidate.n == 0 || distance >= n->distance)
		return;
	n->found = candidate;
	n->distance = distance;
}
