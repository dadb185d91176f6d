#include "smtp_line.h"

#include "check.h"

#define MAX 12

static const struct {
	struct str in;
	enum step want;
	enum smtp_line_flaw flaw;
	struct str line, rest;
} samples[] = {
	{ STR("NOOP\r\n"), STEP_DONE, SMTP_LINE_CLEAN, STR("NOOP"), STR("") },
	{ STR("\r\n"), STEP_DONE, SMTP_LINE_CLEAN, STR(""), STR("") },
	{ STR("A\r\nB\r\n"), STEP_DONE, SMTP_LINE_CLEAN, STR("A"), STR("B\r\n") },
	{ STR(""), STEP_MORE, SMTP_LINE_CLEAN, STR(""), STR("") },
	{ STR("NOOP"), STEP_MORE, SMTP_LINE_CLEAN, STR(""), STR("NOOP") },
	{ STR("NOOP\r"), STEP_MORE, SMTP_LINE_CLEAN, STR(""), STR("NOOP\r") },
	{ STR("NOOP\n"), STEP_ERROR, SMTP_LINE_BARE_LF, STR(""), STR("NOOP\n") },
	{ STR("\n\r\n"), STEP_ERROR, SMTP_LINE_BARE_LF, STR(""), STR("\n\r\n") },
	{ STR("A\rB\r\n"), STEP_ERROR, SMTP_LINE_BARE_CR, STR(""), STR("A\rB\r\n") },
	{ STR("A\r\r\n"), STEP_ERROR, SMTP_LINE_BARE_CR, STR(""), STR("A\r\r\n") },
	{ STR("A\0B\r\n"), STEP_ERROR, SMTP_LINE_NUL, STR(""), STR("A\0B\r\n") },
	{ STR("A\r\0B\n"), STEP_ERROR, SMTP_LINE_BARE_CR, STR(""), STR("A\r\0B\n") },
	{ STR("A\0\n"), STEP_ERROR, SMTP_LINE_NUL, STR(""), STR("A\0\n") },
	{ STR("0123456789\r\n"), STEP_DONE, SMTP_LINE_CLEAN, STR("0123456789"), STR("") },
	{ STR("0123456789\r"), STEP_MORE, SMTP_LINE_CLEAN, STR(""), STR("0123456789\r") },
	{ STR("0123456789A\r\n"), STEP_ERROR, SMTP_LINE_TOO_LONG, STR(""), STR("0123456789A\r\n") },
	{ STR("0123456789AB"), STEP_ERROR, SMTP_LINE_TOO_LONG, STR(""), STR("0123456789AB") },
	{ STR("0123456789A\n"), STEP_ERROR, SMTP_LINE_BARE_LF, STR(""), STR("0123456789A\n") },
	{ STR("0123456789AB\n"), STEP_ERROR, SMTP_LINE_TOO_LONG, STR(""), STR("0123456789AB\n") },
};

TEST(each_sample_has_its_answer)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct str whole = heap_copy(samples[i].in), in = whole;
		struct smtp_line line;

		CHECK_INT(i, smtp_line_take(&in, MAX, &line), samples[i].want);
		CHECK_INT(i, line.flaw, samples[i].flaw);
		CHECK_STR(i, line.text, samples[i].line);
		CHECK_STR(i, in, samples[i].rest);
		heap_free(whole);
	}
}

/* Whatever the network's chunks, the answer is the same: feed every prefix before the whole. */
TEST(chunking_never_changes_the_answer)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		enum step got = STEP_MORE;
		struct smtp_line line = { 0 };

		for (size_t n = 0; n <= samples[i].in.n && got == STEP_MORE; n++) {
			struct str whole = heap_copy(str_head(samples[i].in, n)), in = whole;

			got = smtp_line_take(&in, MAX, &line);
			CHECK_INT(i, in.n, got == STEP_DONE ? 0 : n);
			if (got == STEP_DONE)
				CHECK_STR(i, line.text, samples[i].line);
			heap_free(whole);
		}
		CHECK_INT(i, got, samples[i].want);
		CHECK_INT(i, line.flaw, samples[i].flaw);
	}
}

static const struct {
	struct str in;
	size_t budget;
	enum step want;
	struct str rest;
} skips[] = {
	{ STR("rest of it\r\nNOOP\r\n"), 100, STEP_DONE, STR("NOOP\r\n") },
	{ STR("\r\nNOOP\r\n"), 100, STEP_DONE, STR("NOOP\r\n") },
	{ STR("a\nb\rc\0\r\nQUIT"), 100, STEP_DONE, STR("QUIT") },
	{ STR("a\r\r\r\nQUIT"), 100, STEP_DONE, STR("QUIT") },
	{ STR("never ending"), 100, STEP_MORE, STR("") },
	{ STR("never ending\r"), 100, STEP_MORE, STR("\r") },
	{ STR("never ending"), 5, STEP_ERROR, STR("never ending") },
	{ STR("12345\r\n"), 7, STEP_DONE, STR("") },
	{ STR("12345\r\n"), 6, STEP_ERROR, STR("12345\r\n") },
};

TEST(a_long_line_is_skipped_up_to_its_end)
{
	for (size_t i = 0; i < COUNT(skips); i++) {
		struct str whole = heap_copy(skips[i].in), in = whole;
		size_t budget = skips[i].budget;

		CHECK_INT(i, smtp_line_skip(&in, &budget), skips[i].want);
		CHECK_STR(i, in, skips[i].rest);
		CHECK_INT(i, skips[i].budget - budget, skips[i].in.n - in.n);
		heap_free(whole);
	}
}

TEST(skipping_in_pieces_ends_at_the_same_place)
{
	for (size_t i = 0; i < COUNT(skips); i++) {
		size_t budget = 100, begun = 0;
		enum step got = STEP_MORE;

		if (skips[i].budget < 100)
			continue;
		for (size_t n = 0; n <= skips[i].in.n && got == STEP_MORE; n++) {
			struct str whole = heap_copy(str_head(str_drop(skips[i].in, begun), n - begun)), in = whole;

			got = smtp_line_skip(&in, &budget);
			begun = n - in.n;
			heap_free(whole);
		}
		CHECK_INT(i, got, skips[i].want);
		CHECK_STR(i, str_drop(skips[i].in, begun), skips[i].rest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sample_has_its_answer),
		cmocka_unit_test(chunking_never_changes_the_answer),
		cmocka_unit_test(a_long_line_is_skipped_up_to_its_end),
		cmocka_unit_test(skipping_in_pieces_ends_at_the_same_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
