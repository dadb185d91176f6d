/*
 * spool_slot - a file for one big body, written while it arrives.
 *
 * What        open, append as room allows, then name the slot in a submit, or abort. Names are made
 *             beforehand; the files grow.
 * Why         constant memory for any size: SPOOL_SLOT_WINDOW bytes per body wait here, the
 *             caller's peer waits for the rest.
 * Invariants  a slot is cleared and used again only when that its last message is finished is
 *             durable; until a submit is durable it belongs to nobody, and recovery clears it.
 * Ownership   the pointer is the caller's from open to submit or abort.
 * Bounds      SPOOL_STREAMS at once, spool_options.slots in all: then open says 452. It also does
 *             while one is still being made, written or cleared: what spool_is_accepting takes may
 *             find it after a turn.
 * Fails       a write that fails makes the submit REFUSED; what is appended after that is dropped.
 */
#ifndef SPOOL_SLOT_H
#define SPOOL_SLOT_H

#include "spool.h"

#define SPOOL_SLOT_WINDOW (256 * 1024)
#define SPOOL_STREAMS     192

struct spool_slot;

/* moved(arg): bytes were written and there is room again, or writing failed. Never after submit or
 * abort. */
struct spool_slot *spool_slot_open(struct spool *sp, void (*moved)(void *arg), void *arg,
				   struct spool_refusal *why);
size_t spool_slot_room(const struct spool_slot *slot);
/* at most that many */
void spool_slot_append(struct spool *sp, struct spool_slot *slot, struct str bytes);
/* appended so far */
uint64_t spool_slot_length(const struct spool_slot *slot);
/* of those, no longer in memory */
uint64_t spool_slot_written(const struct spool_slot *slot);
bool spool_slot_has_failed(const struct spool_slot *slot);
void spool_slot_abort(struct spool *sp, struct spool_slot **slot);

#endif
