/*
 * state_map - a plain file of keys and values, compiled once, looked up without allocation by every
 * process.
 *
 * What        text -> image: one entry a line, `key` or `key value`; a line that begins with '#' is
 *             a comment. The image is an open-addressing hash table whose references are offsets,
 *             so that it works wherever it is mapped.
 * Why         a list of a million recipients belongs neither into Lua's heap nor into every
 *             process.
 * Invariants  keys compare without ASCII case. state_map_compile(t) always opens; an image from
 *             elsewhere is checked at open, and each offset again where it is followed: hostile
 *             bytes give a wrong answer at worst, never a read outside.
 * Ownership   a struct state_map borrows its image; what it returns are slices of the image.
 * Bounds      below; a look-up probes at most as far as the compiler had to.
 * Fails       compile: every problem is one line "path:line: message", at most STATE_MAP_ERRORS of
 *             them.
 */
#ifndef STATE_MAP_H
#define STATE_MAP_H

#include "buf.h"
#include "fault.h"

#define STATE_MAP_KEY     512
#define STATE_MAP_VALUE   4096
#define STATE_MAP_ENTRIES (16 * 1024 * 1024)
#define STATE_MAP_ERRORS  20
#define STATE_MAP_IMAGE   ((size_t)2 << 30) /* what a caller should give its buf as max */

struct state_map {
	struct str image;
	uint32_t count, mask, probes; /* entries; slots - 1; longest way to one */
};

/*
 * image is empty before, and void when -1 is returned. An entry that is repeated word for word
 * counts once.
 */
int state_map_compile(struct str path, struct str text, struct buf *image, struct buf *errors);

int state_map_open(struct str image, struct state_map *out, struct fault *why);

/* value->p is NULL where the entry has none; value may be NULL. */
bool state_map_find(const struct state_map *m, struct str key, struct str *value);
/* Walks all entries in no order of meaning; *at begins with 0. */
bool state_map_next(const struct state_map *m, uint32_t *at, struct str *key, struct str *value);

#endif
