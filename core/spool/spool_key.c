#define _GNU_SOURCE /* MADV_WIPEONFORK */
#include "spool_key.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FORM = 1, ID_AT = 8, NONCE_AT = 16, DATA_AT = 40 };

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define MAC   crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(DATA_AT == NONCE_AT + NONCE, "layout");
_Static_assert(DATA_AT + SPOOL_CIPHER_KEY + MAC <= SPOOL_KEY_SIZE, "it fits");
_Static_assert(SPOOL_CIPHER_KEY == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");

void *spool_secret_new(size_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from;
	void *p = sodium_init() < 0 ? NULL : sodium_malloc(n); /* a tool may be the first to ask */

	if (!p)
		abort();
	sodium_memzero(p, n);
	/* no child of ours, in which a policy may be tried, has them */
	from = (uintptr_t)p & ~(page - 1);
	(void)madvise((void *)from, (uintptr_t)p + n - from, MADV_WIPEONFORK);
	return p;
}

void spool_secret_free(void *p)
{
	sodium_free(p);
}

struct spool_keys *spool_keys_new(void)
{
	return spool_secret_new(sizeof(struct spool_keys));
}

void spool_keys_free(struct spool_keys **k)
{
	spool_secret_free(*k);
	*k = NULL;
}

/* The file */

static void id_of(const unsigned char bytes[SPOOL_CIPHER_KEY], unsigned char id[SPOOL_KEY_ID])
{
	static const unsigned char what[] = "moongate spool key";
	unsigned char sum[crypto_generichash_BYTES_MIN];

	crypto_generichash(sum, sizeof sum, what, sizeof what, bytes, SPOOL_CIPHER_KEY);
	memcpy(id, sum, SPOOL_KEY_ID);
}

static bool take_hex(struct str *line, unsigned char *to, size_t n)
{
	size_t got;

	if (line->n < 2 * n || sodium_hex2bin(to, n, line->p, 2 * n, NULL, &got, NULL) != 0 ||
	    got != n)
		return false;
	*line = str_drop(*line, 2 * n);
	return true;
}

static int parse_line(struct spool_keys *k, struct str line, unsigned number, struct fault *why)
{
	unsigned char id[SPOOL_KEY_ID];
	struct spool_key *key = &k->at[k->n];

	if (k->n == SPOOL_KEYS_MAX)
		return fault_set(why, "line %u: more than %d keys", number, SPOOL_KEYS_MAX);
	if (!take_hex(&line, key->id, sizeof key->id) || !str_has_prefix(line, STR(" ")))
		return fault_set(why,
				 "line %u: expected `ID KEY`: 16 hexadecimal digits, a blank, 64 "
				 "hexadecimal digits",
				 number);
	line = str_trim(line);
	if (!take_hex(&line, key->bytes, sizeof key->bytes) || line.n > 0)
		return fault_set(why, "line %u: the key must be 64 hexadecimal digits", number);
	id_of(key->bytes, id);
	if (memcmp(id, key->id, sizeof id) != 0)
		return fault_set(why,
				 "line %u: the id does not belong to the key: one of them was "
				 "changed",
				 number);
	if (spool_keys_find(k, id))
		return fault_set(why, "line %u: the same key as before", number);
	k->n++;
	return 0;
}

int spool_keys_parse(struct spool_keys *k, struct str text, struct fault *why)
{
	struct str line;
	unsigned number = 0;

	sodium_memzero(k, sizeof *k);
	while (text.n > 0) {
		if (!str_take(&text, '\n', &line)) {
			line = text;
			text = STR_NONE;
		}
		number++;
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (parse_line(k, line, number, why) < 0) {
			sodium_memzero(k, sizeof *k);
			return -1;
		}
	}
	if (k->n == 0)
		return fault_set(why, "there is no key in it: `moongate spool key new` makes one");
	return 0;
}

const struct spool_key *spool_keys_current(const struct spool_keys *k)
{
	return &k->at[k->n - 1];
}

const struct spool_key *spool_keys_find(const struct spool_keys *k,
					const unsigned char id[SPOOL_KEY_ID])
{
	for (unsigned i = 0; i < k->n; i++)
		if (memcmp(k->at[i].id, id, SPOOL_KEY_ID) == 0)
			return &k->at[i];
	return NULL;
}

void spool_key_make(struct spool_key *key)
{
	randombytes_buf(key->bytes, sizeof key->bytes);
	id_of(key->bytes, key->id);
}

void spool_key_name(const unsigned char id[SPOOL_KEY_ID], char to[SPOOL_KEY_NAME])
{
	sodium_bin2hex(to, SPOOL_KEY_NAME, id, SPOOL_KEY_ID);
}

void spool_key_line(const struct spool_key *key, char to[SPOOL_KEY_LINE])
{
	char hex[2 * SPOOL_CIPHER_KEY + 1];

	spool_key_name(key->id, to);
	to[2 * SPOOL_KEY_ID] = ' ';
	sodium_bin2hex(hex, sizeof hex, key->bytes, sizeof key->bytes);
	memcpy(to + 2 * SPOOL_KEY_ID + 1, hex, sizeof hex - 1);
	to[SPOOL_KEY_LINE - 1] = '\n';
	sodium_memzero(hex, sizeof hex);
}

/* Wrapping */

enum { PLACE = 20 + SPOOL_KEY_ID };

static void place_of(const struct spool_header *h, unsigned char place[PLACE])
{
	char *p = (char *)place;

	p = spool_put64(spool_put64(spool_put32(p, h->number), h->epoch), h->salt);
	memcpy(p, h->key + ID_AT, SPOOL_KEY_ID);
}

const unsigned char *spool_key_of(const struct spool_header *h)
{
	return h->key[0] ? h->key + ID_AT : NULL;
}

void spool_key_wrap(const struct spool_key *master, const unsigned char data[SPOOL_CIPHER_KEY],
		    struct spool_header *h)
{
	unsigned char place[PLACE];

	memset(h->key, 0, sizeof h->key);
	h->key[0] = FORM;
	memcpy(h->key + ID_AT, master->id, SPOOL_KEY_ID);
	randombytes_buf(h->key + NONCE_AT, NONCE);
	place_of(h, place);
	crypto_aead_xchacha20poly1305_ietf_encrypt(h->key + DATA_AT, NULL, data, SPOOL_CIPHER_KEY,
						   place, sizeof place, NULL, h->key + NONCE_AT,
						   master->bytes);
}

enum spool_wrapped spool_key_unwrap(const struct spool_keys *keys, const struct spool_header *h,
				    unsigned char data[SPOOL_CIPHER_KEY])
{
	const unsigned char *id = spool_key_of(h);
	const struct spool_key *master = keys && id ? spool_keys_find(keys, id) : NULL;
	unsigned char place[PLACE];

	if (!id)
		return SPOOL_KEY_NONE;
	if (h->key[0] != FORM)
		return SPOOL_KEY_WRONG;
	if (!master)
		return SPOOL_KEY_MISSING;
	place_of(h, place);
	return crypto_aead_xchacha20poly1305_ietf_decrypt(
		       data, NULL, NULL, h->key + DATA_AT, SPOOL_CIPHER_KEY + MAC, place,
		       sizeof place, h->key + NONCE_AT, master->bytes) == 0
		       ? SPOOL_KEY_OPEN
		       : SPOOL_KEY_WRONG;
}
