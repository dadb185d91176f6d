/* conn.vars, tx.vars, rcpt.vars: read and written like tables, kept packed in C. */
#include "script_box.h"

#include <string.h>

#include "script_arg.h"

static void push_list(lua_State *L, struct str packed)
{
	lua_Integer n = 0;
	uint32_t length;

	lua_newtable(L);
	while (packed.n >= sizeof length) {
		memcpy(&length, packed.p, sizeof length);
		packed = str_drop(packed, sizeof length);
		script_push_str(L, str_head(packed, length));
		lua_rawseti(L, -2, ++n);
		packed = str_drop(packed, length);
	}
}

static void push_value(lua_State *L, const struct policy_var *value)
{
	switch (value->type) {
	case VAR_STRING:
		script_push_str(L, value->text);
		return;
	case VAR_INTEGER:
		lua_pushinteger(L, value->integer);
		return;
	case VAR_NUMBER:
		lua_pushnumber(L, value->number);
		return;
	case VAR_BOOLEAN:
		lua_pushboolean(L, value->integer != 0);
		return;
	case VAR_LIST:
		push_list(L, value->text);
		return;
	case VAR_NONE:
	case VAR_TYPES:
		break;
	}
	lua_pushnil(L);
}

/* raises */
static struct str name_of(lua_State *L)
{
	if (lua_type(L, 2) != LUA_TSTRING)
		luaL_error(L, "vars have names, got [%s]", luaL_typename(L, 2));
	return script_str(L, 2);
}

static int vars_index(lua_State *L)
{
	const struct policy_vars *vars = script_self(L, 1, &script_vars);
	struct policy_var value = policy_vars_get(vars, name_of(L));

	push_value(L, &value);
	return 1;
}

/* pack_list - into `to`, which has POLICY_VARS_BYTES; raises */
static struct str pack_list(lua_State *L, int index, char *to)
{
	lua_Integer items = (lua_Integer)lua_rawlen(L, index), keys = 0;
	size_t n = 0;

	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
		keys++;
	if (keys != items)
		luaL_error(L, "a table in vars is a list of strings, without other keys");
	for (lua_Integer i = 1; i <= items; i++) {
		struct str item;
		uint32_t length;

		if (lua_rawgeti(L, index, i) != LUA_TSTRING)
			luaL_error(L, "a table in vars is a list of strings; item %I is a %s",
				   (LUAI_UACINT)i, luaL_typename(L, -1));
		item = script_str(L, -1);
		if (item.n > POLICY_VARS_BYTES - sizeof length ||
		    n > POLICY_VARS_BYTES - sizeof length - item.n)
			luaL_error(L, "the list is too long: all vars together have %d bytes",
				   POLICY_VARS_BYTES);
		length = (uint32_t)item.n;
		memcpy(to + n, &length, sizeof length);
		memcpy(to + n + sizeof length, item.p, item.n);
		n += sizeof length + item.n;
		lua_pop(L, 1);
	}
	return (struct str){ to, n };
}

/* value_of - argument 3; `list` has room for a packed list; raises */
static struct policy_var value_of(lua_State *L, char *list)
{
	struct policy_var value = { .type = VAR_NONE };

	switch (lua_type(L, 3)) {
	case LUA_TNIL:
		return value;
	case LUA_TSTRING:
		return (struct policy_var){ .type = VAR_STRING, .text = script_str(L, 3) };
	case LUA_TBOOLEAN:
		return (struct policy_var){ .type = VAR_BOOLEAN, .integer = lua_toboolean(L, 3) };
	case LUA_TNUMBER:
		if (lua_isinteger(L, 3))
			return (struct policy_var){ .type = VAR_INTEGER,
						    .integer = lua_tointeger(L, 3) };
		return (struct policy_var){ .type = VAR_NUMBER, .number = lua_tonumber(L, 3) };
	case LUA_TTABLE:
		return (struct policy_var){ .type = VAR_LIST, .text = pack_list(L, 3, list) };
	}
	luaL_error(L, "vars keep strings, numbers, booleans and lists of strings, no %s",
		   luaL_typename(L, 3));
	return value;
}

static int vars_newindex(lua_State *L)
{
	struct policy_vars *vars = script_self(L, 1, &script_vars);
	struct str name = name_of(L);
	char list[POLICY_VARS_BYTES];
	struct policy_var value = value_of(L, list);

	if (!policy_vars_set(vars, name, &value))
		return luaL_error(L,
				  "vars.%s: at most %d names of at most %d printable bytes, and %d "
				  "bytes in all",
				  name.p, POLICY_VARS, POLICY_VARS_NAME, POLICY_VARS_BYTES);
	return 0;
}

static int next_of(lua_State *L)
{
	lua_settop(L, 2);
	if (lua_next(L, 1))
		return 2;
	lua_pushnil(L);
	return 1;
}

/* vars_pairs - over a copy, so that a loop may write */
static int vars_pairs(lua_State *L)
{
	const struct policy_vars *vars = script_self(L, 1, &script_vars);
	struct policy_var value;
	struct str name;
	size_t at = 0;

	lua_pushcfunction(L, next_of);
	lua_createtable(L, 0, (int)vars->count);
	while (policy_vars_next(vars, &at, &name, &value)) {
		script_push_str(L, name);
		push_value(L, &value);
		lua_rawset(L, -3);
	}
	lua_pushnil(L);
	return 3;
}

const struct script_class script_vars = {
	.name = "vars",
	.over = "these vars are over: what they belonged to has ended",
	.index = vars_index,
	.newindex = vars_newindex,
	.pairs = vars_pairs,
};
