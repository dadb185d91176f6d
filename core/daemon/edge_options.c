#include "edge_options.h"

struct session_options edge_options(const struct settings *s, unsigned index)
{
	static struct str routes[SETTINGS_ROUTES + SETTINGS_DOMAINS];
	struct session_options o = {
		.hostname = s->hostname,
		.edge = (uint16_t)index,
		.domains = s->domains,
		.ndomains = s->ndomains,
		.relay_domains = s->relay_domains,
		.nrelay_domains = s->nrelay_domains,
		.routing_characters = s->routing_characters,
		.connections = s->limits.connections,
		.recipients = s->limits.recipients,
		.errors = s->limits.errors,
		.refusals = s->limits.refusals,
		.junk = s->limits.junk,
		.commands = s->limits.commands,
		.messages = s->limits.messages,
		.hops = s->limits.hops,
		.command_line = s->limits.command_line,
		.data_line = s->limits.data_line,
		.message = s->limits.message,
		.memory = s->limits.memory,
		.handshake_us = s->timeouts.handshake,
		.command_us = s->timeouts.command,
		.data_us = s->timeouts.data,
		.session_us = s->timeouts.session,
		.commit_us = s->timeouts.commit,
	};

	for (unsigned i = 0; i < s->nrelay_domains; i++)
		o.relay_all |= str_eq(s->relay_domains[i], STR("*"));
	for (unsigned i = 0; i < s->nroute; i++) {
		o.has_default_route |= str_eq(s->route[i].key, STR("*"));
		routes[o.nroute_domains++] = s->route[i].key;
	}
	o.has_default_route |= o.relay_all && s->relay_to.n;
	for (unsigned i = 0; s->relay_to.n && i < s->nrelay_domains; i++)
		routes[o.nroute_domains++] = s->relay_domains[i];
	o.route_domains = routes;
	return o;
}
