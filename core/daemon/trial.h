/*
 * trial - one made-up client against a policy that is not in service.
 *
 * What        the session layer itself, over a socket pair, with the options of the settings; a
 *             spool that keeps in memory what it is given. What the client hears, what every hook
 *             decided, and what would have been queued is the outcome.
 * Why         a test of a policy that went another way than mail does would prove nothing.
 * Invariants  nothing leaves the process: no disk, no network. Waits of the policy take no time.
 *             Events of the session go to the log's sink as ever; the caller sets it.
 * Bounds      below; a session that is not over after TRIAL_WAIT is left, and the outcome says so.
 * Ownership   the policy, the settings and what `struct trial_case` borrows outlive the trial; the
 *             outcome's strings live in the arena.
 * Read next   trial_spool.c, the other end of the ring; trial_test.c, tables of cases.
 */
#ifndef TRIAL_H
#define TRIAL_H

#include "envelope.h"
#include "policy.h"
#include "script.h"
#include "settings.h"

#define TRIAL_RCPTS     64
#define TRIAL_REPLIES   (TRIAL_RCPTS + 8)
#define TRIAL_DECISIONS 512
#define TRIAL_WAIT      (UINT64_C(10) * 1000000)

struct trial_case {
	struct str ip;       /* "192.0.2.7"; empty: that one */
	struct str helo;     /* empty: client.example */
	struct str listener; /* empty: the first of the settings */
	struct str sender;   /* empty: the null sender */
	struct str rcpts[TRIAL_RCPTS];
	unsigned nrcpts;
	struct str message; /* with CRLF, dots not doubled; as a client would have it in a file */
};

enum trial_stage {
	TRIAL_CONNECT,
	TRIAL_EHLO,
	TRIAL_MAIL,
	TRIAL_RCPT,
	TRIAL_DATA,
	TRIAL_MESSAGE,
	TRIAL_STAGES
};

extern const char *const trial_stage_name[TRIAL_STAGES];

struct trial_reply {
	enum trial_stage stage;
	unsigned rcpt; /* RCPT: which one */
	unsigned code;
	struct str text; /* the last line, without CRLF: "550 5.1.1 no such recipient" */
};

struct trial_decision {
	enum policy_hook hook;
	unsigned before; /* which reply it stands before */
	struct str rcpt; /* or empty */
	struct verdict verdict;
};

struct trial_copy { /* a variant: what would have been queued */
	enum { TRIAL_QUEUED, TRIAL_HELD, TRIAL_QUARANTINED } state;
	struct envelope envelope;
	struct str header;
};

struct trial_outcome {
	struct trial_reply replies[TRIAL_REPLIES];
	unsigned nreplies;
	struct trial_decision decisions[TRIAL_DECISIONS];
	unsigned ndecisions;
	struct trial_copy *copies;
	unsigned ncopies;
	struct str body;
	bool is_late; /* TRIAL_WAIT passed */
};

struct trial;

/* The policy is compiled once, for any number of cases; NULL: errors has the lines. */
struct trial *trial_new(const struct settings *s, struct script_options o, struct buf *errors);
void trial_run(struct trial *t, const struct trial_case *c, struct arena *arena,
	       struct trial_outcome *out);
void trial_free(struct trial **t);

/* trial_answer - the reply that settled it: the first no before a recipient was taken, a no to the
 * last one, or what was said at the end */
const struct trial_reply *trial_answer(const struct trial_outcome *o);
/* trial_decider - of that answer; NULL: no rule was behind it */
const struct trial_decision *trial_decider(const struct trial_outcome *o,
					   const struct trial_reply *answer);

#endif
