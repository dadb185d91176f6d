#include "loader.h"

#include <errno.h>
#include <string.h>

#include "key_file.h"
#include "loader_tls.h"
#include "loader_tree.h"
#include "log.h"
#include "settings_eval.h"
#include "snapshot.h"
#include "state_map.h"
#include "trial_test.h"

#define SETTINGS_MEMORY (64 * 1024 * 1024)
#define MAP_TEXT        ((size_t)512 * 1024 * 1024) /* bytes of the file behind a map */
#define POLICY_ERRORS   (48 * 1024)
#define ORDER_TEXT      (1024 * 1024)

struct loader {
	struct buf *told; /* a line per test of the policy; may be NULL */
	struct trial_count tests;
	struct arena arena;
	struct settings_source source;
	struct settings settings;
	struct loader_tree tree;
	struct buf sections;
	struct buf errors; /* of maps and policy: shown behind those of the settings */
	struct script_map maps[SETTINGS_MAPS];
	struct buf images[SETTINGS_MAPS];
	struct script_source sources[LOADER_FILES];
};

static bool is_good(const struct loader *l)
{
	return l->source.nerrors == 0 && buf_len(&l->errors) == 0;
}

/* complain - a message that begins with an absolute path, with the path as the operator gave it */
static void complain(struct loader *l, const struct settings_place *place, const char *setting,
		     const struct fault *why)
{
	ptrdiff_t colon = str_find(str_of(why->text), ':');
	struct str path = str_head(str_of(why->text), colon < 0 ? 0 : (size_t)colon);
	struct str shown = settings_source_shown(&l->source, path);

	settings_source_problem(&l->source, place, "%s: %.*s%s", setting, STR_ARG(shown),
				why->text + path.n);
}

/* ---- maps ----------------------------------------------------------------------------------- */

static void load_map(struct loader *l, unsigned i)
{
	const struct settings_pair *map = &l->settings.maps[i];
	struct settings_place place = settings_place_in(settings_place_of(STR("maps")), map->key);
	struct arena text_arena;
	struct fault why = { 0 };
	struct str text;

	arena_init(&text_arena, MAP_TEXT + 4096);
	buf_init(&l->images[i], SNAPSHOT_MAX);
	if (loader_file_read(map->value, MAP_TEXT, &text_arena, &text, &why) < 0)
		complain(l, &place, "maps", &why);
	else if (state_map_compile(settings_source_shown(&l->source, map->value), text,
				   &l->images[i], &l->errors) == 0 &&
		 !snapshot_add(&l->sections, SNAPSHOT_MAP, map->key, buf_str(&l->images[i])))
		settings_source_problem(&l->source, &place,
					"maps: all of them together are too big");
	l->maps[i] = (struct script_map){ .name = map->key, .image = buf_str(&l->images[i]) };
	arena_fini(&text_arena);
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* check_keys - of the spool: only whether they are good; the master gives them to who needs them */
static void check_keys(struct loader *l)
{
	struct settings_place place = settings_place_of(STR("spool_key"));
	struct spool_keys *keys;
	struct fault why;

	if (!l->settings.spool_key.n)
		return;
	keys = spool_keys_new();
	if (key_file_read(l->settings.spool_key, keys, &why) < 0) {
		if (why.sys == EACCES)
			settings_source_note(&l->source, &place, "spool_key: %s", why.text);
		else
			complain(l, &place, "spool_key", &why);
	}
	spool_keys_free(&keys);
}

/* ---- policy --------------------------------------------------------------------------------- */

static bool add_source(struct loader *l, const struct script_source *s)
{
	struct str data = arena_printf(&l->arena, "%.*s%c", STR_ARG(s->path), '\0');
	struct buf joined;
	bool ok;

	buf_init(&joined, data.n + s->text.n);
	ok = data.p && buf_add(&joined, data) && buf_add(&joined, s->text) &&
	     snapshot_add(&l->sections, SNAPSHOT_SOURCE, s->name, buf_str(&joined));
	buf_fini(&joined);
	return ok;
}

static bool read_policy(struct loader *l)
{
	struct settings_place place = settings_place_of(STR("policy"));
	struct fault why = { 0 };

	if (!l->settings.policy.n)
		return true;
	if (loader_tree_read(&l->tree, l->settings.policy, l->source.path, &why) < 0) {
		complain(l, &place, "policy", &why);
		return false;
	}
	for (unsigned i = 0; i < l->tree.n; i++) {
		const struct loader_file *file = &l->tree.files[i];

		l->sources[i] = (struct script_source){
			.name = file->name,
			.path = settings_source_shown(&l->source, file->path),
			.text = file->text,
		};
		if (add_source(l, &l->sources[i]))
			continue;
		settings_source_problem(&l->source, &place,
					"policy: its files together are too big");
		return false;
	}
	return true;
}

static struct script_options options_of(const struct loader *l)
{
	const struct settings *s = &l->settings;

	return (struct script_options){
		.sources = l->sources,
		.nsources = l->tree.n,
		.maps = l->maps,
		.nmaps = s->nmaps,
		.cpu_us = s->budget.cpu,
		.load_us = s->budget.load,
		.memory = s->budget.memory,
		.is_edge = true,
	};
}

/* unheard - what happens in a trial is no event of the gateway */
static bool unheard(void *owner, struct str line)
{
	(void)owner;
	(void)line;
	return true;
}

/* try_tests - the policy's own, as many as there are; `told` gets a line per case, or is NULL */
static struct trial_count try_tests(struct loader *l, struct buf *told)
{
	struct trial_count all = { 0, 0 };
	struct trial *trial = NULL;

	log_sink(unheard, NULL);
	for (unsigned i = 0; i < l->tree.n; i++) {
		const struct script_source *s = &l->sources[i];
		struct trial_count n;

		if (!str_has_suffix(s->name, TRIAL_SUFFIX))
			continue;
		if (!trial)
			trial = trial_new(&l->settings, options_of(l), &l->errors);
		if (!trial)
			break;
		n = trial_test_run(trial, s->path, s->text, &l->errors, told);
		all.passed += n.passed;
		all.failed += n.failed;
	}
	if (trial)
		trial_free(&trial);
	log_sink(NULL, NULL);
	return all;
}

/* try_policy - compile and run it once, as every role will, and keep the order of its handlers */
static void try_policy(struct loader *l)
{
	struct script_options options = options_of(l);
	struct policy_generation *generation = policy_generation_new(0, STR("check"));
	struct buf order;

	buf_init(&order, ORDER_TEXT);
	if (script_load(generation, &options, &l->errors) == 0) {
		(void)script_order(generation, &order);
		(void)snapshot_add(&l->sections, SNAPSHOT_ORDER, STR(""), buf_str(&order));
	}
	policy_generation_free(&generation);
	buf_fini(&order);
	if (is_good(l))
		l->tests = try_tests(l, l->told);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void add_settings(struct loader *l)
{
	struct buf canonical;

	buf_init(&canonical, SETTINGS_CANONICAL);
	if (!settings_write(&l->settings, &canonical) ||
	    !snapshot_add(&l->sections, SNAPSHOT_SETTINGS, STR(""), buf_str(&canonical)))
		settings_source_problem_at(&l->source, (struct settings_spot){ 0, 0 },
					   "the settings are too big");
	buf_fini(&canonical);
}

static bool load_maps(struct loader *l)
{
	unsigned before = l->source.nerrors;

	check_keys(l);
	for (unsigned i = 0; i < l->settings.nmaps; i++)
		load_map(l, i);
	return l->source.nerrors == before && buf_len(&l->errors) == 0;
}

/*
 * load_all - the author of a policy hears of its mistakes although the settings have some too. A
 * policy without its maps is not tried: it would only complain of those.
 */
static void load_all(struct loader *l, const unsigned char *secret)
{
	bool maps;

	if (is_good(l)) {
		add_settings(l);
		loader_tls(&l->settings, secret, &l->source, &l->sections);
	}
	maps = load_maps(l);
	if (!read_policy(l) || !maps)
		return;
	if (l->settings.policy.n)
		try_policy(l);
	else
		(void)snapshot_add(&l->sections, SNAPSHOT_ORDER, STR(""), STR("no policy\n"));
}

static void loader_init(struct loader *l)
{
	memset(l, 0, sizeof *l);
	arena_init(&l->arena, SETTINGS_MEMORY);
	buf_init(&l->sections, SNAPSHOT_MAX);
	buf_init(&l->errors, POLICY_ERRORS);
}

static void loader_fini(struct loader *l)
{
	for (unsigned i = 0; i < SETTINGS_MAPS; i++)
		buf_fini(&l->images[i]);
	loader_tree_fini(&l->tree);
	buf_fini(&l->sections);
	buf_fini(&l->errors);
	arena_fini(&l->arena);
}

/* load - everything but the memfd */
static struct loader *load(const char *settings_path)
{
	static struct loader l; /* too big for a stack; one load at a time */
	static bool started;

	if (!started)
		script_process_init();
	started = true;
	loader_init(&l);
	if (settings_source_read(&l.source, str_of(settings_path), &l.arena))
		(void)settings_eval(&l.settings, &l.source);
	return &l;
}

static void finish(struct loader *l, struct buf *errors)
{
	settings_source_report(&l->source, errors);
	(void)buf_add(errors, buf_str(&l->errors));
	loader_fini(l);
}

int loader_run(const char *settings_path, const unsigned char *secret, struct buf *errors)
{
	struct loader *l = load(settings_path);
	struct fault why = { 0 };
	int fd = -1;

	if (l->source.text.n > 0)
		load_all(l, secret);
	if (is_good(l)) {
		fd = snapshot_seal(buf_str(&l->sections), &why);
		if (fd < 0)
			settings_source_problem_at(&l->source, (struct settings_spot){ 0, 0 }, "%s",
						   why.text);
	}
	finish(l, errors);
	return fd;
}

struct trial_count loader_test(const char *settings_path, struct buf *told, struct buf *errors)
{
	struct loader *l = load(settings_path);
	struct trial_count n;

	l->told = told;
	if (l->source.text.n > 0)
		load_all(l, NULL);
	n = l->tests;
	finish(l, errors);
	return n;
}

bool loader_try(const char *settings_path, void (*with)(void *owner, struct trial *trial),
		void *owner, struct buf *errors)
{
	struct loader *l = load(settings_path);
	struct trial *trial = NULL;
	bool done;

	if (is_good(l) && load_maps(l) && read_policy(l)) {
		log_sink(unheard, NULL);
		trial = trial_new(&l->settings, options_of(l), &l->errors);
		if (trial)
			with(owner, trial);
		done = trial != NULL;
		if (trial)
			trial_free(&trial);
		log_sink(NULL, NULL);
	} else {
		done = false;
	}
	finish(l, errors);
	return done;
}
