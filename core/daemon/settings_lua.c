#include "settings_lua.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

/* So that messages begin "S:12: ": the true path may be longer than Lua shows. */
#define CHUNK        "=S"
#define CHUNK_PREFIX "S:"

static void *allocate(void *ud, void *p, size_t old, size_t n)
{
	struct settings_lua *lua = ud;
	size_t before = p ? old : 0;
	void *q;

	if (n == 0) {
		lua->used -= before;
		free(p);
		return NULL;
	}
	if (lua->used - before + n > SETTINGS_LUA_MEMORY)
		return NULL;
	q = realloc(p, n);
	if (q)
		lua->used += n - before;
	return q;
}

/* ---- what the environment has; raises ------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* env(name, default): an empty variable is one that is not set, as in ${NAME:-default} */
static int env(lua_State *L)
{
	const char *value = getenv(luaL_checkstring(L, 1));

	lua_settop(L, 2);
	if (value && *value)
		lua_pushstring(L, value);
	return 1;
}

/* list("a, b c") = { "a", "b", "c" }; list(nil) = nil */
static int list(lua_State *L)
{
	struct str text;
	lua_Integer items = 0;

	if (lua_isnoneornil(L, 1))
		return 0;
	text.p = luaL_checklstring(L, 1, &text.n);
	lua_newtable(L);
	while (text.n) {
		size_t n = 0;

		while (n < text.n && !is_blank(text.p[n]))
			n++;
		if (n) {
			lua_pushlstring(L, text.p, n);
			lua_rawseti(L, -2, ++items);
		}
		text = str_drop(text, n ? n : 1);
	}
	return 1;
}

static int missing(lua_State *L)
{
	return luaL_error(
		L, "`%s` is not defined: there are env(name, default) and list(text), nothing else",
		luaL_tolstring(L, 2, NULL));
}

static int global(lua_State *L)
{
	return luaL_error(
		L, "`%s` would be a global: write `local %s`, or put it into the returned table",
		luaL_tolstring(L, 2, NULL), luaL_tolstring(L, 2, NULL));
}

static void exhausted(lua_State *L, lua_Debug *ar)
{
	lua_getinfo(L, "l", ar);
	luaL_error(L, CHUNK_PREFIX "%d: runs for too long: more than %d steps", ar->currentline,
		   SETTINGS_LUA_STEPS);
}

/* ---- running; protected --------------------------------------------------------------------- */

static void push_environment(lua_State *L)
{
	static const luaL_Reg functions[] = { { "env", env }, { "list", list }, { NULL, NULL } };
	static const luaL_Reg guards[] = { { "__index", missing },
					   { "__newindex", global },
					   { NULL, NULL } };

	luaL_newlib(L, functions);
	luaL_newlib(L, guards);
	lua_setmetatable(L, -2);
}

static int run(lua_State *L)
{
	const struct settings_source *source = lua_touserdata(L, 1);

	if (luaL_loadbufferx(L, source->text.p, source->text.n, CHUNK, "t") != LUA_OK)
		return lua_error(L);
	push_environment(L);
	if (!lua_setupvalue(L, -2, 1))
		lua_pop(L, 1);
	lua_sethook(L, exhausted, LUA_MASKCOUNT, SETTINGS_LUA_STEPS);
	lua_call(L, 0, LUA_MULTRET);
	lua_sethook(L, NULL, 0, 0);
	if (lua_gettop(L) != 2 || !lua_istable(L, 2))
		return luaL_error(L, "must end with `return { ... }`");
	return 1;
}

static uint64_t line_take(struct str *message)
{
	struct str rest = str_drop(*message, sizeof CHUNK_PREFIX - 1), digits;
	uint64_t line;

	if (!str_has_prefix(*message, STR(CHUNK_PREFIX)) || !str_take(&rest, ':', &digits) ||
	    !str_u64(digits, UINT32_MAX, &line))
		return 0;
	*message = str_trim(rest);
	return line;
}

void settings_lua_complain(struct settings_lua *lua, struct settings_source *source)
{
	struct str message = { NULL, 0 };
	uint64_t line;

	message.p =
		lua_type(lua->L, -1) == LUA_TSTRING ? lua_tolstring(lua->L, -1, &message.n) : NULL;
	if (!message.p)
		message = STR("error without a message");
	line = line_take(&message);
	settings_source_problem_at(source, (struct settings_spot){ (unsigned)line, 0 }, "%.*s",
				   STR_ARG(message));
}

bool settings_lua_run(struct settings_lua *lua, struct settings_source *source)
{
	*lua = (struct settings_lua){ 0 };
	lua->L = lua_newstate(allocate, lua);
	if (!lua->L)
		abort();
	lua_pushcfunction(lua->L, run);
	lua_pushlightuserdata(lua->L, source);
	if (lua_pcall(lua->L, 1, 1, 0) == LUA_OK)
		return true;
	settings_lua_complain(lua, source);
	return false;
}

const char *settings_lua_version(void)
{
	return LUA_RELEASE;
}

void settings_lua_fini(struct settings_lua *lua)
{
	if (lua->L)
		lua_close(lua->L);
	*lua = (struct settings_lua){ 0 };
}
