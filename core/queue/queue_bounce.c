#include "queue_frames.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "counter.h"

/*
 * A bounce commits in one batch with the failures that it reports. Until that is answered, the
 * outcomes wait and their job belongs to nobody. The spool takes a message's progress into one
 * submission at a time, so a second bounce of the same message waits:
 *
 *   begin --> `bounces` --room, and no other one of that message--> submitted --> ended: outcomes
 *   applied
 */
struct bounce {
	struct queue_flight flight;
	struct list waits;
	struct queue *queue;
	struct spool_submit submit;
	struct queue_message *message, *bounce;
	struct queue_job *job;
	bool finishes; /* the message is over when it is durable */
	size_t length;
	char payload[]; /* the whole answer */
};

static struct bounce *bounce_of(struct list *node)
{
	return LIST_ITEM(node, struct bounce, waits);
}

/* end - the outcomes become progress; their failures only where the bounce is on disk */
static void end(struct bounce *b, enum spool_outcome outcome)
{
	static struct ipc_result result;
	struct queue *q = b->queue;
	struct queue_message *m = b->message;
	bool is_read = queue_result_read((struct str){ b->payload, b->length }, b->job, &result);

	assert(is_read); /* as it was in the beginning */
	if (outcome == SPOOL_REFUSED)
		queue_result_soften(&result);
	else
		counter_add(COUNTER_BOUNCES, 1);
	queue_result_apply(q, b->job, &result);
	m->is_forgotten = outcome == SPOOL_DURABLE && b->finishes;
	assert(!m->is_forgotten || m->left == 0);
	queue_progress(q, m);
	list_remove(&b->waits);
	free(b);
	queue_unpin(q, m);
}

static void bounced(struct spool_submit *s, enum spool_outcome outcome,
		    const struct spool_refusal *why)
{
	struct bounce *b = container_of(s, struct bounce, submit);
	struct queue *q = b->queue;

	(void)why;
	q->submitting--;
	queue_land(&b->flight);
	b->message->is_bouncing = false;
	if (outcome == SPOOL_DURABLE)
		queue_arrived(q, b->bounce);
	else
		queue_variant_drop(q, &b->bounce);
	end(b, outcome);
	queue_bounce_run(q);
}

static void give_up(struct queue_flight *f)
{
	struct bounce *b = container_of(f, struct bounce, flight);

	queue_land(f);
	queue_variant_drop(b->queue, &b->bounce);
	free(b);
}

/* ---- the submission -------------------------------------------------------------------------- */

/*
 * finish_for_now - recipients as they will be when the outcomes are applied; returns how many will
 * be left
 */
static unsigned finish_for_now(struct queue_message *m, const struct ipc_result *r)
{
	unsigned left = m->left;

	for (unsigned i = 0; i < r->noutcomes; i++) {
		const struct ipc_outcome_of *o = &r->outcomes[i];

		if (o->outcome != IPC_OUTCOME_DONE && o->outcome != IPC_OUTCOME_FAIL)
			continue;
		queue_rcpt(m, o->index)->state =
			o->outcome == IPC_OUTCOME_DONE ? QUEUE_RCPT_DONE : QUEUE_RCPT_FAILED;
		left--;
	}
	return left;
}

static void undo(struct queue_message *m, const struct ipc_result *r)
{
	for (unsigned i = 0; i < r->noutcomes; i++)
		queue_rcpt(m, r->outcomes[i].index)->state = QUEUE_RCPT_LEFT;
}

/* after - the progress that commits with the bounce */
static void after(struct bounce *b, const struct ipc_result *r, struct spool_replace *out)
{
	struct queue_message *m = b->message;

	*out = (struct spool_replace){ .handle = &m->handle, .id = m->id };
	out->is_done = b->finishes = finish_for_now(m, r) == 0;
	out->recipients = queue_state_write(m, &out->state);
	undo(m, r);
}

/* submit - MORE: no room in the batch now; ERROR: it cannot be stored */
static enum step submit(struct bounce *b)
{
	static struct ipc_result result;
	static struct ipc_submit bounce;
	const struct spool_refusal *why;
	struct queue *q = b->queue;
	struct spool_variant variant;
	struct spool_replace replace;

	if (!queue_result_read((struct str){ b->payload, b->length }, b->job, &result) ||
	    !ipc_submit_decode(result.bounce, &bounce))
		return STEP_ERROR;
	b->bounce = queue_variant(q, &bounce, 0, &variant, &why);
	if (!b->bounce)
		return STEP_ERROR;
	after(b, &result, &replace);
	b->submit = (struct spool_submit){ .id = bounce.id,
					   .variants = &variant,
					   .nvariants = 1,
					   .replaces = &replace,
					   .nreplaces = 1,
					   .is_urgent = true,
					   .done = bounced };
	if (spool_submit(q->spool, &b->submit))
		return STEP_DONE;
	queue_variant_drop(q, &b->bounce);
	return STEP_MORE;
}

void queue_bounce_run(struct queue *q)
{
	LIST_EACH(node, &q->bounces)
	{
		struct bounce *b = bounce_of(node);

		if (b->message->is_bouncing)
			continue;
		switch (submit(b)) {
		case STEP_DONE:
			list_remove(node);
			b->message->is_bouncing = true;
			queue_fly(q, &b->flight, give_up);
			q->submitting++;
			break;
		case STEP_MORE:
			return;
		case STEP_ERROR:
			end(b, SPOOL_REFUSED);
			break;
		}
	}
	queue_soon(q);
}

static bool is_good(struct str text)
{
	static struct ipc_submit bounce;

	return ipc_submit_decode(text, &bounce) && bounce.nvariants == 1 && !bounce.is_slot &&
	       id_edge(&bounce.id) >= QUEUE_DELIVER_IDS;
}

bool queue_bounce_begin(struct queue *q, struct queue_job *j, struct str payload, struct str bounce)
{
	struct bounce *b = is_good(bounce) ? calloc(1, sizeof *b + payload.n) : NULL;

	if (!b)
		return false;
	b->queue = q;
	b->job = j;
	b->message = queue_message_of(j);
	b->length = payload.n;
	memcpy(b->payload, payload.p, payload.n);
	list_init(&b->flight.node);
	list_append(&q->bounces, &b->waits);
	queue_pin(b->message);
	queue_bounce_run(q);
	return true;
}

void queue_bounce_fini(struct queue *q)
{
	struct list *node;

	while ((node = list_take(&q->bounces)))
		free(bounce_of(node));
}
