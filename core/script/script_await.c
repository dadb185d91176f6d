#include "script_await.h"

#include <assert.h>

#include "counter.h"

/* raises */
void script_op_begin(lua_State *L, struct script_op *op, const char *what)
{
	struct script_vm *vm = script_vm_of(L);
	struct script_task *t = vm->running;

	if (!t)
		luaL_error(L, "%s waits: call it inside a handler, not while the file loads", what);
	else if (t->state == TASK_CLOSING)
		luaL_error(L, "%s waits: a handler that was stopped cannot wait in __close", what);
	else if (!lua_isyieldable(L))
		luaL_error(L,
			   "%s waits: not possible inside table.sort, gsub, __tostring or another "
			   "C function",
			   what);
	assert(t && !t->op && t->L == L);
	op->task = t;
	op->serial = t->serial;
	op->is_done = false;
	t->op = op;
}

/* raises */
static int continue_after(lua_State *L, int status, lua_KContext context)
{
	struct script_op *op = (struct script_op *)context;

	(void)status;
	op->task->op = NULL;
	return op->results(L, op);
}

int script_await(lua_State *L, struct script_op *op)
{
	counter_add(COUNTER_HOOK_WAITS, 1);
	return lua_yieldk(L, 0, (lua_KContext)op, continue_after);
}

void script_op_done(struct script_op *op)
{
	struct script_task *t = op->task;

	if (op->is_done || t->op != op || t->serial != op->serial)
		return;
	op->is_done = true;
	script_task_ready(t);
}
