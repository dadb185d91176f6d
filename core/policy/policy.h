/*
 * policy - the question the engine asks, and the answer it gets.
 *
 * What        the hooks in the order of a message's life, the verdicts, which verdict is legal
 *             where, the question that is embedded in a session, and the small vtable that answers
 *             it.
 * Why         engine and delivery depend on the question, the Lua bridge depends on the question,
 *             never on each other; a table of canned verdicts answers in tests.
 * Invariants  answered() never runs inside ask(), and never after cancel(). One question is open at
 *             a time per session. Whatever goes wrong inside an answerer comes back as DEFER 451
 *             4.3.0, never as acceptance.
 * Ownership   the question belongs to who asks; strings of the verdict live in `arena` (the
 *             transaction's or connection's).
 * Read next   policy_view.h, what a handler sees; policy_generation.h, which rules answer.
 */
#ifndef POLICY_H
#define POLICY_H

#include "arena.h"
#include "list.h"
#include "step.h"

struct policy_conn;
struct policy_tx;
struct policy_rcpt;
struct policy_msg;
struct policy_attempt;
struct policy_result;
struct policy_bounce;
struct policy_generation;

/* clang-format off */
enum policy_hook {
	HOOK_CONNECT, HOOK_TLS, HOOK_EHLO, HOOK_MAIL, HOOK_RCPT, HOOK_DATA, HOOK_HEADERS, HOOK_MESSAGE, HOOK_MESSAGE_RCPT, HOOK_DISCONNECT,
	HOOK_ROUTE, HOOK_RESULT, HOOK_BOUNCE,
	HOOKS
};

enum verdict_kind {
	VERDICT_PASS, VERDICT_ACCEPT, VERDICT_TRUST, VERDICT_DEFER, VERDICT_REJECT, VERDICT_DROP, VERDICT_ABORT,
	VERDICT_QUARANTINE, VERDICT_HOLD, VERDICT_DISCARD,
	VERDICTS
};
/* clang-format on */

extern const char *const policy_hook_name[HOOKS];
extern const char *const verdict_name[VERDICTS];

bool policy_hook_find(struct str name, enum policy_hook *out);
bool verdict_is_legal(enum policy_hook hook, enum verdict_kind kind);
bool policy_hook_is_edge(enum policy_hook hook); /* runs in edge; else in deliver */

#define VERDICT_TEXT 400
#define VERDICT_ESC  12

struct verdict {
	enum verdict_kind kind;
	uint16_t code;         /* 4xx, 5xx for DEFER, REJECT, DROP; else 0 */
	char esc[VERDICT_ESC]; /* "5.7.1", or empty */
	struct str text;       /* for the reply; printable ASCII, at most VERDICT_TEXT */
	struct str reason;     /* for TRUST, HOLD, DISCARD, QUARANTINE: for events */
	struct str bucket;     /* QUARANTINE */
	uint64_t ttl_us;       /* QUARANTINE; 0: the default */
	struct str rule;       /* name of the handler that decided; empty: nobody */
	bool failed; /* the rule failed (error, budget, time): the verdict is its on_error */
};

struct policy_question {
	enum policy_hook hook;
	struct policy_generation *generation; /* pinned by who asks */
	struct arena *arena;
	struct policy_conn *conn;       /* edge hooks; NULL in deliver */
	struct policy_tx *tx;           /* from MAIL on */
	struct policy_rcpt *rcpt;       /* rcpt, message_rcpt, route */
	struct policy_msg *msg;         /* headers, message, message_rcpt */
	struct policy_attempt *attempt; /* result */
	struct policy_result *result;   /* result */
	struct policy_bounce *bounce;   /* bounce */

	struct verdict verdict; /* out, when DONE or answered() */
	void (*answered)(struct policy_question *);

	void *task; /* the answerer's own; NULL when nothing is open */
};

struct policy_ops {
	/* DONE: verdict is filled. MORE: answered() comes in a later turn. Never ERROR. */
	enum step (*ask)(struct policy_question *);
	/* Synchronous, idempotent: no answer comes after it returned, staged edits are dropped. */
	void (*cancel)(struct policy_question *);
	void (*activate)(struct policy_generation *); /* committed: timers may start */
	void (*retire)(struct policy_generation
			       *); /* another one was committed: no new questions but from pins */
	void (*destroy)(struct policy_generation *); /* no pins are left: free `self` */
};

/* policy_ask - DONE at once with PASS when there is nobody to ask */
enum step policy_ask(struct policy_question *q);
bool policy_answers(const struct policy_generation *g,
		    enum policy_hook hook); /* is there anybody to ask? g may be NULL */
void policy_cancel(struct policy_question *q);
/* policy_fail - fill the verdict with 451 4.3.0: what every failure becomes */
void policy_fail(struct policy_question *q, struct str rule);

#endif
