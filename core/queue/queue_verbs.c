#include "queue_ask.h"

#include "counter.h"
#include "json.h"
#include "log.h"
#include "queue_kept.h"
#include "queue_suspend.h"

/*
 * The operator's words: queue list|show|retry|hold|release|drop|shape|suspend|resume|suspensions
 * and quarantine list|show|release|drop, with an id, `all` or a filter. A verb that changes
 * something answers with what it changed; what is being delivered at this moment is left alone and
 * said so (exit 75).
 */

static bool begin_list(struct queue_errand *e)
{
	if (e->ask.queue->index.messages.count)
		queue_show_head(&e->ask);
	return true;
}

static enum queue_change list(struct queue_errand *e, struct queue_message *m)
{
	queue_show_row(&e->ask, m);
	return QUEUE_NOTHING;
}

static void end_list(struct queue_errand *e)
{
	if (!e->ask.json)
		buf_printf(&e->ask.out, "%u messages\n", e->seen);
	queue_answer(&e->ask, QUEUE_EXIT_DONE);
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

static enum queue_change retry(struct queue_errand *e, struct queue_message *m)
{
	struct queue_ask *a = &e->ask;
	bool moved = false;

	for (struct queue_job *j = &m->job; j; j = j->next)
		moved |= retry_job(a, j);
	if (moved)
		queue_soon(a->queue);
	return moved ? QUEUE_CHANGED : is_lent(m) ? QUEUE_BUSY : QUEUE_NOTHING;
}

static enum queue_change hold(struct queue_errand *e, struct queue_message *m)
{
	struct queue *q = e->ask.queue;

	if (is_lent(m))
		return QUEUE_BUSY;
	for (struct queue_job *j = &m->job; j; j = j->next)
		if (queue_job_count(j))
			queue_job_place(&q->index, j, PLACE_HELD);
	queue_say(&q->index, m, SAID_LAST, STR("held by the operator"));
	queue_progress(q, m);
	return QUEUE_CHANGED;
}

/* tell_release - whom a message goes to that policy had set aside is worth a line */
static void tell_release(const struct queue_errand *e, const struct queue_message *m)
{
	struct json *j = log_open(LOG_LEVEL_INFO, "quarantine.released");
	char id[ID_TEXT + 1];

	json_str(j, "id", str_of(id_text(&m->id, id)));
	json_int(j, "variant", m->variant);
	json_str(j, "bucket", queue_said(m, SAID_BUCKET));
	if (e->to[0])
		json_str(j, "to", str_of(e->to));
	log_close();
}

static enum queue_change release(struct queue_errand *e, struct queue_message *m)
{
	enum queue_place place = e->ask.is_quarantine ? PLACE_QUARANTINED : PLACE_HELD;
	struct str to = str_of(e->to);

	if (!queue_kept_release(e->ask.queue, m, place, to.n ? &to : NULL))
		return QUEUE_NOTHING;
	if (e->ask.is_quarantine)
		tell_release(e, m);
	return QUEUE_CHANGED;
}

/* begin_release - `--to` is checked before anything moves */
static bool begin_release(struct queue_errand *e)
{
	struct queue_ask *a = &e->ask;
	struct address to;

	if (!a->to.n)
		return true;
	if (address_parse(a->to, &to) == ADDRESS_OK && to.domain.n > 0) {
		(void)address_write(&to, e->to);
		return true;
	}
	queue_answer_say(a, QUEUE_EXIT_USE, "--to needs one address, like abuse@example.net");
	return false;
}

static enum queue_change drop(struct queue_errand *e, struct queue_message *m)
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
	queue_drop(e->ask.queue, m);
	return QUEUE_CHANGED;
}

/* clang-format off */
static const struct queue_work works[] = {
	{ "list",    "listed",   true,  list,    begin_list,    end_list, NULL },
	{ "retry",   "due now",  false, retry,   NULL,          NULL,     NULL },
	{ "hold",    "held",     false, hold,    NULL,          NULL,     NULL },
	{ "release", "released", false, release, begin_release, NULL,     NULL },
	{ "drop",    "dropped",  false, drop,    NULL,          NULL,     NULL },
};

static const struct verb {
	const char *noun, *name;
	void (*run)(struct queue_ask *);   /* or a work: */
	const struct queue_work *work;
} verbs[] = {
	{ "queue",      "list",        NULL,               &works[0] },
	{ "queue",      "show",        queue_show,         NULL },
	{ "queue",      "retry",       NULL,               &works[1] },
	{ "queue",      "hold",        NULL,               &works[2] },
	{ "queue",      "release",     NULL,               &works[3] },
	{ "queue",      "drop",        NULL,               &works[4] },
	{ "queue",      "shape",       NULL,               &queue_shape_work },
	{ "queue",      "suspend",     queue_suspend,      NULL },
	{ "queue",      "resume",      queue_resume,       NULL },
	{ "queue",      "suspensions", queue_suspensions,  NULL },
	{ "quarantine", "list",        NULL,               &works[0] },
	{ "quarantine", "show",        queue_show,         NULL },
	{ "quarantine", "release",     NULL,               &works[3] },
	{ "quarantine", "drop",        NULL,               &works[4] },
};
/* clang-format on */

static const struct verb *verb_of(const struct queue_ask *a)
{
	for (size_t i = 0; a->nwords >= 2 && i < COUNT(verbs); i++)
		if (str_eq(a->words[0], str_of(verbs[i].noun)) &&
		    str_eq(a->words[1], str_of(verbs[i].name)))
			return &verbs[i];
	return NULL;
}

void queue_query(struct queue *q, struct ipc_channel *c, const struct ipc_frame *frame)
{
	const struct verb *verb;
	struct queue_ask a;

	queue_ask_begin(q, &a, c, frame);
	verb = verb_of(&a);
	if (!verb)
		queue_answer_say(&a, QUEUE_EXIT_USE,
				 "queue list|show|retry|hold|release|drop|shape|suspend|resume|"
				 "suspensions, or quarantine list|show|release|drop");
	else if (a.lacks_value)
		queue_answer_say(&a, QUEUE_EXIT_USE, "--to, --for and --reason need a value");
	else if (verb->work)
		queue_errand(&a, verb->work);
	else
		verb->run(&a);
	queue_soon(q);
}
