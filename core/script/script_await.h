/*
 * script_await - how a handler waits: one operation, one yield, one continuation for every binding.
 *
 * What        a binding fills an operation, links it to its task (script_op_begin), asks its
 *             service, and returns script_await. The service's callback calls script_op_done, which
 *             touches no Lua. In a later turn the continuation, already inside the protected
 *             resume, lets `results` push what the handler gets.
 * Why         callbacks that push on a coroutine are where other bridges crash.
 * Invariants  cancel is synchronous, idempotent, and safe before the start and after completion;
 *             after it the service calls nothing back. Exactly one completion counts; the second
 *             and the late ones are dropped.
 * Ownership   the operation lives in a userdata on the waiting coroutine's stack, which stays until
 *             the task is stopped.
 */
#ifndef SCRIPT_AWAIT_H
#define SCRIPT_AWAIT_H

#include "script_task.h"

struct script_op {
	struct script_task *task;
	uint64_t serial;
	bool is_done;
	void (*cancel)(struct script_op *);
	int (*results)(lua_State *, struct script_op *); /* raises; how many values it pushed */
};

/*
 * raises: `what` cannot wait here; call it after all checks of arguments and before the service is
 * asked
 */
void script_op_begin(lua_State *L, struct script_op *op, const char *what);
/* the last statement of a binding: `return script_await(L, op)` */
int script_await(lua_State *L, struct script_op *op);
void script_op_done(struct script_op *op);

#endif
