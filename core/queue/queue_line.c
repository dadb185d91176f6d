#include "queue_line.h"

#include <assert.h>
#include <stdlib.h>

void queue_line_init(struct queue_line *l)
{
	*l = (struct queue_line){ .count = 0 };
	list_init(&l->turns);
	list_init(&l->common.turn);
	list_init(&l->common.jobs);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

struct key {
	const struct queue_line *line;
	uint32_t sender;
};

static bool is_lane(const struct map_node *node, const void *key)
{
	const struct queue_lane *lane = LIST_ITEM(node, struct queue_lane, node);
	const struct key *k = key;

	return lane->line == k->line && lane->sender == k->sender;
}

/* hash_of - senders are hashed with a secret already */
static uint64_t hash_of(const struct key *k)
{
	uint64_t h = (uint64_t)(uintptr_t)k->line ^ (uint64_t)k->sender << 20;

	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

static struct queue_lane *lane_new(struct queue_line *l, struct map *lanes, const struct key *k)
{
	struct queue_lane *lane = l->nlanes < QUEUE_LANES ? calloc(1, sizeof *lane) : NULL;

	if (!lane)
		return &l->common;
	lane->line = l;
	lane->sender = k->sender;
	list_init(&lane->turn);
	list_init(&lane->jobs);
	map_put(lanes, &lane->node, hash_of(k));
	l->nlanes++;
	return lane;
}

static struct queue_lane *lane_of(struct queue_line *l, struct map *lanes, uint32_t sender)
{
	struct key k = { l, sender };
	struct map_node *node = map_get(lanes, hash_of(&k), is_lane, &k);

	return node ? LIST_ITEM(node, struct queue_lane, node) : lane_new(l, lanes, &k);
}

static void lane_free(struct queue_line *l, struct map *lanes, struct queue_lane *lane)
{
	list_remove(&lane->turn);
	if (lane == &l->common)
		return;
	map_remove(lanes, &lane->node);
	l->nlanes--;
	free(lane);
}

void queue_line_fini(struct queue_line *l, struct map *lanes)
{
	assert(l->count == 0);
	while (!list_is_empty(&l->turns))
		lane_free(l, lanes, LIST_ITEM(l->turns.next, struct queue_lane, turn));
}

/* ---- jobs ------------------------------------------------------------------------------------ */

void queue_line_put(struct queue_line *l, struct map *lanes, uint32_t sender, struct list *job)
{
	struct queue_lane *lane = lane_of(l, lanes, sender);

	if (list_is_empty(&lane->turn))
		list_append(&l->turns, &lane->turn);
	list_append(&lane->jobs, job);
	l->count++;
}

void queue_line_remove(struct queue_line *l, struct list *job)
{
	list_remove(job);
	l->count--;
}

struct list *queue_line_next(struct queue_line *l, struct map *lanes)
{
	while (!list_is_empty(&l->turns)) {
		struct queue_lane *lane = LIST_ITEM(l->turns.next, struct queue_lane, turn);

		if (list_is_empty(&lane->jobs)) {
			lane_free(l, lanes, lane);
			continue;
		}
		list_remove(&lane->turn);
		list_append(&l->turns, &lane->turn);
		return lane->jobs.next;
	}
	return NULL;
}
