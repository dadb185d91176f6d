#include "delivery_body.h"

#include "check.h"

#include "ipc_lease.h"

/* The spool's side: gives at most `most` bytes of the body a time. */
static bool serve(struct delivery_body *b, struct str body, size_t most)
{
	uint64_t offset;
	uint32_t length;

	if (!delivery_body_wants(b, &offset, &length))
		return false;
	assert_true(offset + length <= body.n);
	delivery_body_asked(b);
	assert_false(delivery_body_wants(b, &offset, &length));
	delivery_body_data(b, offset,
			   str_head(str_drop(body, offset), most < length ? most : length));
	return true;
}

static struct str whole(struct delivery_body *b, struct str body, size_t most, size_t step)
{
	static char out[2 * 1024 * 1024];
	struct str piece;
	size_t n = 0;

	while (!delivery_body_is_end(b)) {
		while (serve(b, body, most))
			;
		piece = str_head(delivery_body_piece(b), step);
		assert_true(piece.n > 0);
		memcpy(out + n, piece.p, piece.n);
		n += piece.n;
		delivery_body_took(b, piece.n);
	}
	assert_int_equal(n, delivery_body_size(b));
	return (struct str){ out, n };
}

TEST(the_pieces_make_the_message_whatever_their_size)
{
	static char text[1024 * 1024];
	static const size_t lengths[] = {
		0, 1, 100, IPC_READ_MAX, IPC_READ_MAX + 1, 300 * 1024, sizeof text
	};
	static const size_t firsts[] = { 0, 1, 100, IPC_BODY_INLINE };

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i * 31 + i / 251);
	for (size_t i = 0; i < COUNT(lengths) * COUNT(firsts) * 4; i++) {
		struct str body = { text, lengths[i % COUNT(lengths)] };
		size_t first = firsts[i / COUNT(lengths) % COUNT(firsts)];
		size_t odd = i / COUNT(lengths) / COUNT(firsts);
		struct delivery_body b;
		struct str got;

		if (first > body.n)
			continue;
		delivery_body_init(&b);
		delivery_body_set(&b, STR("A: b\r\n"), str_head(body, first), body.n);
		if (odd & 1)
			delivery_body_rewind(&b, STR("Return-Path: <>\r\n"));
		got = whole(&b, body, odd & 1 ? 40000 : SIZE_MAX, odd & 2 ? 7777 : SIZE_MAX);
		if (odd & 1)
			CHECK_STR(i, str_head(got, 17), STR("Return-Path: <>\r\n"));
		got = str_drop(got, odd & 1 ? 17 : 0);
		CHECK_STR(i, str_head(got, 8), STR("A: b\r\n\r\n"));
		CHECK(i, str_eq(str_drop(got, 8), body));
		delivery_body_fini(&b);
	}
}

TEST(an_answer_for_a_pass_given_up_is_thrown_away)
{
	static const char text[] = "0123456789";
	struct str body = { text, 10 };
	struct delivery_body b;
	uint64_t offset;
	uint32_t length;

	delivery_body_init(&b);
	delivery_body_set(&b, STR("A: b\r\n"), STR_NONE, 10);
	assert_true(delivery_body_wants(&b, &offset, &length));
	delivery_body_asked(&b);
	delivery_body_data(&b, 0, STR("0123"));
	assert_true(delivery_body_wants(&b, &offset, &length));
	assert_int_equal(offset, 4);
	delivery_body_asked(&b);
	delivery_body_rewind(&b, STR_NONE);
	assert_false(delivery_body_wants(&b, &offset, &length));
	delivery_body_data(&b, 4, STR("456789"));
	CHECK_STR(0, str_drop(whole(&b, body, 3, 1), 8), body);
	delivery_body_fini(&b);
}

TEST(what_was_not_asked_for_or_cannot_be_read_loses_the_body)
{
	static const struct {
		uint64_t offset;
		struct str bytes;
		bool is_lost;
	} answers[] = {
		{ 0, STR("0123456789"), false },
		{ 0, STR("01"), false },
		{ 0, STR(""), true },
		{ 1, STR("1"), true },
		{ 0, STR("0123456789a"), true },
	};

	for (size_t i = 0; i < COUNT(answers); i++) {
		struct delivery_body b;
		uint64_t offset;
		uint32_t length;

		delivery_body_init(&b);
		delivery_body_set(&b, STR_NONE, STR_NONE, 10);
		assert_true(delivery_body_wants(&b, &offset, &length));
		delivery_body_asked(&b);
		delivery_body_data(&b, answers[i].offset, answers[i].bytes);
		CHECK_INT(i, b.is_lost, answers[i].is_lost);
		if (answers[i].is_lost)
			CHECK(i, !delivery_body_wants(&b, &offset, &length));
		delivery_body_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pieces_make_the_message_whatever_their_size),
		cmocka_unit_test(an_answer_for_a_pass_given_up_is_thrown_away),
		cmocka_unit_test(what_was_not_asked_for_or_cannot_be_read_loses_the_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
