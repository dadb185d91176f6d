/*
 * delivery_body - a leased message as a run of pieces: trace fields, header block, empty line,
 * body.
 *
 * What        the piece to be sent next, whoever sends it; and the READ that fetches more of a
 *             body that did not come along.
 * Why         a 50 MiB message goes through a buffer of DELIVERY_BODY_AHEAD bytes, and SMTP, LMTP
 *             and Maildir share the way.
 * Invariants  bytes come out once per pass, in order, all of them. One READ is out at a time:
 *             pieces may come shorter than asked for.
 * Ownership   slices borrow from the lease's frame and arena; the buffer is init/fini.
 */
#ifndef DELIVERY_BODY_H
#define DELIVERY_BODY_H

#include "buf.h"

#define DELIVERY_BODY_AHEAD (192 * 1024)

enum body_part { BODY_TRACE, BODY_HEADER, BODY_GAP, BODY_FIRST, BODY_REST, BODY_END };

struct delivery_body {
	enum body_part part;
	struct str trace, header, first;
	size_t at;               /* in the part */
	uint64_t length;         /* of the body: `first` and what is fetched */
	uint64_t fetched, taken; /* bytes of it behind `first`, at most length - first.n */
	struct buf chunk;        /* fetched, not taken */
	bool is_asked;           /* a READ is out */
	bool is_stale;           /* and its answer belongs to a pass that was given up */
	bool is_lost;            /* the spool cannot read it */
};

void delivery_body_init(struct delivery_body *b);
void delivery_body_fini(struct delivery_body *b);
void delivery_body_set(struct delivery_body *b, struct str header, struct str first,
		       uint64_t length);
void delivery_body_rewind(struct delivery_body *b,
			  struct str trace); /* begin a pass, with these fields on top */
uint64_t delivery_body_size(const struct delivery_body *b); /* of the whole message of this pass */

struct str delivery_body_piece(
	const struct delivery_body *b); /* empty: the end, or nothing is there yet */
void delivery_body_took(struct delivery_body *b, size_t n);
bool delivery_body_is_end(const struct delivery_body *b);

/*
 * delivery_body_wants - true: a READ of *length bytes at *offset should go out now; then
 * delivery_body_asked()
 */
bool delivery_body_wants(const struct delivery_body *b, uint64_t *offset, uint32_t *length);
void delivery_body_asked(struct delivery_body *b);
void delivery_body_data(struct delivery_body *b, uint64_t offset, struct str bytes);

#endif
