/*
 * tls - one connection's side of TLS: bytes in, bytes out, no socket.
 *
 * What        ciphertext is consumed from a slice, plain text appears in a buffer, and the other
 *             way; OpenSSL reads and writes our memory through a BIO of our own.
 * Why         nothing here can block, and every byte that waits lies in a buffer with a bound: its
 *             owner's.
 * Invariants  no plain text before TLS_SECURED was said, once. What cannot be written for want of
 *             room is written at the next call: nothing is lost. After TLS_FAILED or TLS_CLOSED
 *             nothing is received any more.
 * Ownership   new/free; holds what it needs of its context. Slices and buffers are borrowed for the
 *             call.
 * Bounds      one record (16 KiB) inside OpenSSL while it is not whole; nothing at rest.
 * Read next   net_wire_tls.c, which puts it between a socket and its owner.
 */
#ifndef TLS_H
#define TLS_H

#include "buf.h"
#include "tls_context.h"

#define TLS_RECORD   16384
#define TLS_OVERHEAD 256 /* more than a record is ever longer than what it carries */
#define TLS_SUBJECT  256

enum tls_event {
	TLS_MORE,    /* all was consumed: more ciphertext is needed */
	TLS_ROOM,    /* `plain` or `out` is full */
	TLS_SECURED, /* the handshake is over; tls_facts() are known; call again */
	TLS_BYTES,   /* `plain` grew; call again */
	TLS_CLOSED,  /* close_notify: the peer says no more */
	TLS_FAILED,  /* tls_failure() says why; `out` holds an alert, perhaps */
};

enum tls_failure {
	TLS_FAILURE_NONE,
	TLS_FAILURE_NO_TLS,      /* what came is not TLS */
	TLS_FAILURE_VERSION,     /* no version in common */
	TLS_FAILURE_CIPHER,      /* no cipher, group or signature in common */
	TLS_FAILURE_CERTIFICATE, /* the client's is missing or does not verify */
	TLS_FAILURE_ALERT,       /* the client broke it off: it does not like ours, mostly */
	TLS_FAILURE_OTHER,
	TLS_FAILURES
};

extern const char *const tls_failure_name[TLS_FAILURES];

struct tls_facts {
	const char *version, *cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256": static */
	char name[256];               /* the host name asked for (SNI), lower case; "": none */
	bool is_resumed;
	bool has_certificate, is_verified; /* the client's */
	const char *problem;               /* why it is not verified: static; NULL */
	char subject[TLS_SUBJECT];         /* RFC 2253, printable ASCII */
	char fingerprint[65];              /* SHA-256 of it, hex */
};

struct tls;

struct tls *tls_new(struct tls_context *c); /* the server's side; NULL: no memory */
void tls_free(struct tls **t);

/* plain: at most a record is added per call. */
enum tls_event tls_receive(struct tls *t, struct str *in, struct buf *plain, struct buf *out);
/* Takes from plain what out has room for. false: it failed. */
bool tls_send(struct tls *t, struct buf *plain, struct buf *out);
void tls_close(struct tls *t, struct buf *out); /* close_notify, if there is somebody to tell */
bool tls_is_secured(const struct tls *t);
bool tls_has_more(const struct tls *t); /* plain text that had no room */
enum tls_failure tls_failure(const struct tls *t, struct fault *why);
void tls_facts(const struct tls *t, struct tls_facts *out);

#endif
