#include "settings_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "step.h"

/* A place is written as a path; "#2" is the second value without a name, "@text" a name with dots in it. */
static struct settings_place place_of(const char *path)
{
	struct settings_place place = { .n = 0 };
	struct str rest = str_of(path), part;
	bool more = rest.n > 0;
	uint64_t index;

	while (more) {
		more = str_take(&rest, '/', &part);
		if (!more)
			part = rest;
		if (part.p[0] == '#') {
			assert_true(str_u64(str_drop(part, 1), 1000, &index));
			place = settings_place_at(place, (unsigned)index);
		} else {
			place = settings_place_in(place, part);
		}
	}
	return place;
}

static const struct {
	const char *source, *path;
	unsigned line, column;
} samples[] = {
	{ "return { a = 1 }", "a", 1, 10 },
	{ "return {\n\ta = 1,\n\tb = 2,\n}", "b", 3, 2 },
	{ "return { a = { b = 1, c = 2 } }", "a/c", 1, 23 },
	{ "return { a = { b = 1 } }", "a/zz", 1, 10 }, /* not there: the table around it */
	{ "return { a = 1 }", "zz", 1, 1 },            /* the return */
	{ "local x = 1\n\nreturn { a = 1 }", "zz", 3, 1 },
	{ "x", "a", 1, 1 },
	{ "", "a", 1, 1 },
	{ "return { [\"a.b\"] = 1, ['c'] = 2, [ [[d]] ] = 3 }", "a.b", 1, 10 },
	{ "return { [\"a.b\"] = 1, ['c'] = 2, [ [[d]] ] = 3 }", "c", 1, 23 },
	{ "return { [\"a.b\"] = 1, ['c'] = 2, [ [[d]] ] = 3 }", "d", 1, 34 },
	{ "return { l = { 'x', 'y', 'z' } }", "l/#2", 1, 21 },
	{ "return { l = { 'x'; { address = 'y' } } }", "l/#2/address", 1, 23 },
	{ "return { l = { [2] = 'y' } }", "l/#2", 1, 16 },
	{ "return { a = 1, a = 2 }", "a", 1, 17 }, /* the later one counts */
	/* nothing inside strings, comments, functions and parentheses is taken for a key */
	{ "-- return { a = 0 }\nreturn { --[[ a = 0, ]] b = 'a = 1', a = 2 }", "a", 2, 38 },
	{ "--[==[ return { a = 0 } ]] ]==] return { a = 2 }", "a", 1, 42 },
	{ "return { b = \"\\\"a = 1, \", a = 2 }", "a", 1, 27 },
	{ "return { b = [[\na = 1, ]], a = 2 }", "a", 2, 12 },
	{ "return { b = f(1, { a = 0 }, 2), a = 2 }", "a", 1, 34 },
	{ "return { b = function() local a = 1, 2 return { a = 0 }, 3 end, a = 2 }", "a", 1, 65 },
	{ "return { b = function() if x then a = 1, 2 end end, a = 2 }", "a", 1, 53 },
	{ "return { b = a == 1, a = 2 }", "a", 1, 22 },
	{ "return { b = a ~= 1, c = a <= 1, d = a >= 1, a = 2 }", "a", 1, 46 },
	{ "return { b = 3 - 1, c = -1, a = 2 }", "a", 1, 29 },
	{ "return { b = x.a, c = t[a], a = 2 }", "a", 1, 29 },
	{ "return { x = { b = 1 }, a = { b = 2 }, y = { b = 3 } }", "a/b", 1, 31 },
	{ "return { a = { b = 2 }, [\"a\" .. x] = 1, [a] = 1, ['a' ] = 5, b = 3 }", "a", 1, 50 },
	{ "return { z9 = 1, Z_0 = 2 }", "z9", 1, 10 },
	{ "return { z9 = 1, Z_0 = 2 }", "Z_0", 1, 18 },
	{ "return x, { a = 1 }", "a", 1, 1 },
	{ "return { b = 0x1.8p3, c = 1e5, d = 1 .. 2, a = 2 }", "a", 1, 44 },
	{ "local t = { a = 1 }\nreturn t", "a", 2, 1 },
	{ "local function f() return { a = 1 } end\nreturn { b = 1 }", "b", 2, 10 },
	{ "if x then return { a = 1 } else return { a = 2 } end", "a", 1, 42 },
	{ "#!/usr/bin/moongate { a\nreturn { a = 1 }", "a", 2, 10 },
	{ "return { a = { b = { c = { d = 1 } } } }", "a/b/c/d", 1, 28 },
	/* broken sources end, too */
	{ "return { a = ", "a", 1, 10 },
	{ "return { a = \"x", "a", 1, 10 },
	{ "return { a = [[x", "a", 1, 10 },
	{ "return { ) ) ) , a = 1 }", "a", 1, 1 },
	{ "return { [", "a", 1, 1 },
	{ "return { --[[", "a", 1, 1 },
	{ "return { 'x\\", "#1", 1, 10 },
};

static void a_key_is_found_where_it_is_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct settings_place place = place_of(samples[i].path);
		struct settings_spot got = settings_keys_find(str_of(samples[i].source), &place);

		if (got.line != samples[i].line || got.column != samples[i].column)
			fail_msg("%s in %s: %u:%u, not %u:%u", samples[i].path, samples[i].source,
				 got.line, got.column, samples[i].line, samples[i].column);
	}
}

/* Nothing behind the end is read, and every prefix is answered: run under the address sanitizer. */
static void every_prefix_is_answered(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		size_t n = strlen(samples[i].source);
		struct settings_place place = place_of(samples[i].path);

		for (size_t cut = 0; cut <= n; cut++) {
			char *copy = malloc(cut + 1);
			struct settings_spot got;

			assert_non_null(copy);
			memcpy(copy + 1, samples[i].source, cut);
			got = settings_keys_find((struct str){ copy + 1, cut }, &place);
			assert_true(got.line >= 1 && got.column >= 1);
			free(copy);
		}
	}
}

static void a_path_is_split_at_its_dots(void **state)
{
	struct settings_place place = settings_place_of(STR("limits.message"));

	(void)state;
	assert_int_equal(place.n, 2);
	assert_true(str_eq(place.keys[0].name, STR("limits")));
	assert_true(str_eq(place.keys[1].name, STR("message")));
	place = settings_place_at(settings_place_of(STR("listen")), 3);
	assert_int_equal(place.n, 2);
	assert_null(place.keys[1].name.p);
	assert_int_equal(place.keys[1].index, 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_found_where_it_is_written),
		cmocka_unit_test(every_prefix_is_answered),
		cmocka_unit_test(a_path_is_split_at_its_dots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
