/*
 *   START --.--> DOT --CR--> DOT_CR --LF--> OVER         each arrow: one_octet() and, for flawed
 *     ^ |         |             |                        messages, skip(); runs of plain text and
 *     | other   other         other (a bare CR)          whole lines: run()
 *     | v         v             v
 *     | LINE_IN <-+------------ CR
 *     |   |                     ^
 *     |   +---------CR----------+
 *     +-------------LF----------+
 */
#include "smtp_data.h"

#include <assert.h>
#include <string.h>

void smtp_data_init(struct smtp_data *d, size_t line_max, uint64_t size_max)
{
	assert(line_max >= 2);
	*d = (struct smtp_data){ .at = SMTP_DATA_START,
				 .line_max = line_max,
				 .size_max = size_max };
}

/* room - how many octets may still come out before a bound is passed */
static size_t room(const struct smtp_data *d)
{
	size_t line = d->line_max - d->line;
	uint64_t size = d->size_max - d->size;

	return size < line ? (size_t)size : line;
}

static void count(struct smtp_data *d, size_t n)
{
	d->line += n;
	d->size += n;
}

/*
 * plain_length - up to the first CR, LF or NUL; three searches, each within what the one before
 * left
 */
static size_t plain_length(const char *p, size_t n)
{
	static const char stops[] = { '\r', '\n', '\0' };

	for (size_t i = 0; i < sizeof stops && n > 0; i++) {
		const char *hit = memchr(p, stops[i], n);

		if (hit)
			n = (size_t)(hit - p);
	}
	return n;
}

/*
 * run - the fast road: how many octets are plain text and whole lines that need no thought; `at`
 * follows
 */
static size_t run(struct smtp_data *d, struct str in)
{
	size_t n = 0;

	while (n < in.n && !(d->at == SMTP_DATA_START && in.p[n] == '.')) {
		size_t left = in.n - n, most = room(d);
		size_t length = plain_length(in.p + n, left < most ? left : most);

		count(d, length);
		n += length;
		if (length > 0)
			d->at = SMTP_DATA_LINE_IN;
		if (in.n - n < 2 || room(d) < 2 || in.p[n] != '\r' || in.p[n + 1] != '\n')
			break;
		count(d, 2);
		n += 2;
		d->at = SMTP_DATA_START;
		d->line = 0;
	}
	return n;
}

static void spoil(struct smtp_data *d, enum smtp_data_flaw flaw)
{
	d->flaw = flaw;
}

/* text_octet - one octet at START or LINE_IN that run() did not like; true if it comes out */
static bool text_octet(struct smtp_data *d, char c)
{
	if (d->at == SMTP_DATA_START && c == '.') {
		d->at = SMTP_DATA_DOT;
		return false;
	}
	d->at = SMTP_DATA_LINE_IN;
	if (c == '\n')
		spoil(d, SMTP_DATA_BARE_LF);
	else if (c == '\0')
		spoil(d, SMTP_DATA_NUL);
	else if (room(d) == 0)
		spoil(d, d->line == d->line_max ? SMTP_DATA_LINE_TOO_LONG : SMTP_DATA_TOO_BIG);
	if (c == '\r')
		d->at = SMTP_DATA_CR;
	return !d->flaw;
}

/* octet_behind_cr - the octet behind a CR within a line */
static bool octet_behind_cr(struct smtp_data *d, char c)
{
	if (c != '\n') {
		spoil(d, SMTP_DATA_BARE_CR);
		d->at = c == '\r' ? SMTP_DATA_CR : SMTP_DATA_LINE_IN;
		return false;
	}
	d->at = SMTP_DATA_START;
	if (room(d) == 0)
		spoil(d, d->line == d->line_max ? SMTP_DATA_LINE_TOO_LONG : SMTP_DATA_TOO_BIG);
	return !d->flaw;
}

/*
 * one_octet - the slow road: one octet through the diagram; true if it comes out
 *
 * RFC 5321 4.5.2: "If the first character is a period and there are other characters on the line,
 * the first character is deleted." So the dot never comes out, whatever follows; and what follows
 * it is judged as text (the DOT arrow consumes nothing but a CR).
 */
static bool one_octet(struct smtp_data *d, struct str *in)
{
	char c = in->p[0];
	bool comes_out = false;

	if (d->at == SMTP_DATA_DOT && c != '\r') {
		d->at = SMTP_DATA_LINE_IN;
		return false;
	}
	*in = str_drop(*in, 1);
	d->consumed++;
	switch (d->at) {
	case SMTP_DATA_START:
	case SMTP_DATA_LINE_IN:
		comes_out = text_octet(d, c);
		break;
	case SMTP_DATA_CR:
		comes_out = octet_behind_cr(d, c);
		break;
	case SMTP_DATA_DOT:
		d->at = SMTP_DATA_DOT_CR;
		break;
	case SMTP_DATA_DOT_CR:
		if (c == '\n')
			d->at = SMTP_DATA_OVER;
		else
			(void)octet_behind_cr(d, c);
		break;
	case SMTP_DATA_OVER:
	case SMTP_DATA_ATS:
		assert(!"nothing is consumed behind the end");
	}
	if (comes_out) {
		count(d, 1);
		if (d->at == SMTP_DATA_START)
			d->line = 0;
	}
	return comes_out;
}

/* skip - a flawed message, on to its true end: the diagram without output and bounds */
static void skip(struct smtp_data *d, struct str *in)
{
	/* clang-format off */
	enum { START = SMTP_DATA_START, LINE = SMTP_DATA_LINE_IN, CR = SMTP_DATA_CR,
	       DOT = SMTP_DATA_DOT, DOT_CR = SMTP_DATA_DOT_CR, OVER = SMTP_DATA_OVER };
	static const unsigned char next[SMTP_DATA_ATS][4] = {
		/*           CR      LF     .     other */
		[START]  = { CR,     LINE,  DOT,  LINE },
		[LINE]   = { CR,     LINE,  LINE, LINE },
		[CR]     = { CR,     START, LINE, LINE },
		[DOT]    = { DOT_CR, LINE,  LINE, LINE },
		[DOT_CR] = { CR,     OVER,  LINE, LINE },
	};
	/* clang-format on */
	size_t n = 0, column;

	while (n < in->n && d->at != SMTP_DATA_OVER) {
		char c = in->p[n];

		if (d->at == SMTP_DATA_LINE_IN && c != '\r') {
			const char *cr = memchr(in->p + n, '\r', in->n - n);

			n = cr ? (size_t)(cr - in->p) : in->n;
			continue;
		}
		column = c == '\r' ? 0 : c == '\n' ? 1 : c == '.' ? 2 : 3;
		d->at = (enum smtp_data_at)next[d->at][column];
		n++;
	}
	*in = str_drop(*in, n);
	d->consumed += n;
}

/* has_8bit - eight octets at a time; the rest one by one */
static bool has_8bit(struct str s)
{
	uint64_t all = 0, word;
	size_t i = 0;

	for (; s.n - i >= sizeof word; i += sizeof word) {
		memcpy(&word, s.p + i, sizeof word);
		all |= word;
	}
	for (; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return (all & UINT64_C(0x8080808080808080)) != 0;
}

bool smtp_data_next(struct smtp_data *d, struct str *in, struct str *out)
{
	const char *from = in->p;
	size_t n = 0;

	while (n == 0 && in->n > 0 && d->at != SMTP_DATA_OVER) {
		from = in->p;
		if (d->flaw) {
			skip(d, in);
			continue;
		}
		if (d->at == SMTP_DATA_START || d->at == SMTP_DATA_LINE_IN) {
			n = run(d, *in);
			*in = str_drop(*in, n);
			d->consumed += n;
		}
		if (n == 0 && one_octet(d, in))
			n = 1;
	}
	*out = n ? (struct str){ from, n } : STR_NONE;
	if (n && !d->is_8bit)
		d->is_8bit = has_8bit(*out);
	return n > 0;
}
