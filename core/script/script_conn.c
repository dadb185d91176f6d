/* The connection as a script sees it, and both its ends. */
#include "script_box.h"

#include "step.h"

#define MICRO 1e6

static void push_id(lua_State *L, void *target)
{
	char text[ID_TEXT + 1];

	lua_pushstring(L, id_text(&((struct policy_conn *)target)->id, text));
}

static void push_listener(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_conn *)target)->listener);
}

/* An end is found again by the address of its ip within the connection. */
static void push_peer(lua_State *L, void *target)
{
	struct policy_conn *conn = target;

	script_push(L, &script_peer, &conn->peer_ip, &conn->handles);
}

static void push_server(lua_State *L, void *target)
{
	struct policy_conn *conn = target;

	script_push(L, &script_server, &conn->local_ip, &conn->handles);
}

/* So is what was agreed, and what the client showed. */
static void push_tls(lua_State *L, void *target)
{
	struct policy_conn *conn = target;

	if (conn->tls.version.n)
		script_push(L, &script_tls, &conn->tls, &conn->handles);
	else
		lua_pushnil(L);
}

static void push_helo(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_conn *)target)->helo);
}

static void push_is_esmtp(lua_State *L, void *target)
{
	lua_pushboolean(L, ((struct policy_conn *)target)->is_esmtp);
}

static void push_is_local(lua_State *L, void *target)
{
	lua_pushboolean(L, ((struct policy_conn *)target)->is_local);
}

static void push_is_trusted(lua_State *L, void *target)
{
	lua_pushboolean(L, ((struct policy_conn *)target)->is_trusted);
}

static void push_trust_reason(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_conn *)target)->trust_reason);
}

static void push_messages(lua_State *L, void *target)
{
	lua_pushinteger(L, ((struct policy_conn *)target)->messages);
}

static void push_errors(lua_State *L, void *target)
{
	lua_pushinteger(L, ((struct policy_conn *)target)->errors);
}

static void push_started(lua_State *L, void *target)
{
	lua_pushnumber(L, (lua_Number)((struct policy_conn *)target)->started_us / MICRO);
}

static void push_vars(lua_State *L, void *target)
{
	struct policy_conn *conn = target;

	script_push(L, &script_vars, &conn->vars, &conn->handles);
}

static void push_tls_version(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_tls *)target)->version);
}

static void push_tls_cipher(lua_State *L, void *target)
{
	script_push_str(L, ((struct policy_tls *)target)->cipher);
}

static void push_tls_name(lua_State *L, void *target)
{
	script_push_str_or_nil(L, ((struct policy_tls *)target)->name);
}

static void push_tls_is_resumed(lua_State *L, void *target)
{
	lua_pushboolean(L, ((struct policy_tls *)target)->is_resumed);
}

static void push_tls_certificate(lua_State *L, void *target)
{
	struct policy_conn *conn = container_of(target, struct policy_conn, tls);

	if (conn->tls.fingerprint.n)
		script_push(L, &script_certificate, &conn->tls.fingerprint, &conn->handles);
	else
		lua_pushnil(L);
}

static const struct policy_tls *tls_of(void *fingerprint)
{
	return container_of(fingerprint, struct policy_tls, fingerprint);
}

static void push_certificate_subject(lua_State *L, void *target)
{
	script_push_str(L, tls_of(target)->subject);
}

static void push_certificate_is_verified(lua_State *L, void *target)
{
	lua_pushboolean(L, tls_of(target)->is_verified);
}

static void push_certificate_problem(lua_State *L, void *target)
{
	script_push_str_or_nil(L, tls_of(target)->problem);
}

/* The address of the object is that of its text. */
static void push_text(lua_State *L, void *target)
{
	script_push_str(L, *(struct str *)target);
}

static void push_peer_port(lua_State *L, void *target)
{
	lua_pushinteger(L, container_of(target, struct policy_conn, peer_ip)->peer_port);
}

static void push_server_port(lua_State *L, void *target)
{
	lua_pushinteger(L, container_of(target, struct policy_conn, local_ip)->local_port);
}

/* clang-format off */
static const struct script_field conn_fields[] = {
	{ "id", push_id },                      { "listener", push_listener },
	{ "peer", push_peer },                  { "server", push_server },
	{ "helo", push_helo },                  { "is_esmtp", push_is_esmtp },
	{ "is_local", push_is_local },          { "is_trusted", push_is_trusted },
	{ "trust_reason", push_trust_reason },  { "messages", push_messages },
	{ "errors", push_errors },              { "started", push_started },
	{ "vars", push_vars },                  { "tls", push_tls },
	{ NULL, NULL },
};

static const struct script_field tls_fields[] = {
	{ "version", push_tls_version },        { "cipher", push_tls_cipher },
	{ "name", push_tls_name },              { "is_resumed", push_tls_is_resumed },
	{ "certificate", push_tls_certificate },
	{ NULL, NULL },
};

static const struct script_field certificate_fields[] = {
	{ "subject", push_certificate_subject }, { "fingerprint", push_text },
	{ "is_verified", push_certificate_is_verified }, { "problem", push_certificate_problem },
	{ NULL, NULL },
};

static const struct script_field peer_fields[] = {
	{ "ip", push_text }, { "port", push_peer_port }, { NULL, NULL },
};

static const struct script_field server_fields[] = {
	{ "ip", push_text }, { "port", push_server_port }, { NULL, NULL },
};
/* clang-format on */

#define OVER "the connection is closed: what is needed later must be copied while it is open"

const struct script_class script_conn = { .name = "conn", .over = OVER, .fields = conn_fields };
const struct script_class script_peer = { .name = "peer", .over = OVER, .fields = peer_fields };
const struct script_class script_server = { .name = "server",
					    .over = OVER,
					    .fields = server_fields };
const struct script_class script_tls = { .name = "tls", .over = OVER, .fields = tls_fields };
const struct script_class script_certificate = { .name = "certificate",
						 .over = OVER,
						 .fields = certificate_fields };
