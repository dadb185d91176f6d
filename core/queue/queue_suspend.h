/*
 * queue_suspend - destinations that an operator has suspended, until they are resumed or their
 * time is over.
 *
 * What        mail for a suspended destination is accepted, routed and kept READY, and no attempt
 *             is made. What is being delivered at this moment is finished.
 * Why         a peer in trouble, or one that complains, is left alone without losing or bouncing
 *             anything, and nobody has to remember to undo it.
 * Invariants  what a suspension names is compared with a destination's key and next hop, as `queue
 *             list` shows them, whatever the case. It survives a restart of the spool
 *             (spool_paper.h).
 * Bounds      QUEUE_SUSPENSIONS of them.
 */
#ifndef QUEUE_SUSPEND_H
#define QUEUE_SUSPEND_H

#include "queue_ask.h"

#define QUEUE_SUSPENSIONS    512
#define QUEUE_SUSPEND_REASON 160

void queue_suspend_start(struct queue *q); /* what was stored */
void queue_suspend_fini(struct queue *q);
/* queue_suspend_run - those whose time is over go */
void queue_suspend_run(struct queue *q);
uint32_t queue_suspend_next(const struct queue *q); /* wall seconds; UINT32_MAX: none */
bool queue_suspend_holds(const struct queue *q, const struct queue_destination *d);

/* suspend DEST [--for TIME] [--reason TEXT]; resume DEST|all; suspensions */
void queue_suspend(struct queue_ask *a);
void queue_resume(struct queue_ask *a);
void queue_suspensions(struct queue_ask *a);

#endif
