/* What delivery hooks see besides tx and rcpt: an attempt, its result, a bounce. */
#include "script_arg.h"
#include "script_edit.h"

#define MICRO 1e6

/* ---- attempt */

static void push_destination(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_attempt *)target)->destination);
}

static void push_next_hop(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_attempt *)target)->next_hop);
}

static void push_peer(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_attempt *)target)->peer);
}

static void push_number(lua_State *L, void *target)
{
	lua_pushinteger(L, ((struct policy_attempt *)target)->number);
}

static const struct script_field attempt_fields[] = {
	{ "destination", push_destination },
	{ "next_hop", push_next_hop },
	{ "peer", push_peer },
	{ "number", push_number },
	{ NULL, NULL },
};

const struct script_class script_attempt = {
	.name = "attempt",
	.over = "the delivery attempt is over",
	.fields = attempt_fields,
};

/* ---- result */

static void push_rcpt(lua_State *L, void *target)
{
	struct policy_rcpt *r = ((struct policy_result *)target)->rcpt;

	script_push(L, &script_rcpt, r, r ? &r->handles : NULL);
}

static void push_outcome(lua_State *L, void *target)
{
	lua_pushstring(L, attempt_outcome_name[((struct policy_result *)target)->outcome]);
}

static void push_code(lua_State *L, void *target)
{
	const struct policy_result *result = target;

	if (result->code)
		lua_pushinteger(L, result->code);
	else
		lua_pushnil(L);
}

static void push_status(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_result *)target)->esc);
}

static void push_text(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_result *)target)->text);
}

static void push_age(lua_State *L, void *target)
{
	lua_pushnumber(L, (lua_Number)((struct policy_result *)target)->age_us / MICRO);
}

/* raises */
static int retry_in(lua_State *L)
{
	struct policy_result *result = script_self(L, 1, &script_result);
	uint64_t after = script_duration(L, 2, "retry_in");
	struct policy_tx *tx;
	struct fault why;

	tx = result->rcpt ? result->rcpt->tx : NULL;
	script_edit_check(L, tx);
	luaL_argcheck(L, tx, 1, "a result without a recipient");
	return script_edit_done(L, policy_edit_retry(tx, result, after, &why), &why);
}

static const struct script_field result_fields[] = {
	{ "rcpt", push_rcpt }, { "outcome", push_outcome },
	{ "code", push_code }, { "status", push_status },
	{ "text", push_text }, { "age", push_age },
	{ NULL, NULL },
};

static const luaL_Reg result_methods[] = { { "retry_in", retry_in }, { NULL, NULL } };

const struct script_class script_result = {
	.name = "result",
	.over = "the delivery attempt is over",
	.fields = result_fields,
	.methods = result_methods,
};

/* ---- bounce */

static void push_to(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_bounce *)target)->to);
}

static void push_failures(lua_State *L, void *target)
{
	struct policy_bounce *bounce = target;

	luaL_checkstack(L, 5, NULL);
	lua_createtable(L, (int)bounce->nfailures, 0);
	for (unsigned i = 0; i < bounce->nfailures; i++) {
		script_push(L, &script_result, bounce->failures[i], &bounce->failures[i]->handles);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static const struct script_field bounce_fields[] = {
	{ "to", push_to },
	{ "failures", push_failures },
	{ NULL, NULL },
};

const struct script_class script_bounce = {
	.name = "bounce",
	.over = "the bounce is over",
	.fields = bounce_fields,
};
