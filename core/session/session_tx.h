/*
 * session_tx - one transaction: from MAIL to the reply behind the data.
 *
 * What        the view that policy sees, the message as far as it has come, its slot and its
 *             commit.
 * Invariants  a tag means that the spool may know it: the server finds it by that. `waits` is in
 *             the server's list exactly while the session is SPOOLING. What is in memory of the
 *             body is its beginning, without holes.
 * Ownership   from a pool of the server. Everything in it dies with session_tx_end(), but for a
 *             slot that is still to be given up: then it rests in the server's list of aborts.
 * Bounds      SESSION_TX_ARENA, SESSION_MESSAGE; all transactions together: options.memory.
 * Read next   session_data.c, session_slot.c, session_copies.c, session_submit.c, in the order of a
 *             message's life.
 */
#ifndef SESSION_TX_H
#define SESSION_TX_H

#include "envelope.h"
#include "map.h"
#include "policy_edit.h"
#include "policy_view.h"
#include "session_config.h"

#define SESSION_IN       (32 * 1024) /* unread input; a paused client costs no more */
#define SESSION_TX_ARENA (8 * 1024 * 1024)
#define SESSION_MESSAGE  (HEADER_BLOCK + IPC_BODY_INLINE + 2 * SESSION_IN)
/* octets of a message taken beyond its limit, to find its end */
#define SESSION_JUNK (1024 * 1024)
/* memory that a spare one keeps for its next message */
#define SESSION_SPARE_MESSAGE (64 * 1024)
#define SESSION_TEXT          160 /* of a reply that is kept for the events */
#define SESSION_RULE          64
#define SESSION_NO_VARIANT    UINT8_MAX

struct session;
struct session_server;

/* A no, said now or at the end of data. verdict.kind PASS: none. */
struct session_refusal {
	const char *stage; /* a hook, or what of ours */
	bool is_policy;
	/* texts are static, or live in the arena of who was asked */
	struct verdict verdict;
};

/* The last no that was said, for the events: copies, since it outlives the arena. */
struct session_cause {
	const char *stage;   /* NULL: nothing was refused */
	const char *verdict; /* of policy; NULL: our own rule */
	char rule[SESSION_RULE];
	uint16_t code;
	char esc[VERDICT_ESC];
	char text[SESSION_TEXT];
};

enum session_part {
	SESSION_PART_ENVELOPE, /* MAIL to DATA */
	SESSION_PART_LEAD,     /* is the first line an mbox one? */
	SESSION_PART_HEADER,   /* the header block is collected; then `headers` is asked */
	SESSION_PART_BODY,     /* the body is collected, or streamed */
	SESSION_PART_ENDED,    /* all is here: `message`, `message_rcpt`, commit */
};

enum session_slot {
	SESSION_SLOT_NONE,   /* the body is in memory */
	SESSION_SLOT_WANTED, /* it will not fit: SLOT_OPEN is to be sent */
	SESSION_SLOT_ASKED,  /* sent; the first SLOT_ACK is awaited */
	SESSION_SLOT_OPEN,
	SESSION_SLOT_GONE, /* refused, given up, or lost with its channel */
};

enum session_commit { SESSION_COMMIT_NONE, SESSION_COMMIT_WANTED, SESSION_COMMIT_SENT };

enum session_outcome {
	SESSION_ABANDONED, /* RSET, QUIT, a lost connection */
	SESSION_REFUSED,
	SESSION_DISCARDED,
	SESSION_ACCEPTED,
	SESSION_OUTCOMES
};

struct session_tx {
	struct list node; /* spare, or in the list of aborts */
	struct session *session;
	struct session_server *server;
	struct session_config *config;
	struct arena arena;
	struct policy_tx view;
	struct policy_msg msg;
	/* HOLD, QUARANTINE, DISCARD of the whole message; else PASS */
	struct verdict kept;
	struct session_refusal refusal; /* what will be said at the end of data */
	struct session_cause cause;
	enum session_outcome outcome;
	uint64_t began_us, data_us, ended_us, submitted_us; /* monotonic; 0: not yet */
	size_t charged;                                     /* of the server's memory */

	enum session_part part;
	/* as received: header block, empty line, the body or its beginning */
	struct buf message;
	struct smtp_data data;
	struct header_scan scan;
	size_t lead;   /* length of an mbox line before the header */
	unsigned copy; /* the recipient that message_rcpt is at */

	uint64_t tag; /* of slot and submission; 0: the spool knows nothing */
	struct map_node by_tag;
	struct list waits;
	uint64_t due_us; /* then waiting ends */
	enum session_slot slot;
	uint64_t slot_sent, slot_acked; /* octets of the body */
	enum session_commit commit;
	uint8_t *variant_of;         /* by recipient */
	unsigned nvariants, nstored; /* nstored: recipients in them */
};

/* ---- session_tx.c: the pool */

struct session_tx *session_tx_new(struct session *s);
void session_tx_end(struct session *s);      /* event, counters, end */
void session_tx_rest(struct session_tx *tx); /* into the pool */
void session_tx_free(struct session_tx **tx);
/* What it holds now; false: all transactions together hold more than they may. */
bool session_tx_charge(struct session_tx *tx);
bool session_tx_may_hold(const struct session_tx *tx, size_t more); /* in its message */

/* ---- session_data.c: the octets behind 354 */

void session_data_begin(struct session *s);
/* true: call again, something may be left */
bool session_data_turn(struct session *s);
void session_data_refuse(struct session_tx *tx, const struct session_refusal *refusal);
/* the block as received, without an mbox line */
struct str session_data_header(const struct session_tx *tx);
struct str session_data_body(const struct session_tx *tx);    /* what of the body is in memory */
uint64_t session_data_body_size(const struct session_tx *tx); /* all of it that came so far */

/* ---- session_slot.c: a big body on its way to the spool */

void session_slot_want(struct session_tx *tx);
/* octets of input that may be taken now */
size_t session_slot_credit(const struct session_tx *tx);
void session_slot_send(struct session_tx *tx, const struct str *parts, unsigned nparts);
void session_slot_push(struct session_tx *tx); /* do what could not be done before */
/* what is in memory was sent, or needs not be */
bool session_slot_is_drained(const struct session_tx *tx);
void session_slot_ack(struct session_tx *tx, uint64_t taken);
void session_slot_refused(struct session_tx *tx, const struct session_refusal *refusal);
void session_slot_lost(struct session_tx *tx);  /* its channel is gone */
bool session_slot_abort(struct session_tx *tx); /* false: no room for the frame now */

/* ---- session_copies.c: who gets what */

/* fills variant_of; false: too many variants */
bool session_copies_sort(struct session_tx *tx);
/*
 * Into the server's scratch, where the slices of *out live. False: larger than a submission may be.
 */
bool session_copies_build(struct session_tx *tx, struct ipc_submit *out);
bool session_copies_is_refused(const struct policy_rcpt *r); /* by message_rcpt */

/* ---- session_submit.c: from the end of data to its reply */

void session_submit_ended(struct session *s);
/* asks message_rcpt for who is left, then commits */
void session_submit_copies(struct session *s);
void session_submit_copy_decided(struct session *s);
void session_submit_no(struct session_tx *tx, const struct session_refusal *refusal);
void session_submit_push(struct session_tx *tx);
void session_submit_durable(struct session_tx *tx); /* what DURABLE calls, and nobody else */
void session_submit_late(struct session_tx *tx);

/* ---- session_event.c */

void session_event_message(const struct session_tx *tx);
void session_cause_set(struct session_cause *c, const struct session_refusal *by);

#endif
