#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN       16
#define CHUNK_LEAST 4096
#define CHUNK_MOST  (64 * 1024)

struct arena_chunk {
	struct arena_chunk *next; /* the one made before this */
	size_t used, size;
	_Alignas(ALIGN) char bytes[];
};

void arena_init(struct arena *a, size_t cap)
{
	*a = (struct arena){ .cap = cap };
}

/*
 * chunk_add - chunks grow with the arena, so that few of them make a big one and a small one stays
 * small
 */
static struct arena_chunk *chunk_add(struct arena *a, size_t least)
{
	size_t size = a->used < CHUNK_LEAST ? CHUNK_LEAST : a->used;
	struct arena_chunk *chunk;

	if (size > CHUNK_MOST)
		size = CHUNK_MOST;
	if (size < least + sizeof *chunk)
		size = least + sizeof *chunk;
	chunk = malloc(size);
	if (!chunk)
		abort();
	*chunk = (struct arena_chunk){ .next = a->chunks, .size = size - sizeof *chunk };
	a->chunks = chunk;
	return chunk;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_chunk *chunk = a->chunks;
	char *p;

	if (n > SIZE_MAX / 2 || n > a->cap)
		return NULL;
	n = n ? (n + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
	if (n > a->cap - a->used)
		return NULL;
	if (!chunk || n > chunk->size - chunk->used)
		chunk = chunk_add(a, n);
	p = chunk->bytes + chunk->used;
	chunk->used += n;
	a->used += n;
	return memset(p, 0, n);
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;

	if (!p)
		return STR_NONE;
	if (s.n)
		memcpy(p, s.p, s.n);
	return (struct str){ p, s.n };
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
	va_list arguments;
	int length;
	char *p;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		abort();
	p = arena_alloc(a, (size_t)length + 1);
	if (!p)
		return STR_NONE;
	va_start(arguments, format);
	(void)vsnprintf(p, (size_t)length + 1, format, arguments);
	va_end(arguments);
	return (struct str){ p, (size_t)length };
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *chunk = a->chunks;

	while (chunk && chunk->next) {
		a->chunks = chunk->next;
		free(chunk);
		chunk = a->chunks;
	}
	if (chunk)
		chunk->used = 0;
	a->used = 0;
}

void arena_fini(struct arena *a)
{
	arena_reset(a);
	free(a->chunks);
	a->chunks = NULL;
}
