#include "smtp_data.h"

#include "check.h"

#define LINE_MAX_OCTETS 24
#define SIZE_MAX_OCTETS 64

/* The end, or nothing, of what a client sent behind 354. */
static const struct {
	const char *name;
	struct str in;
	struct str message;             /* what comes out of a clean one */
	enum smtp_data_flaw flaw;
	size_t end;                     /* octets consumed when it is over; 0: not over */
	bool is_8bit;
} samples[] = {
	{ "plain", STR("Subject: x\r\n\r\nhello\r\n.\r\n"), STR("Subject: x\r\n\r\nhello\r\n"), 0, 24, false },
	{ "empty", STR(".\r\n"), STR(""), 0, 3, false },
	{ "pipelined", STR("a\r\n.\r\nQUIT\r\n"), STR("a\r\n"), 0, 6, false },
	{ "a dot and a word", STR("..a\r\n.b\r\n.\r\n"), STR(".a\r\nb\r\n"), 0, 12, false },
	{ "two dots", STR("..\r\n.\r\n"), STR(".\r\n"), 0, 7, false },
	{ "three dots", STR("a\r\n...\r\n.\r\n"), STR("a\r\n..\r\n"), 0, 11, false },
	{ "dot within", STR("a.b\r\n.\r\n"), STR("a.b\r\n"), 0, 8, false },
	{ "dot at the end of a line", STR("a.\r\n.\r\n"), STR("a.\r\n"), 0, 7, false },
	{ "8-bit", STR("caf\xc3\xa9 and long enough\r\n.\r\n"), STR("caf\xc3\xa9 and long enough\r\n"), 0, 26, true },
	{ "not yet", STR("a\r\n.\r"), STR("a\r\n"), 0, 0, false },
	{ "not yet either", STR("a\r\n."), STR("a\r\n"), 0, 0, false },
	{ "LF . LF", STR("a\n.\nMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_LF, 13, false },
	{ "LF . CRLF", STR("a\n.\r\nMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_LF, 14, false },
	{ "CRLF . LF", STR("a\r\n.\nMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_LF, 14, false },
	{ "CR . CR", STR("a\r.\rMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_CR, 13, false },
	{ "CR . LF", STR("a\r.\nMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_CR, 13, false },
	{ "CR . CRLF", STR("a\r.\r\nMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_CR, 14, false },
	{ "LF . CR", STR("a\n.\rMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_LF, 13, false },
	{ "CRLF . CR", STR("a\r\n.\rMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_CR, 14, false },
	{ "CRLF . CRCRLF", STR("a\r\n.\r\r\nMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_CR, 16, false },
	{ "CRCRLF . CRCRLF", STR("a\r\r\n.\r\r\nMAIL\r\n.\r\n"), STR(""), SMTP_DATA_BARE_CR, 17, false },
	{ "CRLF NUL . CRLF", STR("a\r\n\0.\r\nMAIL\r\n.\r\n"), STR(""), SMTP_DATA_NUL, 16, false },
	{ "CRLF . NUL CRLF", STR("a\r\n.\0\r\nMAIL\r\n.\r\n"), STR(""), SMTP_DATA_NUL, 16, false },
	{ "CRLF .. CRLF", STR("a\r\n..\r\nMAIL\r\n.\r\n"), STR("a\r\n.\r\nMAIL\r\n"), 0, 16, false },
	{ "flaw, then CR CRLF . CRLF", STR("\n\r\r\n.\r\nQUIT"), STR(""), SMTP_DATA_BARE_LF, 7, false },
	{ "flaw, then CRLF . CR CRLF . CRLF", STR("\n\r\n.\r\r\n.\r\nQUIT"), STR(""), SMTP_DATA_BARE_LF, 10, false },
	{ "flaw, then CRLF .. CRLF . CRLF", STR("\n\r\n..\r\n.\r\nQUIT"), STR(""), SMTP_DATA_BARE_LF, 10, false },
	{ "the first flaw counts", STR("a\rb\n\0\r\n.\r\n"), STR(""), SMTP_DATA_BARE_CR, 10, false },
	{ "longest line", STR("0123456789012345678901\r\n.\r\n"), STR("0123456789012345678901\r\n"), 0, 27, false },
	{ "longest line, stuffed", STR("..123456789012345678901\r\n.\r\n"), STR(".123456789012345678901\r\n"), 0, 28, false },
	{ "line too long by its LF", STR("01234567890123456789012\r\n.\r\n"), STR(""), SMTP_DATA_LINE_TOO_LONG, 28, false },
	{ "line too long", STR("0123456789012345678901234\r\n.\r\nQ"), STR(""), SMTP_DATA_LINE_TOO_LONG, 30, false },
	{ "biggest", STR("01234567890123456789\r\n01234567890123456789\r\n012345678901234567\r\n.\r\n"),
	  STR("01234567890123456789\r\n01234567890123456789\r\n012345678901234567\r\n"), 0, 67, false },
	{ "too big", STR("01234567890123456789\r\n01234567890123456789\r\n0123456789012345678\r\n.\r\n"),
	  STR(""), SMTP_DATA_TOO_BIG, 68, false },
};

struct outcome {
	char message[256];
	size_t n, consumed;
	struct smtp_data data;
};

static void feed(struct outcome *o, struct str piece)
{
	struct str whole = heap_copy(piece), in = whole, out;

	while (smtp_data_next(&o->data, &in, &out)) {
		assert_true(out.n > 0 && o->n + out.n <= sizeof o->message);
		memcpy(o->message + o->n, out.p, out.n);
		o->n += out.n;
	}
	assert_int_equal(out.n, 0);
	assert_true(in.n == 0 || smtp_data_is_over(&o->data));
	o->consumed += piece.n - in.n;
	heap_free(whole);
}

static void check(size_t i, const struct outcome *o)
{
	struct str message = { o->message, o->n };

	CHECK_INT(i, o->data.flaw, samples[i].flaw);
	CHECK_INT(i, smtp_data_is_over(&o->data), samples[i].end > 0);
	CHECK_INT(i, o->consumed, samples[i].end ? samples[i].end : samples[i].in.n);
	CHECK_INT(i, o->data.consumed, o->consumed);
	CHECK_INT(i, o->data.is_8bit, samples[i].is_8bit);
	if (!samples[i].flaw) {
		CHECK_STR(i, message, samples[i].message);
		CHECK_INT(i, o->data.size, o->n);
	}
}

TEST(each_sample_has_its_answer)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct outcome o = { 0 };

		smtp_data_init(&o.data, LINE_MAX_OCTETS, SIZE_MAX_OCTETS);
		feed(&o, samples[i].in);
		check(i, &o);
	}
}

/* Every sample, cut at every place into two and three pieces, and octet by octet. */
TEST(chunking_never_changes_the_answer)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct str in = samples[i].in;

		for (size_t a = 0; a <= in.n; a++) {
			for (size_t b = a; b <= in.n; b++) {
				struct outcome o = { 0 };

				smtp_data_init(&o.data, LINE_MAX_OCTETS, SIZE_MAX_OCTETS);
				feed(&o, str_head(in, a));
				feed(&o, str_head(str_drop(in, a), b - a));
				feed(&o, str_drop(in, b));
				check(i, &o);
			}
		}
	}
}

TEST(octet_by_octet_is_the_same)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct outcome o = { 0 };

		smtp_data_init(&o.data, LINE_MAX_OCTETS, SIZE_MAX_OCTETS);
		for (size_t n = 0; n < samples[i].in.n; n++)
			feed(&o, str_head(str_drop(samples[i].in, n), 1));
		check(i, &o);
	}
}

/* Behind a flaw nothing comes out, so that nobody spools what will be refused. */
TEST(nothing_comes_out_behind_a_flaw)
{
	struct outcome o = { 0 };
	size_t before;

	smtp_data_init(&o.data, SMTP_DATA_LINE, UINT64_MAX);
	feed(&o, STR("a\r\nb\n"));
	before = o.n;
	feed(&o, STR("c\r\nd\r\n"));
	assert_int_equal(o.n, before);
	assert_false(smtp_data_is_over(&o.data));
}

/* A message that is flawed at once has the same end as one that is not, or not yet. */
TEST(a_flaw_never_moves_the_end)
{
	const struct str flawed = STR("x\n\r\n");

	for (size_t i = 0; i < COUNT(samples); i++) {
		struct outcome o = { 0 };

		smtp_data_init(&o.data, LINE_MAX_OCTETS, SIZE_MAX_OCTETS);
		feed(&o, flawed);
		feed(&o, samples[i].in);
		CHECK_INT(i, o.data.flaw, SMTP_DATA_BARE_LF);
		CHECK_INT(i, smtp_data_is_over(&o.data), samples[i].end > 0);
		CHECK_INT(i, o.consumed - flawed.n, samples[i].end ? samples[i].end : samples[i].in.n);
		CHECK_INT(i, o.n, 1);
	}
}

static size_t unescape(const char *text, size_t n, char *to)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] != '\\' || i + 1 == n) {
			to[length++] = text[i];
			continue;
		}
		i++;
		to[length++] = text[i] == 'r' ? '\r' : text[i] == 'n' ? '\n' : text[i];
	}
	return length;
}

/* The corpus: none of its sequences ends a message, each is a flaw, wherever it is cut. */
TEST(the_corpus_of_end_look_alikes_ends_nothing)
{
	FILE *file = fopen(TESTS "/../../shared/corpora/smtp-smuggling/end-of-data.json", "r");
	char line[256];
	unsigned found = 0;

	if (!file) {
		print_message("no corpus: smtp-smuggling\n");
		skip();
	}
	while (fgets(line, sizeof line, file)) {
		const char *bytes = strstr(line, "\"bytes\": \"");
		char all[128] = "Subject: x\r\n\r\nbody";
		size_t n = strlen(all);

		if (!bytes)
			continue;
		bytes += strlen("\"bytes\": \"");
		n += unescape(bytes, (size_t)(strrchr(bytes, '"') - bytes), all + n);
		memcpy(all + n, "MAIL FROM:<>\r\n.\r\n", 17);
		n += 17;
		for (size_t cut = 0; cut <= n; cut++) {
			struct outcome o = { 0 };

			smtp_data_init(&o.data, SMTP_DATA_LINE, UINT64_MAX);
			feed(&o, (struct str){ all, cut });
			feed(&o, (struct str){ all + cut, n - cut });
			CHECK_INT(found, o.consumed, n);
			assert_true(smtp_data_is_over(&o.data) && o.data.flaw);
		}
		found++;
	}
	fclose(file);
	assert_int_equal(found, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sample_has_its_answer),
		cmocka_unit_test(chunking_never_changes_the_answer),
		cmocka_unit_test(octet_by_octet_is_the_same),
		cmocka_unit_test(a_flaw_never_moves_the_end),
		cmocka_unit_test(nothing_comes_out_behind_a_flaw),
		cmocka_unit_test(the_corpus_of_end_look_alikes_ends_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
