#include "queue_frames.h"

#include <stdlib.h>

#include "clock.h"
#include "counter.h"
#include "ipc_carry.h"
#include "log.h"
#include "queue_kept.h"
#include "queue_suspend.h"

#define OUT_MAX IPC_FRAME_MAX

void queue_soon(struct queue *q)
{
	net_loop_defer(q->loop, &q->turn);
}

static void go_on(struct net_deferred *d)
{
	queue_soon(container_of(d, struct queue, rest));
}

void queue_later(struct queue *q)
{
	net_loop_defer_next(q->loop, &q->rest);
}

void queue_fly(struct queue *q, struct queue_flight *f, void (*give_up)(struct queue_flight *))
{
	f->give_up = give_up;
	list_append(&q->flights, &f->node);
}

void queue_land(struct queue_flight *f)
{
	list_remove(&f->node);
}

uint32_t queue_now(const struct queue *q)
{
	return (uint32_t)((q->base_wall + (net_loop_now(q->loop) - q->base_mono)) / CLOCK_SECOND);
}

/* ---- messages that come and go --------------------------------------------------------------- */

static void finish(struct queue *q, struct queue_message *m)
{
	uint64_t age = (uint64_t)(queue_now(q) > m->created ? queue_now(q) - m->created : 0) *
		       CLOCK_SECOND;

	histogram_add(HISTOGRAM_QUEUE_TIME, age);
	if (!m->is_forgotten)
		spool_done(q->spool, &m->handle, &m->id);
	queue_message_remove(&q->index, m);
}

void queue_drop(struct queue *q, struct queue_message *m)
{
	gauge_move(GAUGE_QUEUE_RECIPIENTS, -(int64_t)m->left);
	for (unsigned i = 0; i < m->nrcpts; i++)
		queue_rcpt(m, i)->job = NULL;
	for (struct queue_job *j = &m->job; j; j = j->next)
		queue_job_place(&q->index, j, PLACE_LEASED); /* nobody takes it from there */
	m->left = 0;
	queue_progress(q, m);
}

void queue_pin(struct queue_message *m)
{
	m->pins++;
}

void queue_unpin(struct queue *q, struct queue_message *m)
{
	if (--m->pins == 0 && m->is_over)
		finish(q, m);
}

void queue_progress(struct queue *q, struct queue_message *m)
{
	queue_soon(q);
	if (m->left > 0)
		spool_touch(q->spool, &m->handle);
	else if (m->pins > 0)
		m->is_over = true;
	else
		finish(q, m);
}

/* ---- what the spool asks --------------------------------------------------------------------- */

/*
 * clock_slack - how far ahead a stored time may lie; less where the message comes from the future:
 * then the clock has stepped
 */
static uint32_t clock_slack(const struct queue *q, uint64_t created)
{
	if (created > (uint64_t)queue_now(q) + 3600)
		return (uint32_t)(q->o.retry_longest_us / CLOCK_SECOND) + 1;
	return 30 * 86400 + 1; /* as far as policy may put an attempt off */
}

/*
 * recovered_job - waits as it did; what is due asks `route` anew: settings may have changed
 * meanwhile
 */
static void recovered_job(struct queue *q, struct queue_job *j, uint32_t slack)
{
	uint32_t now = queue_now(q);

	if (j->place == PLACE_HELD || j->place == PLACE_QUARANTINED)
		return;
	if (j->due) {
		if (j->due > now && j->due - now > slack)
			j->due = now + slack;
		queue_job_place(&q->index, j, PLACE_WAITING);
		return;
	}
	queue_job_place(&q->index, j, PLACE_UNROUTED);
	queue_job_route(&q->index, j, NULL);
}

void queue_restore(struct queue *q, struct queue_message *m, const struct spool_accept *a)
{
	uint32_t slack = clock_slack(q, queue_created(a->envelope));

	if (!queue_state_read(q, m, &a->state))
		log_fault(LOG_LEVEL_WARN, "queue.state_unreadable", "the message is routed anew",
			  NULL);
	m->sender = queue_sender(a->envelope);
	queue_kept_found(q, m, a);
	queue_message_add(&q->index, m);
	for (struct queue_job *j = &m->job; j; j = j->next)
		recovered_job(q, j, slack);
	if (queue_job_count(&m->job) == 0) /* all its recipients went to other jobs */
		queue_job_place(&q->index, &m->job, PLACE_LEASED);
}

static struct spool_handle *recovered(void *arg, const struct spool_found *found)
{
	struct queue *q = arg;
	uint64_t created = queue_created(found->accept->envelope);
	uint32_t now = queue_now(q);
	struct queue_message *m =
		queue_message_new(&found->id, found->variant, found->accept->recipients,
				  created == 0 || created > now ? now : created);

	if (!m)
		return NULL;
	queue_restore(q, m, found->accept);
	q->over += m->left == 0;
	return &m->handle;
}

static uint16_t state(void *arg, struct spool_handle *h, struct spool_state *out)
{
	(void)arg;
	return queue_state_write(container_of(h, struct queue_message, handle), out);
}

static bool is_live(void *arg, const struct id *id)
{
	struct queue *q = arg;

	return queue_message_is_known(&q->index, id);
}

static void room(void *arg)
{
	queue_bounce_run(arg);
	queue_submit_retry(arg);
}

static void damaged(void *arg, const struct spool_damage *damage, const char *copy)
{
	struct json *j = log_open(LOG_LEVEL_ERROR, "spool.damaged");
	char text[ID_TEXT + 1];

	(void)arg;
	json_int(j, "segment", damage->segment);
	json_int(j, "offset", (int64_t)damage->offset);
	json_int(j, "length", (int64_t)damage->length);
	json_str(j, "what", str_of(damage->what));
	if (damage->id)
		json_str(j, "id", str_of(id_text(damage->id, text)));
	if (copy)
		json_str(j, "copy", str_of(copy));
	log_close();
}

static void failed(void *arg, const char *what, const struct fault *why)
{
	(void)arg;
	counter_add(COUNTER_SPOOL_FAULTS, 1);
	log_fault(LOG_LEVEL_ERROR, "spool.failed", what, why);
}

struct spool_owner queue_owner(struct queue *q)
{
	return (struct spool_owner){ .arg = q,
				     .recovered = recovered,
				     .state = state,
				     .is_live = is_live,
				     .room = room,
				     .damaged = damaged,
				     .failed = failed };
}

/* ---- the turn -------------------------------------------------------------------------------- */

static uint64_t suspension_over(const struct queue *q, uint64_t next)
{
	uint32_t now = queue_now(q), over = queue_suspend_next(q);
	uint64_t at =
		net_loop_now(q->loop) + (over > now ? (uint64_t)(over - now) : 0) * CLOCK_SECOND;

	return over != UINT32_MAX && at < next ? at : next;
}

static void set_timer(struct queue *q)
{
	uint64_t now = net_loop_now(q->loop), next = queue_sched_next(q),
		 spool = spool_next_timer(q->spool);

	if (spool < next)
		next = spool;
	next = suspension_over(q, next);
	if (queue_stream_next(q) < next)
		next = queue_stream_next(q);
	if (next == UINT64_MAX)
		net_timer_stop(&q->timer);
	else
		net_timer_start(&q->timer, next > now ? next - now : 1);
}

/* room_for - what IPC_ROOM says */
static enum ipc_room room_for(struct queue *q)
{
	struct spool_refusal why;

	if (!spool_is_accepting(q->spool, 0, &why))
		return IPC_ROOM_NONE;
	return spool_is_accepting(q->spool, SPOOL_INLINE + 1, &why) ? IPC_ROOM_ALL : IPC_ROOM_SMALL;
}

/* tell_room - whether MAIL should be answered 452, at first and when that changed */
static void tell_room(struct queue *q)
{
	enum ipc_room now = room_for(q);
	char byte = (char)now;
	struct ipc_frame head = { .type = IPC_ROOM };
	struct str payload = { &byte, 1 };

	for (unsigned i = 0; i < QUEUE_EDGES; i++) {
		struct queue_edge *e = &q->edges[i];

		if (e->channel && e->told != 1 + (int)now &&
		    ipc_channel_send(e->channel, &head, &payload, 1))
			e->told = 1 + (int)now;
	}
}

/*
 * sending - sessions whose messages come soon or wait to be durable: whether it pays to wait for
 * company. What an edge said is soon out of date.
 */
static unsigned sending(const struct queue *q)
{
	uint64_t now = net_loop_now(q->loop);
	unsigned n = 0;

	for (unsigned i = 0; i < QUEUE_EDGES; i++)
		if (q->edges[i].sending && now < q->edges[i].sending_at + QUEUE_HINT_US)
			n += q->edges[i].sending;
	return n > q->submitting ? n : q->submitting;
}

static void turn(struct net_deferred *d)
{
	struct queue *q = container_of(d, struct queue, turn);

	queue_suspend_run(q);
	queue_errand_run(q);
	queue_sched_run(q);
	spool_hint(q->spool, sending(q));
	spool_turn(q->spool, net_loop_now(q->loop));
	queue_stream_run(q);
	queue_sched_run(q); /* what became durable or due in that */
	tell_room(q);
	set_timer(q);
}

static void woken(struct net_watch *w, int events)
{
	(void)events;
	queue_soon(container_of(w, struct queue, wakeup));
}

static void timed(struct net_timer *t)
{
	queue_soon(container_of(t, struct queue, timer));
}

/* ---- life ------------------------------------------------------------------------------------ */

static void set_options(struct queue *q, const struct queue_options *options)
{
	q->o = *options;
	if (q->o.delivers == 0)
		q->o.delivers = 1;
	if (q->o.delivers > QUEUE_DELIVERS)
		q->o.delivers = QUEUE_DELIVERS;
}

struct queue *queue_new(struct net_loop *loop, const struct queue_options *options)
{
	struct queue *q = calloc(1, sizeof *q);

	if (!q)
		abort();
	q->loop = loop;
	set_options(q, options);
	q->base_wall = net_loop_wall(loop);
	q->base_mono = net_loop_now(loop);
	queue_index_init(&q->index);
	buf_init(&q->out, OUT_MAX);
	net_timer_init(&q->timer, loop, timed);
	q->turn.run = turn;
	q->rest.run = go_on;
	list_init(&q->flights);
	list_init(&q->waiting);
	list_init(&q->bounces);
	list_init(&q->answers);
	list_init(&q->errands);
	list_init(&q->suspensions);
	for (unsigned i = 0; i < QUEUE_EDGES; i++)
		list_init(&q->edges[i].streams);
	for (unsigned i = 0; i < QUEUE_DELIVERS; i++) {
		q->delivers[i].queue = q;
		list_init(&q->delivers[i].turns);
		list_init(&q->delivers[i].free);
		list_init(&q->delivers[i].unsent);
		list_init(&q->delivers[i].unanswered);
	}
	return q;
}

static void offer_all(struct queue *q)
{
	struct map_node *node = NULL;

	while ((node = map_next(&q->index.destinations, node)))
		queue_sched_offer(q, container_of(node, struct queue_destination, node));
}

/* finish_over - of whom only the word that they are finished was not on disk yet */
static void finish_over(struct queue *q)
{
	struct map_node *node, *next;

	for (node = map_next(&q->index.messages, NULL); q->over > 0 && node; node = next) {
		struct queue_message *m = container_of(node, struct queue_message, node);

		next = map_next(&q->index.messages, node);
		if (m->left > 0)
			continue;
		finish(q, m);
		q->over--;
	}
}

void queue_start(struct queue *q, struct spool *spool)
{
	q->spool = spool;
	net_watch_init(&q->wakeup, q->loop, spool_wakeup(spool), woken);
	net_watch_want(&q->wakeup, EV_READ);
	finish_over(q);
	queue_suspend_start(q);
	offer_all(q);
	queue_soon(q);
}

void queue_options_set(struct queue *q, const struct queue_options *options)
{
	unsigned delivers = q->o.delivers;

	set_options(q, options);
	q->o.delivers = delivers; /* keys belong to processes: a restart changes their number */
	if (!q->spool)
		return;
	offer_all(q);
	queue_soon(q);
}

void queue_flush(struct queue *q)
{
	if (q->spool)
		spool_settle(q->spool, clock_mono());
}

void queue_free(struct queue **qp)
{
	struct queue *q = *qp;
	struct list *node;

	if (!q)
		return;
	net_watch_want(&q->wakeup, 0);
	net_timer_stop(&q->timer);
	net_deferred_cancel(&q->turn);
	net_deferred_cancel(&q->rest);
	queue_answer_fini(q);
	queue_errand_fini(q);
	queue_bounce_fini(q);
	while ((node = q->flights.next) != &q->flights)
		LIST_ITEM(node, struct queue_flight, node)
			->give_up(LIST_ITEM(node, struct queue_flight, node));
	for (unsigned i = 0; i < QUEUE_DELIVERS; i++) {
		queue_read_lost(q, i);
		queue_lease_fini(q, i);
	}
	for (unsigned i = 0; i < QUEUE_EDGES; i++)
		queue_stream_fini(q, i);
	queue_suspend_fini(q);
	queue_index_fini(&q->index);
	buf_fini(&q->out);
	free(q);
	*qp = NULL;
}

/* ---- peers ----------------------------------------------------------------------------------- */

void queue_edge_channel(struct queue *q, unsigned index, struct ipc_channel *c)
{
	if (index >= QUEUE_EDGES)
		return;
	queue_submit_edge_lost(q, index);
	q->edges[index].channel = c;
	q->edges[index].told = 0;
	queue_soon(q);
}

void queue_edge_frame(struct queue *q, unsigned index, const struct ipc_frame *frame)
{
	if (index >= QUEUE_EDGES || !q->edges[index].channel)
		return;
	if (frame->type == IPC_SUBMIT || frame->type == IPC_CARRY) {
		q->edges[index].sending = frame->flags;
		q->edges[index].sending_at = net_loop_now(q->loop);
		queue_submit(q, index, frame);
	} else {
		queue_stream_frame(q, index, frame);
	}
	queue_soon(q);
}

void queue_edge_writable(struct queue *q, unsigned index)
{
	if (index < QUEUE_EDGES)
		queue_stream_flush(q, index);
	queue_soon(q);
}

void queue_deliver_channel(struct queue *q, unsigned index, struct ipc_channel *c)
{
	if (index >= QUEUE_DELIVERS)
		return;
	queue_lease_lost(q, index);
	q->delivers[index].channel = c;
	q->delivers[index].is_draining = false;
	queue_soon(q);
}

void queue_deliver_frame(struct queue *q, unsigned index, const struct ipc_frame *frame)
{
	if (index >= QUEUE_DELIVERS || !q->delivers[index].channel)
		return;
	if (frame->type == IPC_READ)
		queue_read(q, index, frame);
	else if (frame->type == IPC_RESULT || frame->type == IPC_ROUTED)
		queue_result(q, index, frame, frame->type == IPC_ROUTED);
	queue_soon(q);
}

void queue_deliver_writable(struct queue *q, unsigned index)
{
	if (index < QUEUE_DELIVERS)
		queue_lease_flush(q, index);
}
