/*
 * The functions of `table` loop in C, where no budget reaches them. Here they get plain tables of a
 * bounded length only: #t of a table with the keys 1, 2, 4, 8 ... may be 2^62, and a __len may say
 * anything. All of it raises.
 */
#include "script_sandbox.h"

/* length - of the plain table at index 1 */
static lua_Integer length(lua_State *L, const char *what, lua_Integer most)
{
	lua_Unsigned n;

	luaL_checktype(L, 1, LUA_TTABLE);
	if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL)
		luaL_error(L, "table.%s takes plain tables, without __len", what);
	n = lua_rawlen(L, 1);
	if (n > (lua_Unsigned)most)
		luaL_error(L, "table.%s: a table of more than %I elements", what,
			   (LUAI_UACINT)most);
	return (lua_Integer)n;
}

static void range_check(lua_State *L, const char *what, lua_Integer first, lua_Integer last)
{
	if (first <= last && (lua_Unsigned)last - (lua_Unsigned)first >= SCRIPT_TABLE)
		luaL_error(L, "table.%s: more than %d elements", what, SCRIPT_TABLE);
}

/* original - Lua's own, upvalue 1 */
static int original(lua_State *L)
{
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int table_insert(lua_State *L)
{
	(void)length(L, "insert", SCRIPT_TABLE);
	return original(L);
}

static int table_remove(lua_State *L)
{
	(void)length(L, "remove", SCRIPT_TABLE);
	return original(L);
}

static int table_concat(lua_State *L)
{
	lua_Integer n = length(L, "concat", SCRIPT_TABLE);

	range_check(L, "concat", luaL_optinteger(L, 3, 1), luaL_optinteger(L, 4, n));
	return original(L);
}

static int table_unpack(lua_State *L)
{
	lua_Integer n = length(L, "unpack", SCRIPT_TABLE);

	range_check(L, "unpack", luaL_optinteger(L, 2, 1), luaL_optinteger(L, 3, n));
	return original(L);
}

static int table_move(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	range_check(L, "move", luaL_checkinteger(L, 2), luaL_checkinteger(L, 3));
	return original(L);
}

/* Comparing is work too: a hundred thousand times the same megabyte. */
static int table_sort(lua_State *L)
{
	lua_Integer n = length(L, "sort", SCRIPT_SORT);
	size_t bytes = 0;

	for (lua_Integer i = 1; i <= n && lua_isnoneornil(L, 2); i++) {
		if (lua_rawgeti(L, 1, i) == LUA_TSTRING)
			bytes += lua_rawlen(L, -1);
		lua_pop(L, 1);
		if (bytes > SCRIPT_SORT_BYTES)
			return luaL_error(L, "table.sort: more than %d bytes to compare",
					  SCRIPT_SORT_BYTES);
	}
	return original(L);
}

void script_table_open(lua_State *L)
{
	static const luaL_Reg bounded[] = {
		{ "insert", table_insert }, { "remove", table_remove }, { "concat", table_concat },
		{ "unpack", table_unpack }, { "move", table_move },     { "sort", table_sort },
	};

	for (size_t i = 0; i < COUNT(bounded); i++) {
		lua_getfield(L, -1, bounded[i].name);
		lua_pushcclosure(L, bounded[i].func, 1);
		lua_setfield(L, -2, bounded[i].name);
	}
}
