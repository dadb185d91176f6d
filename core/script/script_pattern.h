/*
 * script_pattern - Lua's patterns, with a bound on the work of a match.
 *
 * What        the language of the reference manual 6.4.1, matched by backtracking as Lua does;
 *             every step is counted.
 * Why         "a*a*a*b" on two hundred bytes keeps Lua's own matcher busy for half a second, and no
 *             hook can stop it.
 * Invariants  pure: no Lua, no memory. After a fault nothing was matched. With enough steps the
 *             answer is Lua's own (tests/unit/test_script_pattern.c compares them).
 * Ownership   borrows subject and pattern.
 */
#ifndef SCRIPT_PATTERN_H
#define SCRIPT_PATTERN_H

#include <signal.h>

#include "str.h"

#define PATTERN_CAPTURES 32
#define PATTERN_DEPTH    200
/* of one call of find, match or gsub, or one turn of gmatch */
#define PATTERN_STEPS (4 * 1000 * 1000)

/* clang-format off */
enum pattern_fault {
	PATTERN_FINE,
	PATTERN_STEPS_OUT,      /* too much work */
	PATTERN_STOPPED,        /* *stop became true */
	PATTERN_DEEP,           /* too complex */
	PATTERN_ENDS_ESC, PATTERN_SET_OPEN, PATTERN_BALANCE, PATTERN_FRONTIER, PATTERN_CAPTURE, PATTERN_CAPTURE_OPEN,
	PATTERN_CAPTURES_MANY,
	PATTERN_FAULTS
};
/* clang-format on */

struct script_pattern {
	struct str subject, pattern;
	const volatile sig_atomic_t *stop; /* may be NULL */
	unsigned steps;                    /* left */
	enum pattern_fault fault;

	unsigned depth;
	unsigned ncaptures;
	struct {
		const char *p;
		ptrdiff_t n; /* or CAPTURE_OPEN, CAPTURE_POSITION */
	} captures[PATTERN_CAPTURES];
};

#define CAPTURE_OPEN     (-1)
#define CAPTURE_POSITION (-2)

/* A leading '^' is the caller's: pattern is what comes behind it. */
void script_pattern_init(struct script_pattern *m, struct str subject, struct str pattern);
/* Match right at offset `at`: the end of the match, or -1 (none, or m->fault). */
ptrdiff_t script_pattern_at(struct script_pattern *m, size_t at);
/* Search for it from `at` on: where it begins, *end where it ends; -1 as above. */
ptrdiff_t script_pattern_find(struct script_pattern *m, size_t at, bool anchored, size_t *end);
/* The same for a plain text. */
ptrdiff_t script_pattern_plain(struct script_pattern *m, size_t at);
bool script_pattern_is_plain(struct str pattern); /* has no special character */
const char *script_pattern_text(enum pattern_fault fault);

#endif
