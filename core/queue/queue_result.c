#include "queue_core.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "counter.h"

/*
 * What a deliver process says about a lease becomes progress. Outcomes with the same fate travel on in one job: the first fate
 * takes over the lease's own job, each further one gets a job of its own.
 */

#define FATES 64 /* distinct ones per answer; the rest share the last */

struct fate {
	enum queue_place place;
	struct queue_destination *destination;
	uint32_t due;
	struct queue_job *job;
};

/* A bounce that commits together with the failures it reports. */
struct pending {
	struct queue *queue;
	struct spool_submit submit;
	struct queue_message *message, *bounce;
	struct queue_job *job;
	struct ipc_result result; /* slices into payload */
	char payload[];
};

static bool is_lent(const struct queue_job *j, uint32_t index)
{
	return index < j->message->nrcpts && j->message->rcpts[index].job == j;
}

static void finish_rcpt(struct queue_message *m, uint32_t index, enum queue_rcpt_state state)
{
	m->rcpts[index].state = (uint8_t)state;
	m->rcpts[index].job = NULL;
	m->left--;
	gauge_move(GAUGE_QUEUE_RECIPIENTS, -1);
}

/* fate_of - where a recipient goes that is not finished */
static struct fate fate_of(struct queue *q, struct queue_job *j, const struct ipc_outcome_of *o)
{
	struct queue_rcpt *r = &j->message->rcpts[o->index];
	struct fate f = { .place = PLACE_WAITING, .destination = j->destination };
	uint64_t wait;

	if (o->outcome == IPC_OUTCOME_HOLD) {
		f.place = PLACE_HELD;
		return f;
	}
	if (o->outcome == IPC_OUTCOME_ROUTE) {
		f.destination =
			queue_destination_get(&q->index, o->key, o->next_hop, q->o.delivers);
		if (f.destination) {
			f.place = PLACE_READY;
			return f;
		}
	}
	r->attempts += r->attempts < UINT16_MAX;
	wait = o->retry_us ? o->retry_us : queue_sched_retry(q, r->attempts);
	if (wait > 30 * UINT64_C(86400) * CLOCK_SECOND)
		wait = 30 * UINT64_C(86400) * CLOCK_SECOND;
	f.due = queue_now(q) + (uint32_t)(wait / CLOCK_SECOND) + 1;
	return f;
}

static bool is_same_fate(const struct fate *a, const struct fate *b)
{
	return a->place == b->place && a->destination == b->destination;
}

/* join - the job of that fate, made if this is its first recipient; a later due time of the same fate is shared */
static struct queue_job *join(struct queue_job *own, struct fate *fates, unsigned *n,
			      const struct fate *f)
{
	for (unsigned i = 0; i < *n; i++)
		if (is_same_fate(&fates[i], f) || *n == FATES) {
			if (f->due > fates[i].due)
				fates[i].due = f->due;
			return fates[i].job;
		}
	fates[*n] = *f;
	fates[*n].job = *n == 0 ? own : queue_job_split(own->message);
	if (!fates[*n].job) /* no memory: it shares the first one's way */
		return fates[0].job;
	return fates[(*n)++].job;
}

/* settle - the jobs go to their places */
static void settle(struct queue *q, const struct fate *fates, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct fate *f = &fates[i];

		if (f->destination != f->job->destination) {
			queue_job_route(&q->index, f->job, f->destination);
			f->job->routed = queue_now(q);
		}
		f->job->due = f->due;
		if (f->place == PLACE_READY)
			queue_sched_ready(q, f->job);
		else
			queue_job_place(&q->index, f->job, f->place);
	}
}

/* apply - every outcome of this lease's own recipients; what the answer left out is tried again */
static void apply(struct queue *q, struct queue_job *j, const struct ipc_result *r)
{
	struct queue_message *m = j->message;
	struct fate fates[FATES], f;
	unsigned n = 0;

	for (unsigned i = 0; i < r->noutcomes; i++) {
		const struct ipc_outcome_of *o = &r->outcomes[i];

		if (!is_lent(j, o->index)) /* not lent, or answered twice */
			continue;
		if (o->outcome != IPC_OUTCOME_ROUTE && o->outcome != IPC_OUTCOME_DONE)
			queue_message_remember(m, o->text, STR_NONE);
		if (o->outcome == IPC_OUTCOME_DONE || o->outcome == IPC_OUTCOME_FAIL) {
			finish_rcpt(m, o->index,
				    o->outcome == IPC_OUTCOME_DONE ? QUEUE_RCPT_DONE
								   : QUEUE_RCPT_FAILED);
			continue;
		}
		f = fate_of(q, j, o);
		m->rcpts[o->index].job = join(j, fates, &n, &f);
	}
	settle(q, fates, n);
	if (n > 0)
		return;
	if (queue_job_count(j) > 0) /* an answer that left everything out */
		queue_sched_retry_job(q, j);
	else
		queue_job_drop(&q->index, j);
}

/* ---- bounces ------------------------------------------------------------------------------------------------ */

/* soften - the bounce could not be stored: nothing has failed yet, try all of it again later */
static void soften(struct ipc_result *r)
{
	for (unsigned i = 0; i < r->noutcomes; i++)
		if (r->outcomes[i].outcome == IPC_OUTCOME_FAIL)
			r->outcomes[i].outcome = IPC_OUTCOME_DEFER;
}

static void bounced(struct spool_submit *s, enum spool_outcome outcome,
		    const struct spool_refusal *why)
{
	struct pending *p = container_of(s, struct pending, submit);
	struct queue *q = p->queue;
	struct queue_message *m = p->message;

	(void)why;
	q->submitting--;
	if (outcome == SPOOL_DURABLE)
		queue_arrived(q, p->bounce, IPC_STATE_QUEUE);
	else
		queue_message_free(&p->bounce);
	if (outcome == SPOOL_REFUSED)
		soften(&p->result);
	else
		counter_add(COUNTER_BOUNCES, 1);
	apply(q, p->job, &p->result);
	m->is_forgotten = outcome == SPOOL_DURABLE && m->left == 0;
	queue_progress(q, m);
	queue_unpin(q, m);
	free(p);
}

/* after - the progress that commits with the bounce: as it will be when the outcomes are applied */
static void after(struct queue *q, struct pending *p, struct spool_replace *out)
{
	struct queue_message *m = p->message;
	uint8_t states[ENVELOPE_RCPTS];
	uint16_t left = m->left;

	for (unsigned i = 0; i < m->nrcpts && i < ENVELOPE_RCPTS; i++)
		states[i] = m->rcpts[i].state;
	for (unsigned i = 0; i < p->result.noutcomes; i++) {
		const struct ipc_outcome_of *o = &p->result.outcomes[i];
		bool is_end = o->outcome == IPC_OUTCOME_DONE || o->outcome == IPC_OUTCOME_FAIL;

		if (!is_end || !is_lent(p->job, o->index) ||
		    m->rcpts[o->index].state != QUEUE_RCPT_LEFT)
			continue;
		m->rcpts[o->index].state =
			o->outcome == IPC_OUTCOME_DONE ? QUEUE_RCPT_DONE : QUEUE_RCPT_FAILED;
		m->left--;
	}
	out->handle = &m->handle;
	out->id = m->id;
	out->is_done = m->left == 0;
	out->recipients = m->nrcpts;
	(void)queue_state_write(q, m, &out->state);
	for (unsigned i = 0; i < m->nrcpts && i < ENVELOPE_RCPTS; i++)
		m->rcpts[i].state = states[i];
	m->left = left;
}

static bool submit_bounce(struct queue *q, struct pending *p)
{
	static struct ipc_submit bounce;
	struct spool_variant variant;
	struct spool_replace replace;

	if (!ipc_submit_decode(p->result.bounce, &bounce) || bounce.nvariants != 1 ||
	    bounce.is_slot)
		return false;
	p->bounce = queue_variant(&bounce, 0, &variant);
	if (!p->bounce)
		return false;
	after(q, p, &replace);
	p->submit = (struct spool_submit){ .id = bounce.id,
					   .variants = &variant,
					   .nvariants = 1,
					   .replaces = &replace,
					   .nreplaces = 1,
					   .is_urgent = true,
					   .done = bounced };
	queue_pin(p->message);
	q->submitting++;
	if (spool_submit(q->spool, &p->submit))
		return true;
	q->submitting--;
	p->message->pins--;
	queue_message_free(&p->bounce);
	return false;
}

/* with_bounce - takes a copy of the answer and commits both; false: the failures must be softened */
static bool with_bounce(struct queue *q, struct queue_job *j, struct str payload)
{
	struct pending *p = malloc(sizeof *p + payload.n);

	if (!p)
		return false;
	*p = (struct pending){ .queue = q, .job = j, .message = j->message };
	memcpy(p->payload, payload.p, payload.n);
	if (ipc_result_decode((struct str){ p->payload, payload.n }, &p->result) &&
	    submit_bounce(q, p))
		return true;
	free(p);
	return false;
}

void queue_result(struct queue *q, unsigned deliver, const struct ipc_frame *frame, bool is_routed)
{
	static struct ipc_result result;
	struct queue_lease *l = queue_lease_find(q, deliver, frame->tag);
	struct queue_message *m;
	struct queue_job *j;

	if (!l || l->is_route != is_routed || !ipc_result_decode(frame->payload, &result))
		return;
	j = l->job;
	m = j->message;
	queue_message_remember(m, STR_NONE, result.vars);
	queue_pin(m);
	queue_lease_end(q, l);
	if (!result.has_bounce || !with_bounce(q, j, frame->payload)) {
		if (result.has_bounce)
			soften(&result);
		apply(q, j, &result);
		queue_progress(q, m);
	}
	queue_unpin(q, m);
}
