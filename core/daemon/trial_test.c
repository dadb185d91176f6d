#include "trial_test.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "header.h"
#include "settings_lua.h"
#include "settings_source.h"

#define MEMORY ((size_t)256 * 1024 * 1024)
#define NEAR   4 /* edits: farther apart, two words have nothing to do with each other */

struct test {
	struct trial *trial;
	struct settings_source source;
	struct arena arena; /* of one case */
	struct settings_place place;
	struct str name;
	struct trial_case c;
	struct trial_outcome o;
	bool has_failed;
	struct trial_count count;
	struct buf *told;
	lua_State *L;
};

static void complain(struct test *t, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void complain(struct test *t, const char *key, const char *format, ...)
{
	struct settings_place place = settings_place_in(t->place, str_of(key));
	char text[600];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	t->has_failed = true;
	settings_source_problem(&t->source, key ? &place : &t->place, "\"%.*s\": %s",
				STR_ARG(t->name), text);
}

static struct str text_at(struct test *t, int index)
{
	struct str s = STR_NONE;

	if (lua_type(t->L, index) == LUA_TSTRING)
		s.p = lua_tolstring(t->L, index, &s.n);
	return s;
}

/* ---- what is expected ------------------------------------------------------------------------ */

static void expect_text(struct test *t, const char *key, struct str found)
{
	struct str wanted = text_at(t, -1);

	if (!str_eq(wanted, found))
		complain(t, key, "expected \"%.*s\", found \"%.*s\"", STR_ARG(wanted),
			 STR_ARG(found));
}

static void expect_prefix(struct test *t, const char *key, struct str found)
{
	struct str wanted = text_at(t, -1);

	if (!wanted.n || !str_has_prefix(found, wanted))
		complain(t, key, "expected a reply that begins with \"%.*s\", heard \"%.*s\"",
			 STR_ARG(wanted), STR_ARG(found));
}

static void expect_reply(struct test *t)
{
	const struct trial_reply *r = trial_answer(&t->o);

	expect_prefix(t, "reply", r ? r->text : STR("nothing"));
}

static void expect_stage(struct test *t)
{
	const struct trial_reply *r = trial_answer(&t->o);

	expect_text(t, "stage", str_of(r ? trial_stage_name[r->stage] : "none"));
}

static void expect_rule(struct test *t)
{
	const struct trial_decision *d = trial_decider(&t->o, trial_answer(&t->o));

	expect_text(t, "rule",
		    d                  ? d->verdict.rule
		    : t->o.ncopies > 0 ? t->o.copies[0].envelope.rule
				       : STR("nobody"));
}

static void expect_state(struct test *t)
{
	static const char *const names[] = { "queue", "hold", "quarantine" };

	if (t->o.ncopies == 0)
		expect_text(t, "state", STR("nothing"));
	for (unsigned i = 0; i < t->o.ncopies; i++)
		expect_text(t, "state", str_of(names[t->o.copies[i].state]));
}

static void expect_sender(struct test *t)
{
	expect_text(t, "sender", t->o.ncopies > 0 ? t->o.copies[0].envelope.sender : STR("nobody"));
}

static bool is_rcpt(const struct trial_outcome *o, struct str address)
{
	for (unsigned i = 0; i < o->ncopies; i++)
		for (unsigned k = 0; k < o->copies[i].envelope.nrcpts; k++)
			if (str_eq(o->copies[i].envelope.rcpts[k].address, address))
				return true;
	return false;
}

/* expect_rcpts - who would get it: exactly these, in any order */
static void expect_rcpts(struct test *t)
{
	unsigned wanted = 0, found = 0;

	for (unsigned i = 0; i < t->o.ncopies; i++)
		found += t->o.copies[i].envelope.nrcpts;
	for (lua_Integer i = 1; lua_rawgeti(t->L, -1, i) != LUA_TNIL; i++) {
		struct str address = text_at(t, -1);

		wanted++;
		if (!is_rcpt(&t->o, address))
			complain(t, "rcpts", "\"%.*s\" would not get it", STR_ARG(address));
		lua_pop(t->L, 1);
	}
	lua_pop(t->L, 1);
	if (wanted < found)
		complain(t, "rcpts", "%u would get it, not %u", found, wanted);
}

/* expect_replies - by recipient, as the client named it */
static void expect_replies(struct test *t)
{
	lua_pushnil(t->L);
	while (lua_next(t->L, -2)) {
		struct str address = text_at(t, -2), heard = STR("nothing");

		for (unsigned i = 0; i < t->o.nreplies; i++)
			if (t->o.replies[i].stage == TRIAL_RCPT &&
			    str_eq(t->c.rcpts[t->o.replies[i].rcpt], address))
				heard = t->o.replies[i].text;
		expect_prefix(t, "replies", heard);
		lua_pop(t->L, 1);
	}
}

/* expect_field - a text: the first field of that name has it; true: there is one; false: none */
static void expect_field(struct test *t, struct str name)
{
	struct str block = t->o.ncopies > 0 ? t->o.copies[0].header : STR_NONE, value;
	struct header_field field;
	bool is_there = header_find(block, name, 1, &field);

	if (lua_isboolean(t->L, -1)) {
		if (is_there != lua_toboolean(t->L, -1))
			complain(t, "header", "%.*s is %s", STR_ARG(name),
				 is_there ? "there" : "not there");
		return;
	}
	value = is_there ? header_unfold(&t->arena, field.value) : STR("");
	if (!str_eq(value, text_at(t, -1)))
		complain(t, "header", "%.*s: expected \"%.*s\", found \"%.*s\"", STR_ARG(name),
			 STR_ARG(text_at(t, -1)), STR_ARG(value));
}

static void expect_header(struct test *t)
{
	lua_pushnil(t->L);
	while (lua_next(t->L, -2)) {
		expect_field(t, text_at(t, -2));
		lua_pop(t->L, 1);
	}
}

static const struct key {
	const char *name;
	int type;
	void (*look)(struct test *t);
} expectations[] = {
	{ "reply", LUA_TSTRING, expect_reply },    { "stage", LUA_TSTRING, expect_stage },
	{ "rule", LUA_TSTRING, expect_rule },      { "state", LUA_TSTRING, expect_state },
	{ "sender", LUA_TSTRING, expect_sender },  { "rcpts", LUA_TTABLE, expect_rcpts },
	{ "replies", LUA_TTABLE, expect_replies }, { "header", LUA_TTABLE, expect_header },
};

/* ---- a case ---------------------------------------------------------------------------------- */

static void take_ip(struct test *t)
{
	t->c.ip = text_at(t, -1);
}

static void take_helo(struct test *t)
{
	t->c.helo = text_at(t, -1);
}

static void take_listener(struct test *t)
{
	t->c.listener = text_at(t, -1);
}

static void take_from(struct test *t)
{
	t->c.sender = text_at(t, -1);
}

static void take_message(struct test *t)
{
	t->c.message = text_at(t, -1);
}

static void take_to(struct test *t)
{
	if (lua_type(t->L, -1) == LUA_TSTRING) {
		t->c.rcpts[t->c.nrcpts++] = text_at(t, -1);
		return;
	}
	if (!lua_istable(t->L, -1)) {
		complain(t, "to", "an address, or a list of them");
		return;
	}
	if (lua_rawlen(t->L, -1) > TRIAL_RCPTS)
		complain(t, "to", "at most %u recipients", TRIAL_RCPTS);
	for (lua_Integer i = 1; t->c.nrcpts < TRIAL_RCPTS; i++) {
		bool is_last = lua_rawgeti(t->L, -1, i) == LUA_TNIL;

		if (!is_last)
			t->c.rcpts[t->c.nrcpts++] = text_at(t, -1);
		lua_pop(t->L, 1); /* its text lives in the table */
		if (is_last)
			break;
	}
}

static void take_expect(struct test *t);

/* In this order: what is expected is looked at when all the rest is known. */
static const struct key keys[] = {
	{ "name", LUA_TSTRING, NULL },
	{ "ip", LUA_TSTRING, take_ip },
	{ "helo", LUA_TSTRING, take_helo },
	{ "listener", LUA_TSTRING, take_listener },
	{ "from", LUA_TSTRING, take_from },
	{ "to", LUA_TNONE, take_to },
	{ "message", LUA_TSTRING, take_message },
	{ "expect", LUA_TNONE, take_expect },
};

/* nearest - a constant, or NULL */
static const char *nearest(const struct key *table, size_t n, struct str word)
{
	struct str_near near = { word, NEAR, STR_NONE };

	for (size_t i = 0; i < n; i++)
		str_near_try(&near, str_of(table[i].name));
	return near.found.p;
}

/* no_strangers - every key of the table at the top is in ours */
static void no_strangers(struct test *t, const struct key *table, size_t n)
{
	lua_pushnil(t->L);
	while (lua_next(t->L, -2)) {
		struct str key = text_at(t, -2);
		const char *near = key.p ? nearest(table, n, key) : NULL;

		lua_pop(t->L, 1);
		if (near && str_eq(key, str_of(near)))
			continue;
		complain(t, key.p,
			 near ? "there is no `%s`; did you mean `%s`?" : "there is no `%s`",
			 key.p ? key.p : "[number]", near);
	}
}

static void take_keys(struct test *t, const struct key *table, size_t n)
{
	no_strangers(t, table, n);
	for (size_t i = 0; i < n; i++) {
		int type = lua_getfield(t->L, -1, table[i].name);

		if (type != LUA_TNIL && table[i].type != LUA_TNONE && type != table[i].type)
			complain(t, table[i].name, "%s: a %s is expected, found a %s",
				 table[i].name, lua_typename(t->L, table[i].type),
				 lua_typename(t->L, type));
		else if (type != LUA_TNIL && table[i].look)
			table[i].look(t);
		lua_pop(t->L, 1);
	}
}

static void take_expectations(struct test *t)
{
	struct settings_place outer = t->place;

	t->place = settings_place_in(outer, STR("expect"));
	take_keys(t, expectations, COUNT(expectations));
	t->place = outer;
}

static void take_expect(struct test *t)
{
	if (t->has_failed)
		return;
	trial_run(t->trial, &t->c, &t->arena, &t->o);
	if (t->o.is_late)
		complain(t, "expect", "the session did not end");
	if (lua_type(t->L, -1) == LUA_TSTRING)
		expect_reply(t);
	else if (!lua_istable(t->L, -1))
		complain(t, "expect", "a table, or the beginning of the reply");
	else
		take_expectations(t);
}

static void take_case(struct test *t, unsigned i)
{
	t->place = settings_place_at((struct settings_place){ .n = 0 }, i);
	t->c = (struct trial_case){ 0 };
	t->o = (struct trial_outcome){ 0 };
	t->has_failed = false;
	t->name = STR("a case");
	arena_init(&t->arena, MEMORY);
	if (!lua_istable(t->L, -1)) {
		complain(t, NULL, "expected a table, found a %s", luaL_typename(t->L, -1));
	} else {
		if (lua_getfield(t->L, -1, "name") == LUA_TSTRING)
			t->name = text_at(t, -1);
		lua_insert(t->L, -2); /* the name stays while the case is looked at */
		if (lua_getfield(t->L, -1, "expect") == LUA_TNIL)
			complain(t, NULL, "it expects nothing");
		lua_pop(t->L, 1);
		take_keys(t, keys, COUNT(keys));
		lua_remove(t->L, -2);
	}
	t->count.failed += t->has_failed;
	t->count.passed += !t->has_failed;
	if (t->told)
		(void)buf_printf(t->told, "%s %.*s: %.*s\n", t->has_failed ? "not ok" : "ok",
				 STR_ARG(t->source.path), STR_ARG(t->name));
	arena_fini(&t->arena);
}

static int take_all(lua_State *L)
{
	struct test *t = lua_touserdata(L, 2);
	lua_Integer n = luaL_len(L, 1);

	lua_settop(L, 1);
	t->L = L;
	for (lua_Integer i = 1; i <= n; i++) {
		(void)lua_rawgeti(L, 1, i);
		take_case(t, (unsigned)i);
		lua_settop(L, 1);
	}
	return 0;
}

struct trial_count trial_test_run(struct trial *trial, struct str path, struct str text,
				  struct buf *errors, struct buf *told)
{
	struct test *t = calloc(1, sizeof *t);
	struct trial_count count;
	struct settings_lua lua;
	struct arena arena;

	if (!t)
		abort();
	arena_init(&arena, MEMORY);
	t->trial = trial;
	t->told = told;
	t->source = (struct settings_source){ .path = path, .text = text, .arena = &arena };
	if (settings_lua_run(&lua, &t->source)) {
		lua_pushcfunction(lua.L, take_all);
		lua_insert(lua.L, 1);
		lua_pushlightuserdata(lua.L, t);
		if (lua_pcall(lua.L, 2, 0, 0) != LUA_OK)
			settings_lua_complain(&lua, &t->source);
	}
	settings_lua_fini(&lua);
	t->count.failed += t->source.nerrors > 0 && t->count.failed == 0;
	settings_source_report(&t->source, errors);
	count = t->count;
	arena_fini(&arena);
	free(t);
	return count;
}
