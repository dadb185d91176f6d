#include "queue_suspend.h"

#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "json.h"
#include "log.h"

/*
 * stored = *( u32(until) str(destination) str(reason) )          ; until 0: for ever
 */
#define FOR_EVER 0

_Static_assert(QUEUE_SUSPENSIONS *(12 + IPC_NEXT_HOP + QUEUE_SUSPEND_REASON) <= SPOOL_PAPER,
	       "all of them fit");

struct suspension {
	struct list node;
	uint32_t until;
	char destination[IPC_NEXT_HOP + 1], reason[QUEUE_SUSPEND_REASON];
};

static struct suspension *find(const struct queue *q, struct str destination)
{
	for (struct list *node = q->suspensions.next; node != &q->suspensions; node = node->next) {
		struct suspension *s = LIST_ITEM(node, struct suspension, node);

		if (str_ieq(str_of(s->destination), destination))
			return s;
	}
	return NULL;
}

bool queue_suspend_holds(const struct queue *q, const struct queue_destination *d)
{
	return q->nsuspensions > 0 &&
	       (find(q, queue_destination_key(d)) || find(q, queue_destination_hop(d)));
}

/* apply - to the destinations that are there; those that come ask when they have mail */
static void apply(struct queue *q)
{
	struct map_node *node = NULL;

	while ((node = map_next(&q->index.destinations, node)))
		queue_sched_offer(q, container_of(node, struct queue_destination, node));
	queue_soon(q);
}

static void copy_legible(char *to, size_t size, struct str text)
{
	size_t n = str_copy(to, size, text);

	for (size_t i = 0; i < n; i++)
		if (to[i] < ' ' || to[i] > '~')
			to[i] = '?';
}

static void add(struct queue *q, struct str destination, struct str reason, uint32_t until)
{
	struct suspension *s = find(q, destination);

	if (!s && q->nsuspensions < QUEUE_SUSPENSIONS && (s = calloc(1, sizeof *s))) {
		copy_legible(s->destination, sizeof s->destination, destination);
		list_append(&q->suspensions, &s->node);
		q->nsuspensions++;
	}
	if (!s)
		return;
	s->until = until;
	copy_legible(s->reason, sizeof s->reason, reason);
}

static void take_away(struct queue *q, struct suspension *s, const char *event)
{
	struct json *j = log_open(LOG_LEVEL_INFO, event);

	json_str(j, "destination", str_of(s->destination));
	json_str(j, "reason", str_of(s->reason));
	log_close();
	list_remove(&s->node);
	free(s);
	q->nsuspensions--;
}

/* ---- storing --------------------------------------------------------------------------------- */

static void store(struct queue *q)
{
	static struct buf text;

	if (!text.max)
		buf_init(&text, SPOOL_PAPER);
	buf_reset(&text);
	LIST_EACH(node, &q->suspensions)
	{
		const struct suspension *s = LIST_ITEM(node, struct suspension, node);

		wire_u32(&text, s->until);
		wire_str(&text, str_of(s->destination));
		wire_str(&text, str_of(s->reason));
	}
	spool_paper_put(&q->paper, buf_str(&text));
}

void queue_suspend_start(struct queue *q)
{
	struct buf text;
	struct wire w;

	buf_init(&text, SPOOL_PAPER);
	spool_paper_open(&q->paper, q->spool, "suspensions", &text);
	w = (struct wire){ .rest = buf_str(&text) };
	while (w.rest.n > 0) {
		uint32_t until = wire_get_u32(&w);
		struct str destination = wire_get_str(&w, IPC_NEXT_HOP);
		struct str reason = wire_get_str(&w, QUEUE_SUSPEND_REASON);

		if (w.bad)
			break;
		add(q, destination, reason, until);
	}
	buf_fini(&text);
}

void queue_suspend_fini(struct queue *q)
{
	struct list *node;

	while ((node = list_take(&q->suspensions)))
		free(LIST_ITEM(node, struct suspension, node));
	spool_paper_fini(&q->paper);
}

/* ---- time ------------------------------------------------------------------------------------ */

uint32_t queue_suspend_next(const struct queue *q)
{
	uint32_t next = UINT32_MAX;

	LIST_EACH(node, &q->suspensions)
	{
		const struct suspension *s = LIST_ITEM(node, struct suspension, node);

		if (s->until != FOR_EVER && s->until < next)
			next = s->until;
	}
	return next;
}

void queue_suspend_run(struct queue *q)
{
	uint32_t now = queue_now(q);

	if (q->nsuspensions == 0 || queue_suspend_next(q) > now)
		return;
	LIST_EACH(node, &q->suspensions)
	{
		struct suspension *s = LIST_ITEM(node, struct suspension, node);

		if (s->until != FOR_EVER && s->until <= now)
			take_away(q, s, "queue.suspension_over");
	}
	store(q);
	apply(q);
}

/* ---- words ----------------------------------------------------------------------------------- */

static void row(struct queue_ask *a, const struct suspension *s)
{
	uint32_t now = queue_now(a->queue), left = s->until > now ? s->until - now : 0;
	struct json j;

	if (!a->json) {
		if (s->until == FOR_EVER)
			buf_printf(&a->out, "%-40s until it is resumed", s->destination);
		else
			buf_printf(&a->out, "%-40s for %u s more", s->destination, left);
		buf_printf(&a->out, "%s%s\n", *s->reason ? ": " : "", s->reason);
		return;
	}
	json_init(&j, &a->out);
	json_open(&j, NULL, '{');
	json_str(&j, "destination", str_of(s->destination));
	if (s->until != FOR_EVER)
		json_int(&j, "left", left);
	json_str(&j, "reason", str_of(s->reason));
	json_close(&j, '}');
	buf_byte(&a->out, '\n');
}

void queue_suspensions(struct queue_ask *a)
{
	LIST_EACH(node, &a->queue->suspensions)
	row(a, LIST_ITEM(node, struct suspension, node));
	if (!a->json)
		buf_printf(&a->out, "%u suspended\n", a->queue->nsuspensions);
	queue_answer(a, QUEUE_EXIT_DONE);
}

static unsigned known(const struct queue *q, struct str destination)
{
	struct map_node *node = NULL;
	unsigned jobs = 0;

	while ((node = map_next(&q->index.destinations, node))) {
		const struct queue_destination *d =
			container_of(node, struct queue_destination, node);

		if (str_ieq(queue_destination_key(d), destination) ||
		    str_ieq(queue_destination_hop(d), destination))
			jobs += d->jobs;
	}
	return jobs;
}

void queue_suspend(struct queue_ask *a)
{
	struct queue *q = a->queue;
	uint64_t seconds = 0;
	struct str to;

	if (a->nwords != 3 || a->words[2].n == 0 || a->words[2].n > IPC_NEXT_HOP) {
		queue_answer_say(a, QUEUE_EXIT_USE,
				 "name one destination, as `queue list` shows it");
		return;
	}
	if (a->span.n && (!queue_filter_duration(a->span, &seconds) || seconds == 0 ||
			  seconds > UINT32_MAX - queue_now(q))) {
		queue_answer_say(a, QUEUE_EXIT_USE, "--for needs a time like 90s, 15m, 2h or 3d");
		return;
	}
	to = a->words[2];
	add(q, to, a->reason, seconds ? queue_now(q) + (uint32_t)seconds : FOR_EVER);
	if (!find(q, to)) {
		queue_answer_say(a, QUEUE_EXIT_NO, "there are too many suspensions already");
		return;
	}
	store(q);
	apply(q);
	if (!a->json)
		buf_printf(&a->out, "suspended; %u jobs wait for it now\n", known(q, to));
	row(a, find(q, to));
	queue_answer(a, QUEUE_EXIT_DONE);
}

void queue_resume(struct queue_ask *a)
{
	bool is_all = a->nwords == 3 && str_eq(a->words[2], STR("all"));
	struct queue *q = a->queue;
	unsigned n = 0;
	struct json j;

	if (a->nwords != 3) {
		queue_answer_say(a, QUEUE_EXIT_USE, "name one destination, or `all`");
		return;
	}
	LIST_EACH(node, &q->suspensions)
	{
		struct suspension *s = LIST_ITEM(node, struct suspension, node);

		if (!is_all && !str_ieq(str_of(s->destination), a->words[2]))
			continue;
		take_away(q, s, "queue.resumed");
		n++;
	}
	if (n > 0) {
		store(q);
		apply(q);
	}
	if (a->json) {
		json_init(&j, &a->out);
		json_open(&j, NULL, '{');
		json_int(&j, "changed", n);
		json_close(&j, '}');
		buf_byte(&a->out, '\n');
	} else {
		buf_printf(&a->out, "%u resumed\n", n);
	}
	queue_answer(a, n ? QUEUE_EXIT_DONE : QUEUE_EXIT_NO);
}
