#include "cli_look.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "json.h"

/* moongate spool ls|show|verify|stats: what a spool directory holds. */

#define CHUNK (16 * 1024)

/* ---- ls -------------------------------------------------------------------------------------- */

struct list_of {
	struct cli_look look;
	uint64_t messages, locked;
};

/* value_of - the first line of an envelope with that key */
static struct str value_of(struct str envelope, struct str key)
{
	struct str line;

	while (str_take(&envelope, '\n', &line))
		if (str_has_prefix(line, key))
			return str_drop(line, key.n);
	return STR_NONE;
}

static uint64_t size_of(const struct spool_accept *a)
{
	return a->header.n + 2 + a->body_length;
}

static int list_one(void *arg, const struct spool_replay_view *v)
{
	struct list_of *l = arg;
	struct str from = value_of(v->accept->envelope, STR("from: "));
	struct str rcpt = value_of(v->accept->envelope, STR("rcpt: "));
	char id[ID_TEXT + 1];
	struct json j;

	l->messages++;
	id_text(&v->id, id);
	if (!l->look.cli->json) {
		(void)printf("%s.%u %9llu segment %u/%u %u recipients <%.*s> -> <%.*s>%s%s\n", id,
			     v->variant, (unsigned long long)size_of(v->accept), v->segment,
			     v->ordinal, v->accept->recipients, STR_ARG(from), STR_ARG(rcpt),
			     v->slot_trouble ? "  " : "", v->slot_trouble ? v->slot_trouble : "");
		return 0;
	}
	json_init(&j, &l->look.line);
	json_open(&j, NULL, '{');
	json_str(&j, "id", str_of(id));
	json_int(&j, "variant", v->variant);
	json_int(&j, "size", (int64_t)size_of(v->accept));
	json_int(&j, "segment", v->segment);
	json_int(&j, "ordinal", v->ordinal);
	json_int(&j, "recipients", v->accept->recipients);
	json_str(&j, "from", from);
	json_str(&j, "first", rcpt);
	if (v->slot_trouble)
		json_str(&j, "trouble", str_of(v->slot_trouble));
	json_close(&j, '}');
	buf_byte(&l->look.line, '\n');
	cli_look_flush(&l->look);
	return 0;
}

int cli_spool_ls(const struct cli *c)
{
	struct list_of l = { .messages = 0 };
	char path[CLI_LOOK_PATH];

	if (!cli_look_directory(c, c->nargs > 0 ? c->args[0] : NULL, path, sizeof path))
		return EX_CONFIG;
	if (cli_look_open(&l.look, c, path, false) == 0 &&
	    cli_look_each(&l.look, list_one, &l) == 0 && !c->json)
		(void)printf("%llu messages\n", (unsigned long long)l.messages);
	return cli_look_close(&l.look);
}

/* ---- show ------------------------------------------------------------------------------------ */

struct show {
	struct cli_look look;
	struct id id;
	int variant; /* -1: all */
	unsigned found;
};

static int show_body(struct show *s, const struct spool_accept *a)
{
	char bytes[CHUNK];

	for (uint64_t at = 0; at < a->body_length;) {
		uint64_t left = a->body_length - at;
		size_t n = left < sizeof bytes ? (size_t)left : sizeof bytes;

		if (cli_look_read(&s->look, a, at, bytes, n) < 0)
			return -1;
		(void)fwrite(bytes, 1, n, stdout);
		at += n;
	}
	return 0;
}

static void show_json(struct show *s, const struct spool_replay_view *v)
{
	struct json j;

	json_init(&j, &s->look.line);
	json_open(&j, NULL, '{');
	json_int(&j, "variant", v->variant);
	json_str(&j, "envelope", v->accept->envelope);
	json_str(&j, "header", v->accept->header);
	json_int(&j, "body", (int64_t)v->accept->body_length);
	json_close(&j, '}');
	buf_byte(&s->look.line, '\n');
	cli_look_flush(&s->look);
}

static int show_one(void *arg, const struct spool_replay_view *v)
{
	struct show *s = arg;

	if (!id_is_eq(&v->id, &s->id) || (s->variant >= 0 && s->variant != v->variant))
		return 0;
	s->found++;
	if (s->look.cli->json) {
		show_json(s, v);
		return 0;
	}
	(void)fwrite(v->accept->envelope.p, 1, v->accept->envelope.n, stdout);
	(void)fputc('\n', stdout);
	(void)fwrite(v->accept->header.p, 1, v->accept->header.n, stdout);
	(void)fputs("\r\n", stdout);
	if (v->slot_trouble || show_body(s, v->accept) < 0) {
		(void)fprintf(stderr, "moongate: the body cannot be read%s%s\n",
			      v->slot_trouble ? ": " : "", v->slot_trouble ? v->slot_trouble : "");
		s->look.code = EX_IOERR;
	}
	return 0;
}

int cli_spool_show(const struct cli *c)
{
	struct show s = { .found = 0 };
	char path[CLI_LOOK_PATH];

	if (!cli_look_name(c->args[0], &s.id, &s.variant))
		return EX_USAGE;
	if (!cli_look_directory(c, c->nargs > 1 ? c->args[1] : NULL, path, sizeof path))
		return EX_CONFIG;
	if (cli_look_open(&s.look, c, path, false) == 0 &&
	    cli_look_each(&s.look, show_one, &s) == 0 && s.found == 0) {
		(void)fprintf(stderr, "moongate: there is no such message in %s\n", path);
		s.look.code = CLI_NO;
	}
	return cli_look_close(&s.look);
}

/* ---- verify ---------------------------------------------------------------------------------- */

static int count_one(void *arg, const struct spool_replay_view *v)
{
	struct list_of *l = arg;

	l->messages++;
	l->locked += v->is_locked;
	if (v->slot_trouble)
		cli_look_damage(&l->look,
				&(struct spool_damage){ .what = v->slot_trouble, .id = &v->id });
	return 0;
}

static void say_verified(const struct list_of *l)
{
	unsigned long long messages = l->messages, damages = l->look.damages, locked = l->locked;

	if (l->look.cli->json) {
		(void)printf("{\"messages\":%llu,\"damaged\":%llu,\"sealed\":%llu}\n", messages,
			     damages, locked);
		return;
	}
	(void)printf("%llu messages, %llu damaged places\n", messages, damages);
	if (locked)
		(void)printf("%llu messages are sealed, and without their key only their sums were "
			     "checked\n",
			     locked);
}

int cli_spool_verify(const struct cli *c)
{
	struct list_of l = { .messages = 0 };
	char path[CLI_LOOK_PATH];

	if (!cli_look_directory(c, c->nargs > 0 ? c->args[0] : NULL, path, sizeof path))
		return EX_CONFIG;
	if (cli_look_open(&l.look, c, path, true) == 0 &&
	    cli_look_each(&l.look, count_one, &l) == 0) {
		say_verified(&l);
		l.look.code = l.look.damages ? CLI_NO : 0;
	}
	return cli_look_close(&l.look);
}
