/*
 * spool_accept - the payload of an ACCEPT: one variant of a message, whole. Pure.
 *
 * What        recipients, envelope (readable `key: value` lines, opaque to the spool), complete
 *             header block, body as up to SPOOL_EXTENTS extents, each inline or a range of one
 *             slot, and the state it starts with.
 *
 *   layout    envelope 4, header 4, blob 4, recipients 2, extents 2, body 8, slot 4, slot's form 4
 *             (0 plain, 1 sealed), slot length 8, slot sum 32; the slot's key 32 if it is sealed;
 *             extents of {kind 4, zero 4, offset 8, length 8}; bitmaps done and failed of
 *             (recipients + 7) / 8 bytes; blob, envelope, header block, inline extents one after
 *             the other.
 *
 * Invariants  what decodes is consistent: extents add up to the body's length, ranges lie within
 *             the slot, lengths fill the payload exactly.
 * Ownership   decoding borrows from the payload; encoding copies.
 */
#ifndef SPOOL_ACCEPT_H
#define SPOOL_ACCEPT_H

#include "codec.h"

#define SPOOL_EXTENTS      64
#define SPOOL_RECIPIENTS   10000       /* of one variant */
#define SPOOL_BLOB_MAX     (64 * 1024) /* of state */
#define SPOOL_HEADER_MAX   (256 * 1024)
#define SPOOL_ENVELOPE_MAX (1024 * 1024)
#define SPOOL_SUM          32
#define SPOOL_SLOT_KEY     32

/* What progress a message has made: replaced as a whole. */
struct spool_state {
	/* one bit for each recipient, the lowest first; NULL in an initial state: none yet */
	const uint8_t *done, *failed;
	/* the queue's own: attempts, due, next hop, hold, vars; at most SPOOL_BLOB_MAX */
	struct str blob;
};

struct spool_extent {
	const char *p;           /* inline bytes, or NULL: a range of the slot */
	uint64_t offset, length; /* offset: in the slot */
};

struct spool_accept {
	uint16_t recipients;
	struct str envelope, header;
	struct spool_state state;
	unsigned nextents;
	struct spool_extent extents[SPOOL_EXTENTS];
	uint64_t body_length;        /* decoded; the encoder adds up the extents */
	uint32_t slot;               /* number, 0: none */
	uint64_t slot_length;        /* of the body in it */
	uint8_t slot_sum[SPOOL_SUM]; /* of the slot's bytes as they are stored: spool_sum */
	bool is_slot_sealed;
	const unsigned char *slot_key; /* SPOOL_SLOT_KEY bytes, when it is sealed */
};

size_t spool_bitmap_size(unsigned bits); /* in bytes */

/* spool_accept_size - of the payload; 0 when a bound is passed or an extent is empty or outside the
 * slot */
size_t spool_accept_size(const struct spool_accept *a);
void spool_accept_put(char *to, const struct spool_accept *a);
/* spool_accept_sum - fill in the slot's sum, known only when its last byte is written */
void spool_accept_sum(char *payload, const uint8_t sum[SPOOL_SUM]);
bool spool_accept_get(struct str payload, struct spool_accept *a);
/* spool_accept_slot - of the beginning of a payload, as it stays readable in a sealed record: the
 * slot's fields alone; false: it is too short */
bool spool_accept_slot(struct str payload, struct spool_accept *a);
#define SPOOL_ACCEPT_FIXED 72u /* how much of it that takes */

/* spool_accept_piece - the piece of the body from offset to the end of its extent; false at the end
 * of the body */
bool spool_accept_piece(const struct spool_accept *a, uint64_t offset, struct spool_extent *piece);

#endif
