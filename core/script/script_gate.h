/*
 * script_gate - the module that policies get from require "moongate".
 *
 * What        gate.on and what registers; the other functions of the module, one file each.
 * Invariants  a mistake that is found while loading is written down with its place, and loading
 *             goes on, so that the author sees all of them; the same mistake in a handler raises.
 * Read next   lua/api.lua describes every name; tests/unit/test_script_api.c holds it against the
 *             tables here.
 */
#ifndef SCRIPT_GATE_H
#define SCRIPT_GATE_H

#include "script_box.h"

/* All raise. */
void script_gate_open(lua_State *L); /* pushes the module */
int script_gate_on(lua_State *L);
int script_gate_map(lua_State *L);
int script_gate_log(lua_State *L);
int script_gate_print(lua_State *L);
int script_gate_sleep(lua_State *L);
int script_gate_now(lua_State *L);
int script_gate_seconds(lua_State *L);

/* While loading: a line of the errors, placed where the policy called; else raises. */
void script_gate_problem(lua_State *L, const char *message);

extern const char *const script_handler_options[]; /* of gate.on; ends with NULL */
extern const luaL_Reg script_gate_functions[];     /* without the verdicts and `use` */

#endif
