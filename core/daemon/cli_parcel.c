#include "cli_parcel.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

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
