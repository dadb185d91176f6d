/* The column of a message, by the word that it quotes. */
#include "check.h"

#include "script_place.h"

TEST(the_quoted_word_is_found)
{
	static const struct {
		const char *text, *message;
		unsigned line;
		size_t column;
	} rows[] = {
		{ "local x =\n= 5", "unexpected symbol near '='", 2, 1 },
		{ "gate.on('recpt', f)", "there is no hook \"recpt\"; did you mean \"rcpt\"?", 1,
		  10 },
		{ "\t x()", "attempt to call a nil value (global 'x')", 1, 3 },
		/* what is behind "near" comes before what the parser wanted */
		{ "f { } end", "'}' expected near 'end'", 1, 7 },
		{ "f { } end", "'}' expected near <eof>", 1, 5 },
		/* only whole words, and only when there is one */
		{ "only on", "\"on\" is wrong", 1, 6 },
		{ "  a = = 1", "unexpected symbol near '='", 1, 3 },
		{ "  a = 1", "something else", 1, 3 },
		{ "  a = 1", "the quote \"a does not end", 1, 3 },
		{ "  a = 1", "empty ''", 1, 3 },
		/* the end of the file, and beyond */
		{ "a\n", "syntax error near <eof>", 2, 1 },
		{ "", "syntax error near <eof>", 1, 1 },
		{ "a\n", "x", 3, 0 },
		{ "a", "x", 2, 0 },
		{ "a", "x", 0, 0 },
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		CHECK_INT(i,
			  script_place_column(str_of(rows[i].text), rows[i].line,
					      str_of(rows[i].message)),
			  rows[i].column);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_quoted_word_is_found) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
