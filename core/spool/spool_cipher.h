/*
 * spool_cipher - records and slots, encrypted and authenticated. Pure.
 *
 * What        a record becomes the same record with SPOOL_SEALED and a longer payload: what of it
 *             stays readable, then a secretstream of one message (TAG_FINAL) with the rest; a slot
 *             becomes units of SPOOL_UNIT bytes, each a secretstream of its own, the last one with
 *             TAG_FINAL.
 *
 *   payload   clear part; stream header 24; tag 1, ciphertext, authenticator 16
 *   unit      stream header 24; tag 1, ciphertext of SPOOL_UNIT bytes (the last one: fewer),
 *             authenticator 16
 *
 * Why         lengths, types, ids and the notes about segments stay readable, so that structure and
 *             checksums are verified, ends are found and messages are counted by who has no key.
 *             Units that stand alone can be read from anywhere in a big body.
 * Invariants  a record opens only in its own place: the key is that of one segment in one epoch,
 *             and the associated data is segment, epoch, and the record's head (length, type, LSN,
 *             ordinal, variant, id) with the BLAKE2b of its clear part. A unit opens only at its
 *             own index of its own slot; a slot that was cut has no last unit. Notes that hold
 *             nothing but numbers (DONE, DEAD, CLOSE, ABORT) are clear as a whole and carry only
 *             the authenticator.
 * Ownership   the caller's memory; opening works in place.
 */
#ifndef SPOOL_CIPHER_H
#define SPOOL_CIPHER_H

#include "spool_record.h"

#define SPOOL_CIPHER_KEY   32u
#define SPOOL_CIPHER_FRONT 25u /* in front of what is encrypted: stream header and tag */
#define SPOOL_CIPHER_MORE  41u /* in all: and the authenticator */
/* what a sealed record takes more than a plain one, padding included, at most */
#define SPOOL_CIPHER_GROWTH 48u

struct spool_cipher {             /* of one segment in one epoch */
	const unsigned char *key; /* NULL: none */
	uint32_t number;
	uint64_t epoch;
};

/* spool_cipher_clear - how many bytes of the plain payload stay readable */
size_t spool_cipher_clear(unsigned type, size_t length);

/* spool_cipher_seal - `from`: a record with its place; `to`: spool_record_size(length +
 * SPOOL_CIPHER_MORE) bytes, summed by the caller. Returns those. */
size_t spool_cipher_seal(const struct spool_cipher *c, const char *from, char *to);

/* spool_cipher_open - of a record in writable memory whose sums are right: its payload, in plain;
 * `length` stays that on disk. False: not what was sealed there, with that key. */
bool spool_cipher_open(const struct spool_cipher *c, struct spool_record *r);
/* spool_cipher_peek - what is readable without a key */
struct str spool_cipher_peek(const struct spool_record *r);

/* Slots */

#define SPOOL_UNIT        (32u * 1024) /* of plain bytes */
#define SPOOL_UNIT_STORED (SPOOL_UNIT + SPOOL_CIPHER_MORE)

/* what `length` plain bytes take in a sealed slot */
uint64_t spool_unit_stored(uint64_t length);
uint64_t spool_unit_at(uint64_t index); /* where it begins in the file */

struct spool_unit {
	const unsigned char *key;
	uint32_t slot;
	uint64_t index;
	bool is_last;
};

/* In place: the plain bytes stand, and come to stand, at unit + SPOOL_CIPHER_FRONT; n of them. */
void spool_unit_seal(const struct spool_unit *u, char *unit, size_t n);
bool spool_unit_open(const struct spool_unit *u, char *unit, size_t n);

#endif
