/*
 * script_fault - a handler that failed, put into words.
 *
 * What        one event policy.error: rule, hook, generation, message, a short traceback.
 * Invariants  called before the coroutine is unwound; runs no code of the policy (no __tostring),
 *             so that a failing handler cannot fail again in here; out of memory it still says
 *             something.
 */
#ifndef SCRIPT_FAULT_H
#define SCRIPT_FAULT_H

#include "script_task.h"

/* script_fault_trace - a message handler: writes the stack into the running task, passes it on */
int script_fault_trace(lua_State *L);
void script_fault_report(struct script_task *t, int status);

#endif
