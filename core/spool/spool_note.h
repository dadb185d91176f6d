/*
 * spool_note - the payloads that speak about messages and segments written before. Pure.
 *
 * What        STATE segment 4, ordinal 4, epoch 8, recipients 2, zero 2, blob 4; bitmaps done and
 *             failed; blob DONE segment 4, count 4, epoch 8; ordinals of 4 each DEAD segment 4,
 *             bits 4, epoch 8, end 8, lsn 8; bitmap of 8-byte words (end 0: still open) CLOSE and
 *             ABORT segment 4, zero 4, epoch 8, end 8, lsn 8, upto 8, seal 8 MOVE segment 4,
 *             ordinal 4, epoch 8: where the message was; then the payload of an ACCEPT
 * Why         each names segment and epoch of what it speaks about: once that segment is freed the
 *             note is void by itself.
 * Invariants  `end` is the first byte behind the last batch that counts; `lsn` the first LSN that
 *             is not in it; an ABORT voids the batch [lsn, upto) that lies behind `end`. `seal`:
 *             where a SEAL record lies, 0 none.
 */
#ifndef SPOOL_NOTE_H
#define SPOOL_NOTE_H

#include "spool_accept.h"
#include "spool_record.h"

#define SPOOL_DONE_MAX    8192 /* ordinals in one DONE record */
#define SPOOL_CLOSE_SIZE  48u  /* of the payload */
#define SPOOL_MOVE_FIXED  16u  /* in front of the ACCEPT's payload */
#define SPOOL_STATE_PLACE 16u  /* what a STATE begins with: whose it is */

struct spool_place {
	uint32_t segment, ordinal;
	uint64_t epoch;
};

struct spool_end {
	uint32_t segment;
	uint64_t epoch, end, lsn, upto, seal;
};

struct spool_bits {               /* of DONE: ordinals; of DEAD: words */
	struct spool_place place; /* ordinal unused */
	uint32_t count;           /* ordinals, or bits */
	struct str bytes;
	uint64_t end, lsn; /* DEAD */
};

size_t spool_state_size(unsigned recipients, const struct spool_state *s);
void spool_state_put(char *to, const struct spool_place *place, unsigned recipients,
		     const struct spool_state *s);
bool spool_state_get(struct str payload, struct spool_place *place, uint16_t *recipients,
		     struct spool_state *s);
bool spool_state_place(struct str payload, struct spool_place *place);

/* then an ACCEPT's payload */
char *spool_move_put(char *to, const struct spool_place *from);
/* spool_message_of - of an ACCEPT or MOVE: the ACCEPT's payload, and where it was before (epoch 0:
 * nowhere) */
struct str spool_message_of(const struct spool_record *r, struct spool_place *from);

size_t spool_done_size(uint32_t count);
/* then count times spool_put32 */
char *spool_done_put(char *to, const struct spool_place *place, uint32_t count);
bool spool_done_get(struct str payload, struct spool_bits *b);
uint32_t spool_done_at(const struct spool_bits *b, uint32_t i);

size_t spool_dead_size(uint32_t bits);
char *spool_dead_put(char *to, const struct spool_bits *b); /* then its words with spool_put64 */
bool spool_dead_get(struct str payload, struct spool_bits *b);
bool spool_dead_at(const struct spool_bits *b, uint32_t ordinal);

void spool_end_put(char to[SPOOL_CLOSE_SIZE], const struct spool_end *e);
bool spool_end_get(struct str payload, struct spool_end *e);

#endif
