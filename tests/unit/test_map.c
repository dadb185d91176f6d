#include "map.h"

#include "check.h"

#define MANY 5000

struct item {
	struct map_node node;
	struct str key;
	char text[16];
	bool seen;
};

static struct item items[MANY];

static bool is_item(const struct map_node *node, const void *key)
{
	return str_eq(container_of(node, const struct item, node)->key, *(const struct str *)key);
}

static void fill(struct map *m)
{
	map_init(m);
	for (int i = 0; i < MANY; i++) {
		int n = snprintf(items[i].text, sizeof items[i].text, "key %d", i);

		items[i].key = (struct str){ items[i].text, (size_t)n };
		items[i].seen = false;
		map_put(m, &items[i].node, map_hash(items[i].key));
	}
}

TEST(what_was_put_is_found_until_it_is_removed)
{
	struct map m;

	fill(&m);
	assert_int_equal(m.count, MANY);
	assert_true(m.mask + 1 >= MANY); /* it grew */
	for (size_t i = 0; i < MANY; i++)
		CHECK(i, map_get(&m, map_hash(items[i].key), is_item, &items[i].key) ==
				 &items[i].node);
	for (size_t i = 0; i < MANY; i += 2)
		map_remove(&m, &items[i].node);
	for (size_t i = 0; i < MANY; i++)
		CHECK_INT(i, !map_get(&m, map_hash(items[i].key), is_item, &items[i].key),
			  i % 2 == 0);
	assert_int_equal(m.count, MANY / 2);
	map_fini(&m);
}

TEST(a_map_may_be_moved_whatever_its_size)
{
	struct map_node nodes[20] = { { NULL, 0 } };

	for (size_t n = 0; n <= COUNT(nodes); n++) {
		struct map from, to;

		map_init(&from);
		for (size_t i = 0; i < n; i++)
			map_put(&from, &nodes[i], i);
		to = from;
		map_init(&from);
		map_fini(&from);
		for (size_t i = 0; i < n; i++)
			map_remove(&to, &nodes[i]);
		CHECK_INT(n, to.count, 0);
		map_fini(&to);
	}
}

TEST(a_walk_passes_each_once_and_may_remove_what_it_passed)
{
	struct map m;
	size_t n = 0;

	fill(&m);
	for (struct map_node *node = map_next(&m, NULL), *next; node; node = next) {
		struct item *item = container_of(node, struct item, node);

		next = map_next(&m, node);
		CHECK(n, !item->seen);
		item->seen = true;
		map_remove(&m, node);
		n++;
	}
	assert_int_equal(n, MANY);
	assert_int_equal(m.count, 0);
	assert_null(map_next(&m, NULL));
	map_fini(&m);
}

TEST(the_folding_hash_ignores_case_in_keys_of_any_length)
{
	char lower[700], upper[700];

	for (size_t i = 0; i < sizeof lower; i++) {
		lower[i] = (char)('a' + i % 26);
		upper[i] = (char)('A' + i % 26);
	}
	for (size_t n = 0; n < sizeof lower; n += 37) {
		uint64_t hash = map_hash_fold((struct str){ lower, n });

		CHECK(n, hash == map_hash_fold((struct str){ upper, n }));
		if (n)
			CHECK(n, hash != map_hash_fold((struct str){ lower, n - 1 }));
	}
	CHECK(0, map_hash(STR("a")) != map_hash(STR("A")));
}

static void scan(struct map *m, size_t *cursor)
{
	for (struct map_node *node = map_scan(m, cursor); node; node = node->next)
		container_of(node, struct item, node)->seen = true;
}

TEST(a_walk_in_pieces_misses_nothing_that_stays)
{
	struct map m;
	size_t cursor = 0;

	fill(&m);
	map_fini(&m);
	map_init(&m);
	for (size_t i = 0; i < MANY; i++) {
		items[i].seen = false;
		if (i < 100) /* the rest comes while it walks: the map doubles several times */
			map_put(&m, &items[i].node, map_hash(items[i].key));
	}
	for (size_t i = 100; i < 3000; i += 100) {
		scan(&m, &cursor);
		for (size_t k = i; k < i + 100; k++)
			map_put(&m, &items[k].node, map_hash(items[k].key));
		if (cursor == 0)
			fail_msg("over after %zu", i);
	}
	do
		scan(&m, &cursor);
	while (cursor);
	for (size_t i = 0; i < 100; i++)
		CHECK(i, items[i].seen);
	do
		scan(&m, &cursor);
	while (cursor);
	for (size_t i = 0; i < 3000; i++)
		CHECK(i, items[i].seen);
	map_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_walk_in_pieces_misses_nothing_that_stays),
		cmocka_unit_test(what_was_put_is_found_until_it_is_removed),
		cmocka_unit_test(a_map_may_be_moved_whatever_its_size),
		cmocka_unit_test(a_walk_passes_each_once_and_may_remove_what_it_passed),
		cmocka_unit_test(the_folding_hash_ignores_case_in_keys_of_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
