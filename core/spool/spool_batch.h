/*
 * spool_batch - what one write and one sync make durable.
 *
 * What        records gather in `body`; when the batch starts, the notes that must stand first
 *             (CLOSE, ABORT) are put in `front`, LSNs, ordinals and the place are filled in by the
 *             loop, checksums by the committer.
 * Why         a record is copied once, into the memory that is written; where it will lie is not
 *             known before the sync ahead of it has ended, and may change when that fails.
 *             Records are plain in `body`; the committer seals them into `sealed` when the segment
 *             has a key.
 * Invariants  what will be written never exceeds capacity; submits may use all but
 *             SPOOL_NOTES_SHARE of it, so that progress is never starved. All buffers exist from
 *             start to end: committing allocates nothing.
 */
#ifndef SPOOL_BATCH_H
#define SPOOL_BATCH_H

#include "list.h"
#include "spool_cipher.h"
#include "spool_note.h"
#include "spool_segment.h"

#define SPOOL_BODY_MAX    (8u * 1024 * 1024)
#define SPOOL_NOTES_SHARE 8 /* an eighth, and at least: */
#define SPOOL_NOTES_MIN   (24 * 1024)
#define SPOOL_END_RECORD  (SPOOL_RECORD_HEAD + SPOOL_CLOSE_SIZE)
#define SPOOL_END_MOST    (SPOOL_END_RECORD + SPOOL_CIPHER_GROWTH)
#define SPOOL_ENDS_MAX    ((SPOOL_BLOCK - SPOOL_BATCH_HEAD) / SPOOL_END_MOST)

struct spool_batch {
	char *body;
	size_t capacity, length, notes; /* notes: where progress begins in the body */
	/* where the committer seals, of whichever batch flies: SPOOL_BLOCK + capacity bytes; NULL:
	 * nothing is sealed, and `growth` is 0 */
	char *sealed;
	size_t growth; /* of each record, at most */
	char front[SPOOL_BLOCK];
	size_t front_length;
	uint32_t records, front_records, accepts;
	struct list submits; /* struct spool_submit, in the order of their records */
	struct list flying;  /* struct spool_handle.moving, whose STATE is in it */
	struct list moving;  /* the same, whose MOVE is in it, in the order of their records */
	struct list leaving; /* struct spool_slot, free when it is durable */
	unsigned nsubmits;
	bool needs_room;      /* has a submit that may not use the reserve */
	bool has_all_pending; /* no finished ordinal is left without a note */
	uint64_t since;       /* when its first submit came */

	/* from start to end of its flight */
	struct spool_file *file;
	struct spool_segment *segment;
	struct spool_head head;
	uint64_t offset;
	uint32_t seed;
	struct spool_cipher cipher;
	int fd, error; /* error: errno, or 0 */
	uint64_t sync_us;
};

int spool_batch_init(struct spool_batch *b, size_t capacity, struct fault *why);
void spool_batch_fini(struct spool_batch *b);
void spool_batch_reset(struct spool_batch *b);
bool spool_batch_is_empty(const struct spool_batch *b); /* no record in it */
/* what submits may fill of an empty one */
size_t spool_batch_most(const struct spool_batch *b);
size_t spool_batch_room(const struct spool_batch *b); /* what they still may */
/* what its records take on disk, at most; and one more of that size */
size_t spool_batch_size(const struct spool_batch *b);
size_t spool_batch_cost(const struct spool_batch *b, size_t size, unsigned records);
size_t spool_batch_padded(size_t length); /* on disk, with a full front */

/* For records made by the caller: where `size` bytes of them go (there is room), and that they are
 * there now. */
char *spool_batch_space(struct spool_batch *b, size_t size);
void spool_batch_took(struct spool_batch *b, size_t size);
/* spool_batch_add - one record (there is room), whose payload of r->length bytes the caller fills
 * in */
char *spool_batch_add(struct spool_batch *b, const struct spool_record *r);
void spool_batch_end(struct spool_batch *b, const struct spool_end *end, bool is_abort);

/* spool_batch_next - walk the body: the record at *at, which moves on; false at the end */
bool spool_batch_next(const struct spool_batch *b, size_t *at, struct spool_record *r);

/* What a record of the body, or the front, takes on disk once the batch has its place. */
size_t spool_batch_stored(const struct spool_batch *b, uint32_t length);
size_t spool_batch_front(const struct spool_batch *b); /* with the batch's head */

/* spool_batch_place - give everything its place: `offset` in s, LSNs from `lsn` on. Returns the
 * bytes it takes on disk. */
size_t spool_batch_place(struct spool_batch *b, struct spool_segment *s, uint64_t lsn);
/* spool_batch_write - on the committer's thread: sums, one write, one sync */
void spool_batch_write(struct spool_batch *b);

#endif
