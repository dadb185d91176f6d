/*
 * spool_rekey - the keys of a running spool.
 *
 * What        data keys of segments and slots in memory; every segment is brought to what is wanted
 *             now: a sealed one has its data key wrapped by the current master key, a free one is
 *             sealed, or plain, as the next messages shall be.
 * Why         rotation without downtime, and turning sealing on or off while old messages drain.
 * Invariants  one header at a time, both copies one after the other, each synced: whichever a crash
 *             leaves opens. A data key outlives its wrapping: only freeing its segment replaces it,
 *             in both copies, before the segment is used again; then what it sealed is dead, and so
 *             are the slots whose keys stood there. A free plain segment is overwritten with zeros
 *             before it is sealed.
 * Bounds      SPOOL_CIPHER_KEY bytes a segment and a slot; one batch of what is being sealed.
 */
#ifndef SPOOL_REKEY_H
#define SPOOL_REKEY_H

#include "spool_pool.h"
#include "spool_segment.h"
#include "spool_vault.h"

struct spool;

struct spool_rekey {
	struct spool_keys *keys; /* NULL: none */
	struct spool_vault segments, slots;
	char *sealed; /* where batches are sealed */
	/* of the job */
	struct spool_job job;
	bool is_busy;
	struct spool_segment *segment; /* it has a reader meanwhile */
	struct spool_header next;
	bool is_blanking; /* overwrite what its plain life left behind */
	int error;
	uint64_t after; /* not before, when the last try failed */
};

int spool_rekey_init(struct spool *sp, struct fault *why);
void spool_rekey_fini(struct spool *sp);
void spool_rekey_turn(struct spool *sp);
uint64_t spool_rekey_timer(const struct spool *sp);
unsigned spool_rekey_jobs(const struct spool *sp);

/* a data key of its own for a segment's next life, when new ones are sealed */
void spool_rekey_fresh(struct spool *sp, struct spool_header *h);
/* its header counts now: its data key, if its master key is there */
void spool_rekey_take(struct spool *sp, struct spool_segment *s);
/* a free one that may be written to: sealed, or plain, as new ones are to be */
bool spool_rekey_is_ready(const struct spool *sp, const struct spool_segment *s);
/* the place of a slot's key: with a copy of `key`, or with a new one */
const unsigned char *spool_rekey_slot(struct spool *sp, unsigned number, const unsigned char *key);

#endif
