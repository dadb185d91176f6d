#include "smtp_line.h"

#include <string.h>

/* first - narrow the search: the index of c, or `within` */
static size_t first(const char *p, size_t within, char c)
{
	const char *hit = within ? memchr(p, c, within) : NULL;

	return hit ? (size_t)(hit - p) : within;
}

static enum step flawed(struct smtp_line *line, enum smtp_line_flaw flaw)
{
	line->flaw = flaw;
	return STEP_ERROR;
}

/*
 * smtp_line_take - RFC 5321 2.3.8: lines end in CRLF and in nothing else
 *
 * The three searches narrow one another, so that `at` is the first byte which is not plain text.
 * A CR whose successor is not there yet is neither good nor bad: wait for it, unless the line
 * could not end within its bound any more.
 */
enum step smtp_line_take(struct str *in, size_t max, struct smtp_line *line)
{
	size_t seen = in->n < max ? in->n : max;
	size_t at = first(in->p, first(in->p, first(in->p, seen, '\n'), '\r'), '\0');

	*line = (struct smtp_line){ 0 };
	if (at == seen || (in->p[at] == '\r' && at + 1 == seen))
		return seen == max ? flawed(line, SMTP_LINE_TOO_LONG) : STEP_MORE;
	if (in->p[at] == '\0')
		return flawed(line, SMTP_LINE_NUL);
	if (in->p[at] == '\n')
		return flawed(line, SMTP_LINE_BARE_LF);
	if (in->p[at + 1] != '\n')
		return flawed(line, SMTP_LINE_BARE_CR);
	line->text = str_head(*in, at);
	*in = str_drop(*in, at + 2);
	return STEP_DONE;
}

enum step smtp_line_skip(struct str *in, size_t *budget)
{
	while (in->n > 0) {
		size_t plain = first(in->p, in->n, '\r');
		bool has_next = plain + 1 < in->n;
		bool is_end = has_next && in->p[plain + 1] == '\n';
		size_t take = is_end ? plain + 2 : has_next ? plain + 1 : plain;

		if (take > *budget)
			return STEP_ERROR;
		*budget -= take;
		*in = str_drop(*in, take);
		if (is_end)
			return STEP_DONE;
		if (!has_next)
			break;
	}
	return STEP_MORE;
}
