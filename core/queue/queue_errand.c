#include "queue_ask.h"

#include <stdlib.h>

#include "clock.h"
#include "json.h"
#include "queue_kept.h"

/*
 * A verb on its way from message to message, in pieces of QUEUE_SWEEP messages and QUEUE_SWEEP_US a
 * turn, since a million of them would hold the loop for seconds. What arrives or goes meanwhile may
 * be missed or not; what stays is met.
 *
 *   sweep --the index knows that it is not meant--> next
 *     |
 *     +--the filter asks for more--> read (QUEUE_PROBES at once) --not meant--> next
 *     |                                |
 *     +----------- apply <-------------+
 *
 * It waits while QUEUE_PENDING bytes of its answer are not sent.
 */
#define QUEUE_SWEEP_US 2000
#define QUEUE_PROBES   64
#define DRY_ROWS       10
#define WAYS           16 /* of one message, that a filter looks at */
#define DEEP_MEMORY    (4 * 1024 * 1024)

struct probe { /* a message that is read for the filter */
	struct queue_flight flight;
	struct queue_errand *errand;
	struct queue_message *message; /* pinned */
	struct spool_load load;
	char image[];
};

/* ---- one message ----------------------------------------------------------------------------- */

static void act(struct queue_errand *e, struct queue_message *m)
{
	e->seen++;
	if (e->ask.is_dry && !e->work->is_view) {
		if (e->seen == 1)
			queue_show_head(&e->ask);
		if (e->seen <= DRY_ROWS)
			queue_show_row(&e->ask, m);
	} else {
		e->count[e->work->apply(e, m)]++;
	}
	if (buf_len(&e->ask.out) >= IPC_ANSWER_CHUNK)
		queue_answer_more(&e->ask);
}

/* brief - what the index knows, for the filter */
static bool takes_brief(const struct queue_errand *e, const struct queue_message *m)
{
	uint32_t now = queue_now(e->ask.queue);
	struct queue_way ways[WAYS];
	struct queue_brief b = {
		.ways = ways,
		.reason = queue_said(m, SAID_LAST),
		.bucket = queue_said(m, SAID_BUCKET),
		.age = now > m->created ? now - m->created : 0,
	};

	for (const struct queue_job *j = &m->job; j && b.nways < WAYS; j = j->next)
		if (j != &m->job || queue_job_count(j))
			ways[b.nways++] = (struct queue_way){
				str_of(queue_place_name[j->place]),
				j->destination ? queue_destination_key(j->destination) : STR("-"),
				queue_sched_attempts(j),
			};
	return queue_filter_takes(&e->filter, &b);
}

static bool takes_loaded(const struct queue_errand *e, const struct queue_message *m,
			 const struct spool_accept *a)
{
	struct str vars = queue_said(m, SAID_VARS), text = a->envelope;
	struct queue_deep d = { .size = a->header.n + 2 + a->body_length };
	struct envelope envelope;
	struct arena arena;
	struct fault why;
	bool takes;

	if (queue_said(m, SAID_TO).n)
		text = queue_kept_readdress(m, text);
	arena_init(&arena, DEEP_MEMORY);
	takes = envelope_read(text, &arena, &envelope, &why) == 0;
	d.envelope = &envelope;
	if (takes) {
		d.vars = vars.n ? vars : envelope.vars;
		takes = queue_filter_takes_deep(&e->filter, &d);
	}
	arena_fini(&arena);
	return takes;
}

static void give_up(struct queue_flight *f)
{
	struct probe *p = container_of(f, struct probe, flight);

	queue_land(f);
	free(p);
}

static void probed(struct spool_load *load, bool is_good)
{
	struct probe *p = container_of(load, struct probe, load);
	struct queue_errand *e = p->errand;
	struct queue_message *m = p->message;
	struct queue *q = e->ask.queue;
	bool is_meant = is_good && takes_loaded(e, m, &load->accept);

	queue_land(&p->flight);
	free(p);
	e->loading--;
	is_meant = is_meant && !m->is_over;
	queue_unpin(q, m);
	if (is_meant)
		act(e, m);
	queue_soon(q);
}

static void probe(struct queue_errand *e, struct queue_message *m)
{
	struct queue *q = e->ask.queue;
	struct probe *p = malloc(sizeof *p + spool_load_size(&m->handle));

	if (!p)
		return; /* as if it had come later */
	*p = (struct probe){ .errand = e, .message = m };
	p->load = (struct spool_load){ .handle = &m->handle, .to = p->image, .done = probed };
	queue_fly(q, &p->flight, give_up);
	queue_pin(m);
	e->loading++;
	switch (spool_load(q->spool, &p->load)) {
	case STEP_DONE:
		probed(&p->load, true);
		return;
	case STEP_ERROR:
		probed(&p->load, false);
		return;
	case STEP_MORE:
		return;
	}
}

static bool is_of_noun(const struct queue_errand *e, const struct queue_message *m)
{
	return !m->is_over && e->ask.is_quarantine == (m->job.place == PLACE_QUARANTINED);
}

static void visit(struct queue_errand *e, struct queue_message *m)
{
	if (!is_of_noun(e, m) || (e->filter.n && !takes_brief(e, m)))
		return;
	if (e->filter.is_deep)
		probe(e, m);
	else
		act(e, m);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* sweep - a piece; the map may lose the message at hand, and no other */
static void sweep(struct queue_errand *e)
{
	const struct map *map = &e->ask.queue->index.messages;
	uint64_t until = clock_mono() + QUEUE_SWEEP_US;
	unsigned n = 0;

	do {
		struct map_node *node = map_scan(map, &e->cursor), *next;

		for (n++; node; node = next, n++) {
			next = node->next;
			visit(e, container_of(node, struct queue_message, node));
		}
	} while (e->cursor && n < QUEUE_SWEEP && e->loading < QUEUE_PROBES &&
		 queue_answer_pending(&e->ask) < QUEUE_PENDING && (n % 16 || clock_mono() < until));
	e->is_swept = e->cursor == 0;
}

static void write_counts(struct queue_errand *e)
{
	struct json j;

	json_init(&j, &e->ask.out);
	json_open(&j, NULL, '{');
	if (e->ask.is_dry) {
		json_int(&j, "matched", e->seen);
	} else {
		json_int(&j, "changed", e->count[QUEUE_CHANGED]);
		json_int(&j, "busy", e->count[QUEUE_BUSY]);
	}
	json_close(&j, '}');
	buf_byte(&e->ask.out, '\n');
}

static void say_counts(struct queue_errand *e)
{
	unsigned busy = e->count[QUEUE_BUSY];

	if (e->ask.is_dry)
		buf_printf(&e->ask.out, "%u would be %s%s\n", e->seen, e->work->done,
			   e->seen > DRY_ROWS ? ", of which these are some" : "");
	else
		buf_printf(&e->ask.out, "%u %s%s\n", e->count[QUEUE_CHANGED], e->work->done,
			   busy ? ", some are being delivered right now: try again" : "");
}

static void tell(struct queue_errand *e)
{
	unsigned changed = e->ask.is_dry ? e->seen : e->count[QUEUE_CHANGED];

	if (e->ask.json)
		write_counts(e);
	else
		say_counts(e);
	queue_answer(&e->ask, changed                ? QUEUE_EXIT_DONE
			      : e->count[QUEUE_BUSY] ? QUEUE_EXIT_BUSY
						     : QUEUE_EXIT_NO);
}

static void finish(struct queue_errand *e)
{
	if (e->work->end)
		e->work->end(e);
	else
		tell(e);
	if (e->work->fini)
		e->work->fini(e);
}

/* run - true: it is over */
static bool run(struct queue_errand *e)
{
	struct queue *q = e->ask.queue;
	bool is_lost = e->ask.epoch != q->control_epoch;

	if (!is_lost && !e->is_swept && e->loading < QUEUE_PROBES &&
	    queue_answer_pending(&e->ask) < QUEUE_PENDING)
		sweep(e);
	if (e->loading > 0)
		return false;
	if (!is_lost && !e->is_swept) {
		if (queue_answer_pending(&e->ask) < QUEUE_PENDING)
			queue_later(q);
		return false;
	}
	list_remove(&e->node);
	finish(e);
	free(e);
	return true;
}

void queue_errand_run(struct queue *q)
{
	LIST_EACH(node, &q->errands)
	(void)run(LIST_ITEM(node, struct queue_errand, node));
}

void queue_errand_fini(struct queue *q)
{
	struct list *node;

	while ((node = list_take(&q->errands))) {
		struct queue_errand *e = LIST_ITEM(node, struct queue_errand, node);

		if (e->work->fini)
			e->work->fini(e);
		buf_fini(&e->ask.out);
		free(e);
	}
}

/* ---- words ----------------------------------------------------------------------------------- */

static void one(struct queue_errand *e, const struct id *id, int variant)
{
	int last = variant < 0 ? IPC_VARIANTS - 1 : variant;
	struct queue_message *m;

	for (int i = variant < 0 ? 0 : variant; i <= last; i++)
		if ((m = queue_message_find(&e->ask.queue->index, id, (uint16_t)i)) &&
		    is_of_noun(e, m))
			act(e, m);
	finish(e);
}

static void set_out(const struct queue_errand *made)
{
	struct queue_errand *e = malloc(sizeof *e);

	if (!e) {
		struct queue_ask a = made->ask;

		if (made->work->fini)
			made->work->fini((struct queue_errand *)(uintptr_t)made);
		queue_answer_say(&a, QUEUE_EXIT_BUSY, "no memory");
		return;
	}
	*e = *made;
	list_append(&e->ask.queue->errands, &e->node);
	queue_soon(e->ask.queue);
}

/* read_filter - false: it was answered what is wrong */
static bool read_filter(struct queue_errand *e)
{
	struct queue_ask *a = &e->ask;
	char why[QUEUE_FILTER_WHY];

	for (unsigned i = 2; i < a->nwords; i++)
		if (!queue_filter_add(&e->filter, a->words[i], why)) {
			queue_answer_say(a, QUEUE_EXIT_USE, why);
			return false;
		}
	if (e->filter.n || e->work->is_view)
		return true;
	queue_answer_say(a, QUEUE_EXIT_USE,
			 "name a message by its id, or `all`, or say which: from~ to~ domain= age> "
			 "size> reason~ state= destination= attempts> bucket= vars.NAME=");
	return false;
}

void queue_errand(struct queue_ask *a, const struct queue_work *work)
{
	struct queue_errand e = { .ask = *a, .work = work };
	bool is_all = a->nwords == 3 && str_eq(a->words[2], STR("all"));
	bool is_named = false;
	struct id id;
	int variant;

	if (a->nwords == 3 && !is_all)
		is_named = queue_ask_name(a->words[2], &id, &variant);
	if (!is_all && !is_named && !read_filter(&e))
		return;
	if (work->begin && !work->begin(&e))
		return;
	if (is_named)
		one(&e, &id, variant);
	else
		set_out(&e);
}
