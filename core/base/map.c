#include "map.h"

#include "rnd.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 8
#define FOLD_BLOCK    256 /* no address is longer */

static unsigned char hash_key[crypto_shorthash_KEYBYTES];
static bool is_keyed; /* by the first hash, on the loop's thread: others hash nothing */

_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "SipHash gives 64 bits");

static void hash_init(void)
{
	if (is_keyed)
		return;
	rnd_fill(hash_key, sizeof hash_key);
	is_keyed = true;
}

uint64_t map_hash(struct str key)
{
	uint64_t hash;

	hash_init();
	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key.p, key.n, hash_key);
	return hash;
}

/*
 * map_hash_fold - a key longer than one block is hashed block by block, each behind the hash of
 * what came before
 */
uint64_t map_hash_fold(struct str key)
{
	char block[sizeof(uint64_t) + FOLD_BLOCK];
	uint64_t hash = 0;

	do {
		size_t n = key.n < FOLD_BLOCK ? key.n : FOLD_BLOCK;

		memcpy(block, &hash, sizeof hash);
		for (size_t i = 0; i < n; i++) {
			char c = key.p[i];

			block[sizeof hash + i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
		}
		hash = map_hash((struct str){ block, sizeof hash + n });
		key = str_drop(key, n);
	} while (key.n);
	return hash;
}

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_fini(struct map *m)
{
	free(m->buckets);
	*m = (struct map){ 0 };
}

/* bucket_of - a small map is its own bucket, found by asking, so that the struct may be copied */
static struct map_node **bucket_of(struct map *m, uint64_t hash)
{
	return m->buckets ? &m->buckets[hash & m->mask] : &m->first;
}

static struct map_node *bucket(const struct map *m, uint64_t hash)
{
	return m->buckets ? m->buckets[hash & m->mask] : m->first;
}

static void put_in(struct map_node **bucket, struct map_node *node)
{
	node->next = *bucket;
	*bucket = node;
}

static void grow(struct map *m)
{
	size_t mask = m->mask ? m->mask * 2 + 1 : BUCKETS_FIRST - 1;
	struct map_node **buckets = calloc(mask + 1, sizeof *buckets);

	if (!buckets)
		return;
	for (size_t i = 0; i <= m->mask; i++) {
		struct map_node *node = bucket(m, i);

		while (node) {
			struct map_node *next = node->next;

			put_in(&buckets[node->hash & mask], node);
			node = next;
		}
	}
	free(m->buckets);
	m->first = NULL;
	m->buckets = buckets;
	m->mask = mask;
}

void map_put(struct map *m, struct map_node *node, uint64_t hash)
{
	if (m->count > m->mask)
		grow(m);
	node->hash = hash;
	put_in(bucket_of(m, hash), node);
	m->count++;
}

struct map_node *map_get(const struct map *m, uint64_t hash, map_match *match, const void *key)
{
	struct map_node *node = bucket(m, hash);

	while (node && (node->hash != hash || !match(node, key)))
		node = node->next;
	return node;
}

void map_remove(struct map *m, struct map_node *node)
{
	struct map_node **at = bucket_of(m, node->hash);

	while (*at && *at != node)
		at = &(*at)->next;
	assert(*at);
	*at = node->next;
	node->next = NULL;
	m->count--;
}

struct map_node *map_next(const struct map *m, const struct map_node *node)
{
	size_t i = 0;

	if (node && node->next)
		return node->next;
	if (node)
		i = (node->hash & m->mask) + 1;
	while (i <= m->mask && !bucket(m, i))
		i++;
	return i <= m->mask ? bucket(m, i) : NULL;
}

static size_t reversed(size_t v)
{
	size_t r = 0;

	for (unsigned i = 0; i < sizeof v * 8; i++, v >>= 1)
		r = r << 1 | (v & 1);
	return r;
}

/*
 * map_scan - the cursor counts with its highest bit first: when the map doubles, bucket b becomes
 * b and b + old size, which follow each other in this order
 */
struct map_node *map_scan(const struct map *m, size_t *cursor)
{
	struct map_node *first = bucket(m, *cursor);

	*cursor = reversed(reversed(*cursor | ~m->mask) + 1);
	return first;
}
