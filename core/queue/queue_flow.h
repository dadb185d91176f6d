/*
 * queue_flow - how many leases at once a destination bears. Pure.
 *
 * What        a window between `least` and `most`. It begins small; each success widens it by one,
 *             after a first refusal by one per round; a refusal for its rate, or a connection that
 *             breaks, halves it, once per round; a host that cannot be reached is probed by one
 *             lease at a time until it answers.
 * Why         what the other side bears changes by the hour, and it is the only one who knows.
 * Ownership   embedded in its destination: what was learnt goes with its last message.
 */
#ifndef QUEUE_FLOW_H
#define QUEUE_FLOW_H

#include "ipc_lease.h"

#define QUEUE_FLOW_FIRST 5

struct queue_flow_limits {
	uint32_t least, most; /* most >= 1 counts more than least */
};

struct queue_flow {
	uint32_t window; /* in 1/256 leases; 0: as it begins */
	uint32_t round;  /* answers since it was narrowed last */
	bool is_dead;    /* nobody could be reached */
	bool is_careful; /* it was narrowed once */
};

unsigned queue_flow_allows(const struct queue_flow *f, const struct queue_flow_limits *l);
void queue_flow_good(struct queue_flow *f, const struct queue_flow_limits *l);
/* A temporary failure; OTHER, GREYLIST and POLICY say nothing about what it bears. */
void queue_flow_bad(struct queue_flow *f, enum ipc_cause cause, const struct queue_flow_limits *l);

#endif
