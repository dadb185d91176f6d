#include "tls_core.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define CIPHERS      "ECDHE+AESGCM:ECDHE+CHACHA20"
#define SUITES       "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
#define GROUPS       "X25519:P-256:P-384"
#define CLIENT_CHAIN 16384 /* bytes of a client's certificates */
#define CLIENT_DEPTH 5

/* clang-format off */
const char *const tls_floor_name[TLS_FLOORS] = { [TLS_FLOOR_1_2] = "1.2", [TLS_FLOOR_1_3] = "1.3" };

const char *const tls_clients_name[TLS_CLIENTS] = {
	[TLS_CLIENTS_OFF] = "off", [TLS_CLIENTS_REQUEST] = "request", [TLS_CLIENTS_REQUIRE] = "require",
};
/* clang-format on */

static struct tls_context *context_of(SSL *ssl)
{
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* ---- which certificate */

static struct str asked_name(SSL *ssl)
{
	return str_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
}

/*
 * choose - every identity of the name is offered, the client's signature algorithms choose between
 * an RSA and an ECDSA key
 */
static int choose(SSL *ssl, void *unused)
{
	const struct tls_store *s = context_of(ssl)->store;
	struct str name = tls_store_choose(s, asked_name(ssl));

	(void)unused;
	SSL_certs_clear(ssl);
	for (unsigned i = 0; i < s->n; i++) {
		const struct tls_identity *one = &s->identities[i];

		if (tls_store_is_for(s, i, name) &&
		    SSL_use_cert_and_key(ssl, one->leaf, one->key, one->chain, 1) != 1)
			return 0;
	}
	return 1;
}

/* named - it is acknowledged whether we have it or not: which certificate comes says it all */
static int named(SSL *ssl, int *alert, void *unused)
{
	(void)alert;
	(void)unused;
	return asked_name(ssl).n ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int staple(SSL *ssl, void *unused)
{
	const struct tls_store *s = context_of(ssl)->store;
	const X509 *leaf = SSL_get_certificate(ssl);
	unsigned char *copy;

	(void)unused;
	for (unsigned i = 0; i < s->n; i++) {
		const struct tls_identity *one = &s->identities[i];

		if (one->leaf != leaf || one->nstaple == 0)
			continue;
		copy = OPENSSL_memdup(one->staple, one->nstaple);
		if (!copy || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)one->nstaple) != 1)
			abort();
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

/* ---- which protocol */

/* speak - OpenSSL's signature */
static int speak(SSL *ssl, const unsigned char **out, unsigned char *nout, const unsigned char *in,
		 unsigned nin, void *unused)
{
	static const unsigned char ours[] = "\4smtp";
	unsigned char *found;

	(void)ssl;
	(void)unused;
	if (SSL_select_next_proto(&found, nout, ours, sizeof ours - 1, in, nin) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

/* ---- tickets */

static bool seal_with(const struct tls_ticket_key *key, const unsigned char *iv,
		      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac,
						  sizeof key->mac),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, is_sealing) ==
		       1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

enum ticket { TICKET_FAILED = -1, TICKET_UNKNOWN = 0, TICKET_GOOD = 1, TICKET_RENEW = 2 };

static enum ticket ticket_key_of(struct tls_context *c, const unsigned char name[16],
				 struct tls_ticket_key *key)
{
	for (int is_former = 0; is_former < 2; is_former++) {
		tls_tickets_key(c->tickets, str_of(c->listener), is_former, key);
		if (sodium_memcmp(key->name, name, sizeof key->name) == 0)
			return is_former ? TICKET_RENEW : TICKET_GOOD;
	}
	return TICKET_UNKNOWN;
}

/* ticket - OpenSSL's signature */
static int ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
		  EVP_MAC_CTX *mac, int is_sealing)
{
	struct tls_context *c = context_of(ssl);
	enum ticket found = TICKET_GOOD;
	struct tls_ticket_key key;

	tls_tickets_advance(c->tickets, clock_mono());
	if (is_sealing) {
		tls_tickets_key(c->tickets, str_of(c->listener), false, &key);
		memcpy(name, key.name, sizeof key.name);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			found = TICKET_FAILED;
	} else {
		found = ticket_key_of(c, name, &key);
	}
	/* RFC 8446 C.4: a ticket is used once, so another one goes back */
	if (found == TICKET_GOOD && !is_sealing && SSL_version(ssl) == TLS1_3_VERSION)
		found = TICKET_RENEW;
	if (found > TICKET_UNKNOWN && !seal_with(&key, iv, cipher, mac, is_sealing))
		found = TICKET_FAILED;
	sodium_memzero(&key, sizeof key);
	return (int)found;
}

static void set_tickets(struct tls_context *c)
{
	unsigned char id[SSL_MAX_SID_CTX_LENGTH];

	(void)crypto_generichash(id, sizeof id, (const unsigned char *)c->listener,
				 strlen(c->listener), NULL, 0);
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_session_id_context(c->ctx, id, sizeof id);
	(void)SSL_CTX_set_timeout(c->ctx, TLS_TICKET_PERIOD / CLOCK_SECOND);
	(void)SSL_CTX_set_num_tickets(c->ctx, c->tickets ? 1 : 0);
	(void)SSL_CTX_set_max_early_data(c->ctx, 0);
	if (c->tickets)
		(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ctx, ticket);
	else
		(void)SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET);
}

/* ---- clients */

/* believe - the verdict is kept for policy; the handshake goes on whatever it is */
static int believe(int is_good, X509_STORE_CTX *unused)
{
	(void)is_good;
	(void)unused;
	return 1;
}

static int set_clients(struct tls_context *c, enum tls_clients clients, struct fault *why)
{
	STACK_OF(X509_NAME) * names;

	if (clients == TLS_CLIENTS_OFF)
		return 0;
	if (!c->store->authorities)
		return fault_set(why, "client certificates are asked for, and no authority for "
				      "them is known");
	names = SSL_dup_CA_list(c->store->names);
	if (!names)
		abort();
	SSL_CTX_set_client_CA_list(c->ctx, names);
	SSL_CTX_set1_cert_store(c->ctx, c->store->authorities);
	SSL_CTX_set_max_cert_list(c->ctx, CLIENT_CHAIN);
	SSL_CTX_set_verify_depth(c->ctx, CLIENT_DEPTH);
	if (clients == TLS_CLIENTS_REQUIRE)
		SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	else
		SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, believe);
	return 0;
}

/* ---- versions and ciphers */

static bool is_modern(const SSL_CIPHER *cipher)
{
	int exchange = SSL_CIPHER_get_kx_nid(cipher);

	return SSL_CIPHER_is_aead(cipher) && (exchange == NID_kx_ecdhe || exchange == NID_kx_any);
}

static int set_ciphers(SSL_CTX *ctx, struct str ciphers, struct fault *why)
{
	char text[1024] = CIPHERS;
	STACK_OF(SSL_CIPHER) * all;

	if (ciphers.n >= sizeof text)
		return fault_set(why, "a list of ciphers of more than %zu bytes", sizeof text - 1);
	if (ciphers.n)
		(void)str_copy(text, sizeof text, ciphers);
	if (SSL_CTX_set_cipher_list(ctx, text) != 1)
		return tls_fault(why, "no cipher has such a name");
	all = SSL_CTX_get_ciphers(ctx);
	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		const SSL_CIPHER *one = sk_SSL_CIPHER_value(all, i);

		if (!is_modern(one))
			return fault_set(why, "%s is not AEAD with ECDHE",
					 SSL_CIPHER_get_name(one));
	}
	return 0;
}

static int set_protocol(SSL_CTX *ctx, const struct tls_options *o, struct fault *why)
{
	int floor = o->floor == TLS_FLOOR_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;

	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					       SSL_OP_CIPHER_SERVER_PREFERENCE |
					       SSL_OP_PRIORITIZE_CHACHA);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(ctx, floor) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, SUITES) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
		return tls_fault(why, "OpenSSL does not know our protocols");
	return set_ciphers(ctx, o->ciphers, why);
}

/* ---- the whole */

struct tls_context *tls_context_new(const struct tls_options *o, struct fault *why)
{
	struct tls_context *c = calloc(1, sizeof *c);

	if (!c)
		abort();
	c->refs = 1;
	c->store = tls_store_take(o->store);
	c->tickets = o->tickets;
	c->ctx = SSL_CTX_new(TLS_server_method());
	c->listener = malloc(o->listener.n + 1);
	if (!c->ctx || !c->listener)
		abort();
	(void)str_copy(c->listener, o->listener.n + 1, o->listener);
	SSL_CTX_set_app_data(c->ctx, c);
	SSL_CTX_set_cert_cb(c->ctx, choose, NULL);
	SSL_CTX_set_tlsext_servername_callback(c->ctx, named);
	SSL_CTX_set_tlsext_status_cb(c->ctx, staple);
	SSL_CTX_set_alpn_select_cb(c->ctx, speak, NULL);
	set_tickets(c);
	if (c->store->n == 0)
		fault_set(why, "there is no certificate");
	else if (set_protocol(c->ctx, o, why) == 0 && set_clients(c, o->clients, why) == 0)
		return c;
	tls_context_drop(&c);
	return NULL;
}

struct tls_context *tls_context_take(struct tls_context *c)
{
	c->refs++;
	return c;
}

void tls_context_drop(struct tls_context **owned)
{
	struct tls_context *c = *owned;

	*owned = NULL;
	if (!c || --c->refs > 0)
		return;
	SSL_CTX_free(c->ctx);
	tls_store_drop(&c->store);
	free(c->listener);
	free(c);
}
