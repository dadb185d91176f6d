/*
 * snapshot_secret - what in a snapshot only some roles may read.
 *
 * What        text sealed under a key that the master makes when it starts, and gives to those
 *             roles alone: every role maps the snapshot, and private keys are in it.
 * Invariants  the same text gives the same bytes under the same key, so that a reload that changes
 *             nothing is seen: the nonce is made from the text (as in RFC 8452's idea).
 * Ownership   keys live in sodium_malloc()'s memory; they never go into a snapshot, a log, a file.
 */
#ifndef SNAPSHOT_SECRET_H
#define SNAPSHOT_SECRET_H

#include "buf.h"

#define SNAPSHOT_SECRET      32
#define SNAPSHOT_SECRET_MORE 40 /* a sealed text is longer by that */

/* false: out is full */
bool snapshot_secret_seal(const unsigned char key[SNAPSHOT_SECRET], struct str text,
			  struct buf *out);
/* into `out` of `room` bytes, which the caller wipes; -1: not sealed by this key, or no room */
ptrdiff_t snapshot_secret_open(const unsigned char key[SNAPSHOT_SECRET], struct str sealed,
			       unsigned char *out, size_t room);

#endif
