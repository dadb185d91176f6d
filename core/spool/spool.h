/*
 * spool - the durable queue on disk: a log of recycled segments, one committer, slots for big bodies.
 *
 * What        submit makes a message durable and only then says so; touch and done record progress lazily; load and read give
 *             messages back; open recovers what a crash left. One spool is one directory on one disk.
 * Why         250 means that the message survives a power cut one instant later. One committer per disk makes one sync serve
 *             everybody who waited (natural batching); overwriting recycled, zero-filled segments makes it one flush.
 * Invariants  DURABLE is said only after a successful sync that covers the whole message and its slot. A refused message is
 *             never delivered; a failed sync is never retried. Progress that is lost repeats a delivery, never loses one.
 *             Callbacks run inside spool_turn (recovered and damaged: inside spool_open), never inside another call.
 * Ownership   a handle is embedded in the caller's message; it is linked from submit or recovered until spool_done, and must
 *             not move. struct spool_submit, spool_load and slots' callers stay valid until their callback.
 * Threads     everything here is for the loop's thread alone; spool_pool has the threads.
 * Read next   spool_submit.c, spool_commit.c (what durable means), spool_progress.c (what may be forgotten), spool_recover.c.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "list.h"
#include "map.h"
#include "spool_accept.h"
#include "spool_file.h"
#include "spool_pool.h"

#define SPOOL_VARIANTS 64
#define SPOOL_SLOT_WINDOW (256 * 1024)  /* bytes of one slot that may wait in memory */
#define SPOOL_STREAMS 192               /* slots being written at once: 48 MiB of windows at most */
#define SPOOL_NEVER UINT64_MAX

struct spool;
struct spool_slot;

enum spool_phase {
	SPOOL_PHASE_NONE, SPOOL_PHASE_ARRIVING, SPOOL_PHASE_CLEAN, SPOOL_PHASE_DIRTY, SPOOL_PHASE_FLYING,
	SPOOL_PHASE_REPLACING, SPOOL_PHASE_FINISHING
};

/* Where a message lies. 48 bytes, all of it the spool's. */
struct spool_handle {
	struct list living;             /* among those of its segment */
	struct list moving;             /* dirty, or under way in a batch */
	uint32_t ordinal, offset;
	uint16_t segment, noted;        /* noted: the segment of its latest STATE, 0: none */
	uint16_t slot;
	uint16_t phase : 3, again : 1, blocks : 12;
};

struct spool_refusal {
	int code;                       /* 451, or 452 when room is what lacks */
	const char *text;               /* a constant */
};

enum spool_outcome {
	SPOOL_DURABLE,
	SPOOL_KNOWN,                    /* the id is durable already: say 250; the handles were not used */
	SPOOL_REFUSED
};

struct spool_variant {
	struct spool_handle *handle;
	uint16_t number;
	struct spool_accept accept;     /* its slot fields are filled in by the spool */
};

struct spool_replace {                  /* progress that becomes durable with a submit, or not at all */
	struct spool_handle *handle;
	bool is_done;                   /* finished: as spool_done, when durable */
	uint16_t recipients;
	struct spool_state state;       /* unless is_done */
};

struct spool_submit {
	struct id id;
	struct spool_variant *variants; /* these and `replaces` are borrowed for the call only, their handles until done() */
	unsigned nvariants;
	struct spool_replace *replaces;
	unsigned nreplaces;
	struct spool_slot *slot;        /* or NULL; taken over by spool_submit when it returns true */
	bool is_urgent;                 /* a bounce: may use the room that is kept so that a full queue drains */
	void (*done)(struct spool_submit *s, enum spool_outcome outcome, const struct spool_refusal *why);
	/* the spool's own */
	struct list node, arriving, replaced, twins;
	struct map_node known;
	enum spool_outcome outcome;
	struct spool_refusal why;
	struct spool_slot *writing;
	char *image;
	size_t size, records;
};

struct spool_found {                    /* recovered: alive */
	struct id id;
	uint16_t variant;
	bool has_state;                 /* `accept.state` comes from a STATE, not from the ACCEPT */
	const struct spool_accept *accept;
};

struct spool_damage {
	uint32_t segment;               /* 0: a slot, or a file that is no segment */
	uint64_t offset, length;
	const char *what;               /* a constant */
	const struct id *id;            /* whose record it was, where that can be read; else NULL */
	char copy[96];                  /* the file under the spool directory that holds a copy; "" when there is none */
};

struct spool_owner {
	void *arg;
	/* The handle of a living message, or NULL: no memory, and spool_open fails. `found` dies with the call. */
	struct spool_handle *(*recovered)(void *arg, const struct spool_found *found);
	/* The latest progress of a touched message; pointers may be to anything that lives until the call returns to the loop. */
	uint16_t (*state)(void *arg, struct spool_handle *h, struct spool_state *out); /* returns its recipients */
	bool (*is_live)(void *arg, const struct id *id);
	void (*room)(void *arg);                                        /* spool_submit may take more now */
	void (*damaged)(void *arg, const struct spool_damage *damage);
	void (*failed)(void *arg, const char *what, const struct fault *why); /* an event for the log */
};

struct spool_options {
	struct spool_file *file;        /* borrowed until spool_close */
	struct spool_owner owner;
	uint64_t segment_size;          /* a multiple of SPOOL_BLOCK, 64 KiB to 1 GiB; 0: 128 MiB. Of new segments only */
	unsigned segments;              /* at most; 0: 4096 */
	unsigned spare;                 /* free ones kept ready; 0: 2 */
	unsigned slots;                 /* at most; 0: 1024 */
	unsigned threads;               /* for files, besides the committer; 0: none at all, for tests */
	unsigned recent;                /* ids remembered after they are finished; 0: 65536 */
	uint64_t gather_us;             /* how long a batch may wait for company when many sessions are in DATA; 0: never */
	uint64_t lazy_us;               /* how long progress may wait; 0: 50 ms */
	uint64_t keep_bytes;            /* of the disk that are left to others; 0: 64 MiB */
};

struct spool *spool_open(const struct spool_options *options, struct fault *why);
/* spool_close - at once: what is not durable is given up, its callbacks never come. Flush and turn until idle before, if possible. */
void spool_close(struct spool **sp);
int spool_wakeup(const struct spool *sp);               /* readable: call spool_turn */
void spool_turn(struct spool *sp, uint64_t mono_us);    /* also at the end of each turn of the loop in which anything was called */
uint64_t spool_next_timer(const struct spool *sp);      /* monotonic, or SPOOL_NEVER */
void spool_hint(struct spool *sp, unsigned in_data);    /* how many sessions are sending a body now */
void spool_flush(struct spool *sp);                     /* write progress with the next turn */
bool spool_is_idle(const struct spool *sp);             /* everything is durable, nothing is under way */
void spool_settle(struct spool *sp, uint64_t mono_us);  /* flush and turn until idle; blocks */

/* spool_is_accepting - could a message of that size be taken? false says why: 452 before DATA */
bool spool_is_accepting(struct spool *sp, uint64_t size, struct spool_refusal *why);

/* spool_submit - false: no room in the batch being gathered; nothing was taken, try again after room() */
bool spool_submit(struct spool *sp, struct spool_submit *s);

void spool_touch(struct spool *sp, struct spool_handle *h);     /* progress was made: state() will be asked */
void spool_done(struct spool *sp, struct spool_handle *h);      /* finished, all of it: the handle is the caller's again */

/* A slot for a big body. moved() comes when bytes were written and there is room again, or when writing failed. */
struct spool_slot *spool_slot_open(struct spool *sp, void (*moved)(void *arg), void *arg, struct spool_refusal *why);
size_t spool_slot_room(const struct spool_slot *slot);
void spool_slot_append(struct spool *sp, struct spool_slot *slot, struct str bytes);    /* at most that many */
uint64_t spool_slot_length(const struct spool_slot *slot);                              /* appended so far */
bool spool_slot_has_failed(const struct spool_slot *slot);                              /* submit would be refused: abort */
void spool_slot_abort(struct spool *sp, struct spool_slot **slot);

/* A message back from the disk. DONE: filled now; MORE: done() comes; ERROR: it cannot be read (`why`). The buffer must be left
 * alone, and the message must not be finished, until then. */
struct spool_load {
	const struct spool_handle *handle;
	char *to;                       /* spool_load_size bytes */
	void (*done)(struct spool_load *l, bool is_good);
	/* results, borrowed from `to` */
	struct id id;
	uint16_t variant;
	struct spool_accept accept;     /* its state is the one it arrived with */
	/* the spool's own */
	struct spool_job job;
	struct spool *spool;
	size_t size;
	uint64_t offset;
	int fd;
	bool is_good;
};

struct spool_read {                     /* a range of the message's slot */
	const struct spool_handle *handle;
	char *to;
	size_t length;
	uint64_t offset;
	void (*done)(struct spool_read *r, bool is_good);
	/* the spool's own */
	struct spool_job job;
	struct spool *spool;
	int fd;
	bool is_good;
};

size_t spool_load_size(const struct spool_handle *h);
enum step spool_load(struct spool *sp, struct spool_load *l);
enum step spool_read(struct spool *sp, struct spool_read *r);

struct spool_stats {
	unsigned segments, segments_free, segments_suspect, slots, slots_free;
	uint64_t live, batches, syncs;
	bool is_failing;
};
void spool_stats(const struct spool *sp, struct spool_stats *out);

#endif
