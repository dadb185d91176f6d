/*
 * script_task - one question on its way through its handlers, and the coroutine it runs on.
 *
 *   FREE -> RUNNING -> WAITING -> READY -> RUNNING -> ... -> FREE
 *                        '-----------> (cancel) ----------> FREE
 *
 * What        a pool of coroutines; start, resume and stop of a handler; the queue of those that
 *             may go on.
 * Why         the only file that calls lua_newthread, lua_resume and lua_resetthread: everything
 *             that goes wrong around them goes wrong here.
 * Invariants  resumes never nest; a resume happens in a turn of its own, never inside the call that
 *             completed the wait. A wait belongs to (task, serial); what is late is dropped before
 *             it touches Lua. After script_task_stop no wait is open and every <close> has run.
 * Ownership   the vm owns its tasks; idle ones keep their coroutine, whose thread object no script
 *             has ever seen.
 * Bounds      SCRIPT_IDLE coroutines are kept; tasks: one per open question.
 */
#ifndef SCRIPT_TASK_H
#define SCRIPT_TASK_H

#include "script_budget.h"
#include "script_vm.h"

#define SCRIPT_IDLE     128
#define SCRIPT_A_TURN   64    /* ready tasks that are resumed before others get their turn */
#define SCRIPT_CLOSE_US 20000 /* CPU time of all <close> of a handler that was stopped */

struct script_op;

enum task_state { TASK_FREE, TASK_RUNNING, TASK_WAITING, TASK_READY, TASK_CLOSING };

struct script_task {
	struct list all, node; /* all of the vm; idle or ready */
	struct script_vm *vm;
	lua_State *L;
	int thread; /* registry reference that keeps L */
	enum task_state state;
	uint64_t serial; /* of the wait that is open, or comes next */
	struct script_op *op;
	struct script_budget budget;
	struct net_timer timer; /* runs while the handler waits */
	bool is_expired;

	struct policy_question *q;
	unsigned next; /* in the chain, after the handler that runs */
	struct script_handler *handler;
	struct verdict verdict; /* of the handler; rule is not set */
	uint64_t begun_us;      /* monotonic, of the handler */
	unsigned logged;        /* lines of the handler */
	char trace[512];        /* where its error was raised; empty: none was */
};

struct script_task *script_task_take(struct script_vm *vm); /* NULL: no memory for a coroutine */
void script_task_give(struct script_task **t);

/*
 * Both return LUA_OK, LUA_YIELD, or an error with its value on the coroutine's stack, until
 * script_task_stop.
 */
int script_task_start(struct script_task *t, lua_CFunction entry);
int script_task_resume(struct script_task *t);
void script_task_stop(struct script_task *t); /* idempotent: whatever runs or waits in it ends */

void script_task_wait(struct script_task *t, uint64_t most_us);
/* script_task_ready - from a callback of the loop: go on in a turn of its own */
void script_task_ready(struct script_task *t);
void script_tasks_free(struct script_vm *vm);

#endif
