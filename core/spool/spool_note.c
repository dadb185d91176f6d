#include "spool_note.h"

#include <string.h>

enum { STATE_FIXED = 24, DONE_FIXED = 16, DEAD_FIXED = 32 };

size_t spool_state_size(unsigned recipients, const struct spool_state *s)
{
	return STATE_FIXED + 2 * spool_bitmap_size(recipients) + s->blob.n;
}

void spool_state_put(char *to, const struct spool_place *place, unsigned recipients,
		     const struct spool_state *s)
{
	size_t bitmap = spool_bitmap_size(recipients);
	char *p = to;

	p = spool_put32(p, place->segment);
	p = spool_put32(p, place->ordinal);
	p = spool_put64(p, place->epoch);
	p = spool_put16(p, (uint16_t)recipients);
	p = spool_put16(p, 0);
	p = spool_put32(p, (uint32_t)s->blob.n);
	memcpy(p, s->done, bitmap);
	memcpy(p + bitmap, s->failed, bitmap);
	if (s->blob.n > 0)
		memcpy(p + 2 * bitmap, s->blob.p, s->blob.n);
}

/* take_place - what STATE and MOVE begin with */
static void take_place(struct wire *w, struct spool_place *place)
{
	place->segment = wire_get_u32(w);
	place->ordinal = wire_get_u32(w);
	place->epoch = wire_get_u64(w);
}

bool spool_state_place(struct str payload, struct spool_place *place)
{
	struct wire w = { payload, false };

	take_place(&w, place);
	return !w.bad;
}

bool spool_state_get(struct str payload, struct spool_place *place, uint16_t *recipients,
		     struct spool_state *s)
{
	struct wire w = { payload, false };
	size_t bitmap, blob;

	take_place(&w, place);
	*recipients = wire_get_u16(&w);
	wire_get_u16(&w);
	blob = wire_get_u32(&w);
	bitmap = spool_bitmap_size(*recipients);
	if (w.bad || *recipients > SPOOL_RECIPIENTS || blob > SPOOL_BLOB_MAX ||
	    w.rest.n != 2 * bitmap + blob)
		return false;
	s->done = (const uint8_t *)w.rest.p;
	s->failed = s->done + bitmap;
	s->blob = str_drop(w.rest, 2 * bitmap);
	return true;
}

char *spool_move_put(char *to, const struct spool_place *from)
{
	return spool_put64(spool_put32(spool_put32(to, from->segment), from->ordinal), from->epoch);
}

struct str spool_message_of(const struct spool_record *r, struct spool_place *from)
{
	struct wire w = { r->payload, false };

	*from = (struct spool_place){ 0 };
	if (r->type != SPOOL_MOVE)
		return r->payload;
	take_place(&w, from);
	return w.bad ? STR_NONE : w.rest;
}

size_t spool_done_size(uint32_t count)
{
	return DONE_FIXED + (size_t)count * 4;
}

char *spool_done_put(char *to, const struct spool_place *place, uint32_t count)
{
	return spool_put64(spool_put32(spool_put32(to, place->segment), count), place->epoch);
}

bool spool_done_get(struct str payload, struct spool_bits *b)
{
	struct wire w = { payload, false };

	b->place = (struct spool_place){ wire_get_u32(&w), 0, 0 };
	b->count = wire_get_u32(&w);
	b->place.epoch = wire_get_u64(&w);
	b->bytes = w.rest;
	return !w.bad && b->bytes.n % 4 == 0 && b->bytes.n / 4 == b->count;
}

uint32_t spool_done_at(const struct spool_bits *b, uint32_t i)
{
	struct wire w = { str_drop(b->bytes, (size_t)i * 4), false };

	return wire_get_u32(&w);
}

size_t spool_dead_size(uint32_t bits)
{
	return DEAD_FIXED + spool_round(bits, 64) / 8;
}

char *spool_dead_put(char *to, const struct spool_bits *b)
{
	char *p = to;

	p = spool_put32(p, b->place.segment);
	p = spool_put32(p, b->count);
	p = spool_put64(p, b->place.epoch);
	p = spool_put64(p, b->end);
	return spool_put64(p, b->lsn);
}

bool spool_dead_get(struct str payload, struct spool_bits *b)
{
	struct wire w = { payload, false };

	b->place = (struct spool_place){ wire_get_u32(&w), 0, 0 };
	b->count = wire_get_u32(&w);
	b->place.epoch = wire_get_u64(&w);
	b->end = wire_get_u64(&w);
	b->lsn = wire_get_u64(&w);
	b->bytes = w.rest;
	return !w.bad && b->bytes.n == spool_round(b->count, 64) / 8;
}

bool spool_dead_at(const struct spool_bits *b, uint32_t ordinal)
{
	/* little-endian words are byte-wise bitmaps */
	return (uint8_t)b->bytes.p[ordinal / 8] >> (ordinal % 8) & 1;
}

void spool_end_put(char to[SPOOL_CLOSE_SIZE], const struct spool_end *e)
{
	char *p = to;

	p = spool_put32(p, e->segment);
	p = spool_put32(p, 0);
	p = spool_put64(p, e->epoch);
	p = spool_put64(p, e->end);
	p = spool_put64(p, e->lsn);
	p = spool_put64(p, e->upto);
	spool_put64(p, e->seal);
}

bool spool_end_get(struct str payload, struct spool_end *e)
{
	struct wire w = { payload, false };

	e->segment = wire_get_u32(&w);
	wire_get_u32(&w);
	e->epoch = wire_get_u64(&w);
	e->end = wire_get_u64(&w);
	e->lsn = wire_get_u64(&w);
	e->upto = wire_get_u64(&w);
	e->seal = wire_get_u64(&w);
	return wire_is_end(&w);
}
