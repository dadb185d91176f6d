#include "tls_core.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

void tls_process_init(void)
{
	uint64_t options = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS |
			   OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_ATEXIT;
	unsigned char seeded;

	if (OPENSSL_init_ssl(options, NULL) != 1 || RAND_bytes(&seeded, 1) != 1)
		abort();
}

int tls_fault(struct fault *why, const char *what)
{
	unsigned long first = ERR_get_error();
	const char *reason = first ? ERR_reason_error_string(first) : NULL;

	ERR_clear_error();
	return reason ? fault_set(why, "%s: %s", what, reason) : fault_set(why, "%s", what);
}

/* ---- one identity */

static void identity_fini(struct tls_identity *i)
{
	X509_free(i->leaf);
	sk_X509_pop_free(i->chain, X509_free);
	EVP_PKEY_free(i->key);
	OPENSSL_free(i->staple);
	free(i->names);
	*i = (struct tls_identity){ 0 };
}

/* no_passphrase - OpenSSL would ask the terminal */
static int no_passphrase(char *to, int size, int is_writing, void *owner)
{
	(void)to;
	(void)size;
	(void)is_writing;
	(void)owner;
	return -1;
}

static BIO *reader_of(struct str s)
{
	BIO *bio = s.n <= INT32_MAX ? BIO_new_mem_buf(s.p ? s.p : "", (int)s.n) : NULL;

	if (!bio)
		abort();
	return bio;
}

static int read_chain(struct tls_identity *i, struct str pem, struct fault *why)
{
	BIO *bio = reader_of(pem);
	X509 *next;
	int rc = -1;

	i->leaf = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	i->chain = sk_X509_new_null();
	if (!i->chain)
		abort();
	if (!i->leaf) {
		tls_fault(why, "no certificate in PEM was found");
		goto out;
	}
	while ((next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)))
		if (!sk_X509_push(i->chain, next))
			abort();
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		tls_fault(why, "the chain behind the certificate is damaged");
		goto out;
	}
	ERR_clear_error();
	rc = 0;
out:
	BIO_free(bio);
	return rc;
}

static int read_key(struct tls_identity *i, struct str pem, struct fault *why)
{
	BIO *bio = reader_of(pem);

	i->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (!i->key)
		return tls_fault(why, "no private key in PEM without a passphrase was found");
	if (X509_check_private_key(i->leaf, i->key) != 1) {
		ERR_clear_error();
		return fault_set(why, "the key does not belong to the certificate");
	}
	return 0;
}

/* read_staple - it is sent as it is; that it is a response at all is checked */
static int read_staple(struct tls_identity *i, struct str der, struct fault *why)
{
	const unsigned char *p = (const unsigned char *)der.p;
	OCSP_RESPONSE *response;

	if (der.n == 0)
		return 0;
	response = d2i_OCSP_RESPONSE(NULL, &p, (long)der.n);
	OCSP_RESPONSE_free(response);
	if (!response || p != (const unsigned char *)der.p + der.n)
		return tls_fault(why, "not an OCSP response in DER");
	i->staple = OPENSSL_memdup(der.p, der.n);
	if (!i->staple)
		abort();
	i->nstaple = der.n;
	return 0;
}

static void add_name(struct tls_identity *i, const ASN1_STRING *name)
{
	struct str text = { (const char *)ASN1_STRING_get0_data(name),
			    (size_t)ASN1_STRING_length(name) };
	char *to = i->names[i->nnames];

	if (i->nnames == TLS_NAMES || text.n == 0 || text.n >= TLS_NAME ||
	    memchr(text.p, '\0', text.n))
		return;
	(void)str_copy(to, TLS_NAME, text);
	for (; *to; to++)
		if (*to >= 'A' && *to <= 'Z')
			*to = (char)(*to + ('a' - 'A'));
	i->nnames++;
}

/* read_names - the common name counts where there is no alternative one (RFC 6125 6.4.4) */
static void read_names(struct tls_identity *i)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(i->leaf, NID_subject_alt_name, NULL, NULL);
	X509_NAME *subject = X509_get_subject_name(i->leaf);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	i->names = calloc(TLS_NAMES, sizeof *i->names);
	if (!i->names)
		abort();
	for (int k = 0; k < sk_GENERAL_NAME_num(all); k++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, k);

		if (name->type == GEN_DNS)
			add_name(i, name->d.dNSName);
	}
	GENERAL_NAMES_free(all);
	if (i->nnames == 0 && at >= 0)
		add_name(i, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static int64_t seconds_of(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;

	if (!epoch)
		abort();
	(void)ASN1_TIME_diff(&days, &seconds, epoch, t);
	ASN1_TIME_free(epoch);
	return (int64_t)days * 86400 + seconds;
}

static void read_expiry(struct tls_identity *i)
{
	i->expires = seconds_of(X509_get0_notAfter(i->leaf));
	for (int k = 0; k < sk_X509_num(i->chain); k++) {
		int64_t end = seconds_of(X509_get0_notAfter(sk_X509_value(i->chain, k)));

		if (end < i->expires)
			i->expires = end;
	}
}

int tls_store_add(struct tls_store *s, const struct tls_pem *pem, struct fault *why)
{
	struct tls_identity *i = &s->identities[s->n];

	if (s->n == TLS_IDENTITIES)
		return fault_set(why, "more than %d certificates", TLS_IDENTITIES);
	if (read_chain(i, pem->certificate, why) < 0 || read_key(i, pem->key, why) < 0 ||
	    read_staple(i, pem->staple, why) < 0) {
		identity_fini(i);
		return -1;
	}
	read_names(i);
	read_expiry(i);
	s->n++;
	return 0;
}

/* ---- whom we believe */

int tls_store_trust(struct tls_store *s, struct str pem, struct fault *why)
{
	BIO *bio = reader_of(pem);
	unsigned n = 0;
	X509 *one;

	if (!s->authorities) {
		s->authorities = X509_STORE_new();
		s->names = sk_X509_NAME_new_null();
	}
	if (!s->authorities || !s->names)
		abort();
	for (; (one = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)); n++) {
		X509_NAME *name = X509_NAME_dup(X509_get_subject_name(one));

		if (!name || !sk_X509_NAME_push(s->names, name) ||
		    X509_STORE_add_cert(s->authorities, one) != 1)
			abort();
		X509_free(one);
	}
	BIO_free(bio);
	if (n == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return tls_fault(why, "no certificates in PEM were found");
	ERR_clear_error();
	return 0;
}

/* ---- by name */

/* suits - `pattern` is a name of ours: itself, or "*." and all but the first label */
static bool suits(struct str pattern, struct str name)
{
	ptrdiff_t dot = str_find(name, '.');

	if (str_ieq(pattern, name))
		return true;
	return dot > 0 && str_has_prefix(pattern, STR("*.")) &&
	       str_ieq(str_drop(pattern, 1), str_drop(name, (size_t)dot));
}

static bool has_name(const struct tls_identity *i, struct str name)
{
	for (unsigned k = 0; k < i->nnames; k++)
		if (str_eq(name, str_of(i->names[k])))
			return true;
	return false;
}

struct str tls_store_choose(const struct tls_store *s, struct str name)
{
	struct str wild = STR_NONE;

	for (unsigned i = 0; name.n && i < s->n; i++) {
		const struct tls_identity *one = &s->identities[i];

		for (unsigned k = 0; k < one->nnames; k++) {
			struct str mine = str_of(one->names[k]);

			if (str_ieq(mine, name))
				return mine;
			if (!wild.n && suits(mine, name))
				wild = mine;
		}
	}
	return wild.n ? wild : tls_store_name(s, 0);
}

bool tls_store_is_for(const struct tls_store *s, unsigned i, struct str name)
{
	return name.n ? has_name(&s->identities[i], name) : i == 0;
}

/* ---- the whole */

struct tls_store *tls_store_new(void)
{
	struct tls_store *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	s->refs = 1;
	return s;
}

struct tls_store *tls_store_take(struct tls_store *s)
{
	s->refs++;
	return s;
}

void tls_store_drop(struct tls_store **owned)
{
	struct tls_store *s = *owned;

	*owned = NULL;
	if (!s || --s->refs > 0)
		return;
	for (unsigned i = 0; i < s->n; i++)
		identity_fini(&s->identities[i]);
	X509_STORE_free(s->authorities);
	sk_X509_NAME_pop_free(s->names, X509_NAME_free);
	free(s);
}

unsigned tls_store_count(const struct tls_store *s)
{
	return s->n;
}

struct str tls_store_name(const struct tls_store *s, unsigned i)
{
	return i < s->n && s->identities[i].nnames ? str_of(s->identities[i].names[0]) : STR_NONE;
}

int64_t tls_store_expires(const struct tls_store *s, unsigned i)
{
	return s->identities[i].expires;
}
