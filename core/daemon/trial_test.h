/*
 * trial_test - a policy's own tests: files NAME_test.lua beside it, each a table of cases.
 *
 * What        a file returns a list of { name =, ip =, helo =, listener =, from =, to =, message =,
 *             expect = }; every case is one trial (trial.h), and its outcome is held against
 *             `expect`: { reply =, stage =, rule =, state =, sender =, rcpts =, replies =,
 *             header = }, or just the beginning of the reply.
 * Why         data, not code: a test cannot be wrong in ways of its own, and the check of a reload
 *             runs it.
 * Fails       what differs is one line "file:line:column: case: what was expected, what was found",
 *             and so is a key that is not known.
 */
#ifndef TRIAL_TEST_H
#define TRIAL_TEST_H

#include "trial.h"

#define TRIAL_SUFFIX STR("_test")

struct trial_count {
	unsigned passed, failed;
};

/* trial_test_run - one file; `told` gets a line per case, or is NULL */
struct trial_count trial_test_run(struct trial *t, struct str path, struct str text,
				  struct buf *errors, struct buf *told);

#endif
