/*
 * spool_replay - a directory of segments and slots read into tables: which messages live, where, in
 * what state.
 *
 * What        open reads every segment header and finds out where segments end; run walks them all,
 *             the latest first, so that everything said about a segment is known before it is
 *             judged; each gives every living message.
 * Why         one reading for recovery and for the operator's tools, which must agree. It writes
 *             nothing.
 * Invariants  a STATE counts if its LSN is the highest of its message; DONE and DEAD always count;
 *             each only for the epoch it names. A message lives if its ACCEPT is legible, nothing
 *             finished it and its slot has the bytes.
 * Ownership   new/free: heap; descriptors of the segments are the replay's until someone takes them
 *             (fd = -1).
 * Bounds      40 bytes per message ever accepted in segments not yet reused; one window.
 *             What is sealed is opened with `keys`; the tables need none, since all that they are
 *             made of stays readable.
 * Fails       no memory; a directory that cannot be listed; records that only a newer release can
 *             read; a living message whose key is not there.
 */
#ifndef SPOOL_REPLAY_H
#define SPOOL_REPLAY_H

#include "spool_note.h"
#include "spool_vault.h"
#include "spool_walk.h"

#define SPOOL_SEGMENTS_MAX 65535       /* numbers start with 1 */
#define SPOOL_SEGMENT_MAX  (1u << 30)  /* bytes of one */
#define SPOOL_PIECE        (16u << 20) /* of a longer one so much is there before it serves */
#define SPOOL_SLOTS_MAX    65535

enum spool_replay_state {
	SPOOL_REPLAY_NONE, /* no file */
	SPOOL_REPLAY_RAW,  /* its making was interrupted: no header, nothing behind */
	SPOOL_REPLAY_FREE, /* nothing in it counts */
	SPOOL_REPLAY_USED,
	SPOOL_REPLAY_BROKEN /* cannot be read: left alone */
};

struct spool_span { /* of a record in its segment */
	uint32_t offset, size;
};

struct spool_replay_message {
	uint64_t lsn, state_lsn; /* of its ACCEPT, of its latest STATE; 0: none */
	struct spool_span accept, state;
	uint16_t state_segment;
	bool is_dead;
};

struct spool_replay_segment {
	enum spool_replay_state state;
	int fd;
	int copy;       /* which of its headers counts */
	bool is_uneven; /* the other one is not the same */
	struct spool_header header;
	const unsigned char *key; /* NULL: none is needed, or why not: */
	enum spool_wrapped wrapped;
	uint64_t size, tail;
	uint64_t lsn_first, lsn_next;
	struct spool_end end; /* .epoch 0: not closed */
	struct spool_replay_message *messages;
	uint32_t count, cap;
	/* a bit for each segment in which something about this one stands */
	uint8_t *holders;
	bool is_damaged;
	bool is_suspect; /* it ends with an ABORT: a sync of it failed */
	bool is_missed; /* others speak of it, and it is not there */
	/* not to be reused: what cannot be read now may be read another day */
	bool is_pinned;
};

struct spool_replay_view { /* of each living message */
	uint16_t segment;
	uint32_t ordinal;
	const struct spool_replay_message *message;
	struct id id;
	uint16_t variant;
	const struct spool_accept *accept; /* with its latest state */
	const char *slot_trouble;          /* NULL, or why the slot cannot be used */
	bool is_slot_unread;               /* by an error: another start may find it well */
	bool is_locked; /* checking without its key: `accept` has the slot alone */
};

struct spool_replay {
	struct spool_file *file;
	struct spool_replay_segment *segments; /* by number, 0 unused */
	unsigned nsegments;                    /* the highest number */
	/* the highest epoch seen, the first LSN not yet used */
	uint64_t epoch, lsn;
	uint64_t damages;
	/* slots are read and summed even when nothing else is damaged, and a message whose key is
	 * not there is given locked instead of refused */
	bool is_checking;
	const struct spool_keys *keys; /* borrowed; NULL: none */
	void (*damage)(void *arg, const struct spool_damage *d);
	void *arg;
	/* its own */
	struct spool_walk walk;
	unsigned walking;
	bool is_first_look;
	int failed;
	struct fault *why;
	char *window;
	struct spool_vault vault;
};

typedef int spool_replay_each_fn(void *arg, const struct spool_replay_view *v);

struct spool_replay *spool_replay_new(struct spool_file *file, struct fault *why);
void spool_replay_free(struct spool_replay **r);
int spool_replay_open(struct spool_replay *r, struct fault *why);
/* spool_replay_is_closed - where it ends was written down; else its latest bytes may not have been
 * synced */
bool spool_replay_is_closed(const struct spool_replay_segment *s);
int spool_replay_run(struct spool_replay *r, struct fault *why);
/* spool_replay_each - every living message, oldest segment first; `each` returns -1 to stop */
int spool_replay_each(struct spool_replay *r, spool_replay_each_fn *each, void *arg,
		      struct fault *why);
/* spool_replay_one - one of them again */
int spool_replay_one(struct spool_replay *r, unsigned segment, uint32_t ordinal,
		     spool_replay_each_fn *each, void *arg);
/* spool_replay_finished - ids of finished messages, the latest segment first, until `each` returns
 * false */
void spool_replay_finished(struct spool_replay *r, bool (*each)(void *arg, const struct id *id),
			   void *arg);

void spool_segment_path(char path[24], unsigned number); /* "seg/00000001" */
void spool_slot_path(char path[24], unsigned number);    /* "big/00/0001" */

#endif
