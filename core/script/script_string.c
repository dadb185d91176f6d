/*
 * string.find, match, gmatch, gsub over script_pattern.c, and string.rep with a bound. All of it
 * raises.
 */
#include "script_arg.h"
#include "script_box.h"
#include "script_pattern.h"
#include "script_sandbox.h"
#include "script_task.h"

/*
 * start - argument `index` as a position: the first character is 1, negative ones count from the
 * end; as an offset
 */
static size_t start(lua_State *L, int index, size_t n)
{
	lua_Integer at = luaL_optinteger(L, index, 1);

	if (at > 0)
		return (size_t)at - 1;
	if (at == 0 || at < -(lua_Integer)n)
		return 0;
	return (size_t)((lua_Integer)n + at);
}

static void prepare(lua_State *L, struct script_pattern *m, struct str subject, struct str pattern)
{
	struct script_task *t = script_vm_of(L)->running;

	script_pattern_init(m, subject, pattern);
	if (t)
		m->stop = &t->budget.doom;
}

static void check(lua_State *L, const struct script_pattern *m)
{
	if (m->fault != PATTERN_FINE)
		luaL_error(L, "%s", script_pattern_text(m->fault));
}

/* push_capture - the i-th, from 0; without any the whole match is the first */
static void push_capture(lua_State *L, const struct script_pattern *m, unsigned i, struct str whole)
{
	if (i >= m->ncaptures) {
		if (i > 0)
			luaL_error(L, "invalid capture index %%%d", (int)i + 1);
		script_push_str(L, whole);
	} else if (m->captures[i].n == CAPTURE_POSITION) {
		lua_pushinteger(L, m->captures[i].p - m->subject.p + 1);
	} else {
		script_push_str(L, (struct str){ m->captures[i].p, (size_t)m->captures[i].n });
	}
}

static int push_captures(lua_State *L, const struct script_pattern *m, struct str whole)
{
	unsigned n = m->ncaptures == 0 && whole.p ? 1 : m->ncaptures;

	luaL_checkstack(L, (int)n, "too many captures");
	for (unsigned i = 0; i < n; i++)
		push_capture(L, m, i, whole);
	return (int)n;
}

static struct str between(const struct script_pattern *m, size_t from, size_t to)
{
	return (struct str){ m->subject.p + from, to - from };
}

static bool take_anchor(struct str *pattern)
{
	if (pattern->n == 0 || pattern->p[0] != '^')
		return false;
	*pattern = str_drop(*pattern, 1);
	return true;
}

static int find_plain(lua_State *L, struct script_pattern *m, size_t from)
{
	ptrdiff_t at = script_pattern_plain(m, from);

	check(L, m);
	if (at < 0) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, at + 1);
	lua_pushinteger(L, at + (lua_Integer)m->pattern.n);
	return 2;
}

static int search(lua_State *L, bool is_find)
{
	struct str subject = script_str(L, 1), pattern = script_str(L, 2);
	size_t from = start(L, 3, subject.n), end;
	struct script_pattern m;
	bool anchored;
	ptrdiff_t at = -1;

	if (from > subject.n) {
		lua_pushnil(L);
		return 1;
	}
	prepare(L, &m, subject, pattern);
	if (is_find && (lua_toboolean(L, 4) || script_pattern_is_plain(pattern)))
		return find_plain(L, &m, from);
	anchored = take_anchor(&m.pattern);
	at = script_pattern_find(&m, from, anchored, &end);
	check(L, &m);
	if (at < 0) {
		lua_pushnil(L);
		return 1;
	}
	if (!is_find)
		return push_captures(L, &m, between(&m, (size_t)at, end));
	lua_pushinteger(L, at + 1);
	lua_pushinteger(L, (lua_Integer)end);
	return push_captures(L, &m, STR_NONE) + 2;
}

static int string_find(lua_State *L)
{
	return search(L, true);
}

static int string_match(lua_State *L)
{
	return search(L, false);
}

/* upvalues: subject, pattern, where to go on, where the last match ended (-1: none yet) */
static int gmatch_next(lua_State *L)
{
	struct str subject = script_str(L, lua_upvalueindex(1)),
		   pattern = script_str(L, lua_upvalueindex(2));
	size_t at = (size_t)lua_tointeger(L, lua_upvalueindex(3));
	lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
	struct script_pattern m;

	prepare(L, &m, subject, pattern);
	for (; at <= subject.n; at++) {
		ptrdiff_t end = script_pattern_at(&m, at);

		check(L, &m);
		if (end < 0 || end == last)
			continue;
		lua_pushinteger(L, end);
		lua_pushvalue(L, -1);
		lua_replace(L, lua_upvalueindex(3));
		lua_replace(L, lua_upvalueindex(4));
		return push_captures(L, &m, between(&m, at, (size_t)end));
	}
	return 0;
}

static int string_gmatch(lua_State *L)
{
	struct str subject = script_str(L, 1);
	size_t from = start(L, 3, subject.n);

	(void)script_str(L, 2);
	lua_settop(L, 2);
	lua_pushinteger(L, (lua_Integer)(from > subject.n ? subject.n + 1 : from));
	lua_pushinteger(L, -1);
	lua_pushcclosure(L, gmatch_next, 4);
	return 1;
}

/* ---- gsub */

/* add_text - a replacement string, in which %1 is a capture, %0 the match, %% a percent sign */
static void add_text(lua_State *L, luaL_Buffer *b, const struct script_pattern *m, struct str whole)
{
	size_t n;
	const char *p = lua_tolstring(L, 3, &n), *end = p + n;

	while (p < end) {
		struct str rest = { p, (size_t)(end - p) };
		ptrdiff_t percent = str_find(rest, '%');
		char c;

		if (percent < 0) {
			luaL_addlstring(b, p, rest.n);
			return;
		}
		luaL_addlstring(b, p, (size_t)percent);
		p += percent + 1;
		c = p < end ? *p++ : '\0';
		if (c == '%') {
			luaL_addchar(b, '%');
		} else if (c == '0') {
			luaL_addlstring(b, whole.p, whole.n);
		} else if (c >= '1' && c <= '9') {
			push_capture(L, m, (unsigned)(c - '1'), whole);
			(void)luaL_tolstring(L, -1, NULL);
			lua_remove(L, -2);
			luaL_addvalue(b);
		} else {
			luaL_error(L, "invalid use of '%%' in replacement string");
		}
	}
}

/* add_value - what the third argument makes of this match */
static void add_value(lua_State *L, luaL_Buffer *b, const struct script_pattern *m,
		      struct str whole)
{
	int type = lua_type(L, 3);

	if (type == LUA_TSTRING || type == LUA_TNUMBER) {
		add_text(L, b, m, whole);
		return;
	}
	if (type == LUA_TFUNCTION) {
		lua_pushvalue(L, 3);
		lua_call(L, push_captures(L, m, whole), 1);
	} else {
		push_capture(L, m, 0, whole);
		lua_gettable(L, 3);
	}
	if (!lua_toboolean(L, -1)) {
		lua_pop(L, 1);
		luaL_addlstring(b, whole.p, whole.n);
	} else if (!lua_isstring(L, -1)) {
		luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
	} else {
		luaL_addvalue(b);
	}
}

static int string_gsub(lua_State *L)
{
	struct str subject = script_str(L, 1), pattern = script_str(L, 2);
	lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)subject.n + 1), n = 0;
	bool anchored = take_anchor(&pattern);
	ptrdiff_t last = -1;
	struct script_pattern m;
	size_t at = 0;
	int type = lua_type(L, 3);
	luaL_Buffer b;

	luaL_argexpected(L,
			 type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
				 type == LUA_TTABLE,
			 3, "string/function/table");
	if (type == LUA_TNUMBER)
		(void)lua_tostring(L, 3);
	prepare(L, &m, subject, pattern);
	luaL_buffinit(L, &b);
	while (n < most) {
		ptrdiff_t end = script_pattern_at(&m, at);

		check(L, &m);
		if (end >= 0 && end != last) {
			n++;
			add_value(L, &b, &m, between(&m, at, (size_t)end));
			at = (size_t)(last = end);
		} else if (at < subject.n) {
			luaL_addchar(&b, m.subject.p[at++]);
		} else {
			break;
		}
		if (anchored)
			break;
	}
	luaL_addlstring(&b, m.subject.p + at, subject.n - at);
	luaL_pushresult(&b);
	lua_pushinteger(L, n);
	return 2;
}

/* upvalue 1: Lua's own; string.rep("", 1e18) would walk through nothing for ever */
static int string_rep(lua_State *L)
{
	struct str s = script_str(L, 1), part = lua_isnoneornil(L, 3) ? STR_NONE : script_str(L, 3);
	lua_Integer n = luaL_checkinteger(L, 2);

	if (n <= 0 || s.n + part.n == 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	if ((size_t)n > SCRIPT_REP / (s.n + part.n))
		return luaL_error(L, "string.rep: the result would be longer than %d bytes",
				  SCRIPT_REP);
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static const luaL_Reg replaced[] = {
	{ "find", string_find },
	{ "match", string_match },
	{ "gmatch", string_gmatch },
	{ "gsub", string_gsub },
	{ NULL, NULL },
};

void script_string_open(lua_State *L)
{
	luaL_setfuncs(L, replaced, 0);
	lua_getfield(L, -1, "rep");
	lua_pushcclosure(L, string_rep, 1);
	lua_setfield(L, -2, "rep");
	lua_pushnil(L);
	lua_setfield(L, -2, "dump");
}
