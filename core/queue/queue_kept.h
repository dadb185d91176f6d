/*
 * queue_kept - what is kept and not delivered: held messages, and the quarantine.
 *
 * What        a variant that arrives with such a state gets its place, reason and bucket; the
 *             quarantine is bounded in bytes, and each message in it by its time to live; release
 *             sends it on, to its recipients or to another one.
 * Why         what a policy set aside may be wanted back, and must not fill the disk until then.
 * Invariants  nothing quarantined is ever delivered, tried or bounced before somebody releases it;
 *             each one that goes leaves an event. A full quarantine takes nothing: the submitter
 *             is told 452, and the verdict becomes a deferral.
 */
#ifndef QUEUE_KEPT_H
#define QUEUE_KEPT_H

#include "queue_core.h"

/* queue_kept_has_room - for that many bytes more */
bool queue_kept_has_room(const struct queue *q, uint64_t bytes);
/* queue_kept_begin - as the envelope says; its job goes to HELD or QUARANTINED */
void queue_kept_begin(struct queue *q, struct queue_message *m, enum ipc_state state,
		      struct str envelope, uint64_t bytes);
/* queue_kept_found - recovered: what the stored state leaves to the envelope */
void queue_kept_found(struct queue *q, struct queue_message *m, const struct spool_accept *a);
/* queue_kept_expire - its time in the quarantine is over: it goes, with an event */
void queue_kept_expire(struct queue *q, struct queue_job *j);
/*
 * queue_kept_release - UNROUTED; to: NULL, or the address that gets it instead of its recipients.
 * false: nothing of it is at that place.
 */
bool queue_kept_release(struct queue *q, struct queue_message *m, enum queue_place place,
			const struct str *to);
/* queue_kept_readdress - the envelope as it is sent on to SAID_TO; empty: it cannot be written */
struct str queue_kept_readdress(const struct queue_message *m, struct str envelope);

#endif
