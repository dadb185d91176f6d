/*
 * smtp_reply - replies, written and read (RFC 5321 4.2, RFC 2034, RFC 3463).
 *
 * What        code, enhanced code and text become well-formed lines; lines of a server become
 *             code, enhanced code and text.
 * Why         text comes from policies and, reflected, from peers: nothing in it can break a line
 *             or forge a reply, because this is the only place that writes one. And a hostile
 *             server is data: what it sends is bounded here.
 * Invariants  written: printable ASCII, lines of at most SMTP_REPLY_WIDTH bytes, all or nothing.
 *             The enhanced code has the class of the code. Read: all lines of a reply have one
 *             code; `text` is printable ASCII, ends in NUL.
 * Ownership   embedded by value; `line` borrows from the input and dies with it.
 * Bounds      written: SMTP_REPLY_ADDED lines, the rest of the text is cut. Read: SMTP_REPLY_LINE
 *             bytes a line, SMTP_REPLY_LINES lines.
 * Read next   smtp_server.c, smtp_client.c.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "buf.h"
#include "step.h"

#define SMTP_REPLY_WIDTH 500            /* written, with CRLF; RFC 5321 4.5.3.1.5 allows 512 */
#define SMTP_REPLY_ADDED 16
#define SMTP_REPLY_LINE 512             /* read, with CRLF */
#define SMTP_REPLY_LINES 64
#define SMTP_REPLY_TEXT 512
#define SMTP_REPLY_ESC 12               /* "5.123.123" and NUL */
#define SMTP_REPLY_SLACK 320            /* what smtp_reply_add wants of `out` beyond the text */

/*
 * smtp_reply_add - one reply; a LF in the text begins a new line
 *
 * `esc` is "5.7.1" or empty; it is left out where it is not well formed or the code is neither
 * 2xx, 4xx nor 5xx. false: `out` is too full, nothing was added.
 */
bool smtp_reply_add(struct buf *out, int code, struct str esc, struct str text);

/*
 * smtp_reply_list - one reply of n > 0 lines without enhanced codes: EHLO, HELP; each cut to its
 * line
 */
bool smtp_reply_list(struct buf *out, int code, const struct str *lines, size_t n);

/*
 * smtp_esc_take - "5.7.1 " at the front of a text, of that class: consumed with its space, in
 * *esc; false: nothing like it
 */
bool smtp_esc_take(struct str *text, int reply_class, struct str *esc);

enum smtp_reply_flaw {
	SMTP_REPLY_CLEAN,
	SMTP_REPLY_BAD_LINE,       /* a bare CR or LF, a NUL */
	SMTP_REPLY_LONG_LINE,
	SMTP_REPLY_NO_CODE,        /* not a code of 200 to 599 and a space, a hyphen or the end */
	SMTP_REPLY_MIXED_CODES,
	SMTP_REPLY_MANY_LINES,
	SMTP_REPLY_FLAWS
};

extern const char *const smtp_reply_flaw_text[SMTP_REPLY_FLAWS];

struct smtp_reply {
	int code;
	unsigned lines;            /* of this reply, so far */
	bool is_last;              /* the line just taken ended the reply */
	enum smtp_reply_flaw flaw;
	struct str line;           /* text of the line just taken, behind code and enhanced code */
	char esc[SMTP_REPLY_ESC];  /* of the first line that had one, or empty */
	size_t length;             /* of text */
	char text[SMTP_REPLY_TEXT];     /* lines joined by a space; cut at the end */
};

void smtp_reply_init(struct smtp_reply *r);

/*
 * smtp_reply_take - one line of a reply
 *
 * DONE: a line was taken; the reply is whole when is_last, and the next call begins a new one.
 * ERROR: `flaw` says why, for ever.
 */
enum step smtp_reply_take(struct smtp_reply *r, struct str *in);

/*
 * smtp_reply_set - a reply that no server sent: what we say ourselves of a lost connection and
 * the like
 */
void smtp_reply_set(struct smtp_reply *r, int code, const char *esc, struct str text);

#endif
