#include "ipc_submit.h"

#include "cuts.h"

static const struct id id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };

static struct ipc_submit sample(void)
{
	return (struct ipc_submit){
		.id = id,
		.nvariants = 2,
		.variants = {
			{ IPC_STATE_QUEUE, STR("from: a@b\nrcpt: c@d.org\n"), STR("A: x\r\n") },
			{ IPC_STATE_QUARANTINE, STR("from: \nrcpt: c@example.org\n"), STR("") },
		},
		.body = STR("hello\r\n.\r\n\0"),
	};
}

static void same(const struct ipc_submit *got, const struct ipc_submit *want)
{
	assert_true(id_is_eq(&got->id, &want->id));
	assert_int_equal(got->nvariants, want->nvariants);
	for (unsigned i = 0; i < want->nvariants; i++) {
		CHECK_INT(i, got->variants[i].state, want->variants[i].state);
		CHECK_STR(i, got->variants[i].envelope, want->variants[i].envelope);
		CHECK_STR(i, got->variants[i].header, want->variants[i].header);
	}
	assert_int_equal(got->is_slot, want->is_slot);
	assert_int_equal(got->slot, want->slot);
	assert_int_equal(got->slot_length, want->slot_length);
	CHECK_STR(0, got->body, want->body);
}

static struct ipc_submit back;

static bool submit_decodes(struct str s)
{
	return ipc_submit_decode(s, &back);
}

TEST(what_is_encoded_decodes_and_no_piece_of_it_does)
{
	struct ipc_submit s = sample();
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	assert_true(ipc_submit_encode(&b, &s));
	only_whole(buf_str(&b), submit_decodes);
	same(&back, &s);
	buf_reset(&b);

	s.is_slot = true;
	s.slot = UINT64_MAX;
	s.slot_length = 50 << 20;
	s.body = STR_NONE;
	assert_true(ipc_submit_encode(&b, &s));
	only_whole(buf_str(&b), submit_decodes);
	same(&back, &s);
	buf_fini(&b);
}

TEST(as_many_variants_as_there_may_be)
{
	struct ipc_submit s = sample();
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	for (unsigned i = 0; i < IPC_VARIANTS; i++)
		s.variants[i] = s.variants[0];
	s.nvariants = IPC_VARIANTS;
	assert_true(ipc_submit_encode(&b, &s));
	assert_true(ipc_submit_decode(buf_str(&b), &back));
	same(&back, &s);
	buf_fini(&b);
}

static char big[IPC_ENVELOPE_MAX + 1];

/* refuses - the encoder does, and leaves what was there */
static void refuses(const struct ipc_submit *s, size_t room)
{
	struct buf b;

	buf_init(&b, room);
	assert_true(buf_add(&b, STR("xyz")));
	buf_take(&b, 1);
	assert_false(ipc_submit_encode(&b, s));
	CHECK_STR(room, buf_str(&b), STR("yz"));
	buf_fini(&b);
}

TEST(the_encoder_refuses_what_the_decoder_would)
{
	struct ipc_submit s = sample();
	struct buf whole;

	buf_init(&whole, IPC_FRAME_MAX);
	assert_true(ipc_submit_encode(&whole, &s));
	for (size_t room = 3; room < buf_len(&whole) + 2; room++)
		refuses(&s, room);
	buf_fini(&whole);

	s.nvariants = 0;
	refuses(&s, IPC_FRAME_MAX);
	s.nvariants = IPC_VARIANTS + 1;
	refuses(&s, IPC_FRAME_MAX);
	s = sample();
	s.variants[1].envelope = STR_NONE;
	refuses(&s, IPC_FRAME_MAX);
	s.variants[1].envelope = (struct str){ big, IPC_ENVELOPE_MAX + 1 };
	refuses(&s, IPC_FRAME_MAX);
	s = sample();
	s.variants[0].header = (struct str){ big, IPC_HEADER_MAX + 1 };
	refuses(&s, IPC_FRAME_MAX);
	s = sample();
	s.body = (struct str){ big, IPC_BODY_INLINE + 1 };
	refuses(&s, IPC_FRAME_MAX);
}

TEST(values_out_of_range_do_not_decode)
{
	/* offsets into the encoded sample: count, state of the first variant, is_slot */
	struct ipc_submit s = sample();
	size_t is_slot;
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	assert_true(ipc_submit_encode(&b, &s));
	is_slot = buf_len(&b) - s.body.n - 4 - 1;
	for (unsigned v = 0; v < 256; v++) {
		b.p[16] = (char)v;
		CHECK(v, ipc_submit_decode(buf_str(&b), &back) == (v == 2));
		b.p[16] = 2;
		b.p[17] = (char)v;
		CHECK(v, ipc_submit_decode(buf_str(&b), &back) == (v <= IPC_STATE_QUARANTINE));
		b.p[17] = 0;
		b.p[is_slot] = (char)v;
		CHECK(v, ipc_submit_decode(buf_str(&b), &back) == (v == 0));
		b.p[is_slot] = 0;
	}
	buf_fini(&b);
}

static bool refusal_decodes(struct str s)
{
	struct ipc_refusal r;

	return ipc_refusal_decode(s, &r) && r.code == 452 && str_eq(r.esc, STR("4.3.1")) &&
	       str_eq(r.text, STR("no room"));
}

TEST(a_refusal_is_one_line_with_a_failure_code)
{
	static const struct {
		struct ipc_refusal r;
		bool is_good;
	} samples[] = {
		{ { 452, STR("4.3.1"), STR("no room") }, true },
		{ { 599, STR(""), STR("") }, true },
		{ { 399, STR("4.3.1"), STR("no room") }, false },
		{ { 600, STR("4.3.1"), STR("no room") }, false },
		{ { 250, STR("2.0.0"), STR("ok") }, false },
		{ { 452, STR("4.3.1"), STR("a\r\n250 b") }, false },
		{ { 452, STR("4.3.1\n"), STR("a") }, false },
		{ { 452, STR("4.3.1"), STR("\xc3\xa9") }, false },
		{ { 452, STR("4.3.1"), STR("\x7f") }, false },
		{ { 452, STR("4.3.1234567890"), STR("a") }, false },
		{ { 452, STR("4.3.1"), { big, IPC_REPLY_TEXT + 1 } }, false },
	};

	memset(big, 'x', sizeof big);
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct ipc_refusal got;
		struct buf b, raw;

		buf_init(&b, 2048);
		buf_init(&raw, 2048);
		CHECK_INT(i, ipc_refusal_encode(&b, &samples[i].r), samples[i].is_good);
		CHECK_INT(i, buf_len(&b) > 0, samples[i].is_good);
		wire_u16(&raw, samples[i].r.code);
		wire_str(&raw, samples[i].r.esc);
		wire_str(&raw, samples[i].r.text);
		CHECK_INT(i, ipc_refusal_decode(buf_str(&raw), &got), samples[i].is_good);
		if (i == 0)
			only_whole(buf_str(&b), refusal_decodes);
		buf_fini(&b);
		buf_fini(&raw);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_encoded_decodes_and_no_piece_of_it_does),
		cmocka_unit_test(as_many_variants_as_there_may_be),
		cmocka_unit_test(the_encoder_refuses_what_the_decoder_would),
		cmocka_unit_test(values_out_of_range_do_not_decode),
		cmocka_unit_test(a_refusal_is_one_line_with_a_failure_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
