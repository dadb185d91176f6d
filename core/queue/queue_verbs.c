#include "queue_ask.h"

#include "json.h"
#include "log.h"
#include "queue_kept.h"

/*
 * The operator's words: queue list|show|retry|hold|release|drop [ID|all] [--json] [--reroute]. A
 * verb that changes something answers with what it changed; what is being delivered at this moment
 * is left alone and said so (exit 75).
 */

#define LIST_ROWS 10000
#define ROW_MAX   4096 /* bytes of one */

static void do_list(struct queue_ask *a)
{
	struct queue_index *x = &a->queue->index;
	struct map_node *node = NULL;
	unsigned n = 0;

	if (!a->json && x->messages.count)
		buf_printf(&a->out, "%-28s %-8s %7s %6s %-9s destination, last failure\n", "id",
			   "state", "age", "next", "left");
	while (n < LIST_ROWS && buf_room(&a->out) >= 2 * ROW_MAX &&
	       (node = map_next(&x->messages, node))) {
		queue_show_row(a, container_of(node, struct queue_message, node));
		n++;
	}
	if (!a->json && n < x->messages.count)
		buf_printf(&a->out, "%zu messages, %u of them shown\n", x->messages.count, n);
	else if (!a->json)
		buf_printf(&a->out, "%zu messages\n", x->messages.count);
	queue_answer(a, QUEUE_EXIT_DONE);
}

static bool is_lent(const struct queue_message *m)
{
	for (const struct queue_job *j = &m->job; j; j = j->next)
		if ((j->place == PLACE_ROUTING || j->place == PLACE_LEASED) && queue_job_count(j))
			return true;
	return m->pins > 0;
}

/* retry_job - true: it is due now; with --reroute the answer of `route` is forgotten in any case */
static bool retry_job(struct queue_ask *a, struct queue_job *j)
{
	struct queue *q = a->queue;

	if (a->reroute)
		queue_job_routed(j, 0);
	if (j->place != PLACE_WAITING && !(a->reroute && j->place == PLACE_READY))
		return false;
	if (j->destination && !a->reroute) {
		queue_sched_ready(q, j);
		return true;
	}
	queue_job_place(&q->index, j, PLACE_UNROUTED);
	queue_job_route(&q->index, j, NULL);
	return true;
}

static enum queue_change retry(struct queue_ask *a, struct queue_message *m)
{
	bool moved = false;

	for (struct queue_job *j = &m->job; j; j = j->next)
		moved |= retry_job(a, j);
	if (moved)
		queue_soon(a->queue);
	return moved ? QUEUE_CHANGED : is_lent(m) ? QUEUE_BUSY : QUEUE_NOTHING;
}

static enum queue_change hold(struct queue_ask *a, struct queue_message *m)
{
	if (is_lent(m))
		return QUEUE_BUSY;
	for (struct queue_job *j = &m->job; j; j = j->next)
		if (queue_job_count(j))
			queue_job_place(&a->queue->index, j, PLACE_HELD);
	queue_say(&a->queue->index, m, SAID_LAST, STR("held by the operator"));
	queue_progress(a->queue, m);
	return QUEUE_CHANGED;
}

static enum queue_change release(struct queue_ask *a, struct queue_message *m)
{
	return queue_kept_release(a->queue, m, PLACE_HELD, NULL) ? QUEUE_CHANGED : QUEUE_NOTHING;
}

static enum queue_change drop(struct queue_ask *a, struct queue_message *m)
{
	struct json *j;
	char id[ID_TEXT + 1];

	if (is_lent(m))
		return QUEUE_BUSY;
	j = log_open(LOG_LEVEL_WARN, "queue.dropped");
	json_str(j, "id", str_of(id_text(&m->id, id)));
	json_int(j, "variant", m->variant);
	json_int(j, "recipients", m->left);
	log_close();
	queue_drop(a->queue, m);
	return QUEUE_CHANGED;
}

static void do_retry(struct queue_ask *a)
{
	queue_errand(a, retry, "due now");
}

static void do_hold(struct queue_ask *a)
{
	queue_errand(a, hold, "held");
}

static void do_release(struct queue_ask *a)
{
	queue_errand(a, release, "released");
}

static void do_drop(struct queue_ask *a)
{
	queue_errand(a, drop, "dropped");
}

static const struct verb {
	const char *name;
	void (*run)(struct queue_ask *);
} verbs[] = {
	{ "list", do_list }, { "show", queue_show },    { "retry", do_retry },
	{ "hold", do_hold }, { "release", do_release }, { "drop", do_drop },
};

void queue_query(struct queue *q, struct ipc_channel *c, const struct ipc_frame *frame)
{
	struct queue_ask a;

	queue_ask_begin(q, &a, c, frame);
	for (size_t i = 0; i < COUNT(verbs); i++)
		if (a.nwords >= 2 && str_eq(a.words[0], STR("queue")) &&
		    str_eq(a.words[1], str_of(verbs[i].name))) {
			verbs[i].run(&a);
			queue_soon(q);
			return;
		}
	queue_answer_say(&a, QUEUE_EXIT_USE, "queue list|show|retry|hold|release|drop");
}
