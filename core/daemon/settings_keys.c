#include "settings_keys.h"

#include <assert.h>

/*
 * Just as much of the grammar of Lua (manual, 9) as it takes to walk a table constructor:
 *
 * tableconstructor = "{" [field *(sep field) [sep]] "}"
 * field            = "[" exp "]" "=" exp / Name "=" exp / exp
 *
 * An expression is skipped by counting brackets and blocks.
 */
enum kind { END, NAME, STRING, NUMBER, OTHER };

struct token {
	enum kind kind;
	struct str text; /* of a string: what stands between its quotes */
	unsigned line, column;
};

struct scanner {
	struct str rest;
	unsigned line, column;
};

struct hit {
	unsigned depth; /* keys of the place that were found */
	struct settings_spot spot;
};

/* ---- places --------------------------------------------------------------------------------- */

static struct settings_place with(struct settings_place place, struct settings_key key)
{
	assert(place.n < SETTINGS_DEPTH);
	place.keys[place.n++] = key;
	return place;
}

struct settings_place settings_place_of(struct str path)
{
	struct settings_place place = { 0 };
	struct str head;

	while (place.n + 1 < SETTINGS_DEPTH && str_take(&path, '.', &head))
		place = settings_place_in(place, head);
	return settings_place_in(place, path);
}

struct settings_place settings_place_at(struct settings_place place, unsigned index)
{
	return with(place, (struct settings_key){ STR_NONE, index });
}

struct settings_place settings_place_in(struct settings_place place, struct str name)
{
	return with(place, (struct settings_key){ name.p ? name : STR(""), 0 });
}

/* ---- tokens --------------------------------------------------------------------------------- */

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char peek(const struct scanner *s, size_t at)
{
	return at < s->rest.n ? s->rest.p[at] : '\0';
}

/* skip - consume n bytes, counting lines */
static struct str skip(struct scanner *s, size_t n)
{
	struct str skipped = str_head(s->rest, n);

	for (size_t i = 0; i < skipped.n; i++) {
		s->column++;
		if (skipped.p[i] != '\n')
			continue;
		s->line++;
		s->column = 1;
	}
	s->rest = str_drop(s->rest, n);
	return skipped;
}

/* long_level - of "[==[" the number of its "=", or -1 */
static int long_level(const struct scanner *s)
{
	size_t n = 1;

	if (peek(s, 0) != '[')
		return -1;
	while (peek(s, n) == '=')
		n++;
	return peek(s, n) == '[' ? (int)n - 1 : -1;
}

/* long_take - consume "[==[ ... ]==]" and return what stands inside; up to the end when it is not
 * closed */
static struct str long_take(struct scanner *s, size_t level)
{
	size_t end, closing = 0;

	(void)skip(s, level + 2);
	for (end = 0; end < s->rest.n; end++) {
		if (peek(s, end) != ']')
			continue;
		for (closing = 1; peek(s, end + closing) == '='; closing++)
			;
		if (closing == level + 1 && peek(s, end + closing) == ']') {
			struct str inside = skip(s, end);

			(void)skip(s, level + 2);
			return inside;
		}
	}
	return skip(s, s->rest.n);
}

static struct str quoted_take(struct scanner *s)
{
	char quote = peek(s, 0);
	struct str inside;
	size_t end = 1;

	while (end < s->rest.n && peek(s, end) != quote && peek(s, end) != '\n')
		end += peek(s, end) == '\\' ? 2 : 1;
	inside = skip(s, end);
	(void)skip(s, peek(s, 0) == quote);
	return str_drop(inside, 1);
}

static void skip_comment(struct scanner *s)
{
	int level;

	(void)skip(s, 2);
	level = long_level(s);
	if (level >= 0)
		(void)long_take(s, (size_t)level);
	else
		while (s->rest.n && peek(s, 0) != '\n')
			(void)skip(s, 1);
}

static void skip_blanks(struct scanner *s)
{
	while (s->rest.n) {
		char c = peek(s, 0);

		if (c == ' ' || (c >= '\t' && c <= '\r'))
			(void)skip(s, 1);
		else if (c == '-' && peek(s, 1) == '-')
			skip_comment(s);
		else
			break;
	}
}

static bool is_pair(char a, char b)
{
	return b == '=' && (a == '=' || a == '~' || a == '<' || a == '>');
}

static struct token token_take(struct scanner *s)
{
	struct token t;
	size_t n = 1;
	char c;

	skip_blanks(s);
	t = (struct token){ OTHER, STR_NONE, s->line, s->column };
	c = peek(s, 0);
	if (s->rest.n == 0) {
		t.kind = END;
	} else if (c == '"' || c == '\'') {
		t.kind = STRING;
		t.text = quoted_take(s);
	} else if (long_level(s) >= 0) {
		t.kind = STRING;
		t.text = long_take(s, (size_t)long_level(s));
	} else if (is_word(c)) {
		while (is_word(peek(s, n)) || (is_digit(c) && peek(s, n) == '.'))
			n++;
		t.kind = is_digit(c) ? NUMBER : NAME;
		t.text = skip(s, n);
	} else {
		t.text = skip(s, is_pair(c, peek(s, 1)) ? 2 : 1);
	}
	return t;
}

static bool is_other(const struct token *t, char c)
{
	return t->kind == OTHER && t->text.n == 1 && t->text.p[0] == c;
}

static bool is_word_token(const struct token *t, const char *word)
{
	return t->kind == NAME && str_eq(t->text, str_of(word));
}

/* ---- tables --------------------------------------------------------------------------------- */

/* nesting - what a token does to the depth of brackets and blocks */
static int nesting(const struct token *t)
{
	static const char *const opens[] = { "function", "if", "do", "repeat" };
	static const char *const closes[] = { "end", "until" };

	if (is_other(t, '(') || is_other(t, '[') || is_other(t, '{'))
		return 1;
	if (is_other(t, ')') || is_other(t, ']') || is_other(t, '}'))
		return -1;
	for (size_t i = 0; i < sizeof opens / sizeof *opens; i++)
		if (is_word_token(t, opens[i]))
			return 1;
	for (size_t i = 0; i < sizeof closes / sizeof *closes; i++)
		if (is_word_token(t, closes[i]))
			return -1;
	return 0;
}

/* value_skip - consume an expression, up to the separator or the end of its table, left there */
static void value_skip(struct scanner *s)
{
	for (int depth = 0;;) {
		struct scanner before = *s;
		struct token t = token_take(s);

		if (t.kind == END)
			return;
		if (depth == 0 && (is_other(&t, ',') || is_other(&t, ';') || is_other(&t, '}'))) {
			*s = before;
			return;
		}
		depth += nesting(&t);
	}
}

/* field_take - consume the name of a field, if it has one that can be read: false for a positional
 * one */
static bool field_take(struct scanner *s, struct token first, struct settings_key *key)
{
	struct scanner ahead = *s;
	struct token second = token_take(&ahead), third;
	uint64_t index;

	if (first.kind == NAME && is_other(&second, '=')) {
		*key = (struct settings_key){ first.text, 0 };
		*s = ahead;
		return true;
	}
	if (!is_other(&first, '[') || (second.kind != STRING && second.kind != NUMBER))
		return false;
	third = token_take(&ahead);
	if (!is_other(&third, ']'))
		return false;
	third = token_take(&ahead);
	if (!is_other(&third, '='))
		return false;
	*key = (struct settings_key){ second.text.p ? second.text : STR(""), 0 };
	if (second.kind == NUMBER && str_u64(second.text, UINT32_MAX, &index))
		*key = (struct settings_key){ STR_NONE, (unsigned)index };
	*s = ahead;
	return true;
}

static bool is_same(const struct settings_key *a, const struct settings_key *b)
{
	return a->name.p ? b->name.p && str_eq(a->name, b->name)
			 : !b->name.p && a->index == b->index;
}

/*
 * table_walk - behind its "{": look for keys[depth] and, in its value, for the rest. Of two the
 * later one counts, as in Lua. It goes deeper along the place only, so at most SETTINGS_DEPTH
 * levels.
 */
static void table_walk(struct scanner *s, const struct settings_place *place, unsigned depth,
		       struct hit *best)
{
	unsigned positional = 0;

	for (;;) {
		struct scanner before;
		struct token first;
		struct settings_key key = { STR_NONE, 0 };
		bool named, same;

		skip_blanks(s);
		before = *s;
		first = token_take(s);
		if (first.kind == END || is_other(&first, '}'))
			return;
		if (is_other(&first, ',') || is_other(&first, ';'))
			continue;
		named = field_take(s, first, &key);
		if (!named) {
			key.index = ++positional;
			*s = before;
		}
		same = is_same(&key, &place->keys[depth]);
		if (same && depth + 1 >= best->depth)
			*best = (struct hit){ depth + 1, { first.line, first.column } };
		before = *s;
		first = token_take(s);
		if (same && depth + 1 < place->n && is_other(&first, '{'))
			table_walk(s, place, depth + 1, best);
		else
			*s = before;
		value_skip(s);
	}
}

struct settings_spot settings_keys_find(struct str source, const struct settings_place *place)
{
	struct scanner s = { source, 1, 1 };
	struct hit best = { 0, { 1, 1 } };
	struct token t;

	if (source.n && source.p[0] == '#') /* Lua skips such a first line */
		while (s.rest.n && peek(&s, 0) != '\n')
			(void)skip(&s, 1);
	while ((t = token_take(&s)).kind != END) {
		struct scanner ahead = s;
		struct token next;

		if (!is_word_token(&t, "return"))
			continue;
		if (best.depth == 0)
			best.spot = (struct settings_spot){ t.line, t.column };
		next = token_take(&ahead);
		if (!is_other(&next, '{') || place->n == 0)
			continue;
		s = ahead;
		table_walk(&s, place, 0, &best);
	}
	return best.spot;
}
