/*
 * spool - the durable queue on disk: a log of recycled segments, one committer, slots for big
 * bodies.
 *
 * What        submit makes a message durable and only then says so; touch and done record progress
 *             lazily; load and read give messages back; open recovers what a crash left. One spool
 *             is one directory on one disk.
 * Why         250 means that the message survives a power cut one instant later. One committer per
 *             disk makes one sync serve everybody who waited (natural batching); overwriting
 *             recycled, zero-filled segments makes it one flush.
 * Invariants  DURABLE is said only after a successful sync that covers the whole message and its
 *             slot. A refused message is never delivered; a failed sync is never retried. Progress
 *             that is lost repeats a delivery, never loses one. Callbacks run inside spool_turn
 *             (recovered and damaged: inside spool_open), never inside another call.
 * Ownership   a handle is embedded in the caller's message; it is linked from submit or recovered
 *             until spool_done, and must not move.
 * Bounds      two batches of 8 MiB, SPOOL_STREAMS windows, segments, slots, 48 bytes a message and
 *             two bits per ordinal.
 * Threads     everything here is for the loop's thread alone; the threads are in spool_pool.
 * Read next   spool_submit.c, spool_commit.c (what durable means), spool_progress.c (what may be
 *             forgotten), spool_recover.c.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "list.h"
#include "spool_accept.h"
#include "spool_file.h"
#include "spool_key.h"
#include "spool_walk.h"

#define SPOOL_NEVER  UINT64_MAX
#define SPOOL_INLINE (64 * 1024) /* a longer body belongs into a slot */

struct spool;

enum spool_phase {
	SPOOL_PHASE_NONE,     /* not the spool's */
	SPOOL_PHASE_ARRIVING, /* in a submit that is not answered yet */
	SPOOL_PHASE_CLEAN,    /* alive, nothing to write */
	SPOOL_PHASE_DIRTY,    /* its STATE is to be written */
	SPOOL_PHASE_FLYING,   /* its STATE is being written */
	/* its STATE, or that it is finished, comes with a submit that is not answered yet */
	SPOOL_PHASE_REPLACING,
	SPOOL_PHASE_FINISHING,
	SPOOL_PHASE_MOVING /* it is being copied forward, with its state */
};

/* Where a message lies. 48 bytes, all of them the spool's. */
struct spool_handle {
	struct list living; /* among those of its segment */
	struct list moving; /* by phase: arriving, dirty, flying, replaced */
	uint32_t ordinal, offset;
	uint16_t segment, noted; /* noted: the segment of its latest STATE, 0: none */
	uint16_t slot;
	uint16_t phase : 3;
	uint16_t again : 1; /* touched while it could not be written */
	uint16_t size : 12; /* of its record: spool_size_unpack */
};

struct spool_refusal {
	int code;         /* 451, or 452 when room is what lacks */
	const char *text; /* a constant */
};

struct spool_found { /* recovered: alive */
	struct id id;
	uint16_t variant;
	bool has_state; /* accept->state comes from a STATE, not from the ACCEPT */
	const struct spool_accept *accept;
};

struct spool_owner {
	void *arg;
	/* The handle of a living message, or NULL: no memory, and spool_open fails. `found` dies
	 * with the call. */
	struct spool_handle *(*recovered)(void *arg, const struct spool_found *found);
	/* The latest progress of a touched message, copied at once; returns the number of its
	 * recipients. */
	uint16_t (*state)(void *arg, struct spool_handle *h, struct spool_state *out);
	bool (*is_live)(void *arg, const struct id *id);
	/* spool_submit said false: it may take more now */
	void (*room)(void *arg);
	/* `copy`: the file under the spool's directory that holds the bytes, or NULL: then they
	 * stay where they are. */
	void (*damaged)(void *arg, const struct spool_damage *d, const char *copy);
	void (*failed)(void *arg, const char *what, const struct fault *why); /* for the log */
};

struct spool_options {
	struct spool_file *file; /* borrowed until spool_close */
	struct spool_owner owner;
	/* of new segments, a multiple of SPOOL_BLOCK, 128 KiB to 1 GiB; 0: 128 MiB */
	uint64_t segment_size;
	unsigned segments; /* at most; 0: 4096 */
	unsigned spare;    /* free ones kept ready; 0: 2 */
	unsigned slots;    /* at most; 0: 1024 */
	/* for files, besides the committer; 0: no thread at all, for tests */
	unsigned threads;
	unsigned recent; /* ids remembered after they are finished; 0: 65536 */
	/* how long a batch may wait for company while many sessions are in DATA; 0: never */
	uint64_t gather_us;
	uint64_t lazy_us;    /* how long progress may wait; 0: 50 ms */
	uint64_t keep_bytes; /* of the disk that are left to others; 0: 64 MiB */
	/* master keys, copied; NULL: none, and a spool with sealed messages does not open */
	const struct spool_keys *keys;
	bool is_sealing; /* new segments and slots are sealed; needs keys */
};

/* Blocks while it recovers; then everything else is asynchronous. Threads are started here: before
 * the sandbox. */
struct spool *spool_open(const struct spool_options *options, struct fault *why);
/* At once: what is not durable is given up, its callbacks never come. Before, flush and turn until
 * idle where there is time. */
void spool_close(struct spool **sp);

int spool_wakeup(const struct spool *sp); /* readable: call spool_turn */
/* also at the end of each turn of the loop in which anything was called */
void spool_turn(struct spool *sp, uint64_t mono_us);
uint64_t spool_next_timer(const struct spool *sp); /* monotonic, or SPOOL_NEVER */
/* how many sessions are sending a body now */
void spool_hint(struct spool *sp, unsigned in_data);
void spool_flush(struct spool *sp); /* write progress with the next turn */
/* everything is durable, nothing is under way */
bool spool_is_idle(const struct spool *sp);
/* flush and turn until idle, or until only a timer could help; blocks */
void spool_settle(struct spool *sp, uint64_t mono_us);

/* spool_is_accepting - could a message of that size be taken? false says why: 452 before DATA */
bool spool_is_accepting(struct spool *sp, uint64_t size, struct spool_refusal *why);

/* progress was made: state() will be asked */
void spool_touch(struct spool *sp, struct spool_handle *h);
/* finished: the handle is the caller's again */
void spool_done(struct spool *sp, struct spool_handle *h, const struct id *id);

/* Master keys are changed while it runs: the data keys of all segments are wrapped anew, by the
 * current one. spool_rekey_suffices - -1: `keys` lacks one that is in use, `why` says which. */
int spool_rekey_suffices(const struct spool *sp, const struct spool_keys *keys, struct fault *why);
void spool_rekey(struct spool *sp, const struct spool_keys *keys); /* which suffice */

struct spool_stats {
	unsigned segments, segments_free, segments_suspect, segments_broken, slots, slots_free;
	uint64_t live, batches, syncs, bytes;
	uint64_t moved;  /* messages, by compaction */
	bool is_failing; /* writing fails: nothing is accepted */
};
void spool_stats(const struct spool *sp, struct spool_stats *out);

#endif
