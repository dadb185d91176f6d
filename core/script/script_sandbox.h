/*
 * script_sandbox - what of Lua's libraries a policy gets, and in which state.
 *
 * What        the base functions, string, table, math, utf8, a little of os; those that loop in C
 *             are bounded, those that reach outside are gone; after loading, globals and libraries
 *             are read only.
 * Why         a guard against mistakes and against what clients can make a policy do; its author is
 *             trusted with the mail.
 * Invariants  no bytecode, no file, no environment, no __gc from Lua, no coroutine but ours. Every
 *             C function that a policy can call ends within some milliseconds.
 * Read next   script_string.c (patterns, rep), script_table.c (move, insert, sort ...),
 *             tests/unit/test_script_sandbox.c: the holes.
 */
#ifndef SCRIPT_SANDBOX_H
#define SCRIPT_SANDBOX_H

#include "script_vm.h"

#define SCRIPT_TABLE (1024 * 1024) /* elements that a table function will walk */
#define SCRIPT_SORT  (100 * 1000)
/* of all strings that are compared by table.sort itself */
#define SCRIPT_SORT_BYTES (16 * 1024 * 1024)
#define SCRIPT_REP (1024 * 1024)

/* All raise. */
void script_sandbox_open(lua_State *L); /* fills the globals */
/* script_sandbox_freeze - after loading: the globals, and everything that came with them */
void script_sandbox_freeze(lua_State *L);
void script_string_open(lua_State *L); /* replaces functions of the table on top of the stack */
void script_table_open(lua_State *L);
int script_module_require(lua_State *L);

#endif
