/*
 * queue_core - what the files of this folder share: the queue itself, its peers, its leases.
 *
 * Invariants  a lease's tag is its slot and a serial: an answer to an old one finds nobody. A
 *             message with pins is not finished before the last one goes. A message is in one
 *             submission at a time. Times are wall seconds of a clock that does not step: wall at
 *             start plus monotonic since. queue_check() asserts the rest.
 * Bounds      QUEUE_LEASES leases per deliver process; QUEUE_READS reads under way per deliver
 *             process; QUEUE_STREAMS slots per edge, each waited for QUEUE_SLOT_US; QUEUE_ASKS
 *             questions of operators; QUEUE_RUN leases, QUEUE_SWEEP messages of a verb per turn.
 */
#ifndef QUEUE_CORE_H
#define QUEUE_CORE_H

#include "envelope.h"
#include "queue_index.h"
#include "spool_load.h"
#include "spool_paper.h"
#include "spool_slot.h"
#include "spool_submit.h"

#define QUEUE_LEASES  2048
#define QUEUE_ROUTES  512 /* of them for ROUTE */
#define QUEUE_READS   256
#define QUEUE_STREAMS 192
#define QUEUE_LOOK    16   /* destinations looked at for a lease, while places are few */
#define QUEUE_RUN     256  /* leases given out per turn; as many again for ROUTE */
#define QUEUE_SWEEP   1024 /* messages that a verb looks at per turn */
#define QUEUE_ASKS    8
#define QUEUE_SLOT_US 5000000 /* how long an edge waits for a slot that is still to come */
#define QUEUE_HINT_US 20000   /* how long an edge's count of sending sessions holds */

/* ids of deliver processes are made by number 0x8000 and up; those of edges by their index */
#define QUEUE_DELIVER_IDS 0x8000

struct queue;

/* Something that the spool will call back about; given up when the queue ends first. */
struct queue_flight {
	struct list node;
	void (*give_up)(struct queue_flight *);
};

enum queue_lease_state { LEASE_FREE, LEASE_LOADING, LEASE_UNSENT, LEASE_OUT, LEASE_LOST };

struct queue_lease {
	struct queue *queue;
	struct queue_job *job;
	/* NULL for ROUTE, and where a message expires unrouted */
	struct queue_destination *destination;
	enum queue_lease_state state;
	uint8_t deliver;
	uint32_t serial;
	bool is_route;
	bool is_big; /* OUT: its body is read piece by piece */
	/* the message while it is needed: until sent, or as long as a big body has parts in it */
	char *image;
	struct spool_load load;
	struct list node; /* free, or unsent */
};

struct queue_deliver {
	struct queue *queue;
	struct ipc_channel *channel;
	struct list turns; /* destinations with ready jobs and free places */
	struct list free, unsent;
	struct list unanswered;     /* pieces that found no room in the ring */
	struct queue_lease *leases; /* QUEUE_LEASES, made with the first channel */
	unsigned out, routes, reads;
	bool is_draining; /* it gave a lease back: no more for it, until its successor comes */
};

struct queue_stream { /* a slot being written by an edge */
	struct list node;
	struct queue *queue;
	unsigned edge;
	uint64_t tag;
	struct spool_slot *slot; /* NULL: it waits for one */
	struct list waiting;
	uint64_t size, since; /* of what waits */
	bool owes_ack;        /* the ring was full */
};

struct queue_edge {
	struct ipc_channel *channel;
	struct list streams;
	unsigned nstreams;
	char *stalled; /* a SUBMIT that found no room; the channel is paused meanwhile */
	struct ipc_frame stalled_frame;
	uint32_t epoch;   /* of its channel: an answer to an old one is dropped */
	int told;         /* 1 + what IPC_ROOM said last; 0: nothing yet */
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
	struct net_timer timer;         /* the next due job, or the spool's */
	struct net_deferred turn, rest; /* rest: what was left for the next turn */
	uint64_t base_wall, base_mono;
	struct list flights;
	/* that wait for room, or for an earlier one of the same message */
	struct list bounces;
	struct list answers, errands; /* to operators; verbs over all messages, under way */
	struct list waiting;          /* streams without a slot yet, the oldest first */
	struct list suspensions;
	unsigned nsuspensions;
	struct spool_paper paper;    /* where they are stored */
	struct ipc_channel *control; /* whom they are for */
	uint32_t control_epoch;
	unsigned asks;       /* questions not yet answered */
	unsigned over;       /* recovered messages of which nothing is left */
	unsigned submitting; /* submissions under way */
	struct buf out;      /* frames under construction */
};

/* queue.c */
void queue_soon(struct queue *q); /* run at the end of this turn */
/* run at the end of the next turn: the peers are heard in between */
void queue_later(struct queue *q);
uint32_t queue_now(const struct queue *q); /* seconds */
/* queue_drop - its recipients are finished, and nobody is told */
void queue_drop(struct queue *q, struct queue_message *m);
void queue_pin(struct queue_message *m);
void queue_unpin(struct queue *q, struct queue_message *m);
/* queue_progress - some recipients of m changed: finish it, or have its state written lazily */
void queue_progress(struct queue *q, struct queue_message *m);
/* queue_restore - m is durable, with that ACCEPT and state: it goes on where it stopped */
void queue_restore(struct queue *q, struct queue_message *m, const struct spool_accept *a);
void queue_fly(struct queue *q, struct queue_flight *f, void (*give_up)(struct queue_flight *));
void queue_land(struct queue_flight *f);

/* queue_sched.c */
void queue_sched_run(struct queue *q); /* due jobs, then leases as long as there are places */
uint64_t queue_sched_next(const struct queue *q); /* monotonic microseconds, or UINT64_MAX */
/* READY, and its destination's turn comes */
void queue_sched_ready(struct queue *q, struct queue_job *j);
struct queue_flow_limits queue_sched_limits(const struct queue *q);
/* of its recipient that was tried most often */
unsigned queue_sched_attempts(const struct queue_job *j);
/* it has mail that may go out now */
bool queue_sched_is_wanted(const struct queue *q, const struct queue_destination *d);
/* a place became free there */
void queue_sched_offer(struct queue *q, struct queue_destination *d);
/* microseconds until the next attempt after that many, with jitter */
uint64_t queue_sched_retry(const struct queue *q, const struct queue_message *m, unsigned attempts,
			   enum ipc_cause cause);
/* queue_sched_choose - what a policy says of it stays; what it does not say, too */
void queue_sched_choose(struct queue *q, struct queue_message *m, const struct ipc_schedule *s);
/* WAITING, as after a first failure */
void queue_sched_retry_job(struct queue *q, struct queue_job *j);
/*
 * its time is over, and it was tried often enough that this is not the fault of our clock or our
 * own downtime
 */
bool queue_sched_is_expired(const struct queue *q, const struct queue_job *j);

/* queue_lease.c */
/* false: no place */
bool queue_lease_route(struct queue *q, unsigned deliver, struct queue_job *j);
bool queue_lease_dispatch(struct queue *q, unsigned deliver, struct queue_job *j);
void queue_lease_lost(struct queue *q, unsigned deliver); /* the channel is gone */
struct queue_lease *queue_lease_find(struct queue *q, unsigned deliver, uint64_t tag);
void queue_lease_end(struct queue *q, struct queue_lease *l);
/* queue_lease_return - ended, and due again as if it had never been lent */
void queue_lease_return(struct queue *q, struct queue_lease *l);
void queue_lease_flush(struct queue *q, unsigned deliver); /* the channel has room */
void queue_lease_fini(struct queue *q, unsigned deliver);

/* queue_errand.c */
void queue_errand_run(struct queue *q); /* a piece of each verb that goes over all messages */
void queue_errand_fini(struct queue *q);
/* queue_answer.c */
void queue_answer_fini(struct queue *q);

/* queue_check.c */
/* Asserts what this folder's headers say is true between two calls; walks everything: for tests. */
void queue_check(const struct queue *q);

#endif
