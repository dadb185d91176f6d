/*
 * spool_recent - the ids that were finished last.
 *
 * What        a set of bounded size; the oldest id gives way.
 * Why         an edge that never saw its answer repeats a submit whose message may be delivered
 *             already: it must not be delivered twice.
 * Fails       init: no memory.
 */
#ifndef SPOOL_RECENT_H
#define SPOOL_RECENT_H

#include "fault.h"
#include "id.h"

struct spool_recent {
	struct id *ids;          /* a ring */
	uint32_t *heads, *links; /* chains of ring places, plus one; 0: the end */
	uint32_t cap, mask, count, oldest;
};

int spool_recent_init(struct spool_recent *r, uint32_t cap, struct fault *why);
void spool_recent_fini(struct spool_recent *r);
void spool_recent_add(struct spool_recent *r, const struct id *id);
bool spool_recent_has(const struct spool_recent *r, const struct id *id);

#endif
