/* layer: daemon */
#include "settings.h"

#include <stdlib.h>
#include <string.h>

#define ROOM (8 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* What reads writes, and what was written reads the same, and needs no restart. */
static void round_trip(const struct settings *s)
{
	struct arena arena;
	struct settings back;
	struct buf first, second;

	arena_init(&arena, ROOM);
	buf_init(&first, SETTINGS_CANONICAL);
	buf_init(&second, SETTINGS_CANONICAL);
	check(settings_write(s, &first));
	check(settings_read(&back, buf_str(&first), &arena, NULL) == 0);
	check(settings_write(&back, &second));
	check(str_eq(buf_str(&first), buf_str(&second)));
	check(settings_restart(buf_str(&first), buf_str(&second)).n == 0);
	buf_fini(&first);
	buf_fini(&second);
	arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena arena;
	struct settings s;
	char *copy = malloc(n ? n : 1);

	check(copy);
	memcpy(copy, data, n);
	arena_init(&arena, ROOM);
	if (settings_read(&s, (struct str){ copy, n }, &arena, NULL) == 0)
		round_trip(&s);
	(void)settings_restart((struct str){ copy, n }, (struct str){ copy, n / 2 });
	arena_fini(&arena);
	free(copy);
	return 0;
}
