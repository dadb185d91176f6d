#include "spool_segment.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define IN(state) (1u << SPOOL_SEGMENT_##state)

/* clang-format off */
static const struct {
	const char *name;
	unsigned from;          /* the states it may follow */
} states[] = {
	[SPOOL_SEGMENT_MAKING]  = { "making",  IN(MAKING) },
	[SPOOL_SEGMENT_FREE]    = { "free",    IN(MAKING) | IN(FREEING) },
	[SPOOL_SEGMENT_CURRENT] = { "current", IN(FREE) },
	[SPOOL_SEGMENT_CLOSED]  = { "closed",  IN(CURRENT) | IN(MAKING) },      /* MAKING: found at the start */
	[SPOOL_SEGMENT_SUSPECT] = { "suspect", IN(CURRENT) },
	[SPOOL_SEGMENT_FREEING] = { "freeing", IN(CLOSED) },
	[SPOOL_SEGMENT_BROKEN]  = { "broken",  IN(MAKING) | IN(FREEING) },
};
/* clang-format on */

struct spool_segment *spool_segment_new(uint32_t number)
{
	struct spool_segment *s = calloc(1, sizeof *s);

	if (s)
		s->holders = calloc(1, SPOOL_HOLDERS);
	if (!s || !s->holders) {
		spool_segment_free(&s);
		return NULL;
	}
	s->number = number;
	s->fd = -1;
	s->tail = SPOOL_BLOCK;
	list_init(&s->living);
	list_init(&s->pended);
	return s;
}

void spool_segment_free(struct spool_segment **s)
{
	if (!*s)
		return;
	free((*s)->finished);
	free((*s)->pending);
	free((*s)->holders);
	free(*s);
	*s = NULL;
}

void spool_segment_set(struct spool_segment *s, enum spool_segment_state state)
{
	assert(states[state].from & 1u << s->state);
	s->state = state;
}

const char *spool_segment_state_name(enum spool_segment_state state)
{
	return states[state].name;
}

uint64_t spool_segment_room(const struct spool_segment *s, bool whole)
{
	uint64_t upto = whole ? s->size : s->filled;

	return upto > s->tail ? upto - s->tail : 0;
}

static bool resize(uint64_t **bits, uint32_t from, uint32_t to)
{
	size_t old = spool_round(from, 64) / 64, words = spool_round(to, 64) / 64;
	uint64_t *grown = realloc(*bits, (words ? words : 1) * sizeof **bits);

	if (!grown)
		return false;
	if (words > old)
		memset(grown + old, 0, (words - old) * sizeof **bits);
	*bits = grown;
	return true;
}

bool spool_segment_bits(struct spool_segment *s, uint32_t n)
{
	if (n <= s->ordinals_max)
		return true;
	if (!resize(&s->finished, s->ordinals_max, n) || !resize(&s->pending, s->ordinals_max, n))
		return false; /* one may have grown: harmless */
	s->ordinals_max = n;
	return true;
}

void spool_segment_shrink(struct spool_segment *s)
{
	if (s->ordinals < s->ordinals_max && resize(&s->finished, s->ordinals, s->ordinals) &&
	    resize(&s->pending, s->ordinals, s->ordinals))
		s->ordinals_max = s->ordinals;
}

void spool_segment_renew(struct spool_segment *s)
{
	assert(s->live == 0 && s->npending == 0 && s->states == 0 && s->readers == 0 &&
	       list_is_empty(&s->living));
	s->bytes = 0;
	s->tail = SPOOL_BLOCK;
	s->end = (struct spool_end){ 0 };
	s->is_end_durable = s->is_end_flying = s->wants_dead = s->is_stuck = false;
	free(s->finished);
	free(s->pending);
	s->finished = s->pending = NULL;
	s->ordinals = s->ordinals_max = 0;
	spool_segment_hold_only(s, 0);
}

bool spool_segment_is_finished(const struct spool_segment *s, uint32_t ordinal)
{
	return s->finished[ordinal / 64] >> (ordinal % 64) & 1;
}

void spool_segment_finish(struct spool_segment *s, uint32_t ordinal)
{
	assert(ordinal < s->ordinals && !spool_segment_is_finished(s, ordinal) && s->live > 0);
	s->finished[ordinal / 64] |= UINT64_C(1) << (ordinal % 64);
	s->live--;
}

void spool_segment_pend(struct spool_segment *s, uint32_t ordinal)
{
	uint64_t *word = &s->pending[ordinal / 64], bit = UINT64_C(1) << (ordinal % 64);

	if (*word & bit)
		return;
	*word |= bit;
	s->npending++;
}

uint32_t spool_segment_take_pending(struct spool_segment *s, uint32_t *to, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < spool_round(s->ordinals, 64) / 64 && n < max && n < s->npending;
	     i++)
		while (s->pending[i] && n < max) {
			to[n++] = i * 64 + (uint32_t)__builtin_ctzll(s->pending[i]);
			s->pending[i] &= s->pending[i] - 1;
		}
	s->npending -= n;
	return n;
}

bool spool_segment_is_held(const struct spool_segment *s, uint32_t by)
{
	return s->holders[by / 8] >> (by % 8) & 1;
}

void spool_segment_hold(struct spool_segment *s, uint32_t by)
{
	s->holders[by / 8] |= (uint8_t)(1u << (by % 8));
}

void spool_segment_hold_only(struct spool_segment *s, uint32_t by)
{
	memset(s->holders, 0, SPOOL_HOLDERS);
	if (by)
		spool_segment_hold(s, by);
}

static int write_copy(struct spool_file *f, int fd, int copy, const char bytes[SPOOL_HEADER_SIZE])
{
	if (spool_file_write_all(f, fd, bytes, SPOOL_HEADER_SIZE, copy ? SPOOL_HEADER_COPY : 0) < 0)
		return -1;
	return f->sync(f, fd);
}

int spool_segment_write_header(struct spool_file *f, int fd, int first,
			       const struct spool_header *h)
{
	char bytes[SPOOL_HEADER_SIZE];

	spool_header_put(bytes, h);
	if (write_copy(f, fd, first, bytes) < 0)
		return -1;
	return write_copy(f, fd, !first, bytes);
}
