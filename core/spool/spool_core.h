/*
 * spool_core - the inside of struct spool, shared by the files of this layer and by nobody else.
 *
 * What        who does what: spool_supply has the segments (makes, fills, chooses, frees them),
 *             spool_progress the notes about living and finished messages, spool_slots the slots,
 *             spool_move empties segments, spool_commit has the batches, spool_submit what goes
 *             into them, spool_recover the start. spool.c turns them all.
 * Invariants  one batch flies at a time; everything here is the loop thread's. What a job on a
 *             thread needs was copied into it.
 */
#ifndef SPOOL_CORE_H
#define SPOOL_CORE_H

#include "map.h"
#include "spool.h"
#include "spool_batch.h"
#include "spool_move.h"
#include "spool_recent.h"
#include "spool_rekey.h"
#include "spool_replay.h"
#include "spool_segment.h"
#include "spool_slot.h"
#include "spool_submit.h"

/* after a segment could not be made or filled */
#define SPOOL_RETRY_US (1 * UINT64_C(1000000))
/* after writing failed twice; doubles up to: */
#define SPOOL_PROBE_US     (1 * UINT64_C(1000000))
#define SPOOL_PROBE_MAX_US (60 * UINT64_C(1000000))
/* how old the figure for free disk space may be */
#define SPOOL_SPACE_US (1 * UINT64_C(1000000))
/* states carried forward at once, or one segment's, to free another */
#define SPOOL_CARRY_STEP 4096

/* Who wants to write. Mail stops first; then bounces, so that a full queue drains; progress and
 * what compaction copies get the last segment. */
enum spool_claim { SPOOL_FOR_MAIL, SPOOL_FOR_BOUNCES, SPOOL_FOR_NOTES };

struct spool_supply {
	struct spool_job make_job, fill_job, free_job, space_job;
	bool is_making, is_filling, is_freeing, is_asking;
	struct spool_segment *making, *filling, *freeing;
	struct spool_header next; /* of the segment being freed */
	uint64_t fill_from, fill_upto;
	int make_error, fill_error, free_error;
	bool has_make_failed;
	uint64_t make_after, fill_after; /* not before, when the last try failed */
	struct spool_space space;        /* the disk's, as of space_at; written by the space job */
	struct spool_space asked;
	uint64_t space_at;
	unsigned free;    /* segments in that state */
	bool may_reclaim; /* something landed since the last look */
	/* where looking for states of a segment to be freed goes on */
	unsigned carry_at;
};

struct spool_slots {
	struct spool_slot **all; /* by number, 0 unused */
	unsigned count, free, highest, cap;
	struct list idle; /* free ones */
	struct list leaving; /* their last message is finished, that note is not yet in a batch */
	bool is_doubtful; /* recovery could not read all: unnamed bodies may be somebody's */
	struct list ready, failed;      /* submits whose slot is synced, or could not be */
	char *windows;                  /* SPOOL_STREAMS of them */
	uint8_t streams[SPOOL_STREAMS]; /* free ones, as a stack */
	unsigned nstreams;
	struct spool_job make_job;
	bool is_making;
	unsigned made_from, made_upto;
	int make_error;
	uint64_t make_after;
};

struct spool {
	struct spool_options o;
	struct spool_file *file;
	struct spool_pool pool;
	bool has_pool;
	int lock;
	uint64_t now;

	struct spool_segment **segments; /* by number, 0 unused */
	unsigned nsegments;              /* the highest number */
	struct spool_segment *current;
	uint64_t epoch, lsn; /* the last epoch given, the next LSN */
	struct spool_supply supply;

	struct spool_batch batches[2];
	struct spool_batch *gathering, *flying; /* flying: NULL when none */
	struct spool_job commit_job;
	unsigned failures; /* in a row */
	uint64_t probe_at, probe_us;
	/* submits of a failed batch, until its ABORT is durable */
	struct list refused;
	struct list answers; /* submits to be answered in this turn */
	struct map pending;  /* submits not yet answered, by id */
	bool is_room_wanted, is_flushing;
	bool is_blocked; /* no segment to write to now */
	unsigned in_data;

	struct list dirty;    /* handles */
	struct list pended;   /* segments with finished ordinals to be noted */
	bool has_progress;    /* something is to be noted, */
	uint64_t dirty_since; /* since this turn; 0: the coming one */

	struct spool_slots slots;
	struct spool_mover mover;
	struct spool_rekey rekey;
	struct spool_recent recent;
	struct spool_stats stats;
	uint32_t scratch[SPOOL_DONE_MAX];
};

/* spool_supply.c */
void spool_supply_turn(struct spool *sp);
/* spool_supply_choose - the segment in which `need` bytes and `accepts` ordinals have room, made
 * current; NULL: none now */
struct spool_segment *spool_supply_choose(struct spool *sp, uint64_t need, uint32_t accepts);
bool spool_supply_can_grow(const struct spool *sp); /* another segment can be made */
bool spool_supply_has_room(const struct spool *sp, uint64_t need, enum spool_claim claim);
/* so few segments are free, or can be made, that others should be emptied */
bool spool_supply_is_short(const struct spool *sp);
/* `bytes` fit into the current segment and the free ones */
bool spool_supply_has_space(const struct spool *sp, uint64_t bytes);
/* its write or sync failed */
void spool_supply_suspect(struct spool *sp, const struct spool_batch *b);
/* free what may be freed; between flights only */
void spool_supply_reclaim(struct spool *sp);
uint64_t spool_supply_timer(const struct spool *sp);
/* how many of its jobs are under way */
unsigned spool_supply_jobs(const struct spool *sp);
void spool_supply_close(struct spool *sp);

/* spool_progress.c */
bool spool_progress_is_due(const struct spool *sp);
void spool_progress_want_dead(struct spool *sp, struct spool_segment *s);
/* bytes without which no progress at all could be written */
size_t spool_progress_need(const struct spool *sp);
void spool_progress_write(struct spool *sp, struct spool_batch *b, size_t limit);
void spool_progress_landed(struct spool *sp, struct spool_batch *b);
void spool_progress_revert(struct spool *sp, struct spool_batch *b);
void spool_progress_arrived(struct spool *sp, struct spool_submit *s,
			    const struct spool_segment *in);
void spool_progress_refused(struct spool *sp, struct spool_submit *s);
/* its DONE is to be written */
void spool_progress_pend(struct spool *sp, struct spool_segment *s, uint32_t ordinal);
/* finished; its DONE is to be written */
void spool_progress_gone(struct spool *sp, struct spool_handle *h, bool is_pending);

/* its note has landed, or was given up: is there more to write? */
void spool_progress_settle(struct spool *sp, struct spool_handle *h);

/* spool_submit.c */
/* what was waiting for a slot or for room */
void spool_submit_turn(struct spool *sp);
void spool_submit_answer(struct spool *sp);
void spool_submits_fini(struct spool *sp); /* without answers */
void spool_submit_room(struct spool *sp);  /* tell who waits for it */
/* its slot; NULL: it failed */
void spool_submit_synced(struct spool *sp, struct spool_submit *s, const uint8_t *sum);
/* spool_submit_refuse - all of them, onto `to`: those that may be on disk wait in `refused` for
 * their ABORT */
void spool_submit_refuse(struct spool *sp, struct list *submits, struct spool_refusal why,
			 struct list *to);

/* spool_commit.c */
void spool_commit_turn(struct spool *sp);
uint64_t spool_commit_timer(const struct spool *sp);
bool spool_commit_is_failing(const struct spool *sp);

/* spool_slot.c */
int spool_slots_init(struct spool *sp, struct fault *why);
void spool_slots_fini(struct spool *sp);
void spool_slots_turn(struct spool *sp);
bool spool_slots_are_used_up(const struct spool *sp); /* as many as the options allow */
uint64_t spool_slots_timer(const struct spool *sp);
struct spool_slot *spool_slots_get(const struct spool *sp, unsigned number); /* NULL: no such */
/* recovery: the file exists */
int spool_slots_found(struct spool *sp, unsigned number, struct fault *why);
/* recovery: a living message is in it */
int spool_slots_use(struct spool *sp, const struct spool_accept *a, struct fault *why);
/* recovery: clear the others; in doubt only the empty ones are used before the next start */
void spool_slots_sweep(struct spool *sp);
/* write the rest, sync */
void spool_slot_close(struct spool *sp, struct spool_slot *slot, struct spool_submit *s);
/* its submit is durable */
void spool_slot_keep(struct spool_slot *slot, unsigned messages);
void spool_slot_drop(struct spool *sp, unsigned number); /* one message less */
/* nobody needs it */
void spool_slot_clear(struct spool *sp, struct spool_slot *slot);
/* all of them may be cleared */
void spool_slots_leave(struct spool *sp, struct list *leaving);
unsigned spool_slot_number(const struct spool_slot *slot);
int spool_slot_fd(const struct spool_slot *slot);
const unsigned char *spool_slot_key(const struct spool_slot *slot); /* NULL: plain */

/* spool_recover.c */
int spool_recover(struct spool *sp, struct fault *why);

#endif
