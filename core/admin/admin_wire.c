#include "admin_wire.h"

#define HEAD 16 /* "255 61440\n" and to spare */

bool admin_wire_request(struct buf *out, const struct str *words, unsigned nwords)
{
	size_t n = nwords;

	for (unsigned i = 0; i < nwords; i++) {
		n += words[i].n;
		if (words[i].n == 0 || str_find(words[i], '\0') >= 0 ||
		    str_find(words[i], '\n') >= 0)
			return false;
	}
	if (nwords == 0 || nwords > ADMIN_WORDS || n > ADMIN_REQUEST || n > buf_room(out))
		return false;
	for (unsigned i = 0; i < nwords; i++)
		(void)(buf_add(out, words[i]) && buf_byte(out, i + 1 < nwords ? '\0' : '\n'));
	return true;
}

enum step admin_wire_request_take(struct str *in, struct str *words)
{
	struct str rest = *in, request, word;
	unsigned n = 1;

	if (!str_take(&rest, '\n', &request))
		return in->n < ADMIN_REQUEST ? STEP_MORE : STEP_ERROR;
	if (request.n == 0 || request.n >= ADMIN_REQUEST)
		return STEP_ERROR;
	*words = request;
	while (str_take(&request, '\0', &word)) {
		n++;
		if (word.n == 0)
			return STEP_ERROR;
	}
	if (request.n == 0 || n > ADMIN_WORDS)
		return STEP_ERROR;
	*in = rest;
	return STEP_DONE;
}

unsigned admin_wire_words(struct str request, struct str words[ADMIN_WORDS])
{
	unsigned n = 0;

	while (n < ADMIN_WORDS && str_take(&request, '\0', &words[n]))
		n++;
	if (n < ADMIN_WORDS && request.n)
		words[n++] = request;
	return n;
}

bool admin_wire_chunk(struct buf *out, unsigned code, struct str text)
{
	if (text.n > ADMIN_CHUNK || code > ADMIN_MORE || buf_room(out) < HEAD + text.n)
		return false;
	return buf_printf(out, "%u %zu\n", code, text.n) && buf_add(out, text);
}

enum step admin_wire_chunk_take(struct str *in, unsigned *code, struct str *text)
{
	struct str rest = *in, head, number;
	uint64_t its_code, length;

	if (!str_take(&rest, '\n', &head))
		return in->n < HEAD ? STEP_MORE : STEP_ERROR;
	if (head.n >= HEAD || !str_take(&head, ' ', &number) ||
	    !str_u64(number, ADMIN_MORE, &its_code) || !str_u64(head, ADMIN_CHUNK, &length))
		return STEP_ERROR;
	if (rest.n < length)
		return STEP_MORE;
	*code = (unsigned)its_code;
	*text = str_head(rest, (size_t)length);
	*in = str_drop(rest, (size_t)length);
	return STEP_DONE;
}
