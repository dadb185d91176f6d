/* layer: spool */
#include "spool_key.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Any bytes as a key file: what is taken has keys whose lines, written again, are taken again. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct spool_keys *k, *again;
	char text[SPOOL_KEYS_MAX * SPOOL_KEY_LINE];
	struct fault why = { 0 };

	if (!k) {
		k = spool_keys_new();
		again = spool_keys_new();
	}
	if (spool_keys_parse(k, (struct str){ (const char *)data, n }, &why) < 0) {
		assert(k->n == 0 && why.text[0] != 0);
		return 0;
	}
	assert(k->n >= 1 && k->n <= SPOOL_KEYS_MAX);
	for (unsigned i = 0; i < k->n; i++)
		spool_key_line(&k->at[i], text + (size_t)i * SPOOL_KEY_LINE);
	assert(spool_keys_parse(again, (struct str){ text, (size_t)k->n * SPOOL_KEY_LINE }, &why) ==
	       0);
	assert(memcmp(k, again, sizeof *k) == 0);
	return 0;
}
