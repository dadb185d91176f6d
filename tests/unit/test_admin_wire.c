#include "admin_wire.h"

#include "check.h"

static const struct {
	struct str in;
	enum step want;
	unsigned words;
} requests[] = {
	{ STR("status\n"), STEP_DONE, 1 },
	{ STR("queue\0show\0ID\0--json\n"), STEP_DONE, 4 },
	{ STR("queue\0show\n and what follows\n"), STEP_DONE, 2 },
	{ STR("a b\tc\r\n"), STEP_DONE, 1 }, /* whoever gets the words judges them */
	{ STR(""), STEP_MORE, 0 },
	{ STR("status"), STEP_MORE, 0 },
	{ STR("\n"), STEP_ERROR, 0 },
	{ STR("\0\n"), STEP_ERROR, 0 },
	{ STR("a\0\n"), STEP_ERROR, 0 },
	{ STR("\0a\n"), STEP_ERROR, 0 },
	{ STR("a\0\0b\n"), STEP_ERROR, 0 },
};

TEST(a_request_is_words_with_nul_between_them)
{
	for (size_t i = 0; i < COUNT(requests); i++) {
		struct str copy = heap_copy(requests[i].in), rest = copy, words;
		struct str split[ADMIN_WORDS];

		CHECK_INT(i, admin_wire_request_take(&rest, &words), requests[i].want);
		if (requests[i].want != STEP_DONE)
			CHECK_STR(i, rest, copy);
		else
			CHECK_INT(i, admin_wire_words(words, split), requests[i].words);
		heap_free(copy);
	}
}

TEST(a_request_is_short)
{
	char text[ADMIN_REQUEST + 1];
	struct str rest = { text, ADMIN_REQUEST - 1 }, words;

	memset(text, 'x', sizeof text);
	assert_int_equal(admin_wire_request_take(&rest, &words), STEP_MORE);
	rest.n = ADMIN_REQUEST;
	assert_int_equal(admin_wire_request_take(&rest, &words), STEP_ERROR);
	text[ADMIN_REQUEST - 1] = '\n';
	assert_int_equal(admin_wire_request_take(&rest, &words), STEP_DONE);
	for (size_t i = 1; i < ADMIN_REQUEST - 1; i += 2)
		text[i] = '\0';
	rest = (struct str){ text, ADMIN_REQUEST };
	assert_int_equal(admin_wire_request_take(&rest, &words), STEP_ERROR);
}

TEST(what_is_sent_arrives)
{
	static const struct str words[] = { STR("queue"), STR("show"), STR("x y"), STR("--json") };
	static const struct str bad[] = { STR(""), STR("a\nb"), STR("a\0b") };
	struct str split[ADMIN_WORDS], rest, got;
	struct buf b;

	buf_init(&b, ADMIN_REQUEST);
	assert_true(admin_wire_request(&b, words, COUNT(words)));
	rest = buf_str(&b);
	assert_int_equal(admin_wire_request_take(&rest, &got), STEP_DONE);
	assert_int_equal(rest.n, 0);
	assert_int_equal(admin_wire_words(got, split), COUNT(words));
	for (size_t i = 0; i < COUNT(words); i++)
		CHECK_STR(i, split[i], words[i]);
	buf_reset(&b);
	for (size_t i = 0; i < COUNT(bad); i++)
		CHECK(i, !admin_wire_request(&b, &bad[i], 1));
	assert_false(admin_wire_request(&b, words, 0));
	assert_int_equal(buf_len(&b), 0);
	buf_fini(&b);
}

static const struct {
	struct str in;
	enum step want;
	unsigned code;
	struct str text;
} chunks[] = {
	{ STR("0 5\nhello"), STEP_DONE, 0, STR("hello") },
	{ STR("255 0\n"), STEP_DONE, 255, STR("") },
	{ STR("69 2\nab69 2\ncd"), STEP_DONE, 69, STR("ab") },
	{ STR(""), STEP_MORE, 0, STR("") },
	{ STR("0"), STEP_MORE, 0, STR("") },
	{ STR("0 5\nhell"), STEP_MORE, 0, STR("") },
	{ STR("256 0\n"), STEP_ERROR, 0, STR("") },
	{ STR("0 61441\n"), STEP_ERROR, 0, STR("") },
	{ STR("0\n"), STEP_ERROR, 0, STR("") },
	{ STR("0 \n"), STEP_ERROR, 0, STR("") },
	{ STR("-1 5\nhello"), STEP_ERROR, 0, STR("") },
	{ STR("0 5 5\nhello"), STEP_ERROR, 0, STR("") },
	{ STR("0123456789012345"), STEP_ERROR, 0, STR("") },
	{ STR("00000000000000 1\na"), STEP_ERROR, 0, STR("") }, /* whole or in pieces */
};

TEST(a_chunk_is_code_length_and_text)
{
	for (size_t i = 0; i < COUNT(chunks); i++) {
		struct str copy = heap_copy(chunks[i].in), rest = copy, text = STR("");
		unsigned code = 0;

		CHECK_INT(i, admin_wire_chunk_take(&rest, &code, &text), chunks[i].want);
		CHECK_INT(i, code, chunks[i].code);
		CHECK_STR(i, text, chunks[i].text);
		if (chunks[i].want != STEP_DONE)
			CHECK_STR(i, rest, copy);
		heap_free(copy);
	}
}

TEST(a_chunk_has_its_bound)
{
	static char text[ADMIN_CHUNK + 1];
	struct str rest, got;
	unsigned code;
	struct buf b;

	buf_init(&b, 2 * ADMIN_CHUNK);
	assert_false(admin_wire_chunk(&b, 0, (struct str){ text, ADMIN_CHUNK + 1 }));
	assert_false(admin_wire_chunk(&b, ADMIN_MORE + 1, STR("x")));
	assert_true(admin_wire_chunk(&b, 0, (struct str){ text, ADMIN_CHUNK }));
	assert_false(admin_wire_chunk(&b, 0, (struct str){ text, ADMIN_CHUNK }));
	rest = buf_str(&b);
	assert_int_equal(admin_wire_chunk_take(&rest, &code, &got), STEP_DONE);
	assert_int_equal(got.n, ADMIN_CHUNK);
	assert_int_equal(rest.n, 0);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_words_with_nul_between_them),
		cmocka_unit_test(a_request_is_short),
		cmocka_unit_test(what_is_sent_arrives),
		cmocka_unit_test(a_chunk_is_code_length_and_text),
		cmocka_unit_test(a_chunk_has_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
