#include "session_config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "policy_view.h"

/* domains: the settings allow some thousands of 255 bytes */
#define CONFIG_ARENA (16 * 1024 * 1024)

static struct str copy_lower(struct arena *a, struct str s)
{
	struct str copy = arena_str(a, s);
	char *p = (char *)copy.p; /* ours since a line */

	assert(p);
	for (size_t i = 0; i < copy.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + ('a' - 'A'));
	return copy;
}

static int compare(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static const struct str *copy_sorted(struct arena *a, const struct str *list, unsigned n)
{
	struct str *copy = arena_alloc(a, n * sizeof *copy);

	assert(copy);
	for (unsigned i = 0; i < n; i++)
		copy[i] = copy_lower(a, list[i]);
	if (n > 0)
		qsort(copy, n, sizeof *copy, compare);
	return copy;
}

static const struct session_listener *copy_listeners(struct arena *a,
						     const struct session_options *o)
{
	struct session_listener *copy = arena_alloc(a, o->nlisteners * sizeof *copy);

	assert(copy);
	for (unsigned i = 0; i < o->nlisteners; i++) {
		copy[i] = o->listeners[i];
		copy[i].name = arena_str(a, o->listeners[i].name);
		assert(copy[i].name.p);
		if (copy[i].context)
			(void)tls_context_take(copy[i].context);
	}
	return copy;
}

static struct smtp_limits limits_of(const struct session_options *o)
{
	struct smtp_limits limits = smtp_limits_default;

	limits.commands = o->commands;
	limits.errors = o->errors;
	limits.refusals = o->refusals;
	limits.junk = o->junk;
	limits.messages = o->messages;
	limits.recipients = o->recipients < POLICY_RCPTS ? o->recipients : POLICY_RCPTS;
	limits.size = o->message;
	limits.routing = o->routing_characters;
	return limits;
}

struct session_config *session_config_new(const struct session_options *o)
{
	struct session_config *c = calloc(1, sizeof *c);
	struct str home;

	if (!c)
		abort();
	c->refs = 1;
	arena_init(&c->arena, CONFIG_ARENA);
	c->o = *o;
	c->o.hostname = arena_str(&c->arena, o->hostname);
	c->o.domains = copy_sorted(&c->arena, o->domains, o->ndomains);
	c->o.relay_domains = copy_sorted(&c->arena, o->relay_domains, o->nrelay_domains);
	c->o.route_domains = copy_sorted(&c->arena, o->route_domains, o->nroute_domains);
	c->o.listeners = copy_listeners(&c->arena, o);
	c->limits = limits_of(o);
	home = o->ndomains > 0 ? o->domains[0] : o->hostname;
	c->postmaster = arena_printf(&c->arena, "postmaster@%.*s", STR_ARG(home));
	assert(c->o.hostname.p && c->postmaster.p);
	return c;
}

struct session_config *session_config_take(struct session_config *c)
{
	c->refs++;
	return c;
}

void session_config_drop(struct session_config **owned)
{
	struct session_config *c = *owned;

	*owned = NULL;
	if (!c || --c->refs > 0)
		return;
	for (unsigned i = 0; i < c->o.nlisteners; i++) {
		struct tls_context *context = c->o.listeners[i].context;

		tls_context_drop(&context);
	}
	arena_fini(&c->arena);
	free(c);
}

const struct session_listener *session_config_listener(const struct session_config *c,
						       struct str name)
{
	static const struct session_listener plain = { .tls = SMTP_TLS_OFF };

	for (unsigned i = 0; i < c->o.nlisteners; i++)
		if (str_eq(name, c->o.listeners[i].name))
			return &c->o.listeners[i];
	return &plain;
}

static bool has(const struct str *sorted, unsigned n, struct str domain)
{
	return n > 0 && domain.n > 0 && bsearch(&domain, sorted, n, sizeof *sorted, compare);
}

bool session_config_is_ours(const struct session_config *c, struct str domain)
{
	return has(c->o.domains, c->o.ndomains, domain);
}

bool session_config_relays(const struct session_config *c, struct str domain)
{
	return c->o.relay_all || has(c->o.relay_domains, c->o.nrelay_domains, domain);
}

bool session_config_routes(const struct session_config *c, struct str domain)
{
	return c->o.has_default_route || has(c->o.route_domains, c->o.nroute_domains, domain);
}
