/*
 * arena - memory that dies together.
 *
 * What        bump allocation in chunks, freed or reset as a whole.
 * Why         lifetimes are few (process, snapshot, connection, transaction); nobody frees single
 *             things.
 * Invariants  never more than `cap` bytes are handed out; what is returned is zeroed and 16-byte
 *             aligned.
 * Ownership   init/fini: caller's memory. A pointer into an arena may be kept by shorter-lived
 *             things only.
 * Fails       NULL when the cap is reached (a peer's event: answer 452); malloc failure aborts.
 */
#ifndef ARENA_H
#define ARENA_H

#include "str.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t used;            /* bytes handed out */
	size_t cap;
};

void arena_init(struct arena *a, size_t cap);
void *arena_alloc(struct arena *a, size_t n);
/* a copy, NUL behind it; .p is NULL when the cap is reached */
struct str arena_str(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* everything dies; the first chunk is kept for reuse */
void arena_reset(struct arena *a);
void arena_fini(struct arena *a);

#endif
