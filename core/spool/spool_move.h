/*
 * spool_move - compaction: what lives in the segment where the least lives is copied forward, so
 * that it can be used again.
 *
 * What        one step at a time: read by a thread, written as MOVE records with the next batch,
 *             counted when that is durable.
 * Why         mail that stays for days lies between mail that leaves in seconds; without this a
 *             spool is full of segments that are almost empty.
 * Invariants  until its MOVE is durable a message is where it was; the segment it leaves is not
 *             used again before. A message in a submit is not moved; one that is being moved is in
 *             no submit.
 * Bounds      SPOOL_MOVE_BYTES per batch, or one bigger message; only behind what submits and
 *             progress left of it.
 */
#ifndef SPOOL_MOVE_H
#define SPOOL_MOVE_H

#include "spool_batch.h"
#include "spool_pool.h"

/* of one step of compaction; one bigger message is a step of its own */
#define SPOOL_MOVE_BYTES (1024 * 1024)
#define SPOOL_MOVE_STEP  512 /* messages */

struct spool;

enum spool_mover_state { SPOOL_MOVER_IDLE, SPOOL_MOVER_READING, SPOOL_MOVER_READY };

struct spool_mover {
	enum spool_mover_state state;
	struct spool_segment *source; /* it has a reader meanwhile */
	struct spool_moved {
		uint32_t ordinal, offset; /* in the source */
		size_t at, size, got;     /* in the buffer */
	} items[SPOOL_MOVE_STEP];
	unsigned n;
	/* something landed, or the disk's space is known anew, since the last look */
	bool may_begin;
	char *buffer;
	struct spool_job job;
	struct spool_file *file;
	int fd;
};

int spool_move_init(struct spool *sp, struct fault *why);
void spool_move_fini(struct spool *sp);
void spool_move_turn(struct spool *sp); /* begin a step when one is wanted */
bool spool_move_is_ready(const struct spool *sp);
/* without which nothing of it could be written; 0: nothing to write */
size_t spool_move_need(const struct spool *sp);
void spool_move_write(struct spool *sp, struct spool_batch *b, size_t limit);
void spool_move_landed(struct spool *sp, struct spool_batch *b);
unsigned spool_move_jobs(const struct spool *sp);

#endif
