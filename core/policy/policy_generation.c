#include "policy_generation.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void policy_set_init(struct policy_set *s)
{
	*s = (struct policy_set){ 0 };
	list_init(&s->retired);
}

struct policy_generation *policy_generation_new(unsigned number, struct str hash)
{
	struct policy_generation *g = calloc(1, sizeof *g);

	if (!g)
		abort();
	list_init(&g->node);
	g->number = number;
	str_copy(g->hash, sizeof g->hash, hash);
	(void)snprintf(g->name, sizeof g->name, "%u/%.8s", number, g->hash);
	return g;
}

void policy_generation_free(struct policy_generation **gp)
{
	struct policy_generation *g = *gp;

	if (!g)
		return;
	assert(g->pins == 0);
	*gp = NULL;
	list_remove(&g->node);
	if (g->ops)
		g->ops->destroy(g);
	if (g->released)
		g->released(g);
	free(g);
}

/* collect - a retired generation dies when nobody holds it */
static void collect(struct policy_set *s, struct policy_generation *g)
{
	if (!g->is_retired || g->pins > 0)
		return;
	s->alive--;
	policy_generation_free(&g);
}

/*
 * mark_overdue - the oldest are the first in the list; their holders are asked to let go, never
 * forced
 */
static void mark_overdue(struct policy_set *s)
{
	unsigned surplus = s->alive > GENERATIONS_ALIVE ? s->alive - GENERATIONS_ALIVE : 0;

	LIST_EACH(node, &s->retired)
	{
		if (surplus == 0)
			break;
		surplus--;
		LIST_ITEM(node, struct policy_generation, node)->is_overdue = true;
	}
}

static void retire(struct policy_set *s, struct policy_generation *g)
{
	g->is_retired = true;
	list_append(&s->retired, &g->node);
	if (g->ops)
		g->ops->retire(g);
	collect(s, g);
}

void policy_set_commit(struct policy_set *s, struct policy_generation *g)
{
	struct policy_generation *old = s->active;

	assert(g && g != old && !g->is_retired);
	s->active = g;
	s->alive++;
	if (old) /* one owner of timers at a time */
		retire(s, old);
	if (g->ops)
		g->ops->activate(g);
	mark_overdue(s);
}

struct policy_generation *policy_pin(struct policy_set *s)
{
	if (s->active)
		s->active->pins++;
	return s->active;
}

void policy_unpin(struct policy_set *s, struct policy_generation **gp)
{
	struct policy_generation *g = *gp;

	*gp = NULL;
	if (!g)
		return;
	assert(g->pins > 0);
	g->pins--;
	collect(s, g);
}

bool policy_generation_is_overdue(const struct policy_generation *g)
{
	return g && g->is_overdue;
}

void policy_set_fini(struct policy_set *s)
{
	struct list *node;

	while ((node = list_take(&s->retired)) != NULL) {
		struct policy_generation *g = LIST_ITEM(node, struct policy_generation, node);

		policy_generation_free(&g);
	}
	policy_generation_free(&s->active);
	s->alive = 0;
}
