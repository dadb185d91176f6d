/*
 * str - a borrowed run of bytes.
 *
 * What        pointer and length; any byte may occur, no terminator is promised.
 * Why         peer data is never NUL-terminated text; a slice cannot run over its end.
 * Invariants  p is valid for n bytes, or n is 0 (p may then be NULL).
 * Ownership   never owns: whoever holds a struct str says from what it borrows.
 */
#ifndef STR_H
#define STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *p;
	size_t n;
};

/* A literal; usable in expressions and static tables. */
#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_NONE ((struct str){ 0 })
/* For printf's "%.*s"; logs and tests only, a NUL ends the output early. */
#define STR_ARG(s) (int)(s).n, (s).p

struct str str_of(const char *text);                    /* a C string; NULL gives the empty str */
bool str_eq(struct str a, struct str b);
bool str_ieq(struct str a, struct str b);               /* ASCII letters compare without case */
int str_cmp(struct str a, struct str b);                /* bytewise, shorter first; for sorting */
bool str_has_prefix(struct str s, struct str prefix);
bool str_has_iprefix(struct str s, struct str prefix);
bool str_has_suffix(struct str s, struct str suffix);
bool str_has_isuffix(struct str s, struct str suffix);
ptrdiff_t str_find(struct str s, char c);               /* index of the first c, or -1 */
ptrdiff_t str_rfind(struct str s, char c);              /* index of the last c, or -1 */
/* index of the first byte that is in set, or -1 */
ptrdiff_t str_find_any(struct str s, const char *set);
/* without its first n bytes (at most all) */
struct str str_drop(struct str s, size_t n);
struct str str_head(struct str s, size_t n);            /* its first n bytes (at most all) */
/* without spaces, tabs, CR and LF at both ends */
struct str str_trim(struct str s);

/*
 * str_take - consume up to and including the first sep: true and *head is what stood before it;
 * false leaves s alone
 */
bool str_take(struct str *s, char sep, struct str *head);

/* str_u64 - the whole of s as a decimal number; false when empty, not digits only, or beyond max */
bool str_u64(struct str s, uint64_t max, uint64_t *out);

/*
 * str_copy - into a C string of size bytes, cut if need be, always terminated; returns the length
 * copied
 */
size_t str_copy(char *to, size_t size, struct str s);

/*
 * str_distance - edit distance, capped at 8 for long or distant words; to name the nearest known
 * key
 */
unsigned str_distance(struct str a, struct str b);

/* The candidate nearest to a word, nearer than `distance` was at first; the first of equals. */
struct str_near {
	struct str word;
	unsigned distance;
	struct str found; /* empty: none */
};

void str_near_try(struct str_near *n, struct str candidate); /* an empty one is none */

#endif
