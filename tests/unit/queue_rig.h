/*
 * queue_rig - a queue over a spool on a memory disk, and the other ends of its channels, which the
 * test plays.
 *
 * What        messages with one recipient per domain asked for; frames that came, kept until they
 *             are taken; time that passes when the test says so; crashes.
 * Invariants  queue_check() holds after every turn: rig_turn() asks.
 */
#ifndef QUEUE_RIG_H
#define QUEUE_RIG_H

#include "check.h"
#include "memory_disk.h"
#include "queue_core.h"

#define RIG_EDGES    2
#define RIG_DELIVERS 2
#define RIG_RING     (1024 * 1024)
#define RIG_SECOND   UINT64_C(1000000)

struct rig_frame {
	struct list node;
	uint16_t type;
	uint64_t tag;
	struct str payload;
};

struct rig_peer { /* one channel */
	enum { RIG_EDGE, RIG_DELIVER, RIG_CONTROL } kind;
	unsigned index;
	struct ipc_channel *ours, *theirs; /* ours: what the queue has */
	struct list frames;                /* that came to theirs */
	bool is_deaf;                      /* theirs is not read: the ring fills */
};

struct rig {
	struct net_loop *loop;
	struct memory_disk disk;
	struct spool_options spool_options;
	struct queue_options options;
	struct spool *spool;
	struct queue *queue;
	struct rig_peer edges[RIG_EDGES], delivers[RIG_DELIVERS], control;
	size_t ring;
	const char *submit_lines; /* more of the envelopes of rig_submit; NULL: none */
	const char *sender;       /* NULL: a@b */
};
extern struct rig rig;

/* Everything connected. Options may be changed in `rig` between rig_init and rig_start. */
void rig_init(void);
void rig_start(void);
void rig_begin(void); /* both */
void rig_end(void);   /* and nothing leaks */

void rig_turn(unsigned n);
void rig_pass(unsigned n);  /* turns, without a check after each: for many messages */
void rig_wait(uint64_t us); /* time passes; then a few turns */
void rig_lose(struct rig_peer *p);
void rig_connect(struct rig_peer *p);
/*
 * The spool is closed as it is, unsynced things are kept by `keep` (memory_disk_crash); all again.
 */
void rig_crash(uint64_t keep);
void rig_restart(void); /* with everything on disk */

/* The first frame of that type that was not yet taken, after up to some turns; the caller frees. */
struct rig_frame *rig_take(struct rig_peer *p, unsigned type);
void rig_free(struct rig_frame **f);
unsigned rig_count(const struct rig_peer *p, unsigned type); /* not yet taken */
uint64_t rig_tag(struct rig_peer *p, unsigned type);         /* takes it */
bool rig_send(struct rig_peer *p, unsigned type, uint64_t tag, struct str payload);

struct id rig_id(unsigned number, unsigned edge);
/* A message to n recipients r0@.., r1@..; answered by a frame with tag `number`. */
void rig_submit(unsigned edge, unsigned number, unsigned nrcpts, enum ipc_state state);
void rig_submit_slot(unsigned edge, unsigned number, uint64_t slot, uint64_t length);
/* The same, durable. */
struct queue_message *rig_message(unsigned number, unsigned nrcpts, enum ipc_state state);
struct queue_message *rig_find(unsigned number, unsigned variant);

/* ROUTED or RESULT: outcomes are gathered, then sent. */
void rig_outcome(unsigned index, enum ipc_outcome outcome, const char *text);
void rig_cause(unsigned index, enum ipc_cause cause, const char *vars); /* DEFER */
void rig_schedule(uint32_t first, uint32_t longest, uint32_t expire);
void rig_returned(void); /* the lease is given back */
void rig_to(unsigned index, const char *key, const char *hop);
void rig_retry(unsigned index, uint64_t us);
void rig_bounce(unsigned number, enum ipc_state state);
void rig_vars(const char *vars);
void rig_answer(struct rig_peer *deliver, unsigned type, uint64_t tag);
/*
 * A message that is routed to `key`, at whichever deliver process; returns the tag of its DISPATCH
 * and where.
 */
uint64_t rig_dispatched(unsigned number, const char *key, struct rig_peer **at);
struct rig_peer *rig_owner(const char *key); /* the deliver process of a key that has mail */
struct ipc_lease *rig_lease(const struct rig_frame *f); /* decoded; until the next call */

/* An operator's words, space between; the whole answer, and its exit code. The caller frees. */
struct str rig_ask(const char *words, unsigned *code);

#endif
