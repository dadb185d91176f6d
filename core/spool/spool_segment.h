/*
 * spool_segment - what is known in memory about one segment: its state, which of its messages are
 * finished, who speaks about it.
 *
 * States      MAKING -> FREE -> CURRENT -> CLOSED -> FREEING -> FREE; CURRENT -> SUSPECT when a
 *             write or sync failed; FREEING, MAKING -> BROKEN. All changes through
 *             spool_segment_set. MAKING its file is being made FREE nothing in it counts, its
 *             header is durable CURRENT the next batch goes there CLOSED full, or left behind;
 *             wholly synced SUSPECT as CLOSED, but not written again before the next start FREEING
 *             its header is being rewritten with the next epoch BROKEN cannot be read or written:
 *             left alone
 * Invariants  live counts the ordinals that are neither finished nor void; pending bits are
 *             finished ones whose note is not yet in a batch. `holders` has a bit for each segment
 *             in which a note about this one may stand (I13).
 * Ownership   new/free: heap. Handles in `living` belong to the spool's caller.
 */
#ifndef SPOOL_SEGMENT_H
#define SPOOL_SEGMENT_H

#include "list.h"
#include "spool_file.h"
#include "spool_note.h"
#include "spool_pool.h"

#define SPOOL_HOLDERS 8192u /* bytes of the bitmap: a bit for every possible number */

enum spool_segment_state {
	SPOOL_SEGMENT_MAKING,
	SPOOL_SEGMENT_FREE,
	SPOOL_SEGMENT_CURRENT,
	SPOOL_SEGMENT_CLOSED,
	SPOOL_SEGMENT_SUSPECT,
	SPOOL_SEGMENT_FREEING,
	SPOOL_SEGMENT_BROKEN
};

struct spool_segment {
	uint32_t number;
	enum spool_segment_state state;
	int fd;
	struct spool_header header;
	const unsigned char *key;           /* of its records, in the spool's vault; NULL: plain */
	uint64_t size, filled, tail;        /* filled: as far as zeros were written */
	struct spool_end end;               /* CLOSED and SUSPECT */
	bool is_end_durable, is_end_flying; /* its CLOSE or ABORT */
	bool is_pinned;                     /* damaged, and no copy of the damage could be made */
	/* states: messages anywhere whose latest STATE is here */
	uint32_t ordinals, ordinals_max, live, states;
	uint64_t bytes;               /* of the records of its living messages */
	unsigned readers;             /* jobs that read it: not freed meanwhile */
	bool is_stuck;                /* a message in it cannot be copied forward */
	uint64_t *finished, *pending; /* a bit for each ordinal */
	uint32_t npending;
	bool wants_dead; /* a DEAD about it must be written */
	uint8_t *holders;
	struct list living;
	struct list pended; /* among those with pending bits */
};

struct spool_segment *spool_segment_new(uint32_t number); /* NULL: no memory */
void spool_segment_free(struct spool_segment **s);
void spool_segment_set(struct spool_segment *s, enum spool_segment_state state);
const char *spool_segment_state_name(enum spool_segment_state state);

/* spool_segment_room - bytes that may be written behind the tail; `whole`: when its zeros are all
 * written */
uint64_t spool_segment_room(const struct spool_segment *s, bool whole);
/* spool_segment_bits - make room for n ordinals; false: no memory */
bool spool_segment_bits(struct spool_segment *s, uint32_t n);
void spool_segment_shrink(struct spool_segment *s); /* to the ordinals it has */
/* its records no longer count: forget all about them */
void spool_segment_renew(struct spool_segment *s);

void spool_segment_finish(struct spool_segment *s, uint32_t ordinal); /* and live is one less */
/* its note must be written (again) */
void spool_segment_pend(struct spool_segment *s, uint32_t ordinal);
bool spool_segment_is_finished(const struct spool_segment *s, uint32_t ordinal);
/* spool_segment_take_pending - up to max ordinals whose note must be written; their bits are
 * cleared */
uint32_t spool_segment_take_pending(struct spool_segment *s, uint32_t *to, uint32_t max);

bool spool_segment_is_held(const struct spool_segment *s, uint32_t by);
void spool_segment_hold(struct spool_segment *s, uint32_t by);
void spool_segment_hold_only(struct spool_segment *s, uint32_t by); /* 0: by none */

/* On a thread: both copies, `first` first and synced, so that one of them is good at any moment;
 * and both in the end, so that a damaged byte in one does not bring the segment's last life
 * back. */
int spool_segment_write_header(struct spool_file *f, int fd, int first,
			       const struct spool_header *h);

#endif
