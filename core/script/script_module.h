/*
 * script_module - where require() and gate.use() find what they load.
 *
 * What        every source is compiled before anything runs, so that each file's syntax error is
 *             reported; a module runs once, when it is required first; after loading only what has
 *             run can be required.
 * Invariants  names and precedence: require "x" is the site's own x. gate.use "x" is the ready
 *             policy x, or the site's own; when both are there it is an error, and "policies.x" or
 *             "site.x" says which. No file is read here: sources are bytes.
 */
#ifndef SCRIPT_MODULE_H
#define SCRIPT_MODULE_H

#include "script_vm.h"

/* All raise. */
/* script_modules_open - the value of require "moongate" is at the top; popped */
void script_modules_open(lua_State *L);
void script_modules_compile(lua_State *L); /* every source; problems go to the errors */
void script_modules_close(lua_State *L);   /* what was compiled and did not run is let go */
bool script_module_run_main(lua_State *L); /* false: it did not compile */
/* script_module_use - name -> value of the policy, and the name without its prefix */
int script_module_use(lua_State *L);

#endif
