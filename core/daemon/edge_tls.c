#include "edge_tls.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "counter.h"
#include "loader_tls.h"
#include "log.h"
#include "role_secrets.h"

static struct role_secrets *secrets; /* of the process: told once */

void edge_tls_secrets(struct str text)
{
	tls_process_init();
	if (!secrets)
		secrets = sodium_malloc(sizeof *secrets);
	if (!secrets || text.n != sizeof *secrets)
		abort();
	memcpy(secrets, text.p, sizeof *secrets);
	sodium_memzero((void *)(uintptr_t)text.p, text.n);
}

static int add(struct tls_store *store, const struct snapshot *s, unsigned i, struct fault *why)
{
	static unsigned char key[LOADER_KEY];
	struct tls_pem pem;
	char name[12];
	ptrdiff_t n;
	int rc = -1;

	(void)snprintf(name, sizeof name, "%u", i);
	pem.certificate = snapshot_find(s, SNAPSHOT_CERTIFICATE, str_of(name));
	pem.staple = snapshot_find(s, SNAPSHOT_STAPLE, str_of(name));
	n = secrets ? snapshot_secret_open(secrets->key,
					   snapshot_find(s, SNAPSHOT_KEY, str_of(name)), key,
					   sizeof key)
		    : -1;
	pem.key = (struct str){ (const char *)key, n < 0 ? 0 : (size_t)n };
	if (n < 0)
		(void)fault_set(why, "tls.certificates: the key of certificate %u cannot be read",
				i + 1);
	else
		rc = tls_store_add(store, &pem, why);
	sodium_memzero(key, sizeof key);
	return rc;
}

static int make_store(struct edge_tls *t, const struct role_state *state, struct fault *why)
{
	struct str authorities = snapshot_find(&state->snapshot, SNAPSHOT_AUTHORITIES, STR(""));

	if (!state->settings.tls.ncertificates)
		return 0;
	t->store = tls_store_new();
	for (unsigned i = 0; i < state->settings.tls.ncertificates; i++)
		if (add(t->store, &state->snapshot, i, why) < 0)
			return -1;
	return authorities.n ? tls_store_trust(t->store, authorities, why) : 0;
}

static int make_listener(struct edge_tls *t, const struct settings_listener *l, struct fault *why)
{
	struct session_listener *to = &t->listeners[t->n++];
	struct tls_options o = { .listener = l->name,
				 .ciphers = l->ciphers,
				 .floor = l->floor,
				 .clients = l->clients,
				 .store = t->store,
				 .tickets = &secrets->tickets };

	*to = (struct session_listener){ .name = l->name, .tls = l->tls };
	if (l->tls == SMTP_TLS_OFF)
		return 0;
	to->context = tls_context_new(&o, why);
	return to->context ? 0 : -1;
}

int edge_tls_make(struct edge_tls *t, const struct role_state *state, struct fault *why)
{
	*t = (struct edge_tls){ .n = 0 };
	if (make_store(t, state, why) < 0)
		goto failed;
	for (unsigned i = 0; i < state->settings.nlisten; i++)
		if (make_listener(t, &state->settings.listen[i], why) < 0)
			goto failed;
	return 0;
failed:
	edge_tls_drop(t);
	return -1;
}

void edge_tls_drop(struct edge_tls *t)
{
	for (unsigned i = 0; i < t->n; i++)
		tls_context_drop(&t->listeners[i].context);
	tls_store_drop(&t->store);
	t->n = 0;
}

static void warn(const struct edge_tls *t, unsigned i, int64_t rest)
{
	struct json *j = log_open(LOG_LEVEL_WARN, "tls.certificate_ends");

	json_int(j, "certificate", i + 1);
	json_str(j, "name", tls_store_name(t->store, i));
	json_time(j, "ends", (uint64_t)tls_store_expires(t->store, i) * CLOCK_SECOND);
	json_int(j, "seconds", rest);
	log_close();
}

void edge_tls_watch(const struct edge_tls *t, uint64_t warn_us)
{
	int64_t now = (int64_t)(clock_wall() / CLOCK_SECOND), least = INT64_MAX;

	for (unsigned i = 0; t->store && i < tls_store_count(t->store); i++) {
		int64_t rest = tls_store_expires(t->store, i) - now;

		least = rest < least ? rest : least;
		if (rest < (int64_t)(warn_us / CLOCK_SECOND))
			warn(t, i, rest);
	}
	gauge_set(GAUGE_TLS_EXPIRES, least == INT64_MAX || least < 0 ? 0 : (uint64_t)least);
}
