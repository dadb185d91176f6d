/*
 * smtp_line - one line out of the bytes that came.
 *
 * What        takes a line that ends in CRLF from the front of a slice; or says which of four
 *             flaws it has.
 * Why         the one place where a bare CR, a bare LF or a NUL in a command (or in a server's
 *             reply) is refused.
 * Invariants  a line holds no CR, LF or NUL. The flaw is that of the first offending byte,
 *             however the bytes were cut into chunks. DONE consumes the line and its CRLF; MORE
 *             and ERROR consume nothing.
 * Ownership   the text borrows from the input.
 * Bounds      `max` bytes, CRLF included. Input that holds `max` bytes never answers MORE.
 * Fails       TOO_LONG: reply, then smtp_line_skip() with a budget finds the next line. Any other
 *             flaw: two readers could see different lines here, so nothing behind it may be
 *             believed: reply and close.
 * Read next   smtp_command.c, what a line means; session/session.c, who calls.
 */
#ifndef SMTP_LINE_H
#define SMTP_LINE_H

#include "step.h"
#include "str.h"

#define SMTP_LINE_MAX 2048         /* of a command; RFC 5321 4.5.3.1.4 has 512, extensions more */
#define SMTP_LINE_SKIP (64 * 1024) /* a reasonable budget for smtp_line_skip() */

enum smtp_line_flaw {
	SMTP_LINE_CLEAN,
	SMTP_LINE_TOO_LONG,
	SMTP_LINE_BARE_CR,
	SMTP_LINE_BARE_LF,
	SMTP_LINE_NUL,
	SMTP_LINE_FLAWS
};

struct smtp_line {
	struct str text;                /* without its CRLF; DONE only */
	enum smtp_line_flaw flaw;       /* ERROR: which; else CLEAN */
};

enum step smtp_line_take(struct str *in, size_t max, struct smtp_line *line);

/*
 * smtp_line_skip - discard what is left of a line that was too long, its CRLF included
 *
 * DONE: the next line begins. MORE: what could be discarded is consumed, call again with what
 * follows; a CR at the very end stays, since its LF may be next. ERROR: the budget, lessened by
 * each byte consumed, is used up.
 */
enum step smtp_line_skip(struct str *in, size_t *budget);

#endif
