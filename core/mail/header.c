#include "header.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ftext = %d33-57 / %d59-126 */
static bool is_ftext(char c)
{
	return c > ' ' && c < 0x7f && c != ':';
}

static size_t name_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_ftext(s.p[n]))
		n++;
	return n;
}

static size_t blanks(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_blank(s.p[n]))
		n++;
	return n;
}

/*
 * line_length_from - with its CRLF; 0: there is none; the first `seen` bytes hold no LF behind a CR
 */
static size_t line_length_from(struct str s, size_t seen)
{
	struct str rest = str_drop(s, seen);
	ptrdiff_t at;

	while ((at = str_find(rest, '\n')) >= 0) {
		rest = str_drop(rest, (size_t)at + 1);
		if (s.n - rest.n >= 2 && rest.p[-2] == '\r')
			return s.n - rest.n;
	}
	return 0;
}

static size_t line_length(struct str s)
{
	return line_length_from(s, 0);
}

/* ---- where it ends */

enum line_kind { LINE_UNSURE, LINE_FIELD, LINE_FOLD, LINE_EMPTY, LINE_BODY };

/*
 * line_kind_of - from as few of its bytes as decide; `is_first`: there is no field that it could be
 * a fold of
 */
static enum line_kind line_kind_of(struct str s, bool is_first)
{
	size_t n;

	if (s.n == 0 || (*s.p == '\r' && s.n == 1))
		return LINE_UNSURE;
	if (*s.p == '\r')
		return s.p[1] == '\n' ? LINE_EMPTY : LINE_BODY;
	if (is_blank(*s.p))
		return is_first ? LINE_BODY : LINE_FOLD;
	s = str_head(s, HEADER_LINE); /* a colon beyond that makes no field */
	n = name_length(s);
	if (n == 0)
		return LINE_BODY;
	n += blanks(str_drop(s, n));
	if (n == s.n)
		return n < HEADER_LINE ? LINE_UNSURE : LINE_BODY;
	return s.p[n] == ':' ? LINE_FIELD : LINE_BODY;
}

void header_scan_init(struct header_scan *s)
{
	*s = (struct header_scan){ .fault = HEADER_OK };
}

static enum step refuse(struct header_scan *s, enum header_fault fault)
{
	s->fault = fault;
	return STEP_ERROR;
}

static enum step found(struct header_scan *s, size_t separator)
{
	s->end = s->line;
	s->body = s->end + separator;
	return STEP_DONE;
}

/* take_line - a field's first line, or a fold; MORE: it is not whole yet */
static enum step take_line(struct header_scan *s, struct str line, enum line_kind kind)
{
	size_t n;

	if (kind == LINE_FIELD && s->fields == HEADER_FIELDS)
		return refuse(s, HEADER_MANY_FIELDS);
	n = line_length_from(line, s->seen);
	if (s->line + (n ? n : line.n) > HEADER_BLOCK)
		return refuse(s, HEADER_BIG);
	s->seen = n ? 0 : line.n;
	if (n == 0)
		return STEP_MORE;
	s->fields += kind == LINE_FIELD;
	s->long_lines += n > HEADER_LINE + 2;
	s->line += n;
	return STEP_DONE;
}

enum step header_scan(struct header_scan *s, struct str all)
{
	enum step step = STEP_DONE;

	while (step == STEP_DONE) {
		struct str line = str_drop(all, s->line);
		enum line_kind kind = line_kind_of(line, s->fields == 0);

		if (kind == LINE_EMPTY)
			return found(s, 2);
		if (kind == LINE_BODY)
			return found(s, 0);
		if (kind == LINE_UNSURE)
			return STEP_MORE;
		step = take_line(s, line, kind);
	}
	return step;
}

/* header_scan_finish - a last line without CRLF belongs to the header if it could */
enum step header_scan_finish(struct header_scan *s, struct str all)
{
	enum step step = header_scan(s, all);
	struct str line = str_drop(all, s->line);

	if (step != STEP_MORE)
		return step;
	if (line_kind_of(line, s->fields == 0) != LINE_UNSURE) {
		s->fields += line_kind_of(line, s->fields == 0) == LINE_FIELD;
		s->line = all.n;
	}
	return found(s, 0);
}

/* ---- what is in it */

/* field_length - a line and its folds */
static size_t field_length(struct str block)
{
	struct str rest = block;

	do {
		size_t n = line_length(rest);

		rest = str_drop(rest, n ? n : rest.n);
	} while (rest.n && is_blank(*rest.p));
	return block.n - rest.n;
}

bool header_take(struct str *block, struct header_field *out)
{
	struct str whole;
	ptrdiff_t colon;

	if (block->n == 0)
		return false;
	whole = str_head(*block, field_length(*block));
	*block = str_drop(*block, whole.n);
	out->whole = whole;
	if (str_has_suffix(whole, STR("\r\n")))
		whole.n -= 2;
	colon = str_find(whole, ':');
	out->name = str_head(whole, colon < 0 ? 0 : name_length(whole));
	out->value = str_drop(whole, (size_t)(colon + 1));
	return true;
}

bool header_find(struct str block, struct str name, unsigned nth, struct header_field *out)
{
	struct header_field field;

	while (nth > 0 && header_take(&block, &field)) {
		if (str_ieq(field.name, name) && --nth == 0) {
			*out = field;
			return true;
		}
	}
	return false;
}

unsigned header_count(struct str block, struct str name)
{
	struct header_field field;
	unsigned n = 0;

	while (header_take(&block, &field))
		n += str_ieq(field.name, name);
	return n;
}

unsigned header_hops(struct str block)
{
	return header_count(block, STR("Received"));
}

/* header_unfold - RFC 5322 2.2.3: a CRLF before a blank is removed, the blank stays */
struct str header_unfold(struct arena *a, struct str value)
{
	char *to;
	size_t n = 0;

	value = str_trim(value);
	to = arena_alloc(a, value.n + 1);
	if (!to)
		return STR_NONE;
	while (value.n) {
		size_t line = line_length(value), keep = line ? line - 2 : value.n;

		memcpy(to + n, value.p, keep);
		n += keep;
		value = str_drop(value, line ? line : value.n);
	}
	return (struct str){ to, n };
}

/* ---- a new one */

bool header_name_is_valid(struct str name)
{
	return name.n > 0 && name.n <= HEADER_NAME && name_length(name) == name.n;
}

/* word_length - blanks and the word behind them: what cannot be torn */
static size_t word_length(struct str s)
{
	size_t n = blanks(s);

	while (n < s.n && !is_blank(s.p[n]))
		n++;
	return n;
}

bool header_value_is_valid(struct str value)
{
	if (value.n > HEADER_BLOCK)
		return false;
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < ' ' ? value.p[i] != '\t' : value.p[i] == 0x7f)
			return false;
	value = str_trim(value);
	while (value.n) {
		size_t n = word_length(value);

		if (n > HEADER_LINE - HEADER_NAME - 2)
			return false;
		value = str_drop(value, n);
	}
	return true;
}

/*
 * header_write - a line is broken before blanks only, so that unfolding gives the value back, and
 * never in front of blanks alone: the value is trimmed, so a word follows
 */
bool header_write(struct buf *b, struct str name, struct str value)
{
	size_t before = buf_len(b), column = name.n + 2;
	bool fits = buf_add(b, name) && buf_add(b, STR(": "));

	value = str_trim(value);
	for (bool is_first = true; fits && value.n; is_first = false) {
		size_t n = word_length(value);

		if (!is_first && column + n > HEADER_WIDTH) {
			fits = buf_add(b, STR("\r\n"));
			column = 0;
		}
		fits = fits && buf_add(b, str_head(value, n));
		column += n;
		value = str_drop(value, n);
	}
	fits = fits && buf_add(b, STR("\r\n"));
	if (!fits)
		b->tail = b->head + before;
	return fits;
}

static bool write_edit(struct buf *out, const struct header_edit *e)
{
	return header_write(out, e->name, e->value);
}

/* write_top - the last of the list is the topmost: from behind, without recursion */
static bool write_top(struct buf *out, const struct header_edit *edits)
{
	const struct header_edit *written = NULL, *last;
	bool fits = true;

	do {
		last = NULL;
		for (const struct header_edit *e = edits; e != written; e = e->next)
			if (e->kind == HEADER_ADD_TOP)
				last = e;
		fits = fits && (!last || write_edit(out, last));
		written = last;
	} while (last);
	return fits;
}

static bool is_change_of(const struct header_edit *e, struct str name)
{
	return (e->kind == HEADER_REMOVE || e->kind == HEADER_REPLACE) && str_ieq(e->name, name);
}

/* count - show one more original field to all edits; the last one that hits it, or NULL */
static const struct header_edit *count(struct header_edit *edits, struct str name)
{
	const struct header_edit *hit = NULL;

	for (struct header_edit *e = edits; e; e = e->next) {
		if (!is_change_of(e, name))
			continue;
		e->seen++;
		if (e->nth == 0 || e->nth == e->seen)
			hit = e;
	}
	return hit;
}

static bool write_kept(struct str block, struct header_edit *edits, struct buf *out)
{
	struct header_field field;
	bool fits = true;

	while (fits && header_take(&block, &field)) {
		const struct header_edit *hit = count(edits, field.name);

		if (!hit)
			fits = buf_add(out, field.whole);
		else if (hit->kind == HEADER_REPLACE && (hit->nth || hit->seen == 1))
			fits = write_edit(out, hit);
	}
	return fits;
}

/* is_last_word - no later edit means all fields of that name */
static bool is_last_word(const struct header_edit *e)
{
	for (const struct header_edit *later = e->next; later; later = later->next)
		if (later->nth == 0 && is_change_of(later, e->name))
			return false;
	return true;
}

static bool is_added_at_end(const struct header_edit *e)
{
	return e->kind == HEADER_ADD_END ||
	       (e->kind == HEADER_REPLACE && e->nth == 0 && e->seen == 0 && is_last_word(e));
}

static bool write_end(const struct header_edit *edits, struct buf *out)
{
	bool fits = true;

	for (const struct header_edit *e = edits; fits && e; e = e->next) {
		if (!is_added_at_end(e))
			continue;
		if (buf_len(out) && !str_has_suffix(buf_str(out), STR("\r\n")))
			fits = buf_add(out, STR("\r\n"));
		fits = fits && write_edit(out, e);
	}
	return fits;
}

bool header_edit(struct str block, struct header_edit *edits, struct buf *out)
{
	for (struct header_edit *e = edits; e; e = e->next)
		e->seen = 0;
	return write_top(out, edits) && write_kept(block, edits, out) && write_end(edits, out);
}
