/*
 * spool_submit - one message, in 1..SPOOL_VARIANTS variants, to be made durable as a whole.
 *
 * What        all variants, and the progress that they replace (a bounce and the failure it
 *             reports), go into one batch.
 * Invariants  idempotent by id: what is durable, or was not long ago, is answered KNOWN. done()
 *             comes exactly once, from spool_turn, unless the spool is closed before.
 * Ownership   the struct, its handles and those replaced stay valid until done(); everything else
 *             is copied by the call.
 */
#ifndef SPOOL_SUBMIT_H
#define SPOOL_SUBMIT_H

#include "map.h"
#include "spool.h"

#define SPOOL_VARIANTS 64

struct spool_slot;

enum spool_outcome {
	SPOOL_DURABLE,
	/* the id is durable already: say 250; handles, replacements and slot were not used */
	SPOOL_KNOWN,
	SPOOL_REFUSED
};

struct spool_variant {
	struct spool_handle *handle; /* linked when DURABLE */
	uint16_t number;
	/* its slot fields are filled in by the call; an extent without p is a range of the slot */
	struct spool_accept accept;
};

struct spool_replace {
	/* alive, in no other submit; a touch meanwhile is written afterwards */
	struct spool_handle *handle;
	struct id id;
	bool is_done;        /* finished: as spool_done, when DURABLE */
	uint16_t recipients; /* else */
	struct spool_state state;
};

struct spool_submit {
	struct id id;
	struct spool_variant *variants;
	unsigned nvariants;
	struct spool_replace *replaces;
	unsigned nreplaces;
	struct spool_slot *slot; /* or NULL; the spool's when the call returns true */
	/* a bounce: may use the room that is kept so that a full queue drains */
	bool is_urgent;
	void (*done)(struct spool_submit *s, enum spool_outcome outcome,
		     const struct spool_refusal *why);

	/* the spool's own */
	struct list node, arriving, replaced, twins;
	struct map_node pending;
	bool is_pending;
	enum spool_outcome outcome;
	struct spool_refusal why;
	struct spool_slot *writing;
	char *image; /* its records, while its slot is being synced */
	size_t size; /* of its records */
};

/* spool_submit - false: no room in the batch being gathered; nothing was taken, try again after
 * room() */
bool spool_submit(struct spool *sp, struct spool_submit *s);

#endif
