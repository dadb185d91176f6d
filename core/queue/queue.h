/*
 * queue - what is due, where to, how many at once; runs in the spool role above core/spool.
 *
 * What        an index of every living message; destinations with their recipients; ROUTE and
 *             DISPATCH leases to deliver processes; retry with jitter; expiry; hold; the operator's
 *             verbs.
 * Invariants  a recipient is in one place: waiting, due, leased, held, or finished. A lost channel
 *             returns its leases to due. Nothing is scheduled before its ACCEPT is durable. An
 *             index that cannot grow answers 452.
 * Bounds      200 bytes per message and 16 per further recipient; concurrency per destination;
 *             leases per channel; bytes and time in the quarantine.
 * Read next   queue_index.h, the index; queue_line.h and queue_flow.h, whose turn it is and how
 *             many at once; queue_sched.c, queue_lease.c, queue_submit.c, queue_verbs.c.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "ipc_control.h"
#include "ipc_lease.h"
#include "net_loop.h"

#include "spool.h"

#define QUEUE_EDGES    65 /* the last one is the operator: IPC_OPERATOR */
#define QUEUE_DELIVERS 32

struct queue_options {
	uint64_t retry_first_us, retry_longest_us, expire_us;
	uint64_t retry_cause_us[IPC_CAUSES]; /* the first wait of each class; 0: retry_first_us */
	uint32_t concurrency;                /* per destination, at most */
	uint32_t concurrency_least;          /* 0: 1 */
	uint64_t quarantine_bytes, quarantine_ttl_us;
	uint32_t total;        /* leases per deliver process; 0: nothing is lent */
	unsigned delivers;     /* processes among which keys are shared out */
	uint64_t route_ttl_us; /* 1 h: then route is asked again */
};

struct queue;

/*
 * In this order: queue_new, spool_open with queue_owner (which indexes what is recovered),
 * queue_start.
 */
struct queue *queue_new(struct net_loop *loop, const struct queue_options *options);
struct spool_owner queue_owner(struct queue *q);
void queue_start(struct queue *q,
		 struct spool *spool); /* borrowed until queue_free; watches its wakeup */
void queue_flush(struct queue *q);     /* before the end: progress to disk; blocks for a sync */
void queue_options_set(struct queue *q, const struct queue_options *options);
/*
 * Channels by role and index; replaced when a peer was; NULL: it is gone (slots and leases of it
 * are given up).
 */
void queue_edge_channel(struct queue *q, unsigned index, struct ipc_channel *c);
void queue_edge_frame(struct queue *q, unsigned index, const struct ipc_frame *frame);
void queue_edge_writable(struct queue *q, unsigned index);
void queue_deliver_channel(struct queue *q, unsigned index, struct ipc_channel *c);
void queue_deliver_frame(struct queue *q, unsigned index, const struct ipc_frame *frame);
void queue_deliver_writable(struct queue *q, unsigned index);
/* An operator's question: words as in IPC_QUERY; answers are sent on c with the frame's tag. */
void queue_query(struct queue *q, struct ipc_channel *c, const struct ipc_frame *frame);
void queue_control_writable(struct queue *q);
void queue_control_lost(struct queue *q); /* before the channel of queue_query() is closed */
/* After spool_close: what was under way there is dropped. */
void queue_free(struct queue **q);

#endif
