/* layer: policy */
/* Packed vars from elsewhere: taken whole or not at all; what was taken can be walked, read and packed again. */
#include "policy_vars.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct policy_vars v = { 0 };
	struct policy_var value;
	struct str name;
	char *copy = malloc(n ? n : 1);
	size_t at = 0;
	unsigned met = 0;

	if (n)
		memcpy(copy, data, n);
	if (policy_vars_unpack(&v, (struct str){ copy, n })) {
		while (policy_vars_next(&v, &at, &name, &value)) {
			if (policy_vars_get(&v, name).type != value.type)
				abort();
			met++;
		}
		if (met != v.count || !str_eq(policy_vars_packed(&v), (struct str){ copy, n }))
			abort();
	} else if (v.count || policy_vars_packed(&v).n) {
		abort();
	}
	policy_vars_fini(&v);
	free(copy);
	return 0;
}
