/*
 * envelope - who sent a message, to whom, and what was known then: as it is stored and as it
 * crosses between roles.
 *
 * What        a readable text of "key: value" lines, so that `strings` on a disk shows it; a struct
 *             with slices into it.
 * Invariants  envelope_read(envelope_write(e)) == e. Values are percent-encoded where they hold
 *             '%', control bytes or bytes from 0x7f on, so that one line is one value whatever a
 *             client sent. Unknown keys are skipped: newer writers, older readers. Order: keys of
 *             the message, then per recipient "rcpt:" and its keys.
 * Bounds      1 to ENVELOPE_RCPTS recipients, ENVELOPE_VALUE bytes a value (vars: 24 KiB).
 * Ownership   read: decoded slices live in the arena.
 * Read next   session/session_submit.c writes it, queue/ indexes it, delivery/ reads it.
 */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include "arena.h"
#include "buf.h"
#include "fault.h"
#include "id.h"

#define ENVELOPE_RCPTS 1000
#define ENVELOPE_VALUE 2048
#define ENVELOPE_VARS  (24 * 1024)

struct envelope_rcpt {
	struct str address;  /* canonical; never empty */
	struct str original; /* as the client gave it, where it differs */
	struct str route;    /* next hop chosen by policy at the edge, or empty */
	struct str vars;     /* packed policy_vars */
};

struct envelope {
	struct id id;
	uint16_t variant;
	struct str sender; /* canonical; empty: the null sender */
	bool is_8bit;
	uint64_t created_us; /* wall */
	struct str helo, peer, listener, generation;
	struct str reason, bucket, rule; /* of a hold or quarantine */
	uint64_t ttl_us;                 /* of a quarantine; 0: default */
	struct str vars;
	struct envelope_rcpt *rcpts;
	unsigned nrcpts;
};

/* false: b is full or a bound is passed; b is then as it was. */
bool envelope_write(struct buf *b, const struct envelope *e);
int envelope_read(struct str text, struct arena *a, struct envelope *out, struct fault *why);

#endif
