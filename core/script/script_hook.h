/*
 * script_hook - questions in, handlers run, verdicts out.
 *
 * What        implements policy_ops: a chain of handlers per hook, each on the task's coroutine,
 *             until one decides.
 * Invariants  handlers run by ascending priority, then in the order of registration. pass and nil
 *             go on; trust marks and goes on; anything else ends the chain. Edits of a handler are
 *             applied when it returned normally and enforces, else dropped. Whatever goes wrong is
 *             one event, one count, and the handler's on_error; never acceptance.
 * Read next   script_task.h, for how a handler waits.
 */
#ifndef SCRIPT_HOOK_H
#define SCRIPT_HOOK_H

#include "script_vm.h"

enum script_on_error { ON_ERROR_DEFER, ON_ERROR_PASS, ON_ERROR_REJECT };

struct script_handler {
	struct script_handler *next; /* registered before this one */
	enum policy_hook hook;
	struct str name, where; /* where: "path:line" */
	int priority;
	unsigned order;
	int function; /* registry reference */
	uint64_t timeout_us;
	enum script_on_error on_error;
	bool is_monitor, skip_trusted;
	struct str *listeners;
	unsigned nlisteners; /* 0: everywhere */
	unsigned slot;       /* rule_slot */
};

extern const struct policy_ops script_ops;

/* script_hook_continue - a ready task goes on; may answer its question */
void script_hook_continue(struct script_task *t);

/* The chains out of what was registered; false: names collide, and errors say where. */
bool script_chains_build(struct script_vm *vm);

#endif
