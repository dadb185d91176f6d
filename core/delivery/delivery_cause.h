/*
 * delivery_cause - why a recipient has to wait: the class of a temporary failure.
 *
 * What        from the reply (or what stands for one, in our words) to enum ipc_cause. Pure.
 * Why         a greylister wants us back in five minutes, a rate limit wants to be left alone, a
 *             dead host is not to be hammered: each class has its own schedule.
 */
#ifndef DELIVERY_CAUSE_H
#define DELIVERY_CAUSE_H

#include "ipc_lease.h"

/* is_reply: code, esc and text are the next host's; by_policy: a rule of ours decided. */
enum ipc_cause delivery_cause(bool is_reply, bool by_policy, uint16_t code, struct str esc,
			      struct str text);

#endif
