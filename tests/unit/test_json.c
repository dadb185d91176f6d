#include "json.h"

#include "check.h"

#include <float.h>
#include <math.h>

static struct buf out;

static int begin(void **state)
{
	(void)state;
	buf_init(&out, 4096);
	return 0;
}

static int end(void **state)
{
	(void)state;
	buf_fini(&out);
	return 0;
}

TEST(commas_and_brackets_place_themselves)
{
	struct json j;

	json_init(&j, &out);
	json_open(&j, NULL, '{');
	json_str(&j, "a", STR("x"));
	json_open(&j, "b", '[');
	json_int(&j, NULL, -1);
	json_open(&j, NULL, '{');
	json_close(&j, '}');
	json_bool(&j, NULL, true);
	json_close(&j, ']');
	json_raw(&j, "c", STR("null"));
	json_close(&j, '}');
	CHECK_STR(0, buf_str(&out), STR("{\"a\":\"x\",\"b\":[-1,{},true],\"c\":null}"));
	assert_false(j.full);
}

TEST(no_string_breaks_its_line_or_a_terminal)
{
	/* clang-format off */
	static const struct { struct str in, want; } table[] = {
		{ STR("plain"),            STR("plain") },
		{ STR("\"\\"),             STR("\\\"\\\\") },
		{ STR("\r\n\t"),           STR("\\r\\n\\t") },
		{ STR("\0\1\x1b[2J\x7f"),  STR("\\u0000\\u0001\\u001b[2J\\u007f") },
		{ STR("\xc2\x9b" "x"),     STR("\\u009bx") },                   /* CSI in one C1 byte */
		{ STR("gr\xc3\xbc\xc3\x9f"), STR("gr\xc3\xbc\xc3\x9f") },
		{ STR("\xe2\x80\xa8\xe2\x80\xa9"), STR("\\u2028\\u2029") },
		{ STR("\xe2\x80\xae\xe2\x81\xa6"), STR("\\u202e\\u2066") },     /* turns the text around */
		{ STR("\xf0\x9f\x8c\x99"), STR("\xf0\x9f\x8c\x99") },
		{ STR("\xff"),             STR("\\ufffd") },
		{ STR("\xc3"),             STR("\\ufffd") },                    /* cut short */
		{ STR("\xc3("),            STR("\\ufffd(") },
		{ STR("\xc0\xaf"),         STR("\\ufffd\\ufffd") },             /* longer than need be */
		{ STR("\xe0\x80\xaf"),     STR("\\ufffd\\ufffd\\ufffd") },
		{ STR("\xed\xa0\x80"),     STR("\\ufffd\\ufffd\\ufffd") },      /* a surrogate */
		{ STR("\xf4\x90\x80\x80"), STR("\\ufffd\\ufffd\\ufffd\\ufffd") }, /* beyond Unicode */
		{ STR("\xf8\x88\x80\x80\x80"), STR("\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd") },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(table); i++) {
		struct str in = heap_copy(table[i].in), got;
		struct json j;

		buf_reset(&out);
		json_init(&j, &out);
		json_str(&j, NULL, in);
		got = buf_str(&out);
		CHECK(i, got.n >= 2 && got.p[0] == '"' && got.p[got.n - 1] == '"');
		CHECK_STR(i, str_head(str_drop(got, 1), got.n - 2), table[i].want);
		heap_free(in);
	}
}

TEST(a_long_string_comes_out_whole)
{
	char text[1000];
	struct json j;

	memset(text, 'x', sizeof text);
	text[500] = '\n';
	json_init(&j, &out);
	json_str(&j, NULL, (struct str){ text, sizeof text });
	assert_int_equal(buf_len(&out), sizeof text + 3);
}

TEST(keys_are_escaped_too)
{
	struct json j;

	json_init(&j, &out);
	json_open(&j, NULL, '{');
	json_bool(&j, "a\"\n", false);
	json_close(&j, '}');
	CHECK_STR(0, buf_str(&out), STR("{\"a\\\"\\n\":false}"));
}

TEST(numbers_read_back_as_they_were)
{
	static const double values[] = { 0.1,        -0.1,    1.5,     1e21, 1e-7,
					 DBL_MAX,    DBL_MIN, 1.0 / 3, 0.25, 123.456,
					 1e15 + 0.5, -2e-300, 0.00125, 4e15, 1790000000.125,
					 5e-324 };

	for (size_t i = 0; i < COUNT(values); i++) {
		char text[64];
		struct json j;

		buf_reset(&out);
		json_init(&j, &out);
		json_num(&j, NULL, values[i]);
		str_copy(text, sizeof text, buf_str(&out));
		CHECK(i, strtod(text, NULL) == values[i]);
	}
}

TEST(numbers_look_as_people_write_them)
{
	static const struct {
		double value;
		struct str want;
	} table[] = {
		{ 0, STR("0") },         { -3, STR("-3") },
		{ 0.5, STR("0.5") },     { 1.25, STR("1.25") },
		{ 1e6, STR("1000000") }, { 0.001, STR("0.001") },
		{ 12.5, STR("12.5") },   { 1.5e-9, STR("1.5e-9") },
		{ 1e300, STR("1e300") }, { -0.0625, STR("-0.0625") },
		{ NAN, STR("null") },    { -INFINITY, STR("null") },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct json j;

		buf_reset(&out);
		json_init(&j, &out);
		json_num(&j, NULL, table[i].value);
		CHECK_STR(i, buf_str(&out), table[i].want);
	}
}

TEST(integers_have_their_whole_range)
{
	struct json j;

	json_init(&j, &out);
	json_open(&j, NULL, '[');
	json_int(&j, NULL, INT64_MIN);
	json_int(&j, NULL, INT64_MAX);
	json_close(&j, ']');
	CHECK_STR(0, buf_str(&out), STR("[-9223372036854775808,9223372036854775807]"));
}

TEST(time_is_rfc_3339_in_utc)
{
	struct json j;

	json_init(&j, &out);
	json_time(&j, NULL, UINT64_C(1795518555007999));
	CHECK_STR(0, buf_str(&out), STR("\"2026-11-24T11:09:15.007Z\""));
}

TEST(a_value_that_does_not_fit_leaves_nothing_behind)
{
	for (size_t max = 1; max < 40; max++) {
		struct buf small;
		struct json j;

		buf_init(&small, max);
		json_init(&j, &small);
		json_open(&j, NULL, '{');
		json_str(&j, "key", STR("a\nb"));
		json_int(&j, "n", 123456);
		json_close(&j, '}');
		if (max < 13)
			CHECK_STR(max, buf_str(&small), STR("{"));
		else if (max < 24)
			CHECK_STR(max, str_head(buf_str(&small), 13), STR("{\"key\":\"a\\nb\""));
		CHECK_INT(max, j.full, max < 25);
		buf_fini(&small);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(commas_and_brackets_place_themselves, begin, end),
		cmocka_unit_test_setup_teardown(no_string_breaks_its_line_or_a_terminal, begin,
						end),
		cmocka_unit_test_setup_teardown(a_long_string_comes_out_whole, begin, end),
		cmocka_unit_test_setup_teardown(keys_are_escaped_too, begin, end),
		cmocka_unit_test_setup_teardown(numbers_read_back_as_they_were, begin, end),
		cmocka_unit_test_setup_teardown(numbers_look_as_people_write_them, begin, end),
		cmocka_unit_test_setup_teardown(integers_have_their_whole_range, begin, end),
		cmocka_unit_test_setup_teardown(time_is_rfc_3339_in_utc, begin, end),
		cmocka_unit_test(a_value_that_does_not_fit_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
