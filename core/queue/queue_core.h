/*
 * queue_core - what the files of this folder share: the queue itself, its peers, its leases.
 *
 * Invariants  a lease's tag is its slot and a serial: an answer to an old one finds nobody. A message with pins is not finished
 *             before the last one goes. Times are wall seconds of a clock that does not step: wall at start plus monotonic since.
 * Bounds      QUEUE_LEASES leases per deliver process; QUEUE_READS reads under way per deliver process; QUEUE_STREAMS slots per edge.
 */
#ifndef QUEUE_CORE_H
#define QUEUE_CORE_H

#include "envelope.h"
#include "queue_index.h"
#include "spool_load.h"
#include "spool_slot.h"
#include "spool_submit.h"

#define QUEUE_LEASES  2048
#define QUEUE_ROUTES  512 /* of them for ROUTE */
#define QUEUE_READS   256
#define QUEUE_STREAMS 1024
#define QUEUE_RUN     256 /* leases given out per turn */

struct queue;

enum queue_lease_state { LEASE_FREE, LEASE_LOADING, LEASE_UNSENT, LEASE_OUT, LEASE_LOST };

struct queue_lease {
	struct queue *queue;
	struct queue_job *job;
	struct queue_destination *destination; /* NULL for ROUTE */
	enum queue_lease_state state;
	uint8_t deliver;
	uint32_t serial;
	bool is_route;
	char *image; /* the message while it is needed: until sent, or until the end of a big one */
	struct spool_load load;
	struct list node; /* free, or unsent */
};

struct queue_deliver {
	struct queue *queue;
	struct ipc_channel *channel;
	struct list turns; /* destinations with ready jobs and free places */
	struct list free, unsent;
	struct queue_lease *leases; /* QUEUE_LEASES, made with the first channel */
	unsigned out, routes, reads;
};

struct queue_stream { /* a slot being written by an edge */
	struct list node;
	struct queue *queue;
	unsigned edge;
	uint64_t tag;
	struct spool_slot *slot;
};

#define QUEUE_HINT_US 20000 /* how long an edge's count of sending sessions holds */

struct queue_edge {
	struct ipc_channel *channel;
	struct list streams;
	unsigned nstreams;
	char *stalled; /* a SUBMIT that found no room; the channel is paused meanwhile */
	size_t stalled_length;
	uint64_t stalled_tag;
	uint32_t epoch; /* of its channel: an answer to an old one is dropped */
	int told;       /* 1 + what IPC_ROOM said last; 0: nothing yet */
	unsigned sending; /* its sessions that were sending when it submitted last */
	uint64_t sending_at;
};

struct queue {
	struct net_loop *loop;
	struct spool *spool;
	struct queue_options o;
	struct queue_index index;
	struct queue_edge edges[QUEUE_EDGES];
	struct queue_deliver delivers[QUEUE_DELIVERS];
	unsigned next_route; /* deliver process that routes next */
	struct net_watch wakeup;
	struct net_timer timer; /* the next due job, or the spool's */
	struct net_deferred turn;
	uint64_t base_wall, base_mono;
	struct list answers;                    /* to operators, under way */
	unsigned submitting; /* submissions under way */
	struct buf out;      /* frames under construction */
};

/* queue.c */
void queue_soon(struct queue *q);          /* run at the end of this turn */
uint32_t queue_now(const struct queue *q); /* seconds */
void queue_pin(struct queue_message *m);
void queue_unpin(struct queue *q, struct queue_message *m);
/* queue_progress - some recipients of m changed: finish it, or have its state written lazily */
void queue_progress(struct queue *q, struct queue_message *m);

/* queue_sched.c */
void queue_sched_run(struct queue *q); /* due jobs, then leases as long as there are places */
uint64_t queue_sched_next(const struct queue *q); /* monotonic microseconds, or UINT64_MAX */
void queue_sched_ready(struct queue *q,
		       struct queue_job *j); /* READY, and its destination's turn comes */
void queue_sched_offer(struct queue *q,
		       struct queue_destination *d); /* a place became free there */
uint64_t queue_sched_retry(const struct queue *q,
			   unsigned attempts); /* microseconds until the next one, with jitter */
void queue_sched_retry_job(struct queue *q,
			   struct queue_job *j); /* WAITING, as after a first failure */

/* queue_lease.c */
bool queue_lease_route(struct queue *q, unsigned deliver,
		       struct queue_job *j); /* false: no place */
bool queue_lease_dispatch(struct queue *q, unsigned deliver, struct queue_job *j);
void queue_lease_lost(struct queue *q, unsigned deliver); /* the channel is gone */
struct queue_lease *queue_lease_find(struct queue *q, unsigned deliver, uint64_t tag);
void queue_lease_end(struct queue *q, struct queue_lease *l);
void queue_lease_flush(struct queue *q, unsigned deliver); /* the channel has room */

/* queue_result.c */
void queue_result(struct queue *q, unsigned deliver, const struct ipc_frame *frame, bool is_routed);

/* queue_read.c */
void queue_read(struct queue *q, unsigned deliver, const struct ipc_frame *frame);

/* queue_submit.c */
void queue_submit(struct queue *q, unsigned edge, const struct ipc_frame *frame);
void queue_submit_retry(struct queue *q); /* room() */
void queue_submit_edge_lost(struct queue *q, unsigned edge);
/* One variant's message and its spool side, for submissions of edges and bounces of deliver. NULL: no memory or not well formed. */
struct queue_message *queue_variant(const struct ipc_submit *s, unsigned i,
				    struct spool_variant *out);
void queue_arrived(struct queue *q, struct queue_message *m, enum ipc_state state);

/* queue_stream.c */
void queue_stream_frame(struct queue *q, unsigned edge, const struct ipc_frame *frame);
struct spool_slot *queue_stream_take(struct queue *q, unsigned edge,
				     uint64_t tag); /* NULL: there is none */
void queue_stream_lost(struct queue *q, unsigned edge);

/* queue_state.c: what is stored of a message's progress */
uint16_t queue_state_write(struct queue *q, struct queue_message *m,
			   struct spool_state *out); /* borrowed until the next call */
bool queue_state_read(struct queue *q, struct queue_message *m, const struct spool_state *state);

#endif
