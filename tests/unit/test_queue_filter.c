#include "queue_filter.h"

#include "check.h"
#include "policy_vars.h"

static const struct {
	struct str word, why; /* why: empty: it is a term */
} words[] = {
	{ STR("from~@news"), STR("") },
	{ STR("state=held"), STR("") },
	{ STR("age>2h"), STR("") },
	{ STR("age<90"), STR("") },
	{ STR("size>10KiB"), STR("") },
	{ STR("size>1m"), STR("") },
	{ STR("attempts=3"), STR("") },
	{ STR("vars.a.b=c"), STR("") },
	{ STR("reason~a=b"), STR("") },
	{ STR("frm~x"),
	  STR("`frm~x`: at 1: expected a field, and `frm` is none; did you mean `from`?") },
	{ STR("x"), STR("`x`: at 1: expected a field, and `x` is none; did you mean `to`?") },
	{ STR("colour=red"),
	  STR("`colour=red`: at 1: expected a field: state destination reason bucket "
	      "age attempts from to domain size vars.NAME") },
	{ STR("vars.=1"),
	  STR("`vars.=1`: at 1: expected a field, and `vars.` is none; did you mean "
	      "`vars.`?") },
	{ STR("from"), STR("`from`: at 5: expected =, ~, > or <, and a value") },
	{ STR("from>x"), STR("`from>x`: at 5: expected = or ~") },
	{ STR("age~2h"), STR("`age~2h`: at 4: expected =, > or <") },
	{ STR("from="), STR("`from=`: at 6: expected a value") },
	{ STR("age>soon"), STR("`age>soon`: at 5: expected a time like 90s, 15m, 2h or 3d") },
	{ STR("age>99999999999"),
	  STR("`age>99999999999`: at 5: expected a time like 90s, 15m, 2h or 3d") },
	{ STR("size<2days"), STR("`size<2days`: at 6: expected a size like 500, 10KiB or 2MiB") },
	{ STR(""), STR("``: at 1: expected a field, and `` is none; did you mean `to`?") },
};

TEST(a_term_is_understood_or_its_fault_is_named_with_its_place)
{
	for (size_t i = 0; i < COUNT(words); i++) {
		struct queue_filter f = { .n = 0 };
		char why[QUEUE_FILTER_WHY] = "";

		CHECK_INT(i, queue_filter_add(&f, words[i].word, why), words[i].why.n == 0);
		CHECK_STR(i, str_of(why), words[i].why);
		CHECK_INT(i, f.n, words[i].why.n == 0);
	}
}

TEST(no_more_terms_are_taken_than_have_room)
{
	static char big[QUEUE_TERM_TEXT + 1];
	struct queue_filter f = { .n = 0 };
	char why[QUEUE_FILTER_WHY];

	memset(big, 'x', sizeof big);
	memcpy(big, "from~", 5);
	assert_false(queue_filter_add(&f, (struct str){ big, sizeof big }, why));
	for (unsigned i = 0; i < QUEUE_TERMS; i++)
		assert_true(queue_filter_add(&f, (struct str){ big, QUEUE_TERM_TEXT }, why));
	assert_false(queue_filter_add(&f, STR("age>1"), why));
}

static bool takes(const char *terms)
{
	static const struct queue_way ways[] = { { STR("waiting"), STR("smtp:10.0.0.1:25"), 4 },
						 { STR("held"), STR("-"), 0 } };
	struct envelope_rcpt rcpts[] = { { .address = STR("Anna@example.org") },
					 { .address = STR("bob@sub.example.net") } };
	struct envelope e = { .sender = STR("list+17@news.example"), .rcpts = rcpts, .nrcpts = 2 };
	struct queue_brief b = { ways, 2, STR("4.4.1 Connection refused"), STR("spam"), 7200 };
	struct policy_var text = { VAR_STRING, STR("Spring"), 0, 0 },
			  number = { .type = VAR_INTEGER, .integer = 7 };
	struct policy_vars vars = { .count = 0 };
	struct queue_filter f = { .n = 0 };
	struct str rest = str_of(terms), word;
	char why[QUEUE_FILTER_WHY];
	struct queue_deep d = { &e, STR_NONE, 10240 };
	bool result;

	policy_vars_init(&vars);
	assert_true(policy_vars_set(&vars, STR("campaign"), &text));
	assert_true(policy_vars_set(&vars, STR("score"), &number));
	d.vars = policy_vars_packed(&vars);
	while (rest.n) {
		if (!str_take(&rest, ' ', &word)) {
			word = rest;
			rest.n = 0;
		}
		if (!queue_filter_add(&f, word, why))
			fail_msg("%s", why);
	}
	result = queue_filter_takes(&f, &b) && queue_filter_takes_deep(&f, &d);
	policy_vars_fini(&vars);
	return result;
}

static const struct {
	const char *terms;
	bool want;
} filters[] = {
	{ "", true },
	{ "from~news", true },
	{ "from=list+17@NEWS.example", true },
	{ "from=news.example", false },
	{ "to~bob", true },
	{ "to~carl", false },
	{ "domain=example.org", true },
	{ "domain=example.net", false },
	{ "domain~example.net", true },
	{ "state=waiting", true },
	{ "state=wait", false },
	{ "state=waiting destination~10.0.0.", true },
	{ "state=held destination~10.0.0.", false }, /* no way of it is both */
	{ "attempts>3", true },
	{ "attempts>4", false },
	{ "state=held attempts=0", true },
	{ "age>1h", true },
	{ "age>2h", false },
	{ "age<2h", false },
	{ "age=2h", true },
	{ "reason~REFUSED bucket=spam", true },
	{ "reason~refused bucket=virus", false },
	{ "size=10KiB", true },
	{ "size>10KiB", false },
	{ "vars.campaign=spring", true },
	{ "vars.campaign~prin", true },
	{ "vars.score=7", true },
	{ "vars.score=8", false },
	{ "vars.other=7", false },
	{ "from~news to~anna age>1h reason~4.4.1 vars.score=7 size<1MiB", true },
	{ "from~news to~anna age>1h reason~4.4.1 vars.score=7 size<1KiB", false },
};

TEST(all_terms_must_be_true)
{
	for (size_t i = 0; i < COUNT(filters); i++)
		CHECK_INT(i, takes(filters[i].terms), filters[i].want);
}

TEST(only_what_the_index_does_not_know_makes_a_filter_deep)
{
	struct queue_filter f = { .n = 0 };
	char why[QUEUE_FILTER_WHY];

	assert_true(queue_filter_add(&f, STR("state=held"), why));
	assert_true(queue_filter_add(&f, STR("age>1"), why));
	assert_false(f.is_deep);
	assert_true(queue_filter_add(&f, STR("domain=x"), why));
	assert_true(f.is_deep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_term_is_understood_or_its_fault_is_named_with_its_place),
		cmocka_unit_test(no_more_terms_are_taken_than_have_room),
		cmocka_unit_test(all_terms_must_be_true),
		cmocka_unit_test(only_what_the_index_does_not_know_makes_a_filter_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
