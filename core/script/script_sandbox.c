#include "script_sandbox.h"

#include <lualib.h>
#include <string.h>

#include "clock.h"
#include "script_arg.h"
#include "script_gate.h"

/* ---- base functions that differ from Lua's; all raise */

/* Lua runs a __gc with hooks off: nothing could stop it. */
static int base_setmetatable(lua_State *L)
{
	if (lua_istable(L, 2)) {
		lua_pushliteral(L, "__gc");
		if (lua_rawget(L, 2) != LUA_TNIL)
			return luaL_error(L, "__gc is not for policies; use a local with <close>");
		lua_pop(L, 1);
	}
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int base_rawset(lua_State *L)
{
	if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
		return luaL_error(L, "this table is read only");
	lua_settop(L, 3);
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int xpcall_handled(lua_State *L, int status, lua_KContext context)
{
	(void)status, (void)context;
	lua_pushboolean(L, 0);
	lua_insert(L, 1);
	return 2;
}

static int xpcall_done(lua_State *L, int status, lua_KContext context)
{
	if (status == LUA_OK || status == LUA_YIELD) {
		lua_pushboolean(L, 1);
		lua_replace(L, 1);
		return lua_gettop(L);
	}
	lua_callk(L, 1, 1, context, xpcall_handled);
	return xpcall_handled(L, LUA_OK, context);
}

/*
 * Lua calls the handler while hooks are off, if a hook raised; here it is called when everything is
 * unwound.
 */
static int base_xpcall(lua_State *L)
{
	int n = lua_gettop(L);

	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_pushvalue(L, 2);
	lua_remove(L, 2);
	lua_insert(L, 1);
	return xpcall_done(L, lua_pcallk(L, n - 2, LUA_MULTRET, 0, 0, xpcall_done), 0);
}

static int base_collectgarbage(lua_State *L)
{
	if (!str_eq(str_of(luaL_optstring(L, 1, "")), STR("count")))
		return luaL_error(L, "collectgarbage(\"count\") is all there is: the gateway "
				     "collects by itself");
	lua_pushnumber(L, (lua_Number)script_vm_of(L)->used / 1024);
	return 1;
}

/* ---- os: time without the machine's zone, which lies in a file */

static lua_Integer date_field(lua_State *L, const char *name, lua_Integer otherwise,
			      lua_Integer least, lua_Integer most)
{
	int is_integer = 1;
	lua_Integer value = otherwise;

	if (lua_getfield(L, 1, name) != LUA_TNIL)
		value = lua_tointegerx(L, -1, &is_integer);
	if (!is_integer || value < least || value > most)
		luaL_error(L, "os.time: field \"%s\" is missing or out of bounds", name);
	lua_pop(L, 1);
	return value;
}

static int os_time(lua_State *L)
{
	struct clock_date d;

	if (lua_isnoneornil(L, 1)) {
		lua_pushinteger(L, (lua_Integer)(clock_wall() / CLOCK_SECOND));
		return 1;
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	d = (struct clock_date){
		.year = (int)date_field(L, "year", -1, 1, 9999),
		.month = (unsigned)date_field(L, "month", -1, 1, 12),
		.day = (unsigned)date_field(L, "day", -1, 1, 31),
		.hour = (unsigned)date_field(L, "hour", 12, 0, 23),
		.minute = (unsigned)date_field(L, "min", 0, 0, 59),
		.second = (unsigned)date_field(L, "sec", 0, 0, 60),
	};
	lua_pushinteger(L, clock_seconds(&d));
	return 1;
}

/* upvalue 1: Lua's own, which formats UTC when the format begins with '!' */
static int os_date(lua_State *L)
{
	const char *format = luaL_optstring(L, 1, "%c");
	lua_Integer when = luaL_optinteger(L, 2, (lua_Integer)(clock_wall() / CLOCK_SECOND));

	luaL_argcheck(L, when >= 0 && when < INT64_C(253402300800), 2,
		      "a time between the years 1970 and 9999");
	lua_settop(L, 0);
	lua_pushfstring(L, "!%s", format[0] == '!' ? format + 1 : format);
	lua_pushinteger(L, when);
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void os_open(lua_State *L)
{
	luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
	lua_createtable(L, 0, 3);
	lua_pushcfunction(L, os_time);
	lua_setfield(L, -2, "time");
	lua_getfield(L, -2, "date");
	lua_pushcclosure(L, os_date, 1);
	lua_setfield(L, -2, "date");
	lua_getfield(L, -2, "difftime");
	lua_setfield(L, -2, "difftime");
	lua_setglobal(L, LUA_OSLIBNAME);
	lua_pop(L, 1);
}

/* ---- the globals */

static const char *const gone[] = { "dofile", "load", "loadfile", "warn", "_VERSION", NULL };

static const luaL_Reg replaced[] = {
	{ "xpcall", base_xpcall },
	{ "collectgarbage", base_collectgarbage },
	{ "print", script_gate_print },
	{ "require", script_module_require },
	{ NULL, NULL },
};

static const char *const libraries[] = { "string", "table", "math", "utf8", "os", "debug", NULL };

static void wrap(lua_State *L, const char *name, lua_CFunction f)
{
	lua_getfield(L, -1, name);
	lua_pushcclosure(L, f, 1);
	lua_setfield(L, -2, name);
}

/*
 * undefined - the __index of the globals, and after freezing of the hidden table behind them:
 * argument 1 is that table
 */
static int undefined(lua_State *L)
{
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
	struct script_near near = { .word = str_of(name) };

	for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
		if (lua_type(L, -2) == LUA_TSTRING)
			script_near_try(&near, lua_tostring(L, -2));
	return luaL_error(L, "there is no global \"%s\"%s", name, script_near_text(L, &near));
}

static void base_open(lua_State *L)
{
	luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
	for (const char *const *name = gone; *name; name++) {
		lua_pushnil(L);
		lua_setfield(L, -2, *name);
	}
	luaL_setfuncs(L, replaced, 0);
	wrap(L, "setmetatable", base_setmetatable);
	wrap(L, "rawset", base_rawset);
	lua_newtable(L);
	lua_pushcfunction(L, undefined);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

static void debug_open(lua_State *L)
{
	luaL_requiref(L, LUA_DBLIBNAME, luaopen_debug, 0);
	lua_createtable(L, 0, 1);
	lua_getfield(L, -2, "traceback");
	lua_setfield(L, -2, "traceback");
	lua_setglobal(L, LUA_DBLIBNAME);
	lua_pop(L, 1);
}

void script_sandbox_open(lua_State *L)
{
	base_open(L);
	luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
	script_string_open(L);
	lua_pop(L, 1);
	luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
	script_table_open(L);
	lua_pop(L, 1);
	luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
	luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 1);
	lua_pop(L, 2);
	os_open(L);
	debug_open(L);
	lua_pushnil(L); /* what luaL_requiref remembered is of no use, and leads to the originals */
	lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	/* getmetatable("") would lead to `string` as it is behind the frozen one */
	lua_pushliteral(L, "");
	if (lua_getmetatable(L, -1)) {
		lua_pushboolean(L, 0);
		lua_setfield(L, -2, "__metatable");
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* ---- freezing: a table moves behind an empty one of which only reading leads to it */

/* upvalue 1: what the table is */
static int refuse_write(lua_State *L)
{
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);

	return luaL_error(L,
			  "cannot set \"%s\": %s read only after loading; keep state in a local of "
			  "the file, or in tx.vars",
			  name, lua_tostring(L, lua_upvalueindex(1)));
}

/* freeze - the table at the top of the stack; leaves the hidden one in its place */
static void freeze(lua_State *L, const char *what)
{
	int table = lua_gettop(L);

	lua_newtable(L);
	for (lua_pushnil(L); lua_next(L, table);) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, table + 1);
	}
	for (lua_pushnil(L); lua_next(L, table + 1);) {
		lua_pop(L, 1);
		lua_pushvalue(L, -1);
		lua_pushnil(L);
		lua_rawset(L, table);
	}
	if (lua_getmetatable(L, table))
		lua_setmetatable(L, table + 1);
	lua_createtable(L, 0, 3);
	lua_pushvalue(L, table + 1);
	lua_setfield(L, -2, "__index");
	lua_pushstring(L, what);
	lua_pushcclosure(L, refuse_write, 1);
	lua_setfield(L, -2, "__newindex");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, table);
	lua_remove(L, table);
}

static void freeze_string_methods(lua_State *L)
{
	lua_pushliteral(L, "");
	if (lua_getmetatable(L, -1)) {
		lua_pushvalue(L, -3);
		lua_setfield(L, -2, "__index");
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* argument 1: the module; its names, the libraries and the globals become read only */
void script_sandbox_freeze(lua_State *L)
{
	lua_pushvalue(L, 1);
	freeze(L, "the module moongate is");
	lua_pop(L, 1);
	for (const char *const *name = libraries; *name; name++) {
		lua_getglobal(L, *name);
		freeze(L, "libraries are");
		if (strcmp(*name, "string") == 0)
			freeze_string_methods(L);
		lua_pop(L, 1);
	}
	lua_pushglobaltable(L);
	freeze(L, "globals are");
	lua_pop(L, 1);
}
