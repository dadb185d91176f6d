#include "loader.h"

#include <string.h>

#include "loader_tree.h"
#include "script.h"
#include "settings_eval.h"
#include "snapshot.h"
#include "state_map.h"

#define SETTINGS_MEMORY (64 * 1024 * 1024)
#define MAP_TEXT        ((size_t)512 * 1024 * 1024) /* bytes of the file behind a map */
#define POLICY_ERRORS   (48 * 1024)
#define ORDER_TEXT      (1024 * 1024)

struct loader {
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

/* try_policy - compile and run it once, as every role will, and keep the order of its handlers */
static void try_policy(struct loader *l)
{
	const struct settings *s = &l->settings;
	struct script_options options = {
		.sources = l->sources,
		.nsources = l->tree.n,
		.maps = l->maps,
		.nmaps = s->nmaps,
		.cpu_us = s->budget.cpu,
		.load_us = s->budget.load,
		.memory = s->budget.memory,
		.is_edge = true,
	};
	struct policy_generation *generation = policy_generation_new(0, STR("check"));
	struct buf order;

	buf_init(&order, ORDER_TEXT);
	if (script_load(generation, &options, &l->errors) == 0) {
		(void)script_order(generation, &order);
		(void)snapshot_add(&l->sections, SNAPSHOT_ORDER, STR(""), buf_str(&order));
	}
	policy_generation_free(&generation);
	buf_fini(&order);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static bool is_good(const struct loader *l)
{
	return l->source.nerrors == 0 && buf_len(&l->errors) == 0;
}

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

	for (unsigned i = 0; i < l->settings.nmaps; i++)
		load_map(l, i);
	return l->source.nerrors == before && buf_len(&l->errors) == 0;
}

/*
 * load_all - the author of a policy hears of its mistakes although the settings have some too. A
 * policy without its maps is not tried: it would only complain of those.
 */
static void load_all(struct loader *l)
{
	bool maps;

	if (is_good(l))
		add_settings(l);
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

int loader_run(const char *settings_path, struct buf *errors)
{
	static struct loader l; /* too big for a stack; one load at a time */
	static bool started;
	struct fault why = { 0 };
	int fd = -1;

	if (!started)
		script_process_init();
	started = true;
	loader_init(&l);
	if (settings_source_read(&l.source, str_of(settings_path), &l.arena)) {
		(void)settings_eval(&l.settings, &l.source);
		load_all(&l);
	}
	if (is_good(&l)) {
		fd = snapshot_seal(buf_str(&l.sections), &why);
		if (fd < 0)
			settings_source_problem_at(&l.source, (struct settings_spot){ 0, 0 }, "%s",
						   why.text);
	}
	settings_source_report(&l.source, errors);
	(void)buf_add(errors, buf_str(&l.errors));
	loader_fini(&l);
	return fd;
}
