/*
 * queue_peek - what a stored blob says of a message, without a queue: for tools that read a disk.
 * Pure.
 *
 * What        the most telling state among its jobs: what is kept comes before what waits, what
 *             waits before what is due.
 * Read next   queue_state.c, which writes the blob.
 */
#ifndef QUEUE_PEEK_H
#define QUEUE_PEEK_H

#include "str.h"

/* clang-format off */
enum queue_peek {
	QUEUE_PEEK_DUE, QUEUE_PEEK_WAITING, QUEUE_PEEK_HELD, QUEUE_PEEK_QUARANTINED,
	QUEUE_PEEK_UNKNOWN, /* of another release, or damaged */
	QUEUE_PEEKS
};
/* clang-format on */
extern const char *const queue_peek_name[QUEUE_PEEKS];

/* empty: it was never touched */
enum queue_peek queue_peek(struct str blob);

#endif
