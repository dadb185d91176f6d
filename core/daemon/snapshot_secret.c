#include "snapshot_secret.h"

#include <sodium.h>

_Static_assert(SNAPSHOT_SECRET == crypto_secretbox_KEYBYTES, "key");
_Static_assert(SNAPSHOT_SECRET_MORE == crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES,
	       "more");

#define NONCE crypto_secretbox_NONCEBYTES

/* nonce_of - under another key than the box itself */
static void nonce_of(const unsigned char key[SNAPSHOT_SECRET], struct str text,
		     unsigned char nonce[NONCE])
{
	unsigned char other[crypto_generichash_KEYBYTES];

	(void)crypto_generichash(other, sizeof other, (const unsigned char *)"nonce", 5, key,
				 SNAPSHOT_SECRET);
	(void)crypto_generichash(nonce, NONCE, (const unsigned char *)text.p, text.n, other,
				 sizeof other);
	sodium_memzero(other, sizeof other);
}

bool snapshot_secret_seal(const unsigned char key[SNAPSHOT_SECRET], struct str text,
			  struct buf *out)
{
	unsigned char *to;

	if (text.n > buf_room(out) || buf_room(out) - text.n < SNAPSHOT_SECRET_MORE)
		return false;
	to = (unsigned char *)buf_space(out, text.n + SNAPSHOT_SECRET_MORE);
	nonce_of(key, text, to);
	(void)crypto_secretbox_easy(to + NONCE, (const unsigned char *)text.p, text.n, to, key);
	buf_wrote(out, text.n + SNAPSHOT_SECRET_MORE);
	return true;
}

ptrdiff_t snapshot_secret_open(const unsigned char key[SNAPSHOT_SECRET], struct str sealed,
			       unsigned char *out, size_t room)
{
	const unsigned char *p = (const unsigned char *)sealed.p;

	if (sealed.n < SNAPSHOT_SECRET_MORE || sealed.n - SNAPSHOT_SECRET_MORE > room ||
	    crypto_secretbox_open_easy(out, p + NONCE, sealed.n - NONCE, p, key) < 0)
		return -1;
	return (ptrdiff_t)(sealed.n - SNAPSHOT_SECRET_MORE);
}
