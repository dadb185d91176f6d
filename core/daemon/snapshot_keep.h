/*
 * snapshot_keep - the committed snapshot as a file, for a boot whose settings or policy are bad.
 *
 * What        DIR/last-good: the bytes of the snapshot, hash included.
 * Why         `moongate serve --last-known-good DIR`, which needs neither settings nor policy.
 * Invariants  the file is whole or is not there: written beside, synced, renamed. It is only read
 *             into a sealed memfd, and snapshot_map() checks the hash of that.
 * Ownership   the snapshot's descriptor stays the caller's.
 */
#ifndef SNAPSHOT_KEEP_H
#define SNAPSHOT_KEEP_H

#include "fault.h"

#define SNAPSHOT_KEPT "last-good"

/* snapshot_keep - blocks for a sync */
int snapshot_keep(const char *dir, int snapshot, struct fault *why);
/* snapshot_kept - the memfd, or -1 */
int snapshot_kept(const char *dir, struct fault *why);

#endif
