/*
 * ipc_submit - edge (or deliver) hands a message to the spool: the frames and their payloads.
 *
 * What        SUBMIT carries one id with 1..N variants (envelope text, edited header block,
 *             state), sharing one body that is inline or was streamed into a slot before. DURABLE
 *             or REFUSED answers it; its tag is the submitter's own.
 * Why         "durable" is the only source of the token without which the session cannot say 250.
 * Invariants  idempotent by id: the same SUBMIT sent again is answered DURABLE if the id is
 *             there. The reader checks everything.
 * Bounds      IPC_VARIANTS, IPC_HEADER_MAX, IPC_BODY_INLINE, IPC_ENVELOPE_MAX; all of it within
 *             IPC_FRAME_MAX.
 */
#ifndef IPC_SUBMIT_H
#define IPC_SUBMIT_H

#include "ipc_channel.h"

#define IPC_VARIANTS     64
#define IPC_HEADER_MAX   (256 * 1024)
#define IPC_BODY_INLINE  (64 * 1024)
#define IPC_ENVELOPE_MAX (400 * 1024)
#define IPC_REPLY_TEXT   512 /* of a refusal, of an outcome; one line of printable bytes */
#define IPC_ESC          12  /* "5.999.999" */
#define IPC_SLOT_CHUNK   (64 * 1024)
#define IPC_SLOT_WINDOW  (256 * 1024) /* bytes a submitter may have sent beyond the last SLOT_ACK */

/* clang-format off */
enum ipc_submit_type {
	IPC_SUBMIT = 1,         /* -> struct ipc_submit; flags: how many sessions are sending, a
				 *    hint whether a commit gets company */
	IPC_DURABLE,            /* <- empty */
	IPC_REFUSED,            /* <- struct ipc_refusal */
	IPC_SLOT_OPEN,          /* -> u64 expected size (0 unknown); the tag is the slot's name */
	IPC_SLOT_DATA,          /* -> bytes, at most IPC_SLOT_CHUNK */
	IPC_SLOT_ACK,           /* <- u64 bytes taken so far; the first, of 0: the slot is there */
	IPC_SLOT_REFUSED,       /* <- struct ipc_refusal; the slot is gone */
	IPC_SLOT_ABORT,         /* -> empty; also implied by the channel's end */
	IPC_ROOM,               /* <- u8 enum ipc_room; at the begin of a channel, and when it
				 *    changes */
	IPC_SUBMIT_TYPES
};
/* clang-format on */

/* What is taken now; for the rest, answer 452 at MAIL. */
enum ipc_room {
	IPC_ROOM_NONE,
	IPC_ROOM_ALL,
	IPC_ROOM_SMALL, /* nothing whose body is longer than IPC_BODY_INLINE */
	IPC_ROOMS
};

enum ipc_state { IPC_STATE_QUEUE, IPC_STATE_HOLD, IPC_STATE_QUARANTINE };

struct ipc_variant {
	enum ipc_state state;
	struct str envelope; /* mail/envelope.h text */
	struct str header; /* complete edited block, trace fields and all, without the empty line */
};

struct ipc_submit {
	struct id id;
	struct ipc_variant variants[IPC_VARIANTS];
	unsigned nvariants;
	bool is_slot;
	struct str body; /* inline: the bytes after the empty line */
	uint64_t slot;   /* else the tag of SLOT_OPEN */
	uint64_t slot_length;
};

struct ipc_refusal {
	uint16_t code; /* 451, 452 */
	struct str esc, text;
};

/*
 * Encoders append to b: false when it does not fit, or passes a bound that the decoder holds it
 * to; b is then as it was. Decoders borrow from the payload: false when it is not well formed;
 * *out is then half filled and not to be used.
 */
bool ipc_submit_encode(struct buf *b, const struct ipc_submit *s);
bool ipc_submit_decode(struct str payload, struct ipc_submit *out);
bool ipc_refusal_encode(struct buf *b, const struct ipc_refusal *r);
bool ipc_refusal_decode(struct str payload, struct ipc_refusal *out);

#endif
