/*
 * role_policy - generations in a scripted role: made from a snapshot, committed, dropped.
 *
 * What        the steps that edge and deliver share between the master's words and core/script.
 * Invariants  sources and maps of a generation live in a mapping of its own, until the generation
 *             is destroyed.
 */
#ifndef ROLE_POLICY_H
#define ROLE_POLICY_H

#include "policy_generation.h"
#include "role.h"

struct role_policy {
	struct policy_set set;
	struct policy_generation *next; /* prepared; NULL: nothing is */
};

int role_policy_start(struct role_policy *p, struct role *r, struct fault *why);
int role_policy_prepare(struct role_policy *p, struct role *r, struct role_state *next,
			struct buf *errors);
void role_policy_commit(struct role_policy *p);
void role_policy_abort(struct role_policy *p);

#endif
