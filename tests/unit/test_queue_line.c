#include "queue_line.h"

#include "check.h"

struct job {
	struct list node;
	unsigned sender, number;
};

struct bed {
	struct queue_line line;
	struct map lanes;
};

static void bed_init(struct bed *b)
{
	map_init(&b->lanes);
	queue_line_init(&b->line);
}

static void bed_fini(struct bed *b)
{
	queue_line_fini(&b->line, &b->lanes);
	assert_int_equal(b->lanes.count, 0);
	map_fini(&b->lanes);
}

static void put(struct bed *b, struct job *j, unsigned sender, unsigned number)
{
	*j = (struct job){ .sender = sender, .number = number };
	list_init(&j->node);
	queue_line_put(&b->line, &b->lanes, sender, &j->node);
}

static struct job *take(struct bed *b)
{
	struct list *node = queue_line_next(&b->line, &b->lanes);

	if (!node)
		return NULL;
	queue_line_remove(&b->line, node);
	return LIST_ITEM(node, struct job, node);
}

#define FLOOD 100000

TEST(a_flood_of_one_sender_stands_before_nobody_else)
{
	static struct job flood[FLOOD], one;
	unsigned behind = 0, in_order = 0;
	struct bed b;
	struct job *j;

	bed_init(&b);
	for (unsigned i = 0; i < FLOOD; i++)
		put(&b, &flood[i], 1, i);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(take(&b)->number, i);
	put(&b, &one, 2, 0);
	while ((j = take(&b)) != &one)
		behind++;
	assert_true(behind <= 1);
	for (unsigned i = 10 + behind; (j = take(&b)); i++)
		in_order += j->number == i;
	assert_int_equal(in_order, FLOOD - 10 - behind);
	assert_int_equal(b.line.count, 0);
	bed_fini(&b);
}

TEST(senders_beyond_the_lanes_share_one_and_nobody_is_left_out)
{
	static struct job jobs[QUEUE_LANES + 50];
	bool seen[QUEUE_LANES + 50] = { false };
	struct bed b;
	struct job *j;

	bed_init(&b);
	for (unsigned i = 0; i < COUNT(jobs); i++)
		put(&b, &jobs[i], i + 1, i);
	assert_int_equal(b.line.nlanes, QUEUE_LANES);
	while ((j = take(&b)))
		seen[j->number] = true;
	for (unsigned i = 0; i < COUNT(seen); i++)
		CHECK(i, seen[i]);
	assert_int_equal(b.line.nlanes, 0); /* empty ones went when their turn came */
	bed_fini(&b);
}

TEST(whoever_leaves_from_the_middle_leaves_the_order_to_the_others)
{
	struct job jobs[6];
	struct bed b;

	bed_init(&b);
	for (unsigned i = 0; i < 6; i++)
		put(&b, &jobs[i], i / 2, i);
	queue_line_remove(&b.line, &jobs[0].node);
	queue_line_remove(&b.line, &jobs[2].node);
	queue_line_remove(&b.line, &jobs[3].node);
	assert_int_equal(take(&b)->number, 1);
	assert_int_equal(take(&b)->number, 4);
	assert_int_equal(take(&b)->number, 5);
	assert_null(take(&b));
	bed_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_of_one_sender_stands_before_nobody_else),
		cmocka_unit_test(senders_beyond_the_lanes_share_one_and_nobody_is_left_out),
		cmocka_unit_test(whoever_leaves_from_the_middle_leaves_the_order_to_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
