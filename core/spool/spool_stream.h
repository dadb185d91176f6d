/*
 * spool_stream - a big body between its arrival and its slot: a ring in memory.
 *
 * What        put copies bytes in, write brings a stretch of them to the file, sealed in place when
 *             the slot has a key, and sums what was written.
 * Invariants  a sealed slot is written in whole units, the last one when it is known to be the last
 *             (spool_stream_ready). Bytes are put and written by different threads: never the same
 *             ones, since the window is not passed.
 * Ownership   memory of the slots.
 */
#ifndef SPOOL_STREAM_H
#define SPOOL_STREAM_H

#include <sodium.h>

#include "spool_accept.h"
#include "spool_cipher.h"
#include "spool_file.h"
#include "spool_slot.h"

#define SPOOL_STREAM_UNITS (SPOOL_SLOT_WINDOW / SPOOL_UNIT)

/* Of the stored bytes of a slot. A sealed one has its authenticators: against accidents, and for
 * who has no key, a CRC32C is enough and costs nothing. */
struct spool_sum {
	bool is_sealed;
	uint32_t crc;
	crypto_generichash_state hash;
};

void spool_sum_init(struct spool_sum *s, bool is_sealed);
void spool_sum_add(struct spool_sum *s, const void *bytes, size_t n);
void spool_sum_final(struct spool_sum *s, uint8_t sum[SPOOL_SUM]);

struct spool_stream {
	struct spool_sum sum;
	char ring[SPOOL_STREAM_UNITS * SPOOL_UNIT_STORED];
};

struct spool_stretch { /* what is written at once */
	struct spool_file *file;
	const unsigned char *key; /* NULL: plain */
	uint64_t from, upto;
	uint32_t slot;
	int fd;
	bool is_last;
};

void spool_stream_init(struct spool_stream *s, bool is_sealed);
/* at that place of the body */
void spool_stream_put(struct spool_stream *s, bool is_sealed, uint64_t at, struct str bytes);
/* how far a body of that length, which may go on, can be written */
uint64_t spool_stream_ready(bool is_sealed, uint64_t length);
int spool_stream_write(struct spool_stream *s, const struct spool_stretch *w);

#endif
