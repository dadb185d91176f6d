#include "tls_tickets.h"

#include "rnd.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

/* What is hashed under a seed: the first byte keeps the three uses apart. */
enum use { USE_NEXT, USE_NAME, USE_KEYS };

static void derive(unsigned char *out, size_t n, const unsigned char seed[TLS_TICKET_SEED],
		   enum use use, struct str about)
{
	unsigned char label = (unsigned char)use;
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, seed, TLS_TICKET_SEED, n);
	(void)crypto_generichash_update(&state, &label, 1);
	(void)crypto_generichash_update(&state, (const unsigned char *)about.p, about.n);
	(void)crypto_generichash_final(&state, out, n);
	sodium_memzero(&state, sizeof state);
}

static void step(unsigned char seed[TLS_TICKET_SEED])
{
	unsigned char next[TLS_TICKET_SEED];

	derive(next, sizeof next, seed, USE_NEXT, STR_NONE);
	memcpy(seed, next, sizeof next);
	sodium_memzero(next, sizeof next);
}

void tls_tickets_init(struct tls_tickets *t, uint64_t mono_us)
{
	t->period = mono_us / TLS_TICKET_PERIOD;
	rnd_fill(t->seed, sizeof t->seed);
}

void tls_tickets_advance(struct tls_tickets *t, uint64_t mono_us)
{
	uint64_t now = mono_us / TLS_TICKET_PERIOD;

	for (; t->period < now; t->period++)
		step(t->seed);
}

void tls_tickets_key(const struct tls_tickets *t, struct str listener, bool is_former,
		     struct tls_ticket_key *out)
{
	unsigned char seed[TLS_TICKET_SEED], keys[sizeof out->cipher + sizeof out->mac];

	memcpy(seed, t->seed, sizeof seed);
	if (!is_former)
		step(seed);
	derive(out->name, sizeof out->name, seed, USE_NAME, listener);
	derive(keys, sizeof keys, seed, USE_KEYS, listener);
	memcpy(out->cipher, keys, sizeof out->cipher);
	memcpy(out->mac, keys + sizeof out->cipher, sizeof out->mac);
	sodium_memzero(seed, sizeof seed);
	sodium_memzero(keys, sizeof keys);
}

void tls_tickets_wipe(struct tls_tickets *t)
{
	sodium_memzero(t, sizeof *t);
}
