#include "delivery_settings.h"

#include <stdlib.h>

#define BYTES (64 * 1024 * 1024) /* settings are the operator's; this only stops a runaway */

struct entry {
	struct map_node node;
	struct str domain, next_hop;
};

static bool is_domain(const struct map_node *node, const void *key)
{
	const struct entry *e = container_of(node, struct entry, node);

	return str_ieq(e->domain, *(const struct str *)key);
}

static const struct entry *find(const struct delivery_settings *s, struct str domain)
{
	struct map_node *node = map_get(&s->domains, map_hash_fold(domain), is_domain, &domain);

	return node ? container_of(node, struct entry, node) : NULL;
}

static struct str keep(struct delivery_settings *s, struct str text)
{
	struct str copy = arena_str(&s->arena, text);

	if (!copy.p)
		abort();
	return copy;
}

/* put - the first to name a domain has it */
static void put(struct delivery_settings *s, struct str domain, struct str next_hop)
{
	struct entry *e;

	if (find(s, domain))
		return;
	e = arena_alloc(&s->arena, sizeof *e);
	if (!e)
		abort();
	e->domain = keep(s, domain);
	e->next_hop = next_hop;
	map_put(&s->domains, &e->node, map_hash_fold(e->domain));
}

void delivery_settings_init(struct delivery_settings *s, const struct delivery_options *o)
{
	struct str relay_to;

	*s = (struct delivery_settings){ .o = *o };
	arena_init(&s->arena, BYTES);
	map_init(&s->domains);
	s->o.hostname = keep(s, o->hostname);
	s->o.relay_to = relay_to = keep(s, o->relay_to);
	for (unsigned i = 0; i < o->nroutes; i++) {
		if (str_eq(o->routes[i].domain, STR("*")))
			s->any = keep(s, o->routes[i].next_hop);
		else
			put(s, o->routes[i].domain, keep(s, o->routes[i].next_hop));
	}
	for (unsigned i = 0; relay_to.n > 0 && i < o->nrelay_domains; i++)
		put(s, o->relay_domains[i], relay_to);
	if (relay_to.n > 0 && o->relay_all)
		s->any = relay_to;
	s->o.routes = NULL;
	s->o.relay_domains = NULL;
	s->o.nroutes = s->o.nrelay_domains = 0;
}

void delivery_settings_set(struct delivery_settings *s, const struct delivery_options *o)
{
	struct delivery_settings old = *s;

	delivery_settings_init(s, o); /* before the old ones go: o may point into them */
	delivery_settings_fini(&old);
}

void delivery_settings_fini(struct delivery_settings *s)
{
	map_fini(&s->domains);
	arena_fini(&s->arena);
}

struct str delivery_settings_route(const struct delivery_settings *s, struct str domain)
{
	const struct entry *e = find(s, domain);

	return e ? e->next_hop : s->any;
}
