/* layer: smtp */
#include "smtp_reply.h"

#include <stdlib.h>
#include <string.h>

#define ROOM (64 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void keeps_its_word(const struct smtp_reply *r)
{
	check(r->length < SMTP_REPLY_TEXT && strlen(r->text) == r->length);
	check(r->lines <= SMTP_REPLY_LINES && strlen(r->esc) < SMTP_REPLY_ESC);
	for (size_t i = 0; i < r->length; i++)
		check(r->text[i] >= ' ' && r->text[i] <= '~');
}

/* read - every reply of the input, in pieces; where it ended and how */
static struct smtp_reply read_all(const uint8_t *data, size_t n, size_t piece, size_t *consumed)
{
	struct smtp_reply r;
	size_t begun = 0;
	enum step got = STEP_MORE;

	smtp_reply_init(&r);
	for (size_t end = 0; end < n && got != STEP_ERROR;) {
		char *copy;
		struct str in;

		end = end + piece < n ? end + piece : n;
		copy = malloc(end - begun);
		check(copy);
		memcpy(copy, data + begun, end - begun);
		in = (struct str){ copy, end - begun };
		while ((got = smtp_reply_take(&r, &in)) == STEP_DONE) {
			check(r.line.n == 0 || (r.line.p >= copy && r.line.p + r.line.n <= copy + (end - begun)));
			keeps_its_word(&r);
		}
		begun = end - in.n;
		free(copy);
	}
	r.line = STR_NONE;
	*consumed = begun;
	return r;
}

/* writes - any text and enhanced code make one reply, which reads back */
static void writes_one_reply(const uint8_t *data, size_t n)
{
	int code = 200 + data[0] % 4 * 100 + data[1] % 100;
	size_t split = data[2] % 16 < n - 3 ? data[2] % 16 : n - 3;
	struct str esc = { (const char *)data + 3, split }, text = { (const char *)data + 3 + split, n - 3 - split };
	struct smtp_reply r;
	struct buf out;
	struct str in;

	buf_init(&out, ROOM);
	check(smtp_reply_add(&out, code, esc, text) || text.n > ROOM / 2);
	in = buf_str(&out);
	smtp_reply_init(&r);
	for (unsigned lines = 1; in.n > 0; lines++) {
		check(smtp_reply_take(&r, &in) == STEP_DONE);
		check(r.code == code && r.lines == lines && lines <= SMTP_REPLY_ADDED && r.is_last == (in.n == 0));
		check(r.esc[0] == '\0' || r.esc[0] == '0' + code / 100);
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtp_reply whole, pieces;
	size_t whole_end, pieces_end;

	whole = read_all(data, n, n ? n : 1, &whole_end);
	pieces = read_all(data, n, n ? 1 + data[0] % 8 : 1, &pieces_end);
	check(whole_end == pieces_end && whole.flaw == pieces.flaw && whole.code == pieces.code);
	check(whole.lines == pieces.lines && whole.is_last == pieces.is_last);
	check(strcmp(whole.text, pieces.text) == 0 && strcmp(whole.esc, pieces.esc) == 0);
	if (n >= 3)
		writes_one_reply(data, n);
	return 0;
}
