#include "script_edit.h"

#include "script_arg.h"
#include "script_task.h"

void script_edit_check(lua_State *L, const struct policy_tx *tx)
{
	const struct script_task *t = script_vm_of(L)->running;

	if (!t || !t->q || t->q->tx != tx)
		luaL_error(L,
			   "only the transaction that this handler was called for can be changed");
}

int script_edit_done(lua_State *L, int rc, const struct fault *why)
{
	if (rc < 0)
		return luaL_error(L, "%s", why->text);
	return 0;
}

int script_edit_header(lua_State *L, struct policy_tx *tx, struct policy_rcpt *r,
		       enum header_edit_kind kind)
{
	struct header_edit edit = { .kind = kind, .name = script_str(L, 2) };
	struct fault why;

	script_edit_check(L, tx);
	if (kind == HEADER_REMOVE) {
		lua_Integer nth = luaL_optinteger(L, 3, 0);

		luaL_argcheck(L, nth >= 0 && nth <= HEADER_FIELDS, 3,
			      "which one, counted from 1 at the top");
		edit.nth = (unsigned)nth;
	} else {
		edit.value = script_str(L, 3);
	}
	return script_edit_done(L, policy_edit_header(tx, r, &edit, &why), &why);
}
