/* layer: ipc */
#include "ipc_carry.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What decodes could have been sent, and only as these bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct ipc_carry c;
	struct str payload = { malloc(n ? n : 1), n };
	struct buf b;

	if (!payload.p)
		abort();
	if (n)
		memcpy((char *)(uintptr_t)payload.p, data, n);
	if (ipc_carry_decode(payload, &c)) {
		buf_init(&b, payload.n);
		if (!ipc_carry_encode(&b, &c) || !str_eq(buf_str(&b), payload))
			abort();
		buf_fini(&b);
	}
	free((char *)(uintptr_t)payload.p);
	return 0;
}
