/*
 * buf - a byte queue with a bound.
 *
 * What        bytes are added at the end and taken from the front; grows up to `max`.
 * Invariants  head <= tail <= cap <= max.
 * Ownership   init/fini: caller's memory. Slices from buf_str die with the next add, take or fini.
 * Fails       false / NULL when max would be passed: nothing was added; malloc failure aborts.
 */
#ifndef BUF_H
#define BUF_H

#include "str.h"

struct buf {
	char *p;
	size_t head, tail, cap, max;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
void buf_reset(struct buf *b);                          /* empty; memory is kept */
void buf_shrink(struct buf *b);                         /* give the memory back if empty */
size_t buf_len(const struct buf *b);
size_t buf_room(const struct buf *b);                   /* how much may still be added */
struct str buf_str(const struct buf *b);
/* room for n bytes at the end; then buf_wrote() */
char *buf_space(struct buf *b, size_t n);
void buf_wrote(struct buf *b, size_t n);
bool buf_add(struct buf *b, struct str s);
bool buf_byte(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_take(struct buf *b, size_t n);                 /* consume n bytes from the front */

#endif
