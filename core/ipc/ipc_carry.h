/*
 * ipc_carry - a message that was in a queue before, handed to the spool with all that became of it.
 *
 * What        a SUBMIT whose variants keep their numbers and come with their progress; it is
 *             answered as a SUBMIT is, DURABLE with the flag IPC_KNOWN when its id was there.
 * Why         what is imported, or adopted from a dead node, goes on where it stopped: nothing is
 *             delivered twice, no attempt forgotten, nothing held let go.
 * Invariants  taken from operators alone (IPC_OPERATOR): an edge could name any id in it.
 *             Idempotent by id, like SUBMIT. The reader checks everything.
 * Bounds      those of SUBMIT; IPC_CARRY_BITS bytes a bitmap, IPC_CARRY_BLOB a blob.
 */
#ifndef IPC_CARRY_H
#define IPC_CARRY_H

#include "ipc_submit.h"

#define IPC_CARRY      16   /* -> the frame's type */
#define IPC_KNOWN      1    /* a flag of DURABLE */
#define IPC_CARRY_BITS 1250 /* as many recipients as the spool takes */
#define IPC_CARRY_BLOB (64 * 1024)

/* The index of the operator among the edges; ids of messages that he makes are made by
 * IPC_OPERATOR_IDS. */
#define IPC_OPERATOR     64
#define IPC_OPERATOR_IDS 0x7fff

struct ipc_carried {
	uint16_t number;         /* of the variant */
	struct str done, failed; /* bitmaps of its recipients, or empty: none */
	struct str blob;         /* the queue's own */
};

struct ipc_carry {
	struct ipc_carried variants[IPC_VARIANTS]; /* as many as the submit has */
	struct ipc_submit submit;
};

/* As those of ipc_submit. */
bool ipc_carry_encode(struct buf *b, const struct ipc_carry *c);
bool ipc_carry_decode(struct str payload, struct ipc_carry *out);

#endif
