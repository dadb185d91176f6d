#include "ipc_carry.h"

#include "cuts.h"

static const struct id id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };
static struct ipc_carry sample, back;

static void fill(void)
{
	sample = (struct ipc_carry){
		.submit = {
			.id = id,
			.nvariants = 2,
			.variants = {
				{ IPC_STATE_QUEUE, STR("from: a@b\nrcpt: c@d.org\n"), STR("A: x\r\n") },
				{ IPC_STATE_QUEUE, STR("from: \nrcpt: c@example.org\n"), STR("") },
			},
			.body = STR("hello\r\n"),
		},
		.variants = {
			{ 1, STR("\1"), STR(""), STR("blob") },
			{ 7, STR(""), STR("\1"), STR("") },
		},
	};
}

static bool decodes(struct str s)
{
	return ipc_carry_decode(s, &back);
}

TEST(what_is_encoded_decodes_and_no_piece_of_it_does)
{
	struct buf b;

	fill();
	buf_init(&b, IPC_FRAME_MAX);
	assert_true(ipc_carry_encode(&b, &sample));
	only_whole(buf_str(&b), decodes);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_INT(i, back.variants[i].number, sample.variants[i].number);
		CHECK_STR(i, back.variants[i].done, sample.variants[i].done);
		CHECK_STR(i, back.variants[i].failed, sample.variants[i].failed);
		CHECK_STR(i, back.variants[i].blob, sample.variants[i].blob);
		CHECK_STR(i, back.submit.variants[i].envelope, sample.submit.variants[i].envelope);
	}
	assert_true(id_is_eq(&back.submit.id, &id));
	buf_fini(&b);
}

TEST(numbers_that_repeat_are_refused)
{
	struct buf b;

	fill();
	buf_init(&b, IPC_FRAME_MAX);
	sample.variants[1].number = 1;
	assert_true(ipc_carry_encode(&b, &sample));
	assert_false(decodes(buf_str(&b)));
	buf_fini(&b);
}

static bool encodes(struct buf *b)
{
	bool good = ipc_carry_encode(b, &sample);

	assert_int_equal(buf_len(b) > 0, good);
	buf_reset(b);
	fill();
	return good;
}

TEST(bounds_hold_on_both_sides)
{
	static char big[IPC_CARRY_BLOB + 1];
	struct buf b;

	fill();
	buf_init(&b, IPC_FRAME_MAX);
	sample.variants[0].blob = (struct str){ big, IPC_CARRY_BLOB };
	assert_true(encodes(&b));
	sample.variants[0].blob = (struct str){ big, IPC_CARRY_BLOB + 1 };
	assert_false(encodes(&b));
	sample.variants[1].done = (struct str){ big, IPC_CARRY_BITS };
	assert_true(encodes(&b));
	sample.variants[1].done = (struct str){ big, IPC_CARRY_BITS + 1 };
	assert_false(encodes(&b));
	sample.variants[0].failed = (struct str){ big, IPC_CARRY_BITS + 1 };
	assert_false(encodes(&b));
	sample.submit.nvariants = 0;
	assert_false(encodes(&b));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_encoded_decodes_and_no_piece_of_it_does),
		cmocka_unit_test(numbers_that_repeat_are_refused),
		cmocka_unit_test(bounds_hold_on_both_sides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
