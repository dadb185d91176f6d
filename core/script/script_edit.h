/*
 * script_edit - what the editing methods of tx, rcpt and result share.
 *
 * Invariants  only the transaction of the handler that runs can be changed: an edit belongs to that
 *             handler, is applied when it returns normally and dropped when it does not.
 */
#ifndef SCRIPT_EDIT_H
#define SCRIPT_EDIT_H

#include "policy_edit.h"
#include "script_box.h"

/* script_edit_check - raises unless tx is the one that is asked about */
void script_edit_check(lua_State *L, const struct policy_tx *tx);
/* script_edit_done - raises when rc is -1; returns no results */
int script_edit_done(lua_State *L, int rc, const struct fault *why);

/*
 * name (argument 2), value (3) for those kinds, nth (3) for HEADER_REMOVE; r is NULL for every
 * copy; raises
 */
int script_edit_header(lua_State *L, struct policy_tx *tx, struct policy_rcpt *r,
		       enum header_edit_kind kind);

#endif
