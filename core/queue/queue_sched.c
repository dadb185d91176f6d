#include "queue_core.h"

#include "clock.h"
#include "rnd.h"

/* ---- when ------------------------------------------------------------------------------------ */

/*
 * queue_sched_retry - doubling from the first to the longest, an eighth of jitter either way so
 * that a dead host's mail does not come back as one wave
 */
uint64_t queue_sched_retry(const struct queue *q, unsigned attempts)
{
	uint64_t wait = q->o.retry_first_us;

	for (unsigned i = 1; i < attempts && wait < q->o.retry_longest_us; i++)
		wait *= 2;
	if (wait > q->o.retry_longest_us)
		wait = q->o.retry_longest_us;
	return wait - wait / 8 + rnd_below(wait / 4 + 1);
}

void queue_sched_retry_job(struct queue *q, struct queue_job *j)
{
	j->due = queue_now(q) + (uint32_t)(queue_sched_retry(q, 1) / CLOCK_SECOND) + 1;
	queue_job_place(&q->index, j, PLACE_WAITING);
}

#define EXPIRE_TRIES 4

/*
 * tries - as many as the schedule makes before a message expires, but no more than a few: policy
 * may choose longer waits
 */
static unsigned tries(const struct queue *q)
{
	uint64_t wait = q->o.retry_first_us, sum = wait;
	unsigned n = 1;

	for (; n < EXPIRE_TRIES && sum + 2 * wait <= q->o.expire_us; n++) {
		wait *= 2;
		sum += wait;
	}
	return n;
}

static unsigned attempts_of(const struct queue_job *j)
{
	unsigned most = 0;

	for (unsigned i = 0; i < j->message->nrcpts; i++)
		if (j->message->rcpts[i].job == j && j->message->rcpts[i].attempts > most)
			most = j->message->rcpts[i].attempts;
	return most;
}

bool queue_sched_is_expired(const struct queue *q, const struct queue_job *j)
{
	uint32_t now = queue_now(q), created = j->message->created;

	return now > created && now - created >= q->o.expire_us / CLOCK_SECOND &&
	       attempts_of(j) >= tries(q);
}

uint64_t queue_sched_next(const struct queue *q)
{
	struct queue_job *j = queue_heap_first(&q->index);
	uint32_t now = queue_now(q);

	if (!j)
		return UINT64_MAX;
	return net_loop_now(q->loop) +
	       (j->due > now ? (uint64_t)(j->due - now) * CLOCK_SECOND : 1000);
}

/* take_due - a piece of it: the timer comes back for the rest */
static void take_due(struct queue *q)
{
	uint32_t now = queue_now(q);
	struct queue_job *j;

	for (unsigned n = 0; n < QUEUE_RUN && (j = queue_heap_first(&q->index)) && j->due <= now;
	     n++)
		if (j->destination && now - j->routed < q->o.route_ttl_us / CLOCK_SECOND) {
			queue_sched_ready(q, j);
		} else {
			queue_job_route(&q->index, j, NULL);
			queue_job_place(&q->index, j, PLACE_UNROUTED);
		}
}

/* ---- where, and how many at once ------------------------------------------------------------- */

void queue_sched_offer(struct queue *q, struct queue_destination *d)
{
	bool wanted = !list_is_empty(&d->ready) && d->active < q->o.concurrency;

	if (!wanted)
		list_remove(&d->turn);
	else if (list_is_empty(&d->turn))
		list_append(&q->delivers[d->deliver % QUEUE_DELIVERS].turns, &d->turn);
}

void queue_sched_ready(struct queue *q, struct queue_job *j)
{
	queue_job_place(&q->index, j, PLACE_READY);
	queue_sched_offer(q, j->destination);
	queue_soon(q);
}

/*
 * dispatch_one - the first job of the destination whose turn it is; the destination goes to the end
 * of the ring
 */
static bool dispatch_one(struct queue *q, unsigned deliver)
{
	struct list *turn = list_take(&q->delivers[deliver].turns);
	struct queue_destination *d;

	if (!turn)
		return false;
	d = LIST_ITEM(turn, struct queue_destination, turn);
	if (list_is_empty(&d->ready))
		return true;
	if (queue_lease_dispatch(q, deliver, LIST_ITEM(d->ready.next, struct queue_job, node)))
		return true; /* it offered the next one, and d may be gone */
	list_prepend(&q->delivers[deliver].turns, turn);
	return false;
}

static bool route_one(struct queue *q)
{
	struct queue_job *j;

	if (list_is_empty(&q->index.unrouted))
		return false;
	j = LIST_ITEM(q->index.unrouted.next, struct queue_job, node);
	for (unsigned i = 0; i < q->o.delivers; i++) {
		unsigned deliver = q->next_route++ % q->o.delivers;

		if (queue_lease_route(q, deliver, j))
			return true;
	}
	return false;
}

/* dispatch_round - one lease for each deliver process that has places; returns how many */
static unsigned dispatch_round(struct queue *q)
{
	unsigned n = 0;

	for (unsigned i = 0; i < q->o.delivers; i++)
		n += q->delivers[i].channel && dispatch_one(q, i);
	return n;
}

void queue_sched_run(struct queue *q)
{
	unsigned dispatched = 0, routed = 0, n;

	take_due(q);
	while (dispatched < QUEUE_RUN && (n = dispatch_round(q)) > 0)
		dispatched += n;
	while (routed < QUEUE_RUN && route_one(q))
		routed++;
	if (dispatched >= QUEUE_RUN || routed == QUEUE_RUN)
		queue_later(q);
}
