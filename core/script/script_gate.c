#include "script_gate.h"

#include <string.h>

#include "counter.h"
#include "script_arg.h"
#include "script_hook.h"
#include "script_verdict.h"

#define NAME_MOST       63
#define PRIORITY_MOST   1000
#define PRIORITY        500 /* a site's own; ready filters 300, catch-alls 900 */
#define LISTENERS_MOST  32
#define TIMEOUT_LEAST   UINT64_C(1000)
#define TIMEOUT_MOST    UINT64_C(600000000)
#define TIMEOUT         UINT64_C(10000000)
#define TIMEOUT_MESSAGE UINT64_C(60000000)

const char *const script_handler_options[] = {
	"name", "priority", "timeout", "on_error", "mode", "listener", "skip_trusted", NULL,
};

/*
 * author_level - the first level that is not lua/ of ours: the author wants to read of a file that
 * is his
 */
static int author_level(lua_State *L)
{
	lua_Debug ar;
	int level = 1;

	while (lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar) &&
	       strncmp(ar.source, "@lua/", 5) == 0)
		level++;
	return level;
}

void script_gate_problem(lua_State *L, const char *message)
{
	struct script_vm *vm = script_vm_of(L);
	struct str where;

	luaL_where(L, author_level(L));
	if (!vm->errors) {
		lua_pushstring(L, message);
		lua_concat(L, 2);
		lua_error(L);
	}
	where = str_of(lua_tostring(L, -1));
	if (where.n > 2) /* without the ": " at its end */
		lua_pushlstring(L, where.p, where.n - 2);
	else
		lua_pushliteral(L, "policy");
	script_problem(vm, lua_tostring(L, -1), "%s", message);
	lua_pop(L, 2);
}

/* ---- gate.on: everything in here raises, and registers at the very end */

static struct str keep(lua_State *L, struct str s)
{
	struct str kept = arena_str(&script_vm_of(L)->arena, s);

	if (!kept.p)
		luaL_error(L, "the policy has too many handlers");
	return kept;
}

static enum policy_hook hook_of(lua_State *L)
{
	struct script_near near = { 0 };
	enum policy_hook hook = HOOKS;

	if (lua_type(L, 1) != LUA_TSTRING)
		luaL_error(L,
			   "gate.on(hook, [options,] function): the hook is a name like \"rcpt\", "
			   "got %s",
			   luaL_typename(L, 1));
	near.word = script_str(L, 1);
	for (enum policy_hook h = 0; h < HOOKS; h++)
		script_near_try(&near, policy_hook_name[h]);
	if (!policy_hook_find(near.word, &hook))
		luaL_error(L, "there is no hook \"%s\"%s", near.word.p, script_near_text(L, &near));
	return hook;
}

/* where_of - "path:line" of a function, kept */
static struct str where_of(lua_State *L, int index)
{
	lua_Debug ar;

	lua_pushvalue(L, index);
	if (!lua_getinfo(L, ">S", &ar) || ar.linedefined <= 0)
		return STR("[C]");
	lua_pushfstring(L, "%s:%d", ar.source[0] == '@' ? ar.source + 1 : ar.short_src,
			ar.linedefined);
	return keep(L, script_str(L, -1));
}

/* default_name - "policy.lua:12" */
static struct str default_name(struct str where)
{
	ptrdiff_t slash = str_rfind(where, '/');
	struct str file = str_drop(where, (size_t)(slash + 1));

	return file.n > NAME_MOST ? str_drop(file, file.n - NAME_MOST) : file;
}

static struct str name_of(lua_State *L, struct str where)
{
	struct str name = script_option_str(L, 2, "name");

	if (!name.p)
		return default_name(where);
	if (name.n == 0 || name.n > NAME_MOST)
		luaL_error(L, "name: 1..%d characters", NAME_MOST);
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~')
			luaL_error(L, "name: printable characters without blanks");
	return keep(L, name);
}

static int option(lua_State *L, const char *name)
{
	return lua_istable(L, 2) ? lua_getfield(L, 2, name) : (lua_pushnil(L), LUA_TNIL);
}

static bool flag(lua_State *L, const char *name)
{
	int type = option(L, name);

	if (type != LUA_TNIL && type != LUA_TBOOLEAN)
		luaL_error(L, "%s: true or false is expected, got %s", name, luaL_typename(L, -1));
	return lua_toboolean(L, -1);
}

/* choice - the index of the option's word in `words`; 0 when it is not there */
static int choice(lua_State *L, const char *name, const char *const *words)
{
	struct script_near near = { .word = script_option_str(L, 2, name) };

	if (!near.word.p)
		return 0;
	for (int i = 0; words[i]; i++) {
		if (str_eq(near.word, str_of(words[i])))
			return i;
		script_near_try(&near, words[i]);
	}
	return luaL_error(L, "%s: \"%s\" is not known%s", name, near.word.p,
			  script_near_text(L, &near));
}

static int priority_of(lua_State *L)
{
	int is_integer = 1;
	lua_Integer priority = PRIORITY;

	if (option(L, "priority") != LUA_TNIL)
		priority = lua_tointegerx(L, -1, &is_integer);
	if (!is_integer || priority < 0 || priority > PRIORITY_MOST)
		luaL_error(L, "priority: an integer from 0 to %d", PRIORITY_MOST);
	return (int)priority;
}

static uint64_t timeout_of(lua_State *L, enum policy_hook hook)
{
	uint64_t us;

	if (option(L, "timeout") == LUA_TNIL)
		return hook == HOOK_MESSAGE || hook == HOOK_MESSAGE_RCPT ? TIMEOUT_MESSAGE
									 : TIMEOUT;
	us = script_duration(L, lua_gettop(L), "timeout");
	if (us < TIMEOUT_LEAST || us > TIMEOUT_MOST)
		luaL_error(L, "timeout: from 1 ms to 10 minutes");
	return us;
}

static void listeners_of(lua_State *L, struct script_handler *h)
{
	int type = option(L, "listener"), at = lua_gettop(L);
	lua_Integer n;

	if (type == LUA_TNIL)
		return;
	if (type != LUA_TSTRING && type != LUA_TTABLE)
		luaL_error(L, "listener: a name or a list of names, got %s", luaL_typename(L, at));
	n = type == LUA_TTABLE ? (lua_Integer)lua_rawlen(L, at) : 1;
	if (n < 1 || n > LISTENERS_MOST)
		luaL_error(L, "listener: 1..%d names", LISTENERS_MOST);
	h->listeners = arena_alloc(&script_vm_of(L)->arena, (size_t)n * sizeof *h->listeners);
	for (lua_Integer i = 1; h->listeners && i <= n; i++) {
		if (type == LUA_TTABLE)
			lua_rawgeti(L, at, i);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "listener: a list of names");
		h->listeners[h->nlisteners++] = keep(L, script_str(L, -1));
	}
}

static void on_error_of(lua_State *L, struct script_handler *h)
{
	static const char *const words[] = { "defer", "pass", "reject", NULL };

	h->on_error = (enum script_on_error)choice(L, "on_error", words);
	if (h->on_error == ON_ERROR_REJECT && !verdict_is_legal(h->hook, VERDICT_REJECT))
		luaL_error(L, "on_error: \"reject\" is no verdict at \"%s\"",
			   policy_hook_name[h->hook]);
}

static int on(lua_State *L)
{
	static const char *const modes[] = { "enforce", "monitor", NULL };
	struct script_vm *vm = script_vm_of(L);
	struct script_handler *h, made = { .hook = hook_of(L), .function = LUA_NOREF };

	if (lua_isfunction(L, 2)) {
		lua_pushnil(L);
		lua_insert(L, 2);
	}
	lua_settop(L, 3);
	if (!lua_isfunction(L, 3) || !(lua_istable(L, 2) || lua_isnil(L, 2)))
		return luaL_error(L, "gate.on(hook, [options,] function): got (%s, %s, %s)",
				  luaL_typename(L, 1), luaL_typename(L, 2), luaL_typename(L, 3));
	script_options_check(L, 2, script_handler_options, "gate.on");
	made.where = where_of(L, 3);
	made.name = name_of(L, made.where);
	made.priority = priority_of(L);
	made.timeout_us = timeout_of(L, made.hook);
	on_error_of(L, &made);
	made.is_monitor = choice(L, "mode", modes) == 1;
	made.skip_trusted = flag(L, "skip_trusted");
	listeners_of(L, &made);
	h = vm->nregistered < SCRIPT_HANDLERS ? arena_alloc(&vm->arena, sizeof *h) : NULL;
	if (!h)
		return luaL_error(L, "the policy has too many handlers");
	lua_pushvalue(L, 3);
	made.function = luaL_ref(L, LUA_REGISTRYINDEX);
	made.order = vm->nregistered++;
	made.next = vm->registered;
	*h = made;
	vm->registered = h;
	return 0;
}

int script_gate_on(lua_State *L)
{
	int n = lua_gettop(L);

	if (!script_vm_of(L)->errors)
		return luaL_error(L, "gate.on belongs to the top level of a policy file, "
				     "not into a handler");
	lua_pushcfunction(L, on);
	lua_insert(L, 1);
	if (lua_pcall(L, n, 0, 0) == LUA_OK)
		return 0;
	script_gate_problem(L, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
							      : "gate.on failed");
	return 0;
}

/* clang-format off */
const luaL_Reg script_gate_functions[] = {
	{ "on", script_gate_on },           { "map", script_gate_map },
	{ "log", script_gate_log },         { "sleep", script_gate_sleep },
	{ "now", script_gate_now },         { "seconds", script_gate_seconds },
	{ NULL, NULL },
};
/* clang-format on */

void script_gate_open(lua_State *L)
{
	lua_newtable(L);
	luaL_setfuncs(L, script_gate_functions, 0);
	script_verdict_open(L);
}
