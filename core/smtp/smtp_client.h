/*
 * smtp_client - the sending side of RFC 5321 and LMTP (RFC 2033) as a pure state machine.
 *
 * What        bytes of a server go in, commands are appended to a buffer, one thing to do comes
 *             out; each recipient gets exactly one result, with the reply that decided it.
 * Why         no socket, clock or allocation; a hostile server is a table of strings in a test.
 * Invariants  a recipient is delivered only by a 2xx behind the end of its message. What is lost
 *             in between is deferred, and said to be unsure when the message was whole. An octet
 *             that comes when no reply is owed ends the session: it would be taken for the reply
 *             to a later command. No bare CR, bare LF or NUL is ever sent.
 * Ownership   embedded by value; nothing to release. The mail is borrowed from smtp_client_give()
 *             to DONE; `reply` is valid until the next call.
 * Bounds      one reply: see smtp_reply.h. Replies owed: two per recipient and a few. `out` needs
 *             SMTP_CLIENT_OUT bytes at least.
 * Fails       8-bit octets to a peer without 8BITMIME: 5.6.3, nothing is sent (RFC 6152 3 (4)
 *             demands a conversion or this). A message that is bigger than the peer's SIZE:
 *             5.3.4, nothing is sent.
 * Read next   delivery/delivery_session.c, which drives it.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "smtp_extension.h"
#include "smtp_reply.h"
#include "smtp_stuff.h"

#define SMTP_CLIENT_OUT 2048            /* least bound of `out`: the longest command fits */

/* What a reply is awaited for, or was said about. */
enum smtp_stage {
	SMTP_STAGE_GREETING,
	SMTP_STAGE_HELLO,
	SMTP_STAGE_MAIL,
	SMTP_STAGE_RCPT,
	SMTP_STAGE_DATA,
	SMTP_STAGE_BLOCK,
	SMTP_STAGE_FINAL,
	SMTP_STAGE_RSET,
	SMTP_STAGE_QUIT,
	SMTP_STAGES
};

const char *smtp_stage_name(enum smtp_stage stage);
unsigned smtp_stage_seconds(enum smtp_stage stage);     /* how long to wait, RFC 5321 4.5.3.2 */

enum smtp_outcome { SMTP_DELIVERED, SMTP_DEFERRED, SMTP_FAILED };

enum smtp_rcpt_state { SMTP_RCPT_PENDING, SMTP_RCPT_ACCEPTED, SMTP_RCPT_UNSENT, SMTP_RCPT_DECIDED };

struct smtp_mail_rcpt {
	struct str address;         /* canonical (address_write), or "postmaster" */
	enum smtp_rcpt_state state; /* the client's own; PENDING at the beginning */
};

struct smtp_mail {
	struct str sender;          /* canonical; empty: the null path */
	struct smtp_mail_rcpt *rcpts;
	unsigned n;
	uint64_t size;              /* octets, before dots are doubled */
	bool is_8bit;
};

struct smtp_client_options {
	struct str hello;           /* our name */
	bool is_lmtp;
	bool is_lockstep;           /* never pipeline */
};

enum smtp_client_what {
	SMTP_CLIENT_WAIT,           /* send `out`; call again on input, give up in time */
	SMTP_CLIENT_READY,          /* smtp_client_give(), _quit(), or wait; input ends it */
	SMTP_CLIENT_BODY,           /* smtp_client_body(), then _body_end(); call again on input */
	SMTP_CLIENT_RESULT,         /* rcpt, outcome, stage; `reply` decided it (code 0: we did) */
	SMTP_CLIENT_DONE,           /* every recipient has its result; the mail is given back */
	SMTP_CLIENT_CLOSE,          /* the connection is of no use any more */
};

struct smtp_client_todo {
	enum smtp_client_what what;
	enum smtp_stage stage;
	unsigned rcpt;
	enum smtp_outcome outcome;
	bool is_unsure;             /* DEFERRED, but the server may have taken the message */
};

enum smtp_client_phase {
	CLIENT_GREETING,
	CLIENT_EHLO,
	CLIENT_HELO,
	CLIENT_READY,
	CLIENT_ENVELOPE,
	CLIENT_BODY,
	CLIENT_FINAL,
	CLIENT_EMPTY,
	CLIENT_RSET,
	CLIENT_QUIT,
	CLIENT_OVER,
	CLIENT_PHASES
};

struct smtp_client {
	enum smtp_client_phase phase;
	struct smtp_client_options options;
	struct smtp_offers peer;    /* what it offers */
	struct smtp_reply reply;
	struct smtp_mail *mail;     /* NULL: none */
	struct smtp_stuff stuff;
	unsigned checked;           /* recipients whose address was looked at */
	unsigned sent, got;         /* commands of the envelope: 0 MAIL, 1..n RCPT, n+1 DATA */
	unsigned accepted;          /* recipients answered 2xx in this transaction */
	bool is_refused;            /* MAIL was refused: its recipients are decided */
	bool is_dirty;              /* a transaction is open there: RSET unless it is finished */
	struct {                    /* one reply that decides many */
		bool is_on, is_unsure;
		unsigned next;
		enum smtp_outcome outcome;
		enum smtp_stage stage;
	} sweep;
};

void smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options);

/*
 * Give the next mail: any time when there is none, also before the greeting came; not after CLOSE
 * or QUIT.
 */
void smtp_client_give(struct smtp_client *c, struct smtp_mail *mail);
bool smtp_client_has_mail(const struct smtp_client *c);

/*
 * The next thing to do: takes replies from `in`, appends commands to `out`. Call until it is
 * WAIT, READY, BODY or CLOSE.
 */
struct smtp_client_todo smtp_client_next(struct smtp_client *c, struct str *in, struct buf *out);

/*
 * As much as `out` has room for. Octets that must not be sent end the session: the next todo says
 * so.
 */
void smtp_client_body(struct smtp_client *c, struct str *body, struct buf *out);
bool smtp_client_body_end(struct smtp_client *c, struct buf *out); /* false: no room yet */

void smtp_client_quit(struct smtp_client *c, struct buf *out); /* in READY; then call next */
/*
 * The connection ended, or the stage's time is over. `why`: a few words. Then call next for what
 * follows.
 */
void smtp_client_lost(struct smtp_client *c, struct str why);
void smtp_client_timeout(struct smtp_client *c);

#endif
