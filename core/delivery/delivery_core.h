/*
 * delivery_core - what the files of this folder share: the process's leases, its channels, its
 * pools.
 *
 * Read next   delivery_lease.h, the life of one lease.
 */
#ifndef DELIVERY_CORE_H
#define DELIVERY_CORE_H

#include "delivery.h"
#include "delivery_lease.h"
#include "delivery_maildir.h"
#include "delivery_pool.h"
#include "delivery_settings.h"

#define DELIVERY_LEASES 8192 /* more than a spool ever lends at once */
#define DELIVERY_SPARES 512  /* leases kept for reuse */
#define DELIVERY_READS  8    /* READs out at once: their answers fit the ring beside the leases */

struct delivery {
	struct net_loop *loop;
	struct policy_set *policies;
	struct delivery_settings settings;
	struct delivery_pool pool;
	struct delivery_maildir maildir;
	struct ipc_channel *spool; /* NULL: gone */
	struct list leases;        /* all that live */
	struct list unsent;        /* finished, waiting for room in the ring */
	struct list reading;       /* would send a READ */
	struct map by_tag;
	struct list spares;
	unsigned nleases, nspares, nreads;
	bool is_draining;
	struct buf out;      /* where a frame is encoded */
	struct ipc_lease in; /* where one is decoded: too big for the stack */
	struct ipc_result result;
};

/*
 * delivery_read - ask for more of a big body if it is wanted: now, or when others have had theirs
 */
void delivery_read(struct delivery *d, struct delivery_lease *l);
/*
 * delivery_send - a frame to the spool made of d->out; false: no room now, delivery_writable()
 * comes
 */
bool delivery_send(struct delivery *d, uint16_t type, uint64_t tag);

#endif
