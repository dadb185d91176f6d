#include "queue_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/*
 * How old what waits is, by destination: a table in which a destination that stopped taking mail
 * stands out. Messages without a destination are counted by where they are.
 */

#define SHAPE_ROWS 10000 /* destinations; the rest is one row */

static const unsigned limits[] = { 5, 10, 20, 40, 80, 160, 320, 640, 1280 }; /* minutes */
#define AGES (COUNT(limits) + 1)

struct row {
	struct map_node node;
	unsigned total, ages[AGES];
	size_t length;
	char name[];
};

struct shape {
	struct map rows;
	struct row *others;
};

static bool is_row(const struct map_node *node, const void *name)
{
	const struct row *r = container_of(node, struct row, node);

	return str_eq((struct str){ r->name, r->length }, *(const struct str *)name);
}

static struct row *row_new(struct shape *s, struct str name)
{
	struct row *r = calloc(1, sizeof *r + name.n);

	if (!r)
		return NULL;
	memcpy(r->name, name.p, name.n);
	r->length = name.n;
	map_put(&s->rows, &r->node, map_hash(name));
	return r;
}

static struct row *row_of(struct shape *s, struct str name)
{
	struct map_node *node = map_get(&s->rows, map_hash(name), is_row, &name);
	struct row *r = NULL;

	if (node)
		return container_of(node, struct row, node);
	if (s->rows.count < SHAPE_ROWS)
		r = row_new(s, name);
	return r ? r : s->others;
}

static bool begin(struct queue_errand *e)
{
	struct shape *s = calloc(1, sizeof *s);

	if (s) {
		map_init(&s->rows);
		s->others = row_new(s, STR("(others)"));
	}
	if (!s || !s->others) {
		if (s)
			map_fini(&s->rows);
		free(s);
		queue_answer_say(&e->ask, QUEUE_EXIT_BUSY, "no memory");
		return false;
	}
	e->own = s;
	return true;
}

static struct str name_of(const struct queue_job *j, char name[32])
{
	if (j->destination)
		return queue_destination_key(j->destination);
	(void)snprintf(name, 32, "(%s)", queue_place_name[j->place]);
	return str_of(name);
}

static enum queue_change count(struct queue_errand *e, struct queue_message *m)
{
	uint32_t now = queue_now(e->ask.queue),
		 age = now > m->created ? (now - m->created) / 60 : 0;
	unsigned column = 0;
	char name[32];

	while (column < COUNT(limits) && age >= limits[column])
		column++;
	for (const struct queue_job *j = &m->job; j; j = j->next) {
		struct row *r;

		if (j == &m->job && queue_job_count(j) == 0)
			continue;
		r = row_of(e->own, name_of(j, name));
		r->total++;
		r->ages[column]++;
	}
	return QUEUE_NOTHING;
}

/* ---- the table ------------------------------------------------------------------------------- */

static int by_total(const void *a, const void *b)
{
	const struct row *r = *(const struct row *const *)a, *s = *(const struct row *const *)b;

	if (r->total != s->total)
		return r->total < s->total ? 1 : -1;
	return str_cmp((struct str){ r->name, r->length }, (struct str){ s->name, s->length });
}

static void write_row(struct queue_ask *a, const struct row *r)
{
	struct json j;
	char text[16];

	if (!a->json) {
		buf_printf(&a->out, "%-40.*s %7u", (int)r->length, r->name, r->total);
		for (unsigned i = 0; i < AGES; i++)
			buf_printf(&a->out, " %6u", r->ages[i]);
		buf_byte(&a->out, '\n');
		return;
	}
	json_init(&j, &a->out);
	json_open(&j, NULL, '{');
	json_str(&j, "destination", (struct str){ r->name, r->length });
	json_int(&j, "total", r->total);
	json_open(&j, "minutes", '{');
	for (unsigned i = 0; i < AGES; i++) {
		(void)snprintf(text, sizeof text, i < COUNT(limits) ? "<%u" : "%u+",
			       limits[i < COUNT(limits) ? i : i - 1]);
		json_int(&j, text, r->ages[i]);
	}
	json_close(&j, '}');
	json_close(&j, '}');
	buf_byte(&a->out, '\n');
}

static void write_head(struct queue_ask *a, struct row *total)
{
	if (a->json)
		return;
	buf_printf(&a->out, "%-40s %7s", "minutes", "total");
	for (unsigned i = 0; i < COUNT(limits); i++)
		buf_printf(&a->out, " %6u", limits[i]);
	buf_printf(&a->out, " %6s\n", "1280+");
	write_row(a, total);
}

static void end(struct queue_errand *e)
{
	struct shape *s = e->own;
	struct row **all = calloc(s->rows.count, sizeof(struct row *));
	struct row *total = calloc(1, sizeof *total + 8);
	struct map_node *node = NULL;
	unsigned n = 0;

	if (!all || !total) {
		queue_answer_say(&e->ask, QUEUE_EXIT_BUSY, "no memory");
		goto out;
	}
	total->length = str_copy(total->name, 8, STR("TOTAL"));
	while ((node = map_next(&s->rows, node))) {
		all[n] = container_of(node, struct row, node);
		total->total += all[n]->total;
		for (unsigned i = 0; i < AGES; i++)
			total->ages[i] += all[n]->ages[i];
		n += all[n]->total > 0;
	}
	qsort(all, n, sizeof(struct row *), by_total);
	write_head(&e->ask, total);
	for (unsigned i = 0; i < n; i++)
		write_row(&e->ask, all[i]);
	queue_answer(&e->ask, QUEUE_EXIT_DONE);
out:
	free(all);
	free(total);
}

static void fini(struct queue_errand *e)
{
	struct shape *s = e->own;
	struct map_node *node;

	while ((node = map_next(&s->rows, NULL))) {
		map_remove(&s->rows, node);
		free(container_of(node, struct row, node));
	}
	map_fini(&s->rows);
	free(s);
}

const struct queue_work queue_shape_work = {
	.name = "shape",
	.done = "counted",
	.is_view = true,
	.apply = count,
	.begin = begin,
	.end = end,
	.fini = fini,
};
