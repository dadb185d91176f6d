/*
 * script_verdict - verdicts as values: made by gate.reject() and its kin, checked when they are
 * made, unchangeable after.
 *
 * Why         a returned value cannot be swallowed by a pcall, and a forgotten `return` can be seen
 *             by a linter.
 * Invariants  a verdict's code, status and text fit each other and the wire, whatever a policy put
 *             together from what a client said.
 */
#ifndef SCRIPT_VERDICT_H
#define SCRIPT_VERDICT_H

#include "script_box.h"

/* script_verdict_open - adds the constructors to the table on top of the stack; raises */
void script_verdict_open(lua_State *L);

enum script_answer { ANSWER_VERDICT, ANSWER_NONSENSE, ANSWER_NO_ROOM };

/*
 * What the value at `index` means: nil is PASS; strings are copied into the arena. Raises nothing.
 */
enum script_answer script_verdict_read(lua_State *L, int index, struct arena *arena,
				       struct verdict *out);

#endif
