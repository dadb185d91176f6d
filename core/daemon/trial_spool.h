/*
 * trial_spool - the other end of an edge's ring, for trials: it keeps in memory what it is given.
 *
 * What        answers SUBMIT with DURABLE and lends slots as the spool role does.
 * Bounds      one message at a time, TRIAL_BODY bytes of body.
 */
#ifndef TRIAL_SPOOL_H
#define TRIAL_SPOOL_H

#include "ipc_channel.h"
#include "trial.h"

#define TRIAL_BODY ((size_t)64 * 1024 * 1024)

struct trial_spool {
	struct ipc_channel *edge, *own;
	struct buf slot; /* of the message that is under way */
	struct arena *arena;
	struct trial_outcome *outcome;
};

/* The edge's end is `edge`; its frames go to `ops` of `owner`. -1: why. */
int trial_spool_open(struct trial_spool *s, struct net_loop *loop,
		     const struct ipc_channel_ops *ops, void *owner, struct fault *why);
/* trial_spool_expect - what comes from now on belongs to this outcome */
void trial_spool_expect(struct trial_spool *s, struct arena *arena, struct trial_outcome *outcome);
void trial_spool_close(struct trial_spool *s);

#endif
