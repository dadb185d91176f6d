/*
 * spool_replay_core - what the files of the replay share: spool_replay reads segments into tables,
 * spool_replay_each says what lives.
 */
#ifndef SPOOL_REPLAY_CORE_H
#define SPOOL_REPLAY_CORE_H

#include "spool_replay.h"

/* bytes behind the walk's window, for one STATE */
#define SPOOL_REPLAY_STATE (32 * 1024)

/* the numbers of the segments with a header, by their first LSN; NULL: no memory */
unsigned *spool_replay_order(struct spool_replay *r, unsigned *count);
void spool_replay_damaged(struct spool_replay *r, struct spool_span span, const char *what);

#endif
