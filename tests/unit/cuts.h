/*
 * cuts - a decoder takes a payload whole: no shorter piece of it, nor one byte more.
 */
#ifndef CUTS_H
#define CUTS_H

#include "check.h"

/*
 * Each piece lies in memory of exactly its size; at the end the whole is decoded where the caller
 * has it.
 */
static void only_whole(struct str whole, bool (*decodes)(struct str))
{
	char *more = malloc(whole.n + 1);

	for (size_t n = 0; n < whole.n; n++) {
		struct str piece = heap_copy(str_head(whole, n));

		CHECK(n, !decodes(piece));
		heap_free(piece);
	}
	assert_non_null(more);
	memcpy(more, whole.p, whole.n);
	more[whole.n] = 0;
	CHECK(whole.n, !decodes((struct str){ more, whole.n + 1 }));
	free(more);
	assert_true(decodes(whole));
}

#endif
