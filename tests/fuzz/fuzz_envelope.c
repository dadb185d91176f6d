/* layer: mail */
#include "envelope.h"

#include <stdlib.h>
#include <string.h>

#define ROOM (8 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* What reads writes, and what was written reads the same: the second text equals the first. */
static void round_trip(const struct envelope *e)
{
	struct arena arena;
	struct envelope back;
	struct buf first, second;

	arena_init(&arena, ROOM);
	buf_init(&first, ROOM);
	buf_init(&second, ROOM);
	check(envelope_write(&first, e));
	check(envelope_read(buf_str(&first), &arena, &back, NULL) == 0);
	check(envelope_write(&second, &back));
	check(str_eq(buf_str(&first), buf_str(&second)));
	buf_fini(&first);
	buf_fini(&second);
	arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena arena;
	struct envelope e;
	char *copy = malloc(n ? n : 1);

	check(copy);
	memcpy(copy, data, n);
	arena_init(&arena, ROOM);
	if (envelope_read((struct str){ copy, n }, &arena, &e, NULL) == 0)
		round_trip(&e);
	arena_fini(&arena);
	free(copy);
	return 0;
}
