#include "queue_core.h"

#include <assert.h>

/*
 * What is true between two calls. Not fast, and not for the daemon: tests ask after every step.
 */

/* ---- walking --------------------------------------------------------------------------------- */

static struct queue_message *message_of(struct map_node *node)
{
	return container_of(node, struct queue_message, node);
}

/* clang-format off */
#define EACH_MESSAGE(m, x) \
	for (struct map_node *m##_node = map_next(&(x)->messages, NULL); m##_node; \
	     m##_node = map_next(&(x)->messages, m##_node)) \
		for (struct queue_message *m = message_of(m##_node); m; m = NULL)

#define EACH_LEASE(l, q) \
	for (unsigned l##_d = 0; l##_d < QUEUE_DELIVERS; l##_d++) \
		for (const struct queue_lease *l = (q)->delivers[l##_d].leases; \
		     l && l < (q)->delivers[l##_d].leases + QUEUE_LEASES; l++)
/* clang-format on */

static unsigned length(const struct list *head)
{
	unsigned n = 0;

	for (const struct list *node = head->next; node != head; node = node->next) {
		assert(node->next->prev == node);
		n++;
	}
	return n;
}

static bool is_in(const struct list *head, const struct list *wanted)
{
	for (const struct list *node = head->next; node != head; node = node->next)
		if (node == wanted)
			return true;
	return false;
}

static bool is_lent(const struct queue_job *j)
{
	return j->place == PLACE_ROUTING || j->place == PLACE_LEASED;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool is_in_line(const struct queue_line *l, const struct list *wanted)
{
	for (const struct list *turn = l->turns.next; turn != &l->turns; turn = turn->next)
		if (is_in(&LIST_ITEM(turn, struct queue_lane, turn)->jobs, wanted))
			return true;
	return false;
}

static void check_line(const struct queue_line *l)
{
	unsigned jobs = 0, lanes = 0;

	for (const struct list *turn = l->turns.next; turn != &l->turns; turn = turn->next) {
		const struct queue_lane *lane = LIST_ITEM(turn, struct queue_lane, turn);

		jobs += length(&lane->jobs);
		lanes += lane != &l->common;
	}
	assert(jobs == l->count && lanes == l->nlanes && lanes <= QUEUE_LANES);
}

static bool is_in_heap(const struct queue_job *j)
{
	return j->place == PLACE_WAITING || j->place == PLACE_QUARANTINED;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* check_place - job->place says where the node is */
static void check_place(const struct queue_index *x, const struct queue_job *j)
{
	bool is_listed = !is_in_heap(j) && !list_is_empty(&j->at.node);

	switch ((enum queue_place)j->place) {
	case PLACE_UNROUTED:
		assert(is_listed && is_in_line(&x->unrouted, &j->at.node));
		break;
	case PLACE_READY:
		assert(is_listed && j->destination &&
		       is_in_line(&j->destination->ready, &j->at.node));
		break;
	case PLACE_WAITING:
	case PLACE_QUARANTINED:
		assert(j->at.heap >= 1 && j->at.heap <= x->waiting.count);
		assert(x->waiting.jobs[j->at.heap] == j);
		break;
	case PLACE_ROUTING:
	case PLACE_LEASED:
	case PLACE_HELD:
		assert(!is_listed);
		break;
	case PLACES:
		assert(false);
	}
}

static void check_jobs(const struct queue_index *x, const struct queue_message *m)
{
	unsigned in_jobs = 0;

	for (const struct queue_job *j = &m->job; j; j = j->next) {
		unsigned n = queue_job_count(j);

		assert(queue_message_of(j) == m);
		check_place(x, j);
		in_jobs += n;
		if (n == 0 && !m->is_over) /* only the message's own one may be empty */
			assert(j == &m->job && j->place == PLACE_LEASED && !j->destination);
	}
	assert(in_jobs == m->left);
}

static void check_message(const struct queue_index *x, const struct queue_message *m)
{
	unsigned left = 0;

	for (unsigned i = 0; i < m->nrcpts; i++) {
		if (!queue_rcpt(m, i)->job)
			continue;
		assert(queue_rcpt(m, i)->state == QUEUE_RCPT_LEFT);
		left++;
	}
	assert(left == m->left);
	assert(m->is_over ? m->left == 0 && m->pins > 0 : m->left > 0);
	assert(!m->is_bouncing || m->pins > 0);
	assert(!m->is_forgotten || m->is_over);
	check_jobs(x, m);
}

static void check_heap(const struct queue_heap *h)
{
	for (uint32_t i = 2; i <= h->count; i++)
		assert(h->jobs[i / 2]->due <= h->jobs[i]->due);
	for (uint32_t i = 1; i <= h->count; i++)
		assert(h->jobs[i]->at.heap == i && is_in_heap(h->jobs[i]));
}

/* ---- destinations ---------------------------------------------------------------------------- */

static void check_destination(const struct queue *q, const struct queue_destination *d)
{
	unsigned jobs = 0, active = 0;

	EACH_MESSAGE(m, &q->index)
	for (const struct queue_job *j = &m->job; j; j = j->next)
		jobs += j->destination == d;
	if (d->active > 0)
		EACH_LEASE(l, q)
	active += l->state != LEASE_FREE && l->destination == d;
	assert(jobs == d->jobs && active == d->active && jobs + active > 0);
	assert(d->deliver < q->o.delivers);
	if (queue_sched_is_wanted(q, d))
		assert(is_in(&q->delivers[d->deliver].turns, &d->turn));
	check_line(&d->ready);
}

static void check_destinations(const struct queue *q)
{
	struct map_node *node = NULL;
	unsigned in_turn = 0, known = 0;

	while ((node = map_next(&q->index.destinations, node))) {
		const struct queue_destination *d =
			container_of(node, struct queue_destination, node);

		check_destination(q, d);
		known += !list_is_empty(&d->turn);
	}
	for (unsigned i = 0; i < QUEUE_DELIVERS; i++)
		in_turn += length(&q->delivers[i].turns);
	assert(in_turn == known); /* nobody is in a ring who is no more */
}

/* ---- leases ---------------------------------------------------------------------------------- */

static void check_lease(const struct queue_lease *l)
{
	const struct queue_deliver *d = &l->queue->delivers[l->deliver];

	if (l->state == LEASE_FREE) {
		assert(!l->job && !l->destination && !l->image);
		return;
	}
	assert(l->job && l->job->place == (l->is_route ? PLACE_ROUTING : PLACE_LEASED));
	assert(!queue_message_of(l->job)->is_over && queue_job_count(l->job) > 0);
	assert(l->destination == (l->is_route ? NULL : l->job->destination));
	if (l->state == LEASE_UNSENT)
		assert(is_in(&d->unsent, &l->node));
	else
		assert(list_is_empty(&l->node));
	if (l->state == LEASE_OUT || l->state == LEASE_UNSENT)
		assert(d->channel);
}

static void check_deliver(const struct queue_deliver *d)
{
	unsigned out = 0, routes = 0;

	for (unsigned i = 0; d->leases && i < QUEUE_LEASES; i++) {
		const struct queue_lease *l = &d->leases[i];

		check_lease(l);
		out += l->state != LEASE_FREE;
		routes += l->state != LEASE_FREE && l->is_route;
	}
	assert(out == d->out && routes == d->routes);
	assert(!d->leases || length(&d->free) + out == QUEUE_LEASES);
	assert(d->routes <= QUEUE_ROUTES && d->reads <= QUEUE_READS);
	assert(length(&d->unanswered) <= d->reads);
	assert(d->channel || (list_is_empty(&d->unsent) && list_is_empty(&d->unanswered)));
}

/* check_owners - a job that is lent belongs to one lease, or to one bounce that is under way */
static void check_owners(const struct queue *q)
{
	unsigned lent = 0, owners = length(&q->bounces);

	EACH_MESSAGE(m, &q->index)
	{
		owners += m->is_bouncing;
		for (const struct queue_job *j = &m->job; j; j = j->next)
			lent += is_lent(j) && queue_job_count(j) > 0;
	}
	EACH_LEASE(l, q)
	owners += l->state != LEASE_FREE;
	assert(lent == owners);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void check_edge(const struct queue_edge *e)
{
	assert(length(&e->streams) == e->nstreams && e->nstreams <= QUEUE_STREAMS);
	LIST_EACH(node, &e->streams)
	{
		const struct queue_stream *s = LIST_ITEM(node, struct queue_stream, node);

		assert(!s->slot == !list_is_empty(&s->waiting)); /* listed while it has none */
	}
	assert(e->channel || (!e->stalled && e->nstreams == 0));
}

void queue_check(const struct queue *q)
{
	const struct queue_index *x = &q->index;
	unsigned held = 0, quarantined = 0;

	EACH_MESSAGE(m, x)
	{
		check_message(x, m);
		for (const struct queue_job *j = &m->job; j; j = j->next) {
			held += j->place == PLACE_HELD;
			quarantined += j->place == PLACE_QUARANTINED;
		}
	}
	assert(q->submitting ? held <= x->held : held == x->held);
	assert(q->submitting ? quarantined <= x->quarantined : quarantined == x->quarantined);
	check_line(&x->unrouted);
	check_heap(&x->waiting);
	check_destinations(q);
	for (unsigned i = 0; i < QUEUE_DELIVERS; i++)
		check_deliver(&q->delivers[i]);
	for (unsigned i = 0; i < QUEUE_EDGES; i++)
		check_edge(&q->edges[i]);
	check_owners(q);
	assert(q->asks <= QUEUE_ASKS);
}
