#include "header.h"

#include "corpus.h"

/* ---- where it ends */

/* clang-format off */
static const struct { struct str message; size_t end, body; unsigned fields; } ends[] = {
	{ STR("A: b\r\n\r\nbody"),              6,  8, 1 },
	{ STR("A: b\r\nC: d\r\n\r\n"),         12, 14, 2 },
	{ STR("A: b\r\n c\r\n\td\r\n\r\nx"),   14, 16, 1 },     /* folds */
	{ STR("A : b\r\n\r\n"),                 7,  9, 1 },     /* RFC 5322 4.5: blanks before the colon */
	{ STR("A:\r\n\r\n"),                    4,  6, 1 },
	{ STR("A: b\r\n \r\n\r\n"),             9, 11, 1 },     /* a blank line with a blank is a fold */
	{ STR("\r\nA: b\r\n"),                  0,  2, 0 },     /* an empty header */
	{ STR("no field\r\nA: b\r\n\r\n"),      0,  0, 0 },     /* no header at all */
	{ STR(" fold first\r\n\r\n"),           0,  0, 0 },
	{ STR(": no name\r\n\r\n"),             0,  0, 0 },
	{ STR("From joe Mon Jan  1\r\nA: b\r\n\r\n"), 0, 0, 0 },
	{ STR("A: b\r\nno field\r\n\r\n"),      6,  6, 1 },     /* the body begins at the line that is no field */
	{ STR("A: b\r\nno\xff: field\r\n\r\n"), 6,  6, 1 },
	{ STR("A: b\r\n\rC: d\r\n\r\n"),        6,  6, 1 },
	{ STR("A: b\nC: d\r\n\r\n"),           11, 13, 1 },     /* a bare LF ends no line */
	{ STR("A: b\rC: d\r\n\r\n"),           11, 13, 1 },
	{ STR("A: b\r\nB"),                     6,  6, 1 },     /* ends in the middle of a name */
	{ STR("A: b\r\nB: c"),                 10, 10, 2 },     /* ends in the middle of a field */
	{ STR("A: b\r\n c"),                    8,  8, 1 },
	{ STR("A: b\r\n\r"),                    6,  6, 1 },
	{ STR("A: b"),                          4,  4, 1 },
	{ STR(""),                              0,  0, 0 },
};
/* clang-format on */

static enum step scan_in_steps(struct header_scan *s, struct str message, size_t by)
{
	enum step step = STEP_MORE;

	header_scan_init(s);
	for (size_t n = 0; step == STEP_MORE && n < message.n; n += by) {
		struct str so_far = heap_copy(str_head(message, n));

		step = header_scan(s, so_far);
		heap_free(so_far);
	}
	return step == STEP_MORE ? header_scan_finish(s, message) : step;
}

TEST(the_end_is_found_however_the_bytes_arrive)
{
	for (size_t i = 0; i < COUNT(ends); i++) {
		for (size_t by = 1; by <= ends[i].message.n + 1; by++) {
			struct header_scan s;

			CHECK_INT(i, scan_in_steps(&s, ends[i].message, by), STEP_DONE);
			CHECK_INT(i, s.end, ends[i].end);
			CHECK_INT(i, s.body, ends[i].body);
			CHECK_INT(i, s.fields, ends[i].fields);
		}
	}
}

static struct str repeat(struct str unit, size_t times, struct str last)
{
	struct buf b;

	buf_init(&b, unit.n * times + last.n);
	for (size_t i = 0; i < times; i++)
		assert_true(buf_add(&b, unit));
	assert_true(buf_add(&b, last));
	return buf_str(&b);
}

static void check_scan(size_t row, struct str message, enum step want, enum header_fault fault)
{
	static const size_t bys[] = { 1000000, 65536, 4097 };

	for (size_t i = 0; i < COUNT(bys); i++) {
		struct header_scan s;

		CHECK_INT(row, scan_in_steps(&s, message, bys[i]), want);
		CHECK_INT(row, s.fault, fault);
	}
	heap_free(message);
}

TEST(fields_and_bytes_have_their_limits)
{
	struct str end = STR("\r\nbody\r\n");
	struct str long_line =
		STR("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");

	check_scan(0, repeat(STR("A: b\r\n"), HEADER_FIELDS, end), STEP_DONE, HEADER_OK);
	check_scan(1, repeat(STR("A: b\r\n"), HEADER_FIELDS + 1, end), STEP_ERROR,
		   HEADER_MANY_FIELDS);
	check_scan(2, repeat(STR("A: 56789abcdef\r\n 23456789abcdef\r\n"), HEADER_BLOCK / 32, end),
		   STEP_ERROR, HEADER_MANY_FIELDS);
	check_scan(3,
		   repeat(STR("X: 3456789abcdef\r\n "
			      "3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n"
			      " 3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef012345"
			      "6789abcdef\r\n"
			      " 3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef012345"
			      "6789abcdef\r\n"
			      " 3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef012345"
			      "6789abcdef\r\n"),
			  900, end),
		   STEP_ERROR, HEADER_BIG);
	/* A body without a header and without a line end is none of the header's business. */
	check_scan(4, repeat(long_line, HEADER_BLOCK / 32, end), STEP_DONE, HEADER_OK);
}

/* A name that has no colon within a line's limit is none, whether or not the colon has arrived yet. */
TEST(an_endless_name_is_a_body)
{
	for (size_t n = HEADER_LINE - 1; n <= HEADER_LINE; n++) {
		struct str message = repeat(STR("x"), n, STR(":\r\n\r\n"));
		struct header_scan s;

		CHECK_INT(n, scan_in_steps(&s, message, 1), STEP_DONE);
		CHECK_INT(n, s.fields, n < HEADER_LINE);
		header_scan_init(&s);
		CHECK_INT(n, header_scan(&s, str_head(message, n)),
			  n < HEADER_LINE ? STEP_MORE : STEP_DONE);
		heap_free(message);
	}
}

TEST(long_lines_are_counted_not_refused)
{
	struct str value = repeat(STR("x"), HEADER_LINE, STR_NONE);
	struct header_scan s;
	struct buf b;

	buf_init(&b, 8192);
	assert_true(buf_printf(&b, "A:%.*s\r\nB: short\r\n\r\n", STR_ARG(value)));
	header_scan_init(&s);
	assert_int_equal(header_scan(&s, buf_str(&b)), STEP_DONE);
	assert_int_equal(s.long_lines, 1);
	assert_int_equal(s.fields, 2);
	buf_reset(&b);
	assert_true(buf_printf(&b, "A:%.*s\r\n\r\n", STR_ARG(str_head(value, HEADER_LINE - 2))));
	header_scan_init(&s);
	assert_int_equal(header_scan(&s, buf_str(&b)), STEP_DONE);
	assert_int_equal(s.long_lines, 0);
	buf_fini(&b);
	heap_free(value);
}

/* ---- what is in it */

static const struct str block =
	STR("Received: one\r\nSubject : =?x?=\r\n folded\r\n\t twice \r\nreceived: two\r\nX:\r\n");

TEST(fields_come_out_one_by_one)
{
	static const struct {
		struct str name, value;
	} want[] = {
		{ STR("Received"), STR(" one") },
		{ STR("Subject"), STR(" =?x?=\r\n folded\r\n\t twice ") },
		{ STR("received"), STR(" two") },
		{ STR("X"), STR("") },
	};
	struct str rest = block;
	struct header_field field;
	size_t total = 0;

	for (size_t i = 0; i < COUNT(want); i++) {
		CHECK(i, header_take(&rest, &field));
		CHECK_STR(i, field.name, want[i].name);
		CHECK_STR(i, field.value, want[i].value);
		total += field.whole.n;
	}
	assert_false(header_take(&rest, &field));
	assert_int_equal(total, block.n);
}

TEST(fields_are_found_by_name_and_number)
{
	struct header_field field;

	assert_true(header_find(block, STR("RECEIVED"), 2, &field));
	CHECK_STR(0, field.value, STR(" two"));
	assert_false(header_find(block, STR("Received"), 3, &field));
	assert_false(header_find(block, STR("Received"), 0, &field));
	assert_false(header_find(block, STR("Receive"), 1, &field));
	assert_int_equal(header_count(block, STR("received")), 2);
	assert_int_equal(header_hops(block), 2);
	assert_int_equal(header_count(STR_NONE, STR("x")), 0);
}

TEST(unfolding_removes_line_ends_and_nothing_else)
{
	static const struct {
		struct str value, want;
	} table[] = {
		{ STR(" =?x?=\r\n folded\r\n\t twice "), STR("=?x?= folded\t twice") },
		{ STR("  plain  text "), STR("plain  text") },
		{ STR(""), STR("") },
		{ STR("\r\n x"), STR("x") },
		{ STR(" a\nb"), STR("a\nb") },
	};
	struct arena a;

	arena_init(&a, 1024);
	for (size_t i = 0; i < COUNT(table); i++)
		CHECK_STR(i, header_unfold(&a, table[i].value), table[i].want);
	arena_fini(&a);
	arena_init(&a, 8);
	assert_null(header_unfold(&a, STR("long enough")).p);
	arena_fini(&a);
}

/* ---- a new one */

TEST(names_and_values_are_checked)
{
	static const struct {
		struct str text;
		bool name, value;
	} table[] = {
		{ STR("X-Spam"), true, true },
		{ STR("a b"), false, true },
		{ STR("a:"), false, true },
		{ STR(""), false, true },
		{ STR("a\r\nb"), false, false },
		{ STR("a\rb"), false, false },
		{ STR("a\nb"), false, false },
		{ STR("a\0b"), false, false },
		{ STR("a\tb"), false, true },
		{ STR("a\x1b"), false, false },
		{ STR("\xc3\xbc"), false, true },
		{ STR("a\x7f"), false, false },
		{ STR("!#$%&'*+-/=?^_`{|}~"), true, true },
	};
	struct str word = repeat(STR("x"), 1000, STR_NONE);

	for (size_t i = 0; i < COUNT(table); i++) {
		CHECK_INT(i, header_name_is_valid(table[i].text), table[i].name);
		CHECK_INT(i, header_value_is_valid(table[i].text), table[i].value);
	}
	assert_true(header_name_is_valid(str_head(word, HEADER_NAME)));
	assert_false(header_name_is_valid(str_head(word, HEADER_NAME + 1)));
	assert_true(header_value_is_valid(str_head(word, 900)));
	assert_false(header_value_is_valid(word));
	heap_free(word);
}

/* Whatever is written unfolds to what was given, in lines that SMTP carries. */
TEST(what_is_written_is_read_back)
{
	static const struct str words[] = { STR("a"), STR("  bb"), STR("\tccc"),
					    STR(" dddddddddddddddddddddddddddddddddd") };
	struct arena a;
	struct buf value, out;

	arena_init(&a, 1 << 20);
	buf_init(&value, 100000);
	buf_init(&out, 200000);
	for (size_t i = 0; i < 60; i++) {
		struct header_field field;
		struct str rest;

		assert_true(buf_add(&value, words[(i * 7 + i / 3) % COUNT(words)]));
		buf_reset(&out);
		assert_true(header_value_is_valid(buf_str(&value)));
		assert_true(header_write(&out, STR("X-Test"), buf_str(&value)));
		rest = buf_str(&out);
		for (struct str line; rest.n;) {
			CHECK(i, str_take(&rest, '\n', &line));
			CHECK(i, line.n - 1 <= HEADER_WIDTH);
			CHECK(i, str_trim(line).n > 0);
		}
		rest = buf_str(&out);
		assert_true(header_take(&rest, &field));
		assert_int_equal(rest.n, 0);
		CHECK_STR(i, header_unfold(&a, field.value), str_trim(buf_str(&value)));
	}
	buf_fini(&value);
	buf_fini(&out);
	arena_fini(&a);
}

static bool same(struct str got, const char *want)
{
	return str_eq(got, str_of(want));
}

#define ADD(k, n, v)                                                                               \
	{                                                                                          \
		.kind = HEADER_ADD_##k, .name = STR(n), .value = STR(v)                            \
	}
#define REMOVE(n, i)                                                                               \
	{                                                                                          \
		.kind = HEADER_REMOVE, .name = STR(n), .nth = i                                    \
	}
#define REPLACE(n, i, v)                                                                           \
	{                                                                                          \
		.kind = HEADER_REPLACE, .name = STR(n), .value = STR(v), .nth = i                  \
	}

TEST(edits_are_applied_in_one_fixed_order)
{
	/* clang-format off */
	static const struct { const char *block; struct header_edit edits[4]; unsigned n; const char *want; } table[] = {
		{ "A: 1\r\nB: 2\r\n", { { 0 } }, 0, "A: 1\r\nB: 2\r\n" },
		{ "A: 1\r\n", { ADD(TOP, "X", "x"), ADD(TOP, "Y", "y"), ADD(END, "Z", "z"), ADD(END, "W", "w") }, 4,
		  "Y: y\r\nX: x\r\nA: 1\r\nZ: z\r\nW: w\r\n" },
		{ "A: 1\r\na: 2\r\n\tfold\r\nA: 3\r\n", { REMOVE("A", 2) }, 1, "A: 1\r\nA: 3\r\n" },
		{ "A: 1\r\nB: 2\r\nA: 3\r\n", { REMOVE("a", 0) }, 1, "B: 2\r\n" },
		{ "A: 1\r\nA: 2\r\nA: 3\r\n", { REMOVE("A", 1), REMOVE("A", 2) }, 2, "A: 3\r\n" },      /* numbers of the original */
		{ "A: 1\r\nA: 2\r\n", { REPLACE("A", 2, "x") }, 1, "A: 1\r\nA: x\r\n" },
		{ "A: 1\r\n", { REPLACE("A", 2, "x") }, 1, "A: 1\r\n" },
		{ "B: 0\r\nA: 1\r\nB: 9\r\nA: 2\r\n", { REPLACE("A", 0, "x") }, 1, "B: 0\r\nA: x\r\nB: 9\r\n" },
		{ "B: 0\r\n", { REPLACE("A", 0, "x") }, 1, "B: 0\r\nA: x\r\n" },
		{ "B: 0\r\n", { REPLACE("A", 0, "x"), REPLACE("A", 0, "y") }, 2, "B: 0\r\nA: y\r\n" },  /* the last word counts */
		{ "B: 0\r\n", { REPLACE("A", 0, "x"), REMOVE("A", 0) }, 2, "B: 0\r\n" },
		{ "A: 1\r\n", { REPLACE("A", 0, "x"), REMOVE("A", 1) }, 2, "" },
		{ "A: 1\r\n", { REMOVE("A", 1), REPLACE("A", 0, "x") }, 2, "A: x\r\n" },
		{ "A: 1\r\n", { ADD(TOP, "A", "0"), REMOVE("A", 0), ADD(END, "A", "2") }, 3, "A: 0\r\nA: 2\r\n" },
		{ "", { ADD(END, "A", "1") }, 1, "A: 1\r\n" },
		{ "A: 1", { ADD(END, "B", "2") }, 1, "A: 1\r\nB: 2\r\n" },                              /* it ended without CRLF */
		{ "A: 1", { REMOVE("B", 0) }, 1, "A: 1" },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(table); i++) {
		struct header_edit edits[4];
		struct buf out;

		for (int again = 0; again < 2;
		     again++) { /* the same edits serve every copy of a message */
			memcpy(edits, table[i].edits, sizeof edits);
			for (unsigned k = 0; k + 1 < table[i].n; k++)
				edits[k].next = &edits[k + 1];
			edits[0].seen = (unsigned)again * 7;
			buf_init(&out, 1024);
			CHECK(i,
			      header_edit(str_of(table[i].block), table[i].n ? edits : NULL, &out));
			if (!same(buf_str(&out), table[i].want))
				fail_msg("row %zu: '%.*s'", i, STR_ARG(buf_str(&out)));
			buf_fini(&out);
		}
	}
}

TEST(an_edit_that_does_not_fit_says_so)
{
	struct header_edit edit = ADD(TOP, "X", "x");
	struct buf out;

	for (size_t max = 0; max < 12; max++) {
		buf_init(&out, max);
		CHECK_INT(max, header_edit(STR("A: 1\r\n"), &edit, &out), max >= 12);
		buf_fini(&out);
	}
}

/* ---- corpora */

static void walk(const char *path, struct str bytes)
{
	struct str message = corpus_crlf(bytes), rest, whole;
	struct header_scan s, in_steps;
	struct header_field field;
	unsigned fields = 0;
	struct buf out;

	header_scan_init(&s);
	if (header_scan(&s, message) == STEP_MORE)
		assert_int_equal(header_scan_finish(&s, message), STEP_DONE);
	if (s.fault != HEADER_OK)
		fail_msg("%s: a limit was reached", path);
	assert_int_equal(scan_in_steps(&in_steps, str_head(message, s.body + 100), 101), STEP_DONE);
	assert_int_equal(in_steps.body, s.body);
	assert_int_equal(in_steps.end, s.end);
	rest = whole = str_head(message, s.end);
	for (; header_take(&rest, &field); fields++)
		if (field.name.n == 0)
			fail_msg("%s: a field without a name", path);
	assert_int_equal(fields, s.fields);
	buf_init(&out, message.n + 1);
	assert_true(header_edit(whole, NULL, &out));
	if (!str_eq(buf_str(&out), whole))
		fail_msg("%s: not the same block", path);
	buf_fini(&out);
	heap_free(message);
}

TEST(every_message_of_the_corpora_keeps_its_header)
{
	size_t n = corpus_each(CORPUS_ROOT "mail-spamassassin-public", walk);

	if (n == 0)
		corpus_missing("mail-spamassassin-public");
	n += corpus_each(CORPUS_ROOT "mime-mimekit", walk);
	assert_true(n > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_is_found_however_the_bytes_arrive),
		cmocka_unit_test(fields_and_bytes_have_their_limits),
		cmocka_unit_test(an_endless_name_is_a_body),
		cmocka_unit_test(long_lines_are_counted_not_refused),
		cmocka_unit_test(fields_come_out_one_by_one),
		cmocka_unit_test(fields_are_found_by_name_and_number),
		cmocka_unit_test(unfolding_removes_line_ends_and_nothing_else),
		cmocka_unit_test(names_and_values_are_checked),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(edits_are_applied_in_one_fixed_order),
		cmocka_unit_test(an_edit_that_does_not_fit_says_so),
		cmocka_unit_test(every_message_of_the_corpora_keeps_its_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
