#include "queue_frames.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "counter.h"
#include "log.h"
#include "queue_kept.h"

/*
 *   FREE --begin--> LOADING --the spool gave it--> OUT --RESULT--> FREE        UNSENT: the channel
 *   was full
 *                      |  channel lost: LOST, free when the load ends
 */

static uint64_t tag_of(const struct queue_lease *l)
{
	unsigned slot = (unsigned)(l - l->queue->delivers[l->deliver].leases);

	return (uint64_t)l->serial << 16 | slot;
}

struct queue_lease *queue_lease_find(struct queue *q, unsigned deliver, uint64_t tag)
{
	struct queue_deliver *d = &q->delivers[deliver];
	unsigned slot = tag & 0xffff;

	if (!d->leases || slot >= QUEUE_LEASES || d->leases[slot].state != LEASE_OUT ||
	    d->leases[slot].serial != tag >> 16)
		return NULL;
	return &d->leases[slot];
}

static void make_leases(struct queue *q, unsigned deliver)
{
	struct queue_deliver *d = &q->delivers[deliver];

	d->leases = calloc(QUEUE_LEASES, sizeof *d->leases);
	if (!d->leases)
		abort(); /* once, at start, with the rest of what the spool needs */
	for (unsigned i = QUEUE_LEASES; i-- > 0;) {
		d->leases[i].queue = q;
		d->leases[i].deliver = (uint8_t)deliver;
		list_prepend(&d->free, &d->leases[i].node);
	}
}

/* release - the lease's own things; what becomes of its job is the caller's to say, before */
static void release(struct queue *q, struct queue_lease *l)
{
	struct queue_deliver *d = &q->delivers[l->deliver];

	free(l->image);
	l->image = NULL;
	l->is_big = false;
	d->out--;
	d->routes -= l->is_route;
	list_remove(&l->node);
	l->state = LEASE_FREE;
	l->serial++;
	list_prepend(&d->free, &l->node);
}

void queue_lease_end(struct queue *q, struct queue_lease *l)
{
	struct queue_destination *d = l->destination;

	release(q, l);
	l->job = NULL;
	l->destination = NULL;
	if (d) {
		d->active--;
		queue_sched_offer(q, d);
		queue_destination_release(&q->index, d);
	}
	queue_soon(q);
}

void queue_lease_return(struct queue *q, struct queue_lease *l)
{
	struct queue_job *j = l->job;

	if (l->is_route || !j->destination)
		queue_job_place(&q->index, j, PLACE_UNROUTED);
	else
		queue_sched_ready(q, j);
	queue_lease_end(q, l);
}

/* ---- sending --------------------------------------------------------------------------------- */

static bool is_inline(const struct spool_accept *a)
{
	return a->slot == 0 && a->nextents <= 1 && a->body_length <= IPC_BODY_INLINE;
}

static void fill(const struct queue *q, const struct queue_lease *l, struct ipc_lease *out)
{
	const struct spool_accept *a = &l->load.accept;
	const struct queue_job *j = l->job;
	const struct queue_message *m = queue_message_of(j);

	out->id = m->id;
	out->variant = m->variant;
	out->envelope = a->envelope;
	out->is_expired = !l->is_route && queue_sched_is_expired(q, j);
	out->body_length = a->body_length;
	out->header = out->body = out->next_hop = out->key = out->vars = out->last = STR_NONE;
	if (!l->is_route) {
		out->header = a->header;
		if (is_inline(a) && a->nextents)
			out->body = (struct str){ a->extents[0].p, a->extents[0].length };
	}
	if (l->destination) {
		out->next_hop = queue_destination_hop(l->destination);
		out->key = queue_destination_key(l->destination);
	}
	if (queue_said(m, SAID_TO).n)
		out->envelope = queue_kept_readdress(m, a->envelope);
	out->vars = queue_said(m, SAID_VARS);
	out->last = queue_said(m, SAID_LAST);
	out->nrcpts = 0;
	for (unsigned i = 0; i < m->nrcpts && out->nrcpts < IPC_LEASE_RCPTS; i++)
		if (queue_rcpt(m, i)->job == j) {
			out->rcpts[out->nrcpts].index = i;
			out->rcpts[out->nrcpts].vars = queue_vars_of(m, i);
			out->rcpts[out->nrcpts++].attempts = queue_rcpt(m, i)->attempts;
		}
}

/* transmit - MORE: the channel has no room for it now; ERROR: it is more than a frame can hold */
static enum step transmit(struct queue *q, struct queue_lease *l)
{
	static struct ipc_lease lease;
	struct queue_deliver *d = &q->delivers[l->deliver];
	struct ipc_frame head = { .type = l->is_route ? IPC_ROUTE : IPC_DISPATCH,
				  .tag = tag_of(l) };
	struct str payload;

	fill(q, l, &lease);
	buf_reset(&q->out);
	if (!ipc_lease_encode(&q->out, &lease) || buf_len(&q->out) > ipc_channel_max(d->channel))
		return STEP_ERROR;
	payload = buf_str(&q->out);
	return ipc_channel_send(d->channel, &head, &payload, 1) ? STEP_DONE : STEP_MORE;
}

static bool has_inline_part(const struct spool_accept *a)
{
	for (unsigned i = 0; i < a->nextents; i++)
		if (a->extents[i].p)
			return true;
	return false;
}

/*
 * unreadable - trying again does not mend it, and spinning on it would hurt: a person has to look
 */
static void unreadable(struct queue *q, struct queue_lease *l, const char *what)
{
	struct json *j = log_open(LOG_LEVEL_ERROR, "queue.unreadable");
	char id[ID_TEXT + 1];

	json_str(j, "id", str_of(id_text(&queue_message_of(l->job)->id, id)));
	json_int(j, "variant", queue_message_of(l->job)->variant);
	json_str(j, "what", str_of(what));
	log_close();
	queue_say(&q->index, queue_message_of(l->job), SAID_LAST, str_of(what));
	queue_job_place(&q->index, l->job, PLACE_HELD);
	queue_lease_end(q, l);
}

static void sent(struct queue_lease *l)
{
	l->state = LEASE_OUT;
	l->is_big = !l->is_route && !is_inline(&l->load.accept);
	if (!l->is_big || !has_inline_part(&l->load.accept)) {
		free(l->image);
		l->image = NULL;
	}
	counter_add(COUNTER_QUEUE_LEASES, 1);
}

/* send_one - false: it waits for room */
static bool send_one(struct queue *q, struct queue_lease *l)
{
	switch (transmit(q, l)) {
	case STEP_DONE:
		sent(l);
		return true;
	case STEP_MORE:
		return false;
	case STEP_ERROR:
		unreadable(q, l, "too long for the way to a deliver process");
		return true;
	}
	return false;
}

static void send_or_keep(struct queue *q, struct queue_lease *l)
{
	struct queue_deliver *d = &q->delivers[l->deliver];

	if (list_is_empty(&d->unsent) && list_is_empty(&d->unanswered) && send_one(q, l))
		return;
	l->state = LEASE_UNSENT;
	list_append(&d->unsent, &l->node);
}

void queue_lease_flush(struct queue *q, unsigned deliver)
{
	struct queue_deliver *d = &q->delivers[deliver];

	if (!d->channel || !queue_read_flush(q, deliver))
		return;
	while (!list_is_empty(&d->unsent)) {
		struct queue_lease *l = LIST_ITEM(list_take(&d->unsent), struct queue_lease, node);

		if (!send_one(q, l)) {
			list_prepend(&d->unsent, &l->node);
			return;
		}
	}
	queue_soon(q);
}

/* ---- loading --------------------------------------------------------------------------------- */

static void loaded(struct spool_load *load, bool is_good)
{
	struct queue_lease *l = container_of(load, struct queue_lease, load);
	struct queue *q = l->queue;
	struct queue_message *m = queue_message_of(l->job);

	if (l->state == LEASE_LOST) {
		queue_lease_return(q, l);
	} else if (!is_good) {
		unreadable(q, l, "cannot be read back from the spool");
	} else {
		send_or_keep(q, l);
	}
	queue_unpin(q, m);
}

/* postpone - no memory to read it into */
static void postpone(struct queue *q, struct queue_lease *l)
{
	queue_sched_retry_job(q, l->job);
	queue_lease_end(q, l);
}

static void begin_load(struct queue *q, struct queue_lease *l)
{
	const struct spool_handle *h = &queue_message_of(l->job)->handle;

	l->state = LEASE_LOADING;
	l->image = malloc(spool_load_size(h));
	if (!l->image) {
		postpone(q, l);
		return;
	}
	l->load = (struct spool_load){ .handle = h, .to = l->image, .done = loaded };
	queue_pin(queue_message_of(l->job));
	switch (spool_load(q->spool, &l->load)) {
	case STEP_DONE:
		loaded(&l->load, true);
		return;
	case STEP_ERROR:
		loaded(&l->load, false);
		return;
	case STEP_MORE:
		return;
	}
}

/*
 * has_place - the last quarter of them is for destinations that have none: those who keep theirs
 * for long do not delay the others
 */
static bool has_place(const struct queue *q, const struct queue_deliver *d,
		      const struct queue_job *j, bool is_route)
{
	unsigned kept = j->destination && j->destination->active ? q->o.total / 4 : 0;

	if (q->o.total == 0 || !d->channel || d->is_draining)
		return false;
	if (!list_is_empty(&d->unsent) || !list_is_empty(&d->unanswered))
		return false;
	return is_route ? d->routes < QUEUE_ROUTES : d->out - d->routes < q->o.total - kept;
}

static bool begin(struct queue *q, unsigned deliver, struct queue_job *j, bool is_route)
{
	struct queue_deliver *d = &q->delivers[deliver];
	struct queue_lease *l;

	if (!has_place(q, d, j, is_route))
		return false;
	if (!d->leases)
		make_leases(q, deliver);
	if (list_is_empty(&d->free))
		return false;
	l = LIST_ITEM(list_take(&d->free), struct queue_lease, node);
	l->job = j;
	l->is_route = is_route;
	l->destination = is_route ? NULL : j->destination;
	d->out++;
	d->routes += is_route;
	queue_job_place(&q->index, j, is_route ? PLACE_ROUTING : PLACE_LEASED);
	if (l->destination) {
		l->destination->active++;
		queue_sched_offer(q, l->destination);
	}
	begin_load(q, l);
	return true;
}

/*
 * queue_lease_route - whose time is over is not asked about any more: it goes out to be failed,
 * with a bounce
 */
bool queue_lease_route(struct queue *q, unsigned deliver, struct queue_job *j)
{
	return begin(q, deliver, j, !queue_sched_is_expired(q, j));
}

bool queue_lease_dispatch(struct queue *q, unsigned deliver, struct queue_job *j)
{
	return begin(q, deliver, j, false);
}

/* ---- loss ------------------------------------------------------------------------------------ */

void queue_lease_lost(struct queue *q, unsigned deliver)
{
	struct queue_deliver *d = &q->delivers[deliver];

	queue_read_lost(q, deliver);
	for (unsigned i = 0; d->leases && i < QUEUE_LEASES; i++) {
		struct queue_lease *l = &d->leases[i];

		if (l->state == LEASE_LOADING) {
			l->state = LEASE_LOST; /* its buffer is in use until loaded() */
		} else if (l->state == LEASE_UNSENT || l->state == LEASE_OUT) {
			queue_lease_return(q, l);
		}
	}
}

void queue_lease_fini(struct queue *q, unsigned deliver)
{
	struct queue_deliver *d = &q->delivers[deliver];

	for (unsigned i = 0; d->leases && i < QUEUE_LEASES; i++)
		free(d->leases[i].image);
	free(d->leases);
	d->leases = NULL;
}
