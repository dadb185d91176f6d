/*
 * delivery_maildir - the client of the maildir helper: a lease becomes one file per recipient.
 *
 * What        final delivery: Return-Path and Delivered-To on top, then the message, framed to
 *             the helper within its window; each recipient's RESULT decides it.
 * Invariants  a file's name is made of the message's id and the recipient's number: however often
 *             it is tried, it is there once. A helper that dies is waited for,
 *             DELIVERY_MAILDIR_WAIT at most, and everything open begins anew with its successor.
 * Bounds      DELIVERY_MAILDIR_FILES files at once, IPC_SLOT_WINDOW bytes ahead of each one's ACK.
 * Read next   maildir_serve.c, the other end.
 */
#ifndef DELIVERY_MAILDIR_H
#define DELIVERY_MAILDIR_H

#include "ipc_channel.h"

#define DELIVERY_MAILDIR_FILES 32
#define DELIVERY_MAILDIR_WAIT  (30 * UINT64_C(1000000))

struct delivery;
struct delivery_lease;

struct delivery_maildir {
	struct ipc_channel *channel; /* NULL: gone */
	struct list waiting, open;   /* leases; at most DELIVERY_MAILDIR_FILES are open */
	unsigned nopen;
	uint64_t tag;              /* of the last file */
	struct net_deferred turn;  /* begins what waits: never inside the call that gives a lease */
	struct net_timer patience; /* with a helper that is gone */
	/* Tags of files given up, until the ring has room to say so. */
	uint64_t aborts[DELIVERY_MAILDIR_FILES];
	unsigned naborts;
};

void delivery_maildir_init(struct delivery *d);
void delivery_maildir_fini(struct delivery *d);
void delivery_maildir_attempt(
	struct delivery_lease *l);                    /* its recipients are decided later, or now */
void delivery_maildir_more(struct delivery_lease *l); /* more of the body is there */
void delivery_maildir_forget(struct delivery_lease *l); /* harmless when the lease has no file */

#endif
