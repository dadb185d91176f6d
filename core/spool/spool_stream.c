#include "spool_stream.h"

#include <assert.h>
#include <string.h>

_Static_assert(SPOOL_STREAM_UNITS >= 2 && SPOOL_SLOT_WINDOW % SPOOL_UNIT == 0,
	       "one unit fills while another is written");

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void spool_sum_init(struct spool_sum *s, bool is_sealed)
{
	s->is_sealed = is_sealed;
	s->crc = 0;
	crypto_generichash_init(&s->hash, NULL, 0, SPOOL_SUM);
}

void spool_sum_add(struct spool_sum *s, const void *bytes, size_t n)
{
	if (s->is_sealed)
		s->crc = crc32c(s->crc, bytes, n);
	else
		crypto_generichash_update(&s->hash, bytes, n);
}

void spool_sum_final(struct spool_sum *s, uint8_t sum[SPOOL_SUM])
{
	memset(sum, 0, SPOOL_SUM);
	if (s->is_sealed)
		spool_put32((char *)sum, s->crc);
	else
		crypto_generichash_final(&s->hash, sum, SPOOL_SUM);
}

void spool_stream_init(struct spool_stream *s, bool is_sealed)
{
	spool_sum_init(&s->sum, is_sealed);
}

void spool_stream_put(struct spool_stream *s, bool is_sealed, uint64_t at, struct str bytes)
{
	while (bytes.n > 0) {
		size_t place = at % SPOOL_SLOT_WINDOW, left = SPOOL_SLOT_WINDOW - place, n;

		if (is_sealed) { /* as it will stand on disk */
			left = SPOOL_UNIT - place % SPOOL_UNIT;
			place += place / SPOOL_UNIT * SPOOL_CIPHER_MORE + SPOOL_CIPHER_FRONT;
		}
		n = (size_t)least(bytes.n, left);
		memcpy(s->ring + place, bytes.p, n);
		at += n;
		bytes = str_drop(bytes, n);
	}
}

uint64_t spool_stream_ready(bool is_sealed, uint64_t length)
{
	if (!is_sealed || length == 0)
		return length;
	return (length - 1) / SPOOL_UNIT * SPOOL_UNIT;
}

static int write_out(struct spool_stream *s, const struct spool_stretch *w, struct str bytes,
		     uint64_t at)
{
	if (spool_file_write_all(w->file, w->fd, bytes.p, bytes.n, at) < 0)
		return -1;
	spool_sum_add(&s->sum, bytes.p, bytes.n);
	return 0;
}

static int write_plain(struct spool_stream *s, const struct spool_stretch *w)
{
	for (uint64_t at = w->from, n; at < w->upto; at += n) {
		size_t place = at % SPOOL_SLOT_WINDOW;

		n = least(w->upto - at, SPOOL_SLOT_WINDOW - place);
		if (write_out(s, w, (struct str){ s->ring + place, (size_t)n }, at) < 0)
			return -1;
	}
	return 0;
}

/* seal - units that stand together in the ring; what that becomes */
static struct str seal(struct spool_stream *s, const struct spool_stretch *w, uint64_t index,
		       uint64_t end)
{
	char *ring = s->ring + index % SPOOL_STREAM_UNITS * SPOOL_UNIT_STORED;
	struct str sealed = { ring, 0 };

	for (; index < end; index++) {
		struct spool_unit u = { w->key, w->slot, index,
					w->is_last && (index + 1) * SPOOL_UNIT >= w->upto };
		size_t n = (size_t)least(w->upto - index * SPOOL_UNIT, SPOOL_UNIT);

		spool_unit_seal(&u, ring + sealed.n, n);
		sealed.n += n + SPOOL_CIPHER_MORE;
	}
	return sealed;
}

static int write_sealed(struct spool_stream *s, const struct spool_stretch *w)
{
	uint64_t index = w->from / SPOOL_UNIT, end = (w->upto + SPOOL_UNIT - 1) / SPOOL_UNIT;

	assert(w->from % SPOOL_UNIT == 0);
	for (uint64_t next; index < end; index = next) {
		next = least(end, index + SPOOL_STREAM_UNITS - index % SPOOL_STREAM_UNITS);
		if (write_out(s, w, seal(s, w, index, next), spool_unit_at(index)) < 0)
			return -1;
	}
	return 0;
}

int spool_stream_write(struct spool_stream *s, const struct spool_stretch *w)
{
	return w->key ? write_sealed(s, w) : write_plain(s, w);
}
