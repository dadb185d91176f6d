#include "policy_vars.h"

#include "check.h"
#include "codec.h"

static struct policy_vars v;

static int begin(void **state)
{
	(void)state;
	policy_vars_init(&v);
	return 0;
}

static int end(void **state)
{
	(void)state;
	policy_vars_fini(&v);
	return 0;
}

static bool set_text(const char *name, struct str text)
{
	return policy_vars_set(&v, str_of(name),
			       &(struct policy_var){ .type = VAR_STRING, .text = text });
}

TEST(values_come_back_as_they_were_set)
{
	struct policy_var got;

	CHECK(0, set_text("s", STR("a\0b")));
	CHECK(0,
	      policy_vars_set(&v, STR("i"),
			      &(struct policy_var){ .type = VAR_INTEGER, .integer = INT64_MIN }));
	CHECK(0, policy_vars_set(&v, STR("n"),
				 &(struct policy_var){ .type = VAR_NUMBER, .number = -0.5 }));
	CHECK(0, policy_vars_set(&v, STR("b"),
				 &(struct policy_var){ .type = VAR_BOOLEAN, .integer = 1 }));
	CHECK(0, policy_vars_set(&v, STR("l"),
				 &(struct policy_var){ .type = VAR_LIST,
						       .text = STR("\1\0\0\0x\0\0\0\0") }));
	got = policy_vars_get(&v, STR("s"));
	CHECK_STR(1, got.text, STR("a\0b"));
	CHECK(2, policy_vars_get(&v, STR("i")).integer == INT64_MIN);
	CHECK(3, policy_vars_get(&v, STR("n")).number == -0.5);
	CHECK_INT(4, policy_vars_get(&v, STR("b")).integer, 1);
	CHECK_STR(5, policy_vars_get(&v, STR("l")).text, STR("\1\0\0\0x\0\0\0\0"));
	CHECK_INT(6, policy_vars_get(&v, STR("S")).type, VAR_NONE);
	CHECK_INT(7, v.count, 5);
}

TEST(setting_again_replaces_and_none_removes)
{
	CHECK(0,
	      set_text("a", STR("1")) && set_text("b", STR("2")) && set_text("a", STR("longer")));
	CHECK_STR(0, policy_vars_get(&v, STR("a")).text, STR("longer"));
	CHECK_INT(0, v.count, 2);
	CHECK(1, policy_vars_set(&v, STR("b"), &(struct policy_var){ .type = VAR_NONE }));
	CHECK(1, policy_vars_set(&v, STR("b"), &(struct policy_var){ .type = VAR_NONE }));
	CHECK_INT(1, policy_vars_get(&v, STR("b")).type, VAR_NONE);
	CHECK_INT(1, v.count, 1);
}

TEST(beyond_a_bound_nothing_changes)
{
	static char big[POLICY_VARS_BYTES + 1];
	char name[16];

	memset(big, 'x', sizeof big);
	CHECK(0, set_text("a", STR("1")));
	CHECK(1, !set_text("a", (struct str){ big, sizeof big }));
	CHECK(2, !set_text("a", (struct str){ big, POLICY_VARS_BYTES - 6 }));
	CHECK(3, set_text("a", (struct str){ big, POLICY_VARS_BYTES - 7 }));
	CHECK(4, !set_text("b", STR("")));
	CHECK(5, set_text("a", STR("1")));
	CHECK(6, !policy_vars_set(&v, (struct str){ big, POLICY_VARS_NAME + 1 },
				  &(struct policy_var){ .type = VAR_BOOLEAN }));
	CHECK(7, !set_text("", STR("1")) && !set_text("a b", STR("1")));
	CHECK(8,
	      !policy_vars_set(&v, STR("l"),
			       &(struct policy_var){ .type = VAR_LIST, .text = STR("\5\0\0\0x") }));
	for (unsigned i = 1; i < POLICY_VARS; i++) {
		(void)snprintf(name, sizeof name, "k%u", i);
		CHECK(i, set_text(name, STR("")));
	}
	CHECK(9, !set_text("one_more", STR("")));
	CHECK(10, set_text("k1", STR("again")));
	CHECK_INT(10, v.count, POLICY_VARS);
}

TEST(packed_bytes_make_the_same_vars)
{
	struct policy_vars copy = { 0 };
	struct policy_var value;
	struct str name;
	size_t at = 0;
	unsigned n = 0;

	CHECK(0, set_text("a", STR("1")) && set_text("b", STR("")));
	CHECK(0, policy_vars_unpack(&copy, policy_vars_packed(&v)));
	CHECK_STR(0, policy_vars_packed(&copy), policy_vars_packed(&v));
	CHECK_INT(0, copy.count, 2);
	CHECK(0, !copy.is_changed && v.is_changed);
	while (policy_vars_next(&copy, &at, &name, &value))
		n++;
	CHECK_INT(1, n, 2);
	policy_vars_unchanged(&v);
	CHECK(2, !v.is_changed);
	policy_vars_fini(&copy);
}

TEST(foreign_bytes_are_checked_whole)
{
	struct policy_vars copy = { 0 };
	struct str packed, cut;

	CHECK(0, set_text("a", STR("12")));
	CHECK(0, policy_vars_set(&v, STR("b"),
				 &(struct policy_var){ .type = VAR_BOOLEAN, .integer = 1 }));
	CHECK(0,
	      policy_vars_set(&v, STR("l"),
			      &(struct policy_var){ .type = VAR_LIST, .text = STR("\1\0\0\0x") }));
	packed = policy_vars_packed(&v);
	for (size_t n = 0; n < packed.n; n++) {
		bool whole = n == 0 || n == 9 || n == 17;

		cut = heap_copy(str_head(packed, n));
		CHECK_INT(n, policy_vars_unpack(&copy, cut), whole);
		CHECK(n, whole || (copy.count == 0 && policy_vars_packed(&copy).n == 0));
		heap_free(cut);
	}
	for (size_t i = 0; i < packed.n; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			char *p;

			cut = heap_copy(packed);
			p = (char *)(uintptr_t)cut.p;
			p[i] = (char)(p[i] ^ 1 << bit);
			if (policy_vars_unpack(&copy, cut))
				CHECK(i, copy.count >= 1 &&
						 copy.count <= 3); /* one may swallow the next */
			heap_free(cut);
		}
	CHECK(1, !policy_vars_unpack(&copy, STR("\4\1\1\0\0\0a\2"))); /* a boolean of 2 */
	CHECK(2,
	      !policy_vars_unpack(&copy, STR("\4\1\1\0\0\0a\1\4\1\1\0\0\0a\1"))); /* a name twice */
	CHECK(3, !policy_vars_unpack(&copy, STR("\2\1\1\0\0\0a\1"))); /* a short integer */
	CHECK(4, !policy_vars_unpack(&copy, STR("\0\1\0\0\0\0a")));   /* no type */
	CHECK(5, !policy_vars_unpack(&copy, STR("\6\1\0\0\0\0a")));   /* no known type */
	policy_vars_fini(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(values_come_back_as_they_were_set), T(setting_again_replaces_and_none_removes),
		T(beyond_a_bound_nothing_changes),    T(packed_bytes_make_the_same_vars),
		T(foreign_bytes_are_checked_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
