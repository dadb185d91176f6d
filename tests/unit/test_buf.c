#include "buf.h"

#include "check.h"

static void holds(const struct buf *b)
{
	assert_true(b->head <= b->tail);
	assert_true(b->tail <= b->cap);
	assert_true(b->cap <= b->max || b->max == 0);
}

TEST(bytes_come_out_in_the_order_they_went_in)
{
	static const size_t adds[] = { 1, 7, 300, 0, 64, 1000 }, takes[] = { 0, 5, 250, 64, 900 };
	unsigned char in = 0, out = 0;
	struct buf b;

	buf_init(&b, 5000);
	for (size_t round = 0; round < 4000; round++) {
		char chunk[1000];
		size_t n = adds[round % COUNT(adds)], m = takes[round % COUNT(takes)];

		for (size_t i = 0; i < n; i++)
			chunk[i] = (char)(in + i);
		if (buf_add(&b, (struct str){ chunk, n }))
			in = (unsigned char)(in + n);
		else
			CHECK(round, n > buf_room(&b));
		if (m > buf_len(&b))
			m = buf_len(&b);
		for (size_t i = 0; i < m; i++)
			CHECK_INT(round, (unsigned char)buf_str(&b).p[i], out++);
		buf_take(&b, m);
		holds(&b);
	}
	buf_fini(&b);
}

TEST(the_bound_is_exact_and_a_refused_add_changes_nothing)
{
	struct buf b;

	buf_init(&b, 4);
	assert_true(buf_add(&b, STR("abc")));
	assert_false(buf_add(&b, STR("de")));
	assert_false(buf_printf(&b, "%d", 10));
	assert_true(buf_printf(&b, "%d", 1));
	assert_false(buf_byte(&b, 'x'));
	assert_null(buf_space(&b, SIZE_MAX));
	CHECK_STR(0, buf_str(&b), STR("abc1"));
	buf_take(&b, 3);
	assert_int_equal(buf_room(&b), 3);
	assert_true(buf_add(&b, STR("xyz")));
	CHECK_STR(1, buf_str(&b), STR("1xyz"));
	buf_fini(&b);
	buf_init(&b, 0);
	assert_false(buf_byte(&b, 'x'));
	assert_true(buf_add(&b, STR_NONE));
	buf_fini(&b);
}

TEST(long_text_is_printed_whole_or_not_at_all)
{
	char text[3000];
	struct buf b;

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	buf_init(&b, sizeof text - 1);
	assert_true(buf_printf(&b, "%s", text));
	CHECK_STR(0, buf_str(&b), str_of(text));
	buf_reset(&b);
	assert_false(buf_printf(&b, "%s!", text));
	assert_int_equal(buf_len(&b), 0);
	buf_fini(&b);
}

TEST(shrinking_gives_memory_back_only_when_empty)
{
	struct buf b;

	buf_init(&b, 100);
	assert_true(buf_byte(&b, 'x'));
	buf_shrink(&b);
	CHECK_STR(0, buf_str(&b), STR("x"));
	buf_take(&b, 1);
	buf_shrink(&b);
	assert_null(b.p);
	assert_int_equal(b.max, 100);
	assert_true(buf_byte(&b, 'y'));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_in_the_order_they_went_in),
		cmocka_unit_test(the_bound_is_exact_and_a_refused_add_changes_nothing),
		cmocka_unit_test(long_text_is_printed_whole_or_not_at_all),
		cmocka_unit_test(shrinking_gives_memory_back_only_when_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
