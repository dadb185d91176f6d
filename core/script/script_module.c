#include "script_module.h"

#include <string.h>

#include "script_arg.h"
#include "script_ready.h"
#include "script_sandbox.h"

/*
 * Keys of the registry, by address: name -> function, and name -> value (`running` while it runs).
 */
static const char chunks, values, running;

static void registry_table(lua_State *L, const void *key)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, key);
}

void script_modules_open(lua_State *L)
{
	lua_newtable(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &chunks);
	lua_newtable(L);
	lua_insert(L, -2);
	lua_setfield(L, -2, "moongate");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &values);
}

void script_modules_close(lua_State *L)
{
	lua_newtable(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &chunks);
}

/* ---- compiling */

static struct str without_mark(struct str text)
{
	return str_has_prefix(text, STR("\xef\xbb\xbf")) ? str_drop(text, 3) : text;
}

/* compile - into the table of chunks at the top */
static void compile(lua_State *L, struct str name, struct str path, struct str text)
{
	lua_pushlstring(L, name.p, name.n);
	lua_pushfstring(L, "@%s", lua_pushlstring(L, path.p, path.n));
	text = without_mark(text);
	if (luaL_loadbufferx(L, text.n ? text.p : "", text.n, lua_tostring(L, -1), "t") == LUA_OK) {
		lua_insert(L, -4); /* table? name path "@path" function -> function below */
		lua_pop(L, 2);
		lua_insert(L, -2);
		lua_rawset(L, -3);
		return;
	}
	if (lua_type(L, -1) == LUA_TSTRING)
		script_problem_lua(script_vm_of(L), str_of(lua_tostring(L, -1)),
				   lua_tostring(L, -3));
	lua_pop(L, 3);
	lua_pushboolean(L, 0); /* it is there, but does not compile */
	lua_rawset(L, -3);
}

void script_modules_compile(lua_State *L)
{
	const struct script_options *o = script_vm_of(L)->options;

	registry_table(L, &chunks);
	for (unsigned i = 0; i < o->nsources; i++)
		compile(L, o->sources[i].name, o->sources[i].path, o->sources[i].text);
	for (const struct script_ready *r = script_ready; r->name; r++)
		compile(L, str_of(r->name), str_of(r->path),
			(struct str){ (const char *)r->text, r->n });
	lua_pop(L, 1);
}

/* ---- running */

/*
 * module_push - the value of the module `name`, run if need be; false: there is none, nothing is
 * pushed
 */
static bool module_push(lua_State *L, const char *name)
{
	int type;

	registry_table(L, &values);
	type = lua_getfield(L, -1, name);
	if (type == LUA_TLIGHTUSERDATA)
		luaL_error(L, "module \"%s\" requires itself by way of others", name);
	if (type != LUA_TNIL) {
		lua_remove(L, -2);
		return true;
	}
	lua_pop(L, 1);
	registry_table(L, &chunks);
	type = lua_getfield(L, -1, name);
	lua_remove(L, -2);
	if (type == LUA_TNIL || !script_vm_of(L)->errors) {
		lua_pop(L, 2);
		return false;
	}
	if (type == LUA_TBOOLEAN)
		luaL_error(L, "module \"%s\" does not compile", name);
	lua_pushlightuserdata(L, (void *)(uintptr_t)&running);
	lua_setfield(L, -3, name);
	lua_pushstring(L, name);
	lua_call(L, 1, 1);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_pushboolean(L, 1);
	}
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, name);
	lua_remove(L, -2);
	return true;
}

/* raises, naming the nearest module */
static int not_found(lua_State *L, const char *what, const char *name)
{
	struct script_near near = { .word = str_of(name) };

	script_near_try(&near, "moongate");
	registry_table(L, &chunks);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		const char *known = lua_tostring(L, -2);

		script_near_try(&near, strncmp(known, "policies.", 9) == 0 ? known + 9 : known);
	}
	return luaL_error(L, "%s \"%s\" was not found%s", what, name, script_near_text(L, &near));
}

int script_module_require(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	if (!module_push(L, name)) {
		if (!script_vm_of(L)->errors)
			return luaL_error(L,
					  "require \"%s\": modules are loaded at the top level of "
					  "a file, not in a handler",
					  name);
		return not_found(L, "module", name);
	}
	return 1;
}

bool script_module_run_main(lua_State *L)
{
	registry_table(L, &chunks);
	if (lua_getfield(L, -1, "main") == LUA_TBOOLEAN) {
		lua_pop(L, 2);
		return false;
	}
	if (lua_isnil(L, -1))
		luaL_error(L, "there is no policy to load");
	lua_call(L, 0, 0);
	lua_pop(L, 1);
	return true;
}

static bool has_chunk(lua_State *L, const char *name)
{
	bool has;

	registry_table(L, &chunks);
	has = lua_getfield(L, -1, name) != LUA_TNIL;
	lua_pop(L, 2);
	return has;
}

int script_module_use(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1), *ready;

	if (strncmp(name, "policies.", 9) == 0) {
		ready = name;
		name += 9;
	} else if (strncmp(name, "site.", 5) == 0) {
		ready = name += 5;
	} else {
		ready = lua_pushfstring(L, "policies.%s", name);
		if (has_chunk(L, ready) && has_chunk(L, name))
			return luaL_error(L,
					  "there is a ready policy \"%s\" and a file of your own: "
					  "say \"policies.%s\" or \"site.%s\"",
					  name, name, name);
		if (!has_chunk(L, ready))
			ready = name;
	}
	if (!module_push(L, ready))
		return not_found(L, "policy", name);
	lua_pushstring(L, name);
	return 2;
}
