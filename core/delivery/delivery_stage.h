/*
 * delivery_stage - the stages of a lease, and what is told about it.
 *
 * What        each stage works on every recipient that concerns it. MORE: it waits for a hook, a
 *             connection or the helper, which call delivery_lease_go(); then the stage is called
 *             again and goes on where it was.
 * Invariants  when a stage is DONE every recipient is decided.
 */
#ifndef DELIVERY_STAGE_H
#define DELIVERY_STAGE_H

#include "delivery_core.h"

enum step delivery_route(struct delivery_lease *l);
enum step delivery_attempt(struct delivery_lease *l);
enum step delivery_result(struct delivery_lease *l);
enum step delivery_bounce(struct delivery_lease *l);

/* delivery_result_view - what hooks see of one recipient's outcome; NULL: no memory */
struct policy_result *delivery_result_view(struct delivery_lease *l, struct delivery_rcpt *r);

/* delivery_event - one line per recipient whose outcome is no mere route */
void delivery_event(const struct delivery_lease *l);

#endif
