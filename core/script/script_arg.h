/*
 * script_arg - arguments of the bindings: durations, tables of options, and the nearest known word
 * for a wrong one.
 *
 * Everything here raises, with the position of the caller in the policy, and holds nothing while it
 * does.
 */
#ifndef SCRIPT_ARG_H
#define SCRIPT_ARG_H

#include <lauxlib.h>

#include "str.h"

struct script_near {
	struct str word, best;
	unsigned distance;
};

void script_near_try(struct script_near *near, const char *candidate);
/* "; did you mean \"x\"?" or "": a string on L's stack; raises */
const char *script_near_text(lua_State *L, const struct script_near *near);

/* script_duration_parse - "5m", "1h30m", "500ms", "2s", "35d"; false: it is none */
bool script_duration_parse(struct str text, uint64_t *us);
/* A number of seconds, or text as above; `what` names it in the error. */
uint64_t script_duration(lua_State *L, int index, const char *what);

/*
 * script_options_check - the table at `index` (or nothing) has these keys at most; ends with NULL
 */
void script_options_check(lua_State *L, int index, const char *const *names, const char *what);
/* script_option_str - the text of that key, pushed; empty (and nil pushed) when it is not there */
struct str script_option_str(lua_State *L, int index, const char *name);

/* script_str - a string argument; borrowed from its stack slot */
struct str script_str(lua_State *L, int index);

#endif
