#include "spool_batch.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
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
	if (b->sealed) /* keys of slots among it */
		sodium_memzero(b->body, b->length);
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

size_t spool_batch_cost(const struct spool_batch *b, size_t size, unsigned records)
{
	return size + records * b->growth;
}

size_t spool_batch_size(const struct spool_batch *b)
{
	return spool_batch_cost(b, b->length, b->records);
}

size_t spool_batch_room(const struct spool_batch *b)
{
	size_t size = spool_batch_size(b);

	return spool_batch_most(b) > size ? spool_batch_most(b) - size : 0;
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

size_t spool_batch_stored(const struct spool_batch *b, uint32_t length)
{
	return spool_record_size(length + (b->cipher.key ? SPOOL_CIPHER_MORE : 0));
}

size_t spool_batch_front(const struct spool_batch *b)
{
	return SPOOL_BATCH_HEAD + b->front_records * spool_batch_stored(b, SPOOL_CLOSE_SIZE);
}

static size_t length_of(const struct spool_batch *b)
{
	size_t length = spool_batch_front(b);
	struct spool_record r;

	for (size_t at = 0; spool_batch_next(b, &at, &r);)
		length += spool_batch_stored(b, r.length);
	return length;
}

size_t spool_batch_place(struct spool_batch *b, struct spool_segment *s, uint64_t lsn)
{
	size_t length, at = 0;
	struct spool_record r;

	b->segment = s;
	b->cipher = (struct spool_cipher){ s->key, s->number, s->header.epoch };
	length = length_of(b);
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

/* finish - the last of a record, in plain or sealed to `to`; where the next one goes */
static char *finish(const struct spool_batch *b, char *record, char *to)
{
	size_t size = 0;

	if (b->cipher.key)
		size = spool_cipher_seal(&b->cipher, record, to);
	else
		to = record;
	spool_record_sum(to, b->seed);
	return to + size;
}

static void finish_all(struct spool_batch *b)
{
	char *to = b->sealed ? b->sealed + SPOOL_BATCH_HEAD : NULL;
	struct spool_record r;
	size_t at = 0;

	for (uint32_t i = 0; i < b->front_records; i++)
		to = finish(b, b->front + SPOOL_BATCH_HEAD + i * SPOOL_END_RECORD, to);
	for (size_t next = 0; spool_batch_next(b, &next, &r); at = next)
		to = finish(b, b->body + at, to);
	spool_head_put(b->cipher.key ? b->sealed : b->front, &b->head);
	assert(!b->cipher.key || to == b->sealed + b->head.length);
}

void spool_batch_write(struct spool_batch *b)
{
	static const char zeros[SPOOL_BLOCK];
	size_t padded = (size_t)spool_round(b->head.length, SPOOL_BLOCK);
	struct iovec pad = { (void *)(uintptr_t)zeros, padded - b->head.length };
	struct iovec plain[] = { { b->front, SPOOL_BATCH_HEAD + b->front_length },
				 { b->body, b->length },
				 pad };
	struct iovec sealed[] = { { b->sealed, b->head.length }, pad };
	uint64_t begin;
	ssize_t put;

	finish_all(b);
	put = b->cipher.key ? b->file->write(b->file, b->fd, sealed, COUNT(sealed), b->offset)
			    : b->file->write(b->file, b->fd, plain, COUNT(plain), b->offset);
	b->error = put < 0 ? errno : (size_t)put < padded ? EIO : 0;
	if (b->error)
		return;
	begin = clock_mono();
	if (b->file->sync(b->file, b->fd) < 0) /* never retried: the page cache lies after this */
		b->error = errno;
	b->sync_us = clock_mono() - begin;
}
