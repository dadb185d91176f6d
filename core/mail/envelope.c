#include "envelope.h"

#include "step.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * envelope = 1*(line LF)
 * line        = key ": " value
 * value       = *(%x20-24 / %x26-7E / "%" 2HEXDIG)
 *
 * Both ends walk the same two tables, so a key cannot be written and not be read. A value that is
 * empty, zero or false is not written at all, but for those that say REQUIRED.
 */
enum kind { KIND_STR, KIND_U16, KIND_U64, KIND_BOOL, KIND_ID };
enum need { OPTIONAL, REQUIRED };

struct key {
	struct str name;
	enum kind kind;
	enum need need;
	size_t at;  /* offset in its struct */
	size_t max; /* of a KIND_STR, decoded */
};

#define KEY_OF(type, text, kind, need, member, max)                                                \
	{                                                                                          \
		{ text, sizeof(text) - 1 }, kind, need, offsetof(struct type, member), max         \
	}
#define KEY(...)  KEY_OF(envelope, __VA_ARGS__)
#define RCPT(...) KEY_OF(envelope_rcpt, __VA_ARGS__)

/* clang-format off */
static const struct key message_keys[] = {
	KEY("id",         KIND_ID,   REQUIRED, id,         0),
	KEY("variant",    KIND_U16,  OPTIONAL, variant,    0),
	KEY("from",       KIND_STR,  REQUIRED, sender,     ENVELOPE_VALUE),
	KEY("8bit",       KIND_BOOL, OPTIONAL, is_8bit,    0),
	KEY("created",    KIND_U64,  OPTIONAL, created_us, 0),
	KEY("helo",       KIND_STR,  OPTIONAL, helo,       ENVELOPE_VALUE),
	KEY("peer",       KIND_STR,  OPTIONAL, peer,       ENVELOPE_VALUE),
	KEY("listener",   KIND_STR,  OPTIONAL, listener,   ENVELOPE_VALUE),
	KEY("generation", KIND_STR,  OPTIONAL, generation, ENVELOPE_VALUE),
	KEY("reason",     KIND_STR,  OPTIONAL, reason,     ENVELOPE_VALUE),
	KEY("bucket",     KIND_STR,  OPTIONAL, bucket,     ENVELOPE_VALUE),
	KEY("rule",       KIND_STR,  OPTIONAL, rule,       ENVELOPE_VALUE),
	KEY("ttl",        KIND_U64,  OPTIONAL, ttl_us,     0),
	KEY("vars",       KIND_STR,  OPTIONAL, vars,       ENVELOPE_VARS),
};
static const struct key rcpt_keys[] = {
	RCPT("rcpt",      KIND_STR,  REQUIRED, address,    ENVELOPE_VALUE),    /* begins a recipient */
	RCPT("original",  KIND_STR,  OPTIONAL, original,   ENVELOPE_VALUE),
	RCPT("route",     KIND_STR,  OPTIONAL, route,      ENVELOPE_VALUE),
	RCPT("rcpt-vars", KIND_STR,  OPTIONAL, vars,       ENVELOPE_VARS),
};
/* clang-format on */

_Static_assert(COUNT(message_keys) <= 32 && COUNT(rcpt_keys) <= 32,
	       "the keys seen are kept as bits");

static bool is_plain(char c)
{
	return c >= 0x20 && c < 0x7f && c != '%';
}

static bool encode(struct buf *b, struct str s)
{
	while (s.n) {
		size_t n = 0;

		while (n < s.n && is_plain(s.p[n]))
			n++;
		if (!buf_add(b, str_head(s, n)))
			return false;
		s = str_drop(s, n);
		if (s.n && !buf_printf(b, "%%%02X", (unsigned char)s.p[0]))
			return false;
		s = str_drop(s, 1);
	}
	return true;
}

static bool write_number(struct buf *b, uint64_t value)
{
	return buf_printf(b, "%" PRIu64, value);
}

/* is_absent - what reading would yield without the line */
static bool is_absent(const struct key *key, const void *value)
{
	switch (key->kind) {
	case KIND_STR:
		return ((const struct str *)value)->n == 0;
	case KIND_U16:
		return *(const uint16_t *)value == 0;
	case KIND_U64:
		return *(const uint64_t *)value == 0;
	case KIND_BOOL:
		return !*(const bool *)value;
	case KIND_ID:
		return false;
	}
	abort();
}

static bool write_value(struct buf *b, const struct key *key, const void *value)
{
	char text[ID_TEXT + 1];

	switch (key->kind) {
	case KIND_STR:
		return ((const struct str *)value)->n <= key->max &&
		       encode(b, *(const struct str *)value);
	case KIND_U16:
		return write_number(b, *(const uint16_t *)value);
	case KIND_U64:
		return write_number(b, *(const uint64_t *)value);
	case KIND_BOOL:
		return write_number(b, *(const bool *)value);
	case KIND_ID:
		return buf_add(b, str_of(id_text(value, text)));
	}
	abort();
}

static bool write_keys(struct buf *b, const struct key *keys, size_t nkeys, const void *from)
{
	for (size_t i = 0; i < nkeys; i++) {
		const void *value = (const char *)from + keys[i].at;

		if (keys[i].need == OPTIONAL && is_absent(&keys[i], value))
			continue;
		if (!buf_add(b, keys[i].name) || !buf_add(b, STR(": ")) ||
		    !write_value(b, &keys[i], value) || !buf_byte(b, '\n'))
			return false;
	}
	return true;
}

bool envelope_write(struct buf *b, const struct envelope *e)
{
	size_t before = buf_len(b);
	bool ok = e->nrcpts >= 1 && e->nrcpts <= ENVELOPE_RCPTS &&
		  write_keys(b, message_keys, COUNT(message_keys), e);

	for (unsigned i = 0; ok && i < e->nrcpts; i++)
		ok = e->rcpts[i].address.n &&
		     write_keys(b, rcpt_keys, COUNT(rcpt_keys), &e->rcpts[i]);
	if (!ok)
		b->tail = b->head + before;
	return ok;
}

/* What reading fills from: one run of memory takes every value, since decoding never grows one. */
struct reader {
	struct envelope *out;
	char *to;
	struct fault *why;
	unsigned seen;      /* bits of message_keys */
	unsigned rcpt_seen; /* bits of rcpt_keys, for the recipient that is open */
};

/* One of the two tables, and what it fills. */
struct table {
	const struct key *keys;
	size_t nkeys;
	unsigned *seen;
	void *to;
};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool decode(struct reader *r, struct str s, struct str *out)
{
	out->p = r->to;
	for (;;) {
		ptrdiff_t escape = str_find(s, '%');
		size_t n = escape < 0 ? s.n : (size_t)escape;

		if (n)
			memcpy(r->to, s.p, n);
		r->to += n;
		if (escape < 0)
			break;
		s = str_drop(s, n);
		if (s.n < 3 || hex(s.p[1]) < 0 || hex(s.p[2]) < 0)
			return false;
		*r->to++ = (char)(hex(s.p[1]) * 16 + hex(s.p[2]));
		s = str_drop(s, 3);
	}
	out->n = (size_t)(r->to - out->p);
	return true;
}

static bool read_value(struct reader *r, const struct key *key, struct str text, void *to)
{
	struct str decoded;
	uint64_t number;

	switch (key->kind) {
	case KIND_STR:
		if (!decode(r, text, &decoded) || decoded.n > key->max)
			return false;
		*(struct str *)to = decoded.n ? decoded : STR_NONE;
		return true;
	case KIND_U16:
		if (!str_u64(text, UINT16_MAX, &number))
			return false;
		*(uint16_t *)to = (uint16_t)number;
		return true;
	case KIND_U64:
		return str_u64(text, UINT64_MAX, (uint64_t *)to);
	case KIND_BOOL:
		if (!str_u64(text, 1, &number))
			return false;
		*(bool *)to = number;
		return true;
	case KIND_ID:
		return id_parse(text, to);
	}
	abort();
}

/* read_key - 1: a key of this table; 0: of none; -1: damage */
static int read_key(struct reader *r, const struct table *t, struct str name, struct str value)
{
	for (size_t i = 0; i < t->nkeys; i++) {
		if (!str_eq(t->keys[i].name, name))
			continue;
		if (*t->seen & 1u << i)
			return fault_set(r->why, "%.*s: twice", STR_ARG(name));
		*t->seen |= 1u << i;
		if (!read_value(r, &t->keys[i], value, (char *)t->to + t->keys[i].at))
			return fault_set(r->why, "%.*s: bad value", STR_ARG(name));
		return 1;
	}
	return 0;
}

/* read_rcpt_key - the first key of the table opens the next recipient */
static int read_rcpt_key(struct reader *r, struct str name, struct str value)
{
	struct table t = { rcpt_keys, COUNT(rcpt_keys), &r->rcpt_seen, NULL };
	int known;

	if (str_eq(name, rcpt_keys[0].name)) {
		r->out->nrcpts++;
		r->rcpt_seen = 0;
	}
	/* a key of a recipient that is missing, or of a newer writer */
	if (r->out->nrcpts == 0)
		return 0;
	t.to = &r->out->rcpts[r->out->nrcpts - 1];
	known = read_key(r, &t, name, value);
	if (known > 0 && r->out->rcpts[r->out->nrcpts - 1].address.n == 0)
		return fault_set(r->why, "rcpt: empty");
	return known;
}

static int read_line(struct reader *r, struct str line)
{
	struct table message = { message_keys, COUNT(message_keys), &r->seen, r->out };
	struct str name;
	int known;

	if (!str_take(&line, ':', &name) || !line.n || line.p[0] != ' ')
		return fault_set(r->why, "a line that is not \"key: value\"");
	line = str_drop(line, 1);
	known = read_key(r, &message, name, line);
	if (known == 0)
		known = read_rcpt_key(r, name, line);
	return known < 0 ? -1 : 0;
}

static int check_required(const struct reader *r)
{
	for (size_t i = 0; i < COUNT(message_keys); i++)
		if (message_keys[i].need == REQUIRED && !(r->seen & 1u << i))
			return fault_set(r->why, "%s: missing", message_keys[i].name.p);
	if (r->out->nrcpts == 0)
		return fault_set(r->why, "no recipient");
	return 0;
}

/*
 * count_rcpts - so that the recipients can be an array; those beyond the bound are not counted
 * further
 */
static unsigned count_rcpts(struct str text)
{
	unsigned n = 0;
	struct str line;

	while (n <= ENVELOPE_RCPTS && str_take(&text, '\n', &line))
		n += str_has_prefix(line, STR("rcpt: "));
	return n;
}

int envelope_read(struct str text, struct arena *a, struct envelope *out, struct fault *why)
{
	struct reader r = { .out = out, .why = why };
	unsigned nrcpts = count_rcpts(text);
	struct str line;

	*out = (struct envelope){ 0 };
	if (nrcpts > ENVELOPE_RCPTS)
		return fault_set(why, "more than %d recipients", ENVELOPE_RCPTS);
	out->rcpts = arena_alloc(a, nrcpts * sizeof *out->rcpts);
	r.to = arena_alloc(a, text.n);
	if (!out->rcpts || !r.to)
		return fault_set(why, "no room for an envelope of %zu bytes", text.n);
	while (str_take(&text, '\n', &line))
		if (read_line(&r, line) < 0)
			return -1;
	if (text.n)
		return fault_set(why, "the last line has no end");
	return check_required(&r);
}
