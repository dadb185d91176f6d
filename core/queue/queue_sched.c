#include "queue_core.h"

#include "clock.h"
#include "codec.h"
#include "queue_kept.h"
#include "queue_suspend.h"
#include "rnd.h"

/* ---- when ------------------------------------------------------------------------------------ */

struct schedule { /* microseconds */
	uint64_t first, longest, expire;
};

static struct ipc_schedule chosen(const struct queue_message *m)
{
	struct wire w = { .rest = queue_said(m, SAID_SCHEDULE) };
	struct ipc_schedule s;

	s.first = wire_get_u32(&w);
	s.longest = wire_get_u32(&w);
	s.expire = wire_get_u32(&w);
	return s; /* zeros, where nothing was said */
}

static uint64_t or_else(uint32_t seconds, uint64_t us)
{
	return seconds ? seconds * CLOCK_SECOND : us;
}

/* schedule_of - what policy chose for the message goes before what settings say of the class */
static struct schedule schedule_of(const struct queue *q, const struct queue_message *m,
				   enum ipc_cause cause)
{
	struct ipc_schedule c = chosen(m);
	uint64_t first =
		q->o.retry_cause_us[cause] ? q->o.retry_cause_us[cause] : q->o.retry_first_us;
	struct schedule s = { or_else(c.first, first), or_else(c.longest, q->o.retry_longest_us),
			      or_else(c.expire, q->o.expire_us) };

	return s;
}

void queue_sched_choose(struct queue *q, struct queue_message *m, const struct ipc_schedule *s)
{
	struct ipc_schedule old = chosen(m);
	struct buf b;

	if (!s->first && !s->longest && !s->expire)
		return;
	buf_init(&b, 16);
	wire_u32(&b, s->first ? s->first : old.first);
	wire_u32(&b, s->longest ? s->longest : old.longest);
	wire_u32(&b, s->expire ? s->expire : old.expire);
	queue_say(&q->index, m, SAID_SCHEDULE, buf_str(&b));
	buf_fini(&b);
}

/* jitter - a quarter of the wait; a greylister who said five minutes means at least five */
static uint64_t jitter(uint64_t wait, enum ipc_cause cause)
{
	uint64_t earlier = cause == IPC_CAUSE_GREYLIST ? 0 : wait / 8;

	return wait - earlier + rnd_below(wait / 4 + 1);
}

/*
 * queue_sched_retry - doubling from the first of its class to the longest, jittered so that a dead
 * host's mail does not come back as one wave
 */
uint64_t queue_sched_retry(const struct queue *q, const struct queue_message *m, unsigned attempts,
			   enum ipc_cause cause)
{
	struct schedule s = schedule_of(q, m, cause);
	uint64_t wait = s.first;

	for (unsigned i = 1; i < attempts && wait < s.longest; i++)
		wait *= 2;
	if (wait > s.longest)
		wait = s.longest;
	return jitter(wait, cause);
}

void queue_sched_retry_job(struct queue *q, struct queue_job *j)
{
	j->due = queue_now(q) +
		 (uint32_t)(queue_sched_retry(q, queue_message_of(j), 1, IPC_CAUSE_OTHER) /
			    CLOCK_SECOND) +
		 1;
	queue_job_place(&q->index, j, PLACE_WAITING);
}

#define EXPIRE_TRIES 4

/*
 * tries - as many as the schedule makes before a message expires, but no more than a few: policy
 * may choose longer waits
 */
static unsigned tries(const struct schedule *s)
{
	uint64_t wait = s->first, sum = wait;
	unsigned n = 1;

	for (; n < EXPIRE_TRIES && sum + 2 * wait <= s->expire; n++) {
		wait *= 2;
		sum += wait;
	}
	return n;
}

unsigned queue_sched_attempts(const struct queue_job *j)
{
	const struct queue_message *m = queue_message_of(j);
	unsigned most = 0;

	for (unsigned i = 0; i < m->nrcpts; i++)
		if (queue_rcpt(m, i)->job == j && queue_rcpt(m, i)->attempts > most)
			most = queue_rcpt(m, i)->attempts;
	return most;
}

bool queue_sched_is_expired(const struct queue *q, const struct queue_job *j)
{
	uint32_t now = queue_now(q), created = queue_message_of(j)->created;
	struct schedule s = schedule_of(q, queue_message_of(j), IPC_CAUSE_OTHER);

	return now > created && now - created >= s.expire / CLOCK_SECOND &&
	       queue_sched_attempts(j) >= tries(&s);
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

static void take(struct queue *q, struct queue_job *j)
{
	if (j->place == PLACE_QUARANTINED) {
		queue_kept_expire(q, j);
	} else if (queue_job_is_fresh(j, queue_now(q), q->o.route_ttl_us)) {
		queue_sched_ready(q, j);
	} else {
		queue_job_route(&q->index, j, NULL);
		queue_job_place(&q->index, j, PLACE_UNROUTED);
	}
}

/* take_due - a piece of it: the timer comes back for the rest */
static void take_due(struct queue *q)
{
	uint32_t now = queue_now(q);
	struct queue_job *j;

	for (unsigned n = 0; n < QUEUE_RUN && (j = queue_heap_first(&q->index)) && j->due <= now;
	     n++)
		take(q, j);
}

/* ---- where, and how many at once ------------------------------------------------------------- */

struct queue_flow_limits queue_sched_limits(const struct queue *q)
{
	return (struct queue_flow_limits){ q->o.concurrency_least, q->o.concurrency };
}

bool queue_sched_is_wanted(const struct queue *q, const struct queue_destination *d)
{
	struct queue_flow_limits limits = queue_sched_limits(q);

	return d->ready.count > 0 && d->active < queue_flow_allows(&d->flow, &limits) &&
	       !queue_suspend_holds(q, d);
}

void queue_sched_offer(struct queue *q, struct queue_destination *d)
{
	bool wanted = queue_sched_is_wanted(q, d);

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

static struct queue_job *next_in(struct queue *q, struct queue_line *line)
{
	struct list *node = queue_line_next(line, &q->index.lanes);

	return node ? LIST_ITEM(node, struct queue_job, at.node) : NULL;
}

/* dispatch_turn - the first job of the destination whose turn it is; it goes to the ring's end */
static bool dispatch_turn(struct queue *q, unsigned deliver, struct list *turn)
{
	struct queue_destination *d = LIST_ITEM(turn, struct queue_destination, turn);
	struct queue_job *j = next_in(q, &d->ready);

	if (!j || queue_lease_dispatch(q, deliver, j))
		return true; /* it offered the next one, and d may be gone */
	list_append(&q->delivers[deliver].turns, turn);
	return false;
}

/* dispatch_one - for the first that may have a place: the last ones are for who has none yet */
static bool dispatch_one(struct queue *q, unsigned deliver)
{
	struct list *turn;

	for (unsigned n = 0; n < QUEUE_LOOK; n++) {
		turn = list_take(&q->delivers[deliver].turns);
		if (!turn)
			return false;
		if (dispatch_turn(q, deliver, turn))
			return true;
	}
	return false;
}

static bool route_one(struct queue *q)
{
	struct queue_job *j = next_in(q, &q->index.unrouted);

	if (!j)
		return false;
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
