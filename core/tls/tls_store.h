/*
 * tls_store - the certificates and keys that handshakes draw on, and whom we believe about clients.
 *
 * What        identities (a chain, its key, a stapled OCSP answer) chosen by the name that a client
 *             asks for (SNI, RFC 6066 3), and the authorities that client certificates are
 *             verified against.
 * Why         built twice from the same bytes: by the loader, which proves that they fit, and by
 *             every edge. A reload makes another store; sessions keep the one they began with.
 * Invariants  the key belongs to the certificate. A name is matched exactly, then by a wildcard for
 *             its first label (RFC 6125 6.4.3); what nobody has gets the first identity. Several
 *             identities of one name (an RSA and an ECDSA key) are all offered.
 * Ownership   counted: new gives one reference, take one more, drop gives one back, leaves NULL.
 * Bounds      TLS_IDENTITIES; files are bounded by who reads them.
 * Read next   tls_context.h, which makes listeners' contexts of it.
 */
#ifndef TLS_STORE_H
#define TLS_STORE_H

#include "fault.h"
#include "str.h"

#define TLS_IDENTITIES 64
#define TLS_NAMES      100 /* of one certificate that are looked at */

struct tls_store;

struct tls_pem {
	struct str certificate; /* PEM: our own first, then what leads to the authority */
	struct str key;         /* PEM, without a passphrase */
	struct str staple;      /* DER of an OCSP response; empty: none */
};

/*
 * tls_process_init - once per process, before the sandbox: OpenSSL then opens no file any more, and
 * reads no openssl.cnf: what is negotiated is said by our settings alone
 */
void tls_process_init(void);

struct tls_store *tls_store_new(void);
struct tls_store *tls_store_take(struct tls_store *s);
void tls_store_drop(struct tls_store **s);

int tls_store_add(struct tls_store *s, const struct tls_pem *pem, struct fault *why);
/* Certificates in PEM; needed where clients are asked for theirs. */
int tls_store_trust(struct tls_store *s, struct str pem, struct fault *why);

unsigned tls_store_count(const struct tls_store *s);
/* The first name of the certificate; "" when it has none. Lives as long as the store. */
struct str tls_store_name(const struct tls_store *s, unsigned i);
/* When the first certificate of its chain ends; seconds since 1970. */
int64_t tls_store_expires(const struct tls_store *s, unsigned i);

#endif
