/* layer: smtp */
#include "smtp_data.h"
#include "smtp_stuff.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

struct outcome {
	char *p;                /* what came out */
	size_t n, consumed;
	struct smtp_data d;
};

/* take - all of the input in pieces of `piece` octets, each on a heap of its own */
static struct outcome take(struct str in, size_t piece, size_t line_max, uint64_t size_max)
{
	struct outcome o = { .p = malloc(in.n + 1) };

	check(o.p);
	smtp_data_init(&o.d, line_max, size_max);
	while (in.n > 0 && !smtp_data_is_over(&o.d)) {
		size_t length = piece < in.n ? piece : in.n;
		char *copy = malloc(length);
		struct str part = { copy, length }, out;

		check(copy);
		memcpy(copy, in.p, length);
		while (smtp_data_next(&o.d, &part, &out)) {
			memcpy(o.p + o.n, out.p, out.n);
			o.n += out.n;
		}
		check(part.n == 0 || smtp_data_is_over(&o.d));
		o.consumed += length - part.n;
		in = str_drop(in, length);
		free(copy);
	}
	check(o.d.consumed == o.consumed);
	return o;
}

/* naive - the end, by looking for it: behind CRLF . CRLF, the first CRLF being that of the DATA command */
static size_t naive_end(struct str in)
{
	if (str_has_prefix(in, STR(".\r\n")))
		return 3;
	for (size_t i = 0; i + 5 <= in.n; i++)
		if (memcmp(in.p + i, "\r\n.\r\n", 5) == 0)
			return i + 5;
	return 0;
}

/* is_clean - no bare CR, bare LF or NUL */
static bool is_clean(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\0' || (p[i] == '\n' && (i == 0 || p[i - 1] != '\r')) ||
		    (p[i] == '\r' && (i + 1 == n || p[i + 1] != '\n')))
			return false;
	return true;
}

static bool is_8bit(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] >= 0x80)
			return true;
	return false;
}

/* goes_out_and_in - what came out, stuffed again in pieces, decodes to itself */
static void goes_out_and_in(const struct outcome *o, size_t piece)
{
	struct str left = { o->p, o->n }, out;
	char *wire = malloc(o->n * 2 + 8);
	struct smtp_stuff s;
	struct outcome back;
	size_t n = 0;

	check(wire);
	smtp_stuff_init(&s);
	while (left.n > 0) {
		struct str part = str_head(left, piece);

		left = str_drop(left, part.n);
		while (smtp_stuff_next(&s, &part, &out)) {
			memcpy(wire + n, out.p, out.n);
			n += out.n;
		}
	}
	check(!s.is_flawed);
	out = smtp_stuff_end(&s);
	memcpy(wire + n, out.p, out.n);
	n += out.n;
	back = take((struct str){ wire, n }, n, SIZE_MAX / 4, UINT64_MAX);
	check(smtp_data_is_over(&back.d) && back.consumed == n && !back.d.flaw);
	check(back.n == o->n && memcmp(back.p, o->p, o->n) == 0);
	free(back.p);
	free(wire);
}

/* never_smuggles - whatever is given to be sent, the wire holds clean lines and one end */
static void never_smuggles(struct str in)
{
	struct str left = in, out;
	struct smtp_stuff s;
	char *wire = malloc(in.n * 2 + 8);
	size_t n = 0;

	check(wire);
	smtp_stuff_init(&s);
	while (smtp_stuff_next(&s, &left, &out)) {
		memcpy(wire + n, out.p, out.n);
		n += out.n;
	}
	if (!s.is_flawed) {
		out = smtp_stuff_end(&s);
		if (out.n > 0)          /* none: it ended in a bare CR */
			memcpy(wire + n, out.p, out.n);
		n += out.n;
	}
	check(s.is_flawed == !is_clean(in.p, in.n));
	check(s.is_flawed || (is_clean(wire, n) && naive_end((struct str){ wire, n }) == n));
	free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t line_max = n > 0 && data[0] & 0x80 ? 2 + data[0] % 32 : 64 * 1024;
	uint64_t size_max = n > 1 && data[1] & 0x80 ? data[1] & 0x7f : UINT64_MAX;
	size_t piece = n > 2 ? 1 + data[2] % 16 : 1, head = n < 3 ? n : 3;
	char *copy = malloc(n - head + 1);
	struct str in = { copy, n - head };
	struct outcome whole, pieces;
	size_t end;

	check(copy);
	memcpy(copy, data + head, in.n);
	whole = take(in, in.n ? in.n : 1, line_max, size_max);
	pieces = take(in, piece, line_max, size_max);
	end = naive_end(in);
	check(smtp_data_is_over(&whole.d) == (end > 0) && (end == 0 || whole.consumed == end));
	check(pieces.d.at == whole.d.at && pieces.d.flaw == whole.d.flaw && pieces.consumed == whole.consumed);
	check(pieces.n == whole.n && memcmp(pieces.p, whole.p, whole.n) == 0 && pieces.d.is_8bit == whole.d.is_8bit);
	check(whole.d.is_8bit == is_8bit(whole.p, whole.n) && whole.d.size == whole.n && whole.n <= size_max);
	if (smtp_data_is_over(&whole.d) && !whole.d.flaw) {
		check(is_clean(copy, end) && is_clean(whole.p, whole.n));
		goes_out_and_in(&whole, piece);
	}
	if (smtp_data_is_over(&whole.d) && !is_clean(copy, end))
		check(whole.d.flaw != SMTP_DATA_CLEAN);
	never_smuggles(in);
	free(whole.p);
	free(pieces.p);
	free(copy);
	return 0;
}
