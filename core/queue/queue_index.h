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
 * Invariants  job->place says where job->node is: a queue's `unrouted` list, its destination's
 *             `ready` list, a lease, the heap of waiting ones (by `due`), or nowhere (HELD). A
 *             recipient that is not finished belongs to exactly one job.
 * Bounds      sizeof(struct queue_message) with its own job and one recipient: at most 200 bytes;
 *             QUEUE_RCPT_BYTES per further one. A destination is a key and a next hop: what one
 *             process says of a key never redirects what another one routed.
 * Fails       NULL when memory lacks: the submitter gets 452; jobs that cannot be parted ask
 *             `route` again.
 */
#ifndef QUEUE_INDEX_H
#define QUEUE_INDEX_H

#include "counter.h"
#include "map.h"
#include "queue.h"

#define QUEUE_LAST 160 /* bytes of the last failure's text that are remembered */

enum queue_place {
	PLACE_UNROUTED,
	PLACE_ROUTING,
	PLACE_READY,
	PLACE_LEASED,
	PLACE_WAITING,
	PLACE_HELD,
	PLACES
};
extern const char *const queue_place_name[PLACES];

struct queue_message;

struct queue_destination {
	struct map_node node; /* by key and next hop */
	struct list
		turn; /* in its deliver process's ring while it has ready jobs and free places */
	struct list ready;
	unsigned deliver;
	unsigned active; /* leases out */
	unsigned jobs;   /* that point here; at 0 it goes */
	uint16_t key_length, hop_length;
	char text[]; /* key, next hop */
};

struct queue_job {
	struct list node;
	struct queue_message *message;
	struct queue_destination *destination; /* NULL: not routed */
	struct queue_job *next;                /* of the same message */
	uint32_t due;                          /* wall seconds */
	uint32_t heap;                         /* index among the waiting */
	uint32_t routed;                       /* wall seconds of the answer of `route` */
	uint8_t place;
};

enum queue_rcpt_state { QUEUE_RCPT_LEFT, QUEUE_RCPT_DONE, QUEUE_RCPT_FAILED };

#define QUEUE_RCPT_BYTES 16
struct queue_rcpt {
	struct queue_job *job; /* NULL when finished */
	uint16_t attempts;
	uint8_t state;
};

struct queue_extra { /* what few messages have */
	char last
		[QUEUE_LAST]; /* text of the last failure or the reason of a hold; NUL-terminated */
	size_t nvars;
	char vars[]; /* packed, as delivery hooks left them */
};

struct queue_message {
	struct spool_handle handle;
	struct map_node node; /* by id and variant */
	struct id id;
	uint32_t created; /* wall seconds */
	uint32_t pins;    /* loads, reads and batches under way that need its handle */
	uint16_t variant, nrcpts, left;
	bool is_over;      /* finished; goes with its last pin */
	bool is_forgotten; /* the spool has finished it already, with a bounce */
	/* its progress is in a submission: no second one before that is answered */
	bool is_bouncing;
	struct queue_extra *extra;
	struct queue_rcpt *rcpts; /* &one for a single recipient */
	struct queue_rcpt one;
	struct queue_job job; /* the first one */
};

_Static_assert(sizeof(struct queue_rcpt) <= QUEUE_RCPT_BYTES, "16 bytes per further recipient");
_Static_assert(sizeof(struct queue_message) <= 200, "200 bytes per queued message");

struct queue_heap {
	struct queue_job **jobs; /* [1..count] */
	uint32_t count, cap;
};

struct queue_index {
	struct map messages, destinations;
	struct queue_heap waiting;
	struct list unrouted;
	unsigned held;
};

void queue_index_init(struct queue_index *x);
void queue_index_fini(struct queue_index *x);

/*
 * A message with one unrouted job for all its recipients, in no list yet; not found by its id
 * before queue_message_add.
 */
struct queue_message *queue_message_new(const struct id *id, uint16_t variant, uint16_t nrcpts,
					uint64_t created);
void queue_message_free(struct queue_message **m); /* its jobs must be out of every list */
void queue_message_add(struct queue_index *x, struct queue_message *m);
void queue_message_remove(struct queue_index *x,
			  struct queue_message *m); /* out of every list, then freed */
struct queue_message *queue_message_find(struct queue_index *x, const struct id *id,
					 uint16_t variant);
bool queue_message_is_known(struct queue_index *x, const struct id *id); /* any variant */
/* Either may be empty: kept. What could steer a terminal becomes '?'. */
void queue_message_remember(struct queue_message *m, struct str last, struct str vars);

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
