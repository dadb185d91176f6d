#include "spool_accept.h"

#include <string.h>

#include "spool_record.h"

enum { FIXED = SPOOL_ACCEPT_FIXED, EXTENT = 24, SLOT_SUM_AT = 40 };
enum form { FORM_PLAIN, FORM_SEALED };
enum kind { KIND_INLINE, KIND_SLOT };

size_t spool_bitmap_size(unsigned bits)
{
	return (bits + 7) / 8;
}

/* is_bounded - what both directions demand of the numbers */
static bool is_bounded(const struct spool_accept *a)
{
	return a->recipients > 0 && a->recipients <= SPOOL_RECIPIENTS &&
	       a->nextents <= SPOOL_EXTENTS && a->envelope.n <= SPOOL_ENVELOPE_MAX &&
	       a->header.n <= SPOOL_HEADER_MAX && a->state.blob.n <= SPOOL_BLOB_MAX;
}

static bool is_in_slot(const struct spool_accept *a, const struct spool_extent *e)
{
	return a->slot != 0 && e->offset <= a->slot_length &&
	       e->length <= a->slot_length - e->offset;
}

size_t spool_accept_size(const struct spool_accept *a)
{
	size_t size = FIXED + a->nextents * (size_t)EXTENT + 2 * spool_bitmap_size(a->recipients) +
		      a->state.blob.n + a->envelope.n + a->header.n +
		      (a->is_slot_sealed ? SPOOL_SLOT_KEY : 0);

	if (!is_bounded(a))
		return 0;
	for (unsigned i = 0; i < a->nextents; i++) {
		const struct spool_extent *e = &a->extents[i];

		if (e->length == 0 || (!e->p && !is_in_slot(a, e)))
			return 0;
		if (!e->p)
			continue;
		if (e->length > UINT32_MAX - size)
			return 0;
		size += e->length;
	}
	return size;
}

static char *put_bytes(char *p, const void *from, size_t n)
{
	if (n > 0)
		memcpy(p, from, n);
	return p + n;
}

static char *put_bitmap(char *p, const uint8_t *bits, size_t n)
{
	if (bits)
		return put_bytes(p, bits, n);
	memset(p, 0, n);
	return p + n;
}

void spool_accept_put(char *to, const struct spool_accept *a)
{
	uint64_t body = 0;
	char *p = to;

	for (unsigned i = 0; i < a->nextents; i++)
		body += a->extents[i].length;
	p = spool_put32(p, (uint32_t)a->envelope.n);
	p = spool_put32(p, (uint32_t)a->header.n);
	p = spool_put32(p, (uint32_t)a->state.blob.n);
	p = spool_put16(p, a->recipients);
	p = spool_put16(p, (uint16_t)a->nextents);
	p = spool_put64(p, body);
	p = spool_put32(p, a->slot);
	p = spool_put32(p, a->is_slot_sealed ? FORM_SEALED : FORM_PLAIN);
	p = spool_put64(p, a->slot_length);
	p = put_bytes(p, a->slot_sum, SPOOL_SUM);
	if (a->is_slot_sealed)
		p = put_bytes(p, a->slot_key, SPOOL_SLOT_KEY);
	for (unsigned i = 0; i < a->nextents; i++) {
		p = spool_put32(p, a->extents[i].p ? KIND_INLINE : KIND_SLOT);
		p = spool_put32(p, 0);
		p = spool_put64(p, a->extents[i].p ? 0 : a->extents[i].offset);
		p = spool_put64(p, a->extents[i].length);
	}
	p = put_bitmap(p, a->state.done, spool_bitmap_size(a->recipients));
	p = put_bitmap(p, a->state.failed, spool_bitmap_size(a->recipients));
	p = put_bytes(p, a->state.blob.p, a->state.blob.n);
	p = put_bytes(p, a->envelope.p, a->envelope.n);
	p = put_bytes(p, a->header.p, a->header.n);
	for (unsigned i = 0; i < a->nextents; i++)
		if (a->extents[i].p)
			p = put_bytes(p, a->extents[i].p, a->extents[i].length);
}

void spool_accept_sum(char *payload, const uint8_t sum[SPOOL_SUM])
{
	memcpy(payload + SLOT_SUM_AT, sum, SPOOL_SUM);
}

/* take_bytes - the next n bytes, which must be there */
static struct str take_bytes(struct wire *w, size_t n)
{
	struct str head = { w->rest.p, n };

	if (w->bad || n > w->rest.n) {
		w->bad = true;
		return STR_NONE;
	}
	w->rest = str_drop(w->rest, n);
	return head;
}

/* take_extents - the table; inline ones get their place later, when everything before them has been
 * passed */
static uint64_t take_extents(struct wire *w, struct spool_accept *a, uint32_t kinds[SPOOL_EXTENTS])
{
	uint64_t body = 0;

	for (unsigned i = 0; i < a->nextents; i++) {
		struct spool_extent *e = &a->extents[i];

		kinds[i] = wire_get_u32(w);
		wire_get_u32(w);
		*e = (struct spool_extent){ NULL, wire_get_u64(w), 0 };
		e->length = wire_get_u64(w);
		if (kinds[i] > KIND_SLOT || e->length == 0 || e->length > UINT64_MAX - body)
			w->bad = true;
		if (kinds[i] == KIND_SLOT && !is_in_slot(a, e))
			w->bad = true;
		body += e->length;
	}
	return body;
}

/* take_fixed - lengths and the slot */
static void take_fixed(struct wire *w, struct spool_accept *a)
{
	uint32_t form;

	a->envelope = (struct str){ NULL, wire_get_u32(w) };
	a->header = (struct str){ NULL, wire_get_u32(w) };
	a->state.blob = (struct str){ NULL, wire_get_u32(w) };
	a->recipients = wire_get_u16(w);
	a->nextents = wire_get_u16(w);
	a->body_length = wire_get_u64(w);
	a->slot = wire_get_u32(w);
	form = wire_get_u32(w);
	a->slot_length = wire_get_u64(w);
	if (form > FORM_SEALED || w->rest.n < SPOOL_SUM)
		w->bad = true;
	else
		memcpy(a->slot_sum, take_bytes(w, SPOOL_SUM).p, SPOOL_SUM);
	a->is_slot_sealed = form == FORM_SEALED;
	a->slot_key = NULL;
}

bool spool_accept_slot(struct str payload, struct spool_accept *a)
{
	struct wire w = { payload, false };

	*a = (struct spool_accept){ 0 };
	take_fixed(&w, a);
	a->envelope = a->header = a->state.blob = STR_NONE;
	a->nextents = 0;
	return !w.bad;
}

bool spool_accept_get(struct str payload, struct spool_accept *a)
{
	struct wire w = { payload, false };
	uint32_t kinds[SPOOL_EXTENTS];
	size_t bitmap;

	take_fixed(&w, a);
	if (w.bad || !is_bounded(a))
		return false;
	if (a->is_slot_sealed)
		a->slot_key = (const unsigned char *)take_bytes(&w, SPOOL_SLOT_KEY).p;
	if (take_extents(&w, a, kinds) != a->body_length || w.bad)
		return false;
	bitmap = spool_bitmap_size(a->recipients);
	a->state.done = (const uint8_t *)take_bytes(&w, bitmap).p;
	a->state.failed = (const uint8_t *)take_bytes(&w, bitmap).p;
	a->state.blob = take_bytes(&w, a->state.blob.n);
	a->envelope = take_bytes(&w, a->envelope.n);
	a->header = take_bytes(&w, a->header.n);
	for (unsigned i = 0; i < a->nextents; i++)
		if (kinds[i] == KIND_INLINE)
			a->extents[i].p = take_bytes(&w, a->extents[i].length).p;
	return wire_is_end(&w);
}

bool spool_accept_piece(const struct spool_accept *a, uint64_t offset, struct spool_extent *piece)
{
	for (unsigned i = 0; i < a->nextents; i++) {
		const struct spool_extent *e = &a->extents[i];

		if (offset < e->length) {
			piece->p = e->p ? e->p + offset : NULL;
			piece->offset = e->offset + offset;
			piece->length = e->length - offset;
			return true;
		}
		offset -= e->length;
	}
	return false;
}
