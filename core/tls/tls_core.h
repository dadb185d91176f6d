/*
 * tls_core - what the files of core/tls share: OpenSSL's types are seen nowhere else.
 */
#ifndef TLS_CORE_H
#define TLS_CORE_H

#include <openssl/ssl.h>

#include "tls.h"

#define TLS_NAME 256 /* bytes of a host name, its NUL too */

struct tls_identity {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	unsigned char *staple;
	size_t nstaple;
	char (*names)[TLS_NAME]; /* lower case */
	unsigned nnames;
	int64_t expires;
};

struct tls_store {
	unsigned refs;
	struct tls_identity identities[TLS_IDENTITIES];
	unsigned n;
	X509_STORE *authorities;     /* NULL: none */
	STACK_OF(X509_NAME) * names; /* of them, told to clients */
};

struct tls_context {
	unsigned refs;
	SSL_CTX *ctx;
	struct tls_store *store;
	struct tls_tickets *tickets; /* NULL: none are given */
	char *listener;
};

/* in tls_fault.c: the first of OpenSSL's errors, in words; the others are forgotten. -1. */
int tls_fault(struct fault *why, const char *what);

/* in tls_store.c: is it the identity to be shown to who asks for `name`? */
bool tls_store_is_for(const struct tls_store *s, unsigned i, struct str name);
/* and the name under which they are found: `name`, a wildcard, or that of the first */
struct str tls_store_choose(const struct tls_store *s, struct str name);

#endif
