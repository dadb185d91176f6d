#include "queue_frames.h"

#include "clock.h"
#include "counter.h"

/*
 * What a deliver process says about a lease becomes progress. Outcomes with the same fate travel on
 * in one job. The lease's own job stays with the recipients that no outcome named; where all are
 * named, the first fate takes it over. Nobody ever shares the way of another destination: what
 * cannot be parted (FATES, or no memory) asks `route` again.
 */

#define FATES    64 /* distinct ones per answer */
#define REST     UINT8_MAX
#define WAIT_MAX (30 * UINT64_C(86400) * CLOCK_SECOND)

struct fate {
	enum queue_place place;
	struct queue_destination *destination;
	uint32_t due;
	struct queue_job *job;
};

struct fates {
	struct fate all[FATES];
	unsigned n;
	uint8_t of[IPC_LEASE_RCPTS]; /* by outcome */
	unsigned named;              /* recipients with a fate */
	bool lacks;                  /* some could not be parted from the rest */
};

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_lent(const struct queue_job *j, uint32_t index)
{
	return index < queue_message_of(j)->nrcpts &&
	       queue_rcpt(queue_message_of(j), index)->job == j;
}

bool queue_result_read(struct str payload, const struct queue_job *j, struct ipc_result *out)
{
	uint8_t seen[(ENVELOPE_RCPTS + 7) / 8] = { 0 };
	unsigned n = 0;

	if (!ipc_result_decode(payload, out))
		return false;
	for (unsigned i = 0; i < out->noutcomes; i++) {
		uint32_t index = out->outcomes[i].index;

		if (index >= ENVELOPE_RCPTS || !is_lent(j, index) ||
		    seen[index / 8] >> index % 8 & 1)
			continue;
		seen[index / 8] |= (uint8_t)(1u << index % 8);
		out->outcomes[n++] = out->outcomes[i];
	}
	out->noutcomes = n;
	return true;
}

void queue_result_soften(struct ipc_result *r)
{
	for (unsigned i = 0; i < r->noutcomes; i++)
		if (r->outcomes[i].outcome == IPC_OUTCOME_FAIL)
			r->outcomes[i].outcome = IPC_OUTCOME_DEFER;
}

/* ---- fates ----------------------------------------------------------------------------------- */

static void finish_rcpt(struct queue_message *m, uint32_t index, enum queue_rcpt_state state)
{
	queue_rcpt(m, index)->state = (uint8_t)state;
	queue_rcpt(m, index)->job = NULL;
	m->left--;
	gauge_move(GAUGE_QUEUE_RECIPIENTS, -1);
}

/*
 * tried - a route that was asked for counts only where it is the outcome of an attempt: so even a
 * circle of them expires
 */
static void tried(const struct queue_job *j, struct queue_rcpt *r, enum ipc_outcome outcome)
{
	if (outcome != IPC_OUTCOME_ROUTE || j->place != PLACE_ROUTING)
		r->attempts += r->attempts < UINT16_MAX;
}

/* fate_of - where a recipient goes that is not finished */
static struct fate fate_of(struct queue *q, struct queue_job *j, const struct ipc_outcome_of *o)
{
	struct queue_rcpt *r = queue_rcpt(queue_message_of(j), o->index);
	struct fate f = { .place = PLACE_WAITING, .destination = j->destination };
	uint64_t wait;

	tried(j, r, o->outcome);
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
	wait = o->retry_us ? o->retry_us
			   : queue_sched_retry(q, queue_message_of(j), r->attempts, o->cause);
	if (wait > WAIT_MAX)
		wait = WAIT_MAX;
	f.due = queue_now(q) + (uint32_t)(wait / CLOCK_SECOND) + 1;
	return f;
}

/*
 * number_of - of an equal fate, the later due time of which is shared; REST: there are too many
 * already
 */
static uint8_t number_of(struct fates *fates, const struct fate *f)
{
	for (unsigned i = 0; i < fates->n; i++) {
		struct fate *g = &fates->all[i];

		if (g->place != f->place || g->destination != f->destination)
			continue;
		if (f->due > g->due)
			g->due = f->due;
		return (uint8_t)i;
	}
	if (fates->n == FATES)
		return REST;
	fates->all[fates->n] = *f;
	return (uint8_t)fates->n++;
}

/* decide - finish who is finished, and find each other one's fate; no job moves yet */
static void decide(struct queue *q, struct queue_job *j, const struct ipc_result *r,
		   struct fates *fates)
{
	struct queue_message *m = queue_message_of(j);

	for (unsigned i = 0; i < r->noutcomes; i++) {
		const struct ipc_outcome_of *o = &r->outcomes[i];
		struct fate f;

		fates->of[i] = REST;
		if (o->outcome != IPC_OUTCOME_ROUTE && o->outcome != IPC_OUTCOME_DONE)
			queue_say(&q->index, m, SAID_LAST, o->text);
		if (o->outcome == IPC_OUTCOME_DONE || o->outcome == IPC_OUTCOME_FAIL) {
			finish_rcpt(m, o->index,
				    o->outcome == IPC_OUTCOME_DONE ? QUEUE_RCPT_DONE
								   : QUEUE_RCPT_FAILED);
			continue;
		}
		f = fate_of(q, j, o);
		fates->of[i] = number_of(fates, &f);
		fates->named += fates->of[i] != REST;
		fates->lacks |= fates->of[i] == REST;
		if (fates->of[i] == REST && f.destination && f.destination != j->destination)
			queue_destination_release(&q->index, f.destination);
	}
}

/* part - a job for each fate, and its recipients into it */
static void part(struct queue_job *own, const struct ipc_result *r, struct fates *fates)
{
	struct queue_message *m = queue_message_of(own);
	bool is_free = queue_job_count(own) == fates->named; /* nobody else stays in it */

	for (unsigned i = 0; i < fates->n; i++) {
		struct fate *f = &fates->all[i];

		f->job = i == 0 && is_free ? own : queue_job_split(m);
		fates->lacks |= !f->job;
	}
	for (unsigned i = 0; i < r->noutcomes; i++)
		if (fates->of[i] != REST && fates->all[fates->of[i]].job)
			queue_rcpt(m, r->outcomes[i].index)->job = fates->all[fates->of[i]].job;
}

/* ---- places ---------------------------------------------------------------------------------- */

static void go(struct queue *q, const struct fate *f, uint32_t routed)
{ /* routed: as struct queue_job has it */
	struct queue_job *j = f->job;

	if (f->destination != j->destination)
		queue_job_route(&q->index, j, f->destination);
	j->more = routed;
	if (f->place == PLACE_READY)
		queue_job_routed(j, queue_now(q));
	j->due = f->due;
	if (f->place == PLACE_READY)
		queue_sched_ready(q, j);
	else
		queue_job_place(&q->index, j, f->place);
}

/* go_rest - who was not named, or could not be parted from others */
static void go_rest(struct queue *q, struct queue_job *own, bool lacks)
{
	if (!lacks) {
		queue_sched_retry_job(q, own);
		return;
	}
	queue_job_route(&q->index, own, NULL);
	own->due = queue_now(q) + 1;
	queue_job_place(&q->index, own, PLACE_WAITING);
}

/* settle - the jobs go to their places; destinations that nobody goes to in the end are released */
static void settle(struct queue *q, struct queue_job *own, const struct fates *fates)
{
	struct queue_destination *was = own->destination;
	uint32_t routed = own->more;
	bool is_taken = false;

	for (unsigned i = 0; i < fates->n; i++) {
		const struct fate *f = &fates->all[i];

		if (f->job && (f->job != own || !fates->lacks)) {
			is_taken |= f->job == own;
			go(q, f, routed);
		} else if (f->destination && f->destination != was) {
			queue_destination_release(&q->index, f->destination);
		}
	}
	if (is_taken)
		return;
	if (queue_job_count(own) == 0)
		queue_job_drop(&q->index, own);
	else
		go_rest(q, own, fates->lacks);
}

void queue_result_apply(struct queue *q, struct queue_job *j, const struct ipc_result *r)
{
	struct queue_destination *was = j->destination;
	static struct fates fates;

	fates.n = fates.named = 0;
	fates.lacks = false;
	if (was)
		was->active++; /* it stays while its jobs come and go */
	decide(q, j, r, &fates);
	part(j, r, &fates);
	settle(q, j, &fates);
	if (was) {
		was->active--;
		queue_sched_offer(q, was);
		queue_destination_release(&q->index, was);
	}
}

/* learn - what the destination bears: a lease that delivered anything was a success */
static void learn(struct queue *q, struct queue_destination *d, const struct ipc_result *r)
{
	struct queue_flow_limits limits = queue_sched_limits(q);
	const struct ipc_outcome_of *bad = NULL;

	if (!d)
		return;
	for (unsigned i = 0; i < r->noutcomes; i++) {
		if (r->outcomes[i].outcome == IPC_OUTCOME_DONE) {
			queue_flow_good(&d->flow, &limits);
			return;
		}
		if (!bad && r->outcomes[i].outcome == IPC_OUTCOME_DEFER)
			bad = &r->outcomes[i];
	}
	if (bad)
		queue_flow_bad(&d->flow, bad->cause, &limits);
}

/* ---- the frame ------------------------------------------------------------------------------- */

void queue_result(struct queue *q, unsigned deliver, const struct ipc_frame *frame, bool is_routed)
{
	static struct ipc_result result;
	struct queue_lease *l = queue_lease_find(q, deliver, frame->tag);
	struct queue_message *m;
	struct queue_job *j;

	if (!l || l->is_route != is_routed || !queue_result_read(frame->payload, l->job, &result))
		return;
	j = l->job;
	m = queue_message_of(j);
	if (result.is_returned) {
		q->delivers[deliver].is_draining = true;
		queue_lease_return(q, l);
		return;
	}
	queue_vars_store(q, m, &result);
	queue_sched_choose(q, m, &result.schedule);
	learn(q, l->destination, &result);
	queue_pin(m);
	queue_lease_end(q, l);
	if (!result.has_bounce || !queue_bounce_begin(q, j, frame->payload, result.bounce)) {
		if (result.has_bounce)
			queue_result_soften(&result);
		queue_result_apply(q, j, &result);
		queue_progress(q, m);
	}
	queue_unpin(q, m);
}
