#include "script_task.h"

#include <assert.h>
#include <stdlib.h>

#include "script_await.h"
#include "script_hook.h"

#ifndef lua_closethread /* before Lua 5.4.6 */
#define lua_closethread(L, from) ((void)(from), lua_resetthread(L))
#endif

static void state_set(struct script_task *t, enum task_state state)
{
	t->state = state;
}

/* ---- the pool */

/* raises */
static int thread_new(lua_State *L)
{
	struct script_task *t = lua_touserdata(L, 1);

	t->L = lua_newthread(L);
	t->thread = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static void task_free(struct script_task *t)
{
	struct script_vm *vm = t->vm;

	list_remove(&t->all);
	list_remove(&t->node);
	luaL_unref(vm->L, LUA_REGISTRYINDEX, t->thread);
	vm->ntasks--;
	free(t);
}

static void expired(struct net_timer *timer)
{
	struct script_task *t = LIST_ITEM(timer, struct script_task, timer);

	t->is_expired = true;
	script_task_ready(t);
}

static struct script_task *task_new(struct script_vm *vm)
{
	struct script_task *t = calloc(1, sizeof *t);

	if (!t)
		abort();
	t->vm = vm;
	t->thread = LUA_NOREF;
	list_init(&t->node);
	list_append(&vm->tasks, &t->all);
	vm->ntasks++;
	if (vm->loop)
		net_timer_init(&t->timer, vm->loop, expired);
	if (!script_vm_call(vm, thread_new, t)) {
		task_free(t);
		return NULL;
	}
	return t;
}

struct script_task *script_task_take(struct script_vm *vm)
{
	struct list *node = list_take(&vm->idle);
	struct script_task *t;

	if (!node)
		return task_new(vm);
	t = LIST_ITEM(node, struct script_task, node);
	vm->nidle--;
	return t;
}

/* script_task_give - one whose stop ran out of memory has no coroutine worth keeping */
void script_task_give(struct script_task **tp)
{
	struct script_task *t = *tp;
	struct script_vm *vm = t->vm;

	*tp = NULL;
	assert(t->state == TASK_FREE && !t->op && lua_gettop(t->L) == 0);
	t->q = NULL;
	t->handler = NULL;
	if (vm->nidle >= SCRIPT_IDLE) {
		task_free(t);
		return;
	}
	vm->nidle++;
	list_prepend(&vm->idle, &t->node);
}

void script_tasks_free(struct script_vm *vm)
{
	struct list *node;

	net_deferred_cancel(&vm->drain);
	while ((node = list_take(&vm->idle)) != NULL)
		task_free(LIST_ITEM(node, struct script_task, node));
	assert(vm->ntasks == 0); /* whoever asked holds a pin */
}

/* ---- running */

static int run(struct script_task *t, int narguments)
{
	int nresults = 0, status;

	assert(!t->vm->running);
	t->serial++;
	state_set(t, TASK_RUNNING);
	t->vm->denied = 0; /* what was refused to another is not this one's doing */
	t->vm->running = t;
	script_budget_enter(&t->budget, t->L);
	status = lua_resume(t->L, NULL, narguments, &nresults);
	script_budget_leave(&t->budget);
	t->vm->running = NULL;
	if (status == LUA_OK) {
		lua_settop(t->L, 0);
		state_set(t, TASK_FREE);
	}
	return status;
}

int script_task_start(struct script_task *t, lua_CFunction entry)
{
	assert(t->state == TASK_FREE && lua_gettop(t->L) == 0);
	t->is_expired = false;
	script_budget_init(&t->budget, t->vm->cpu_us);
	lua_pushcfunction(t->L, entry);
	lua_pushlightuserdata(t->L, t);
	return run(t, 1);
}

int script_task_resume(struct script_task *t)
{
	assert(t->state == TASK_READY);
	net_timer_stop(&t->timer);
	return run(t, 0);
}

/*
 * script_task_stop - cancels the wait, then unwinds: <close> runs within a small budget, and may
 * not wait
 */
void script_task_stop(struct script_task *t)
{
	if (t->vm->loop)
		net_timer_stop(&t->timer);
	list_remove(&t->node);
	if (t->op) {
		struct script_op *op = t->op;

		t->op = NULL;
		op->cancel(op);
	}
	t->serial++;
	if (t->state == TASK_FREE)
		return;
	state_set(t, TASK_CLOSING);
	script_budget_init(&t->budget, SCRIPT_CLOSE_US);
	t->vm->running = t;
	script_budget_enter(&t->budget, t->L);
	(void)lua_closethread(t->L, NULL);
	script_budget_leave(&t->budget);
	t->vm->running = NULL;
	lua_settop(t->L, 0);
	state_set(t, TASK_FREE);
}

/* ---- waiting */

void script_task_wait(struct script_task *t, uint64_t most_us)
{
	assert(t->state == TASK_RUNNING && t->op);
	state_set(t, TASK_WAITING);
	net_timer_start(&t->timer, most_us ? most_us : 1);
	if (t->op->is_done) /* completed before the coroutine had yielded */
		script_task_ready(t);
}

static void drain(struct net_deferred *d)
{
	struct script_vm *vm = LIST_ITEM(d, struct script_vm, drain);
	struct list *node;

	for (unsigned i = 0; i < SCRIPT_A_TURN && (node = list_take(&vm->ready)) != NULL; i++)
		script_hook_continue(LIST_ITEM(node, struct script_task, node));
	if (!list_is_empty(&vm->ready))
		net_loop_defer_next(vm->loop, d);
}

void script_task_ready(struct script_task *t)
{
	struct script_vm *vm = t->vm;

	if (t->state != TASK_WAITING)
		return;
	state_set(t, TASK_READY);
	list_append(&vm->ready, &t->node);
	vm->drain.run = drain;
	net_loop_defer(vm->loop, &vm->drain);
}
