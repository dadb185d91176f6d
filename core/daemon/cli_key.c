#include "cli_look.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "key_file.h"
#include "privilege.h"

/* moongate spool key new|rotate|status: the master keys of a sealed spool. */

static int complain(const struct fault *why, int code)
{
	(void)fprintf(stderr, "moongate: %s\n", why->text);
	return code;
}

struct place {
	char key[KEY_FILE_PATH];
	bool is_credential;
	long owner; /* of a new file; -1: us */
};

/* take_settings - where they say it is, and who shall read it */
static bool take_settings(const struct cli *c, struct place *p, struct str *where)
{
	static struct settings settings;
	static struct arena arena;

	arena_init(&arena, CLI_SETTINGS_MEMORY);
	if (!cli_settings(c, &settings, &arena))
		return false;
	p->owner = privilege_owner(&settings);
	if (!where->n)
		*where = settings.spool_key;
	return true;
}

/* find - the key file: the argument, --key, or what the settings say */
static int find(const struct cli *c, const char *given, struct place *p)
{
	struct str where = str_of(given ? given : c->key);
	struct fault why;

	*p = (struct place){ .owner = -1 };
	if ((!where.n || c->has_settings) && !take_settings(c, p, &where))
		return EX_CONFIG;
	if (!where.n) {
		(void)fprintf(stderr, "moongate: no key file: name it, or set `spool_key` in %s\n",
			      c->settings);
		return EX_CONFIG;
	}
	p->is_credential = key_file_is_credential(where);
	return key_file_path(where, p->key, &why) < 0 ? complain(&why, EX_CONFIG) : 0;
}

/* ---- new and rotate -------------------------------------------------------------------------- */

static void tell(const struct cli *c, const char *file, const struct spool_key *key)
{
	char id[SPOOL_KEY_NAME];

	spool_key_name(key->id, id);
	(void)printf(c->json ? "{\"key\":\"%s\",\"file\":\"%s\"}\n" : "key %s, in %s\n", id, file);
}

static int with_new_key(const struct cli *c, struct place *p, bool is_first)
{
	struct spool_key *key = spool_secret_new(sizeof *key);
	struct fault why;
	int rc;

	spool_key_make(key);
	rc = is_first ? key_file_make(p->key, key, p->owner, &why)
		      : key_file_add(p->key, key, &why);
	if (rc == 0)
		tell(c, p->key, key);
	spool_secret_free(key);
	return rc < 0 ? complain(&why, EX_CANTCREAT) : 0;
}

/* find_file - the place of the keys, where that is no credential: else `instead` is what to do */
static int find_file(const struct cli *c, const char *file, const char *instead, struct place *p)
{
	int code = find(c, file, p);

	if (code || !p->is_credential)
		return code;
	(void)fprintf(stderr, "moongate: %s is a credential: %s\n", p->key, instead);
	return EX_USAGE;
}

static int key_new(const struct cli *c, const char *file)
{
	struct place p;
	int code = find_file(
		c, file, "make a file with `moongate spool key new FILE`, and load it from there",
		&p);

	return code ? code : with_new_key(c, &p, true);
}

static int key_rotate(const struct cli *c, const char *file)
{
	struct cli reload = *c;
	struct place p;
	int code = find_file(c, file,
			     "rotate the file that it comes from, then restart the service", &p);

	if (code == 0)
		code = with_new_key(c, &p, false);
	if (code || file)
		return code;
	for (unsigned i = 0; i < cli_commands_count; i++)
		if (strcmp(cli_commands[i].noun, "reload") == 0)
			reload.command = &cli_commands[i];
	reload.nargs = 0;
	code = cli_ask(&reload);
	if (code == EX_UNAVAILABLE)
		return 0; /* nothing runs: the next start uses it */
	return code;
}

/* ---- status ---------------------------------------------------------------------------------- */

#define USES (SPOOL_KEYS_MAX + 64)

struct use {
	unsigned char id[SPOOL_KEY_ID];
	bool is_there, is_current;
	unsigned segments;
};

struct uses {
	struct use all[USES];
	unsigned n, plain;
};

static struct use *use_of(struct uses *u, const unsigned char id[SPOOL_KEY_ID])
{
	for (unsigned i = 0; i < u->n; i++)
		if (memcmp(u->all[i].id, id, SPOOL_KEY_ID) == 0)
			return &u->all[i];
	if (u->n == USES)
		return NULL;
	memcpy(u->all[u->n].id, id, SPOOL_KEY_ID);
	return &u->all[u->n++];
}

/* count - both copies of a header: while one of them needs a key, it is needed */
static void count(struct uses *u, const char block[SPOOL_BLOCK])
{
	const unsigned char *before = NULL, *id;
	struct spool_header h[2];
	bool is_plain = false;

	for (unsigned i = 0; i < 2; i++) {
		struct use *use;

		if (!spool_header_get(block + i * SPOOL_HEADER_COPY, &h[i]))
			continue;
		id = spool_key_of(&h[i]);
		is_plain |= !id;
		if (!id || (before && memcmp(before, id, SPOOL_KEY_ID) == 0))
			continue;
		use = use_of(u, id);
		if (use)
			use->segments++;
		before = id;
	}
	u->plain += is_plain && !before;
}

static void count_all(struct uses *u, struct cli_look *l)
{
	char block[SPOOL_BLOCK];

	for (unsigned i = 0; l->keys && i < l->keys->n; i++) {
		struct use *use = use_of(u, l->keys->at[i].id);

		use->is_there = true;
		use->is_current = i + 1 == l->keys->n;
	}
	for (unsigned i = 1; i <= l->replay->nsegments; i++) {
		const struct spool_replay_segment *s = &l->replay->segments[i];

		if (s->state != SPOOL_REPLAY_NONE && s->fd >= 0 &&
		    spool_file_read_all(l->file, s->fd, block, sizeof block, 0) == 0)
			count(u, block);
	}
}

static const char *say(const struct use *use)
{
	if (!use->is_there)
		return "MISSING: its line is needed in the key file";
	if (use->is_current)
		return "current";
	return use->segments ? "still needed" : "not needed any more: its line may be removed";
}

static void one_json(struct cli_look *l, const struct use *use, const char *id)
{
	struct json j;

	json_init(&j, &l->line);
	json_open(&j, NULL, '{');
	json_str(&j, "key", str_of(id));
	json_int(&j, "segments", use->segments);
	json_bool(&j, "there", use->is_there);
	json_bool(&j, "current", use->is_current);
	json_close(&j, '}');
	buf_byte(&l->line, '\n');
	cli_look_flush(l);
}

static void report(struct cli_look *l, const struct uses *u)
{
	for (unsigned i = 0; i < u->n; i++) {
		char id[SPOOL_KEY_NAME];

		spool_key_name(u->all[i].id, id);
		if (l->cli->json)
			one_json(l, &u->all[i], id);
		else
			(void)printf("key %s  %5u segments  %s\n", id, u->all[i].segments,
				     say(&u->all[i]));
		if (!u->all[i].is_there)
			l->code = CLI_NO;
	}
	(void)printf(l->cli->json ? "{\"plain\":%u}\n" : "plain                 %5u segments\n",
		     u->plain);
}

static int key_status(const struct cli *c, const char *directory)
{
	struct cli_look l = { .cli = c };
	struct uses u = { .n = 0 };
	char path[CLI_LOOK_PATH];

	if (!cli_look_directory(c, directory, path, sizeof path))
		return EX_CONFIG;
	if (cli_look_headers(&l, c, path) == 0) {
		count_all(&u, &l);
		report(&l, &u);
	}
	return cli_look_close(&l);
}

int cli_spool_key(const struct cli *c)
{
	/* clang-format off */
	static const struct { const char *word; int (*run)(const struct cli *c, const char *argument); } words[] = {
		{ "new", key_new }, { "rotate", key_rotate }, { "status", key_status },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(words); i++)
		if (strcmp(c->args[0], words[i].word) == 0)
			return words[i].run(c, c->nargs > 1 ? c->args[1] : NULL);
	(void)fprintf(stderr, "moongate: `spool key %s`: expected new, rotate or status\n",
		      c->args[0]);
	return EX_USAGE;
}
