#include "script_vm.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "script_budget.h"
#include "script_place.h"
#include "script_task.h"

static bool is_granted(struct script_vm *vm, size_t more)
{
	if (vm->fail_after == 1)
		return false;
	if (vm->fail_after > 1)
		vm->fail_after--;
	return vm->used < vm->cap && more <= vm->cap - vm->used;
}

/*
 * allocate - the cap of the state. Lua answers a refusal with a full collection and asks once more;
 * refused again, the handler that runs is doomed, so that a pcall around the hog changes nothing.
 */
static void *allocate(void *ud, void *p, size_t old, size_t n)
{
	struct script_vm *vm = ud;
	void *moved;

	if (!p)
		old = 0; /* then it tells the type */
	if (n == 0) {
		free(p);
		vm->used -= old;
		return NULL;
	}
	if (n > old && !is_granted(vm, n - old)) {
		if (++vm->denied > 1 && vm->running)
			script_budget_doom(&vm->running->budget, DOOM_MEMORY);
		return NULL;
	}
	moved = realloc(p, n);
	if (!moved)
		return NULL;
	if (n > old)
		vm->denied = 0;
	vm->used += n - old;
	return moved;
}

/* panic - an error outside a protected call: a bug of ours, never of a policy */
static int panic(lua_State *L)
{
	const char *text = lua_tostring(L, -1);

	log_fault(LOG_LEVEL_ERROR, "policy.panic", text ? text : "an error without text", NULL);
	abort();
}

static int install(lua_State *L)
{
	struct script_vm *vm = lua_touserdata(L, 1);

	lua_newtable(L);
	lua_createtable(L, 0, 1);
	lua_pushliteral(L, "v");
	lua_setfield(L, -2, "__mode");
	lua_setmetatable(L, -2);
	vm->boxes = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

struct script_vm *script_vm_new(const struct script_options *o)
{
	struct script_vm *vm = calloc(1, sizeof *vm);

	if (!vm)
		abort();
	vm->cap = o->memory;
	vm->cpu_us = o->cpu_us;
	vm->loop = o->loop;
	vm->is_trial = o->is_trial;
	vm->fail_after = o->fail_after;
	vm->options = o;
	arena_init(&vm->arena, SCRIPT_ARENA);
	list_init(&vm->tasks);
	list_init(&vm->idle);
	list_init(&vm->ready);
	vm->L = lua_newstate(allocate, vm);
	if (!vm->L) {
		script_vm_free(&vm);
		return NULL;
	}
	*(struct script_vm **)lua_getextraspace(vm->L) = vm;
	lua_atpanic(vm->L, panic);
	lua_gc(vm->L, LUA_GCSTOP);
	if (!script_vm_call(vm, install, vm))
		script_vm_free(&vm);
	return vm;
}

void script_vm_free(struct script_vm **vmp)
{
	struct script_vm *vm = *vmp;

	if (!vm)
		return;
	*vmp = NULL;
	assert(!vm->running);
	script_tasks_free(vm);
	script_budget_forget(vm);
	if (vm->L)
		lua_close(vm->L);
	arena_fini(&vm->arena);
	free(vm);
}

struct script_vm *script_vm_of(lua_State *L)
{
	return *(struct script_vm **)lua_getextraspace(L);
}

bool script_vm_call(struct script_vm *vm, lua_CFunction f, void *argument)
{
	lua_State *L = vm->L;
	int status;

	assert(lua_gettop(L) == 0);
	lua_pushcfunction(L, f);
	lua_pushlightuserdata(L, argument);
	status = lua_pcall(L, 1, 0, 0);
	lua_settop(L, 0);
	return status == LUA_OK;
}

/* source_of - by the path in a message, which Lua shortens to its end when it is long */
static const struct script_source *source_of(const struct script_vm *vm, struct str shown)
{
	for (unsigned i = 0; vm->options && i < vm->options->nsources; i++) {
		const struct script_source *source = &vm->options->sources[i];

		if (str_eq(source->path, shown) ||
		    (source->path.n > shown.n && str_has_prefix(shown, STR("...")) &&
		     str_has_suffix(source->path, str_drop(shown, 3))))
			return source;
	}
	return NULL;
}

static void add_problem(struct script_vm *vm, struct str where, const char *message)
{
	ptrdiff_t colon = str_rfind(where, ':');
	struct str file = colon < 0 ? where : str_head(where, (size_t)colon);
	const struct script_source *source = source_of(vm, file);
	uint64_t line = 1;
	size_t column = 0;

	if (colon >= 0)
		(void)str_u64(str_drop(where, (size_t)colon + 1), UINT32_MAX, &line);
	if (source) {
		file = source->path;
		column = script_place_column(source->text, (unsigned)line, str_of(message));
	}
	(void)buf_printf(vm->errors, "%.*s:%u", STR_ARG(file), (unsigned)line);
	if (column)
		(void)buf_printf(vm->errors, ":%zu", column);
	(void)buf_printf(vm->errors, ": %s\n", message);
}

void script_problem(struct script_vm *vm, const char *where, const char *format, ...)
{
	char message[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	vm->nproblems++;
	if (vm->errors)
		add_problem(vm, str_of(where), message);
}

/* place_of - how long the place is in "path:line: message"; 0: there is none */
static size_t place_of(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		size_t n = i + 1;

		if (text.p[i] != ':')
			continue;
		while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
			n++;
		if (n > i + 1 && n + 1 < text.n && text.p[n] == ':' && text.p[n + 1] == ' ')
			return n;
	}
	return 0;
}

void script_problem_lua(struct script_vm *vm, struct str message, const char *otherwise)
{
	size_t place = place_of(message);
	char where[512];

	if (place == 0 || place >= sizeof where) {
		script_problem(vm, otherwise, "%.*s", STR_ARG(message));
		return;
	}
	(void)str_copy(where, sizeof where, str_head(message, place));
	script_problem(vm, where, "%.*s", STR_ARG(str_drop(message, place + 2)));
}
