/*
 * tls_context - what one listener negotiates: versions, ciphers, client certificates, tickets.
 *
 * Invariants  TLS 1.2 and 1.3; at 1.2 only ciphers that are AEAD with ECDHE; no renegotiation, no
 *             compression, no early data; a ticket of one listener opens nothing at another. A
 *             client that speaks of protocols (ALPN, RFC 7301) must know "smtp": a browser that
 *             was lured here is cut (ALPACA).
 * Ownership   counted, as tls_store; holds its store. Connections hold what they need of it: it
 *             may be replaced while they live.
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include "tls_store.h"
#include "tls_tickets.h"

enum tls_floor { TLS_FLOOR_1_2, TLS_FLOOR_1_3, TLS_FLOORS };

enum tls_clients {
	TLS_CLIENTS_OFF,     /* no certificate is asked for */
	TLS_CLIENTS_REQUEST, /* asked for; what it is worth is for policy to say */
	TLS_CLIENTS_REQUIRE, /* no handshake without one that verifies */
	TLS_CLIENTS
};

extern const char *const tls_floor_name[TLS_FLOORS];    /* "1.2" */
extern const char *const tls_clients_name[TLS_CLIENTS]; /* "off", "request", "require" */

struct tls_options {
	struct str listener;
	struct str ciphers; /* of TLS 1.2, in OpenSSL's words; empty: our own choice */
	enum tls_floor floor;
	enum tls_clients clients;
	struct tls_store *store;
	struct tls_tickets *tickets; /* borrowed, outlives all; NULL: no tickets */
};

struct tls_context;

struct tls_context *tls_context_new(const struct tls_options *o, struct fault *why);
struct tls_context *tls_context_take(struct tls_context *c);
void tls_context_drop(struct tls_context **c);

#endif
