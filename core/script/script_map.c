/* gate.map(name): a compiled file that all processes share, looked up without a copy. */
#include "script_gate.h"

#include "script_arg.h"

struct map_box {
	struct script_object object;
	const struct state_map *map; /* NULL: unknown, and loading has failed for it */
};

/* raises */
static bool find(lua_State *L, struct str *value)
{
	const struct map_box *box = script_as(L, 1, &script_map_object);

	if (!box)
		return luaL_typeerror(L, 1, script_map_object.name);
	if (lua_type(L, 2) != LUA_TSTRING)
		return luaL_error(L, "a map is asked for a string, got %s", luaL_typename(L, 2));
	return box->map && state_map_find(box->map, script_str(L, 2), value);
}

static int get(lua_State *L)
{
	struct str value;

	if (!find(L, &value))
		lua_pushnil(L);
	else if (value.p)
		script_push_str(L, value);
	else
		lua_pushboolean(L, 1);
	return 1;
}

static int has(lua_State *L)
{
	lua_pushboolean(L, find(L, NULL));
	return 1;
}

static int to_text(lua_State *L)
{
	lua_pushliteral(L, "map");
	return 1;
}

int script_gate_map(lua_State *L)
{
	struct script_vm *vm = script_vm_of(L);
	struct str name = script_str(L, 1);
	struct script_near near = { .word = name };
	const struct state_map *map = NULL;
	struct map_box *box;

	for (unsigned i = 0; i < vm->nmaps && !map; i++) {
		if (str_eq(vm->maps[i].name, name))
			map = &vm->maps[i].map;
		else
			script_near_try(&near, vm->maps[i].name.p);
	}
	if (!map)
		script_gate_problem(L, lua_pushfstring(L, "no map \"%s\" in the settings%s", name.p,
						       script_near_text(L, &near)));
	box = lua_newuserdatauv(L, sizeof *box, 0);
	*box = (struct map_box){ .object.class = &script_map_object, .map = map };
	lua_rawgetp(L, LUA_REGISTRYINDEX, &script_map_object);
	lua_setmetatable(L, -2);
	return 1;
}

static const luaL_Reg methods[] = { { "get", get }, { "has", has }, { NULL, NULL } };

const struct script_class script_map_object = { .name = "map",
						.methods = methods,
						.tostring = to_text };
