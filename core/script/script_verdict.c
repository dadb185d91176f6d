#include "script_verdict.h"

#include <string.h>

#include "script_arg.h"

#define REASON_MOST 200
#define BUCKET_MOST 32

struct script_verdict {
	struct script_object object;
	enum verdict_kind kind;
	uint16_t code;
	char esc[VERDICT_ESC];
	uint64_t ttl_us;
	uint16_t text, reason, bucket; /* their lengths; the bytes follow in this order */
	char bytes[];
};

struct parts {
	enum verdict_kind kind;
	lua_Integer code;
	struct str esc, text, reason, bucket;
	uint64_t ttl_us;
};

/* clang-format off */
static const struct defaults {
	int first, last, code;
	const char *esc, *text;
} defaults[VERDICTS] = {
	[VERDICT_DEFER] =  { 400, 499, 451, "4.7.1", "Try again later" },
	[VERDICT_REJECT] = { 500, 599, 550, "5.7.1", "Rejected by local policy" },
	[VERDICT_DROP] =   { 400, 599, 554, "5.7.1", "Rejected by local policy" },
};
/* clang-format on */

/* clean_copy - what a policy wrote or took from a client, made fit for one line of a reply */
static size_t clean_copy(char *to, struct str from, size_t most)
{
	size_t n = from.n < most ? from.n : most;

	for (size_t i = 0; i < n; i++)
		to[i] = from.p[i] >= ' ' && from.p[i] <= '~' ? from.p[i] : '?';
	return n;
}

/* pushes the verdict; raises */
static void verdict_push(lua_State *L, const struct parts *p)
{
	struct script_verdict *v;
	size_t most = sizeof *v + VERDICT_TEXT + REASON_MOST + BUCKET_MOST;
	size_t n = sizeof *v + p->text.n + p->reason.n + p->bucket.n;

	v = lua_newuserdatauv(L, n < most ? n : most, 0);
	memset(v, 0, sizeof *v);
	v->object.class = &script_verdict_object;
	v->kind = p->kind;
	v->code = (uint16_t)p->code;
	(void)str_copy(v->esc, sizeof v->esc, p->esc);
	v->ttl_us = p->ttl_us;
	v->text = (uint16_t)clean_copy(v->bytes, p->text, VERDICT_TEXT);
	v->reason = (uint16_t)clean_copy(v->bytes + v->text, p->reason, REASON_MOST);
	v->bucket = (uint16_t)clean_copy(v->bytes + v->text + v->reason, p->bucket, BUCKET_MOST);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &script_verdict_object);
	lua_setmetatable(L, -2);
}

/* status = class "." subject "." detail: RFC 3463 2 */
static bool is_status(struct str s)
{
	unsigned dots = 0, digits = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' && digits > 0) {
			dots++;
			digits = 0;
		} else if (s.p[i] >= '0' && s.p[i] <= '9' && digits < 3) {
			digits++;
		} else {
			return false;
		}
	}
	return dots == 2 && digits > 0 && s.n < VERDICT_ESC && s.p[1] == '.' &&
	       strchr("245", s.p[0]);
}

/* reply_push - [code] [status] [text], each with a default that fits the others; raises */
static int reply_push(lua_State *L, enum verdict_kind kind)
{
	const struct defaults *d = &defaults[kind];
	struct parts p = { .kind = kind, .code = d->code, .text = str_of(d->text) };
	int at = 1;

	if (lua_type(L, at) == LUA_TNUMBER) {
		p.code = luaL_checkinteger(L, at++);
		if (p.code < d->first || p.code > d->last)
			return luaL_error(L, "%s: code must be %d..%d, got %I", verdict_name[kind],
					  d->first, d->last, (LUAI_UACINT)p.code);
	}
	p.esc = p.code < 500 ? STR("4.7.1") : STR("5.7.1");
	if (lua_type(L, at) == LUA_TSTRING && is_status(script_str(L, at))) {
		p.esc = script_str(L, at++);
		if (p.esc.p[0] - '0' != (int)(p.code / 100))
			return luaL_error(L, "%s: status %s does not fit code %I",
					  verdict_name[kind], p.esc.p, (LUAI_UACINT)p.code);
	} else if (lua_isnil(L, at) && !lua_isnone(L, at)) {
		at++;
	}
	if (!lua_isnoneornil(L, at)) {
		if (lua_type(L, at) != LUA_TSTRING)
			return luaL_error(L,
					  "%s: expected (code, \"5.7.1\", \"text\"), each may be "
					  "left out; argument %d is a %s",
					  verdict_name[kind], at, luaL_typename(L, at));
		p.text = script_str(L, at++);
	}
	if (lua_gettop(L) >= at && !lua_isnoneornil(L, at))
		return luaL_error(L, "%s: argument %d is one too many; expected (code, \"5.7.1\", "
				     "\"text\")",
				  verdict_name[kind], at);
	verdict_push(L, &p);
	return 1;
}

static int make_defer(lua_State *L)
{
	return reply_push(L, VERDICT_DEFER);
}

static int make_reject(lua_State *L)
{
	return reply_push(L, VERDICT_REJECT);
}

static int make_drop(lua_State *L)
{
	return reply_push(L, VERDICT_DROP);
}

/* kept_push - the verdicts that take a table of options; raises */
static int kept_push(lua_State *L, enum verdict_kind kind, const char *const *names)
{
	struct parts p = { .kind = kind };

	lua_settop(L, 1);
	if (!lua_isnil(L, 1) && !lua_istable(L, 1))
		return luaL_error(L, "%s takes a table, like gate.%s{ reason = \"...\" }; got %s",
				  verdict_name[kind], verdict_name[kind], luaL_typename(L, 1));
	script_options_check(L, 1, names, verdict_name[kind]);
	p.reason = script_option_str(L, 1, "reason");
	if (kind == VERDICT_QUARANTINE) {
		p.bucket = script_option_str(L, 1, "bucket");
		if (!lua_isnil(L, 1) && lua_getfield(L, 1, "ttl") != LUA_TNIL)
			p.ttl_us = script_duration(L, -1, "ttl");
	}
	verdict_push(L, &p);
	return 1;
}

static const char *const reason_only[] = { "reason", NULL };
static const char *const of_quarantine[] = { "reason", "bucket", "ttl", NULL };

static int make_trust(lua_State *L)
{
	return kept_push(L, VERDICT_TRUST, reason_only);
}

static int make_hold(lua_State *L)
{
	return kept_push(L, VERDICT_HOLD, reason_only);
}

static int make_discard(lua_State *L)
{
	return kept_push(L, VERDICT_DISCARD, reason_only);
}

static int make_quarantine(lua_State *L)
{
	return kept_push(L, VERDICT_QUARANTINE, of_quarantine);
}

/* upvalue 1: the one verdict of its kind; raises */
static int give_same(lua_State *L)
{
	if (!lua_isnone(L, 1))
		return luaL_error(L, "this verdict takes no arguments");
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

static const luaL_Reg makers[] = {
	{ "defer", make_defer },     { "reject", make_reject },
	{ "drop", make_drop },       { "trust", make_trust },
	{ "hold", make_hold },       { "quarantine", make_quarantine },
	{ "discard", make_discard }, { NULL, NULL },
};

static const enum verdict_kind constants[] = { VERDICT_PASS, VERDICT_ACCEPT, VERDICT_ABORT };

void script_verdict_open(lua_State *L)
{
	luaL_setfuncs(L, makers, 0);
	for (size_t i = 0; i < COUNT(constants); i++) {
		verdict_push(L, &(struct parts){ .kind = constants[i] });
		lua_pushcclosure(L, give_same, 1);
		lua_setfield(L, -2, verdict_name[constants[i]]);
	}
}

/* ---- reading */

static bool copy(struct arena *arena, const char *p, size_t n, struct str *out)
{
	*out = n ? arena_str(arena, (struct str){ p, n }) : STR_NONE;
	return n == 0 || out->p;
}

enum script_answer script_verdict_read(lua_State *L, int index, struct arena *arena,
				       struct verdict *out)
{
	const struct script_verdict *v;

	*out = (struct verdict){ .kind = VERDICT_PASS };
	if (lua_isnoneornil(L, index))
		return ANSWER_VERDICT;
	v = script_as(L, index, &script_verdict_object);
	if (!v)
		return ANSWER_NONSENSE;
	out->kind = v->kind;
	out->code = v->code;
	out->ttl_us = v->ttl_us;
	memcpy(out->esc, v->esc, sizeof out->esc);
	if (!copy(arena, v->bytes, v->text, &out->text) ||
	    !copy(arena, v->bytes + v->text, v->reason, &out->reason) ||
	    !copy(arena, v->bytes + v->text + v->reason, v->bucket, &out->bucket))
		return ANSWER_NO_ROOM;
	return ANSWER_VERDICT;
}

/* ---- as an object: its fields can be read, in tests above all */

static int verdict_index(lua_State *L)
{
	const struct script_verdict *v = lua_touserdata(L, 1);
	struct str name = script_str(L, 2);

	if (str_eq(name, STR("kind")))
		lua_pushstring(L, verdict_name[v->kind]);
	else if (str_eq(name, STR("code")) && v->code)
		lua_pushinteger(L, v->code);
	else if (str_eq(name, STR("status")) && v->code)
		lua_pushstring(L, v->esc);
	else if (str_eq(name, STR("text")))
		script_push_str_or_nil(L, (struct str){ v->bytes, v->text });
	else if (str_eq(name, STR("reason")))
		script_push_str_or_nil(L, (struct str){ v->bytes + v->text, v->reason });
	else if (str_eq(name, STR("bucket")))
		script_push_str_or_nil(L,
				       (struct str){ v->bytes + v->text + v->reason, v->bucket });
	else
		lua_pushnil(L);
	return 1;
}

static int verdict_tostring(lua_State *L)
{
	const struct script_verdict *v = lua_touserdata(L, 1);

	if (v->code)
		lua_pushfstring(L, "%s %d %s", verdict_name[v->kind], (int)v->code, v->esc);
	else
		lua_pushstring(L, verdict_name[v->kind]);
	return 1;
}

const struct script_class script_verdict_object = {
	.name = "verdict",
	.index = verdict_index,
	.tostring = verdict_tostring,
};
