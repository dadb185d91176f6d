/*
 * delivery_pool - connections by key, idle ones kept, dead hosts remembered for a moment.
 *
 * What        a lease gets the idle connection of its key that was used last, or a new one. How
 *             many at once is the spool's to say: it lends within the key's concurrency.
 * Why         a host that refuses connections is asked once, not by each of twenty waiting
 *             messages.
 * Invariants  a session is in its key's list, and in the idle lists exactly while it is idle. A
 *             key exists as long as it has a session or a memory of failure.
 * Bounds      idle_per_key, idle_total; DELIVERY_DEAD_KEYS memories.
 * Read next   delivery_session.h, one connection.
 */
#ifndef DELIVERY_POOL_H
#define DELIVERY_POOL_H

#include "delivery_hop.h"
#include "delivery_lease.h"
#include "net_loop.h"

#define DELIVERY_DEAD_FIRST                                                                        \
	(1 * UINT64_C(1000000)) /* how long a failed connect counts for others; doubled each time */
#define DELIVERY_DEAD_MOST (8 * UINT64_C(1000000))
#define DELIVERY_DEAD_KEYS 4096
#define DELIVERY_DEAD_TEXT 256

struct delivery_key {
	struct map_node node;
	struct list sessions; /* all of them */
	struct list idle;     /* last used first */
	struct list dead;     /* among the dead, oldest first */
	unsigned nidle;
	uint64_t dead_until, back_off; /* 0: alive as far as we know */
	char dead_text[DELIVERY_DEAD_TEXT];
	size_t length;
	char text[DELIVERY_HOP_TEXT];
	char peer[NET_ADDRESS_TEXT];
	struct net_address address;
	bool is_lmtp;
};

struct delivery_pool {
	struct map keys;
	struct list idle; /* of all keys, last used first */
	unsigned nidle;
	struct list dead;
	unsigned ndead;
	struct net_timer sweep; /* idle for too long */
};

struct delivery;

void delivery_pool_init(struct delivery *d);
void delivery_pool_fini(struct delivery *d); /* aborts every connection */

/* delivery_pool_attempt - the lease is given to a session, or its recipients are decided */
void delivery_pool_attempt(struct delivery_lease *l);

/* Called by a session. */
void delivery_pool_idle(
	struct delivery_session *s); /* it has nothing to do: kept, or told to quit */
void delivery_pool_busy(struct delivery_session *s);   /* no longer idle */
void delivery_pool_remove(struct delivery_session *s); /* it is gone */
void delivery_pool_alive(struct delivery_key *key);    /* it answered */
void delivery_pool_dead(struct delivery *d, struct delivery_key *key,
			struct str text); /* a connect failed */
void delivery_pool_quit_idle(struct delivery *d);

#endif
