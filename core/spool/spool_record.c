#include "spool_record.h"

#include <assert.h>
#include <string.h>

static const char segment_magic[8] = "MOONSEG1", batch_magic[8] = "MOONBAT1";

enum { HEAD_SUMMED = SPOOL_RECORD_HEAD - 4 };

char *spool_put16(char *p, uint16_t v)
{
	p[0] = (char)v;
	p[1] = (char)(v >> 8);
	return p + 2;
}

char *spool_put32(char *p, uint32_t v)
{
	return spool_put16(spool_put16(p, (uint16_t)v), (uint16_t)(v >> 16));
}

char *spool_put64(char *p, uint64_t v)
{
	return spool_put32(spool_put32(p, (uint32_t)v), (uint32_t)(v >> 32));
}

uint32_t spool_seed(uint64_t epoch, uint64_t salt)
{
	char both[16];

	spool_put64(spool_put64(both, epoch), salt);
	return crc32c(0, both, sizeof both);
}

uint64_t spool_round(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

/* A segment's header */

void spool_header_put(char to[SPOOL_HEADER_SIZE], const struct spool_header *h)
{
	char *p = to;

	memset(to, 0, SPOOL_HEADER_SIZE);
	memcpy(p, segment_magic, sizeof segment_magic);
	p = spool_put32(p + sizeof segment_magic, SPOOL_VERSION);
	p = spool_put32(p, h->number);
	p = spool_put64(p, h->epoch);
	p = spool_put64(p, h->salt);
	p = spool_put64(p, h->size);
	memcpy(p, h->key, sizeof h->key);
	spool_put32(to + SPOOL_HEADER_SIZE - 4, crc32c(0, to, SPOOL_HEADER_SIZE - 4));
}

bool spool_header_get(const char from[SPOOL_HEADER_SIZE], struct spool_header *h)
{
	struct wire w = { { from, SPOOL_HEADER_SIZE }, false };
	struct wire sum = { { from + SPOOL_HEADER_SIZE - 4, 4 }, false };

	if (memcmp(from, segment_magic, sizeof segment_magic) != 0)
		return false;
	if (wire_get_u32(&sum) != crc32c(0, from, SPOOL_HEADER_SIZE - 4))
		return false;
	w.rest = str_drop(w.rest, sizeof segment_magic);
	if (wire_get_u32(&w) != SPOOL_VERSION)
		return false;
	h->number = wire_get_u32(&w);
	h->epoch = wire_get_u64(&w);
	h->salt = wire_get_u64(&w);
	h->size = wire_get_u64(&w);
	memcpy(h->key, w.rest.p, sizeof h->key);
	return true;
}

int spool_header_pick(const char block[SPOOL_BLOCK], struct spool_header *h)
{
	struct spool_header other;
	bool first = spool_header_get(block, h),
	     second = spool_header_get(block + SPOOL_HEADER_COPY, &other);

	if (!second || (first && h->epoch >= other.epoch))
		return first ? 0 : -1;
	*h = other;
	return 1;
}

/* A batch's head */

void spool_head_put(char to[SPOOL_BATCH_HEAD], const struct spool_head *h)
{
	char *p = to;

	memcpy(p, batch_magic, sizeof batch_magic);
	p = spool_put64(p + sizeof batch_magic, h->epoch);
	p = spool_put64(p, h->salt);
	p = spool_put64(p, h->lsn);
	p = spool_put64(p, h->durable_upto);
	p = spool_put32(p, h->length);
	p = spool_put32(p, h->records);
	p = spool_put32(p, h->number);
	p = spool_put32(p, h->block);
	p = spool_put32(p, 0);
	spool_put32(p, crc32c(spool_seed(h->epoch, h->salt), to, SPOOL_BATCH_HEAD - 4));
}

bool spool_head_get(const char from[SPOOL_BATCH_HEAD], struct spool_head *h)
{
	struct wire w = { { from, SPOOL_BATCH_HEAD }, false };

	if (memcmp(from, batch_magic, sizeof batch_magic) != 0)
		return false;
	w.rest = str_drop(w.rest, sizeof batch_magic);
	h->epoch = wire_get_u64(&w);
	h->salt = wire_get_u64(&w);
	h->lsn = wire_get_u64(&w);
	h->durable_upto = wire_get_u64(&w);
	h->length = wire_get_u32(&w);
	h->records = wire_get_u32(&w);
	h->number = wire_get_u32(&w);
	h->block = wire_get_u32(&w);
	wire_get_u32(&w);
	return wire_get_u32(&w) ==
		       crc32c(spool_seed(h->epoch, h->salt), from, SPOOL_BATCH_HEAD - 4) &&
	       h->length >= SPOOL_BATCH_HEAD;
}

/* A record */

bool spool_type_is_message(unsigned type)
{
	return type == SPOOL_ACCEPT || type == SPOOL_MOVE;
}

size_t spool_record_size(size_t payload)
{
	return SPOOL_RECORD_HEAD + spool_round(payload, 8);
}

/* A float without a sign: 4 bits of exponent, 8 of mantissa, in units of 64 bytes; exponent 0 has
 * no hidden bit. */
enum { SIZE_UNIT = 64, MANTISSA = 256 };

unsigned spool_size_pack(size_t size)
{
	size_t units = (size + SIZE_UNIT - 1) / SIZE_UNIT;
	unsigned exponent = 0;

	if (units < MANTISSA)
		return (unsigned)units;
	for (; units >= (size_t)2 * MANTISSA; exponent++)
		units = (units + 1) / 2;
	assert(exponent < 15);
	return (exponent + 1) * MANTISSA + (unsigned)units - MANTISSA;
}

size_t spool_size_unpack(unsigned packed)
{
	size_t mantissa = packed % MANTISSA, exponent = packed / MANTISSA;

	return exponent == 0 ? mantissa * SIZE_UNIT
			     : ((mantissa + MANTISSA) << (exponent - 1)) * SIZE_UNIT;
}

void spool_record_put(char *to, const struct spool_record *r)
{
	char *p = to;

	p = spool_put32(p, r->length);
	p = spool_put16(p, r->type);
	p = spool_put16(p, r->flags);
	p = spool_put64(p, r->lsn);
	p = spool_put32(p, r->ordinal);
	p = spool_put16(p, r->variant);
	p = spool_put16(p, 0);
	memcpy(p, r->id.b, sizeof r->id.b);
	spool_put64(p + sizeof r->id.b, 0);
	memset(to + SPOOL_RECORD_HEAD + r->length, 0,
	       spool_record_size(r->length) - SPOOL_RECORD_HEAD - r->length);
}

void spool_record_place(char *to, uint64_t lsn, uint32_t ordinal)
{
	spool_put32(spool_put64(to + 8, lsn), ordinal);
}

void spool_record_sum(char *to, uint32_t seed)
{
	struct spool_record r;

	spool_record_peek(to, &r);
	spool_put32(to + HEAD_SUMMED - 4, crc32c(seed, r.payload.p, r.payload.n));
	spool_put32(to + HEAD_SUMMED, crc32c(seed, to, HEAD_SUMMED));
}

void spool_record_peek(const char *from, struct spool_record *r)
{
	struct wire w = { { from, SPOOL_RECORD_HEAD }, false };

	r->length = wire_get_u32(&w);
	r->type = wire_get_u16(&w);
	r->flags = wire_get_u16(&w);
	r->lsn = wire_get_u64(&w);
	r->ordinal = wire_get_u32(&w);
	r->variant = wire_get_u16(&w);
	wire_get_u16(&w);
	r->id = wire_get_id(&w);
	r->crc = wire_get_u32(&w);
	assert(!w.bad);
	r->payload = (struct str){ from + SPOOL_RECORD_HEAD, r->length };
}

enum step spool_record_take(struct str *in, uint32_t seed, struct spool_record *r)
{
	struct wire sum;

	if (in->n < SPOOL_RECORD_HEAD)
		return STEP_MORE;
	sum = (struct wire){ { in->p + HEAD_SUMMED, 4 }, false };
	if (wire_get_u32(&sum) != crc32c(seed, in->p, HEAD_SUMMED))
		return STEP_ERROR;
	spool_record_peek(in->p, r);
	if (r->length > in->n - SPOOL_RECORD_HEAD || spool_record_size(r->length) > in->n)
		return STEP_MORE;
	*in = str_drop(*in, spool_record_size(r->length));
	return STEP_DONE;
}

bool spool_record_is_whole(const struct spool_record *r, uint32_t seed)
{
	return r->crc == crc32c(seed, r->payload.p, r->payload.n);
}
