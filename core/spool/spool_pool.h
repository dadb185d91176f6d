/*
 * spool_pool - work that may block, kept off the loop.
 *
 * What        two lanes of jobs: one thread commits, up to SPOOL_POOL_THREADS do the rest (slots,
 *             cold reads, zero-filling). A finished job comes back to the loop through one eventfd;
 *             its done() runs in spool_pool_turn.
 * Why         the only place of the program with threads. A job owns what its work() touches until
 *             done(), so that nothing else is shared and no other lock exists.
 * Invariants  done() never runs inside spool_pool_put; jobs of the commit lane run one at a time,
 *             in order. Without threads (tests) work() runs in spool_pool_turn, in order, before
 *             the callbacks.
 * Ownership   jobs are embedded in what they work for. fini drops jobs that have not begun and
 *             waits for those that have.
 */
#ifndef SPOOL_POOL_H
#define SPOOL_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "fault.h"
#include "list.h"

#define SPOOL_POOL_THREADS 4

struct spool_job {
	struct list node;
	void (*work)(struct spool_job *job);
	void (*done)(struct spool_job *job);
};

enum spool_lane { SPOOL_LANE_COMMIT, SPOOL_LANE_FILES, SPOOL_LANES };

struct spool_pool {
	pthread_mutex_t lock; /* guards queues, returned, stopping */
	pthread_cond_t wake[SPOOL_LANES];
	struct list queues[SPOOL_LANES], returned;
	bool stopping;
	unsigned nthreads, open; /* open: jobs put and not yet done(); of the loop alone */
	int wakeup;              /* eventfd */
	pthread_t threads[1 + SPOOL_POOL_THREADS];
};

/* `files`: threads of that lane; 0: no thread at all. */
int spool_pool_init(struct spool_pool *p, unsigned files, struct fault *why);
void spool_pool_fini(struct spool_pool *p);
void spool_pool_put(struct spool_pool *p, enum spool_lane lane, struct spool_job *job);
void spool_pool_turn(struct spool_pool *p);
bool spool_pool_is_idle(const struct spool_pool *p);
/* until spool_pool_turn has something to do; not when idle */
void spool_pool_wait(struct spool_pool *p);

#endif
