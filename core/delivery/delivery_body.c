#include "delivery_body.h"

#include <assert.h>

#include "ipc_lease.h"

void delivery_body_init(struct delivery_body *b)
{
	*b = (struct delivery_body){ .part = BODY_END };
	buf_init(&b->chunk, DELIVERY_BODY_AHEAD);
}

void delivery_body_fini(struct delivery_body *b)
{
	buf_fini(&b->chunk);
}

/* enter - the next part that has something in it */
static void enter(struct delivery_body *b, enum body_part part)
{
	b->at = 0;
	if (part == BODY_TRACE && b->trace.n == 0)
		part = BODY_HEADER;
	if (part == BODY_HEADER && b->header.n == 0)
		part = BODY_GAP;
	if (part == BODY_FIRST && b->first.n == 0)
		part = BODY_REST;
	if (part == BODY_REST && b->taken == b->length - b->first.n)
		part = BODY_END;
	b->part = part;
}

void delivery_body_set(struct delivery_body *b, struct str header, struct str first,
		       uint64_t length)
{
	assert(first.n <= length);
	b->header = header;
	b->first = first;
	b->length = length;
	b->is_lost = b->is_asked = b->is_stale = false;
	delivery_body_rewind(b, STR_NONE);
}

void delivery_body_rewind(struct delivery_body *b, struct str trace)
{
	b->trace = trace;
	b->fetched = b->taken = 0;
	b->is_stale = b->is_asked;
	buf_reset(&b->chunk);
	buf_shrink(&b->chunk);
	enter(b, BODY_TRACE);
}

uint64_t delivery_body_size(const struct delivery_body *b)
{
	return b->trace.n + b->header.n + 2 + b->length;
}

struct str delivery_body_piece(const struct delivery_body *b)
{
	switch (b->part) {
	case BODY_TRACE:
		return str_drop(b->trace, b->at);
	case BODY_HEADER:
		return str_drop(b->header, b->at);
	case BODY_GAP:
		return str_drop(STR("\r\n"), b->at);
	case BODY_FIRST:
		return str_drop(b->first, b->at);
	case BODY_REST:
		return buf_str(&b->chunk);
	case BODY_END:
		break;
	}
	return STR_NONE;
}

void delivery_body_took(struct delivery_body *b, size_t n)
{
	size_t there = delivery_body_piece(b).n;

	assert(n <= there);
	if (n == 0)
		return;
	b->at += n;
	if (b->part == BODY_REST) {
		buf_take(&b->chunk, n);
		b->taken += n;
		if (b->taken == b->length - b->first.n)
			enter(b, BODY_END);
	} else if (n == there) {
		enter(b, b->part + 1);
	}
}

bool delivery_body_is_end(const struct delivery_body *b)
{
	return b->part == BODY_END;
}

bool delivery_body_wants(const struct delivery_body *b, uint64_t *offset, uint32_t *length)
{
	uint64_t left = b->length - b->first.n - b->fetched;

	if (b->is_asked || b->is_lost || left == 0 || buf_room(&b->chunk) < IPC_READ_MAX)
		return false;
	*offset = b->first.n + b->fetched;
	*length = left < IPC_READ_MAX ? (uint32_t)left : IPC_READ_MAX;
	return true;
}

void delivery_body_asked(struct delivery_body *b)
{
	assert(!b->is_asked);
	b->is_asked = true;
	b->is_stale = false;
}

void delivery_body_data(struct delivery_body *b, uint64_t offset, struct str bytes)
{
	bool is_stale = b->is_stale, is_expected = b->is_asked && offset == b->first.n + b->fetched;

	b->is_asked = b->is_stale = false;
	if (is_stale)
		return;
	if (!is_expected || bytes.n == 0 || bytes.n > b->length - b->first.n - b->fetched ||
	    !buf_add(&b->chunk, bytes)) {
		b->is_lost = true;
		return;
	}
	b->fetched += bytes.n;
}
