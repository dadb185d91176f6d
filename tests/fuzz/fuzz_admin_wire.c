/* layer: admin */
#include "admin_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* A request that was read is written as the bytes that were read. */
static void request(struct str in)
{
	struct str rest = in, request, words[ADMIN_WORDS];
	enum step step = admin_wire_request_take(&rest, &request);
	struct buf b;

	if (step != STEP_DONE) {
		check(rest.p == in.p && rest.n == in.n);
		return;
	}
	buf_init(&b, ADMIN_REQUEST);
	check(admin_wire_request(&b, words, admin_wire_words(request, words)));
	check(str_eq(buf_str(&b), str_head(in, in.n - rest.n)));
	buf_fini(&b);
}

/* However the bytes arrive, the chunks are the same. */
static void chunks(struct str in)
{
	struct str rest = in, text;
	unsigned code;

	while (admin_wire_chunk_take(&rest, &code, &text) == STEP_DONE) {
		size_t used = in.n - rest.n;
		struct str early = str_head(in, used - 1);

		check(code <= ADMIN_MORE && text.n <= ADMIN_CHUNK);
		check(admin_wire_chunk_take(&early, &code, &text) == STEP_MORE);
		in = rest;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n ? n : 1);

	check(copy);
	memcpy(copy, data, n);
	request((struct str){ copy, n });
	chunks((struct str){ copy, n });
	free(copy);
	return 0;
}
