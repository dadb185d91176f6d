#include "loader_tls.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "loader_tree.h"
#include "snapshot.h"
#include "snapshot_secret.h"
#include "tls_context.h"

#define DAY 86400

struct job {
	const struct settings *s;
	const unsigned char *secret;
	struct settings_source *source;
	struct buf *sections;
	struct tls_store *store;
	struct arena arena; /* of one certificate's files; wiped */
};

static void complain(struct job *j, const struct settings_place *place, const char *what,
		     struct str path, const struct fault *why)
{
	struct str shown = settings_source_shown(j->source, path), text = str_of(why->text);

	/* a fault of reading begins with the path as it was opened */
	if (str_has_prefix(text, path))
		text = str_drop(text, path.n + 2);
	settings_source_problem(j->source, place, "%s: %.*s: %.*s", what, STR_ARG(shown),
				STR_ARG(text));
}

static bool read_file(struct job *j, const struct settings_place *place, struct str path,
		      struct str *text)
{
	struct fault why = { 0 };

	*text = STR("");
	if (!path.n || loader_file_read(path, LOADER_PEM, &j->arena, text, &why) == 0)
		return true;
	complain(j, place, "tls", path, &why);
	return false;
}

static void add(struct job *j, enum snapshot_kind kind, const char *name, struct str data)
{
	struct settings_place place = settings_place_of(STR("tls"));

	if (!snapshot_add(j->sections, kind, str_of(name), data))
		settings_source_problem(j->source, &place, "tls: its files together are too big");
}

static void add_key(struct job *j, const char *name, struct str key)
{
	struct buf sealed;

	if (!j->secret)
		return;
	buf_init(&sealed, LOADER_PEM + SNAPSHOT_SECRET_MORE);
	if (snapshot_secret_seal(j->secret, key, &sealed))
		add(j, SNAPSHOT_KEY, name, buf_str(&sealed));
	buf_fini(&sealed);
}

/* warn - it ends before long, or has ended: mail goes on, but clients that look turn away */
static void warn(struct job *j, const struct settings_place *place, struct str path, unsigned i)
{
	int64_t rest = tls_store_expires(j->store, i) - (int64_t)(clock_wall() / CLOCK_SECOND);
	struct str shown = settings_source_shown(j->source, path);

	if (rest < 0)
		settings_source_note(j->source, place, "tls.certificates: %.*s has expired",
				     STR_ARG(shown));
	else if (rest < (int64_t)(j->s->tls.warn / CLOCK_SECOND))
		settings_source_note(j->source, place,
				     "tls.certificates: %.*s expires within %lld days",
				     STR_ARG(shown), (long long)(rest / DAY + 1));
}

static void take_certificate(struct job *j, unsigned i)
{
	const struct settings_certificate *c = &j->s->tls.certificates[i];
	struct settings_place place =
		settings_place_at(settings_place_of(STR("tls.certificates")), i + 1);
	struct fault why = { 0 };
	struct tls_pem pem;
	char name[12];

	if (!read_file(j, &place, c->certificate, &pem.certificate) ||
	    !read_file(j, &place, c->key, &pem.key) ||
	    !read_file(j, &place, c->staple, &pem.staple))
		return;
	if (pem.key.n > LOADER_KEY)
		(void)fault_set(&why, "its key has more than %d bytes", LOADER_KEY);
	if (pem.key.n > LOADER_KEY || tls_store_add(j->store, &pem, &why) < 0) {
		complain(j, &place, "tls.certificates", c->certificate, &why);
		return;
	}
	(void)snprintf(name, sizeof name, "%u", i);
	add(j, SNAPSHOT_CERTIFICATE, name, pem.certificate);
	add(j, SNAPSHOT_STAPLE, name, pem.staple);
	add_key(j, name, pem.key);
	sodium_memzero((void *)(uintptr_t)pem.key.p, pem.key.n);
	warn(j, &place, c->certificate, tls_store_count(j->store) - 1);
}

static void take_authorities(struct job *j)
{
	struct settings_place place = settings_place_of(STR("tls.authorities"));
	struct str path = j->s->tls.authorities, pem;
	struct fault why = { 0 };

	if (!path.n || !read_file(j, &place, path, &pem))
		return;
	if (tls_store_trust(j->store, pem, &why) < 0)
		complain(j, &place, "tls.authorities", path, &why);
	add(j, SNAPSHOT_AUTHORITIES, "", pem);
}

/* try_listener - as the edges will */
static void try_listener(struct job *j, unsigned i)
{
	const struct settings_listener *l = &j->s->listen[i];
	struct settings_place place = settings_place_at(settings_place_of(STR("listen")), i + 1);
	struct tls_options o = { .listener = l->name,
				 .ciphers = l->ciphers,
				 .floor = l->floor,
				 .clients = l->clients,
				 .store = j->store };
	struct fault why = { 0 };
	struct tls_context *c;

	if (l->tls == SMTP_TLS_OFF)
		return;
	c = tls_context_new(&o, &why);
	if (!c)
		settings_source_problem(j->source, &place, "listen: %.*s: %s", STR_ARG(l->name),
					why.text);
	tls_context_drop(&c);
}

void loader_tls(const struct settings *s, const unsigned char *secret,
		struct settings_source *source, struct buf *sections)
{
	struct job j = { .s = s, .secret = secret, .source = source, .sections = sections };
	unsigned before = source->nerrors;

	if (!s->tls.ncertificates && !s->tls.authorities.n)
		return;
	tls_process_init();
	j.store = tls_store_new();
	arena_init(&j.arena, 4 * LOADER_PEM);
	for (unsigned i = 0; i < s->tls.ncertificates; i++) {
		take_certificate(&j, i);
		arena_reset(&j.arena);
	}
	take_authorities(&j);
	for (unsigned i = 0; i < s->nlisten && source->nerrors == before; i++)
		try_listener(&j, i);
	arena_fini(&j.arena);
	tls_store_drop(&j.store);
}
