/* layer: script */
/* lua/api.lua and the tables in C say the same, both ways. */
#define _GNU_SOURCE
#include "script_rig.h"

#include <lualib.h>

#include "script_box.h"
#include "script_gate.h"

static lua_State *L;

static int open_api(void **state)
{
	(void)state;
	L = luaL_newstate();
	luaL_openlibs(L);
	if (luaL_dofile(L, TESTS "/../lua/api.lua") != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	return 0;
}

static int close_api(void **state)
{
	(void)state;
	lua_close(L);
	return 0;
}

/*
 * names - of the list at the top (each a table with .name, or [1]), sorted, as one text; pops the
 * list
 */
static void names(char *to, size_t size)
{
	static const char code[] =
		"local list, out = ..., {} for _, item in ipairs(list) do out[#out + 1] = "
		"type(item) == 'table' and "
		"(item.name or item[1]) or item end table.sort(out) return table.concat(out, ' ')";

	if (luaL_loadstring(L, code) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	lua_insert(L, -2);
	lua_call(L, 1, 1);
	(void)str_copy(to, size, str_of(lua_tostring(L, -1)));
	lua_pop(L, 1);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void joined(const char **list, size_t n, char *to, size_t size)
{
	size_t at = 0;

	to[0] = '\0';
	qsort(list, n, sizeof *list, by_name);
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(to + at, size - at, "%s%s", i ? " " : "", list[i]);
}

static void same(size_t row, const char *described, const char *real)
{
	if (strcmp(described, real) != 0)
		fail_msg("row %zu: described\n  %s\nreal\n  %s", row, described, real);
}

TEST(classes_have_the_members_that_are_described)
{
	char described[2048], real[2048];
	const char *list[64];
	size_t row, n;

	lua_getfield(L, 1, "classes");
	for (row = 0; script_classes[row]; row++) {
		const struct script_class *class = script_classes[row];

		if (lua_getfield(L, -1, class->name) != LUA_TTABLE)
			fail_msg("class %s is not described", class->name);
		n = 0;
		for (const luaL_Reg *m = class->methods; m && m->name; m++)
			list[n++] = m->name;
		joined(list, n, real, sizeof real);
		lua_getfield(L, -1, "methods");
		names(described, sizeof described);
		same(row, described, real);
		if (!class->index) {
			n = 0;
			for (const struct script_field *f = class->fields; f && f->name; f++)
				list[n++] = f->name;
			joined(list, n, real, sizeof real);
			lua_getfield(L, -1, "fields");
			names(described, sizeof described);
			same(row, described, real);
		}
		lua_pop(L, 1);
	}
	n = 0;
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
		n++;
	CHECK_INT(0, n, row);
	lua_pop(L, 1);
}

/* The module tells itself what is in it. */
TEST(the_module_has_the_functions_that_are_described)
{
	char described[2048], verdicts[1024], real[2048];
	struct rig r;

	rig_init(&r);
	rig_source(&r, "main", "p.lua",
		   "local names = {} for name in pairs(require 'moongate') do names[#names + 1] = "
		   "name end\n"
		   "table.sort(names) error(table.concat(names, ' '), 0)");
	CHECK_INT(0, rig_load(&r), -1);
	(void)str_copy(real, sizeof real,
		       str_trim(str_drop(buf_str(&r.errors), strlen("p.lua:1:1: "))));
	rig_fini(&r);
	if (luaL_loadstring(L, "local api, all = ..., {} for _, f in ipairs(api.functions) do "
			       "all[#all + 1] = f end\n"
			       "for _, f in ipairs(api.verdicts) do all[#all + 1] = f end return "
			       "all, api.verdicts") != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	lua_pushvalue(L, 1);
	lua_call(L, 1, 2);
	names(verdicts, sizeof verdicts);
	names(described, sizeof described);
	same(0, described, real);
	{
		const char *list[VERDICTS];

		for (size_t i = 0; i < VERDICTS; i++)
			list[i] = verdict_name[i];
		joined(list, VERDICTS, real, sizeof real);
		same(1, verdicts, real);
	}
}

TEST(handler_options_are_described)
{
	char described[1024], real[1024];
	const char *list[32];
	size_t n = 0;

	for (; script_handler_options[n]; n++)
		list[n] = script_handler_options[n];
	joined(list, n, real, sizeof real);
	lua_getfield(L, 1, "handler_options");
	names(described, sizeof described);
	same(0, described, real);
}

static const char *const arguments[HOOKS] = {
	[HOOK_CONNECT] = "conn",
	[HOOK_TLS] = "conn",
	[HOOK_EHLO] = "conn",
	[HOOK_MAIL] = "tx",
	[HOOK_RCPT] = "rcpt tx",
	[HOOK_DATA] = "tx",
	[HOOK_HEADERS] = "msg tx",
	[HOOK_MESSAGE] = "msg tx",
	[HOOK_MESSAGE_RCPT] = "msg rcpt tx",
	[HOOK_DISCONNECT] = "conn",
	[HOOK_ROUTE] = "rcpt tx",
	[HOOK_RESULT] = "attempt result tx",
	[HOOK_BOUNCE] = "bounce tx",
};

TEST(hooks_have_the_arguments_and_verdicts_that_are_described)
{
	char described[1024], real[1024];

	lua_getfield(L, 1, "hooks");
	CHECK_INT(0, lua_rawlen(L, -1), HOOKS);
	for (enum policy_hook hook = 0; hook < HOOKS; hook++) {
		const char *list[VERDICTS];
		size_t n = 0;

		lua_rawgeti(L, -1, (lua_Integer)hook + 1);
		lua_getfield(L, -1, "name");
		same(hook, lua_tostring(L, -1), policy_hook_name[hook]);
		lua_pop(L, 1);
		lua_getfield(L, -1, "role");
		same(hook, lua_tostring(L, -1), policy_hook_is_edge(hook) ? "edge" : "deliver");
		lua_pop(L, 1);
		lua_getfield(L, -1, "args");
		names(described, sizeof described);
		same(hook, described, arguments[hook]);
		for (enum verdict_kind kind = 0; kind < VERDICTS; kind++)
			if (verdict_is_legal(hook, kind))
				list[n++] = verdict_name[kind];
		joined(list, n, real, sizeof real);
		lua_getfield(L, -1, "verdicts");
		names(described, sizeof described);
		same(hook, described, real);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

TEST(every_description_has_its_parts)
{
	static const char code[] = "local api = ...\n"
				   "local function list(items, what)\n"
				   "  for _, f in ipairs(items) do assert(f.name and f.doc and "
				   "type(f.args) == 'table', what)\n"
				   "    for _, a in ipairs(f.args) do if type(a) == 'table' then "
				   "assert(a[1] and a[2], f.name) end end\n"
				   "    if f.example then assert(load('local gate, tx, rcpt, msg = "
				   "...; ' .. f.example), f.example) end end end\n"
				   "list(api.hooks, 'hook') list(api.functions, 'function') "
				   "list(api.verdicts, 'verdict')\n"
				   "for name, class in pairs(api.classes) do assert(class.doc, "
				   "name) list(class.methods, name)\n"
				   "  for _, field in ipairs(class.fields) do assert(field[1] and "
				   "field[2], name) end end\n"
				   "for _, option in ipairs(api.handler_options) do "
				   "assert(option.name and option.type and option.doc) end";

	if (luaL_loadstring(L, code) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	lua_pushvalue(L, 1);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_have_the_members_that_are_described),
		cmocka_unit_test(the_module_has_the_functions_that_are_described),
		cmocka_unit_test(handler_options_are_described),
		cmocka_unit_test(hooks_have_the_arguments_and_verdicts_that_are_described),
		cmocka_unit_test(every_description_has_its_parts),
	};

	return cmocka_run_group_tests(tests, open_api, close_api);
}
