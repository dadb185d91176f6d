#include "queue_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

const char *const queue_place_name[PLACES] = {
	[PLACE_UNROUTED] = "unrouted",       [PLACE_ROUTING] = "routing", [PLACE_READY] = "ready",
	[PLACE_LEASED] = "leased",           [PLACE_WAITING] = "waiting", [PLACE_HELD] = "held",
	[PLACE_QUARANTINED] = "quarantined",
};

void queue_index_init(struct queue_index *x)
{
	*x = (struct queue_index){ 0 };
	map_init(&x->messages);
	map_init(&x->destinations);
	map_init(&x->notes);
	map_init(&x->lanes);
	queue_line_init(&x->unrouted);
}

/* ---- messages -------------------------------------------------------------------------------- */

static uint64_t hash_id(const struct id *id)
{
	return map_hash((struct str){ (const char *)id->b, sizeof id->b });
}

struct queue_message *queue_message_new(const struct id *id, uint16_t variant, uint16_t nrcpts,
					uint64_t created)
{
	struct queue_message *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	m->rcpts.many = nrcpts == 1 ? NULL : calloc(nrcpts, sizeof *m->rcpts.many);
	if (nrcpts != 1 && !m->rcpts.many) {
		free(m);
		return NULL;
	}
	m->id = *id;
	m->variant = variant;
	m->nrcpts = m->left = nrcpts;
	m->created = created < UINT32_MAX ? (uint32_t)created : UINT32_MAX;
	m->job.place = PLACE_LEASED;
	list_init(&m->job.at.node);
	for (unsigned i = 0; i < nrcpts; i++)
		queue_rcpt(m, i)->job = &m->job;
	return m;
}

static void part_free(struct queue_job *j)
{
	free(container_of(j, struct queue_part, job));
}

void queue_message_free(struct queue_index *x, struct queue_message **mp)
{
	struct queue_message *m = *mp;
	struct queue_job *j, *next;

	if (!m)
		return;
	for (j = m->job.next; j; j = next) {
		next = j->next;
		part_free(j);
	}
	if (m->nrcpts != 1)
		free(m->rcpts.many);
	queue_note_release(x, &m->note);
	free(m);
	*mp = NULL;
}

void queue_message_add(struct queue_index *x, struct queue_message *m)
{
	map_put(&x->messages, &m->node, hash_id(&m->id));
	gauge_move(GAUGE_QUEUE_MESSAGES, 1);
	gauge_move(GAUGE_QUEUE_RECIPIENTS, m->left);
}

struct key {
	const struct id *id;
	int variant; /* -1: any */
};

static bool is_message(const struct map_node *node, const void *key)
{
	const struct queue_message *m = container_of(node, struct queue_message, node);
	const struct key *k = key;

	return id_is_eq(&m->id, k->id) && (k->variant < 0 || m->variant == k->variant);
}

struct queue_message *queue_message_find(struct queue_index *x, const struct id *id,
					 uint16_t variant)
{
	struct key k = { id, variant };
	struct map_node *node = map_get(&x->messages, hash_id(id), is_message, &k);

	return node ? container_of(node, struct queue_message, node) : NULL;
}

bool queue_message_is_known(struct queue_index *x, const struct id *id)
{
	struct key k = { id, -1 };

	return map_get(&x->messages, hash_id(id), is_message, &k) != NULL;
}

void queue_message_remove(struct queue_index *x, struct queue_message *m)
{
	for (struct queue_job *j = &m->job; j; j = j->next) {
		queue_job_place(x, j, PLACE_LEASED); /* out of lists and heap; nothing holds it */
		queue_job_route(x, j, NULL);
	}
	map_remove(&x->messages, &m->node);
	gauge_move(GAUGE_QUEUE_MESSAGES, -1);
	gauge_move(GAUGE_QUEUE_RECIPIENTS, -(int64_t)m->left);
	queue_message_free(x, &m);
}

/* ---- the heap of waiting jobs ---------------------------------------------------------------- */

static void heap_set(struct queue_heap *h, uint32_t at, struct queue_job *j)
{
	h->jobs[at] = j;
	j->at.heap = at;
}

static void heap_up(struct queue_heap *h, uint32_t at)
{
	struct queue_job *j = h->jobs[at];

	for (; at > 1 && h->jobs[at / 2]->due > j->due; at /= 2)
		heap_set(h, at, h->jobs[at / 2]);
	heap_set(h, at, j);
}

static void heap_down(struct queue_heap *h, uint32_t at)
{
	struct queue_job *j = h->jobs[at];
	uint32_t child;

	for (; (child = 2 * at) <= h->count; at = child) {
		if (child < h->count && h->jobs[child + 1]->due < h->jobs[child]->due)
			child++;
		if (h->jobs[child]->due >= j->due)
			break;
		heap_set(h, at, h->jobs[child]);
	}
	heap_set(h, at, j);
}

static bool heap_grow(struct queue_heap *h)
{
	uint32_t cap = h->cap ? 2 * h->cap : 1024;
	struct queue_job **jobs;

	if (h->count + 1 < h->cap)
		return true;
	jobs = realloc(h->jobs, cap * sizeof(*jobs));
	if (!jobs)
		return false;
	h->jobs = jobs;
	h->cap = cap;
	return true;
}

static bool heap_add(struct queue_heap *h, struct queue_job *j)
{
	if (!heap_grow(h))
		return false;
	heap_set(h, ++h->count, j);
	heap_up(h, h->count);
	return true;
}

static void heap_remove(struct queue_heap *h, struct queue_job *j)
{
	uint32_t at = j->at.heap;
	struct queue_job *last = h->jobs[h->count--];

	if (last == j)
		return;
	heap_set(h, at, last);
	heap_up(h, at);
	heap_down(h, last->at.heap);
}

struct queue_job *queue_heap_first(const struct queue_index *x)
{
	return x->waiting.count ? x->waiting.jobs[1] : NULL;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static bool is_in_heap(enum queue_place place)
{
	return place == PLACE_WAITING || place == PLACE_QUARANTINED;
}

static struct queue_line *line_of(struct queue_index *x, const struct queue_job *j)
{
	if (j->place == PLACE_UNROUTED)
		return &x->unrouted;
	return j->place == PLACE_READY ? &j->destination->ready : NULL;
}

static void leave_place(struct queue_index *x, struct queue_job *j)
{
	struct queue_line *line = line_of(x, j);

	if (line)
		queue_line_remove(line, &j->at.node);
	if (is_in_heap(j->place)) {
		heap_remove(&x->waiting, j);
		list_init(&j->at.node);
	}
	if (j->place == PLACE_HELD)
		x->held--;
	if (j->place == PLACE_QUARANTINED) {
		x->quarantined--;
		x->quarantined_kib -= j->more;
		j->more = 0;
	}
}

static void tell_kept(const struct queue_index *x)
{
	gauge_set(GAUGE_QUEUE_HELD, x->held);
	gauge_set(GAUGE_QUARANTINE_MESSAGES, x->quarantined);
	gauge_set(GAUGE_QUARANTINE_BYTES, (int64_t)(x->quarantined_kib * 1024));
}

/*
 * place_for - no memory to wait in order: be due now; what is quarantined must not be, and is held
 */
static enum queue_place place_for(struct queue_index *x, struct queue_job *j,
				  enum queue_place place)
{
	if (!is_in_heap(place) || heap_add(&x->waiting, j))
		return place;
	list_init(&j->at.node);
	return place == PLACE_WAITING ? PLACE_UNROUTED : PLACE_HELD;
}

void queue_job_place(struct queue_index *x, struct queue_job *j, enum queue_place place)
{
	struct queue_line *line;

	leave_place(x, j);
	j->place = place_for(x, j, place);
	line = line_of(x, j);
	if (line)
		queue_line_put(line, &x->lanes, queue_message_of(j)->sender, &j->at.node);
	x->held += j->place == PLACE_HELD;
	x->quarantined += j->place == PLACE_QUARANTINED;
	tell_kept(x);
}

void queue_job_quarantine(struct queue_index *x, struct queue_job *j, uint64_t bytes, uint32_t due)
{
	uint32_t kib = (uint32_t)((bytes + 1023) / 1024) & ((1u << 27) - 1);

	queue_job_place(x, j, PLACE_LEASED);
	j->due = due;
	queue_job_place(x, j, PLACE_QUARANTINED);
	if (j->place != PLACE_QUARANTINED)
		return;
	j->more = kib;
	x->quarantined_kib += kib;
	tell_kept(x);
}

void queue_job_routed(struct queue_job *j, uint32_t now)
{
	j->more = now / QUEUE_ROUTED_UNIT & ((1u << 27) - 1);
}

bool queue_job_is_fresh(const struct queue_job *j, uint32_t now, uint64_t ttl_us)
{
	return j->destination && j->more &&
	       now / QUEUE_ROUTED_UNIT - j->more < ttl_us / (QUEUE_ROUTED_UNIT * CLOCK_SECOND);
}

struct queue_job *queue_job_split(struct queue_message *m)
{
	struct queue_part *p = calloc(1, sizeof *p);
	struct queue_job *j = p ? &p->job : NULL;

	if (!j)
		return NULL;
	p->message = m;
	j->is_part = 1;
	j->place = PLACE_LEASED;
	list_init(&j->at.node);
	j->next = m->job.next;
	m->job.next = j;
	return j;
}

unsigned queue_job_count(const struct queue_job *j)
{
	const struct queue_message *m = queue_message_of(j);
	unsigned n = 0;

	for (unsigned i = 0; i < m->nrcpts; i++)
		n += queue_rcpt(m, i)->job == j;
	return n;
}

void queue_job_drop(struct queue_index *x, struct queue_job *j)
{
	struct queue_message *m = queue_message_of(j);
	struct queue_job **place = &m->job.next;

	queue_job_place(x, j, PLACE_LEASED);
	queue_job_route(x, j, NULL);
	if (j == &m->job) /* it is within the message, empty now */
		return;
	while (*place != j)
		place = &(*place)->next;
	*place = j->next;
	part_free(j);
}

/* ---- destinations ---------------------------------------------------------------------------- */

struct pair {
	struct str key, hop;
};

static bool is_destination(const struct map_node *node, const void *pair)
{
	const struct queue_destination *d = container_of(node, struct queue_destination, node);
	const struct pair *p = pair;

	return str_eq(queue_destination_key(d), p->key) && str_eq(queue_destination_hop(d), p->hop);
}

struct str queue_destination_key(const struct queue_destination *d)
{
	return (struct str){ d->text, d->key_length };
}

struct str queue_destination_hop(const struct queue_destination *d)
{
	return (struct str){ d->text + d->key_length, d->hop_length };
}

static struct queue_destination *destination_new(const struct pair *p)
{
	struct queue_destination *d = calloc(1, sizeof *d + p->key.n + p->hop.n);

	if (!d)
		return NULL;
	memcpy(d->text, p->key.p, p->key.n);
	if (p->hop.n)
		memcpy(d->text + p->key.n, p->hop.p, p->hop.n);
	d->key_length = (uint16_t)p->key.n;
	d->hop_length = (uint16_t)p->hop.n;
	list_init(&d->turn);
	queue_line_init(&d->ready);
	return d;
}

struct queue_destination *queue_destination_get(struct queue_index *x, struct str key,
						struct str next_hop, unsigned delivers)
{
	struct pair pair = { key, next_hop };
	uint64_t by_key = map_hash(key), hash = by_key * 3 + map_hash(next_hop);
	struct map_node *node = map_get(&x->destinations, hash, is_destination, &pair);
	struct queue_destination *d;

	if (node)
		return container_of(node, struct queue_destination, node);
	if (key.n == 0 || key.n > IPC_NEXT_HOP || next_hop.n > IPC_NEXT_HOP)
		return NULL;
	d = destination_new(&pair);
	if (!d)
		return NULL;
	d->deliver = (unsigned)(by_key % (delivers ? delivers : 1));
	map_put(&x->destinations, &d->node, hash);
	gauge_move(GAUGE_QUEUE_DESTINATIONS, 1);
	return d;
}

void queue_destination_release(struct queue_index *x, struct queue_destination *d)
{
	if (d->jobs || d->active)
		return;
	list_remove(&d->turn);
	queue_line_fini(&d->ready, &x->lanes);
	map_remove(&x->destinations, &d->node);
	gauge_move(GAUGE_QUEUE_DESTINATIONS, -1);
	free(d);
}

void queue_job_route(struct queue_index *x, struct queue_job *j, struct queue_destination *d)
{
	struct queue_destination *old = j->destination;

	if (d)
		d->jobs++;
	j->destination = d;
	if (old) {
		old->jobs--;
		queue_destination_release(x, old);
	}
}

void queue_index_fini(struct queue_index *x)
{
	struct map_node *node, *next;

	for (node = map_next(&x->messages, NULL); node; node = next) {
		next = map_next(&x->messages, node);
		queue_message_remove(x, container_of(node, struct queue_message, node));
	}
	while ((node = map_next(&x->destinations, NULL))) { /* what leases still held */
		container_of(node, struct queue_destination, node)->active = 0;
		queue_destination_release(x, container_of(node, struct queue_destination, node));
	}
	queue_line_fini(&x->unrouted, &x->lanes);
	map_fini(&x->messages);
	map_fini(&x->destinations);
	map_fini(&x->notes);
	map_fini(&x->lanes);
	free(x->waiting.jobs);
}
