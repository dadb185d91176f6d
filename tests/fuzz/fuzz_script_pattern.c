/* layer: script */
/* The first byte is the length of the pattern; the rest is the subject. */
#include "script_pattern.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char *copy(const uint8_t *data, size_t n)
{
	char *p = malloc(n ? n : 1);

	if (n)
		memcpy(p, data, n);
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t length = n > 0 ? data[0] : 0, end = 0;
	struct script_pattern m;
	char *pattern, *subject;
	ptrdiff_t at;

	if (n < 1 + length)
		return 0;
	pattern = copy(data + 1, length);
	subject = copy(data + 1 + length, n - 1 - length);
	script_pattern_init(&m, (struct str){ subject, n - 1 - length },
			    (struct str){ pattern, length });
	m.steps = 20000;
	at = script_pattern_find(&m, 0, false, &end);
	if (at >= 0 && (end < (size_t)at || end > n - 1 - length))
		abort();
	script_pattern_init(&m, (struct str){ subject, n - 1 - length },
			    (struct str){ pattern, length });
	(void)script_pattern_plain(&m, 0);
	free(pattern);
	free(subject);
	return 0;
}
