/* layer: policy */
#include "policy_edit.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n ? n : 1);
	struct fault why = { 0 };

	if (n)
		memcpy(copy, data, n);
	if (!policy_next_hop_is_valid((struct str){ copy, n }, &why) && !why.text[0])
		abort();
	free(copy);
	return 0;
}
