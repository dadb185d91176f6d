#include "settings_eval.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "clock.h"
#include "settings_lua.h"
#include "settings_schema.h"
#include "settings_tls.h"

#define FOUND           96 /* bytes of a description of what was found */
#define LONGEST_SECONDS 1e9

struct eval {
	struct settings *s;
	struct settings_source *source;
	lua_State *L;
	bool has_tls[SETTINGS_LISTENERS]; /* it is said; else it depends on the certificates */
};

/* ---- words ---------------------------------------------------------------------------------- */

/* found - what stands at the top of the stack, for "expected ..., found ..." */
static const char *found(lua_State *L, char text[FOUND])
{
	int type = lua_type(L, -1);
	size_t n;
	const char *p;

	if (type == LUA_TSTRING) {
		p = lua_tolstring(L, -1, &n);
		(void)snprintf(text, FOUND, "\"%.*s\"%s", n > 60 ? 60 : (int)n, p,
			       n > 60 ? "..." : "");
	} else if (type == LUA_TNUMBER && lua_isinteger(L, -1)) {
		(void)snprintf(text, FOUND, "the number %lld", (long long)lua_tointeger(L, -1));
	} else if (type == LUA_TNUMBER) {
		(void)snprintf(text, FOUND, "the number %.14g", lua_tonumber(L, -1));
	} else if (type == LUA_TBOOLEAN) {
		(void)snprintf(text, FOUND, "%s", lua_toboolean(L, -1) ? "true" : "false");
	} else {
		(void)snprintf(text, FOUND, "%s%s", type == LUA_TNIL ? "" : "a ",
			       lua_typename(L, type));
	}
	return text;
}

static void unexpected(struct eval *e, const struct setting *row,
		       const struct settings_place *place)
{
	char text[FOUND];

	settings_source_problem(e->source, place, "%s: expected %s, found %s", row->path,
				setting_expected(row->type), found(e->L, text));
}

static void complain(struct eval *e, const struct setting *row, const struct settings_place *place,
		     const struct fault *why)
{
	settings_source_problem(e->source, place, "%s: %s", row->path, why->text);
}

static void unknown(struct eval *e, struct str path, const struct settings_place *place)
{
	struct str near = setting_nearest(path);

	if (near.n)
		settings_source_problem(e->source, place,
					"unknown setting `%.*s`; did you mean `%.*s`?",
					STR_ARG(str_head(path, 80)), STR_ARG(near));
	else
		settings_source_problem(e->source, place, "unknown setting `%.*s`",
					STR_ARG(str_head(path, 80)));
}

/* text_at - the string at the top of the stack, copied */
static struct str text_at(struct eval *e)
{
	struct str text;

	text.p = lua_tolstring(e->L, -1, &text.n);
	text = arena_str(e->source->arena, text);
	if (!text.p)
		luaL_error(e->L, "the settings are too big");
	return text;
}

static struct str in_lower_case(struct str text)
{
	char *p = (char *)(uintptr_t)text.p; /* ours, from text_at */

	for (size_t i = 0; i < text.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + ('a' - 'A'));
	return text;
}

static void *list_new(struct eval *e, size_t n, size_t size)
{
	void *list = arena_alloc(e->source->arena, n * size);

	if (!list)
		luaL_error(e->L, "the settings are too big");
	return list;
}

/* ---- single values -------------------------------------------------------------------------- */

/* with_folder - make the path in a value absolute */
static struct str with_folder(struct eval *e, const struct setting *row, struct str text)
{
	struct str file = STR("file:");

	if (row->type == SETTING_KEY && str_has_prefix(text, STR("credential:")))
		return text;
	if (row->type == SETTING_PATH || row->type == SETTING_PATHS || row->type == SETTING_KEY)
		return settings_source_path(e->source, text);
	if (row->type == SETTING_EVENTS && str_has_prefix(text, file) && text.n > file.n) {
		struct str path = settings_source_path(e->source, str_drop(text, file.n));

		return arena_printf(e->source->arena, "file:%.*s", STR_ARG(path));
	}
	return text;
}

/* number_at - the number at the top of the stack in the setting's own unit; false when it cannot be
 * one */
static bool number_at(lua_State *L, const struct setting *row, uint64_t *out)
{
	lua_Number seconds = lua_tonumber(L, -1);
	lua_Integer whole;
	int is_whole;

	if (row->type == SETTING_DURATION) {
		if (!(seconds >= 0 && seconds <= LONGEST_SECONDS))
			return false;
		*out = (uint64_t)llround(seconds * (double)CLOCK_SECOND);
		return true;
	}
	if (row->type != SETTING_COUNT && row->type != SETTING_SIZE)
		return false;
	whole = lua_tointegerx(L, -1, &is_whole);
	*out = (uint64_t)whole;
	return is_whole && whole >= 0;
}

static void take_single(struct eval *e, const struct setting *row,
			const struct settings_place *place)
{
	int type = lua_type(e->L, -1);
	struct fault why = { 0 };
	uint64_t number;
	int rc = 0;

	if (type == LUA_TSTRING)
		rc = setting_parse(row, e->s, with_folder(e, row, text_at(e)), &why);
	else if (type == LUA_TNUMBER && number_at(e->L, row, &number))
		rc = setting_number(row, e->s, number, &why);
	else if (type == LUA_TBOOLEAN && row->type == SETTING_FLAG)
		*(bool *)setting_field(row, e->s) = lua_toboolean(e->L, -1);
	else
		unexpected(e, row, place);
	if (rc < 0)
		complain(e, row, place, &why);
}

/* ---- lists ---------------------------------------------------------------------------------- */

/* sequence_length - of the table at the top of the stack: it has the keys 1..n and no other; -1
 * after a problem */
static long sequence_length(struct eval *e, const struct setting *row,
			    const struct settings_place *place)
{
	lua_State *L = e->L;
	lua_Unsigned n = lua_rawlen(L, -1), seen = 0;

	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1), seen++) {
		if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 &&
		    (lua_Unsigned)lua_tointeger(L, -2) <= n)
			continue;
		if (lua_type(L, -2) == LUA_TSTRING)
			settings_source_problem(e->source, place,
						"%s: expected %s, found the key `%.80s`", row->path,
						setting_expected(row->type), lua_tostring(L, -2));
		else
			settings_source_problem(e->source, place, "%s: expected %s without gaps",
						row->path, setting_expected(row->type));
		lua_pop(L, 2);
		return -1;
	}
	if (seen != n) {
		settings_source_problem(e->source, place, "%s: expected %s without gaps", row->path,
					setting_expected(row->type));
		return -1;
	}
	if (n <= row->most)
		return (long)n;
	settings_source_problem(e->source, place, "%s: at most %llu, found %llu", row->path,
				(unsigned long long)row->most, (unsigned long long)n);
	return -1;
}

static void take_domain(struct eval *e, const struct setting *row,
			const struct settings_place *place, struct str *to)
{
	bool or_all = row->type == SETTING_DOMAINS_ALL;
	struct fault why = { 0 };

	if (lua_type(e->L, -1) != LUA_TSTRING) {
		unexpected(e, row, place);
		return;
	}
	*to = in_lower_case(text_at(e));
	if (setting_domain_check(*to, or_all, &why) < 0)
		complain(e, row, place, &why);
}

static void take_domains(struct eval *e, const struct setting *row,
			 const struct settings_place *place)
{
	struct str **list = setting_field(row, e->s);
	bool is_one = lua_type(e->L, -1) == LUA_TSTRING;
	long n = 1;

	if (!is_one && !lua_istable(e->L, -1)) {
		unexpected(e, row, place);
		return;
	}
	if (!is_one && (n = sequence_length(e, row, place)) < 0)
		return;
	*list = list_new(e, (size_t)n, sizeof **list);
	if (is_one)
		take_domain(e, row, place, *list);
	for (long i = 1; !is_one && i <= n; i++) {
		struct settings_place at = settings_place_at(*place, (unsigned)i);

		lua_rawgeti(e->L, -1, i);
		take_domain(e, row, &at, &(*list)[i - 1]);
		lua_pop(e->L, 1);
	}
	*setting_count(row, e->s) = (unsigned)n;
}

static void take_pair(struct eval *e, const struct setting *row, const struct settings_place *place,
		      struct settings_pair *to)
{
	struct fault why = { 0 };
	int rc;

	if (lua_type(e->L, -1) != LUA_TSTRING || lua_type(e->L, -2) != LUA_TSTRING) {
		unexpected(e, row, place);
		return;
	}
	to->value = with_folder(e, row, text_at(e));
	lua_pushvalue(e->L, -2);
	to->key = text_at(e);
	lua_pop(e->L, 1);
	if (row->type == SETTING_ROUTES)
		to->key = in_lower_case(to->key);
	if (row->type == SETTING_ROUTES)
		rc = setting_domain_check(to->key, true, &why) < 0
			     ? -1
			     : setting_hop_check(to->value, &why);
	else
		rc = setting_name_check(to->key, &why) < 0 ? -1
							   : setting_text_check(to->value, &why);
	if (rc < 0)
		complain(e, row, place, &why);
}

static int by_key(const void *left, const void *right)
{
	const struct settings_pair *a = left, *b = right;

	return str_cmp(a->key, b->key);
}

static unsigned count_pairs(lua_State *L)
{
	unsigned n = 0;

	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
		n++;
	return n;
}

/* take_pairs - a table in Lua has no order; here it is by key, so that the same settings are the
 * same text */
static void take_pairs(struct eval *e, const struct setting *row,
		       const struct settings_place *place)
{
	struct settings_pair **list = setting_field(row, e->s);
	unsigned n = 0;

	if (!lua_istable(e->L, -1)) {
		unexpected(e, row, place);
		return;
	}
	if (count_pairs(e->L) > row->most) {
		settings_source_problem(e->source, place, "%s: at most %llu", row->path,
					(unsigned long long)row->most);
		return;
	}
	*list = list_new(e, count_pairs(e->L), sizeof **list);
	for (lua_pushnil(e->L); lua_next(e->L, -2); lua_pop(e->L, 1), n++) {
		struct settings_place at = *place;

		if (lua_type(e->L, -2) == LUA_TSTRING)
			at = settings_place_in(*place, str_of(lua_tostring(e->L, -2)));
		take_pair(e, row, &at, &(*list)[n]);
	}
	qsort(*list, n, sizeof **list, by_key);
	*setting_count(row, e->s) = n;
}

/* ---- listeners ------------------------------------------------------------------------------ */

/* listener_field - address or name of the listener whose table is at the top of the stack */
static void listener_field(struct eval *e, const struct setting *row,
			   const struct settings_place *place, struct str name, struct str *to)
{
	struct settings_place at = settings_place_in(*place, name);

	lua_pushlstring(e->L, name.p, name.n);
	lua_rawget(e->L, -2);
	if (lua_type(e->L, -1) == LUA_TSTRING)
		*to = text_at(e);
	else if (!lua_isnil(e->L, -1))
		settings_source_problem(e->source, &at, "%s: `%.*s` must be a string", row->path,
					STR_ARG(name));
	lua_pop(e->L, 1);
}

static void listener_keys(struct eval *e, const struct setting *row,
			  const struct settings_place *place)
{
	lua_State *L = e->L;

	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		struct str key =
			lua_type(L, -2) == LUA_TSTRING ? str_of(lua_tostring(L, -2)) : STR("1");
		struct settings_place at = settings_place_in(*place, key);

		bool is_known = str_eq(key, STR("address")) || str_eq(key, STR("name"));

		for (const char *const *tls = settings_tls_keys; *tls; tls++)
			is_known |= str_eq(key, str_of(*tls));
		if (!is_known)
			settings_source_problem(e->source, &at,
						"%s: a listener has `address`, `name`, `tls`, "
						"`tls_floor`, `tls_ciphers` and "
						"`client_certificates`, not `%.*s`",
						row->path, STR_ARG(str_head(key, 80)));
	}
}

static void listener_tls(struct eval *e, const struct setting *row,
			 const struct settings_place *place, struct settings_listener *to)
{
	for (const char *const *key = settings_tls_keys; *key; key++) {
		struct settings_place at = settings_place_in(*place, str_of(*key));
		struct str value = STR_NONE;
		struct fault why = { 0 };

		listener_field(e, row, place, str_of(*key), &value);
		if (!value.p)
			continue;
		if (str_eq(str_of(*key), STR("tls")))
			e->has_tls[to - e->s->listen] = true;
		if (settings_tls_set(to, str_of(*key), value, &why) < 0)
			complain(e, row, &at, &why);
	}
}

static void take_listener(struct eval *e, const struct setting *row,
			  const struct settings_place *place, struct settings_listener *to)
{
	struct fault why = { 0 };

	if (lua_type(e->L, -1) == LUA_TSTRING) {
		to->address = text_at(e);
	} else if (lua_istable(e->L, -1)) {
		listener_keys(e, row, place);
		listener_field(e, row, place, STR("address"), &to->address);
		listener_field(e, row, place, STR("name"), &to->name);
		listener_tls(e, row, place, to);
	} else {
		unexpected(e, row, place);
		return;
	}
	if (!to->address.n)
		settings_source_problem(e->source, place, "%s: a listener needs an `address`",
					row->path);
	else if (setting_address_check(to->address, &why) < 0 ||
		 (to->name.p && setting_name_check(to->name, &why) < 0))
		complain(e, row, place, &why);
	if (!to->name.p)
		to->name = to->address;
}

static void take_listeners(struct eval *e, const struct setting *row,
			   const struct settings_place *place)
{
	long n;

	if (lua_type(e->L, -1) == LUA_TSTRING) {
		take_listener(e, row, place, &e->s->listen[0]);
		e->s->nlisten = 1;
		return;
	}
	if (!lua_istable(e->L, -1)) {
		unexpected(e, row, place);
		return;
	}
	n = sequence_length(e, row, place);
	for (long i = 1; i <= n; i++) {
		struct settings_place at = settings_place_at(*place, (unsigned)i);

		lua_rawgeti(e->L, -1, i);
		take_listener(e, row, &at, &e->s->listen[i - 1]);
		lua_pop(e->L, 1);
	}
	e->s->nlisten = n > 0 ? (unsigned)n : 0;
}

/* ---- certificates --------------------------------------------------------------------------- */

static void take_certificate(struct eval *e, const struct setting *row,
			     const struct settings_place *place, struct settings_certificate *to)
{
	const struct {
		const char *key;
		struct str *path;
	} fields[] = { { "cert", &to->certificate }, { "key", &to->key }, { "ocsp", &to->staple } };
	struct fault why = { 0 };

	if (!lua_istable(e->L, -1)) {
		unexpected(e, row, place);
		return;
	}
	for (size_t i = 0; i < COUNT(fields); i++) {
		listener_field(e, row, place, str_of(fields[i].key), fields[i].path);
		if (setting_text_check(*fields[i].path, &why) < 0)
			complain(e, row, place, &why);
		if (fields[i].path->n)
			*fields[i].path = settings_source_path(e->source, *fields[i].path);
	}
	if (!to->certificate.n || !to->key.n)
		settings_source_problem(e->source, place,
					"%s: a certificate has `cert` and `key`, both are needed",
					row->path);
}

static void take_certificates(struct eval *e, const struct setting *row,
			      const struct settings_place *place)
{
	struct settings_certificate **list = setting_field(row, e->s);
	long n = lua_istable(e->L, -1) ? sequence_length(e, row, place) : -1;

	if (!lua_istable(e->L, -1))
		unexpected(e, row, place);
	if (n < 0)
		return;
	*list = list_new(e, (size_t)n, sizeof **list);
	for (long i = 1; i <= n; i++) {
		struct settings_place at = settings_place_at(*place, (unsigned)i);

		lua_rawgeti(e->L, -1, i);
		take_certificate(e, row, &at, &(*list)[i - 1]);
		lua_pop(e->L, 1);
	}
	*setting_count(row, e->s) = (unsigned)n;
}

/* ---- the whole table ------------------------------------------------------------------------ */

static void take_setting(struct eval *e, const struct setting *row,
			 const struct settings_place *place)
{
	if (row->type == SETTING_DOMAINS || row->type == SETTING_DOMAINS_ALL)
		take_domains(e, row, place);
	else if (row->type == SETTING_ROUTES || row->type == SETTING_PATHS)
		take_pairs(e, row, place);
	else if (row->type == SETTING_LISTENERS)
		take_listeners(e, row, place);
	else if (row->type == SETTING_CERTIFICATES)
		take_certificates(e, row, place);
	else
		take_single(e, row, place);
}

static void take_table(struct eval *e, struct str group);

/* take_entry - one key and value, at the top of the stack, of the table at `group` */
static void take_entry(struct eval *e, struct str group)
{
	const struct setting *row;
	struct settings_place place;
	struct str path;

	if (lua_type(e->L, -2) != LUA_TSTRING) {
		place = group.n ? settings_place_of(group) : (struct settings_place){ .n = 0 };
		if (lua_isinteger(e->L, -2))
			place = settings_place_at(place, (unsigned)lua_tointeger(e->L, -2));
		settings_source_problem(
			e->source, &place,
			"%.*s%sexpected `name = value`, found a value without a name",
			STR_ARG(group), group.n ? ": " : "");
		return;
	}
	path = arena_printf(e->source->arena, "%.*s%s%s", STR_ARG(group), group.n ? "." : "",
			    lua_tostring(e->L, -2));
	place = settings_place_of(path);
	row = setting_find(path);
	if (row)
		take_setting(e, row, &place);
	else if (!group.n && setting_is_group(path) && lua_istable(e->L, -1))
		take_table(e, path);
	else if (!group.n && setting_is_group(path))
		settings_source_problem(e->source, &place, "%.*s: expected a table", STR_ARG(path));
	else
		unknown(e, path, &place);
}

static void take_table(struct eval *e, struct str group)
{
	for (lua_pushnil(e->L); lua_next(e->L, -2); lua_pop(e->L, 1))
		take_entry(e, group);
}

static int take_all(lua_State *L)
{
	struct eval *e = lua_touserdata(L, 2);

	lua_settop(L, 1);
	luaL_checkstack(L, 32, NULL);
	e->L = L;
	take_table(e, STR_NONE);
	return 0;
}

/* ---- what is not given ---------------------------------------------------------------------- */

static void host_defaults(struct settings *s, struct arena *arena)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	enum address_domain kind;
	char name[256] = "";

	s->hostname = STR("localhost");
	if (gethostname(name, sizeof name - 1) == 0 &&
	    address_domain_parse(str_of(name), &kind) == ADDRESS_OK)
		s->hostname = arena_str(arena, str_of(name));
	s->edges = cores < 1 ? 1 : cores > 64 ? 64 : (unsigned)cores;
	s->delivers = s->edges / 2 ? s->edges / 2 : 1;
}

static void defaults(struct settings *s, struct arena *arena)
{
	struct fault why = { 0 };

	memset(s, 0, sizeof *s);
	for (unsigned r = 0; r < settings_schema_count; r++) {
		const struct setting *row = &settings_schema[r];

		if (row->preset && setting_parse(row, s, str_of(row->preset), &why) < 0)
			abort(); /* the table contradicts itself */
	}
	host_defaults(s, arena);
}

bool settings_eval(struct settings *s, struct settings_source *source)
{
	struct eval e = { .s = s, .source = source };
	struct settings_lua lua;
	unsigned before = source->nerrors;

	defaults(s, source->arena);
	if (settings_lua_run(&lua, source)) {
		lua_pushcfunction(lua.L, take_all);
		lua_insert(lua.L, 1);
		lua_pushlightuserdata(lua.L, &e);
		if (lua_pcall(lua.L, 2, 0, 0) != LUA_OK)
			settings_lua_complain(&lua, source);
	}
	settings_lua_fini(&lua);
	for (unsigned i = 0; s->tls.ncertificates && i < s->nlisten; i++)
		if (!e.has_tls[i])
			s->listen[i].tls = SMTP_TLS_OFFERED;
	if (source->nerrors == before)
		settings_check(s, source);
	return source->nerrors == before;
}
