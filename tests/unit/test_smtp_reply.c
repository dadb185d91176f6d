#include "check.h"
#include "smtp_reply.h"

static const struct {
	int code;
	struct str esc, text, want;
} written[] = {
	{ 250, STR("2.0.0"), STR("ok"), STR("250 2.0.0 ok\r\n") },
	{ 250, STR(""), STR("ok"), STR("250 ok\r\n") },
	{ 250, STR("2.1.5"), STR(""), STR("250 2.1.5 \r\n") },
	{ 354, STR("2.0.0"), STR("go on"), STR("354 go on\r\n") },
	{ 550, STR("5.7.1"), STR("a\nb"), STR("550-5.7.1 a\r\n550 5.7.1 b\r\n") },
	{ 550, STR("5.7.1"), STR("a\r\n"), STR("550 5.7.1 a\r\n") },
	{ 550, STR("5.7.1"), STR("\n"), STR("550 5.7.1 \r\n") },
	{ 450, STR("5.7.1"), STR("x"), STR("450 4.7.1 x\r\n") },
	{ 550, STR("5.7"), STR("x"), STR("550 x\r\n") },
	{ 550, STR("5.7.1 evil"), STR("x"), STR("550 x\r\n") },
	{ 550, STR("\r\n250"), STR("x"), STR("550 x\r\n") },
	{ 550, STR("5.7.1"), STR("a\rb\0c\x7f\x1b[2J\xc3\xa9\td"), STR("550 5.7.1 a?b?c??[2J?? d\r\n") },
};

TEST(written_replies_are_well_formed)
{
	for (size_t i = 0; i < COUNT(written); i++) {
		struct buf out;

		buf_init(&out, 4096);
		CHECK(i, smtp_reply_add(&out, written[i].code, written[i].esc, written[i].text));
		CHECK_STR(i, buf_str(&out), written[i].want);
		buf_fini(&out);
	}
}

/* lines_of - every line ends in CRLF, is short enough, has the code; the number of lines */
static unsigned lines_of(struct str out)
{
	unsigned n = 0;
	struct str line;

	while (str_take(&out, '\n', &line)) {
		CHECK(n, line.n + 1 <= SMTP_REPLY_WIDTH && line.n > 4);
		CHECK(n, str_has_suffix(line, STR("\r")) && str_has_prefix(line, STR("550")));
		CHECK(n, line.p[3] == (out.n ? '-' : ' '));
		n++;
	}
	assert_int_equal(out.n, 0);
	return n;
}

TEST(a_long_text_is_split_between_words_or_anywhere_and_bounded)
{
	char words[9000], wall[1500];
	struct buf out;

	for (size_t i = 0; i < sizeof words; i++)
		words[i] = i % 7 == 6 ? ' ' : 'w';
	memset(wall, 'x', sizeof wall);
	buf_init(&out, 64 * 1024);
	assert_true(smtp_reply_add(&out, 550, STR("5.7.1"), (struct str){ words, 1000 }));
	assert_int_equal(lines_of(buf_str(&out)), 3);
	assert_true(str_has_prefix(buf_str(&out), STR("550-5.7.1 wwwwww wwwwww ")));
	buf_reset(&out);
	assert_true(smtp_reply_add(&out, 550, STR("5.7.1"), (struct str){ wall, sizeof wall }));
	assert_int_equal(lines_of(buf_str(&out)), 4);
	buf_reset(&out);
	assert_true(smtp_reply_add(&out, 550, STR("5.123.123"), (struct str){ words, sizeof words }));
	assert_int_equal(lines_of(buf_str(&out)), SMTP_REPLY_ADDED);
	buf_reset(&out);
	memset(words, '\n', sizeof words);
	assert_true(smtp_reply_add(&out, 550, STR("5.123.123"), (struct str){ words, sizeof words }));
	assert_int_equal(lines_of(buf_str(&out)), SMTP_REPLY_ADDED);
	buf_fini(&out);
}

TEST(a_full_buffer_gets_nothing)
{
	struct str lines[] = { STR("one"), STR("two") };
	struct buf out;

	buf_init(&out, 15);
	assert_false(smtp_reply_add(&out, 250, STR("2.0.0"), STR("ok")));
	assert_false(smtp_reply_list(&out, 250, lines, 2));
	assert_int_equal(buf_len(&out), 0);
	buf_fini(&out);
	buf_init(&out, 18);
	assert_true(smtp_reply_list(&out, 250, lines, 2));
	CHECK_STR(0, buf_str(&out), STR("250-one\r\n250 two\r\n"));
	buf_fini(&out);
}

static const struct {
	struct str in;
	enum step want;                 /* of the last line that could be taken */
	enum smtp_reply_flaw flaw;
	bool is_last;
	int code;
	const char *esc, *text;
	unsigned lines;
} read[] = {
	{ STR("250 ok\r\n"), STEP_DONE, 0, true, 250, "", "ok", 1 },
	{ STR("250\r\n"), STEP_DONE, 0, true, 250, "", "", 1 },
	{ STR("250 \r\n"), STEP_DONE, 0, true, 250, "", "", 1 },
	{ STR("250 2.1.5 fine\r\n"), STEP_DONE, 0, true, 250, "2.1.5", "fine", 1 },
	{ STR("250 2.1.5\r\n"), STEP_DONE, 0, true, 250, "2.1.5", "", 1 },
	{ STR("250 2.1.5x\r\n"), STEP_DONE, 0, true, 250, "", "2.1.5x", 1 },
	{ STR("250 5.1.5 class of another\r\n"), STEP_DONE, 0, true, 250, "", "5.1.5 class of another", 1 },
	{ STR("550 5.1234.1 x\r\n"), STEP_DONE, 0, true, 550, "", "5.1234.1 x", 1 },
	{ STR("550-5.1.1 a\r\n550 5.1.1 b\r\n"), STEP_DONE, 0, true, 550, "5.1.1", "a b", 2 },
	{ STR("550-a\r\n550 5.1.2 b\r\n"), STEP_DONE, 0, true, 550, "5.1.2", "a b", 2 },
	{ STR("250-\r\n250-\r\n250 x\r\n"), STEP_DONE, 0, true, 250, "", "x", 3 },
	{ STR("571 5.7.1 seen in the wild\r\n"), STEP_DONE, 0, true, 571, "5.7.1", "seen in the wild", 1 },
	{ STR("550 caf\xc3\xa9\x1b[2J\r\n"), STEP_DONE, 0, true, 550, "", "caf???[2J", 1 },
	{ STR("250-half\r\n"), STEP_DONE, 0, false, 250, "", "half", 1 },
	{ STR("250 ok\n"), STEP_ERROR, SMTP_REPLY_BAD_LINE, false, 0, "", "", 0 },
	{ STR("250 o\rk\r\n"), STEP_ERROR, SMTP_REPLY_BAD_LINE, false, 0, "", "", 0 },
	{ STR("250 o\0k\r\n"), STEP_ERROR, SMTP_REPLY_BAD_LINE, false, 0, "", "", 0 },
	{ STR("hello\r\n"), STEP_ERROR, SMTP_REPLY_NO_CODE, false, 0, "", "", 0 },
	{ STR("\r\n"), STEP_ERROR, SMTP_REPLY_NO_CODE, false, 0, "", "", 0 },
	{ STR("25\r\n"), STEP_ERROR, SMTP_REPLY_NO_CODE, false, 0, "", "", 0 },
	{ STR("2500 x\r\n"), STEP_ERROR, SMTP_REPLY_NO_CODE, false, 0, "", "", 0 },
	{ STR("150 x\r\n"), STEP_ERROR, SMTP_REPLY_NO_CODE, false, 0, "", "", 0 },
	{ STR("650 x\r\n"), STEP_ERROR, SMTP_REPLY_NO_CODE, false, 0, "", "", 0 },
	{ STR("250x\r\n"), STEP_ERROR, SMTP_REPLY_NO_CODE, false, 0, "", "", 0 },
	{ STR("250-a\r\n251 b\r\n"), STEP_ERROR, SMTP_REPLY_MIXED_CODES, false, 250, "", "a", 1 },
};

/* took - all the lines of a sample, arrived up to n octets */
static enum step took(struct smtp_reply *r, struct str *in)
{
	enum step got, last = STEP_MORE;

	while (in->n > 0 && (got = smtp_reply_take(r, in)) != STEP_MORE) {
		last = got;
		if (got == STEP_ERROR)
			break;
	}
	return last;
}

static void check_read(size_t i, const struct smtp_reply *r, enum step got)
{
	CHECK_INT(i, got, read[i].want);
	CHECK_INT(i, r->flaw, read[i].flaw);
	CHECK_INT(i, r->is_last, read[i].is_last);
	CHECK_INT(i, r->code, read[i].code);
	CHECK_INT(i, r->lines, read[i].lines);
	CHECK_STR(i, str_of(r->esc), str_of(read[i].esc));
	CHECK_STR(i, str_of(r->text), str_of(read[i].text));
	CHECK_INT(i, r->length, strlen(r->text));
}

TEST(read_replies_are_understood_or_refused)
{
	for (size_t i = 0; i < COUNT(read); i++) {
		struct str whole = heap_copy(read[i].in), in = whole;
		struct smtp_reply r;

		smtp_reply_init(&r);
		check_read(i, &r, took(&r, &in));
		if (read[i].want == STEP_DONE)
			CHECK_INT(i, in.n, 0);
		heap_free(whole);
	}
}

TEST(chunking_never_changes_the_answer)
{
	for (size_t i = 0; i < COUNT(read); i++) {
		enum step got = STEP_MORE;
		struct smtp_reply r;
		size_t begun = 0;

		smtp_reply_init(&r);
		for (size_t n = 1; n <= read[i].in.n && got != STEP_ERROR; n++) {
			struct str whole = heap_copy(str_head(str_drop(read[i].in, begun), n - begun)), in = whole;
			enum step now = took(&r, &in);

			got = now == STEP_MORE ? got : now;
			begun = n - in.n;
			heap_free(whole);
		}
		check_read(i, &r, got);
	}
}

TEST(endless_replies_and_endless_lines_are_refused)
{
	char line[SMTP_REPLY_LINE];
	struct smtp_reply r;
	struct str in;

	smtp_reply_init(&r);
	for (unsigned i = 1; i < SMTP_REPLY_LINES; i++) {
		in = STR("250-more\r\n");
		CHECK_INT(i, smtp_reply_take(&r, &in), STEP_DONE);
	}
	in = STR("250-more\r\n");
	assert_int_equal(smtp_reply_take(&r, &in), STEP_ERROR);
	assert_int_equal(r.flaw, SMTP_REPLY_MANY_LINES);
	assert_true(r.length < SMTP_REPLY_TEXT);
	in = STR("250 ok\r\n");
	assert_int_equal(smtp_reply_take(&r, &in), STEP_ERROR);

	smtp_reply_init(&r);
	memset(line, '2', sizeof line);
	in = (struct str){ line, sizeof line - 1 };
	assert_int_equal(smtp_reply_take(&r, &in), STEP_MORE);
	in = (struct str){ line, sizeof line };
	assert_int_equal(smtp_reply_take(&r, &in), STEP_ERROR);
	assert_int_equal(r.flaw, SMTP_REPLY_LONG_LINE);
}

TEST(one_reply_after_another_begins_anew)
{
	struct str in = STR("550-5.1.1 no\r\n550 5.1.1 never\r\n250 2.0.0 ok\r\n");
	struct smtp_reply r;

	smtp_reply_init(&r);
	assert_int_equal(smtp_reply_take(&r, &in), STEP_DONE);
	assert_false(r.is_last);
	CHECK_STR(0, r.line, STR("no"));
	assert_int_equal(smtp_reply_take(&r, &in), STEP_DONE);
	assert_true(r.is_last);
	assert_int_equal(smtp_reply_take(&r, &in), STEP_DONE);
	assert_true(r.is_last);
	assert_int_equal(r.code, 250);
	assert_int_equal(r.lines, 1);
	CHECK_STR(0, str_of(r.esc), STR("2.0.0"));
	CHECK_STR(0, str_of(r.text), STR("ok"));
	smtp_reply_set(&r, 0, "4.4.2", STR("timed out"));
	assert_int_equal(r.code, 0);
	CHECK_STR(0, str_of(r.text), STR("timed out"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_replies_are_well_formed),
		cmocka_unit_test(a_long_text_is_split_between_words_or_anywhere_and_bounded),
		cmocka_unit_test(a_full_buffer_gets_nothing),
		cmocka_unit_test(read_replies_are_understood_or_refused),
		cmocka_unit_test(chunking_never_changes_the_answer),
		cmocka_unit_test(endless_replies_and_endless_lines_are_refused),
		cmocka_unit_test(one_reply_after_another_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
