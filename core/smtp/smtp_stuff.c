#include "smtp_stuff.h"

#include <assert.h>
#include <string.h>

void smtp_stuff_init(struct smtp_stuff *s)
{
	*s = (struct smtp_stuff){ .at = SMTP_STUFF_START };
}

static bool has(struct str s, char c)
{
	return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

/* line_end - the length of the line at the front, its LF included; all of it when there is no LF */
static size_t line_end(struct str s)
{
	const char *lf = memchr(s.p, '\n', s.n);

	return lf ? (size_t)(lf - s.p) + 1 : s.n;
}

/* take_line - judge one line, or the part of it that is here; `at` follows */
static void take_line(struct smtp_stuff *s, struct str line)
{
	struct str text = line;

	s->has_dot = false;
	if (s->at == SMTP_STUFF_CR && text.p[0] != '\n')
		s->is_flawed = true;
	if (text.p[text.n - 1] == '\n') {
		text.n--;
		if (text.n ? text.p[text.n - 1] != '\r' : s->at != SMTP_STUFF_CR)
			s->is_flawed = true;
		s->at = SMTP_STUFF_START;
	} else {
		s->at = text.p[text.n - 1] == '\r' ? SMTP_STUFF_CR : SMTP_STUFF_LINE;
	}
	if (text.n && text.p[text.n - 1] == '\r')
		text.n--;
	if (has(text, '\r') || has(text, '\0'))
		s->is_flawed = true;
}

/*
 * smtp_stuff_next - RFC 5321 4.5.2: "checks the first character of the line. If it is a period,
 * one additional period is inserted at the beginning of the line."
 *
 * Whole lines go out in one slice up to the next line that begins with a dot.
 */
bool smtp_stuff_next(struct smtp_stuff *s, struct str *in, struct str *out)
{
	size_t n = 0;

	*out = STR_NONE;
	while (n < in->n && !s->is_flawed) {
		struct str rest = str_drop(*in, n);

		if (s->at == SMTP_STUFF_START && rest.p[0] == '.' && !s->has_dot) {
			if (n > 0)
				break;
			s->has_dot = true;
			*out = STR(".");
			return true;
		}
		rest.n = line_end(rest);
		take_line(s, rest);
		n += rest.n;
	}
	if (s->is_flawed)
		return false;
	*out = str_head(*in, n);
	*in = str_drop(*in, n);
	return n > 0;
}

struct str smtp_stuff_end(struct smtp_stuff *s)
{
	assert(!s->is_flawed);
	if (s->at == SMTP_STUFF_CR) {
		s->is_flawed = true;
		return STR_NONE;
	}
	return s->at == SMTP_STUFF_START ? STR(".\r\n") : STR("\r\n.\r\n");
}
