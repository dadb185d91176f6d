/* layer: ipc */
#include "ipc_submit.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* What decodes could have been sent, and only as these bytes. */
static void submit(struct str payload)
{
	static struct ipc_submit s;
	struct buf b;

	if (!ipc_submit_decode(payload, &s))
		return;
	buf_init(&b, payload.n);
	check(ipc_submit_encode(&b, &s));
	check(str_eq(buf_str(&b), payload));
	buf_fini(&b);
}

static void refusal(struct str payload)
{
	struct ipc_refusal r;
	struct buf b;

	if (!ipc_refusal_decode(payload, &r))
		return;
	buf_init(&b, payload.n);
	check(ipc_refusal_encode(&b, &r));
	check(str_eq(buf_str(&b), payload));
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	if (n)
		memcpy(copy, data, n);
	submit((struct str){ copy, n });
	refusal((struct str){ copy, n });
	free(copy);
	return 0;
}
