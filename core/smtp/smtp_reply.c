#include "smtp_reply.h"
#include "smtp_line.h"

#include <assert.h>
#include <string.h>

#define CODE_DIGITS 3
#define FRAME       (CODE_DIGITS + 1 + 2) /* code, space or hyphen, CRLF */
#define TEXT_MAX    ((size_t)SMTP_REPLY_WIDTH - FRAME)

const char *const smtp_reply_flaw_text[SMTP_REPLY_FLAWS] = {
	[SMTP_REPLY_CLEAN] = "well formed",
	[SMTP_REPLY_BAD_LINE] = "a bare CR, a bare LF or a NUL in a reply",
	[SMTP_REPLY_LONG_LINE] = "a reply line without an end",
	[SMTP_REPLY_NO_CODE] = "a reply without a code",
	[SMTP_REPLY_MIXED_CODES] = "a reply with several codes",
	[SMTP_REPLY_MANY_LINES] = "a reply without an end",
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * printable - what may stand in a reply; everything else could end the line, or the terminal that
 * shows it
 */
static char printable(char c)
{
	return c >= ' ' && c <= '~' ? c : c == '\t' ? ' ' : '?';
}

/* digits - how many stand at the front, at most 4 */
static size_t digits(struct str s)
{
	size_t n = 0;

	while (n < s.n && n <= CODE_DIGITS && is_digit(s.p[n]))
		n++;
	return n;
}

/*
 * smtp_esc_take - RFC 3463 2
 *
 *   status-code = ("2" / "4" / "5") "." subject "." detail
 *   subject     = 1*3digit
 *   detail      = 1*3digit
 */
bool smtp_esc_take(struct str *text, int reply_class, struct str *esc)
{
	struct str rest = *text;
	size_t n;

	if (rest.n < 5 || rest.p[0] != '0' + reply_class || rest.p[1] != '.' ||
	    strchr("245", rest.p[0]) == NULL)
		return false;
	rest = str_drop(rest, 2);
	n = digits(rest);
	if (n == 0 || n > CODE_DIGITS || n == rest.n || rest.p[n] != '.')
		return false;
	rest = str_drop(rest, n + 1);
	n = digits(rest);
	if (n == 0 || n > CODE_DIGITS || (n < rest.n && rest.p[n] != ' '))
		return false;
	*esc = str_head(*text, (size_t)(rest.p - text->p) + n);
	*text = str_drop(rest, n + 1);
	return true;
}

/* One reply being written: into space that is known to be enough. */
struct writer {
	char *p;
	size_t n;
	int code;
	struct str esc; /* well formed or empty; its class digit is written from the code */
};

static void put(struct writer *w, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		w->p[w->n++] = printable(s.p[i]);
}

static void put_line(struct writer *w, struct str text, bool is_last)
{
	char head[] = { (char)('0' + w->code / 100), (char)('0' + w->code / 10 % 10),
			(char)('0' + w->code % 10), is_last ? ' ' : '-' };

	put(w, (struct str){ head, sizeof head });
	if (w->esc.n) {
		w->p[w->n++] = head[0];
		put(w, str_drop(w->esc, 1));
		w->p[w->n++] = ' ';
	}
	put(w, text);
	w->p[w->n++] = '\r';
	w->p[w->n++] = '\n';
}

/*
 * piece_take - what of the text goes on the next line: up to a LF, else as much as fits,
 * preferably whole words
 */
static struct str piece_take(struct str *text, size_t width)
{
	struct str piece = str_head(*text, width + 1);
	ptrdiff_t at = str_find(piece, '\n');

	if (at >= 0) {
		piece.n = (size_t)at;
		*text = str_drop(*text, piece.n + 1);
		return str_trim(piece);
	}
	if (text->n > width) {
		at = str_rfind(piece, ' ');
		piece.n = at > 0 ? (size_t)at : width;
	}
	*text = str_drop(*text, piece.n);
	if (text->n && text->p[0] == ' ')
		*text = str_drop(*text, 1);
	return piece;
}

/* esc_of - well formed whatever its class, or empty: put_line() writes the class of the code */
static struct str esc_of(int code, struct str esc)
{
	struct str all = esc, taken;

	if (code / 100 == 3 || esc.n == 0 || !is_digit(esc.p[0]))
		return STR_NONE;
	return smtp_esc_take(&all, esc.p[0] - '0', &taken) && taken.n == esc.n ? esc : STR_NONE;
}

bool smtp_reply_add(struct buf *out, int code, struct str esc, struct str text)
{
	struct writer w = { .code = code, .esc = esc_of(code, esc) };
	size_t width = TEXT_MAX - (w.esc.n ? w.esc.n + 1 : 0);
	size_t room;

	assert(code >= 200 && code <= 599);
	text = str_head(text, (size_t)SMTP_REPLY_ADDED * SMTP_REPLY_WIDTH);
	room = text.n + SMTP_REPLY_SLACK;
	w.p = buf_space(out, room);
	if (!w.p)
		return false;
	for (unsigned lines = 1;; lines++) {
		struct str piece = piece_take(&text, width);
		bool is_last = text.n == 0 || lines == SMTP_REPLY_ADDED;

		put_line(&w, piece, is_last);
		if (is_last)
			break;
	}
	assert(w.n <= room);
	buf_wrote(out, w.n);
	return true;
}

bool smtp_reply_list(struct buf *out, int code, const struct str *lines, size_t n)
{
	struct writer w = { .code = code };
	size_t room = 0;

	assert(n > 0 && n <= SMTP_REPLY_LINES);
	for (size_t i = 0; i < n; i++)
		room += str_head(lines[i], TEXT_MAX).n + FRAME;
	w.p = buf_space(out, room);
	if (!w.p)
		return false;
	for (size_t i = 0; i < n; i++)
		put_line(&w, str_head(lines[i], TEXT_MAX), i + 1 == n);
	buf_wrote(out, w.n);
	return true;
}

void smtp_reply_init(struct smtp_reply *r)
{
	*r = (struct smtp_reply){ .is_last = true };
}

/* begin - a new reply; the big text is not wiped, its first byte is enough */
static void begin(struct smtp_reply *r)
{
	r->code = 0;
	r->lines = 0;
	r->is_last = false;
	r->line = STR_NONE;
	r->esc[0] = r->text[0] = '\0';
	r->length = 0;
}

static void append(struct smtp_reply *r, struct str text)
{
	if (r->length > 0 && text.n > 0 && r->length < SMTP_REPLY_TEXT - 1)
		r->text[r->length++] = ' ';
	for (size_t i = 0; i < text.n && r->length < SMTP_REPLY_TEXT - 1; i++)
		r->text[r->length++] = printable(text.p[i]);
	r->text[r->length] = '\0';
}

static enum step failed(struct smtp_reply *r, enum smtp_reply_flaw flaw)
{
	r->flaw = flaw;
	return STEP_ERROR;
}

/*
 * line_judge - RFC 5321 4.2
 *
 *   Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 *   Reply-code = %x32-35 %x30-35 %x30-39
 *
 * The second digit is taken as any: 571 is met in the wild, and only the first one tells a client
 * what to do.
 */
static enum step line_judge(struct smtp_reply *r, struct str text)
{
	struct str esc;
	int code;

	if (digits(text) != CODE_DIGITS || text.p[0] < '2' || text.p[0] > '5')
		return failed(r, SMTP_REPLY_NO_CODE);
	code = (text.p[0] - '0') * 100 + (text.p[1] - '0') * 10 + (text.p[2] - '0');
	text = str_drop(text, CODE_DIGITS);
	if (text.n && text.p[0] != ' ' && text.p[0] != '-')
		return failed(r, SMTP_REPLY_NO_CODE);
	if (r->lines > 0 && code != r->code)
		return failed(r, SMTP_REPLY_MIXED_CODES);
	r->code = code;
	r->is_last = text.n == 0 || text.p[0] == ' ';
	if (++r->lines == SMTP_REPLY_LINES && !r->is_last)
		return failed(r, SMTP_REPLY_MANY_LINES);
	text = str_drop(text, 1);
	if (smtp_esc_take(&text, code / 100, &esc) && r->esc[0] == '\0')
		(void)str_copy(r->esc, sizeof r->esc, esc);
	r->line = text;
	append(r, text);
	return STEP_DONE;
}

enum step smtp_reply_take(struct smtp_reply *r, struct str *in)
{
	struct smtp_line line;
	enum step got;

	if (r->flaw)
		return STEP_ERROR;
	got = smtp_line_take(in, SMTP_REPLY_LINE, &line);
	if (got == STEP_MORE)
		return STEP_MORE;
	if (r->is_last)
		begin(r);
	if (got == STEP_DONE)
		return line_judge(r, line.text);
	return failed(r,
		      line.flaw == SMTP_LINE_TOO_LONG ? SMTP_REPLY_LONG_LINE : SMTP_REPLY_BAD_LINE);
}

void smtp_reply_set(struct smtp_reply *r, int code, const char *esc, struct str text)
{
	begin(r);
	r->is_last = true;
	r->code = code;
	(void)str_copy(r->esc, sizeof r->esc, str_of(esc));
	append(r, text);
}
