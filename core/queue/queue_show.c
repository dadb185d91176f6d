#include "queue_ask.h"

#include <stdlib.h>

#include "json.h"

/* What people see of a message: a row of the list, or all of it. */

static const struct queue_job *nearest_job(const struct queue_message *m)
{
	const struct queue_job *found = NULL;

	for (const struct queue_job *j = &m->job; j; j = j->next)
		if ((j != &m->job || queue_job_count(j)) && (!found || j->due < found->due))
			found = j;
	return found ? found : &m->job;
}

void queue_show_head(struct queue_ask *a)
{
	if (!a->json)
		buf_printf(&a->out, "%-28s %-11s %7s %6s %-9s destination, last failure\n", "id",
			   "state", "age", "next", "left");
}

void queue_show_row(struct queue_ask *a, const struct queue_message *m)
{
	const struct queue_job *j = nearest_job(m);
	struct str key = j->destination ? queue_destination_key(j->destination) : STR("-");
	uint32_t now = queue_now(a->queue), age = now > m->created ? now - m->created : 0;
	bool is_timed = j->place == PLACE_WAITING || j->place == PLACE_QUARANTINED;
	uint32_t wait = is_timed && j->due > now ? j->due - now : 0;
	struct str bucket = queue_said(m, SAID_BUCKET);
	struct str last = queue_said(m, SAID_LAST);
	char id[ID_TEXT + 1];
	struct json json;

	id_text(&m->id, id);
	if (!a->json) {
		buf_printf(&a->out, "%s.%u %-11s %6us %5us %4u/%-4u %.*s%s%.*s\n", id, m->variant,
			   queue_place_name[j->place], age, wait, m->left, m->nrcpts,
			   STR_ARG(bucket.n ? bucket : key), last.n ? "  " : "", STR_ARG(last));
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
	if (bucket.n)
		json_str(&json, "bucket", bucket);
	json_str(&json, "last", last);
	json_close(&json, '}');
	buf_byte(&a->out, '\n');
}

/* ---- one message ----------------------------------------------------------------------------- */

struct view {
	struct queue_flight flight;
	struct queue_ask ask;
	struct queue_message *message;
	struct spool_load load;
	char image[];
};

static const char *state_of(const struct queue_message *m, unsigned i)
{
	static const char *const finished[] = { [QUEUE_RCPT_LEFT] = "left",
						[QUEUE_RCPT_DONE] = "delivered",
						[QUEUE_RCPT_FAILED] = "failed" };
	const struct queue_job *j = queue_rcpt(m, i)->job;

	return j ? queue_place_name[j->place] : finished[queue_rcpt(m, i)->state];
}

static struct str destination_of(const struct queue_message *m, unsigned i)
{
	const struct queue_job *j = queue_rcpt(m, i)->job;

	return j && j->destination ? queue_destination_key(j->destination) : STR_NONE;
}

static void show_text(struct queue_ask *a, const struct queue_message *m,
		      const struct spool_accept *accept)
{
	queue_show_row(a, m);
	buf_add(&a->out, accept->envelope);
	for (unsigned i = 0; i < m->nrcpts; i++) {
		struct str to = destination_of(m, i);

		buf_printf(&a->out, "recipient %u: %s, %u attempts%s", i, state_of(m, i),
			   queue_rcpt(m, i)->attempts, to.n ? ", to " : "");
		buf_add(&a->out, to);
		buf_byte(&a->out, '\n');
	}
	buf_byte(&a->out, '\n');
	buf_add(&a->out, accept->header);
}

static void show_json(struct queue_ask *a, const struct queue_message *m,
		      const struct spool_accept *accept)
{
	struct json j;
	char id[ID_TEXT + 1];

	json_init(&j, &a->out);
	json_open(&j, NULL, '{');
	json_str(&j, "id", str_of(id_text(&m->id, id)));
	json_int(&j, "variant", m->variant);
	json_int(&j, "body", (int64_t)accept->body_length);
	json_str(&j, "last", queue_said(m, SAID_LAST));
	json_str(&j, "envelope", accept->envelope);
	json_str(&j, "header", accept->header);
	json_open(&j, "recipients", '[');
	for (unsigned i = 0; i < m->nrcpts; i++) {
		struct str to = destination_of(m, i);

		json_open(&j, NULL, '{');
		json_str(&j, "state", str_of(state_of(m, i)));
		json_int(&j, "attempts", queue_rcpt(m, i)->attempts);
		if (to.n)
			json_str(&j, "destination", to);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	buf_byte(&a->out, '\n');
}

static void give_up(struct queue_flight *f)
{
	struct view *v = container_of(f, struct view, flight);

	queue_land(f);
	buf_fini(&v->ask.out);
	free(v);
}

static void shown(struct spool_load *load, bool is_good)
{
	struct view *v = container_of(load, struct view, load);
	struct queue *q = v->ask.queue;
	struct queue_message *m = v->message;

	queue_land(&v->flight);
	if (!is_good) {
		queue_answer_say(&v->ask, QUEUE_EXIT_NO, "the message cannot be read back");
	} else {
		if (v->ask.json)
			show_json(&v->ask, m, &load->accept);
		else
			show_text(&v->ask, m, &load->accept);
		queue_answer(&v->ask, QUEUE_EXIT_DONE);
	}
	free(v);
	queue_unpin(q, m);
}

void queue_show(struct queue_ask *a)
{
	struct queue_message *m = NULL;
	struct view *v;
	struct id id;
	int variant;

	if (a->nwords < 3 || !queue_ask_name(a->words[2], &id, &variant)) {
		queue_answer_say(a, QUEUE_EXIT_USE, "name a message by its id");
		return;
	}
	m = queue_ask_find(a, &id, variant);
	v = m ? malloc(sizeof *v + spool_load_size(&m->handle)) : NULL;
	if (!v) {
		queue_answer_say(a, QUEUE_EXIT_NO, "there is no such message in the queue");
		return;
	}
	*v = (struct view){ .ask = *a, .message = m };
	v->load = (struct spool_load){ .handle = &m->handle, .to = v->image, .done = shown };
	queue_fly(a->queue, &v->flight, give_up);
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
