#include "queue_core.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "log.h"

/*
 * The operator's words: queue list|show|retry|hold|release|drop [ID|all] [--json] [--reroute]. A verb that changes something answers
 * with what it changed; what is being delivered at this moment is left alone and said so (exit 75).
 */

#define ANSWER_MAX (8 * 1024 * 1024)
#define LIST_ROWS  10000
#define WORDS_MAX  16

enum exit { EXIT_DONE = 0, EXIT_NO = 1, EXIT_USE = 64, EXIT_BUSY = 75, EXIT_MORE = 255 };

struct ask {
	struct queue *queue;
	struct ipc_channel *channel;
	uint64_t tag;
	struct str words[WORDS_MAX];
	unsigned nwords;
	bool json, reroute;
	struct buf out;
};

/* ---- answers ------------------------------------------------------------------------------------------------ */

/* An answer under way: it goes out as the ring has room. */
struct pending_answer {
	struct list node;
	struct ipc_channel *channel;
	uint64_t tag;
	unsigned code;
	struct buf text;
};

static bool send_chunk(struct pending_answer *p)
{
	struct ipc_frame head = { .type = IPC_ANSWER, .tag = p->tag };
	struct str text = str_head(buf_str(&p->text), IPC_ANSWER_CHUNK);
	char first = (char)(text.n < buf_len(&p->text) ? EXIT_MORE : p->code);
	struct str parts[2] = { { &first, 1 }, text };

	if (!ipc_channel_send(p->channel, &head, parts, 2))
		return false;
	buf_take(&p->text, text.n);
	return true;
}

static void forget_answer(struct pending_answer **pp)
{
	list_remove(&(*pp)->node);
	buf_fini(&(*pp)->text);
	free(*pp);
	*pp = NULL;
}

/* push - true: all of it is sent */
static bool push(struct pending_answer *p)
{
	do
		if (!send_chunk(p))
			return false;
	while (buf_len(&p->text) > 0);
	return true;
}

void queue_control_writable(struct queue *q)
{
	while (!list_is_empty(&q->answers)) {
		struct pending_answer *p =
			LIST_ITEM(q->answers.next, struct pending_answer, node);

		if (!push(p))
			return;
		forget_answer(&p);
	}
}

void queue_control_lost(struct queue *q)
{
	while (!list_is_empty(&q->answers)) {
		struct pending_answer *p =
			LIST_ITEM(q->answers.next, struct pending_answer, node);

		forget_answer(&p);
	}
}

/* answer - takes the text; control asks few questions at a time, so few answers wait */
static void answer(struct ask *a, enum exit code)
{
	struct pending_answer *p = calloc(1, sizeof *p);

	if (!p) {
		buf_fini(&a->out);
		return;
	}
	p->channel = a->channel;
	p->tag = a->tag;
	p->code = code;
	p->text = a->out;
	list_append(&a->queue->answers, &p->node);
	queue_control_writable(a->queue);
}

static void say(struct ask *a, enum exit code, const char *text)
{
	buf_printf(&a->out, "%s\n", text);
	answer(a, code);
}

/* ---- rows --------------------------------------------------------------------------------------------------- */

static const struct queue_job *nearest_job(const struct queue_message *m)
{
	const struct queue_job *found = NULL;

	for (unsigned i = 0; i < m->nrcpts; i++) {
		const struct queue_job *j = m->rcpts[i].job;

		if (j && (!found || j->due < found->due))
			found = j;
	}
	return found ? found : &m->job;
}

static void row(struct ask *a, const struct queue_message *m)
{
	const struct queue_job *j = nearest_job(m);
	struct str key = j->destination ? queue_destination_key(j->destination) : STR("-");
	uint32_t now = queue_now(a->queue), age = now > m->created ? now - m->created : 0;
	uint32_t wait = j->place == PLACE_WAITING && j->due > now ? j->due - now : 0;
	const char *last = m->extra ? m->extra->last : "";
	char id[ID_TEXT + 1];
	struct json json;

	id_text(&m->id, id);
	if (!a->json) {
		buf_printf(&a->out, "%s.%u %-8s %6us %5us %4u/%-4u %.*s%s%s\n", id, m->variant,
			   queue_place_name[j->place], age, wait, m->left, m->nrcpts, STR_ARG(key),
			   *last ? "  " : "", last);
		return;
	}
	json_init(&json, &a->out);
	json_open(&json, NULL, '{');
	json_str(&json, "id", str_of(id));
	json_int(&json, "variant", m->variant);
	json_str(&json, "state", str_of(queue_place_name[j->place]));
	json_int(&json, "age", age);
	json_int(&json, "next", wait);
	json_int(&json, "left", m->left);
	json_int(&json, "recipients", m->nrcpts);
	json_str(&json, "destination", key);
	json_str(&json, "last", str_of(last));
	json_close(&json, '}');
	buf_byte(&a->out, '\n');
}

static void do_list(struct ask *a)
{
	struct queue_index *x = &a->queue->index;
	struct map_node *node = NULL;
	unsigned n = 0;

	if (!a->json && x->messages.count)
		buf_printf(&a->out, "%-28s %-8s %7s %6s %-9s destination, last failure\n", "id",
			   "state", "age", "next", "left");
	while (n++ < LIST_ROWS && (node = map_next(&x->messages, node)))
		row(a, container_of(node, struct queue_message, node));
	if (!a->json)
		buf_printf(&a->out, "%zu messages%s\n", x->messages.count,
			   x->messages.count > LIST_ROWS ? ", the first 10000 shown" : "");
	answer(a, EXIT_DONE);
}

/* ---- one message or all ------------------------------------------------------------------------------------- */

/* parse_name - "ID" or "ID.variant" */
static bool parse_name(struct str text, struct id *id, int *variant)
{
	struct str head;
	uint64_t n = 0;

	*variant = -1;
	if (str_take(&text, '.', &head)) {
		if (!str_u64(text, UINT16_MAX, &n))
			return false;
		*variant = (int)n;
		text = head;
	}
	return id_parse(text, id);
}

typedef bool change(struct ask *a,
		    struct queue_message *m); /* false: left alone, it is being delivered */

static bool is_wanted(const struct queue_message *m, bool all, const struct id *id, int variant)
{
	return all || (id_is_eq(&m->id, id) && (variant < 0 || m->variant == variant));
}

/* each - apply a change to the named messages and say how many; the map may lose the message at hand and no other */
static void each(struct ask *a, change *apply, const char *done)
{
	struct map_node *node, *next;
	struct id id = { { 0 } };
	int variant = -1;
	bool all = a->nwords > 2 && str_eq(a->words[2], STR("all"));
	unsigned changed = 0, busy = 0;

	if (a->nwords < 3 || (!all && !parse_name(a->words[2], &id, &variant))) {
		say(a, EXIT_USE, "name a message by its id, or `all`");
		return;
	}
	for (node = map_next(&a->queue->index.messages, NULL); node; node = next) {
		struct queue_message *m = container_of(node, struct queue_message, node);

		next = map_next(&a->queue->index.messages, node);
		if (!is_wanted(m, all, &id, variant))
			continue;
		if (apply(a, m))
			changed++;
		else
			busy++;
	}
	buf_printf(&a->out, "%u %s%s\n", changed, done,
		   busy ? ", some are being delivered right now: try again" : "");
	answer(a, changed ? EXIT_DONE : busy ? EXIT_BUSY : EXIT_NO);
}

static bool is_lent(const struct queue_message *m)
{
	for (unsigned i = 0; i < m->nrcpts; i++) {
		const struct queue_job *j = m->rcpts[i].job;

		if (j && (j->place == PLACE_ROUTING || j->place == PLACE_LEASED))
			return true;
	}
	return m->pins > 0;
}

/* retry_job - true: it is due now; with --reroute the answer of `route` is forgotten in any case */
static bool retry_job(struct ask *a, struct queue_job *j)
{
	struct queue *q = a->queue;

	if (a->reroute)
		j->routed = 0;
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

static bool retry(struct ask *a, struct queue_message *m)
{
	bool moved = false;

	for (struct queue_job *j = &m->job; j; j = j->next)
		moved |= retry_job(a, j);
	queue_soon(a->queue);
	return moved;
}

static bool hold(struct ask *a, struct queue_message *m)
{
	if (is_lent(m))
		return false;
	for (struct queue_job *j = &m->job; j; j = j->next)
		if (queue_job_count(j))
			queue_job_place(&a->queue->index, j, PLACE_HELD);
	queue_message_remember(m, STR("held by the operator"), STR_NONE);
	queue_progress(a->queue, m);
	return true;
}

static bool release(struct ask *a, struct queue_message *m)
{
	bool moved = false;

	for (struct queue_job *j = &m->job; j; j = j->next) {
		if (j->place != PLACE_HELD || !queue_job_count(j))
			continue;
		queue_job_route(&a->queue->index, j, NULL);
		j->due = 0;
		queue_job_place(&a->queue->index, j, PLACE_UNROUTED);
		moved = true;
	}
	if (moved)
		queue_progress(a->queue, m);
	return moved;
}

static bool drop(struct ask *a, struct queue_message *m)
{
	struct json *j;
	char id[ID_TEXT + 1];

	if (is_lent(m))
		return false;
	j = log_open(LOG_LEVEL_WARN, "queue.dropped");
	json_str(j, "id", str_of(id_text(&m->id, id)));
	json_int(j, "variant", m->variant);
	json_int(j, "recipients", m->left);
	log_close();
	gauge_move(GAUGE_QUEUE_RECIPIENTS, -(int64_t)m->left);
	for (unsigned i = 0; i < m->nrcpts; i++)
		m->rcpts[i].job = NULL;
	m->left = 0;
	queue_progress(a->queue, m);
	return true;
}

static void do_retry(struct ask *a)
{
	each(a, retry, "due now");
}

static void do_hold(struct ask *a)
{
	each(a, hold, "held");
}

static void do_release(struct ask *a)
{
	each(a, release, "released");
}

static void do_drop(struct ask *a)
{
	each(a, drop, "dropped");
}

/* ---- show --------------------------------------------------------------------------------------------------- */

struct view {
	struct ask ask;
	struct queue_message *message;
	struct spool_load load;
	char image[];
};

static void show_text(struct ask *a, const struct queue_message *m,
		      const struct spool_accept *accept)
{
	row(a, m);
	buf_add(&a->out, accept->envelope);
	for (unsigned i = 0; i < m->nrcpts; i++) {
		static const char *const states[] = { "left", "delivered", "failed" };
		const struct queue_job *j = m->rcpts[i].job;

		buf_printf(&a->out, "recipient %u: %s, %u attempts%s%.*s\n", i,
			   j ? queue_place_name[j->place] : states[m->rcpts[i].state],
			   m->rcpts[i].attempts, j && j->destination ? ", to " : "",
			   STR_ARG(j && j->destination ? queue_destination_key(j->destination)
						       : STR_NONE));
	}
	buf_printf(&a->out, "\n%.*s", STR_ARG(accept->header));
}

static void show_json(struct ask *a, const struct queue_message *m,
		      const struct spool_accept *accept)
{
	struct json j;
	char id[ID_TEXT + 1];

	json_init(&j, &a->out);
	json_open(&j, NULL, '{');
	json_str(&j, "id", str_of(id_text(&m->id, id)));
	json_int(&j, "variant", m->variant);
	json_int(&j, "body", (int64_t)accept->body_length);
	json_str(&j, "last", str_of(m->extra ? m->extra->last : ""));
	json_str(&j, "envelope", accept->envelope);
	json_str(&j, "header", accept->header);
	json_open(&j, "recipients", '[');
	for (unsigned i = 0; i < m->nrcpts; i++) {
		const struct queue_job *job = m->rcpts[i].job;

		json_open(&j, NULL, '{');
		json_str(&j, "state",
			 str_of(job ? queue_place_name[job->place]
				: m->rcpts[i].state == QUEUE_RCPT_DONE ? "delivered"
								       : "failed"));
		json_int(&j, "attempts", m->rcpts[i].attempts);
		if (job && job->destination)
			json_str(&j, "destination", queue_destination_key(job->destination));
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	buf_byte(&a->out, '\n');
}

static void shown(struct spool_load *load, bool is_good)
{
	struct view *v = container_of(load, struct view, load);
	struct queue *q = v->ask.queue;

	if (!is_good) {
		say(&v->ask, EXIT_NO, "the message cannot be read back");
	} else {
		if (v->ask.json)
			show_json(&v->ask, v->message, &load->accept);
		else
			show_text(&v->ask, v->message, &load->accept);
		answer(&v->ask, EXIT_DONE);
	}
	queue_unpin(q, v->message);
	free(v);
}

static void do_show(struct ask *a)
{
	struct queue_message *m = NULL;
	struct view *v;
	struct id id;
	int variant;

	if (a->nwords < 3 || !parse_name(a->words[2], &id, &variant)) {
		say(a, EXIT_USE, "name a message by its id");
		return;
	}
	m = queue_message_find(&a->queue->index, &id, variant < 0 ? 0 : (uint16_t)variant);
	v = m ? malloc(sizeof *v + spool_load_size(&m->handle)) : NULL;
	if (!v) {
		say(a, EXIT_NO, "there is no such message in the queue");
		return;
	}
	*v = (struct view){ .ask = *a, .message = m };
	v->load = (struct spool_load){ .handle = &m->handle, .to = v->image, .done = shown };
	queue_pin(m);
	switch (spool_load(a->queue->spool, &v->load)) {
	case STEP_DONE:
		shown(&v->load, true);
		return;
	case STEP_ERROR:
		shown(&v->load, false);
		return;
	case STEP_MORE:
		return;
	}
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

static const struct verb {
	const char *name;
	void (*run)(struct ask *);
} verbs[] = {
	{ "list", do_list }, { "show", do_show },       { "retry", do_retry },
	{ "hold", do_hold }, { "release", do_release }, { "drop", do_drop },
};

static void split(struct ask *a, struct str text)
{
	struct str word;

	while (text.n && a->nwords < WORDS_MAX) {
		if (!str_take(&text, '\0', &word)) {
			word = text;
			text.n = 0;
		}
		if (str_eq(word, STR("--json")))
			a->json = true;
		else if (str_eq(word, STR("--reroute")))
			a->reroute = true;
		else
			a->words[a->nwords++] = word;
	}
}

void queue_query(struct queue *q, struct ipc_channel *c, const struct ipc_frame *frame)
{
	struct ask a = { .queue = q, .channel = c, .tag = frame->tag };

	split(&a, frame->payload);
	buf_init(&a.out, ANSWER_MAX);
	for (size_t i = 0; i < COUNT(verbs); i++)
		if (a.nwords >= 2 && str_eq(a.words[0], STR("queue")) &&
		    str_eq(a.words[1], str_of(verbs[i].name))) {
			verbs[i].run(&a);
			queue_soon(q);
			return;
		}
	say(&a, EXIT_USE, "queue list|show|retry|hold|release|drop");
}
