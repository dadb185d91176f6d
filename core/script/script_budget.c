#include "script_budget.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include "counter.h"
#include "script_vm.h"

#define QUESTIONS_A_STEP 16           /* the collector takes a step after so many */
#define GROWTH_A_STEP    (256 * 1024) /* or after so many bytes */
#define LOAD_COUNT       10000        /* instructions between two looks at the clock */

static struct script_budget *volatile running;

/* raise_here - in a hook level 0 is the function that was interrupted */
static void raise_here(lua_State *L, const char *message)
{
	luaL_where(L, 0);
	lua_pushstring(L, message);
	lua_concat(L, 2);
	lua_error(L);
}

static void kill_cpu(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	raise_here(L, script_doom_text(DOOM_CPU));
}

static void doom_cpu(struct script_budget *b)
{
	if (b->doom == DOOM_NONE)
		b->doom = DOOM_CPU;
	lua_sethook(b->L, kill_cpu, LUA_MASKCOUNT, 1);
}

static void on_tick(int signal)
{
	struct script_budget *b = running;

	(void)signal;
	if (b && ++b->ticks > b->limit)
		doom_cpu(b);
}

void script_process_init(void)
{
	static bool done;
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	struct itimerval every = { .it_interval = { .tv_usec = SCRIPT_TICK_US },
				   .it_value = { .tv_usec = SCRIPT_TICK_US } };

	if (done)
		return;
	done = true;
	tzset(); /* os.date would read the zone's file later, inside the sandbox */
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGVTALRM, &action, NULL) < 0 || setitimer(ITIMER_VIRTUAL, &every, NULL) < 0)
		abort(); /* both fail for bad arguments only */
}

void script_budget_init(struct script_budget *b, uint64_t cpu_us)
{
	*b = (struct script_budget){ .limit = (sig_atomic_t)((cpu_us + SCRIPT_TICK_US - 1) /
							     SCRIPT_TICK_US) };
}

void script_budget_enter(struct script_budget *b, lua_State *L)
{
	assert(!running);
	b->L = L;
	running = b;
}

void script_budget_leave(struct script_budget *b)
{
	assert(running == b);
	running = NULL; /* no tick arms the hook from here on */
	if (lua_gethookmask(b->L))
		lua_sethook(b->L, NULL, 0, 0);
}

void script_budget_doom(struct script_budget *b, enum script_doom doom)
{
	if (b->doom == DOOM_NONE)
		b->doom = doom;
}

const char *script_doom_text(enum script_doom doom)
{
	switch (doom) {
	case DOOM_CPU:
		return "it used more CPU time than a handler may";
	case DOOM_MEMORY:
		return "the policy used more memory than it may";
	case DOOM_NONE:
		break;
	}
	return "it did not end well";
}

/* ---- loading */

static uint64_t cpu_now(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) < 0)
		abort();
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t load_until;

static void check_load(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	if (cpu_now() < load_until)
		return;
	lua_sethook(L, check_load, LUA_MASKCOUNT, 1); /* a pcall does not save it */
	raise_here(L, "loading took more CPU time than it may; do work in a handler");
}

void script_budget_load(struct script_vm *vm, uint64_t cpu_us)
{
	load_until = cpu_now() + cpu_us;
	lua_sethook(vm->L, check_load, LUA_MASKCOUNT, LOAD_COUNT);
}

void script_budget_loaded(struct script_vm *vm)
{
	lua_sethook(vm->L, NULL, 0, 0);
}

/* ---- the collector */

static void gauge(struct script_vm *vm, size_t now)
{
	gauge_move(GAUGE_LUA_BYTES, (int64_t)now - (int64_t)vm->gauged);
	vm->gauged = now;
}

/*
 * collect - a step as big as half of what came since the last one: measured, it keeps the heap
 * level with the shortest pauses. Past three quarters of the cap everything is collected at once.
 */
static void collect(struct net_deferred *d)
{
	struct script_vm *vm = LIST_ITEM(d, struct script_vm, collect);
	size_t growth = vm->used > vm->collected ? vm->used - vm->collected : 0;

	if (vm->used > vm->cap / 4 * 3)
		lua_gc(vm->L, LUA_GCCOLLECT);
	else
		lua_gc(vm->L, LUA_GCSTEP, (int)(growth / 2048) + 1);
	vm->collected = vm->used;
	vm->asked = 0;
	gauge(vm, vm->used);
}

void script_budget_pace(struct script_vm *vm)
{
	vm->asked++;
	if (!vm->loop)
		return;
	if (vm->asked < QUESTIONS_A_STEP && vm->used < vm->collected + GROWTH_A_STEP &&
	    vm->used < vm->cap / 4 * 3)
		return;
	vm->collect.run = collect;
	net_loop_defer(vm->loop, &vm->collect);
}

void script_budget_forget(struct script_vm *vm)
{
	gauge(vm, 0);
	net_deferred_cancel(&vm->collect);
}
