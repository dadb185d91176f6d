/*
 * script_vm - one lua_State: the rules of one generation in one process.
 *
 * What        its memory with a cap, its handlers in their order, its tasks, its way back from a
 *             lua_State to all of this.
 * Why         a generation is the unit that is loaded, pinned and thrown away; nothing of it is
 *             shared.
 * Invariants  the main thread `L` loads, collects and describes errors; hooks run on tasks'
 *             coroutines alone. Outside a protected call nothing is done on L that could raise; a
 *             panic is our bug and aborts.
 * Ownership   script_vm_free closes the state; no task may run then.
 * Read next   script_task.h, script_hook.h.
 */
#ifndef SCRIPT_VM_H
#define SCRIPT_VM_H

#include <lauxlib.h>
#include <lua.h>

#include "arena.h"
#include "script.h"
#include "state_map.h"

#define SCRIPT_ARENA                                                                               \
	(4 * 1024 * 1024)    /* names, options: what a load makes and a generation keeps */
#define SCRIPT_HANDLERS 1000 /* registered by one generation */

struct script_handler;
struct script_task;

struct script_named_map {
	struct str name;
	struct state_map map;
};

struct script_chain {
	struct script_handler **handlers; /* by priority, then in the order of registration */
	unsigned n;
};

struct script_vm {
	lua_State *L;
	struct policy_generation *generation;
	struct net_loop *loop; /* NULL: check only */
	bool is_trial;         /* gate.sleep takes no time */
	struct arena arena;
	struct script_named_map *maps;
	unsigned nmaps;
	const struct script_options *options; /* while loading */
	struct buf *errors; /* while loading; NULL afterwards: the environment is frozen */
	unsigned nproblems;

	struct script_handler *registered; /* newest first, while loading */
	unsigned nregistered;
	struct script_chain chains[HOOKS];

	size_t used, cap;    /* bytes in the state */
	unsigned denied;     /* refused allocations since the last granted one */
	uint64_t fail_after; /* tests: so many allocations are granted, then none; 0: off */
	size_t collected;    /* `used` after the last step of the collector */
	unsigned asked;      /* questions since then */
	size_t gauged;       /* what GAUGE_LUA_BYTES knows of us */
	uint64_t cpu_us;

	struct script_task *running; /* the one whose coroutine runs now */
	struct list tasks, idle, ready;
	unsigned nidle, ntasks;
	struct net_deferred drain; /* runs the ready ones */
	struct net_deferred collect;
	int boxes; /* registry: weak table, address of an object -> its handle */
};

/* script_vm_new - NULL: not even an empty state fits into the cap */
struct script_vm *script_vm_new(const struct script_options *o);
void script_vm_free(struct script_vm **vm);
struct script_vm *script_vm_of(lua_State *L);
/*
 * script_vm_call - f(L) with `argument` as light userdata, protected; false: out of memory or an
 * error, which is dropped
 */
bool script_vm_call(struct script_vm *vm, lua_CFunction f, void *argument);

/*
 * A line of the errors, "path:line:column: message"; `where` is "path:line", and the column is
 * script_place.h's. Loading goes on; it has failed.
 */
void script_problem(struct script_vm *vm, const char *where, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for a message of Lua's, which begins with its place, or else is about `otherwise`. */
void script_problem_lua(struct script_vm *vm, struct str message, const char *otherwise);

#endif
