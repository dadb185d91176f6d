/* Our matcher and Lua's own must agree on everything that Lua finishes. */
#include "check.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "script_pattern.h"

static lua_State *L;

static int open_lua(void **state)
{
	(void)state;
	L = luaL_newstate();
	luaL_requiref(L, "string", luaopen_string, 1);
	lua_settop(L, 0);
	return 0;
}

static int close_lua(void **state)
{
	(void)state;
	lua_close(L);
	return 0;
}

/* One match of ours against string.find and its captures, from that offset on. */
static void agree(size_t row, struct str subject, struct str pattern)
{
	struct script_pattern m;
	bool anchored = pattern.n > 0 && pattern.p[0] == '^';
	struct str exact = heap_copy(subject),
		   behind = heap_copy(anchored ? str_drop(pattern, 1) : pattern);
	size_t end = 0;
	ptrdiff_t at;
	int status;

	script_pattern_init(&m, exact, behind);
	if (script_pattern_is_plain(pattern)) {
		at = script_pattern_plain(&m, 0);
		end = at < 0 ? 0 : (size_t)at + pattern.n;
	} else {
		at = script_pattern_find(&m, 0, anchored, &end);
	}
	lua_settop(L, 0);
	lua_getglobal(L, "string");
	lua_getfield(L, -1, "find");
	lua_remove(L, 1);
	lua_pushlstring(L, subject.p, subject.n);
	lua_pushlstring(L, pattern.p, pattern.n);
	status = lua_pcall(L, 2, LUA_MULTRET, 0);
	if (status != LUA_OK) {
		if (m.fault == PATTERN_FINE)
			fail_msg("row %zu: '%.*s' on '%.*s': Lua says %s", row, STR_ARG(pattern),
				 STR_ARG(subject), lua_tostring(L, -1));
	} else if (m.fault != PATTERN_FINE) {
		fail_msg("row %zu: '%.*s' on '%.*s': %s", row, STR_ARG(pattern), STR_ARG(subject),
			 script_pattern_text(m.fault));
	} else if (lua_isnil(L, 1)) {
		if (at >= 0)
			fail_msg("row %zu: '%.*s' on '%.*s': Lua finds nothing", row,
				 STR_ARG(pattern), STR_ARG(subject));
	} else {
		if (at + 1 != lua_tointeger(L, 1) || (lua_Integer)end != lua_tointeger(L, 2))
			fail_msg("row %zu: '%.*s' on '%.*s': %td..%zu, not %lld..%lld", row,
				 STR_ARG(pattern), STR_ARG(subject), at + 1, end,
				 lua_tointeger(L, 1), lua_tointeger(L, 2));
		CHECK_INT(row, m.ncaptures, lua_gettop(L) - 2);
		for (unsigned i = 0; i < m.ncaptures; i++) {
			int index = (int)i + 3;
			size_t n;
			const char *p;

			if (m.captures[i].n == CAPTURE_POSITION) {
				CHECK_INT(row, m.captures[i].p - m.subject.p + 1,
					  lua_tointeger(L, index));
				continue;
			}
			p = lua_tolstring(L, index, &n);
			CHECK_STR(row, ((struct str){ m.captures[i].p, (size_t)m.captures[i].n }),
				  ((struct str){ p, n }));
		}
	}
	heap_free(exact);
	heap_free(behind);
}

static const struct {
	struct str subject, pattern;
} rows[] = {
	{ STR("hello"), STR("l") },
	{ STR("hello"), STR("l+") },
	{ STR("hello"), STR("^l") },
	{ STR("hello"), STR("^h(.-)o$") },
	{ STR("hello"), STR("") },
	{ STR(""), STR("") },
	{ STR(""), STR("^$") },
	{ STR("a.b"), STR("%.") },
	{ STR("a]b"), STR("[]]") },
	{ STR("a]b"), STR("[^]]") },
	{ STR("a-b"), STR("[a%-]+") },
	{ STR("a-b"), STR("[a-]+") },
	{ STR("x^y"), STR("[x^]+") },
	{ STR("THE (quick) fox"), STR("%((%a+)%)") },
	{ STR("THE (quick (brown)) fox"), STR("%b()") },
	{ STR("THE (quick"), STR("%b()") },
	{ STR("x=1, y=2"), STR("(%w+)=(%w+)") },
	{ STR("  trim  "), STR("^%s*(.-)%s*$") },
	{ STR("hello"), STR("()ll()") },
	{ STR("abcabc"), STR("(abc)%1") },
	{ STR("abcab"), STR("(abc)%1") },
	{ STR("THE (quick) fox"), STR("%f[%a]%a+") },
	{ STR("aaab"), STR("a*?b") },
	{ STR("aaa"), STR("a?a?a?a") },
	{ STR("a$b"), STR("a$b") },
	{ STR("a$"), STR("$$") },
	{ STR("a\0b"), STR("a%zb") },
	{ STR("a\0b"), STR("\0") },
	{ STR("a\0b"), STR("[^%w]") },
	{ STR("a"), STR("%") },
	{ STR("a"), STR("[a") },
	{ STR("a"), STR("[%") },
	{ STR("a"), STR("[^") },
	{ STR("a"), STR("[") },
	{ STR("a"), STR("[]") },
	{ STR("a"), STR("%b") },
	{ STR("a"), STR("%bx") },
	{ STR("a"), STR("%f") },
	{ STR("a"), STR("%fa") },
	{ STR("a"), STR("(") },
	{ STR("a"), STR(")") },
	{ STR("a"), STR("(a") },
	{ STR("a"), STR("%1") },
	{ STR("a"), STR("(%1)") },
	{ STR("a"), STR("%0") },
	{ STR("\xff\x80z"), STR("[\x80-\xff]+") },
	{ STR("0123456789abcdefABCDEF"), STR("%x+%X*") },
	{ STR("a b\tc\n"), STR("%S%s%S%s%S%s$") },
	{ STR("a b"), STR("a- -b") },
	{ STR("--a"), STR("%-%-a") },
	{ STR("*+?"), STR("*%+?") },
	{ STR("a"), STR("a-") },
	{ STR("a"), STR("^a*") },
	{ STR("%d"), STR("%%d") },
	{ STR("[[x]]"), STR("%[%[(.*)%]%]") },
};

TEST(the_table_agrees_with_lua)
{
	for (size_t i = 0; i < COUNT(rows); i++)
		agree(i, rows[i].subject, rows[i].pattern);
}

static uint32_t seed = 1;

static unsigned dice(unsigned sides)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % sides;
}

TEST(made_patterns_agree_with_lua)
{
	static const char *const pieces[] = {
		"a",    "b",     "ab",   ".",  "%a",   "%d",   "%w",     "%s",     "%A", "[ab]",
		"[^a]", "[a-c]", "%%",   "(",  ")",    "()",   "*",      "+",      "-",  "?",
		"^",    "$",     "%1",   "%2", "%b()", "%bab", "%f[ab]", "%f[^a]", "[",  "]",
		"(a)",  "(.-)",  "(b*)", "1",  " ",    "%",    "[%a1]",  "c",
	};

	for (unsigned i = 0; i < 60000; i++) {
		char pattern[64] = "", subject[16];
		unsigned n = dice(14);

		for (unsigned k = dice(6) + 1; k > 0; k--)
			strcat(pattern, pieces[dice(COUNT(pieces))]);
		for (unsigned k = 0; k < n; k++)
			subject[k] = "aabbc1 ()"[dice(9)];
		agree(i, (struct str){ subject, n }, str_of(pattern));
	}
}

TEST(work_is_bounded_and_can_be_stopped)
{
	static char text[2000];
	volatile sig_atomic_t stop = 1;
	struct script_pattern m;
	size_t end;

	memset(text, 'a', sizeof text);
	script_pattern_init(&m, (struct str){ text, sizeof text }, STR("a*a*a*a*b"));
	CHECK_INT(0, script_pattern_find(&m, 0, false, &end), -1);
	CHECK_INT(0, m.fault, PATTERN_STEPS_OUT);
	script_pattern_init(&m, (struct str){ text, sizeof text }, STR("a*a*a*a*b"));
	m.stop = &stop;
	CHECK_INT(1, script_pattern_find(&m, 0, false, &end), -1);
	CHECK_INT(1, m.fault, PATTERN_STOPPED);
	CHECK(1, m.steps > PATTERN_STEPS / 2);
}

TEST(plain_texts_are_found)
{
	struct script_pattern m;

	script_pattern_init(&m, STR("abcabd"), STR("abd"));
	CHECK_INT(0, script_pattern_plain(&m, 0), 3);
	CHECK_INT(1, script_pattern_plain(&m, 4), -1);
	script_pattern_init(&m, STR("abc"), STR(""));
	CHECK_INT(2, script_pattern_plain(&m, 2), 2);
	CHECK_INT(3, script_pattern_plain(&m, 3), 3);
	script_pattern_init(&m, STR(""), STR("a"));
	CHECK_INT(4, script_pattern_plain(&m, 0), -1);
	CHECK(5, script_pattern_is_plain(STR("abc]")) && !script_pattern_is_plain(STR("a-")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_agrees_with_lua),
		cmocka_unit_test(made_patterns_agree_with_lua),
		cmocka_unit_test(work_is_bounded_and_can_be_stopped),
		cmocka_unit_test(plain_texts_are_found),
	};

	return cmocka_run_group_tests(tests, open_lua, close_lua);
}
