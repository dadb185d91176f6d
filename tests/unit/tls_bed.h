/*
 * tls_bed - certificates made on the spot, and OpenSSL's own client as the other side of struct tls.
 */
#ifndef TLS_BED_H
#define TLS_BED_H

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls.h"

struct bed_cert {
	X509 *cert;
	EVP_PKEY *key;
	struct str pem, key_pem; /* heap */
};

static inline struct str bed_text(BIO *bio)
{
	char *p, *copy;
	long n = BIO_get_mem_data(bio, &p);

	copy = malloc((size_t)n + 1);
	assert_non_null(copy);
	memcpy(copy, p, (size_t)n);
	copy[n] = '\0';
	BIO_free(bio);
	return (struct str){ copy, (size_t)n };
}

static inline void bed_extend(X509 *to, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, NULL, to, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(to, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* bed_cert - signed by `by`, or by itself; names: "DNS:a.example,DNS:*.b.example", or NULL */
static inline void bed_cert(struct bed_cert *c, EVP_PKEY *key, const char *subject,
			    const char *names, const struct bed_cert *by)
{
	X509_NAME *name = X509_NAME_new();
	BIO *bio;

	*c = (struct bed_cert){ .cert = X509_new(), .key = key };
	assert_non_null(key);
	X509_set_version(c->cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c->cert), 1 + (long)(subject[0]));
	X509_gmtime_adj(X509_getm_notBefore(c->cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(c->cert), 86400 * 30);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)subject, -1,
				   -1, 0);
	X509_set_subject_name(c->cert, name);
	X509_set_issuer_name(c->cert, by ? X509_get_subject_name(by->cert) : name);
	X509_NAME_free(name);
	X509_set_pubkey(c->cert, key);
	if (names)
		bed_extend(c->cert, NID_subject_alt_name, names);
	else
		bed_extend(c->cert, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(c->cert, by ? by->key : key, EVP_sha256()) > 0);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, c->cert);
	c->pem = bed_text(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	c->key_pem = bed_text(bio);
}

static inline void bed_cert_free(struct bed_cert *c)
{
	X509_free(c->cert);
	EVP_PKEY_free(c->key);
	free((char *)(uintptr_t)c->pem.p);
	free((char *)(uintptr_t)c->key_pem.p);
	*c = (struct bed_cert){ 0 };
}

static inline void bed_add(struct tls_store *s, const struct bed_cert *c)
{
	struct fault why = { 0 };
	struct tls_pem pem = { .certificate = c->pem, .key = c->key_pem };

	if (tls_store_add(s, &pem, &why) < 0)
		fail_msg("%s", why.text);
}

static inline struct tls_context *bed_context(const struct tls_options *o)
{
	struct fault why = { 0 };
	struct tls_context *c = tls_context_new(o, &why);

	if (!c)
		fail_msg("%s", why.text);
	return c;
}

/* ---- the client: OpenSSL over two memory BIOs */

struct tls_client {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *from, *to;
	SSL_SESSION *session; /* the last ticket */
};

static int bed_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct tls_client *c = SSL_get_app_data(ssl);

	SSL_SESSION_free(c->session);
	c->session = session;
	return 1;
}

static inline void tls_client_init(struct tls_client *c)
{
	*c = (struct tls_client){ .ctx = SSL_CTX_new(TLS_client_method()) };
	SSL_CTX_set_security_level(c->ctx, 0); /* what is refused, is refused by us */
	SSL_CTX_set_min_proto_version(c->ctx, 0);
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ctx, bed_ticket);
}

/* tls_client_begin - a connection; options of the context are set before */
static inline void tls_client_begin(struct tls_client *c)
{
	if (c->ssl) /* else its session would count as broken, and not be resumed */
		SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->ssl);
	c->ssl = SSL_new(c->ctx);
	c->from = BIO_new(BIO_s_mem());
	c->to = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(c->from, -1);
	SSL_set_bio(c->ssl, c->from, c->to);
	SSL_set_connect_state(c->ssl);
	SSL_set_app_data(c->ssl, c);
}

static inline void tls_client_fini(struct tls_client *c)
{
	SSL_SESSION_free(c->session);
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	ERR_clear_error();
}

/* tls_client_say - what it has to send now; dies with the next call */
static inline struct str tls_client_say(struct tls_client *c)
{
	static char text[256 * 1024];
	int n = BIO_read(c->to, text, sizeof text);

	return (struct str){ text, n > 0 ? (size_t)n : 0 };
}

static inline void tls_client_hear(struct tls_client *c, struct str s)
{
	if (s.n)
		assert_int_equal(BIO_write(c->from, s.p, (int)s.n), s.n);
}

#endif
