/*
 *   new -> SHAKING --SECURED--> OPEN --CLOSED--> CLOSED
 *             |                  |
 *             +----- FAILED -----+-> FAILED
 *
 * All but SHAKING and OPEN receive nothing; CLOSED may still send: the peer closed its side only.
 */
#include "tls_core.h"

#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum state { SHAKING, OPEN, CLOSED, FAILED };

struct tls {
	struct tls_context *context; /* its callbacks need it to the end */
	SSL *ssl;
	enum state state;
	enum tls_failure failure;
	char why[160];
	struct str *in; /* of the call that runs */
	struct buf *out;
};

const char *const tls_failure_name[TLS_FAILURES] = {
	[TLS_FAILURE_NONE] = "none",       [TLS_FAILURE_NO_TLS] = "not TLS",
	[TLS_FAILURE_VERSION] = "version", [TLS_FAILURE_CIPHER] = "cipher",
	[TLS_FAILURE_ALERT] = "alert",     [TLS_FAILURE_CERTIFICATE] = "certificate",
	[TLS_FAILURE_OTHER] = "other",
};

/* ---- a BIO over the slices of the call that runs */

static int bio_read(BIO *bio, char *to, size_t n, size_t *got)
{
	struct tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (!t->in || t->in->n == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	*got = n < t->in->n ? n : t->in->n;
	memcpy(to, t->in->p, *got);
	*t->in = str_drop(*t->in, *got);
	return 1;
}

static int bio_write(BIO *bio, const char *from, size_t n, size_t *put)
{
	struct tls *t = BIO_get_data(bio);
	size_t room = t->out ? buf_room(t->out) : 0;

	BIO_clear_retry_flags(bio);
	*put = n < room ? n : room;
	if (*put == 0) {
		BIO_set_retry_write(bio);
		return 0;
	}
	(void)buf_add(t->out, (struct str){ from, *put });
	return 1;
}

static long bio_control(BIO *bio, int what, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return what == BIO_CTRL_FLUSH; /* what was written lies where it belongs */
}

static BIO *bio_new(struct tls *t)
{
	static BIO_METHOD *method; /* immutable once made */
	BIO *bio;

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory");
		if (!method || BIO_meth_set_read_ex(method, bio_read) != 1 ||
		    BIO_meth_set_write_ex(method, bio_write) != 1 ||
		    BIO_meth_set_ctrl(method, bio_control) != 1)
			abort();
	}
	bio = BIO_new(method);
	if (!bio)
		abort();
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	return bio;
}

/* ---- what went wrong */

static enum tls_failure failure_of(unsigned long error)
{
	switch (ERR_GET_REASON(error)) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_UNEXPECTED_MESSAGE:
	case SSL_R_BAD_RECORD_TYPE:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
		return TLS_FAILURE_NO_TLS;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_INAPPROPRIATE_FALLBACK:
		return TLS_FAILURE_VERSION;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_GROUPS:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_NO_SHARED_GROUPS:
		return TLS_FAILURE_CIPHER;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return TLS_FAILURE_CERTIFICATE;
	}
	return ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET ? TLS_FAILURE_ALERT : TLS_FAILURE_OTHER;
}

static enum tls_event failed(struct tls *t)
{
	unsigned long error = ERR_peek_error();
	const char *words = error ? ERR_reason_error_string(error) : NULL;

	t->state = FAILED;
	t->failure = error ? failure_of(error) : TLS_FAILURE_OTHER;
	(void)str_copy(t->why, sizeof t->why, str_of(words ? words : "protocol error"));
	ERR_clear_error();
	return TLS_FAILED;
}

enum tls_failure tls_failure(const struct tls *t, struct fault *why)
{
	fault_set(why, "TLS failed (%s): %s", tls_failure_name[t->failure], t->why);
	return t->failure;
}

/* ---- bytes */

/* event_of - why OpenSSL stopped short */
static enum tls_event event_of(struct tls *t, int rc)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return TLS_MORE;
	case SSL_ERROR_WANT_WRITE:
		return TLS_ROOM;
	case SSL_ERROR_ZERO_RETURN:
		t->state = CLOSED;
		return TLS_CLOSED;
	}
	return failed(t);
}

static enum tls_event shake(struct tls *t)
{
	int rc = SSL_do_handshake(t->ssl);

	if (rc != 1)
		return event_of(t, rc);
	t->state = OPEN;
	return TLS_SECURED;
}

static enum tls_event take(struct tls *t, struct buf *plain)
{
	size_t room = buf_room(plain), n = 0;
	int rc;

	if (room == 0)
		return TLS_ROOM;
	room = room < TLS_RECORD ? room : TLS_RECORD;
	rc = SSL_read_ex(t->ssl, buf_space(plain, room), room, &n);
	if (rc != 1)
		return event_of(t, rc);
	buf_wrote(plain, n);
	return TLS_BYTES;
}

enum tls_event tls_receive(struct tls *t, struct str *in, struct buf *plain, struct buf *out)
{
	enum tls_event event = TLS_CLOSED;

	t->in = in;
	t->out = out;
	ERR_clear_error();
	switch (t->state) {
	case SHAKING:
		event = shake(t);
		break;
	case OPEN:
		event = take(t, plain);
		break;
	case FAILED:
		event = TLS_FAILED;
		break;
	case CLOSED:
		break;
	}
	t->in = NULL;
	t->out = NULL;
	return event;
}

bool tls_send(struct tls *t, struct buf *plain, struct buf *out)
{
	bool is_good = true;

	assert(t->state != SHAKING);
	t->out = out;
	ERR_clear_error();
	while (is_good && buf_len(plain) > 0 && buf_room(out) > TLS_OVERHEAD) {
		size_t fits = buf_room(out) - TLS_OVERHEAD, n = buf_len(plain), sent = 0;
		int rc;

		n = n < fits ? n : fits;
		n = n < TLS_RECORD ? n : TLS_RECORD;
		rc = SSL_write_ex(t->ssl, buf_str(plain).p, n, &sent);
		if (rc == 1)
			buf_take(plain, sent);
		else if (event_of(t, rc) == TLS_ROOM)
			break;
		else
			is_good = false;
	}
	if (!is_good && t->state != FAILED)
		(void)failed(t);
	t->out = NULL;
	return is_good;
}

void tls_close(struct tls *t, struct buf *out)
{
	if (t->state != OPEN && t->state != CLOSED)
		return;
	t->out = out;
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
	t->out = NULL;
}

bool tls_is_secured(const struct tls *t)
{
	return t->state == OPEN || t->state == CLOSED;
}

bool tls_has_more(const struct tls *t)
{
	return t->state == OPEN && SSL_pending(t->ssl) > 0;
}

/* ---- facts */

/* put_name - what is not a host name is not worth showing */
static void put_name(char to[256], const char *name)
{
	size_t n = 0;

	for (; name && *name && n < 255; name++) {
		char c = *name;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + ('a' - 'A'));
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		      c == '_'))
			break;
		to[n++] = c;
	}
	to[name && *name ? 0 : n] = '\0';
}

static void put_subject(char to[TLS_SUBJECT], const X509 *leaf)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;

	if (!bio)
		abort();
	(void)X509_NAME_print_ex(bio, X509_get_subject_name(leaf), 0, XN_FLAG_RFC2253);
	n = BIO_get_mem_data(bio, &text);
	(void)str_copy(to, TLS_SUBJECT, (struct str){ text, n > 0 ? (size_t)n : 0 });
	for (; *to; to++)
		if (*to < ' ' || *to > '~')
			*to = '?';
	BIO_free(bio);
}

static void put_fingerprint(char to[65], const X509 *leaf)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[32];
	unsigned n = 0;

	if (X509_digest(leaf, EVP_sha256(), digest, &n) != 1)
		n = 0;
	for (unsigned i = 0; i < n; i++) {
		to[2 * i] = digits[digest[i] >> 4];
		to[2 * i + 1] = digits[digest[i] & 15];
	}
	to[2 * n] = '\0';
}

void tls_facts(const struct tls *t, struct tls_facts *out)
{
	const X509 *leaf = SSL_get0_peer_certificate(t->ssl);
	long verdict = SSL_get_verify_result(t->ssl);

	*out = (struct tls_facts){
		.version = SSL_get_version(t->ssl),
		.cipher = SSL_get_cipher_name(t->ssl),
		.is_resumed = SSL_session_reused(t->ssl),
		.has_certificate = leaf != NULL,
		.is_verified = leaf && verdict == X509_V_OK,
		.problem = leaf && verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
							: NULL,
	};
	put_name(out->name, SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
	if (!leaf)
		return;
	put_subject(out->subject, leaf);
	put_fingerprint(out->fingerprint, leaf);
}

/* ---- the whole */

struct tls *tls_new(struct tls_context *c)
{
	struct tls *t = calloc(1, sizeof *t);
	BIO *bio;

	if (!t)
		abort();
	t->ssl = SSL_new(c->ctx);
	if (!t->ssl) {
		ERR_clear_error();
		free(t);
		return NULL;
	}
	t->context = tls_context_take(c);
	bio = bio_new(t);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_accept_state(t->ssl);
	return t;
}

void tls_free(struct tls **owned)
{
	struct tls *t = *owned;

	*owned = NULL;
	if (!t)
		return;
	SSL_free(t->ssl);
	tls_context_drop(&t->context);
	free(t);
}
