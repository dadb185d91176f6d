/*
 * queue_line - who is next, with a turn for every sender.
 *
 * What        jobs wait in lanes, one lane per sender; the lanes take turns, one job each.
 * Why         a hundred thousand newsletters do not stand before somebody else's one letter.
 * Invariants  a lane is in the ring of its line as long as it exists; an empty one goes when its
 *             turn comes. `count` is the number of jobs in all lanes of a line.
 * Ownership   the line owns its lanes; nodes are embedded in the jobs.
 * Bounds      QUEUE_LANES lanes in one line; further senders share one more, as does whoever comes
 *             while memory lacks.
 */
#ifndef QUEUE_LINE_H
#define QUEUE_LINE_H

#include "list.h"
#include "map.h"
#include "step.h"

#define QUEUE_LANES 1024

struct queue_line;

struct queue_lane {
	struct map_node node; /* by line and sender, among the lanes of all lines */
	struct queue_line *line;
	struct list turn, jobs;
	uint32_t sender;
};

struct queue_line {
	struct list turns;
	struct queue_lane common; /* of those without one of their own */
	unsigned nlanes, count;
};

void queue_line_init(struct queue_line *l);
void queue_line_fini(struct queue_line *l, struct map *lanes); /* no job is in it any more */
void queue_line_put(struct queue_line *l, struct map *lanes, uint32_t sender, struct list *job);
void queue_line_remove(struct queue_line *l, struct list *job);
/* queue_line_next - whose turn it is, or NULL; stays in its lane, and the lane goes to the end */
struct list *queue_line_next(struct queue_line *l, struct map *lanes);

#endif
