/*
 * received - the trace fields of RFC 5321 4.4: Received and Return-Path.
 *
 * Invariants  whatever a client said, what is written is one well-formed field of printable ASCII:
 *             bytes of HELO that no host name or literal has become '?'.
 */
#ifndef RECEIVED_H
#define RECEIVED_H

#include "buf.h"
#include "id.h"

struct received {
	struct str helo;                /* as the client gave it */
	struct str peer_name;           /* what its address resolves to; empty: unknown */
	struct str peer_ip;             /* text; empty: a Unix socket */
	struct str host;                /* ours */
	/* SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, LMTP... (RFC 3848) */
	struct str protocol;
	struct str tls_version, tls_cipher; /* a comment; empty: plain text */
	const struct id *id;
	/* canonical; written only when it is the only one: empty otherwise */
	struct str rcpt;
	uint64_t wall_us;
};

bool received_write(struct buf *b, const struct received *r);           /* false: b is full */
bool received_return_path(struct buf *b, struct str sender);            /* canonical; empty: "<>" */

#endif
