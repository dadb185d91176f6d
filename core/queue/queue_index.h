/*
 * queue_index - every living message, its recipients, and the jobs that carry them to their
 * destinations.
 *
 * What        a message has recipients; recipients of one message that share a destination travel
 *             in one job; a job is in one place at a time.
 *
 *      UNROUTED --lease--> ROUTING --ROUTED--> READY --lease--> LEASED --RESULT--> (finished)
 *         ^ ^                |                   ^                |
 *         | +--channel lost--+                   +--channel lost--+
 *         |                  HELD (release: UNROUTED)             v deferred
 *         +---- route expired, re-route ------ due <---------- WAITING
 *
 *      QUARANTINED (release: UNROUTED; due: dropped, with an event)
 *
 * Invariants  job->place says where the job is: in the line of unrouted ones, in its destination's
 *             line of ready ones, a lease, the heap (WAITING, QUARANTINED: by `due`), or nowhere
 *             (HELD). A recipient that is not finished belongs to exactly one job. A quarantined
 *             message is so as a whole, in one job.
 * Bounds      QUEUE_MESSAGE_BYTES for a message with its own job and one recipient, its place in
 *             hash and heap and the allocator's share included; QUEUE_RCPT_BYTES per further one.
 *             A destination is a key and a next hop: what one
 *             process says of a key never redirects what another one routed.
 * Fails       NULL when memory lacks: the submitter gets 452; jobs that cannot be parted ask
 *             `route` again.
 */
#ifndef QUEUE_INDEX_H
#define QUEUE_INDEX_H

#include "counter.h"
#include "map.h"
#include "queue.h"
#include "queue_flow.h"
#include "queue_line.h"
#include "queue_note.h"

#define QUEUE_MESSAGE_BYTES 200

enum queue_place {
	PLACE_UNROUTED,
	PLACE_ROUTING,
	PLACE_READY,
	PLACE_LEASED,
	PLACE_WAITING,
	PLACE_HELD,
	PLACE_QUARANTINED,
	PLACES
};
extern const char *const queue_place_name[PLACES];

struct queue_message;

struct queue_destination {
	struct map_node node; /* by key and next hop */
	struct list
		turn; /* in its deliver process's ring while it has ready jobs and free places */
	struct queue_line ready;
	struct queue_flow flow;
	unsigned deliver;
	unsigned active; /* leases out */
	unsigned jobs;   /* that point here; at 0 it goes */
	uint16_t key_length, hop_length;
	char text[]; /* key, next hop */
};

#define QUEUE_ROUTED_UNIT 32 /* seconds */

struct queue_job {
	union {
		struct list node; /* in a line */
		uint32_t heap;    /* index there: WAITING, QUARANTINED */
	} at;
	struct queue_destination *destination; /* NULL: not routed */
	struct queue_job *next;                /* of the same message */
	uint32_t due;                          /* wall seconds */
	uint32_t place : 4;
	uint32_t is_part : 1; /* of a struct queue_part */
	/* when `route` answered, in QUEUE_ROUTED_UNIT; of a quarantined one: its size in KiB */
	uint32_t more : 27;
};

struct queue_part { /* a further job of a message */
	struct queue_job job;
	struct queue_message *message;
};

enum queue_rcpt_state { QUEUE_RCPT_LEFT, QUEUE_RCPT_DONE, QUEUE_RCPT_FAILED };

#define QUEUE_RCPT_BYTES 16
struct queue_rcpt {
	struct queue_job *job; /* NULL when finished */
	uint16_t attempts;
	uint8_t state;
};

struct queue_message {
	struct spool_handle handle;
	struct map_node node; /* by id and variant */
	struct id id;
	struct queue_note *note; /* NULL: nothing was said */
	union {
		struct queue_rcpt one;
		struct queue_rcpt *many; /* of two or more recipients */
	} rcpts;
	struct queue_job job;      /* the first one */
	uint32_t created;          /* wall seconds */
	uint32_t sender;           /* a hash of it: whose turn it is */
	uint32_t pins : 29;        /* loads, reads and batches under way that need its handle */
	uint32_t is_over : 1;      /* finished; goes with its last pin */
	uint32_t is_forgotten : 1; /* the spool has finished it already, with a bounce */
	/* its progress is in a submission: no second one before that is answered */
	uint32_t is_bouncing : 1;
	uint16_t variant, nrcpts, left;
};

_Static_assert(sizeof(struct queue_rcpt) <= QUEUE_RCPT_BYTES, "16 bytes per further recipient");

static inline struct queue_rcpt *queue_rcpt(const struct queue_message *m, unsigned i)
{
	return m->nrcpts == 1 ? (struct queue_rcpt *)(uintptr_t)&m->rcpts.one : &m->rcpts.many[i];
}

static inline struct queue_message *queue_message_of(const struct queue_job *j)
{
	return j->is_part ? container_of(j, struct queue_part, job)->message
			  : container_of(j, struct queue_message, job);
}

struct queue_heap {
	struct queue_job **jobs; /* [1..count] */
	uint32_t count, cap;
};

struct queue_index {
	struct map messages, destinations, notes, lanes;
	struct queue_heap waiting;
	struct queue_line unrouted;
	unsigned held, quarantined;
	uint64_t quarantined_kib;
};

void queue_index_init(struct queue_index *x);
void queue_index_fini(struct queue_index *x);

/*
 * A message with one unrouted job for all its recipients, in no list yet; not found by its id
 * before queue_message_add.
 */
struct queue_message *queue_message_new(const struct id *id, uint16_t variant, uint16_t nrcpts,
					uint64_t created);
/* its jobs must be out of every list */
void queue_message_free(struct queue_index *x, struct queue_message **m);
void queue_message_add(struct queue_index *x, struct queue_message *m);
void queue_message_remove(struct queue_index *x,
			  struct queue_message *m); /* out of every list, then freed */
struct queue_message *queue_message_find(struct queue_index *x, const struct id *id,
					 uint16_t variant);
bool queue_message_is_known(struct queue_index *x, const struct id *id); /* any variant */
/*
 * queue_job_split - a job of the same message for the recipients that the caller moves there; NULL:
 * no memory
 */
struct queue_job *queue_job_split(struct queue_message *m);
void queue_job_drop(struct queue_index *x,
		    struct queue_job *j);            /* none of its recipients is left */
unsigned queue_job_count(const struct queue_job *j); /* recipients left in it */
/* queue_job_place - the only way a job changes places; `due` counts for WAITING */
void queue_job_place(struct queue_index *x, struct queue_job *j, enum queue_place place);
/* queue_job_quarantine - QUARANTINED until `due`, with that many bytes counted */
void queue_job_quarantine(struct queue_index *x, struct queue_job *j, uint64_t bytes, uint32_t due);
void queue_job_routed(struct queue_job *j, uint32_t now); /* `route` has answered; 0: it is void */
bool queue_job_is_fresh(const struct queue_job *j, uint32_t now, uint64_t ttl_us);
struct queue_job *queue_heap_first(const struct queue_index *x);

/*
 * The destination of that key and next hop, made if need be; NULL: no memory. The key alone says
 * which deliver process.
 */
struct queue_destination *queue_destination_get(struct queue_index *x, struct str key,
						struct str next_hop, unsigned delivers);
struct str queue_destination_key(const struct queue_destination *d);
struct str queue_destination_hop(const struct queue_destination *d);
/* queue_destination_release - it goes when neither jobs nor leases point to it */
void queue_destination_release(struct queue_index *x, struct queue_destination *d);
void queue_job_route(struct queue_index *x, struct queue_job *j,
		     struct queue_destination *d); /* NULL: forget the route */

#endif
