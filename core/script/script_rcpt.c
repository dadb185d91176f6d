/* A recipient as a script sees it. */
#include "script_arg.h"
#include "script_edit.h"

static void push_address(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_rcpt *)target)->address.text);
}

static void push_localpart(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_rcpt *)target)->address.local);
}

static void push_domain(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_rcpt *)target)->address.domain);
}

static void push_original(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_rcpt *)target)->original);
}

static void push_is_permitted(lua_State *L, void *target)
{
	lua_pushboolean(L, ((struct policy_rcpt *)target)->is_permitted);
}

static void push_next_hop(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_rcpt *)target)->route);
}

static void push_attempts(lua_State *L, void *target)
{
	lua_pushinteger(L, ((struct policy_rcpt *)target)->attempts);
}

static void push_tx(lua_State *L, void *target)
{
	struct policy_tx *tx = ((struct policy_rcpt *)target)->tx;

	script_push(L, &script_tx, tx, &tx->handles);
}

static void push_vars(lua_State *L, void *target)
{
	struct policy_rcpt *r = target;

	script_push(L, &script_vars, &r->vars, &r->handles);
}

/* ---- methods: all raise */

static struct policy_rcpt *self(lua_State *L)
{
	struct policy_rcpt *r = script_self(L, 1, &script_rcpt);

	script_edit_check(L, r->tx);
	return r;
}

static int edit_header(lua_State *L, enum header_edit_kind kind)
{
	struct policy_rcpt *r = self(L);

	return script_edit_header(L, r->tx, r, kind);
}

static int add_header(lua_State *L)
{
	return edit_header(L, HEADER_ADD_END);
}

static int prepend_header(lua_State *L)
{
	return edit_header(L, HEADER_ADD_TOP);
}

static int set_header(lua_State *L)
{
	return edit_header(L, HEADER_REPLACE);
}

static int remove_header(lua_State *L)
{
	return edit_header(L, HEADER_REMOVE);
}

static int permit(lua_State *L)
{
	struct policy_rcpt *r = self(L);
	struct fault why;

	return script_edit_done(L, policy_edit_rcpt_permit(r, &why), &why);
}

static int remove_self(lua_State *L)
{
	struct policy_rcpt *r = self(L);
	struct fault why;

	return script_edit_done(L, policy_edit_rcpt_remove(r, &why), &why);
}

static int set_address(lua_State *L)
{
	struct policy_rcpt *r = self(L);
	struct str address = script_str(L, 2);
	struct fault why;

	return script_edit_done(L, policy_edit_rcpt_set(r, address, &why), &why);
}

static int route(lua_State *L)
{
	struct policy_rcpt *r = self(L);
	struct str next_hop = script_str(L, 2);
	struct fault why;

	return script_edit_done(L, policy_edit_rcpt_route(r, next_hop, &why), &why);
}

/* clang-format off */
static const struct script_field fields[] = {
	{ "address", push_address },            { "localpart", push_localpart },
	{ "domain", push_domain },              { "original", push_original },
	{ "is_permitted", push_is_permitted },  { "next_hop", push_next_hop },
	{ "attempts", push_attempts },          { "tx", push_tx },
	{ "vars", push_vars },
	{ NULL, NULL },
};

static const luaL_Reg methods[] = {
	{ "permit", permit },               { "remove", remove_self },
	{ "set_address", set_address },     { "route", route },
	{ "add_header", add_header },       { "prepend_header", prepend_header },
	{ "set_header", set_header },       { "remove_header", remove_header },
	{ NULL, NULL },
};
/* clang-format on */

const struct script_class script_rcpt = {
	.name = "rcpt",
	.over = "the recipient's transaction is over (end of data, RSET, or the connection closed)",
	.fields = fields,
	.methods = methods,
};
