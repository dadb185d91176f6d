/*
 * spool_key - master keys, and the data keys of segments that they wrap. Pure.
 *
 * What        parse reads a key file; wrap puts a segment's data key into its header, unwrap gets
 *             it back.
 *
 *   file      lines `ID KEY`: 16 and 64 hexadecimal digits; empty lines and those that begin with
 *             `#` are passed over. The last key is the current one: it wraps; all of them unwrap.
 *   wrapped   form 1, zero 7, id 8, nonce 24, data key encrypted 32, authenticator 16, zero 40; all
 *             zero: the segment is plain
 *
 * Why         a data key per segment and epoch, made at random: rotation rewraps some bytes instead
 *             of encrypting a disk anew, and overwriting them makes the segment unreadable for
 *             ever.
 * Invariants  a key's id is made from the key: the wrong key under the right id cannot be. The
 *             associated data of the wrapping is segment, epoch, salt and id, so that a wrapped key
 *             cannot be put into another segment.
 * Ownership   new/free: memory of libsodium's: locked where the limits allow it, in no core dump,
 *             wiped when it is freed or a process forks.
 * Bounds      SPOOL_KEYS_MAX.
 */
#ifndef SPOOL_KEY_H
#define SPOOL_KEY_H

#include "fault.h"
#include "spool_cipher.h"

#define SPOOL_KEYS_MAX  16
#define SPOOL_KEYS_FILE (8 * 1024) /* bytes of the file */
#define SPOOL_KEY_ID    8
#define SPOOL_KEY_NAME  17 /* the id in hexadecimal, and a NUL */
#define SPOOL_KEY_LINE  82 /* `ID KEY\n` */

struct spool_key {
	unsigned char id[SPOOL_KEY_ID], bytes[SPOOL_CIPHER_KEY];
};

struct spool_keys {
	unsigned n;
	struct spool_key at[SPOOL_KEYS_MAX];
};

void *spool_secret_new(size_t n); /* aborts without memory */
void spool_secret_free(void *p);  /* wiped; NULL is nothing */

struct spool_keys *spool_keys_new(void);
void spool_keys_free(struct spool_keys **k);

/* spool_keys_parse - `why` names the line: "line 3: ..." */
int spool_keys_parse(struct spool_keys *k, struct str text, struct fault *why);
const struct spool_key *spool_keys_current(const struct spool_keys *k);
/* NULL: not there */
const struct spool_key *spool_keys_find(const struct spool_keys *k,
					const unsigned char id[SPOOL_KEY_ID]);

void spool_key_make(struct spool_key *key);
void spool_key_line(const struct spool_key *key, char to[SPOOL_KEY_LINE]); /* no NUL */
void spool_key_name(const unsigned char id[SPOOL_KEY_ID], char to[SPOOL_KEY_NAME]);

enum spool_wrapped {
	SPOOL_KEY_NONE,    /* a plain segment */
	SPOOL_KEY_OPEN,    /* the data key is there */
	SPOOL_KEY_MISSING, /* its master key is not among ours */
	SPOOL_KEY_WRONG    /* what is written there was not wrapped so; or by a newer release */
};

/* spool_key_of - the id of the master key that wraps it; NULL: plain */
const unsigned char *spool_key_of(const struct spool_header *h);
void spool_key_wrap(const struct spool_key *master, const unsigned char data[SPOOL_CIPHER_KEY],
		    struct spool_header *h);
enum spool_wrapped spool_key_unwrap(const struct spool_keys *keys, const struct spool_header *h,
				    unsigned char data[SPOOL_CIPHER_KEY]);

#endif
