/*
 * The transaction as a script sees it: MAIL to the end of data at the edge, one message in deliver.
 */
#include "script_arg.h"
#include "script_edit.h"

#define MICRO 1e6

static void push_id(lua_State *L, void *target)
{
	char text[ID_TEXT + 1];

	lua_pushstring(L, id_text(&((struct policy_tx *)target)->id, text));
}

static void push_conn(lua_State *L, void *target)
{
	struct policy_conn *conn = ((struct policy_tx *)target)->conn;

	script_push(L, &script_conn, conn, conn ? &conn->handles : NULL);
}

static void push_helo(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_tx *)target)->helo);
}

static void push_peer_ip(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_tx *)target)->peer_ip);
}

static void push_listener(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_tx *)target)->listener);
}

static void push_sender(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_tx *)target)->sender.text);
}

static void push_sender_localpart(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_tx *)target)->sender.local);
}

static void push_sender_domain(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_tx *)target)->sender.domain);
}

static void push_sender_original(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_tx *)target)->sender_original);
}

static void push_size(lua_State *L, void *target)
{
	lua_pushinteger(L, (lua_Integer)((struct policy_tx *)target)->size);
}

static void push_is_8bit(lua_State *L, void *target)
{
	lua_pushboolean(L, ((struct policy_tx *)target)->is_8bit);
}

static void push_is_trusted(lua_State *L, void *target)
{
	const struct policy_tx *tx = target;

	lua_pushboolean(L, tx->is_trusted || (tx->conn && tx->conn->is_trusted));
}

static void push_trust_reason(lua_State *L, void *target)
{
	const struct policy_tx *tx = target;

	script_push_str_or_nil(L, tx->trust_reason.n || !tx->conn ? tx->trust_reason
								  : tx->conn->trust_reason);
}

static void push_created(lua_State *L, void *target)
{
	lua_pushnumber(L, (lua_Number)((struct policy_tx *)target)->created_us / MICRO);
}

static void push_vars(lua_State *L, void *target)
{
	struct policy_tx *tx = target;

	script_push(L, &script_vars, &tx->vars, &tx->handles);
}

static bool is_there(const struct policy_rcpt *r)
{
	return r->state == RCPT_ASKED || r->state == RCPT_ACCEPTED;
}

/* A list of its own: what a script does to it changes nothing. */
static void push_rcpts(lua_State *L, void *target)
{
	struct policy_tx *tx = target;
	lua_Integer n = 0;

	luaL_checkstack(L, 5, NULL);
	lua_createtable(L, (int)tx->nrcpts, 0);
	for (unsigned i = 0; i < tx->nrcpts; i++)
		if (is_there(tx->rcpts[i])) {
			script_push(L, &script_rcpt, tx->rcpts[i], &tx->rcpts[i]->handles);
			lua_rawseti(L, -2, ++n);
		}
}

/* ---- methods: all raise */

static int add_header(lua_State *L)
{
	return script_edit_header(L, script_self(L, 1, &script_tx), NULL, HEADER_ADD_END);
}

static int prepend_header(lua_State *L)
{
	return script_edit_header(L, script_self(L, 1, &script_tx), NULL, HEADER_ADD_TOP);
}

static int set_header(lua_State *L)
{
	return script_edit_header(L, script_self(L, 1, &script_tx), NULL, HEADER_REPLACE);
}

static int remove_header(lua_State *L)
{
	return script_edit_header(L, script_self(L, 1, &script_tx), NULL, HEADER_REMOVE);
}

static int set_sender(lua_State *L)
{
	struct policy_tx *tx = script_self(L, 1, &script_tx);
	struct str address = script_str(L, 2);
	struct fault why;

	script_edit_check(L, tx);
	return script_edit_done(L, policy_edit_sender(tx, address, &why), &why);
}

static int add_rcpt(lua_State *L)
{
	struct policy_tx *tx = script_self(L, 1, &script_tx);
	struct str address = script_str(L, 2);
	struct fault why;

	script_edit_check(L, tx);
	return script_edit_done(L, policy_edit_rcpt_add(tx, address, &why), &why);
}

static struct policy_rcpt *find_rcpt(struct policy_tx *tx, struct str address)
{
	for (unsigned i = 0; i < tx->nrcpts; i++)
		if (is_there(tx->rcpts[i]) && str_ieq(tx->rcpts[i]->address.text, address))
			return tx->rcpts[i];
	return NULL;
}

/* remove_rcpt - by address or by object; true: it was there */
static int remove_rcpt(lua_State *L)
{
	struct policy_tx *tx = script_self(L, 1, &script_tx);
	struct policy_rcpt *r;
	struct fault why;

	script_edit_check(L, tx);
	if (lua_isuserdata(L, 2))
		r = script_self(L, 2, &script_rcpt);
	else
		r = find_rcpt(tx, script_str(L, 2));
	luaL_argcheck(L, !r || r->tx == tx, 2, "a recipient of another transaction");
	if (r)
		(void)script_edit_done(L, policy_edit_rcpt_remove(r, &why), &why);
	lua_pushboolean(L, r != NULL);
	return 1;
}

static const char *const of_schedule[] = { "first", "longest", "expire", NULL };

static uint64_t duration_option(lua_State *L, const char *name)
{
	uint64_t us = 0;

	if (lua_getfield(L, 2, name) != LUA_TNIL)
		us = script_duration(L, -1, name);
	lua_pop(L, 1);
	return us;
}

static int schedule(lua_State *L)
{
	struct policy_tx *tx = script_self(L, 1, &script_tx);
	struct policy_schedule s;
	struct fault why;

	script_edit_check(L, tx);
	luaL_checktype(L, 2, LUA_TTABLE);
	script_options_check(L, 2, of_schedule, "schedule");
	s.first = duration_option(L, "first");
	s.longest = duration_option(L, "longest");
	s.expire = duration_option(L, "expire");
	return script_edit_done(L, policy_edit_schedule(tx, &s, &why), &why);
}

/* clang-format off */
static const struct script_field fields[] = {
	{ "id", push_id },                              { "conn", push_conn },
	{ "helo", push_helo },                          { "peer_ip", push_peer_ip },
	{ "listener", push_listener },                  { "sender", push_sender },
	{ "sender_localpart", push_sender_localpart },  { "sender_domain", push_sender_domain },
	{ "sender_original", push_sender_original },    { "size", push_size },
	{ "is_8bit", push_is_8bit },                    { "is_trusted", push_is_trusted },
	{ "trust_reason", push_trust_reason },          { "created", push_created },
	{ "rcpts", push_rcpts },                        { "vars", push_vars },
	{ NULL, NULL },
};

static const luaL_Reg methods[] = {
	{ "add_header", add_header },       { "prepend_header", prepend_header },
	{ "set_header", set_header },       { "remove_header", remove_header },
	{ "set_sender", set_sender },       { "add_rcpt", add_rcpt },
	{ "remove_rcpt", remove_rcpt },     { "schedule", schedule },
	{ NULL, NULL },
};
/* clang-format on */

const struct script_class script_tx = {
	.name = "tx",
	.over = "the transaction is over (end of data, RSET, or the connection closed)",
	.fields = fields,
	.methods = methods,
};
