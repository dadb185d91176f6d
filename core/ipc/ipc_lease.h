/*
 * ipc_lease - the spool lends a message to a deliver process: the frames and their payloads.
 *
 * What        ROUTE asks for next hops; DISPATCH asks for an attempt to one next hop for some
 *             recipients; READ fetches the rest of a big body; RESULT ends the attempt. The tag
 *             of all of them is the lease.
 * Invariants  a lease ends with ROUTED or RESULT, or with the channel: then the message is due
 *             again. A frame about a lease that does not exist is ignored and counted. The spool
 *             never trusts an index it did not lend.
 * Bounds      IPC_LEASE_RCPTS recipients per lease; IPC_BODY_INLINE bytes of the body come along.
 */
#ifndef IPC_LEASE_H
#define IPC_LEASE_H

#include "ipc_submit.h"

#define IPC_LEASE_RCPTS 1000
#define IPC_NEXT_HOP    256 /* text of a next hop or key */
#define IPC_READ_MAX    (64 * 1024)
#define IPC_VARS        (24 * 1024) /* packed */
#define IPC_RCPT_VARS   (24 * 1024) /* stored of all recipients of a message together */

/* clang-format off */
enum ipc_lease_type {
	IPC_ROUTE = 32,         /* spool -> deliver: struct ipc_lease, no header, no body */
	IPC_ROUTED,             /* <- struct ipc_routed */
	IPC_DISPATCH,           /* -> struct ipc_lease */
	IPC_READ,               /* <- u64 offset into the body, u32 length */
	IPC_DATA,               /* -> u64 offset, bytes (str); empty bytes: it cannot be read */
	IPC_RESULT,             /* <- struct ipc_result */
	IPC_LEASE_TYPES
};

enum ipc_outcome {
	IPC_OUTCOME_ROUTE,      /* ROUTED only: key and next_hop are set */
	IPC_OUTCOME_DONE,       /* delivered, or discarded by a rule */
	IPC_OUTCOME_DEFER,      /* try again */
	IPC_OUTCOME_FAIL,       /* never again; a bounce comes along where one is due */
	IPC_OUTCOME_HOLD,       /* keep, do not schedule; text says why */
	IPC_OUTCOMES
};

/* Why a recipient has to wait: each class has its own schedule, and its own lesson about how many
 * connections its destination bears. */
enum ipc_cause {
	IPC_CAUSE_OTHER,        /* a 4xx reply, or trouble of our own */
	IPC_CAUSE_CONNECT,      /* nobody could be reached */
	IPC_CAUSE_BROKEN,       /* the connection broke, or the other side fell silent */
	IPC_CAUSE_GREYLIST,     /* come again in a few minutes */
	IPC_CAUSE_RATE,         /* too much, too fast: 421, 4.7.x */
	IPC_CAUSE_POLICY,       /* our own policy said so */
	IPC_CAUSES
};
/* clang-format on */
extern const char *const ipc_cause_name[IPC_CAUSES];

struct ipc_lease {
	struct id id;
	uint16_t variant;
	bool is_expired;          /* make no attempt: fail the recipients, with a bounce */
	struct str envelope;      /* mail/envelope.h text, all recipients */
	struct str next_hop, key; /* DISPATCH */
	struct str header;        /* DISPATCH */
	uint64_t body_length;
	struct str body; /* DISPATCH: its first bytes, all of it up to IPC_BODY_INLINE */
	struct str vars; /* packed, as last stored; empty: those of the envelope */
	struct str last; /* text of the last failure, for a bounce of an expired message */
	unsigned nrcpts;
	struct {
		uint32_t index;    /* into the envelope's recipients */
		uint32_t attempts; /* made so far */
		struct str vars;   /* packed, as last stored; empty: those of the envelope */
	} rcpts[IPC_LEASE_RCPTS];
};

struct ipc_outcome_of {
	uint32_t index;
	enum ipc_outcome outcome;
	uint16_t code;   /* of the reply; 0: none */
	struct str text; /* "5.1.1 no such user", at most IPC_REPLY_TEXT bytes */
	/* Of ROUTE, both not empty; of any other outcome they do not cross. */
	struct str key, next_hop;
	/* Of DEFER: 0 = the schedule decides; of any other outcome they do not cross. */
	uint64_t retry_us;
	enum ipc_cause cause;
	struct str vars; /* packed, when a hook changed them; else empty */
};

/* How a message is tried again from now on, in seconds; 0: as before. */
struct ipc_schedule {
	uint32_t first, longest, expire;
};

/* Recipients of the lease that no outcome names were not tried: they are due again. */
struct ipc_result {
	unsigned noutcomes;
	struct ipc_outcome_of outcomes[IPC_LEASE_RCPTS];
	struct str vars; /* packed, when a hook changed them; else empty */
	struct ipc_schedule schedule;
	/* its process drains and has not looked at it: due again at once; no outcomes */
	bool is_returned;
	bool has_bounce;
	struct str bounce; /* an encoded ipc_submit, committed in one batch with these outcomes */
};

/*
 * ROUTED has the shape of RESULT. A text, key or next hop equal to that of the outcome before
 * crosses once. As in ipc_submit, a false encoder leaves b as it was; a thousand long, different
 * texts may pass IPC_FRAME_MAX.
 */
bool ipc_lease_encode(struct buf *b, const struct ipc_lease *l);
bool ipc_lease_decode(struct str payload, struct ipc_lease *out);
bool ipc_result_encode(struct buf *b, const struct ipc_result *r);
bool ipc_result_decode(struct str payload, struct ipc_result *out);

#endif
