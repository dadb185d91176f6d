/*
 * script_box - what a script holds in its hand: a userdata that points to an object of core, until
 * that ends.
 *
 * What        classes as tables of fields and methods; handles that are made once per object and
 *             found again; the errors for unknown fields (naming the nearest), for writing, and for
 *             objects that are over.
 * Why         a script may keep anything for ever; a handle whose object is gone must answer with a
 *             sentence, not a crash.
 * Invariants  every userdata of the state begins with struct script_object, so that its class can
 *             be read without a look-up. A handle is linked into its object's list of handles while
 *             target is not NULL.
 * Ownership   Lua owns handles; __gc unlinks. The object's owner cuts them with policy_handles_cut.
 */
#ifndef SCRIPT_BOX_H
#define SCRIPT_BOX_H

#include "policy_view.h"
#include "script_vm.h"

struct script_object {
	const struct script_class *class;
};

struct script_box {
	struct script_object object;
	struct policy_handle handle;
};

struct script_field {
	const char *name;
	void (*push)(lua_State *, void *target); /* raises; pushes one value */
};

/* clang-format off */
struct script_class {
	const char *name;
	const char *over;                               /* what a script reads about a handle that was cut */
	const struct script_field *fields;              /* ends with an empty one */
	const luaL_Reg *methods;                        /* so does this */
	lua_CFunction index, newindex, pairs, tostring; /* instead of the common ones; NULL: those */
};
/* clang-format on */

extern const struct script_class script_conn, script_peer, script_server, script_tls,
	script_certificate, script_tx, script_rcpt, script_msg, script_attempt, script_result,
	script_bounce, script_vars, script_map_object, script_verdict_object;
extern const struct script_class *const script_classes[]; /* all of them; ends with NULL */

void script_classes_open(lua_State *L); /* raises */

/* script_push - the handle of target, made or found; NULL pushes nil; raises */
void script_push(lua_State *L, const struct script_class *class, void *target,
		 struct list *handles);
/* script_self - the live target of the handle at `index`, or it raises */
void *script_self(lua_State *L, int index, const struct script_class *class);
/* script_as - the userdata at `index` if it is of that class, else NULL */
void *script_as(lua_State *L, int index, const struct script_class *class);

void script_push_str(lua_State *L, struct str s);        /* raises */
void script_push_str_or_nil(lua_State *L, struct str s); /* empty: nil; raises */

#endif
