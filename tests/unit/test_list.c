/* layer: base */
#include "list.h"

#include "check.h"

struct item {
	int value;
	struct list node;
};

static int value_of(struct list *node)
{
	return LIST_ITEM(node, struct item, node)->value;
}

TEST(order_is_that_of_insertion)
{
	struct list head = LIST_INIT(head);
	struct item items[4] = { { .value = 0 }, { .value = 1 }, { .value = 2 }, { .value = 3 } };
	int want = 0;

	list_append(&head, &items[1].node);
	list_append(&head, &items[3].node);
	list_prepend(&head, &items[0].node);
	list_insert(&items[3].node, &items[2].node);
	LIST_EACH(node, &head)
	CHECK_INT(want, value_of(node), want++);
	assert_int_equal(want, 4);
}

TEST(removing_twice_and_while_walking_is_harmless)
{
	struct list head = LIST_INIT(head);
	struct item items[3];

	for (int i = 0; i < 3; i++) {
		items[i].value = i;
		list_append(&head, &items[i].node);
	}
	LIST_EACH(node, &head)
	{
		list_remove(node);
		list_remove(node);
	}
	assert_true(list_is_empty(&head));
	assert_null(list_take(&head));
}

TEST(taking_consumes_from_the_front)
{
	struct list head = LIST_INIT(head);
	struct item items[2] = { { .value = 5 }, { .value = 6 } };

	list_append(&head, &items[0].node);
	list_append(&head, &items[1].node);
	assert_int_equal(value_of(list_take(&head)), 5);
	assert_int_equal(value_of(list_take(&head)), 6);
	assert_true(list_is_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_that_of_insertion),
		cmocka_unit_test(removing_twice_and_while_walking_is_harmless),
		cmocka_unit_test(taking_consumes_from_the_front),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
