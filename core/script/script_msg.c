/*
 * The message as a script sees it: its original header, and what of the body is in memory. Never
 * the whole as one string.
 */
#include "script_arg.h"
#include "script_box.h"

#define SLICE_MOST (64 * 1024)
#define VALUE_MOST (16 * 1024) /* bytes of one header value that a script gets */

static void push_size(lua_State *L, void *target)
{
	lua_pushinteger(L, (lua_Integer)((struct policy_msg *)target)->size);
}

static void push_hops(lua_State *L, void *target)
{
	lua_pushinteger(L, ((struct policy_msg *)target)->hops);
}

static void push_is_complete(lua_State *L, void *target)
{
	lua_pushboolean(L, ((struct policy_msg *)target)->is_complete);
}

static void push_header_size(lua_State *L, void *target)
{
	lua_pushinteger(L, (lua_Integer)((struct policy_msg *)target)->header.n);
}

static void push_tx(lua_State *L, void *target)
{
	struct policy_tx *tx = ((struct policy_msg *)target)->tx;

	script_push(L, &script_tx, tx, tx ? &tx->handles : NULL);
}

/* push_unfolded - one line, without blanks at both ends (RFC 5322 2.2.3); raises */
static void push_unfolded(lua_State *L, struct str value)
{
	luaL_Buffer b;

	value = str_head(str_trim(value), VALUE_MOST);
	luaL_buffinit(L, &b);
	while (value.n > 0) {
		ptrdiff_t end = str_find_any(value, "\r\n");
		size_t n = end < 0 ? value.n : (size_t)end;

		luaL_addlstring(&b, value.p, n);
		value = str_drop(value, n + (end >= 0));
	}
	luaL_pushresult(&b);
}

/* ---- methods: all raise */

/* header - the nth value of that name, the first if not said otherwise, or nil */
static int header(lua_State *L)
{
	const struct policy_msg *msg = script_self(L, 1, &script_msg);
	lua_Integer nth = luaL_optinteger(L, 3, 1);
	struct header_field field;

	luaL_argcheck(L, nth >= 1 && nth <= HEADER_FIELDS, 3,
		      "which one, counted from 1 at the top");
	if (header_find(msg->header, script_str(L, 2), (unsigned)nth, &field))
		push_unfolded(L, field.value);
	else
		lua_pushnil(L);
	return 1;
}

/* headers - a list of all values of that name */
static int headers(lua_State *L)
{
	const struct policy_msg *msg = script_self(L, 1, &script_msg);
	struct str name = script_str(L, 2), rest = msg->header;
	struct header_field field;
	lua_Integer n = 0;

	lua_newtable(L);
	while (n < HEADER_FIELDS && header_take(&rest, &field))
		if (str_ieq(field.name, name)) {
			push_unfolded(L, field.value);
			lua_rawseti(L, -2, ++n);
		}
	return 1;
}

/* upvalues: the message, how far the loop has come */
static int next_field(lua_State *L)
{
	const struct policy_msg *msg = script_self(L, lua_upvalueindex(1), &script_msg);
	struct str rest = str_drop(msg->header, (size_t)lua_tointeger(L, lua_upvalueindex(2)));
	struct header_field field;

	if (!header_take(&rest, &field))
		return 0;
	lua_pushinteger(L, (lua_Integer)(msg->header.n - rest.n));
	lua_replace(L, lua_upvalueindex(2));
	script_push_str(L, field.name);
	push_unfolded(L, field.value);
	return 2;
}

static int each_field(lua_State *L)
{
	(void)script_self(L, 1, &script_msg);
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, next_field, 2);
	return 1;
}

/* slice - bytes of the body from `offset` on (the first is 0), as far as they are in memory */
static int slice(lua_State *L)
{
	const struct policy_msg *msg = script_self(L, 1, &script_msg);
	lua_Integer offset = luaL_checkinteger(L, 2), length = luaL_optinteger(L, 3, SLICE_MOST);

	luaL_argcheck(L, offset >= 0, 2, "an offset from 0 on");
	luaL_argcheck(L, length >= 0 && length <= SLICE_MOST, 3, "a length of at most 65536");
	script_push_str(L, str_head(str_drop(msg->body, (size_t)offset), (size_t)length));
	return 1;
}

/* clang-format off */
static const struct script_field fields[] = {
	{ "size", push_size },                  { "hops", push_hops },
	{ "is_complete", push_is_complete },    { "header_size", push_header_size },
	{ "tx", push_tx },
	{ NULL, NULL },
};

static const luaL_Reg methods[] = {
	{ "header", header }, { "headers", headers }, { "fields", each_field }, { "slice", slice },
	{ NULL, NULL },
};
/* clang-format on */

const struct script_class script_msg = {
	.name = "msg",
	.over = "the message is over (end of data, RSET, or the connection closed)",
	.fields = fields,
	.methods = methods,
};
