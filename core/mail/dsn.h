/*
 * dsn - delivery status notifications (RFC 3464 in the multipart/report of RFC 6522), and status
 * codes (RFC 3463).
 *
 * What        one complete message: for people, for programs, and the header of the message that it
 *             is about.
 * Invariants  lines are at most 998 bytes of 7-bit ASCII, whatever the original header holds
 *             (quoted-printable where needed). The boundary occurs in no part. Text of peers is
 *             sanitised here and cannot begin a field or a part.
 * Bounds      DSN_HEADER bytes of the original header, cut between fields; DSN_DIAGNOSTIC bytes of
 *             a peer's reply.
 */
#ifndef DSN_H
#define DSN_H

#include "buf.h"
#include "id.h"

#define DSN_HEADER (64 * 1024)
#define DSN_DIAGNOSTIC 800

struct dsn_status {
	uint8_t of_class;               /* 2, 4 or 5 */
	uint16_t subject, detail;       /* at most 999 */
};

/*
 * dsn_status_take - consume "x.y.z" and the blank behind it, if it stands at the front; false
 * leaves text alone
 */
bool dsn_status_take(struct str *text, struct dsn_status *out);
bool dsn_status_parse(struct str text, struct dsn_status *out);         /* the whole of text */

enum dsn_action { DSN_FAILED, DSN_DELAYED };

struct dsn_rcpt {
	enum dsn_action action;
	struct str original;            /* ORCPT, "rfc822;name@host"; empty: none was given */
	struct str final;               /* the mailbox */
	/* "5.1.1"; whatever is no status code becomes 5.0.0 or 4.0.0 */
	struct str status;
	struct str remote_mta;          /* host name or address; empty: nobody answered */
	struct str diagnostic;          /* the reply or our own reason */
	/* diagnostic is the reply of remote_mta: "smtp;", else "x-moongate;" */
	bool is_reply;
	uint64_t attempted_us;          /* wall; 0: never */
	uint64_t retry_until_us;        /* DELAYED */
};

struct dsn {
	struct id id;                   /* of this message: Message-ID and boundary */
	struct str host;                /* Reporting-MTA, and the domain of From */
	struct str to;                  /* the sender of the original; canonical */
	uint64_t wall_us;
	struct str envelope_id;         /* ENVID; empty: none was given */
	struct str original_id;         /* our id of the original */
	uint64_t arrived_us;
	struct str header;              /* block of the original */
	const struct dsn_rcpt *rcpts;
	unsigned nrcpts;
};

/* header block, empty line, body; false: b is full */
bool dsn_write(struct buf *b, const struct dsn *d);

#endif
