/* layer: state */
/* The first byte chooses: bytes as an image that somebody else made, or as a text that is compiled and looked up again. */
#include "state_map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void walk(const struct state_map *m)
{
	struct str key, value, found;
	uint32_t at = 0;
	unsigned met = 0;

	while (met++ < 1000 && state_map_next(m, &at, &key, &value))
		(void)state_map_find(m, key, &found);
}

static void read_image(struct str image)
{
	struct state_map m;
	struct fault why;

	if (state_map_open(image, &m, &why) == 0)
		walk(&m);
}

static void compile(struct str text)
{
	struct buf image, errors;
	struct state_map m;
	struct str key, value, found;
	struct fault why;
	uint32_t at = 0;

	buf_init(&image, 1 << 20);
	buf_init(&errors, 1 << 16);
	if (state_map_compile(STR("fuzz"), text, &image, &errors) == 0) {
		if (state_map_open(buf_str(&image), &m, &why) < 0)
			abort();
		while (state_map_next(&m, &at, &key, &value))
			if (!state_map_find(&m, key, &found) || !str_eq(found, value))
				abort();
	}
	buf_fini(&image);
	buf_fini(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy;

	if (n == 0)
		return 0;
	copy = malloc(n);
	memcpy(copy, data + 1, n - 1);
	if (data[0] & 1)
		read_image((struct str){ copy, n - 1 });
	else
		compile((struct str){ copy, n - 1 });
	free(copy);
	return 0;
}
