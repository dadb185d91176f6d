#include "buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_LEAST 256
#define BUF_TEXT  1024 /* what buf_printf formats without the heap */

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .max = b->max };
}

void buf_reset(struct buf *b)
{
	b->head = b->tail = 0;
}

void buf_shrink(struct buf *b)
{
	if (b->head == b->tail)
		buf_fini(b);
}

size_t buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

size_t buf_room(const struct buf *b)
{
	return b->max - buf_len(b);
}

struct str buf_str(const struct buf *b)
{
	return b->p ? (struct str){ b->p + b->head, buf_len(b) } : STR_NONE;
}

static void move_to_front(struct buf *b)
{
	size_t n = buf_len(b);

	if (b->head == 0)
		return;
	memmove(b->p, b->p + b->head, n);
	b->head = 0;
	b->tail = n;
}

static void grow(struct buf *b, size_t least)
{
	size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;

	if (cap < BUF_LEAST)
		cap = BUF_LEAST < b->max ? BUF_LEAST : b->max;
	if (cap < least)
		cap = least;
	if (cap == 0) /* a queue of no bytes still has an address */
		cap = 1;
	b->p = realloc(b->p, cap);
	if (!b->p)
		abort();
	b->cap = cap;
}

/*
 * buf_space - moving what is left to the front is paid for by what was taken, unless the buffer is
 * at its bound
 */
char *buf_space(struct buf *b, size_t n)
{
	size_t length = buf_len(b);

	if (n > buf_room(b))
		return NULL;
	if (b->p && n <= b->cap - b->tail)
		return b->p + b->tail;
	if (b->head >= length || b->cap == b->max)
		move_to_front(b);
	if (!b->p || n > b->cap - b->tail) {
		move_to_front(b);
		grow(b, length + n);
	}
	return b->p + b->tail;
}

void buf_wrote(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->tail);
	b->tail += n;
}

bool buf_add(struct buf *b, struct str s)
{
	char *to = buf_space(b, s.n);

	if (!to)
		return false;
	if (s.n)
		memcpy(to, s.p, s.n);
	buf_wrote(b, s.n);
	return true;
}

bool buf_byte(struct buf *b, char c)
{
	return buf_add(b, (struct str){ &c, 1 });
}

bool buf_printf(struct buf *b, const char *format, ...)
{
	char text[BUF_TEXT], *big = NULL;
	va_list arguments;
	int length;
	bool fits;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (length < 0)
		abort();
	if ((size_t)length < sizeof text)
		return buf_add(b, (struct str){ text, (size_t)length });
	big = malloc((size_t)length + 1);
	if (!big)
		abort();
	va_start(arguments, format);
	(void)vsnprintf(big, (size_t)length + 1, format, arguments);
	va_end(arguments);
	fits = buf_add(b, (struct str){ big, (size_t)length });
	free(big);
	return fits;
}

void buf_take(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->head += n;
	if (b->head == b->tail)
		buf_reset(b);
}
