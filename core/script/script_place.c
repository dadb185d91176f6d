#include "script_place.h"

#define NEAR " near "

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static bool nth_line(struct str text, unsigned n, struct str *line)
{
	if (n == 0)
		return false;
	for (; n > 1; n--)
		if (!str_take(&text, '\n', line))
			return false;
	if (!str_take(&text, '\n', line))
		*line = text;
	return true;
}

/* is_whole - the word of n bytes at `at` does not go on to either side */
static bool is_whole(struct str line, size_t at, size_t n)
{
	bool before = at > 0 && is_word(line.p[at - 1]) && is_word(line.p[at]);
	bool behind = at + n < line.n && is_word(line.p[at + n]) && is_word(line.p[at + n - 1]);

	return !before && !behind;
}

/* column_of - 0: the line does not have the word, or has it more than once */
static size_t column_of(struct str line, struct str word)
{
	size_t column = 0;

	for (size_t at = 0; word.n > 0 && at + word.n <= line.n; at++) {
		if (!str_eq(str_head(str_drop(line, at), word.n), word) ||
		    !is_whole(line, at, word.n))
			continue;
		if (column)
			return 0;
		column = at + 1;
	}
	return column;
}

/* quoted - the next word between two equal quotes, consumed */
static bool quoted(struct str *message, struct str *word)
{
	ptrdiff_t open = str_find_any(*message, "'\""), end;
	char quote;

	if (open < 0)
		return false;
	quote = message->p[open];
	*message = str_drop(*message, (size_t)open + 1);
	end = str_find(*message, quote);
	if (end < 0)
		return false;
	*word = str_head(*message, (size_t)end);
	*message = str_drop(*message, (size_t)end + 1);
	return true;
}

/* behind_near - what a syntax error stumbled over comes last in its message */
static struct str behind_near(struct str message)
{
	struct str near = STR(NEAR);

	for (size_t at = message.n; at-- > 0;)
		if (str_has_prefix(str_drop(message, at), near))
			return str_drop(message, at + near.n);
	return STR_NONE;
}

size_t script_place_column(struct str text, unsigned line, struct str message)
{
	struct str found, word, near = behind_near(message);
	size_t column;

	if (!nth_line(text, line, &found))
		return 0;
	if (quoted(&near, &word) && (column = column_of(found, word)) > 0)
		return column;
	while (quoted(&message, &word))
		if ((column = column_of(found, word)) > 0)
			return column;
	for (column = 0; column < found.n && (found.p[column] == ' ' || found.p[column] == '\t');)
		column++;
	return column + 1;
}
