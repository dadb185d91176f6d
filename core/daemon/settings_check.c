#include "settings_eval.h"

#include "net_conn.h"
#include "settings_unit.h"

#include <string.h>

/* What one setting alone cannot tell. Everything here was read by the schema: addresses parse,
 * numbers are in bounds. */

#define PRIVILEGED 1024

static bool is_all(const struct str *domains, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (str_eq(domains[i], STR("*")))
			return true;
	return false;
}

static void check_listener(const struct settings *s, unsigned i, struct settings_source *source)
{
	struct settings_place place = settings_place_at(settings_place_of(STR("listen")), i + 1);
	const struct settings_listener *l = &s->listen[i];
	struct net_address address;
	struct fault why;

	if (net_address_parse(l->address, &address, &why) < 0)
		return;
	for (unsigned k = 0; k < i; k++) {
		if (str_eq(l->address, s->listen[k].address))
			settings_source_problem(source, &place, "listen: %.*s is there twice",
						STR_ARG(l->address));
		else if (str_eq(l->name, s->listen[k].name))
			settings_source_problem(source, &place,
						"listen: two listeners are named %.*s",
						STR_ARG(l->name));
	}
	if (is_all(s->relay_domains, s->nrelay_domains) && !net_address_is_local(&address))
		settings_source_problem(
			source, &place,
			"listen: %.*s can be reached from outside: with relay.domains = \"*\" this "
			"would be an "
			"open relay; only loopback addresses and Unix sockets may have that",
			STR_ARG(l->address));
	if (net_address_port(&address) > 0 && net_address_port(&address) < PRIVILEGED)
		settings_source_note(source, &place,
				     "listen: %.*s is below port %d: it takes root, "
				     "CAP_NET_BIND_SERVICE or a service manager",
				     STR_ARG(l->address), PRIVILEGED);
}

static void check_tls(const struct settings *s, unsigned i, struct settings_source *source)
{
	struct settings_place place = settings_place_at(settings_place_of(STR("listen")), i + 1);
	const struct settings_listener *l = &s->listen[i];

	if (l->tls != SMTP_TLS_OFF && !s->tls.ncertificates)
		settings_source_problem(
			source, &place,
			"listen: %.*s is to speak TLS, and there is no certificate: "
			"tls = { certificates = { { cert = ..., key = ... } } }",
			STR_ARG(l->name));
	if (l->clients != TLS_CLIENTS_OFF && !s->tls.authorities.n)
		settings_source_problem(
			source, &place,
			"listen: %.*s asks for client certificates: tls.authorities "
			"must name those who sign them",
			STR_ARG(l->name));
	if (l->clients == TLS_CLIENTS_REQUIRE && l->tls == SMTP_TLS_OFFERED)
		settings_source_note(source, &place,
				     "listen: %.*s requires client certificates and offers plain "
				     "text, too: tls = \"required\" does not",
				     STR_ARG(l->name));
}

static void check_listen(const struct settings *s, struct settings_source *source)
{
	struct settings_place place = settings_place_of(STR("listen"));

	if (s->nlisten == 0)
		settings_source_problem(
			source, &place,
			"listen: at least one address is needed, like \"127.0.0.1:2525\"");
	for (unsigned i = 0; i < s->nlisten; i++) {
		check_listener(s, i, source);
		check_tls(s, i, source);
	}
}

/* check_relay - what would be accepted, and would it know where to go? */
static void check_relay(const struct settings *s, struct settings_source *source)
{
	struct settings_place place = settings_place_of(STR("relay.domains"));

	if (is_all(s->relay_domains, s->nrelay_domains) && s->nrelay_domains > 1)
		settings_source_problem(
			source, &place,
			"relay.domains: \"*\" stands for all domains: it must stand alone");
	if (s->nrelay_domains && !s->relay_to.n && !s->nroute && !s->policy.n)
		settings_source_note(source, &place,
				     "relay.domains: there is no relay.to, no route and no policy: "
				     "their mail has "
				     "no way to go, and will be refused");
	if (!s->nrelay_domains && !s->policy.n)
		settings_source_note(source, &place,
				     "no relay.domains and no policy: no mail will be accepted");
}

struct order {
	const char *less, *more;
	uint64_t a, b;
};

static void check_orders(const struct settings *s, struct settings_source *source)
{
	/* clang-format off */
	const struct order orders[] = {
		{ "retry.first",    "retry.longest",     s->retry.first,    s->retry.longest },
		{ "retry.first",    "retry.expire",      s->retry.first,    s->retry.expire },
		{ "timeouts.data",  "timeouts.session",  s->timeouts.data,  s->timeouts.session },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		struct settings_place place = settings_place_of(str_of(orders[i].less));
		char less[SETTINGS_UNIT_TEXT], more[SETTINGS_UNIT_TEXT];

		if (orders[i].a > orders[i].b)
			settings_source_problem(
				source, &place, "%s (%s) must not be longer than %s (%s)",
				orders[i].less, settings_unit_duration_text(orders[i].a, less),
				orders[i].more, settings_unit_duration_text(orders[i].b, more));
	}
}

static void check_store(const struct settings *s, struct settings_source *source)
{
	struct settings_place place = settings_place_of(STR("store.segment"));

	if (s->store.segment % 4096)
		settings_source_problem(source, &place,
					"store.segment: must be a multiple of 4KiB");
}

void settings_check(const struct settings *s, struct settings_source *source)
{
	check_listen(s, source);
	check_relay(s, source);
	check_orders(s, source);
	check_store(s, source);
}
