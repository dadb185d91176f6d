#include "cli_parcel.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "clock.h"
#include "envelope.h"
#include "json.h"
#include "queue_peek.h"

#define FORMAT 1

static bool has_bit(const uint8_t *bits, unsigned i)
{
	return bits && bits[i / 8] >> i % 8 & 1;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* write_people - from, and those of the recipients that are left; what cannot be read is told by
 * the envelope alone */
static void write_people(struct json *j, const struct cli_parcel *p)
{
	struct envelope e;
	struct arena arena;
	struct fault why;

	arena_init(&arena,
		   4 * ENVELOPE_VARS + 2 * p->envelope.n + ENVELOPE_RCPTS * sizeof *e.rcpts);
	if (envelope_read(p->envelope, &arena, &e, &why) == 0) {
		json_str(j, "from", e.sender);
		json_open(j, "to", '[');
		for (unsigned i = 0; i < e.nrcpts; i++)
			if (!has_bit(p->state.done, i) && !has_bit(p->state.failed, i))
				json_str(j, NULL, e.rcpts[i].address);
		json_close(j, ']');
	}
	arena_fini(&arena);
}

static void write_bits(struct json *j, const char *key, const uint8_t *bits, unsigned n)
{
	json_open(j, key, '[');
	for (unsigned i = 0; i < n; i++)
		if (has_bit(bits, i))
			json_int(j, NULL, i);
	json_close(j, ']');
}

static void write_progress(struct json *j, struct str blob)
{
	static char text[sodium_base64_ENCODED_LEN(SPOOL_BLOB_MAX, sodium_base64_VARIANT_ORIGINAL)];

	sodium_bin2base64(text, sizeof text, (const unsigned char *)blob.p, blob.n,
			  sodium_base64_VARIANT_ORIGINAL);
	json_str(j, "progress", str_of(text));
}

bool cli_parcel_write(struct buf *out, const struct cli_parcel *p)
{
	char id[ID_TEXT + 1], sum[2 * CLI_PARCEL_SUM + 1];
	struct json j;

	json_init(&j, out);
	json_open(&j, NULL, '{');
	json_int(&j, "moongate", FORMAT);
	json_str(&j, "id", str_of(id_text(&p->id, id)));
	json_int(&j, "variant", p->variant);
	json_int(&j, "size", (int64_t)p->size);
	json_int(&j, "header", (int64_t)p->header);
	json_str(&j, "blake2b", str_of(sodium_bin2hex(sum, sizeof sum, p->sum, sizeof p->sum)));
	json_str(&j, "state", str_of(queue_peek_name[queue_peek(p->state.blob)]));
	write_people(&j, p);
	json_str(&j, "envelope", p->envelope);
	write_bits(&j, "done", p->state.done, p->recipients);
	write_bits(&j, "failed", p->state.failed, p->recipients);
	write_progress(&j, p->state.blob);
	json_close(&j, '}');
	return buf_byte(out, '\n') && !j.full;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reader {
	const json_t *object;
	struct arena *arena;
	struct fault *why;
	bool bad;
};

static const json_t *member(struct reader *r, const char *key, bool is_right, const char *what)
{
	if (!is_right && !r->bad) {
		fault_set(r->why, "`%s` is not %s", key, what);
		r->bad = true;
	}
	return json_object_get(r->object, key);
}

/* text - of a member, or none; in the arena */
static struct str text(struct reader *r, const char *key)
{
	const json_t *v = json_object_get(r->object, key);
	struct str s;

	v = member(r, key, !v || json_is_string(v), "a string");
	if (!v || r->bad)
		return STR_NONE;
	s = arena_str(r->arena, (struct str){ json_string_value(v), json_string_length(v) });
	if (!s.p) {
		fault_set(r->why, "`%s` is too long", key);
		r->bad = true;
	}
	return s;
}

static bool number(struct reader *r, const char *key, uint64_t most, uint64_t *out)
{
	const json_t *v = json_object_get(r->object, key);
	bool fits = !v || (json_is_integer(v) && json_integer_value(v) >= 0 &&
			   (uint64_t)json_integer_value(v) <= most);

	v = member(r, key, fits, "a whole number within its bounds");
	*out = v && fits ? (uint64_t)json_integer_value(v) : 0;
	return v && fits;
}

/* bitmap - of the indexes in a list */
static const uint8_t *bitmap(struct reader *r, const char *key, unsigned recipients)
{
	const json_t *list = json_object_get(r->object, key), *v;
	uint8_t *bits = arena_alloc(r->arena, spool_bitmap_size(recipients));
	bool good = bits && (!list || json_is_array(list));
	size_t i;

	if (bits)
		memset(bits, 0, spool_bitmap_size(recipients));
	for (i = 0; good && i < json_array_size(list); i++) {
		v = json_array_get(list, i);
		good = json_is_integer(v) && json_integer_value(v) >= 0 &&
		       json_integer_value(v) < recipients;
		if (good)
			bits[json_integer_value(v) / 8] |=
				(uint8_t)(1u << json_integer_value(v) % 8);
	}
	(void)member(r, key, good, "a list of indexes of recipients");
	return bits;
}

static void read_progress(struct reader *r, struct cli_parcel *p)
{
	struct str encoded = text(r, "progress");
	unsigned char *blob = arena_alloc(r->arena, SPOOL_BLOB_MAX);
	size_t n = 0;
	bool good = blob &&
		    sodium_base642bin(blob, SPOOL_BLOB_MAX, encoded.p ? encoded.p : "", encoded.n,
				      NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) == 0;

	(void)member(r, "progress", good, "base64");
	p->state = (struct spool_state){ bitmap(r, "done", p->recipients),
					 bitmap(r, "failed", p->recipients),
					 { (const char *)blob, n } };
}

static void read_to(struct reader *r, struct cli_parcel *p)
{
	const json_t *list = json_object_get(r->object, "to"), *v;
	size_t n = json_array_size(list);
	bool good = json_is_array(list) && n > 0 && n <= ENVELOPE_RCPTS;

	p->from = text(r, "from");
	p->to = good ? arena_alloc(r->arena, n * sizeof *p->to) : NULL;
	for (size_t i = 0; p->to && i < n; i++) {
		v = json_array_get(list, i);
		good &= json_is_string(v);
		p->to[i] = arena_str(
			r->arena, good ? (struct str){ json_string_value(v), json_string_length(v) }
				       : STR(""));
		good &= p->to[i].p != NULL;
	}
	p->nto = (unsigned)n;
	(void)member(r, "to", good && p->to, "a list of 1 to 1000 addresses");
}

static void read_id(struct reader *r, struct cli_parcel *p)
{
	struct str id = text(r, "id");
	uint64_t variant;

	p->has_id = id.n > 0;
	(void)member(r, "id", !p->has_id || id_parse(id, &p->id), "the id of a message");
	(void)number(r, "variant", UINT16_MAX, &variant);
	p->variant = (uint16_t)variant;
}

static void read_sum(struct reader *r, struct cli_parcel *p)
{
	struct str hex = text(r, "blake2b");
	size_t n = 0;

	p->has_sum = hex.n > 0;
	(void)member(r, "blake2b",
		     !p->has_sum || (sodium_hex2bin(p->sum, sizeof p->sum, hex.p, hex.n, NULL, &n,
						    NULL) == 0 &&
				     n == sizeof p->sum),
		     "64 hexadecimal digits");
}

static void read_envelope(struct reader *r, struct cli_parcel *p)
{
	struct envelope e;

	p->envelope = text(r, "envelope");
	if (r->bad || !p->envelope.n)
		return;
	if (envelope_read(p->envelope, r->arena, &e, r->why) < 0) {
		r->bad = true;
		return;
	}
	p->recipients = (uint16_t)e.nrcpts;
	(void)member(r, "id", p->has_id && id_is_eq(&p->id, &e.id), "that of the envelope");
}

int cli_parcel_read(struct str json, struct arena *arena, struct cli_parcel *out, struct fault *why)
{
	json_error_t error;
	json_t *root = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	struct reader r = { root, arena, why, false };
	uint64_t format;

	*out = (struct cli_parcel){ .has_id = false };
	if (!root)
		return fault_set(why, "line %d, column %d: %s", error.line, error.column,
				 error.text);
	(void)member(&r, "moongate",
		     !number(&r, "moongate", UINT32_MAX, &format) || format == FORMAT,
		     "1: another release wrote this");
	read_id(&r, out);
	read_sum(&r, out);
	out->has_size = number(&r, "size", INT64_MAX, &out->size);
	out->has_header = number(&r, "header", INT64_MAX, &out->header);
	read_envelope(&r, out);
	if (!r.bad && out->envelope.n)
		read_progress(&r, out);
	else if (!r.bad)
		read_to(&r, out);
	json_decref(root);
	return r.bad ? -1 : 0;
}

/* ---- composing ------------------------------------------------------------------------------- */

/* person - the canonical text of an address; false was said */
static bool person(struct str from, struct arena *arena, struct str *out, struct fault *why)
{
	struct address a, kept;

	if (address_parse(from, &a) != ADDRESS_OK || !address_copy(arena, &a, &kept)) {
		fault_set(why, "`%.*s` is no address", STR_ARG(str_head(from, ADDRESS_TEXT)));
		return false;
	}
	*out = kept.text;
	return true;
}

static int parse_people(const struct cli_parcel *p, struct arena *arena, struct envelope *e,
			struct fault *why)
{
	e->rcpts = arena_alloc(arena, p->nto * sizeof *e->rcpts);
	e->nrcpts = p->nto;
	if (!e->rcpts)
		return fault_set(why, "too many recipients");
	if (p->from.n && !person(p->from, arena, &e->sender, why))
		return -1;
	for (unsigned i = 0; i < p->nto; i++) {
		e->rcpts[i] = (struct envelope_rcpt){ .vars = STR_NONE };
		if (!person(p->to[i], arena, &e->rcpts[i].address, why))
			return -1;
	}
	return 0;
}

int cli_parcel_compose(struct cli_parcel *p, bool is_8bit, struct arena *arena, struct fault *why)
{
	struct envelope e = { .is_8bit = is_8bit, .created_us = clock_wall() };
	struct buf b;
	int rc = -1;

	buf_init(&b, SPOOL_ENVELOPE_MAX);
	if (p->envelope.n ? envelope_read(p->envelope, arena, &e, why) < 0
			  : parse_people(p, arena, &e, why) < 0)
		goto out;
	e.id = p->id;
	e.variant = p->variant;
	p->recipients = (uint16_t)e.nrcpts;
	fault_set(why, "its envelope is too large");
	if (!envelope_write(&b, &e))
		goto out;
	p->envelope = arena_str(arena, buf_str(&b));
	rc = p->envelope.p ? 0 : -1;
out:
	buf_fini(&b);
	return rc;
}
