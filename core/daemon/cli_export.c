#define _GNU_SOURCE /* syncfs */
#include "cli_look.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_parcel.h"
#include "cli_tar.h"
#include "clock.h"
#include "json.h"

/*
 * moongate spool export: each living message, variant by variant, byte for byte as it would be
 * delivered, into two files ID.VARIANT.eml and ID.VARIANT.json (cli_parcel.h) of a folder; or all
 * of them one behind the other, as tar, to standard output.
 */

#define CHUNK 65536

struct wanted {
	struct id id;
	int variant; /* -1: all */
	bool is_found;
};

struct export
{
	struct cli_look look;
	const char *to; /* "-": tar to standard output */
	int folder;     /* -1: tar */
	int fd;         /* the file being written */
	struct wanted wanted[CLI_ARGS];
	unsigned nwanted; /* 0: all */
	uint64_t messages, bytes, unreadable;
	struct fault why;
};

/* ---- where to -------------------------------------------------------------------------------- */

static int put(struct export *x, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t did = write(x->fd, p, n);

		if (did < 0 && errno == EINTR)
			continue;
		if (did < 0)
			return fault_sys(&x->why, "writing to %s", x->to);
		p += did;
		n -= (size_t)did;
	}
	return 0;
}

static int begin_file(struct export *x, const struct cli_tar_entry *e)
{
	char head[CLI_TAR_BLOCK];

	if (x->folder < 0) {
		cli_tar_put(head, e, clock_wall() / CLOCK_SECOND);
		return put(x, head, sizeof head);
	}
	x->fd = openat(x->folder, e->name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	if (x->fd < 0)
		return fault_sys(&x->why, "making %s in %s", e->name, x->to);
	return 0;
}

static int end_file(struct export *x, const struct cli_tar_entry *e)
{
	static const char zeros[CLI_TAR_BLOCK];
	int rc;

	if (x->folder < 0)
		return put(x, zeros, (size_t)(cli_tar_padded(e->size) - e->size));
	rc = close(x->fd);
	x->fd = -1;
	return rc == 0 ? 0 : fault_sys(&x->why, "closing %s in %s", e->name, x->to);
}

static int open_target(struct export *x)
{
	x->fd = x->folder = -1;
	if (strcmp(x->to, "-") == 0) {
		x->fd = STDOUT_FILENO;
		return 0;
	}
	if (mkdir(x->to, 0700) < 0 && errno != EEXIST)
		return fault_sys(&x->why, "cannot make %s", x->to);
	x->folder = open(x->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return x->folder < 0 ? fault_sys(&x->why, "cannot write to %s", x->to) : 0;
}

/* close_target - what was said to be exported is there after a power cut too */
static int close_target(struct export *x)
{
	static const char end[2 * CLI_TAR_BLOCK];
	int rc;

	if (x->folder < 0)
		return put(x, end, sizeof end);
	rc = syncfs(x->folder);
	(void)close(x->folder);
	return rc == 0 ? 0 : fault_sys(&x->why, "syncing %s", x->to);
}

/* ---- one message ----------------------------------------------------------------------------- */

/* sum_message - reads all of it once, so that nothing is begun that could not be ended */
static int sum_message(struct export *x, const struct spool_accept *a, uint8_t sum[CLI_PARCEL_SUM])
{
	static char bytes[CHUNK];
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, NULL, 0, CLI_PARCEL_SUM);
	crypto_generichash_update(&hash, (const unsigned char *)a->header.p, a->header.n);
	crypto_generichash_update(&hash, (const unsigned char *)"\r\n", 2);
	for (uint64_t at = 0; at < a->body_length;) {
		uint64_t left = a->body_length - at;
		size_t n = left < sizeof bytes ? (size_t)left : sizeof bytes;

		if (cli_look_read(&x->look, a, at, bytes, n) < 0)
			return -1;
		crypto_generichash_update(&hash, (const unsigned char *)bytes, n);
		at += n;
	}
	crypto_generichash_final(&hash, sum, CLI_PARCEL_SUM);
	return 0;
}

static int put_body(struct export *x, const struct spool_accept *a)
{
	static char bytes[CHUNK];

	for (uint64_t at = 0; at < a->body_length;) {
		uint64_t left = a->body_length - at;
		size_t n = left < sizeof bytes ? (size_t)left : sizeof bytes;

		if (cli_look_read(&x->look, a, at, bytes, n) < 0)
			return fault_sys(&x->why, "reading a body again");
		if (put(x, bytes, n) < 0)
			return -1;
		at += n;
	}
	return 0;
}

static int put_message(struct export *x, const char *stem, const struct spool_accept *a)
{
	struct cli_tar_entry e = { .size = a->header.n + 2 + a->body_length };

	(void)snprintf(e.name, sizeof e.name, "%s.eml", stem);
	if (e.size > CLI_TAR_SIZE)
		return fault_set(&x->why, "%s is too large for a tar", stem);
	if (begin_file(x, &e) < 0 || put(x, a->header.p, a->header.n) < 0 ||
	    put(x, "\r\n", 2) < 0 || put_body(x, a) < 0)
		return -1;
	return end_file(x, &e);
}

static int put_side(struct export *x, const char *stem, const struct cli_parcel *p)
{
	struct cli_tar_entry e = { .size = 0 };
	struct str text;

	buf_reset(&x->look.line);
	if (!cli_parcel_write(&x->look.line, p))
		return fault_set(&x->why, "%s: its envelope is too large", stem);
	text = buf_str(&x->look.line);
	e.size = text.n;
	(void)snprintf(e.name, sizeof e.name, "%s.json", stem);
	if (begin_file(x, &e) < 0 || put(x, text.p, text.n) < 0)
		return -1;
	buf_reset(&x->look.line);
	return end_file(x, &e);
}

static bool is_wanted(struct export *x, const struct spool_replay_view *v)
{
	bool found = x->nwanted == 0;

	for (unsigned i = 0; i < x->nwanted; i++) {
		struct wanted *w = &x->wanted[i];

		if (!id_is_eq(&w->id, &v->id) || (w->variant >= 0 && w->variant != v->variant))
			continue;
		found = w->is_found = true;
	}
	return found;
}

static void unreadable(struct export *x, const char *stem, const char *what)
{
	x->unreadable++;
	(void)fprintf(stderr, "moongate: %s was not exported: %s\n", stem,
		      what ? what : "its body cannot be read");
}

static int export_one(void *arg, const struct spool_replay_view *v)
{
	struct export *x = arg;
	const struct spool_accept *a = v->accept;
	struct cli_parcel p = { .id = v->id,
				.variant = v->variant,
				.size = a->header.n + 2 + a->body_length,
				.header = a->header.n,
				.envelope = a->envelope,
				.state = a->state,
				.recipients = a->recipients };
	char stem[CLI_TAR_NAME - 8], id[ID_TEXT + 1];

	if (!is_wanted(x, v))
		return 0;
	(void)snprintf(stem, sizeof stem, "%s.%u", id_text(&v->id, id), v->variant);
	if (v->slot_trouble || sum_message(x, a, p.sum) < 0) {
		unreadable(x, stem, v->slot_trouble);
		return 0;
	}
	x->messages++;
	x->bytes += p.size;
	if (put_message(x, stem, a) < 0 || put_side(x, stem, &p) < 0)
		return cli_look_complain(&x->look, &x->why, EX_IOERR);
	return 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* take_words - ids, options, and the target as the last word; false was said */
static bool take_words(struct export *x, const struct cli *c, const char **from)
{
	const char *words[CLI_ARGS];
	unsigned nwords = 0;
	bool is_all = false;

	for (unsigned i = 0; i < c->nargs; i++)
		if (strcmp(c->args[i], "--all") == 0)
			is_all = true;
		else if (strcmp(c->args[i], "--spool") == 0 && i + 1 < c->nargs)
			*from = c->args[++i];
		else
			words[nwords++] = c->args[i];
	if (nwords > 0)
		x->to = words[--nwords];
	for (; x->nwanted < nwords; x->nwanted++)
		if (!cli_look_name(words[x->nwanted], &x->wanted[x->nwanted].id,
				   &x->wanted[x->nwanted].variant))
			return false;
	if (x->to && is_all != (x->nwanted > 0))
		return true;
	(void)fprintf(stderr, "moongate: name messages by their ids, or say --all, and a folder "
			      "or - last\n");
	return false;
}

static void tell_missing(struct export *x)
{
	char id[ID_TEXT + 1];

	for (unsigned i = 0; i < x->nwanted; i++)
		if (!x->wanted[i].is_found) {
			(void)fprintf(stderr, "moongate: there is no message %s\n",
				      id_text(&x->wanted[i].id, id));
			x->look.code = CLI_NO;
		}
}

/* tell_all - on standard error where a tar goes to the output */
static void tell_all(struct export *x)
{
	FILE *to = x->folder < 0 ? stderr : stdout;

	(void)fprintf(to,
		      x->look.cli->json
			      ? "{\"messages\":%llu,\"bytes\":%llu,\"unreadable\":%llu}\n"
			      : "%llu messages exported, %llu bytes; %llu could not be read\n",
		      (unsigned long long)x->messages, (unsigned long long)x->bytes,
		      (unsigned long long)x->unreadable);
}

int cli_spool_export(const struct cli *c)
{
	static struct export x = { .look = { .is_aside = true } };
	const char *from = NULL;
	char path[CLI_LOOK_PATH];

	if (!take_words(&x, c, &from))
		return EX_USAGE;
	if (!cli_look_directory(c, from, path, sizeof path))
		return EX_CONFIG;
	if (cli_look_open(&x.look, c, path, false) < 0)
		return cli_look_close(&x.look);
	if (open_target(&x) < 0) {
		(void)cli_look_complain(&x.look, &x.why, EX_CANTCREAT);
	} else if (cli_look_each(&x.look, export_one, &x) == 0 && close_target(&x) < 0) {
		(void)cli_look_complain(&x.look, &x.why, EX_IOERR);
	} else if (x.look.code == 0) {
		tell_all(&x);
		tell_missing(&x);
		if (x.unreadable || x.look.damages)
			x.look.code = CLI_NO;
	}
	return cli_look_close(&x.look);
}
