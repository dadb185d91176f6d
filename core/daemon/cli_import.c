#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_feed.h"
#include "cli_look.h"
#include "cli_parcel.h"
#include "cli_source.h"
#include "clock.h"
#include "json.h"
#include "rnd.h"

/*
 * moongate spool import: messages that were exported, or come from elsewhere, into the queue. Each
 * is looked at as a whole before it is put: its sum, its size, its line ends. The variants of one
 * id are put together, for an id is known or it is not.
 */
#define PIECE  65536
#define MEMORY (64u * 1024 * 1024) /* of one id: envelopes, headers, progress */

struct unit { /* one pair */
	struct id id;
	uint16_t variant;
	bool has_id;
	size_t pair;
};

struct import {
	const struct cli *cli;
	struct cli_source source;
	struct cli_feed *feed;
	struct unit *units;
	size_t nunits;
	bool has_new_ids;
	uint64_t stored, known, refused, bad;
	struct arena arena;
	struct cli_feed_message message;
	struct cli_parcel parcels[IPC_VARIANTS];
	const struct cli_source_file *body; /* of the id being put */
	uint64_t body_at;
};

/* ---- telling --------------------------------------------------------------------------------- */

static void tell(struct import *m, const struct unit *u, const char *outcome, struct str text)
{
	char line[1024], id[ID_TEXT + 1] = "";
	const char *stem = m->source.pairs[u->pair].stem;
	struct buf b = { .p = line, .cap = sizeof line, .max = sizeof line };
	struct json j;

	if (u->has_id)
		id_text(&u->id, id);
	if (!m->cli->json) {
		(void)printf("%s %s %s%s%.*s\n", *id ? id : "-", outcome, stem, text.n ? ": " : "",
			     STR_ARG(text));
		return;
	}
	json_init(&j, &b);
	json_open(&j, NULL, '{');
	json_str(&j, "id", str_of(id));
	json_str(&j, "outcome", str_of(outcome));
	json_str(&j, "name", str_head(str_of(stem), 256));
	if (text.n)
		json_str(&j, "text", text);
	json_close(&j, '}');
	(void)printf("%.*s\n", STR_ARG(buf_str(&b)));
}

static int bad(struct import *m, const struct unit *u, const char *text)
{
	m->bad++;
	tell(m, u, "unusable", str_of(text));
	return -1;
}

static void landed(void *arg, uint64_t cookie, enum cli_feed_outcome outcome, struct str text)
{
	static const char *const name[] = { [CLI_FEED_STORED] = "imported",
					    [CLI_FEED_KNOWN] = "known",
					    [CLI_FEED_REFUSED] = "refused" };
	struct import *m = arg;

	m->stored += outcome == CLI_FEED_STORED;
	m->known += outcome == CLI_FEED_KNOWN;
	m->refused += outcome == CLI_FEED_REFUSED;
	tell(m, &m->units[cookie], name[outcome], text);
}

/* ---- looking --------------------------------------------------------------------------------- */

struct check { /* of a message's bytes */
	crypto_generichash_state hash;
	char before; /* the byte before the piece */
	bool is_8bit;
	uint64_t header; /* bytes of the header block; UINT64_MAX: its end was not seen */
	unsigned tail;   /* how much of CRLF CRLF stands at the end */
};

/* check_piece - false: a CR, LF or NUL that two readers could understand differently */
static bool check_piece(struct check *c, const char *p, size_t n, uint64_t at)
{
	static const char end[] = "\r\n\r\n";

	crypto_generichash_update(&c->hash, (const unsigned char *)p, n);
	for (size_t i = 0; i < n; i++) {
		if ((p[i] == '\n') != (c->before == '\r') || p[i] == '\0')
			return false;
		c->before = p[i];
		c->is_8bit |= (unsigned char)p[i] > 0x7f;
		c->tail = p[i] == end[c->tail] ? c->tail + 1 : p[i] == '\r';
		if (c->tail == 4 && c->header == UINT64_MAX)
			c->header = at + i + 1 - 2;
		c->tail %= 4;
	}
	return true;
}

/* check_message - all of it once; NULL, or what is wrong */
static const char *check_message(const struct cli_source_file *f, struct check *c)
{
	static char bytes[PIECE];

	*c = (struct check){ .header = UINT64_MAX, .tail = 2 };
	crypto_generichash_init(&c->hash, NULL, 0, CLI_PARCEL_SUM);
	for (uint64_t at = 0; at < f->size;) {
		uint64_t left = f->size - at;
		size_t n = left < sizeof bytes ? (size_t)left : sizeof bytes;

		if (cli_source_read(f, at, bytes, n) < 0)
			return "it cannot be read";
		if (!check_piece(c, bytes, n, at))
			return "it has a NUL, or line ends that are not CRLF";
		at += n;
	}
	return c->before == '\n' ? NULL : "it does not end with CRLF";
}

/* compare - with what the side file says of it; NULL, or what is wrong */
static const char *compare(const struct cli_parcel *p, const struct cli_source_file *f,
			   struct check *c)
{
	uint8_t sum[CLI_PARCEL_SUM];

	crypto_generichash_final(&c->hash, sum, sizeof sum);
	if ((p->has_size && p->size != f->size) ||
	    (p->has_sum && memcmp(p->sum, sum, sizeof sum) != 0))
		return "it was changed since it was exported: if it is meant, take size, header "
		       "and blake2b out of its .json";
	if (p->has_header && p->header + 2 > f->size)
		return "its header block is longer than itself";
	return NULL;
}

static struct str load(struct import *m, const struct cli_source_file *f, uint64_t size)
{
	char *p = arena_alloc(&m->arena, (size_t)size + 1);

	if (!p || cli_source_read(f, 0, p, (size_t)size) < 0)
		return STR_NONE;
	return (struct str){ p, (size_t)size };
}

static int read_side(struct import *m, const struct unit *u, struct cli_parcel *p)
{
	const struct cli_source_pair *pair = &m->source.pairs[u->pair];
	struct fault why;
	struct str text;

	if (!pair->eml.is_there)
		return bad(m, u, "there is no .eml beside it");
	if (!pair->json.is_there)
		return bad(m, u, "there is no .json beside it to say from whom and to whom");
	if (pair->json.size > CLI_PARCEL_JSON)
		return bad(m, u, "its .json is too large");
	text = load(m, &pair->json, pair->json.size);
	if (!text.p || cli_parcel_read(text, &m->arena, p, &why) < 0)
		return bad(m, u, text.p ? why.text : "its .json cannot be read");
	return 0;
}

/* ---- putting --------------------------------------------------------------------------------- */

/* header_end - where the header block ends: as exported, or found */
static uint64_t header_end(const struct cli_parcel *p, const struct cli_source_file *f,
			   const struct check *c)
{
	if (p->has_header)
		return p->header;
	return c->header == UINT64_MAX ? f->size - 2 : c->header;
}

/* has_body_of - the same bytes behind the header as the first variant */
static bool has_body_of(struct import *m, const struct cli_source_file *f, uint64_t at)
{
	static char mine[PIECE / 2], first[PIECE / 2];
	uint64_t length = f->size - at;

	if (length != m->message.body_length)
		return false;
	for (uint64_t done = 0; done < length;) {
		size_t n = length - done < sizeof mine ? (size_t)(length - done) : sizeof mine;

		if (cli_source_read(f, at + done, mine, n) < 0 ||
		    cli_source_read(m->body, m->body_at + done, first, n) < 0 ||
		    memcmp(mine, first, n) != 0)
			return false;
		done += n;
	}
	return true;
}

static int take_body(struct import *m, const struct unit *u, unsigned i, uint64_t at)
{
	const struct cli_source_file *f = &m->source.pairs[u->pair].eml;

	if (i == 0) {
		m->body = f;
		m->body_at = at;
		m->message.body_length = f->size - at;
	} else if (!has_body_of(m, f, at)) {
		return bad(m, u,
			   "its body is not that of the first variant of its id: import it "
			   "with --new-ids");
	}
	return 0;
}

static struct str bitmap(const uint8_t *bits, unsigned n)
{
	return bits ? (struct str){ (const char *)bits, spool_bitmap_size(n) } : STR_NONE;
}

/* prepare - one variant of the message being put; -1: it is bad, and was told so */
static int prepare(struct import *m, const struct unit *u, unsigned i)
{
	const struct cli_source_file *eml = &m->source.pairs[u->pair].eml;
	struct cli_parcel *p = &m->parcels[i];
	struct ipc_variant *v = &m->message.carry.submit.variants[i];
	struct check check;
	const char *wrong;
	struct fault why;
	uint64_t header;

	if (read_side(m, u, p) < 0)
		return -1;
	wrong = check_message(eml, &check);
	wrong = wrong ? wrong : compare(p, eml, &check);
	if (wrong)
		return bad(m, u, wrong);
	p->id = u->id;
	if ((m->has_new_ids || !p->envelope.n) &&
	    cli_parcel_compose(p, check.is_8bit, &m->arena, &why) < 0)
		return bad(m, u, why.text);
	header = header_end(p, eml, &check);
	if (header > IPC_HEADER_MAX)
		return bad(m, u, "its header block is too large");
	v->state = IPC_STATE_QUEUE;
	v->envelope = p->envelope;
	v->header = load(m, eml, header);
	m->message.carry.variants[i] =
		(struct ipc_carried){ p->variant, bitmap(p->state.done, p->recipients),
				      bitmap(p->state.failed, p->recipients), p->state.blob };
	return take_body(m, u, i, header + 2);
}

static int read_body(void *arg, uint64_t offset, char *to, size_t n)
{
	struct import *m = arg;

	return cli_source_read(m->body, m->body_at + offset, to, n);
}

/* put_units - those of one id; -1: the other side is gone */
static int put_units(struct import *m, size_t first, size_t n)
{
	arena_reset(&m->arena);
	if (n > IPC_VARIANTS) {
		(void)bad(m, &m->units[first], "its id has too many variants");
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		if (prepare(m, &m->units[first + i], (unsigned)i) < 0)
			return 0;
	m->message.carry.submit.id = m->units[first].id;
	m->message.carry.submit.nvariants = (unsigned)n;
	return cli_feed_put(m->feed, &m->message, first);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;
	int order = memcmp(&x->id, &y->id, sizeof x->id);

	return order ? order : (int)x->variant - (int)y->variant;
}

/* name_units - each pair and the id it is put under; those that say nothing get one of their own */
static void name_units(struct import *m)
{
	struct cli_parcel p;

	m->units = calloc(m->source.count + 1, sizeof *m->units);
	if (!m->units)
		abort();
	for (size_t i = 0; i < m->source.count; i++) {
		struct unit *u = &m->units[m->nunits];

		*u = (struct unit){ .pair = i };
		arena_reset(&m->arena);
		if (read_side(m, u, &p) < 0)
			continue;
		u->variant = p.variant;
		u->has_id = true;
		u->id = p.has_id && !m->has_new_ids ? p.id
						    : id_make(clock_wall(), IPC_OPERATOR_IDS);
		m->nunits++;
	}
	if (m->nunits)
		qsort(m->units, m->nunits, sizeof *m->units, by_id);
}

static void put_all(struct import *m)
{
	size_t n;

	for (size_t i = 0; i < m->nunits; i += n) {
		const struct unit *u = &m->units[i];

		for (n = 1; i + n < m->nunits && id_is_eq(&u->id, &u[n].id) &&
			    u[n].variant != u[n - 1].variant;)
			n++;
		if (put_units(m, i, n) < 0)
			return;
	}
}

static int find_all(struct import *m)
{
	struct fault why;

	for (unsigned i = 0; i < m->cli->nargs; i++)
		if (strcmp(m->cli->args[i], "--new-ids") == 0) {
			m->has_new_ids = true;
		} else if (cli_source_add(&m->source, m->cli->args[i], &why) < 0) {
			(void)fprintf(stderr, "moongate: %s\n", why.text);
			return EX_NOINPUT;
		}
	cli_source_join(&m->source);
	if (m->source.count)
		return 0;
	(void)fprintf(stderr, "moongate: there is no .eml with its .json\n");
	return EX_NOINPUT;
}

static int run(struct import *m)
{
	int code;

	name_units(m);
	m->feed = cli_feed_open(m->cli, landed, m, &code);
	if (!m->feed)
		return code;
	put_all(m);
	code = cli_feed_close(&m->feed);
	(void)fprintf(stderr,
		      "%llu messages imported, %llu were here already, %llu refused, %llu "
		      "unusable\n",
		      (unsigned long long)m->stored, (unsigned long long)m->known,
		      (unsigned long long)m->refused, (unsigned long long)m->bad);
	return code ? code : m->refused ? EX_TEMPFAIL : m->bad ? CLI_NO : 0;
}

int cli_spool_import(const struct cli *c)
{
	static struct import m;
	int code;

	rnd_init();
	m.cli = c;
	m.message.read = read_body;
	m.message.arg = &m;
	arena_init(&m.arena, MEMORY);
	code = find_all(&m);
	if (code == 0)
		code = run(&m);
	free(m.units);
	arena_fini(&m.arena);
	cli_source_fini(&m.source);
	return code;
}
