/* layer: mail */
#include "date.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any date from 1970 on that was read can be written, and is then the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1), text[DATE_TEXT];
	int64_t seconds, again;

	assert(copy);
	if (size)
		memcpy(copy, data, size);
	if (date_parse((struct str){ copy, size }, &seconds) && seconds >= 0) {
		date_write((uint64_t)seconds * 1000000, text);
		assert(date_parse(str_of(text), &again) &&
		       (again == seconds || seconds > 253402300799));
	}
	free(copy);
	return 0;
}
