/* Sources in, a generation out: or every reason why not. */
#include <string.h>

#include "script_box.h"
#include "script_budget.h"
#include "script_gate.h"
#include "script_hook.h"
#include "script_module.h"
#include "script_sandbox.h"

/* Steps of a load, each protected. All of them raise. */

static int open_all(lua_State *L)
{
	lua_settop(L, 0);
	script_sandbox_open(L);
	script_classes_open(L);
	script_gate_open(L);
	lua_pushvalue(L, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, script_gate_functions);
	script_modules_open(L);
	return 0;
}

static int compile_all(lua_State *L)
{
	script_modules_compile(L);
	return 0;
}

static int problem(lua_State *L)
{
	script_gate_problem(L, luaL_checkstring(L, 1));
	return 0;
}

/* prelude - lua/use.lua gets the module and what it needs of us, and adds gate.use */
static int prelude(lua_State *L)
{
	lua_settop(L, 0);
	lua_pushcfunction(L, script_module_require);
	lua_pushliteral(L, "lua.use");
	lua_call(L, 1, 1);
	lua_rawgetp(L, LUA_REGISTRYINDEX, script_gate_functions);
	lua_pushcfunction(L, script_module_use);
	lua_pushcfunction(L, problem);
	lua_call(L, 3, 0);
	return 0;
}

static int run_main(lua_State *L)
{
	(void)script_module_run_main(L);
	return 0;
}

static int freeze_all(lua_State *L)
{
	lua_settop(L, 0);
	lua_rawgetp(L, LUA_REGISTRYINDEX, script_gate_functions);
	script_sandbox_freeze(L);
	script_modules_close(L);
	return 0;
}

static int describe(lua_State *L)
{
	if (lua_type(L, 1) != LUA_TSTRING) {
		lua_pushfstring(L, "error() was called with a %s instead of a text",
				luaL_typename(L, 1));
		lua_replace(L, 1);
	}
	lua_settop(L, 1);
	return 1;
}

/* entry_path - what a problem without a place is about */
static const char *entry_path(const struct script_options *o, char path[512])
{
	(void)str_copy(path, 512, STR("policy"));
	for (unsigned i = 0; i < o->nsources; i++)
		if (str_eq(o->sources[i].name, STR("main")))
			(void)str_copy(path, 512, o->sources[i].path);
	return path;
}

static bool step(struct script_vm *vm, lua_CFunction f)
{
	lua_State *L = vm->L;
	char path[512];
	bool fine;
	size_t n = 0;
	const char *text;

	lua_pushcfunction(L, describe);
	lua_pushcfunction(L, f);
	fine = lua_pcall(L, 0, 0, 1) == LUA_OK;
	text = fine                             ? NULL
	       : lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n)
						: "not enough memory";
	if (text)
		script_problem_lua(vm, n ? (struct str){ text, n } : str_of(text),
				   entry_path(vm->options, path));
	lua_settop(L, 0);
	return fine;
}

static bool maps_open(struct script_vm *vm, const struct script_options *o)
{
	struct fault why;

	vm->maps = o->nmaps ? arena_alloc(&vm->arena, o->nmaps * sizeof *vm->maps) : NULL;
	if (o->nmaps && !vm->maps)
		return false;
	for (unsigned i = 0; i < o->nmaps; i++) {
		vm->maps[i].name = arena_str(&vm->arena, o->maps[i].name);
		if (!vm->maps[i].name.p)
			return false;
		if (state_map_open(o->maps[i].image, &vm->maps[i].map, &why) < 0)
			script_problem(vm, vm->maps[i].name.p, "%s", why.text);
	}
	vm->nmaps = o->nmaps;
	return true;
}

static void load(struct script_vm *vm, const struct script_options *o)
{
	if (!maps_open(vm, o)) {
		script_problem(vm, "maps", "too many of them");
		return;
	}
	if (!step(vm, open_all))
		return;
	script_budget_load(vm, o->load_us);
	if (step(vm, compile_all) && step(vm, prelude) && step(vm, run_main))
		(void)step(vm, freeze_all);
	script_budget_loaded(vm);
	if (!script_chains_build(vm) && vm->nproblems == 0)
		script_problem(vm, "policy", "the policy has too many handlers");
}

static void adopt(struct policy_generation *g, struct script_vm *vm)
{
	vm->errors = NULL;
	vm->options = NULL;
	vm->fail_after = 0;
	vm->generation = g;
	g->ops = &script_ops;
	g->self = vm;
	g->hooks = 0;
	for (enum policy_hook hook = 0; hook < HOOKS; hook++)
		if (vm->chains[hook].n > 0)
			g->hooks |= UINT32_C(1) << hook;
	lua_gc(vm->L, LUA_GCCOLLECT);
	vm->collected = vm->used;
}

int script_load(struct policy_generation *g, const struct script_options *o, struct buf *errors)
{
	struct script_vm *vm;

	if (o->loop)
		script_process_init();
	vm = script_vm_new(o);
	if (!vm) {
		(void)buf_printf(errors, "policy:1: not enough memory for an empty policy\n");
		return -1;
	}
	vm->errors = errors;
	load(vm, o);
	if (vm->nproblems > 0) {
		script_vm_free(&vm);
		return -1;
	}
	adopt(g, vm);
	return 0;
}
