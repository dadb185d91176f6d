/*
 * codec - small encodings that several layers share.
 *
 * What        CRC32C; little-endian writers into a buf, and a reader over hostile bytes.
 * Invariants  a reader never passes its end: the first short read sets `bad`, every later one
 *             returns zero. Check `bad` (or wire_is_end) once, at the end.
 */
#ifndef CODEC_H
#define CODEC_H

#include "buf.h"
#include "id.h"

uint32_t crc32c(uint32_t crc, const void *data, size_t n);      /* start with 0; chains */
/* the same without the CPU's help */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t n);

/* Writers return false when the buf is full; nothing was added then. */
bool wire_u8(struct buf *b, uint8_t v);
bool wire_u16(struct buf *b, uint16_t v);
bool wire_u32(struct buf *b, uint32_t v);
bool wire_u64(struct buf *b, uint64_t v);
bool wire_id(struct buf *b, const struct id *id);
bool wire_str(struct buf *b, struct str s);                     /* u32 length, bytes */

struct wire {
	struct str rest;        /* borrowed from the frame */
	bool bad;
};

uint8_t wire_get_u8(struct wire *w);
uint16_t wire_get_u16(struct wire *w);
uint32_t wire_get_u32(struct wire *w);
uint64_t wire_get_u64(struct wire *w);
struct id wire_get_id(struct wire *w);
/* borrowed; longer than max is bad */
struct str wire_get_str(struct wire *w, size_t max);
bool wire_is_end(const struct wire *w);                         /* all read, nothing bad */

#endif
