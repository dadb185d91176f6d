/*
 * tls_tickets - the keys that seal session tickets (RFC 5077, RFC 8446 4.6.1).
 *
 * What        one seed per period, each made from the one before it by a one-way function; from it
 *             a key per listener.
 * Why         all edges must open each other's tickets, a restarted one too: the master hands its
 *             state over once, and everybody moves on by the clock, without a word. A seed that is
 *             past is forgotten everywhere: who steals the present one cannot read recorded
 *             sessions of periods before the former one.
 * Invariants  `seed` is that of the period before the present one: tickets of both are good. A
 *             ticket of one listener is nothing to another. Periods never run backwards.
 * Ownership   caller's memory, in sodium_malloc()'s; wipe with tls_tickets_wipe.
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include "str.h"

#define TLS_TICKET_PERIOD (UINT64_C(6) * 3600 * 1000000)
#define TLS_TICKET_SEED   32

struct tls_tickets {
	uint64_t period; /* the present one */
	unsigned char seed[TLS_TICKET_SEED];
};

struct tls_ticket_key {
	unsigned char name[16], cipher[32], mac[32];
};

void tls_tickets_init(struct tls_tickets *t, uint64_t mono_us);
void tls_tickets_advance(struct tls_tickets *t, uint64_t mono_us);
/* is_former: of the period before this one */
void tls_tickets_key(const struct tls_tickets *t, struct str listener, bool is_former,
		     struct tls_ticket_key *out);
void tls_tickets_wipe(struct tls_tickets *t);

#endif
