/*
 * settings_lua - runs moongate.lua in an environment with nothing in it.
 *
 * What        text chunks only; env(name, default) and list(text) are all there is; a budget of
 *             instructions and memory.
 * Why         settings may use variables and read the environment, and can do nothing else:
 *             evaluating them has no effect.
 * Invariants  a name that does not exist, and an assignment to a global, are errors with a line,
 *             not nil.
 * Fails       false: the problems say why.
 */
#ifndef SETTINGS_LUA_H
#define SETTINGS_LUA_H

#include "settings_source.h"

#define SETTINGS_LUA_MEMORY (16 * 1024 * 1024)
#define SETTINGS_LUA_STEPS  1000000

struct lua_State;

struct settings_lua {
	struct lua_State *L; /* the returned table is on its stack */
	size_t used;
};

bool settings_lua_run(struct settings_lua *lua, struct settings_source *source);
void settings_lua_fini(struct settings_lua *lua);
const char *settings_lua_version(void);
/* settings_lua_complain - adds a message of Lua's, "S:12: ...", as a problem with its line */
void settings_lua_complain(struct settings_lua *lua, struct settings_source *source);

#endif
