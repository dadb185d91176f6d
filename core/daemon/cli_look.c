#include "cli_look.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "key_file.h"
#include "spool_load.h"

int cli_look_complain(struct cli_look *l, const struct fault *why, int code)
{
	(void)fprintf(stderr, "moongate: %s\n", why->text);
	l->code = code;
	return -1;
}

void cli_look_flush(struct cli_look *l)
{
	(void)fwrite(buf_str(&l->line).p, 1, buf_len(&l->line), stdout);
	buf_reset(&l->line);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void damage_json(struct buf *out, const struct spool_damage *d, const char *id)
{
	struct json j;

	json_init(&j, out);
	json_open(&j, NULL, '{');
	json_int(&j, "segment", d->segment);
	json_int(&j, "offset", (int64_t)d->offset);
	json_int(&j, "length", (int64_t)d->length);
	json_str(&j, "damage", str_of(d->what));
	json_str(&j, "id", str_of(id));
	json_close(&j, '}');
	buf_byte(out, '\n');
}

void cli_look_damage(struct cli_look *l, const struct spool_damage *d)
{
	FILE *to = l->is_aside ? stderr : stdout;
	char id[ID_TEXT + 1] = "";

	l->damages++;
	if (l->is_quiet)
		return;
	if (d->id)
		id_text(d->id, id);
	if (l->cli->json) {
		damage_json(&l->line, d, id);
		(void)fwrite(buf_str(&l->line).p, 1, buf_len(&l->line), to);
		buf_reset(&l->line);
		return;
	}
	(void)fprintf(to, "damaged: segment %u, offset %llu, %llu bytes: %s%s%s\n", d->segment,
		      (unsigned long long)d->offset, (unsigned long long)d->length, d->what,
		      d->id ? ", of " : "", id);
}

static void damaged(void *arg, const struct spool_damage *d)
{
	cli_look_damage(arg, d);
}

/* ---- the directory --------------------------------------------------------------------------- */

/* what the settings say of the keys, when they were asked for the directory */
static char key_setting[KEY_FILE_PATH];

bool cli_look_directory(const struct cli *c, const char *given, char *path, size_t size)
{
	static struct settings settings;
	struct arena arena;
	bool good;

	if (given)
		(void)str_copy(path, size, str_of(given));
	if (given && !c->has_settings)
		return true;
	arena_init(&arena, CLI_SETTINGS_MEMORY);
	good = cli_settings(c, &settings, &arena);
	if (good && !given)
		(void)str_copy(path, size, settings.spool);
	if (good)
		(void)str_copy(key_setting, sizeof key_setting, settings.spool_key);
	arena_fini(&arena);
	return good;
}

struct str cli_look_key(const struct cli *c)
{
	return str_of(c->key ? c->key : key_setting);
}

/* take_keys - who checks may go without those of the settings, which are another user's */
static int take_keys(struct cli_look *l, bool is_checking)
{
	struct fault why;

	if (!cli_look_key(l->cli).n)
		return 0;
	l->keys = spool_keys_new();
	l->replay->keys = l->keys;
	if (key_file_read(cli_look_key(l->cli), l->keys, &why) == 0)
		return 0;
	if (!is_checking || l->cli->key)
		return cli_look_complain(l, &why, EX_NOINPUT);
	l->replay->keys = NULL;
	return 0;
}

static int begin(struct cli_look *l, const struct cli *c, const char *path, bool is_checking)
{
	struct fault why;

	l->cli = c;
	buf_init(&l->line, CLI_LOOK_LINE);
	if (!l->file)
		l->file = spool_file_new(path, false, &why);
	if (!l->file)
		return cli_look_complain(l, &why, EX_NOINPUT);
	l->replay = spool_replay_new(l->file, &why);
	if (!l->replay)
		return cli_look_complain(l, &why, EX_OSERR);
	l->replay->damage = damaged;
	l->replay->arg = l;
	l->replay->is_checking = is_checking;
	if (take_keys(l, is_checking) < 0)
		return -1;
	if (spool_replay_open(l->replay, &why) < 0)
		return cli_look_complain(l, &why, EX_IOERR);
	return 0;
}

int cli_look_headers(struct cli_look *l, const struct cli *c, const char *path)
{
	return begin(l, c, path, true);
}

int cli_look_open(struct cli_look *l, const struct cli *c, const char *path, bool is_checking)
{
	struct fault why;

	if (begin(l, c, path, is_checking) < 0)
		return -1;
	if (spool_replay_run(l->replay, &why) < 0)
		return cli_look_complain(l, &why, EX_IOERR);
	return 0;
}

int cli_look_each(struct cli_look *l, spool_replay_each_fn *one, void *arg)
{
	struct fault why;

	if (spool_replay_each(l->replay, one, arg, &why) < 0)
		return l->code ? -1 : cli_look_complain(l, &why, EX_IOERR);
	return 0;
}

int cli_look_close(struct cli_look *l)
{
	spool_replay_free(&l->replay);
	spool_keys_free(&l->keys);
	spool_file_free(&l->file);
	buf_fini(&l->line);
	return l->code;
}

/* ---- messages -------------------------------------------------------------------------------- */

static int read_slot(struct cli_look *l, const struct spool_accept *a,
		     const struct spool_extent *piece, char *to)
{
	struct spool_range range = { .file = l->file,
				     .key = a->slot_key,
				     .slot = a->slot,
				     .slot_length = a->slot_length,
				     .offset = piece->offset,
				     .length = (size_t)piece->length,
				     .to = to };
	char path[24];
	int rc;

	spool_slot_path(path, a->slot);
	range.fd = l->file->open(l->file, path, SPOOL_FILE_READ);
	if (range.fd < 0)
		return -1;
	rc = spool_range_read(&range) == range.length ? 0 : -1;
	l->file->close(l->file, range.fd);
	return rc;
}

int cli_look_read(struct cli_look *l, const struct spool_accept *a, uint64_t offset, char *to,
		  size_t n)
{
	struct spool_extent piece;

	while (n > 0 && spool_accept_piece(a, offset, &piece)) {
		size_t part = piece.length < n ? (size_t)piece.length : n;

		piece.length = part;
		if (piece.p)
			memcpy(to, piece.p, part);
		else if (read_slot(l, a, &piece, to) < 0)
			return -1;
		to += part;
		offset += part;
		n -= part;
	}
	return n > 0 ? -1 : 0;
}

bool cli_look_name(const char *text, struct id *id, int *variant)
{
	struct str rest = str_of(text), head;
	uint64_t n = 0;
	bool good = true;

	*variant = -1;
	if (str_take(&rest, '.', &head)) {
		good = str_u64(rest, UINT16_MAX, &n);
		*variant = (int)n;
		rest = head;
	}
	if (good && id_parse(rest, id))
		return true;
	(void)fprintf(stderr, "moongate: %s is no message id\n", text);
	return false;
}
