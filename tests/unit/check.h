/*
 * check - what every unit test begins with: cmocka, and checks that name the row of the table that failed.
 */
#ifndef CHECK_H
#define CHECK_H

#include "step.h"
#include "str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEST(name) static void name(void **state __attribute__((unused)))

/* `row` is the index into the table, or any number that helps to find the place. */
#define CHECK_INT(row, got, want)                                                                  \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_)                                                                 \
			fail_msg("row %zu: %s is %lld, not %lld", (size_t)(row), #got, got_, want_); \
	} while (0)

#define CHECK_STR(row, got, want)                                                                  \
	do {                                                                                       \
		struct str got_ = (got), want_ = (want);                                           \
		if (!str_eq(got_, want_))                                                          \
			fail_msg("row %zu: %s is '%.*s', not '%.*s'", (size_t)(row), #got,         \
			         STR_ARG(got_), STR_ARG(want_));                                   \
	} while (0)

#define CHECK(row, condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("row %zu: %s is false", (size_t)(row), #condition);               \
	} while (0)

/* heap_copy - exactly as long as it is, so that a sanitizer sees a read behind its end; the caller frees .p */
static inline struct str heap_copy(struct str s)
{
	char *p = malloc(s.n ? s.n : 1);

	assert_non_null(p);
	if (s.n)
		memcpy(p, s.p, s.n);
	return (struct str){ p, s.n };
}

static inline void heap_free(struct str s)
{
	free((void *)(uintptr_t)s.p);
}

#endif
