#include "role_policy.h"

#include <stdlib.h>

#include "script.h"

#define SOURCES 512

/* What a generation borrows from: its own mapping of the snapshot. */
struct backing {
	struct snapshot snapshot;
};

static void released(struct policy_generation *g)
{
	struct backing *b = g->backing;

	snapshot_unmap(&b->snapshot);
	free(b);
}

/* source_of - a SNAPSHOT_SOURCE section is its path, NUL, its text */
static struct script_source source_of(struct str name, struct str data)
{
	struct script_source s = { .name = name };

	if (!str_take(&data, '\0', &s.path))
		s.path = name;
	s.text = data;
	return s;
}

static void collect(const struct snapshot *s, struct script_options *o,
		    struct script_source *sources, struct script_map *maps)
{
	enum snapshot_kind kind;
	struct str name, data;
	size_t at = 0;

	while (snapshot_next(s, &at, &kind, &name, &data))
		if (kind == SNAPSHOT_SOURCE && o->nsources < SOURCES)
			sources[o->nsources++] = source_of(name, data);
		else if (kind == SNAPSHOT_MAP && o->nmaps < SETTINGS_MAPS)
			maps[o->nmaps++] = (struct script_map){ name, data };
	o->sources = sources;
	o->maps = maps;
}

static int load(struct policy_generation *g, struct role *r, const struct role_state *state,
		struct buf *errors)
{
	static struct script_source sources[SOURCES];
	static struct script_map maps[SETTINGS_MAPS];
	struct backing *b = g->backing;
	struct script_options o = {
		.loop = r->loop,
		.cpu_us = state->settings.budget.cpu,
		.load_us = state->settings.budget.load,
		.memory = state->settings.budget.memory,
		.is_edge = r->kind == ROLE_EDGE,
	};

	collect(&b->snapshot, &o, sources, maps);
	if (!o.nsources) /* no policy: every question passes */
		return 0;
	return script_load(g, &o, errors);
}

static struct policy_generation *generation_of(struct role *r, const struct role_state *state,
					       struct buf *errors)
{
	struct policy_generation *g =
		policy_generation_new(state->number, str_of(state->snapshot.hash));
	struct backing *b = calloc(1, sizeof *b);
	struct fault why;

	if (!b)
		abort();
	if (snapshot_map(state->fd, &b->snapshot, &why) < 0) {
		buf_printf(errors, "%s\n", why.text);
		free(b);
		policy_generation_free(&g);
		return NULL;
	}
	g->backing = b;
	g->released = released;
	if (load(g, r, state, errors) < 0)
		policy_generation_free(&g);
	return g;
}

int role_policy_start(struct role_policy *p, struct role *r, struct fault *why)
{
	struct buf errors;
	struct policy_generation *g;

	script_process_init();
	policy_set_init(&p->set);
	buf_init(&errors, ROLE_TEXT);
	g = generation_of(r, &r->state, &errors);
	if (g)
		policy_set_commit(&p->set, g);
	else
		fault_set(why, "%.*s", STR_ARG(str_trim(buf_str(&errors))));
	buf_fini(&errors);
	return g ? 0 : -1;
}

int role_policy_prepare(struct role_policy *p, struct role *r, struct role_state *next,
			struct buf *errors)
{
	policy_generation_free(&p->next);
	p->next = generation_of(r, next, errors);
	return p->next ? 0 : -1;
}

void role_policy_commit(struct role_policy *p)
{
	struct policy_generation *g = p->next;

	p->next = NULL;
	if (g)
		policy_set_commit(&p->set, g);
}

void role_policy_abort(struct role_policy *p)
{
	policy_generation_free(&p->next);
}
