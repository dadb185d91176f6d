/*
 * policy_generation - which rules answer: the active generation, the draining ones, their pins.
 *
 * What        one set per process. A session pins the active generation and asks through its pin;
 *             commit replaces the active one between two turns of the loop; a retired one is
 *             destroyed when its last pin goes, or at its deadline.
 * Invariants  a pinned generation is never destroyed. At most GENERATIONS_ALIVE live at once: a
 *             further commit tells the oldest ones' holders to let go
 *             (policy_generation_is_overdue).
 * Ownership   the set owns its generations; a generation owns `self` through ops->destroy.
 */
#ifndef POLICY_GENERATION_H
#define POLICY_GENERATION_H

#include "fault.h"
#include "policy.h"

#define GENERATIONS_ALIVE 3

struct policy_generation {
	struct list node;
	unsigned number;
	char hash[17];                /* the first 16 hex digits of the snapshot's BLAKE2b */
	char name[32];                /* "42/ab12cd34": in every event that a verdict touches */
	const struct policy_ops *ops; /* NULL: no policy, every question passes */
	void *self;                   /* the answerer's */
	uint32_t hooks; /* bit 1 << hook: somebody answers there; else asking gives PASS */
	void *backing;  /* what sources and maps are borrowed from, and who */
	/* gives it back, after destroy; may be NULL */
	void (*released)(struct policy_generation *);
	unsigned pins;
	bool is_retired, is_overdue;
};

struct policy_set {
	struct policy_generation *active; /* NULL before the first commit */
	struct list retired;
	unsigned alive;
};

void policy_set_init(struct policy_set *s);
void policy_set_fini(struct policy_set *s); /* destroys all; nothing may be pinned */
struct policy_generation *policy_generation_new(unsigned number, struct str hash);
void policy_generation_free(struct policy_generation **g); /* one that was never committed */
void policy_set_commit(struct policy_set *s, struct policy_generation *g); /* takes g */
struct policy_generation *policy_pin(struct policy_set *s);
void policy_unpin(struct policy_set *s,
		  struct policy_generation **g); /* may destroy it; leaves NULL */
/* Its holder should let go at the next occasion: between two commands, or by 451. NULL is not. */
bool policy_generation_is_overdue(const struct policy_generation *g);

#endif
