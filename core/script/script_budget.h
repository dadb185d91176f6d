/*
 * script_budget - how much a handler may burn, and what happens when it burns more.
 *
 * What        CPU time by a tick of the process's virtual timer that arms a hook on the running
 *             coroutine; memory growth by the allocator's cap; the collector, which never runs
 *             inside a handler, in small steps between them.
 * Why         an always-on count hook doubles the cost of tight loops in Lua 5.4; this one costs
 *             nothing until it is needed.
 * Invariants  a doomed handler stays doomed: pcall may swallow the error, the next instruction
 *             raises it again, and the verdict is ignored. The signal handler touches nothing but
 *             the budget that runs, and calls lua_sethook alone, which Lua allows in a signal.
 * Fails       patterns and other loops in C are no instructions: they look at `doom` themselves
 *             (script_pattern.h) or are bounded.
 */
#ifndef SCRIPT_BUDGET_H
#define SCRIPT_BUDGET_H

#include <signal.h>

#include <lua.h>

#include "script.h"

#define SCRIPT_TICK_US 10000

struct script_vm;

enum script_doom { DOOM_NONE, DOOM_CPU, DOOM_MEMORY };

struct script_budget {
	lua_State *L;
	volatile sig_atomic_t ticks, limit;
	volatile sig_atomic_t doom; /* enum script_doom */
};

void script_budget_init(struct script_budget *b, uint64_t cpu_us); /* before the first slice */
void script_budget_enter(struct script_budget *b, lua_State *L);
void script_budget_leave(struct script_budget *b);
void script_budget_doom(struct script_budget *b, enum script_doom doom);
const char *script_doom_text(enum script_doom doom);

/*
 * Loading: a count hook with a look at the clock, because nobody minds its cost then and no tick is
 * needed.
 */
void script_budget_load(struct script_vm *vm, uint64_t cpu_us);
void script_budget_loaded(struct script_vm *vm);

/* After a question: collect in a later turn when enough garbage may have come together. */
void script_budget_pace(struct script_vm *vm);
void script_budget_forget(struct script_vm *vm);

#endif
