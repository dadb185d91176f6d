#include "queue_ask.h"

#include <stdlib.h>

#include "json.h"

/*
 * A verb that changes something: one message at once; `all` in pieces of QUEUE_SWEEP messages a
 * turn, since a million of them would hold the loop for seconds. What arrives or goes meanwhile may
 * be missed or not; what stays is changed once.
 */
struct errand {
	struct list node;
	struct queue_ask ask;
	queue_change *apply;
	const char *done; /* a constant */
	size_t cursor;
	unsigned count[QUEUE_BUSY + 1];
};

static void write_counts(struct errand *e)
{
	struct json j;

	json_init(&j, &e->ask.out);
	json_open(&j, NULL, '{');
	json_int(&j, "changed", e->count[QUEUE_CHANGED]);
	json_int(&j, "busy", e->count[QUEUE_BUSY]);
	json_close(&j, '}');
	buf_byte(&e->ask.out, '\n');
}

static void tell(struct errand *e)
{
	unsigned changed = e->count[QUEUE_CHANGED], busy = e->count[QUEUE_BUSY];

	if (e->ask.json)
		write_counts(e);
	else
		buf_printf(&e->ask.out, "%u %s%s\n", changed, e->done,
			   busy ? ", some are being delivered right now: try again" : "");
	queue_answer(&e->ask, changed ? QUEUE_EXIT_DONE : busy ? QUEUE_EXIT_BUSY : QUEUE_EXIT_NO);
}

static void visit(struct errand *e, struct queue_message *m)
{
	if (!m->is_over)
		e->count[e->apply(&e->ask, m)]++;
}

/* sweep - true: that was the last piece; the map may lose the message at hand, and no other */
static bool sweep(struct errand *e)
{
	const struct map *map = &e->ask.queue->index.messages;
	unsigned n = 0;

	do {
		struct map_node *node = map_scan(map, &e->cursor), *next;

		for (n++; node; node = next, n++) {
			next = node->next;
			visit(e, container_of(node, struct queue_message, node));
		}
	} while (e->cursor && n < QUEUE_SWEEP);
	return e->cursor == 0;
}

void queue_errand_run(struct queue *q)
{
	LIST_EACH(node, &q->errands)
	{
		struct errand *e = LIST_ITEM(node, struct errand, node);
		bool is_lost = e->ask.epoch != q->control_epoch;

		if (!is_lost && !sweep(e)) {
			queue_later(q);
			continue;
		}
		list_remove(&e->node);
		tell(e);
		free(e);
	}
}

void queue_errand_fini(struct queue *q)
{
	struct list *node;

	while ((node = list_take(&q->errands))) {
		struct errand *e = LIST_ITEM(node, struct errand, node);

		buf_fini(&e->ask.out);
		free(e);
	}
}

static void begin_all(const struct errand *one)
{
	struct errand *e = malloc(sizeof *e);

	if (!e) {
		struct queue_ask a = one->ask;

		queue_answer_say(&a, QUEUE_EXIT_BUSY, "no memory");
		return;
	}
	*e = *one;
	list_append(&e->ask.queue->errands, &e->node);
	queue_soon(e->ask.queue);
}

void queue_errand(struct queue_ask *a, queue_change *apply, const char *done)
{
	struct errand e = { .ask = *a, .apply = apply, .done = done };
	struct queue_message *m;
	struct id id;
	int variant, last;

	if (a->nwords > 2 && str_eq(a->words[2], STR("all"))) {
		begin_all(&e);
		return;
	}
	if (a->nwords < 3 || !queue_ask_name(a->words[2], &id, &variant)) {
		queue_answer_say(a, QUEUE_EXIT_USE, "name a message by its id, or `all`");
		return;
	}
	last = variant < 0 ? IPC_VARIANTS - 1 : variant;
	for (int i = variant < 0 ? 0 : variant; i <= last; i++)
		if ((m = queue_ask_find(a, &id, i)))
			visit(&e, m);
	tell(&e);
}
