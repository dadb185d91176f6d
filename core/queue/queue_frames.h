/*
 * queue_frames - what becomes of the frames of edge and deliver processes.
 *
 * What        a RESULT or ROUTED becomes progress, with its bounce; a READ becomes DATA; a SUBMIT
 *             or a slot becomes a message; and a message's progress becomes what the spool stores.
 * Invariants  whoever sends may be hijacked: a frame that makes no sense changes nothing, and none
 *             reaches beyond what was lent to, or opened by, its sender.
 * Read next   queue_submit.c, queue_carry.c, queue_stream.c, queue_result.c,
 *             queue_bounce.c, queue_read.c.
 */
#ifndef QUEUE_FRAMES_H
#define QUEUE_FRAMES_H

#include "queue_core.h"

/* queue_result.c */
void queue_result(struct queue *q, unsigned deliver, const struct ipc_frame *frame, bool is_routed);
/*
 * queue_result_read - only what is about recipients lent with j, each once; false: not well formed
 */
bool queue_result_read(struct str payload, const struct queue_job *j, struct ipc_result *out);
/*
 * queue_result_soften - the bounce could not be stored: nothing has failed yet, try all of it again
 * later
 */
void queue_result_soften(struct ipc_result *r);
/*
 * queue_result_apply - each recipient goes where its outcome says; those without one are tried
 * again; j may die
 */
void queue_result_apply(struct queue *q, struct queue_job *j, const struct ipc_result *r);

/* queue_vars.c: what delivery hooks wrote */
/* queue_vars_store - beyond IPC_RCPT_VARS the recipients' stay as they were, with an event */
void queue_vars_store(struct queue *q, struct queue_message *m, const struct ipc_result *r);
struct str queue_vars_of(const struct queue_message *m, unsigned rcpt); /* packed, or empty */

/* queue_bounce.c */
/*
 * queue_bounce_begin - a copy of the answer, to be applied when its bounce is durable; false: no
 * memory, or no bounce
 */
bool queue_bounce_begin(struct queue *q, struct queue_job *j, struct str payload,
			struct str bounce);
void queue_bounce_run(struct queue *q); /* room(), or an earlier one was answered */
void queue_bounce_fini(struct queue *q);

/* queue_read.c */
void queue_read(struct queue *q, unsigned deliver, const struct ipc_frame *frame);
bool queue_read_flush(struct queue *q, unsigned deliver); /* false: the ring is still full */
void queue_read_lost(struct queue *q, unsigned deliver);

/* queue_submit.c */
void queue_submit(struct queue *q, unsigned edge, const struct ipc_frame *frame);
void queue_submit_retry(struct queue *q); /* room() */
/* DURABLE with those flags, or REFUSED because of `why` */
void queue_submit_answer(struct queue *q, unsigned edge, uint64_t tag,
			 const struct spool_refusal *why, uint16_t flags);
/*
 * queue_submit_stream - the slot that the submission means; without it (NULL), its body is one that
 * nobody has: KNOWN is then the only way to a yes
 */
struct queue_stream *queue_submit_stream(struct queue *q, unsigned edge, struct ipc_submit *s);
void queue_submit_edge_lost(struct queue *q, unsigned edge);
/*
 * One variant's message and its spool side, for submissions of edges and bounces of deliver: NULL
 * when memory or the quarantine lacks room or it is not well formed, as *why says. Its job is HELD
 * or QUARANTINED where the state says so; it is pinned until it has arrived.
 */
struct queue_message *queue_variant(struct queue *q, const struct ipc_submit *s, unsigned i,
				    struct spool_variant *out, const struct spool_refusal **why);
void queue_variant_drop(struct queue *q, struct queue_message **m); /* it did not become durable */
void queue_arrived(struct queue *q, struct queue_message *m);
uint32_t queue_sender(struct str envelope);  /* a hash: whose turn it is */
uint64_t queue_created(struct str envelope); /* wall seconds, as it says; 0: it does not */

/* queue_carry.c: an operator's; false: there is no room now, nothing was taken */
bool queue_carry(struct queue *q, unsigned edge, uint64_t tag, struct str payload);

/* queue_stream.c */
void queue_stream_frame(struct queue *q, unsigned edge, const struct ipc_frame *frame);
struct queue_stream *queue_stream_find(struct queue *q, unsigned edge, uint64_t tag);
void queue_stream_taken(struct queue_stream **s); /* its slot is the spool's */
void queue_stream_flush(struct queue *q, unsigned edge);
void queue_stream_fini(struct queue *q, unsigned edge);
/* a slot, or its refusal, to whom it can be said now */
void queue_stream_run(struct queue *q);
uint64_t queue_stream_next(const struct queue *q); /* monotonic microseconds, or UINT64_MAX */
void queue_stream_lost(struct queue *q, unsigned edge);

/* queue_state.c: what is stored of a message's progress */
/* borrowed until the next call; returns the number of recipients */
uint16_t queue_state_write(const struct queue_message *m, struct spool_state *out);
/* queue_state_kept - of a message that begins held or quarantined; a constant */
struct str queue_state_kept(enum ipc_state state);
bool queue_state_read(struct queue *q, struct queue_message *m, const struct spool_state *state);

#endif
