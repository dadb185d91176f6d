#include "log.h"

#include "check.h"

#include <errno.h>

static char caught[LOG_LINE + 1];
static size_t caught_n;
static unsigned lines;

static bool catch (void *owner, struct str line)
{
	assert_ptr_equal(owner, &lines);
	assert_true(line.n <= LOG_LINE);
	caught_n = str_copy(caught, sizeof caught, line);
	lines++;
	return true;
}

static int begin(void **state)
{
	(void)state;
	log_init("edge", 3, LOG_LEVEL_INFO);
	log_sink(catch, &lines);
	lines = 0;
	return 0;
}

/* The time differs from run to run: what follows it does not. */
static struct str behind_time(void)
{
	struct str s = { caught, caught_n };

	assert_true(str_has_prefix(s, STR("{\"time\":\"20")));
	return str_drop(s, sizeof "{\"time\":\"2026-11-24T11:09:15.007Z\"," - 1);
}

TEST(a_line_begins_with_time_level_event_and_role)
{
	json_str(log_open(LOG_LEVEL_WARN, "rcpt.refused"), "rcpt", STR("a\nb"));
	log_close();
	assert_int_equal(lines, 1);
	CHECK_STR(0, behind_time(),
		  STR("\"level\":\"warn\",\"event\":\"rcpt.refused\",\"role\":\"edge\",\"index\":3,"
		      "\"rcpt\":\"a\\nb\"}\n"));
}

TEST(lines_below_the_lowest_level_cost_nothing_and_go_nowhere)
{
	struct json *j = log_open(LOG_LEVEL_DEBUG, "x");

	json_open(j, "o", '{');
	json_int(j, "n", 1);
	json_close(j, '}');
	log_close();
	assert_int_equal(lines, 0);
}

TEST(a_fault_is_logged_with_its_number)
{
	struct fault why;

	errno = ENOENT;
	fault_sys(&why, "open x");
	log_fault(LOG_LEVEL_ERROR, "spool.fault", "segment 7", &why);
	CHECK_STR(0, behind_time(),
		  STR("\"level\":\"error\",\"event\":\"spool.fault\",\"role\":\"edge\",\"index\":3,"
		      "\"text\":\"segment 7\","
		      "\"fault\":\"open x: No such file or directory\",\"errno\":2}\n"));
	log_fault(LOG_LEVEL_ERROR, "x", "no fault", NULL);
	assert_int_equal(lines, 2);
}

/* balanced - a JSON object on one line, as far as brackets and quotes tell */
static bool is_balanced(struct str s)
{
	int depth = 0;
	bool quoted = false;

	if (!str_has_suffix(s, STR("}\n")))
		return false;
	for (size_t i = 0; i < s.n - 1; i++) {
		char c = s.p[i];

		if (c == '\n')
			return false;
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted)
			depth += (c == '{' || c == '[') - (c == '}' || c == ']');
	}
	return depth == 0 && !quoted;
}

TEST(a_line_that_is_too_long_is_cut_marked_and_still_json)
{
	static char text[1000];

	memset(text, '"', sizeof text); /* each byte takes two */
	for (size_t n = 1; n < sizeof text; n += 83) {
		struct json *j = log_open(LOG_LEVEL_INFO, "x");

		for (int i = 0; i < 100; i++) {
			json_open(j, "o", '{');
			json_open(j, "a", '[');
			json_open(j, NULL, '{');
			for (int k = 0; k < 10; k++)
				json_str(j, "s", (struct str){ text, n });
			json_close(j, '}');
			json_close(j, ']');
			json_close(j, '}');
		}
		log_close();
		CHECK(n, is_balanced((struct str){ caught, caught_n }));
		CHECK_INT(n,
			  str_has_suffix((struct str){ caught, caught_n }, STR(",\"cut\":true}\n")),
			  n > 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_begins_with_time_level_event_and_role, begin),
		cmocka_unit_test_setup(lines_below_the_lowest_level_cost_nothing_and_go_nowhere,
				       begin),
		cmocka_unit_test_setup(a_fault_is_logged_with_its_number, begin),
		cmocka_unit_test_setup(a_line_that_is_too_long_is_cut_marked_and_still_json, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
