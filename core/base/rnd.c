#include "rnd.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

void rnd_init(void)
{
	if (sodium_init() < 0)
		abort();
}

void rnd_fill(void *to, size_t n)
{
	randombytes_buf(to, n);
}

/* rnd_below - numbers under 2^64 mod bound are thrown away: the rest divides evenly */
uint64_t rnd_below(uint64_t bound)
{
	uint64_t uneven, value;

	assert(bound > 0);
	uneven = (0 - bound) % bound;
	do
		rnd_fill(&value, sizeof value);
	while (value < uneven);
	return value % bound;
}
