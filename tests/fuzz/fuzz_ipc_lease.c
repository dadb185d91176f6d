/* layer: ipc */
#include "ipc_lease.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* What decodes could have been sent, and only as these bytes. */
static void lease(struct str payload)
{
	static struct ipc_lease l;
	struct buf b;

	if (!ipc_lease_decode(payload, &l))
		return;
	buf_init(&b, payload.n);
	check(ipc_lease_encode(&b, &l));
	check(str_eq(buf_str(&b), payload));
	buf_fini(&b);
}

/*
 * A neighbour may repeat what could have crossed once: what it meant, said shorter, means the
 * same.
 */
static void result(struct str payload)
{
	static struct ipc_result r, back;
	struct buf first, second;

	if (!ipc_result_decode(payload, &r))
		return;
	buf_init(&first, payload.n);
	buf_init(&second, payload.n);
	check(ipc_result_encode(&first, &r));
	check(ipc_result_decode(buf_str(&first), &back));
	check(ipc_result_encode(&second, &back));
	check(str_eq(buf_str(&first), buf_str(&second)));
	buf_fini(&first);
	buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	if (n)
		memcpy(copy, data, n);
	lease((struct str){ copy, n });
	result((struct str){ copy, n });
	free(copy);
	return 0;
}
