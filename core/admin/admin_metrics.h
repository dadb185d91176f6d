/*
 * admin_metrics - the counters of all roles as text.
 *
 * What        Prometheus text format, or one JSON object per sample.
 * Why         the slabs are shared memory: a question for metrics disturbs no role.
 * Invariants  a slab's writer may be hostile: numbers are numbers, and a rule's name is escaped
 *             whatever it holds. What is never counted by a role is not shown for it unless it was.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "buf.h"
#include "counter.h"

#define ADMIN_SLABS   160
#define ADMIN_METRICS (16 * 1024 * 1024) /* bytes of text at most */

struct admin_slab {
	const char *role;
	unsigned index;
	const struct counter_slab *slab; /* shared, and changing while it is read */
};

/* false when out is full */
bool admin_metrics_text(struct buf *out, const struct admin_slab *slabs, unsigned nslabs);
bool admin_metrics_json(struct buf *out, const struct admin_slab *slabs, unsigned nslabs);

#endif
