/* layer: daemon */
#include "settings_keys.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* Every source has a place for every key, and the place is in it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct settings_place places[] = {
		{ .n = 0 },
		settings_place_of((struct str){ "listen", 6 }),
		settings_place_of((struct str){ "relay.domains", 13 }),
		{ .n = 0 },
	};
	unsigned lines = 1;
	char *copy = malloc(n ? n : 1);

	check(copy);
	memcpy(copy, data, n);
	for (size_t i = 0; i < n; i++)
		lines += copy[i] == '\n';
	places[3] =
		settings_place_in(settings_place_at(places[1], 2), (struct str){ "address", 7 });
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		struct settings_spot spot = settings_keys_find((struct str){ copy, n }, &places[i]);

		check(spot.line >= 1 && spot.line <= lines && spot.column >= 1 &&
		      spot.column <= n + 1);
	}
	free(copy);
	return 0;
}
