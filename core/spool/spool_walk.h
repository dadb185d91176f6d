/*
 * spool_walk - read one segment from its first byte to its end, whatever its bytes are.
 *
 * What        gives every record that counts to record(), every place that cannot be read to
 *             damage(), and finds the end.
 * Why         telling a torn tail (a crash while a batch was being written: normal, nobody was told
 *             250) from damage to what was acknowledged (an alarm) is the heart of recovery, and
 *             `moongate spool verify` must judge alike.
 * Invariants  a broken batch was acknowledged if the segment's end is known and lies behind it, or
 *             if a later batch says with durable_upto that everything up to there was synced. Only
 *             then is it searched for what is still legible: record by record, on 8-byte borders,
 *             each under the segment's seed. Otherwise it is the torn tail and counts for nothing.
 *             A damaged record hides no other. Time is linear in the bytes read.
 * Ownership   `window` is borrowed; records point into it and die with the callback.
 * Fails       never: what cannot be read from the disk is damage.
 */
#ifndef SPOOL_WALK_H
#define SPOOL_WALK_H

#include "spool_file.h"
#include "spool_record.h"

/* of a whole batch, padding included */
#define SPOOL_BATCH_MAX (8u * 1024 * 1024 + SPOOL_BLOCK)
#define SPOOL_WINDOW    (SPOOL_BATCH_MAX + SPOOL_BLOCK)

struct spool_damage {
	uint32_t segment; /* 0: not in a segment */
	uint64_t offset, length;
	const char *what;    /* a constant */
	const struct id *id; /* whose record it was, where that can be read; else NULL */
};

struct spool_walk {
	struct spool_file *file;
	int fd;
	struct spool_header header;
	uint64_t size; /* of the file */
	uint64_t end;  /* where a CLOSE says that it ends; 0: unknown */
	/* LSNs below this are known from other segments to have been synced */
	uint64_t durable;
	char *window;  /* SPOOL_WINDOW bytes */
	size_t stride; /* how much to read at once */
	void (*record)(void *arg, const struct spool_record *r, uint64_t offset);
	void (*damage)(void *arg, const struct spool_damage *d);
	void *arg;
	/* results */
	uint64_t tail; /* the first byte behind the last batch */
	uint64_t lsn_first, lsn_next, durable_upto;
	unsigned batches;
	/* the disk refused to read some of it: what is there may yet be good */
	bool is_unreadable;
	/* its own */
	uint32_t seed;
	uint64_t lsn_upto, window_at;
	size_t window_n;
};

/* spool_walk_first - look at the first batch only: its records to record(), lsn_first (that of
 * another one near by, when it is damaged). False: there is none that counts. */
bool spool_walk_first(struct spool_walk *w);
void spool_walk(struct spool_walk *w);

#endif
