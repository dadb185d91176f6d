#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "spool_load.h"
#include "spool_replay.h"

/*
 * The operator's view of the disk: by the same reading that recovery uses, without a lock and
 * without writing, so that it works while the
 * gateway runs (a message that arrives meanwhile may be missed), while it is down, and on a copy in
 * any state.
 */
#define PATH_BYTES 4096
#define LINE_BYTES (1024 * 1024)

struct look {
	const struct cli *cli;
	struct spool_file *file;
	struct spool_replay *replay;
	struct buf line;
	uint64_t messages, damages;
	struct id id; /* show: which one */
	int variant;  /* -1: all */
	int code;
};

static int complain(struct look *l, const struct fault *why, int code)
{
	(void)fprintf(stderr, "moongate: %s\n", why->text);
	l->code = code;
	return -1;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void flush_line(struct look *l)
{
	(void)fwrite(buf_str(&l->line).p, 1, buf_len(&l->line), stdout);
	buf_reset(&l->line);
}

static void damaged(void *arg, const struct spool_damage *d)
{
	struct look *l = arg;
	char id[ID_TEXT + 1] = "";
	struct json j;

	l->damages++;
	if (d->id)
		id_text(d->id, id);
	if (!l->cli->json) {
		(void)printf("damaged: segment %u, offset %llu, %llu bytes: %s%s%s\n", d->segment,
			     (unsigned long long)d->offset, (unsigned long long)d->length, d->what,
			     d->id ? ", of " : "", id);
		return;
	}
	json_init(&j, &l->line);
	json_open(&j, NULL, '{');
	json_int(&j, "segment", d->segment);
	json_int(&j, "offset", (int64_t)d->offset);
	json_int(&j, "length", (int64_t)d->length);
	json_str(&j, "damage", str_of(d->what));
	json_str(&j, "id", str_of(id));
	json_close(&j, '}');
	buf_byte(&l->line, '\n');
	flush_line(l);
}

/* value_of - the first line of an envelope with that key */
static struct str value_of(struct str envelope, struct str key)
{
	struct str line;

	while (str_take(&envelope, '\n', &line))
		if (str_has_prefix(line, key))
			return str_drop(line, key.n);
	return STR_NONE;
}

static int list_one(void *arg, const struct spool_replay_view *v)
{
	struct look *l = arg;
	struct str from = value_of(v->accept->envelope, STR("from: "));
	struct str rcpt = value_of(v->accept->envelope, STR("rcpt: "));
	uint64_t size = v->accept->header.n + 2 + v->accept->body_length;
	char id[ID_TEXT + 1];
	struct json j;

	l->messages++;
	id_text(&v->id, id);
	if (!l->cli->json) {
		(void)printf("%s.%u %9llu segment %u/%u %u recipients <%.*s> -> <%.*s>%s%s\n", id,
			     v->variant, (unsigned long long)size, v->segment, v->ordinal,
			     v->accept->recipients, STR_ARG(from), STR_ARG(rcpt),
			     v->slot_trouble ? "  " : "", v->slot_trouble ? v->slot_trouble : "");
		return 0;
	}
	json_init(&j, &l->line);
	json_open(&j, NULL, '{');
	json_str(&j, "id", str_of(id));
	json_int(&j, "variant", v->variant);
	json_int(&j, "size", (int64_t)size);
	json_int(&j, "segment", v->segment);
	json_int(&j, "ordinal", v->ordinal);
	json_int(&j, "recipients", v->accept->recipients);
	json_str(&j, "from", from);
	json_str(&j, "first", rcpt);
	if (v->slot_trouble)
		json_str(&j, "trouble", str_of(v->slot_trouble));
	json_close(&j, '}');
	buf_byte(&l->line, '\n');
	flush_line(l);
	return 0;
}

/* ---- one message ----------------------------------------------------------------------------- */

/* copy_slot - length bytes of a slot's file to standard output */
static int copy_slot(struct look *l, uint32_t slot, uint64_t offset, uint64_t length)
{
	char path[24], bytes[16 * 1024];
	int fd, rc = 0;

	spool_slot_path(path, slot);
	fd = l->file->open(l->file, path, SPOOL_FILE_READ);
	if (fd < 0)
		return -1;
	while (length > 0 && rc == 0) {
		size_t n = length < sizeof bytes ? (size_t)length : sizeof bytes;

		rc = spool_file_read_all(l->file, fd, bytes, n, offset);
		if (rc == 0)
			(void)fwrite(bytes, 1, n, stdout);
		offset += n;
		length -= n;
	}
	l->file->close(l->file, fd);
	return rc;
}

static int body(struct look *l, const struct spool_accept *a)
{
	int rc = 0;

	for (unsigned i = 0; i < a->nextents && rc == 0; i++) {
		const struct spool_extent *e = &a->extents[i];

		if (e->p)
			(void)fwrite(e->p, 1, e->length, stdout);
		else
			rc = copy_slot(l, a->slot, e->offset, e->length);
	}
	return rc;
}

static int show_one(void *arg, const struct spool_replay_view *v)
{
	struct look *l = arg;
	struct json j;

	if (!id_is_eq(&v->id, &l->id) || (l->variant >= 0 && l->variant != v->variant))
		return 0;
	if (l->cli->json) {
		l->messages++;
		json_init(&j, &l->line);
		json_open(&j, NULL, '{');
		json_int(&j, "variant", v->variant);
		json_str(&j, "envelope", v->accept->envelope);
		json_str(&j, "header", v->accept->header);
		json_int(&j, "body", (int64_t)v->accept->body_length);
		json_close(&j, '}');
		buf_byte(&l->line, '\n');
		flush_line(l);
		return 0;
	}
	l->messages++;
	(void)fwrite(v->accept->envelope.p, 1, v->accept->envelope.n, stdout);
	(void)fputc('\n', stdout);
	(void)fwrite(v->accept->header.p, 1, v->accept->header.n, stdout);
	(void)fputs("\r\n", stdout);
	if (v->slot_trouble || body(l, v->accept) < 0) {
		(void)fprintf(stderr, "moongate: the body cannot be read%s%s\n",
			      v->slot_trouble ? ": " : "", v->slot_trouble ? v->slot_trouble : "");
		l->code = EX_IOERR;
	}
	return 0;
}

/* ---- the directory --------------------------------------------------------------------------- */

/* directory - the argument, else what the settings say */
static bool directory(const struct cli *c, unsigned argument, char *path, size_t size)
{
	static struct settings settings;
	struct arena arena;
	bool good;

	if (c->nargs > argument) {
		(void)str_copy(path, size, str_of(c->args[argument]));
		return true;
	}
	arena_init(&arena, CLI_SETTINGS_MEMORY);
	good = cli_settings(c, &settings, &arena);
	if (good)
		(void)str_copy(path, size, settings.spool);
	arena_fini(&arena);
	return good;
}

static int open_look(struct look *l, const char *path, bool is_checking)
{
	struct fault why;

	buf_init(&l->line, LINE_BYTES);
	l->file = spool_file_new(path, false, &why);
	if (!l->file)
		return complain(l, &why, EX_NOINPUT);
	l->replay = spool_replay_new(l->file, &why);
	if (!l->replay)
		return complain(l, &why, EX_OSERR);
	l->replay->damage = damaged;
	l->replay->arg = l;
	l->replay->is_checking = is_checking;
	if (spool_replay_open(l->replay, &why) < 0 || spool_replay_run(l->replay, &why) < 0)
		return complain(l, &why, EX_IOERR);
	return 0;
}

static int each(struct look *l, int (*one)(void *arg, const struct spool_replay_view *v))
{
	struct fault why;

	if (spool_replay_each(l->replay, one, l, &why) < 0)
		return complain(l, &why, EX_IOERR);
	return 0;
}

static int close_look(struct look *l)
{
	spool_replay_free(&l->replay);
	spool_file_free(&l->file);
	buf_fini(&l->line);
	return l->code;
}

int cli_spool_ls(const struct cli *c)
{
	struct look l = { .cli = c };
	char path[PATH_BYTES];

	if (!directory(c, 0, path, sizeof path))
		return EX_CONFIG;
	if (open_look(&l, path, false) == 0 && each(&l, list_one) == 0 && !c->json)
		(void)printf("%llu messages\n", (unsigned long long)l.messages);
	return close_look(&l);
}

static bool parse_name(struct look *l, struct str text)
{
	struct str head;
	uint64_t n = 0;

	l->variant = -1;
	if (str_take(&text, '.', &head)) {
		if (!str_u64(text, UINT16_MAX, &n))
			return false;
		l->variant = (int)n;
		text = head;
	}
	return id_parse(text, &l->id);
}

int cli_spool_show(const struct cli *c)
{
	struct look l = { .cli = c };
	char path[PATH_BYTES];

	if (!parse_name(&l, str_of(c->args[0]))) {
		(void)fprintf(stderr, "moongate: %s is no message id\n", c->args[0]);
		return EX_USAGE;
	}
	if (!directory(c, 1, path, sizeof path))
		return EX_CONFIG;
	if (open_look(&l, path, false) == 0 && each(&l, show_one) == 0 && l.messages == 0) {
		(void)fprintf(stderr, "moongate: there is no such message in %s\n", path);
		l.code = CLI_NO;
	}
	return close_look(&l);
}

static int count_one(void *arg, const struct spool_replay_view *v)
{
	struct look *l = arg;

	l->messages++;
	if (v->slot_trouble)
		damaged(l, &(struct spool_damage){ .what = v->slot_trouble, .id = &v->id });
	return 0;
}

int cli_spool_verify(const struct cli *c)
{
	struct look l = { .cli = c };
	char path[PATH_BYTES];

	if (!directory(c, 0, path, sizeof path))
		return EX_CONFIG;
	if (open_look(&l, path, true) == 0 && each(&l, count_one) == 0) {
		(void)printf(c->json ? "{\"messages\":%llu,\"damaged\":%llu}\n"
				     : "%llu messages, %llu damaged places\n",
			     (unsigned long long)l.messages, (unsigned long long)l.damages);
		l.code = l.damages ? CLI_NO : 0;
	}
	return close_look(&l);
}
