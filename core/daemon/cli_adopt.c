#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_feed.h"
#include "cli_look.h"
#include "clock.h"
#include "json.h"

/*
 * moongate spool adopt DIR: every living message of a dead node's spool goes on in ours, where it
 * stopped: with its id, age, attempts, times, reasons, variables, and the recipients that are
 * finished.
 *
 * The lock of the dead spool is held all the while. Its file ADOPTED is there before the first
 * message leaves it, so that its old node cannot be started by mistake from then on; it lists the
 * ids that are durable in ours, so that after a kill -9 the same command goes on, and a message
 * that was adopted, delivered and forgotten meanwhile does not come twice.
 */
#define MARK       "ADOPTED"
#define COMPLETE   "complete"
#define SYNC_EVERY 256 /* ids */
#define ROWS_FIRST 1024

struct row {
	struct id id;
	uint32_t ordinal;
	uint16_t variant, segment;
};

struct adoption {
	struct cli_look look;
	struct cli_feed *feed;
	const char *path;
	struct row *rows; /* living messages, by id and variant */
	size_t nrows, cap;
	struct id *done; /* adopted before, sorted */
	size_t ndone;
	int lock, mark;
	unsigned unsynced;
	uint64_t stored, known, refused, unreadable; /* ids; the last one messages */
	/* the id being put */
	struct arena arena;
	struct cli_feed_message message;
	struct spool_accept accepts[IPC_VARIANTS];
	unsigned naccepts;
	bool is_odd; /* it cannot be put as one message */
};

/* ---- the mark -------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

static void take_line(struct adoption *a, struct str line)
{
	struct id id;

	if (id_parse(str_trim(line), &id))
		a->done[a->ndone++] = id;
}

/* read_mark - the ids that an adoption before this one has already brought over */
static int read_mark(struct adoption *a, const char *path, struct fault *why)
{
	FILE *file = fopen(path, "re");
	char line[128];
	struct stat st;

	if (!file)
		return errno == ENOENT ? 0 : fault_sys(why, "reading %s", path);
	if (fstat(fileno(file), &st) == 0)
		a->done = calloc((size_t)st.st_size / (ID_TEXT + 1) + 1, sizeof *a->done);
	while (a->done && fgets(line, sizeof line, file))
		take_line(a, str_of(line));
	(void)fclose(file);
	if (!a->done)
		return fault_set(why, "no memory for %s", path);
	qsort(a->done, a->ndone, sizeof *a->done, by_id);
	return 0;
}

/* write_mark - durable, and in its directory, before anything is adopted */
static int write_mark(struct adoption *a, const char *path, struct fault *why)
{
	char host[256] = "?";
	int folder;

	(void)gethostname(host, sizeof host - 1);
	a->mark = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->mark < 0 ||
	    dprintf(a->mark, "adopted by %s, process %d, at %llu\n", host, (int)getpid(),
		    (unsigned long long)(clock_wall() / CLOCK_SECOND)) < 0 ||
	    fsync(a->mark) < 0)
		return fault_sys(why, "marking %s as adopted", a->path);
	folder = open(a->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fsync(folder) < 0)
		return fault_sys(why, "marking %s as adopted", a->path);
	(void)close(folder);
	return 0;
}

/* note - its id is durable with us. Losing the last ones costs nothing while they are known. */
static void note(struct adoption *a, const struct id *id)
{
	char text[ID_TEXT + 1];

	if (dprintf(a->mark, "%s\n", id_text(id, text)) < 0 ||
	    (++a->unsynced % SYNC_EVERY == 0 && fdatasync(a->mark) < 0))
		(void)fprintf(stderr, "moongate: writing " MARK " in %s: %s\n", a->path,
			      strerror(errno));
}

/* ---- what lives there ------------------------------------------------------------------------ */

/* grow - room for one more */
static bool grow(struct adoption *a)
{
	size_t cap = a->cap ? 2 * a->cap : ROWS_FIRST;
	struct row *rows = a->nrows < a->cap ? a->rows : realloc(a->rows, cap * sizeof *rows);

	if (!rows)
		return false;
	a->cap = a->nrows < a->cap ? a->cap : cap;
	a->rows = rows;
	return true;
}

static int collect(void *arg, const struct spool_replay_view *v)
{
	static const struct fault no_memory = { .text = "out of memory" };
	struct adoption *a = arg;

	if (v->slot_trouble) {
		a->unreadable++;
		cli_look_damage(&a->look,
				&(struct spool_damage){ .what = v->slot_trouble, .id = &v->id });
		return 0;
	}
	if (!grow(a))
		return cli_look_complain(&a->look, &no_memory, EX_OSERR);
	a->rows[a->nrows++] = (struct row){ v->id, v->ordinal, v->variant, v->segment };
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = by_id(&x->id, &y->id);

	return order ? order : (int)x->variant - (int)y->variant;
}

static bool is_done(const struct adoption *a, const struct id *id)
{
	return a->ndone && bsearch(id, a->done, a->ndone, sizeof *id, by_id);
}

/* ---- one id ---------------------------------------------------------------------------------- */

/* has_body_of - variants of one submission share their body: that is how they go on */
static bool has_body_of(const struct spool_accept *a, const struct spool_accept *b)
{
	if (a->slot != b->slot || a->body_length != b->body_length || a->nextents != b->nextents)
		return false;
	for (unsigned i = 0; i < a->nextents; i++) {
		const struct spool_extent *x = &a->extents[i], *y = &b->extents[i];

		if (x->length != y->length || !x->p != !y->p ||
		    (x->p ? memcmp(x->p, y->p, x->length) != 0 : x->offset != y->offset))
			return false;
	}
	return true;
}

static struct str keep(struct adoption *a, struct str s)
{
	struct str kept = arena_str(&a->arena, s);

	a->is_odd |= s.n > 0 && !kept.p;
	return kept;
}

static struct str bits(struct adoption *a, const uint8_t *p, unsigned n)
{
	return p ? keep(a, (struct str){ (const char *)p, spool_bitmap_size(n) }) : STR_NONE;
}

/* keep_one - all of a variant: what the view shows dies with it */
static int keep_one(void *arg, const struct spool_replay_view *v)
{
	struct adoption *a = arg;
	struct spool_accept *own = &a->accepts[a->naccepts];
	struct ipc_carried *carried = &a->message.carry.variants[a->naccepts];
	struct ipc_variant *variant = &a->message.carry.submit.variants[a->naccepts];

	*own = *v->accept;
	for (unsigned i = 0; i < own->nextents; i++)
		if (own->extents[i].p)
			own->extents[i].p =
				keep(a, (struct str){ own->extents[i].p, own->extents[i].length })
					.p;
	if (own->slot_key)
		own->slot_key =
			(const unsigned char *)keep(
				a, (struct str){ (const char *)own->slot_key, SPOOL_SLOT_KEY })
				.p;
	variant->state = IPC_STATE_QUEUE;
	variant->envelope = keep(a, v->accept->envelope);
	variant->header = keep(a, v->accept->header);
	carried->number = v->variant;
	carried->done = bits(a, v->accept->state.done, v->accept->recipients);
	carried->failed = bits(a, v->accept->state.failed, v->accept->recipients);
	carried->blob = keep(a, v->accept->state.blob);
	a->is_odd |= v->slot_trouble || (a->naccepts > 0 && !has_body_of(own, &a->accepts[0]));
	a->naccepts++;
	return 0;
}

static int read_body(void *arg, uint64_t offset, char *to, size_t n)
{
	struct adoption *a = arg;

	return cli_look_read(&a->look, &a->accepts[0], offset, to, n);
}

static void landed(void *arg, uint64_t cookie, enum cli_feed_outcome outcome, struct str text)
{
	struct adoption *a = arg;
	const struct id *id = &a->rows[cookie].id;
	char name[ID_TEXT + 1];

	if (outcome == CLI_FEED_REFUSED) {
		a->refused++;
		(void)fprintf(stderr, "moongate: %s was not adopted: %.*s\n", id_text(id, name),
			      STR_ARG(text));
		return;
	}
	a->stored += outcome == CLI_FEED_STORED;
	a->known += outcome == CLI_FEED_KNOWN;
	note(a, id);
}

/* put_rows - the variants of one id as one message; -1: the other side is gone */
static int put_rows(struct adoption *a, size_t first, size_t n)
{
	arena_reset(&a->arena);
	a->naccepts = 0;
	a->is_odd = n > IPC_VARIANTS;
	for (size_t i = first; !a->is_odd && i < first + n; i++)
		(void)spool_replay_one(a->look.replay, a->rows[i].segment, a->rows[i].ordinal,
				       keep_one, a);
	if (a->is_odd || a->naccepts < n) {
		landed(a, first, CLI_FEED_REFUSED, STR("its variants cannot be put together"));
		return 0;
	}
	a->message.carry.submit.id = a->rows[first].id;
	a->message.carry.submit.nvariants = a->naccepts;
	a->message.body_length = a->accepts[0].body_length;
	return cli_feed_put(a->feed, &a->message, first);
}

static void put_all(struct adoption *a)
{
	size_t n;

	for (size_t i = 0; i < a->nrows; i += n) {
		for (n = 1; i + n < a->nrows && by_id(&a->rows[i].id, &a->rows[i + n].id) == 0;)
			n++;
		if (is_done(a, &a->rows[i].id))
			a->known++;
		else if (put_rows(a, i, n) < 0)
			return;
	}
}

/* ---- the command ----------------------------------------------------------------------------- */

static int take_lock(struct adoption *a)
{
	struct spool_file *f = a->look.file;
	struct fault why;
	char holder[64] = "another process";

	a->lock = f->open(f, "LOCK", SPOOL_FILE_MAKE);
	if (a->lock < 0) {
		fault_sys(&why, "opening LOCK in %s", a->path);
		return cli_look_complain(&a->look, &why, EX_NOPERM);
	}
	if (f->lock(f, a->lock) == 0)
		return 0;
	(void)cli_lock_holder(a->path, holder, sizeof holder);
	(void)fault_set(&why, "%s is in use by %s: only the spool of a dead node can be adopted",
			a->path, holder);
	return cli_look_complain(&a->look, &why, EX_TEMPFAIL);
}

static void tell(const struct adoption *a, bool is_complete)
{
	(void)printf(a->look.cli->json
			     ? "{\"adopted\":%llu,\"known\":%llu,\"refused\":%llu,"
			       "\"unreadable\":%llu,\"damaged\":%llu,\"complete\":%s}\n"
			     : "%llu messages adopted, %llu were here already, %llu refused, "
			       "%llu unreadable, %llu damaged places; complete: %s\n",
		     (unsigned long long)a->stored, (unsigned long long)a->known,
		     (unsigned long long)a->refused, (unsigned long long)a->unreadable,
		     (unsigned long long)a->look.damages, is_complete ? "true" : "false");
}

/* finish - complete, when all that can be read is here */
static void finish(struct adoption *a, int code)
{
	bool is_complete = code == 0 && a->refused == 0;

	if (is_complete && (dprintf(a->mark, COMPLETE "\n") < 0 || fdatasync(a->mark) < 0)) {
		(void)fprintf(stderr, "moongate: writing " MARK " in %s: %s\n", a->path,
			      strerror(errno));
		is_complete = false;
	}
	tell(a, is_complete);
	if (!is_complete)
		a->look.code = EX_TEMPFAIL;
	else if (a->unreadable || a->look.damages)
		a->look.code = CLI_NO;
}

static void run(struct adoption *a, const struct cli *c)
{
	char mark[CLI_LOOK_PATH + 16];
	struct fault why = { 0 };
	int code;

	(void)snprintf(mark, sizeof mark, "%s/" MARK, a->path);
	if (read_mark(a, mark, &why) < 0) {
		(void)cli_look_complain(&a->look, &why, EX_IOERR);
		return;
	}
	qsort(a->rows, a->nrows, sizeof *a->rows, by_name);
	a->feed = cli_feed_open(c, landed, a, &code);
	if (!a->feed) {
		a->look.code = code;
		return;
	}
	if (write_mark(a, mark, &why) < 0)
		(void)cli_look_complain(&a->look, &why, EX_CANTCREAT);
	else
		put_all(a);
	code = cli_feed_close(&a->feed);
	if (a->look.code == 0)
		finish(a, code);
}

int cli_spool_adopt(const struct cli *c)
{
	static struct adoption a = { .look = { .is_aside = true }, .lock = -1, .mark = -1 };
	struct fault why;

	a.path = c->args[0];
	a.message.read = read_body;
	a.message.arg = &a;
	arena_init(&a.arena, IPC_VARIANTS * (size_t)(IPC_HEADER_MAX + 2 * IPC_BODY_INLINE) +
				     2 * IPC_FRAME_MAX);
	a.look.cli = c;
	a.look.file = spool_file_new(a.path, false, &why);
	if (!a.look.file)
		(void)cli_look_complain(&a.look, &why, EX_NOINPUT);
	else if (take_lock(&a) == 0 && cli_look_open(&a.look, c, a.path, false) == 0 &&
		 cli_look_each(&a.look, collect, &a) == 0)
		run(&a, c);
	arena_fini(&a.arena);
	free(a.rows);
	free(a.done);
	return cli_look_close(&a.look);
}
