#include "spool_cipher.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "spool_note.h"

#define HEADER crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define MORE   crypto_secretstream_xchacha20poly1305_ABYTES
#define FINAL  crypto_secretstream_xchacha20poly1305_TAG_FINAL
#define MIDDLE crypto_secretstream_xchacha20poly1305_TAG_MESSAGE

_Static_assert(SPOOL_CIPHER_KEY == crypto_secretstream_xchacha20poly1305_KEYBYTES, "key");
_Static_assert(SPOOL_CIPHER_MORE == HEADER + MORE && SPOOL_CIPHER_FRONT == HEADER + 1, "layout");

enum { PLACE = 52, SUM = 32, UNIT_PLACE = 12 };

/* Streams of one message: `stream` is header, tag, n bytes, authenticator; the plain bytes may be
 * those in it */

struct place { /* where a stream belongs */
	const unsigned char *key;
	char bytes[PLACE + SUM];
	size_t n;
	unsigned char tag;
};

static const unsigned char *bytes_of(const void *p)
{
	return p;
}

static void push(const struct place *place, const char *plain, size_t n, char *stream)
{
	crypto_secretstream_xchacha20poly1305_state state;
	unsigned char *to = (unsigned char *)stream;

	crypto_secretstream_xchacha20poly1305_init_push(&state, to, place->key);
	crypto_secretstream_xchacha20poly1305_push(&state, to + HEADER, NULL, bytes_of(plain), n,
						   bytes_of(place->bytes), place->n, place->tag);
	sodium_memzero(&state, sizeof state);
}

static bool pull(const struct place *place, char *stream, size_t n)
{
	crypto_secretstream_xchacha20poly1305_state state;
	unsigned char *at = (unsigned char *)stream, found = 0xff;
	int rc = crypto_secretstream_xchacha20poly1305_init_pull(&state, at, place->key);

	if (rc == 0)
		rc = crypto_secretstream_xchacha20poly1305_pull(&state, at + SPOOL_CIPHER_FRONT,
								NULL, &found, at + HEADER, n + MORE,
								bytes_of(place->bytes), place->n);
	sodium_memzero(&state, sizeof state);
	return rc == 0 && found == place->tag;
}

/* Records */

#define WHOLE SIZE_MAX

size_t spool_cipher_clear(unsigned type, size_t length)
{
	/* clang-format off */
	static const size_t clear[] = {
		[SPOOL_ACCEPT] = SPOOL_ACCEPT_FIXED,                    /* lengths, and the slot with its sum */
		[SPOOL_MOVE] = SPOOL_MOVE_FIXED + SPOOL_ACCEPT_FIXED,   /* and where it was */
		[SPOOL_STATE] = SPOOL_STATE_PLACE,                      /* whose it is */
		[SPOOL_DONE] = WHOLE, [SPOOL_DEAD] = WHOLE, [SPOOL_CLOSE] = WHOLE, [SPOOL_ABORT] = WHOLE,
	};
	/* clang-format on */
	size_t n = type < COUNT(clear) ? clear[type] : 0;

	return n < length ? n : length;
}

static struct place place_of(const struct spool_cipher *c, const struct spool_record *r,
			     struct str clear)
{
	struct place place = { .key = c->key, .n = sizeof place.bytes, .tag = FINAL };
	char *p = place.bytes;

	p = spool_put64(spool_put32(p, c->number), c->epoch);
	p = spool_put16(spool_put16(spool_put32(p, r->length), r->type), r->flags);
	p = spool_put32(spool_put64(p, r->lsn), r->ordinal);
	p = spool_put32(p, r->variant);
	memcpy(p, r->id.b, sizeof r->id.b);
	p += sizeof r->id.b;
	assert(p == place.bytes + PLACE);
	crypto_generichash((unsigned char *)p, SUM, bytes_of(clear.p), clear.n, NULL, 0);
	return place;
}

size_t spool_cipher_seal(const struct spool_cipher *c, const char *from, char *to)
{
	struct spool_record r;
	struct place place;
	struct str clear, rest;

	spool_record_peek(from, &r);
	clear = str_head(r.payload, spool_cipher_clear(r.type, r.length));
	rest = str_drop(r.payload, clear.n);
	r.length += SPOOL_CIPHER_MORE;
	r.flags |= SPOOL_SEALED;
	spool_record_put(to, &r);
	to += SPOOL_RECORD_HEAD;
	memcpy(to, clear.p, clear.n);
	place = place_of(c, &r, clear);
	push(&place, rest.p, rest.n, to + clear.n);
	return spool_record_size(r.length);
}

bool spool_cipher_open(const struct spool_cipher *c, struct spool_record *r)
{
	char *p = (char *)(uintptr_t)r->payload.p;
	struct place place;
	size_t plain, clear;

	if (r->payload.n < SPOOL_CIPHER_MORE)
		return false;
	plain = r->payload.n - SPOOL_CIPHER_MORE;
	clear = spool_cipher_clear(r->type, plain);
	place = place_of(c, r, (struct str){ p, clear });
	if (!pull(&place, p + clear, plain - clear))
		return false;
	r->flags &= (uint16_t)~SPOOL_SEALED;
	if (clear < plain) { /* the two parts come together */
		memmove(p + SPOOL_CIPHER_FRONT, p, clear);
		p += SPOOL_CIPHER_FRONT;
	}
	r->payload = (struct str){ p, plain };
	return true;
}

struct str spool_cipher_peek(const struct spool_record *r)
{
	size_t more = r->flags & SPOOL_SEALED ? SPOOL_CIPHER_MORE : 0;

	if (r->payload.n < more)
		return STR_NONE;
	if (more == 0)
		return r->payload;
	return str_head(r->payload, spool_cipher_clear(r->type, r->payload.n - more));
}

/* Slots */

uint64_t spool_unit_stored(uint64_t length)
{
	return length + (length + SPOOL_UNIT - 1) / SPOOL_UNIT * SPOOL_CIPHER_MORE;
}

uint64_t spool_unit_at(uint64_t index)
{
	return index * SPOOL_UNIT_STORED;
}

static struct place unit_place(const struct spool_unit *u)
{
	struct place place = { .key = u->key, .n = UNIT_PLACE, .tag = u->is_last ? FINAL : MIDDLE };

	spool_put64(spool_put32(place.bytes, u->slot), u->index);
	return place;
}

void spool_unit_seal(const struct spool_unit *u, char *unit, size_t n)
{
	struct place place = unit_place(u);

	assert(n <= SPOOL_UNIT);
	push(&place, unit + SPOOL_CIPHER_FRONT, n, unit);
}

bool spool_unit_open(const struct spool_unit *u, char *unit, size_t n)
{
	struct place place = unit_place(u);

	return pull(&place, unit, n);
}
