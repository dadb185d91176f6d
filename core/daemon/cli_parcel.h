/*
 * cli_parcel - a message outside of any spool: NAME.eml, the bytes that are delivered, and
 * NAME.json beside it, everything else. Pure.
 *
 * What        the side file, written and read. Its members:
 *               moongate  1: this format
 *               id, variant
 *               size      bytes of the .eml
 *               header    bytes of it that are the header block, without the empty line (CRLF)
 *                         behind it
 *               blake2b   of the .eml, 32 bytes in hexadecimal
 *               state     due, waiting, held or quarantined
 *               from, to  sender and the recipients that are left
 *               envelope  all that is known of both, as it is stored
 *               done, failed  indexes of the recipients that are finished
 *               progress  attempts, times, reasons, as the queue stores them, in base64
 * Why         what is exported can be looked at, kept, moved to another node, and imported there
 *             as if it had never left.
 * Invariants  an envelope counts for more than from and to, which suffice where a message comes
 *             from elsewhere. Unknown members are skipped: newer writers, older readers.
 * Ownership   written: borrows all of it. Read: slices live in the arena.
 */
#ifndef CLI_PARCEL_H
#define CLI_PARCEL_H

#include "arena.h"
#include "buf.h"
#include "fault.h"
#include "spool_accept.h"

#define CLI_PARCEL_JSON (4 * 1024 * 1024) /* bytes of a side file */
#define CLI_PARCEL_SUM  32

struct cli_parcel {
	bool has_id, has_size, has_sum, has_header;
	struct id id;
	uint16_t variant;
	uint64_t size, header; /* bytes of the .eml, of its header block */
	uint8_t sum[CLI_PARCEL_SUM];
	struct str envelope;
	struct spool_state state;
	uint16_t recipients; /* of the envelope; of the bitmaps in state */
	/* read, where there is no envelope */
	struct str from, *to;
	unsigned nto;
};

/* false: it does not fit */
bool cli_parcel_write(struct buf *out, const struct cli_parcel *p);
/* Without an envelope, `recipients` is 0 and those in `to` are addresses that nobody has looked
 * at. */
int cli_parcel_read(struct str text, struct arena *arena, struct cli_parcel *out,
		    struct fault *why);
/* cli_parcel_compose - an envelope from what the parcel says: from and to, or with its id */
int cli_parcel_compose(struct cli_parcel *p, bool is_8bit, struct arena *arena, struct fault *why);

#endif
