/*
 * smtp_data - the octets of a message between 354 and CRLF.CRLF.
 *
 * What        takes the stream apart: slices of the message come out as they went in, but for the
 *             dots that were stuffed; the end is found; what two readers could understand
 *             differently is found too.
 * Why         the wrong idea of where a message ends is a second message (SMTP smuggling). Only
 *             CR LF . CR LF ends one.
 * Invariants  a flaw never moves the end: consumption goes on to the true end, so nothing of the
 *             message is taken for a command. From the first flaw on no octet comes out. Flaw,
 *             output and end do not depend on how the input was cut. After SMTP_DATA_OVER nothing
 *             is consumed: what follows is the next command.
 * Ownership   embedded by value, nothing to release; slices borrow from the input.
 * Bounds      line_max octets a line (CRLF counted, a stuffed dot not), size_max octets in all;
 *             beyond: a flaw. `consumed` is for whoever bounds the total of a flawed message.
 * Read next   smtp_stuff.c, the other direction; session/session_data.c.
 */
#ifndef SMTP_DATA_H
#define SMTP_DATA_H

#include "str.h"

#define SMTP_DATA_LINE (64 * 1024)

enum smtp_data_at {
	SMTP_DATA_START,        /* behind a CRLF, or at the first octet */
	SMTP_DATA_LINE_IN,      /* within a line */
	SMTP_DATA_CR,           /* behind a CR within a line */
	SMTP_DATA_DOT,          /* behind a dot that began a line */
	SMTP_DATA_DOT_CR,       /* behind CRLF . CR */
	SMTP_DATA_OVER,         /* behind CRLF . CRLF */
	SMTP_DATA_ATS
};

enum smtp_data_flaw {
	SMTP_DATA_CLEAN,
	SMTP_DATA_BARE_CR,
	SMTP_DATA_BARE_LF,
	SMTP_DATA_NUL,
	SMTP_DATA_LINE_TOO_LONG,
	SMTP_DATA_TOO_BIG,
	SMTP_DATA_FLAWS
};

struct smtp_data {
	enum smtp_data_at at;
	enum smtp_data_flaw flaw;       /* the first one */
	bool is_8bit;                   /* an octet from 0x80 on came out */
	size_t line, line_max;          /* octets of the current line, and at most */
	uint64_t size, size_max;        /* octets that came out, and at most */
	uint64_t consumed;              /* octets taken in */
};

void smtp_data_init(struct smtp_data *d, size_t line_max, uint64_t size_max);

/*
 * smtp_data_next - the next slice of the message
 *
 * true: *out holds at least one octet; call again. false: the input is used up, or the message is
 * over.
 */
bool smtp_data_next(struct smtp_data *d, struct str *in, struct str *out);

static inline bool smtp_data_is_over(const struct smtp_data *d)
{
	return d->at == SMTP_DATA_OVER;
}

#endif
