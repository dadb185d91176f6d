/*
 * spool_record - how a segment looks on disk: its header, batches and records. Pure.
 *
 * What        writers into memory of known size and readers over hostile bytes. All numbers are
 *             little-endian.
 *
 *   segment   block 0: two copies of the header, at 0 and SPOOL_HEADER_COPY; the valid copy with
 *             the higher epoch counts, and soon stands in both. Then batches, each starting on a
 *             SPOOL_BLOCK border; what lies between a batch's end and the next border is noise.
 *   header    magic 8, version 4, number 4, epoch 8, salt 8, size 8, wrapped key 128, zero 84, crc
 *             4
 *   batch     magic 8, epoch 8, salt 8, lsn 8, durable_upto 8, length 4, records 4, number 4, block
 *             4, zero 4, crc 4; then its records. Record i of a batch has LSN lsn + i.
 *   record    length 4, type 2, flags 2, lsn 8, ordinal 4, variant 2, zero 2, id 16, crc of the
 *             payload 4, crc of these 44 bytes 4; then the payload, padded to 8.
 *
 * Invariants  every checksum of a segment starts from a seed made of epoch and salt: what an
 *             earlier life of a recycled file left behind never counts, and nobody can send a
 *             message whose body, once its surroundings are damaged, reads as a batch or a record
 *             of ours (the salt is random and never leaves the disk). The salt stands in each batch
 *             too, so that a tool can still check a segment whose block 0 is gone. Segment number
 *             and block stand in the batch: a misdirected write is not taken for the real thing. A
 *             record of unknown type with SPOOL_MAY_SKIP is passed over; without it the reader must
 *             refuse the spool. Types 1-63 are ours; 8 SEAL is spoken for. SPOOL_SEALED: the
 *             payload is encrypted.
 */
#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H

#include "codec.h"
#include "step.h"

#define SPOOL_BLOCK       4096u
#define SPOOL_VERSION     1u
#define SPOOL_HEADER_COPY 2048u
#define SPOOL_HEADER_SIZE 256u
#define SPOOL_KEY_SIZE    128u
#define SPOOL_BATCH_HEAD  64u
#define SPOOL_RECORD_HEAD 48u

/* clang-format off */
enum spool_type {
	SPOOL_ACCEPT = 1,       /* a message: envelope, header block, body or where it is                 spool_accept.h */
	SPOOL_STATE  = 2,       /* the progress of one living message, whole                              spool_note.h */
	SPOOL_DONE   = 3,       /* ordinals of a segment that are finished                                spool_note.h */
	SPOOL_DEAD   = 4,       /* all finished ordinals of a segment, as a bitmap, and its end (I13)     spool_note.h */
	SPOOL_CLOSE  = 5,       /* where a segment ends                                                   spool_note.h */
	SPOOL_ABORT  = 6,       /* the same after a failed sync: the batch behind that end was refused    spool_note.h */
	SPOOL_MOVE   = 7,       /* a message copied forward with its state, in place of an older record   spool_note.h */
};
/* clang-format on */

enum { SPOOL_MAY_SKIP = 1, SPOOL_SEALED = 2 };

struct spool_header {
	uint32_t number;
	uint64_t epoch, salt, size;
	uint8_t key[SPOOL_KEY_SIZE];
};

struct spool_head { /* of a batch */
	uint64_t epoch, salt, lsn, durable_upto;
	uint32_t length, records, number, block;
};

struct spool_record {
	uint32_t length; /* of the payload */
	uint16_t type, flags;
	uint64_t lsn;
	uint32_t ordinal; /* ACCEPT, MOVE: which message of its segment; else 0 */
	uint16_t variant;
	struct id id;
	uint32_t crc;       /* of the payload */
	struct str payload; /* borrowed from the input */
};

/* Little-endian stores into memory that the caller has measured; each returns the place behind what
 * it wrote. */
char *spool_put16(char *p, uint16_t v);
char *spool_put32(char *p, uint32_t v);
char *spool_put64(char *p, uint64_t v);

uint32_t spool_seed(uint64_t epoch, uint64_t salt);
uint64_t spool_round(uint64_t n, uint64_t to); /* up to a multiple of `to`, a power of two */

void spool_header_put(char to[SPOOL_HEADER_SIZE], const struct spool_header *h);
bool spool_header_get(const char from[SPOOL_HEADER_SIZE], struct spool_header *h);
/* spool_header_pick - the valid copy with the higher epoch: its index in *copy; -1 when neither is
 * valid */
int spool_header_pick(const char block[SPOOL_BLOCK], struct spool_header *h);

void spool_head_put(char to[SPOOL_BATCH_HEAD], const struct spool_head *h);
/* spool_head_get - false unless magic, checksum and its own epoch and salt agree; the caller
 * compares those with its segment's */
bool spool_head_get(const char from[SPOOL_BATCH_HEAD], struct spool_head *h);

bool spool_type_is_message(unsigned type); /* ACCEPT or MOVE: it has an ordinal */

size_t spool_record_size(size_t payload); /* with head and padding */
/* Sizes in 12 bits, rounded up: by less than 64 bytes to 16 KiB, by less than 1/256 beyond. */
unsigned spool_size_pack(size_t size);
size_t spool_size_unpack(unsigned packed);
/* Three steps of a writer, for LSN, ordinal and segment are known last: the head (payload behind
 * it), its place, its sums. */
void spool_record_put(char *to, const struct spool_record *r);
void spool_record_place(char *to, uint64_t lsn, uint32_t ordinal);
void spool_record_sum(char *to, uint32_t seed);
/* spool_record_peek - what a writer put, unchecked: for our own memory only */
void spool_record_peek(const char *from, struct spool_record *r);

/* spool_record_take - consume one record. ERROR: the head's checksum is wrong; MORE: it would end
 * behind the input. */
enum step spool_record_take(struct str *in, uint32_t seed, struct spool_record *r);
/* the payload's checksum is right */
bool spool_record_is_whole(const struct spool_record *r, uint32_t seed);

#endif
