/*
 * delivery_lease - one message lent by the spool, from its frame to its answer.
 *
 * What        the frame decoded, the view that hooks see, one outcome per recipient, and the
 *             stages in their order: route or attempt, `result`, bounce, report.
 * Invariants  every recipient is decided once, before the stage that needs it ends. At most one
 *             question is open. A lease that was dropped (channel gone) asks nothing, sends
 *             nothing and reports nothing any more.
 * Ownership   from a free list of the delivery; slices point into `frame` and `arena`, which live
 *             as long as the lease.
 * Bounds      DELIVERY_LEASE_BYTES of memory besides the frame.
 * Read next   delivery_route.c, delivery_attempt.c, delivery_result.c, delivery_bounce.c: the
 *             stages.
 */
#ifndef DELIVERY_LEASE_H
#define DELIVERY_LEASE_H

#include "delivery_body.h"
#include "delivery_hop.h"
#include "envelope.h"
#include "ipc_lease.h"
#include "map.h"
#include "policy_generation.h"
#include "policy_view.h"
#include "smtp_client.h"

#define DELIVERY_LEASE_BYTES (16 * 1024 * 1024)
#define DELIVERY_SPARE_FRAME (128 * 1024) /* a spare lease keeps a frame buffer of at most this */

/* clang-format off */
enum lease_phase {
	LEASE_SPARE,
	LEASE_ROUTE,            /* next hops are being found */
	LEASE_ATTEMPT,          /* on its way: waiting for a connection or using one */
	LEASE_RESULT,           /* policy looks at what was not delivered */
	LEASE_BOUNCE,           /* the sender is told */
	LEASE_REPORT,           /* the answer waits for room in the ring */
	LEASE_PHASES
};
/* clang-format on */

#define DELIVERY_UNDECIDED IPC_OUTCOMES

struct delivery_rcpt {
	uint32_t index, attempts; /* in the envelope; made before this lease */
	struct str vars;          /* as last stored; empty: those of the envelope */
	const struct envelope_rcpt *envelope;
	struct policy_rcpt *view;
	struct policy_result
		*result;          /* what the hooks `result` and `bounce` see; NULL until then */
	enum ipc_outcome outcome; /* DELIVERY_UNDECIDED at first */
	uint16_t code;
	struct str esc, text;
	bool is_reply;            /* text is the next host's */
	bool is_unsure;           /* deferred, but it may have arrived */
	struct str rule;          /* that decided; empty: none */
	enum smtp_stage stage;    /* of the reply */
	struct str key, next_hop; /* ROUTE */
	uint64_t retry_us;
};

/* What there is to say about a recipient. */
struct delivery_said {
	enum ipc_outcome outcome;
	uint16_t code;
	struct str esc, text;
	bool is_reply, is_unsure;
	enum smtp_stage stage;
};

struct delivery;
struct delivery_session;

/* One file on its way to the maildir helper; see delivery_maildir.c. */
enum file_phase { FILE_NONE, FILE_OPEN, FILE_ENDED };

struct delivery_file {
	enum file_phase phase;
	uint64_t tag, sent, acked;
	unsigned rcpt;
};

struct delivery_lease {
	struct delivery *delivery;
	enum lease_phase phase;
	bool is_route, is_expired, is_returned, is_started, is_retried, is_asking, has_answer;
	struct list node; /* in all, or among the spares */
	struct list unsent, reading, waiting;
	struct map_node by_tag;
	uint64_t tag;
	struct buf frame;
	struct arena arena;

	struct id id;
	uint16_t variant;
	struct str next_hop, key, header, last;
	struct envelope envelope;
	struct delivery_hop hop;
	struct delivery_body body;
	struct delivery_rcpt *rcpts;
	unsigned nrcpts, undecided;
	unsigned at; /* the recipient a stage has come to */

	struct policy_generation *generation;
	struct policy_tx tx;
	struct policy_attempt attempt;
	struct policy_bounce failure;
	struct policy_question question;

	struct delivery_session *session; /* that carries it; NULL: none */
	struct smtp_mail mail;
	struct delivery_file file;
	struct str peer;              /* who was asked; empty: nobody */
	uint64_t started_us, wall_us; /* monotonic, wall */
	struct buf bounce;            /* an encoded ipc_submit; empty: none */
};

/* delivery_lease_take - a ROUTE or DISPATCH frame becomes a lease and sets out */
void delivery_lease_take(struct delivery *d, const struct ipc_frame *frame);
struct delivery_lease *delivery_lease_find(struct delivery *d, uint64_t tag);
/*
 * delivery_lease_go - on to the next stage, as far as it can go now. The lease may be gone
 * afterwards.
 */
void delivery_lease_go(struct delivery_lease *l);
void delivery_lease_drop(struct delivery_lease **l);   /* its channel is gone */
bool delivery_lease_report(struct delivery_lease **l); /* false: still no room; else it is gone */
void delivery_lease_fini_spares(struct delivery *d);

/* delivery_lease_decide - the outcome of recipient i; text is copied, cleaned and bounded */
void delivery_lease_decide(struct delivery_lease *l, unsigned i, const struct delivery_said *said);
void delivery_lease_decide_all(struct delivery_lease *l,
			       const struct delivery_said *said); /* that are undecided */

/* delivery_lease_has_policy - does anybody answer there? Then the view is ready. */
bool delivery_lease_has_policy(struct delivery_lease *l, enum policy_hook hook);
/*
 * delivery_lease_ask - about recipient l->at (bounce: about all); DONE: l->question.verdict;
 * MORE: the stage runs again with has_answer
 */
enum step delivery_lease_ask(struct delivery_lease *l, enum policy_hook hook);

#endif
