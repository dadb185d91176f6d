#include "spool_batch.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"

int spool_batch_init(struct spool_batch *b, size_t capacity, struct fault *why)
{
	*b = (struct spool_batch){ .capacity = capacity };
	b->body = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->body == MAP_FAILED) {
		b->body = NULL;
		return fault_sys(why, "reserving %zu bytes for a batch", capacity);
	}
	spool_batch_reset(b);
	return 0;
}

void spool_batch_fini(struct spool_batch *b)
{
	if (b->body)
		munmap(b->body, b->capacity);
	b->body = NULL;
}

void spool_batch_reset(struct spool_batch *b)
{
	b->length = b->notes = b->front_length = 0;
	b->records = b->front_records = b->accepts = b->nsubmits = 0;
	b->needs_room = b->has_all_pending = false;
	b->segment = NULL;
	b->since = 0;
	b->error = 0;
	list_init(&b->submits);
	list_init(&b->flying);
	list_init(&b->moving);
	list_init(&b->leaving);
}

bool spool_batch_is_empty(const struct spool_batch *b)
{
	return b->records == 0 && b->front_records == 0;
}

size_t spool_batch_padded(size_t length)
{
	return (size_t)spool_round(SPOOL_BLOCK + length, SPOOL_BLOCK);
}

size_t spool_batch_most(const struct spool_batch *b)
{
	size_t share = b->capacity / SPOOL_NOTES_SHARE;

	return b->capacity - (share > SPOOL_NOTES_MIN ? share : SPOOL_NOTES_MIN);
}

size_t spool_batch_room(const struct spool_batch *b)
{
	return spool_batch_most(b) > b->length ? spool_batch_most(b) - b->length : 0;
}

char *spool_batch_space(struct spool_batch *b, size_t size)
{
	assert(size <= b->capacity - b->length);
	return b->body + b->length;
}

void spool_batch_took(struct spool_batch *b, size_t size)
{
	size_t at = b->length;
	struct spool_record r;

	b->length += size;
	while (spool_batch_next(b, &at, &r)) {
		b->records++;
		if (spool_type_is_message(r.type))
			b->accepts++;
	}
}

char *spool_batch_add(struct spool_batch *b, const struct spool_record *r)
{
	char *to = spool_batch_space(b, spool_record_size(r->length));

	spool_record_put(to, r);
	spool_batch_took(b, spool_record_size(r->length));
	return to + SPOOL_RECORD_HEAD;
}

void spool_batch_end(struct spool_batch *b, const struct spool_end *end, bool is_abort)
{
	struct spool_record r = { .length = SPOOL_CLOSE_SIZE,
				  .type = is_abort ? SPOOL_ABORT : SPOOL_CLOSE };
	char *to = b->front + SPOOL_BATCH_HEAD + b->front_length;

	assert(b->front_records < SPOOL_ENDS_MAX);
	spool_record_put(to, &r);
	spool_end_put(to + SPOOL_RECORD_HEAD, end);
	b->front_length += SPOOL_END_RECORD;
	b->front_records++;
}

bool spool_batch_next(const struct spool_batch *b, size_t *at, struct spool_record *r)
{
	if (*at >= b->length)
		return false;
	spool_record_peek(b->body + *at, r);
	*at += spool_record_size(r->length);
	return true;
}

size_t spool_batch_place(struct spool_batch *b, struct spool_segment *s, uint64_t lsn)
{
	size_t length = SPOOL_BATCH_HEAD + b->front_length + b->length, at = 0;
	struct spool_record r;

	b->segment = s;
	b->fd = s->fd;
	b->offset = s->tail;
	b->seed = spool_seed(s->header.epoch, s->header.salt);
	b->head = (struct spool_head){ s->header.epoch,
				       s->header.salt,
				       lsn,
				       lsn,
				       (uint32_t)length,
				       b->front_records + b->records,
				       s->number,
				       (uint32_t)(s->tail / SPOOL_BLOCK) };
	for (uint32_t i = 0; i < b->front_records; i++)
		spool_record_place(b->front + SPOOL_BATCH_HEAD + i * SPOOL_END_RECORD, lsn++, 0);
	for (size_t next = 0; spool_batch_next(b, &next, &r); at = next)
		spool_record_place(b->body + at, lsn++,
				   spool_type_is_message(r.type) ? s->ordinals++ : 0);
	return (size_t)spool_round(length, SPOOL_BLOCK);
}

static void sum_all(struct spool_batch *b)
{
	struct spool_record r;
	size_t at = 0;

	for (uint32_t i = 0; i < b->front_records; i++)
		spool_record_sum(b->front + SPOOL_BATCH_HEAD + i * SPOOL_END_RECORD, b->seed);
	for (size_t next = 0; spool_batch_next(b, &next, &r); at = next)
		spool_record_sum(b->body + at, b->seed);
	spool_head_put(b->front, &b->head);
}

void spool_batch_write(struct spool_batch *b)
{
	static const char zeros[SPOOL_BLOCK];
	size_t padded = (size_t)spool_round(b->head.length, SPOOL_BLOCK);
	struct iovec v[] = {
		{ b->front, SPOOL_BATCH_HEAD + b->front_length },
		{ b->body, b->length },
		{ (void *)(uintptr_t)zeros, padded - b->head.length },
	};
	uint64_t begin;
	ssize_t put;

	sum_all(b);
	put = b->file->write(b->file, b->fd, v, COUNT(v), b->offset);
	b->error = put < 0 ? errno : (size_t)put < padded ? EIO : 0;
	if (b->error)
		return;
	begin = clock_mono();
	if (b->file->sync(b->file, b->fd) < 0) /* never retried: the page cache lies after this */
		b->error = errno;
	b->sync_us = clock_mono() - begin;
}
