/*
 * map - an intrusive hash table for keys that an attacker may choose.
 *
 * What        nodes embedded in what is stored, chained in buckets; grows by doubling, never
 *             shrinks.
 * Why         keyed SipHash: nobody outside can build colliding keys.
 * Ownership   the map owns its bucket array only.
 * Fails       malloc failure: map_put still works, the chains get longer.
 */
#ifndef MAP_H
#define MAP_H

#include "str.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	struct map_node *
		*buckets; /* NULL: `first` is the only one, so that making one cannot fail */
	size_t mask;      /* buckets - 1 */
	size_t count;
	struct map_node *first;
};

typedef bool map_match(const struct map_node *node, const void *key);

void map_init(struct map *m);
void map_fini(struct map *m);
uint64_t map_hash(struct str key); /* keyed once per process */
/* the same for both cases of an ASCII letter */
uint64_t map_hash_fold(struct str key);
void map_put(struct map *m, struct map_node *node, uint64_t hash);
struct map_node *map_get(const struct map *m, uint64_t hash, map_match *match, const void *key);
void map_remove(struct map *m, struct map_node *node);
/*
 * map_next - walk: NULL gives the first; no put or remove in between, but of the node already
 * passed
 */
struct map_node *map_next(const struct map *m, const struct map_node *node);
/*
 * map_scan - walk in pieces: the first node of one more bucket, or NULL when that is empty; *cursor
 * begins at 0 and is 0 again at the end. What is there all the time is passed at least once,
 * whatever is put or removed in between, even if the map grows.
 */
struct map_node *map_scan(const struct map *m, size_t *cursor);

#endif
