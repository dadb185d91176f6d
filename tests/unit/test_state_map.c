#include "state_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "step.h"

struct compiled {
	struct buf image, errors;
	struct state_map map;
	int rc;
};

static void compile(struct compiled *c, struct str text)
{
	struct fault why;

	buf_init(&c->image, STATE_MAP_IMAGE);
	buf_init(&c->errors, 64 * 1024);
	c->rc = state_map_compile(STR("list.txt"), text, &c->image, &c->errors);
	if (c->rc == 0)
		assert_int_equal(state_map_open(buf_str(&c->image), &c->map, &why), 0);
}

static void done(struct compiled *c)
{
	buf_fini(&c->image);
	buf_fini(&c->errors);
}

static void keys_are_found_without_case_and_with_their_values(void **state)
{
	struct compiled c;
	struct str value;

	(void)state;
	compile(&c,
		STR("# people\n\nAlice@Example.org\n  bob@example.org \t smtp:192.0.2.1:25  \r\n"
		    "\"a b\"@example.org quoted # not a comment\n@example.net\tREJECT"));
	assert_int_equal(c.rc, 0);
	assert_int_equal(c.map.count, 4);
	assert_true(state_map_find(&c.map, STR("alice@EXAMPLE.org"), &value));
	assert_null(value.p);
	assert_true(state_map_find(&c.map, STR("bob@example.org"), &value));
	assert_true(str_eq(value, STR("smtp:192.0.2.1:25")));
	assert_true(state_map_find(&c.map, STR("\"a b\"@example.org"), &value));
	assert_true(str_eq(value, STR("quoted # not a comment")));
	assert_true(state_map_find(&c.map, STR("@example.net"), &value));
	assert_true(str_eq(value, STR("REJECT")));
	assert_false(state_map_find(&c.map, STR("carol@example.org"), &value));
	assert_false(state_map_find(&c.map, STR(""), NULL));
	done(&c);
}

static void an_empty_file_is_an_empty_map(void **state)
{
	struct compiled c;

	(void)state;
	compile(&c, STR_NONE);
	assert_int_equal(c.rc, 0);
	assert_false(state_map_find(&c.map, STR("x"), NULL));
	done(&c);
}

static void every_problem_is_named_with_its_line(void **state)
{
	static char big[STATE_MAP_KEY + 2];
	struct compiled c;
	struct buf text;

	(void)state;
	memset(big, 'k', sizeof big - 1);
	buf_init(&text, 8192);
	assert_true(buf_printf(&text, "a 1\nb\001\n%s v\nA 2\na 1\n", big));
	compile(&c, buf_str(&text));
	assert_int_equal(c.rc, -1);
	assert_true(
		str_eq(buf_str(&c.errors), STR("list.txt:2: a control character\n"
					       "list.txt:3: a key of more than 512 bytes\n"
					       "list.txt:4: \"A\" has another value on line 1\n")));
	done(&c);
	buf_fini(&text);
}

static void a_flood_of_problems_is_cut(void **state)
{
	struct compiled c;
	struct buf text;

	(void)state;
	buf_init(&text, 8192);
	for (unsigned i = 0; i < 100; i++)
		assert_true(buf_add(&text, STR("\001\n")));
	compile(&c, buf_str(&text));
	assert_int_equal(c.rc, -1);
	assert_true(str_has_suffix(buf_str(&c.errors), STR("list.txt: 80 more problems\n")));
	done(&c);
	buf_fini(&text);
}

static void a_walk_meets_every_entry_once(void **state)
{
	struct compiled c;
	struct str key, value;
	unsigned sum = 0, n = 0;
	uint32_t at = 0;

	(void)state;
	compile(&c, STR("a 1\nb 2\nc 4\nd 8\n"));
	while (state_map_next(&c.map, &at, &key, &value)) {
		sum += (unsigned)atoi(value.p);
		n++;
	}
	assert_int_equal(n, 4);
	assert_int_equal(sum, 15);
	done(&c);
}

static void a_map_that_outgrows_its_buffer_is_refused(void **state)
{
	struct buf image, errors;

	(void)state;
	for (size_t max = 0; max < 400; max += 8) {
		buf_init(&image, max);
		buf_init(&errors, 4096);
		assert_int_equal(state_map_compile(STR("m"), STR("aaaaaaaaaaaaaaaaaaaa 1\nb 2\n"),
						   &image, &errors),
				 max >= 24 + 16 * 8 + 1 + 4 + 21 + 4 + 2 ? 0 : -1);
		buf_fini(&image);
		buf_fini(&errors);
	}
}

/* Each byte flipped, each length cut: any answer will do, a read outside will not (the sanitizer watches exact copies). */
static void damage_never_leads_outside(void **state)
{
	struct compiled c;
	struct state_map map;
	struct str key, value;
	struct fault why;

	(void)state;
	compile(&c, STR("alice@example.org\nbob@example.org smtp:192.0.2.1\nx y\n"));
	for (size_t i = 0; i < buf_len(&c.image) * 2; i++) {
		size_t n = i < buf_len(&c.image) ? buf_len(&c.image) : i - buf_len(&c.image);
		char *copy = malloc(n ? n : 1);
		uint32_t at = 0;

		memcpy(copy, buf_str(&c.image).p, n);
		if (i < n)
			copy[i] = (char)(copy[i] ^ 0xff);
		if (state_map_open((struct str){ copy, n }, &map, &why) == 0) {
			(void)state_map_find(&map, STR("bob@example.org"), &value);
			(void)state_map_find(&map, STR("nobody"), &value);
			while (state_map_next(&map, &at, &key, &value))
				assert_true(key.n <= n && value.n <= n);
		}
		free(copy);
	}
	done(&c);
}

static void a_hundred_thousand_entries_are_all_there(void **state)
{
	struct compiled c;
	struct buf text;
	char key[64];

	(void)state;
	buf_init(&text, 16 << 20);
	for (unsigned i = 0; i < 100000; i++)
		assert_true(buf_printf(&text, "user%u@example.org\n", i));
	compile(&c, buf_str(&text));
	assert_int_equal(c.rc, 0);
	assert_int_equal(c.map.count, 100000);
	assert_true(c.map.probes < 64);
	for (unsigned i = 0; i < 100000; i++) {
		(void)snprintf(key, sizeof key, "User%u@example.org", i);
		assert_true(state_map_find(&c.map, str_of(key), NULL));
	}
	assert_false(state_map_find(&c.map, STR("user100000@example.org"), NULL));
	done(&c);
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_found_without_case_and_with_their_values),
		cmocka_unit_test(an_empty_file_is_an_empty_map),
		cmocka_unit_test(every_problem_is_named_with_its_line),
		cmocka_unit_test(a_flood_of_problems_is_cut),
		cmocka_unit_test(a_walk_meets_every_entry_once),
		cmocka_unit_test(a_map_that_outgrows_its_buffer_is_refused),
		cmocka_unit_test(damage_never_leads_outside),
		cmocka_unit_test(a_hundred_thousand_entries_are_all_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
