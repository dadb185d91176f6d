#include "ipc_lease.h"

#include "cuts.h"

static struct ipc_lease lease, lease_back;
static struct ipc_result result, result_back;

static void sample_lease(void)
{
	lease = (struct ipc_lease){
		.id = { { 7, 7, 7 } },
		.variant = 65535,
		.is_expired = true,
		.envelope = STR("from: a@example.org\nrcpt: b@example.org\n"),
		.next_hop = STR("127.0.0.1:2526"),
		.key = STR("k"),
		.header = STR("Subject: x\r\n"),
		.body_length = UINT64_C(1) << 40,
		.body = STR("first bytes\0of it"),
		.vars = STR("\1\2\3"),
		.last = STR("4.4.1 no answer"),
		.nrcpts = 3,
		.rcpts = { { 0, 0, STR_NONE },
			   { 999, 4, STR("vars") },
			   { UINT32_MAX, UINT32_MAX, STR_NONE } },
	};
}

static void sample_result(void)
{
	result = (struct ipc_result){
		.noutcomes = 7,
		.outcomes = {
			{ 0, IPC_OUTCOME_ROUTE, 0, STR(""), STR("k"), STR("h:25"), 0, IPC_CAUSE_OTHER, STR("") },
			{ 1, IPC_OUTCOME_DONE, 250, STR("2.0.0 ok"), STR(""), STR(""), 0, IPC_CAUSE_OTHER, STR("") },
			{ 2, IPC_OUTCOME_DONE, 250, STR("2.0.0 ok"), STR(""), STR(""), 0, IPC_CAUSE_OTHER, STR("") },
			{ 3, IPC_OUTCOME_ROUTE, 0, STR("x"), STR("k"), STR("h:25"), 0, IPC_CAUSE_OTHER, STR("") },
			{ 4, IPC_OUTCOME_DEFER, 451, STR("4.0.0 no"), STR(""), STR(""), 60000000,
			  IPC_CAUSE_RATE, STR("v") },
			{ 5, IPC_OUTCOME_FAIL, 550, STR("5.1.1 no"), STR(""), STR(""), 0, IPC_CAUSE_OTHER, STR("") },
			{ 6, IPC_OUTCOME_HOLD, 0, STR("no route"), STR(""), STR(""), 0, IPC_CAUSE_OTHER, STR("") },
		},
		.vars = STR("packed"),
		.schedule = { 1, 2, 3 },
		.has_bounce = true,
		.bounce = STR("a submit"),
	};
}

static void same_lease(const struct ipc_lease *got, const struct ipc_lease *want)
{
	assert_true(id_is_eq(&got->id, &want->id));
	assert_int_equal(got->variant, want->variant);
	assert_int_equal(got->is_expired, want->is_expired);
	CHECK_STR(0, got->envelope, want->envelope);
	CHECK_STR(1, got->next_hop, want->next_hop);
	CHECK_STR(2, got->key, want->key);
	CHECK_STR(3, got->header, want->header);
	CHECK_STR(4, got->body, want->body);
	CHECK_STR(5, got->vars, want->vars);
	CHECK_STR(6, got->last, want->last);
	assert_int_equal(got->body_length, want->body_length);
	assert_int_equal(got->nrcpts, want->nrcpts);
	for (unsigned i = 0; i < want->nrcpts; i++) {
		CHECK_INT(i, got->rcpts[i].index, want->rcpts[i].index);
		CHECK_INT(i, got->rcpts[i].attempts, want->rcpts[i].attempts);
		CHECK_STR(i, got->rcpts[i].vars, want->rcpts[i].vars);
	}
}

static void same_result(const struct ipc_result *got, const struct ipc_result *want)
{
	assert_int_equal(got->noutcomes, want->noutcomes);
	for (unsigned i = 0; i < want->noutcomes; i++) {
		CHECK_INT(i, got->outcomes[i].index, want->outcomes[i].index);
		CHECK_INT(i, got->outcomes[i].outcome, want->outcomes[i].outcome);
		CHECK_INT(i, got->outcomes[i].code, want->outcomes[i].code);
		CHECK_STR(i, got->outcomes[i].text, want->outcomes[i].text);
		CHECK_STR(i, got->outcomes[i].key, want->outcomes[i].key);
		CHECK_STR(i, got->outcomes[i].next_hop, want->outcomes[i].next_hop);
		CHECK_INT(i, got->outcomes[i].retry_us, want->outcomes[i].retry_us);
		CHECK_INT(i, got->outcomes[i].cause, want->outcomes[i].cause);
		CHECK_STR(i, got->outcomes[i].vars, want->outcomes[i].vars);
	}
	CHECK_STR(0, got->vars, want->vars);
	assert_int_equal(got->schedule.first, want->schedule.first);
	assert_int_equal(got->schedule.longest, want->schedule.longest);
	assert_int_equal(got->schedule.expire, want->schedule.expire);
	assert_int_equal(got->is_returned, want->is_returned);
	assert_int_equal(got->has_bounce, want->has_bounce);
	CHECK_STR(0, got->bounce, want->bounce);
}

static bool lease_decodes(struct str s)
{
	return ipc_lease_decode(s, &lease_back);
}

static bool result_decodes(struct str s)
{
	return ipc_result_decode(s, &result_back);
}

TEST(a_lease_decodes_whole_and_no_piece_of_it_does)
{
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	sample_lease();
	assert_true(ipc_lease_encode(&b, &lease));
	only_whole(buf_str(&b), lease_decodes);
	same_lease(&lease_back, &lease);
	buf_fini(&b);
}

TEST(a_result_decodes_whole_and_no_piece_of_it_does)
{
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	sample_result();
	assert_true(ipc_result_encode(&b, &result));
	only_whole(buf_str(&b), result_decodes);
	same_result(&result_back, &result);
	buf_reset(&b);
	result.has_bounce = false;
	result.bounce = STR_NONE;
	result.noutcomes = 0;
	result.is_returned = true;
	assert_true(ipc_result_encode(&b, &result));
	only_whole(buf_str(&b), result_decodes);
	same_result(&result_back, &result);
	buf_fini(&b);
}

TEST(a_thousand_recipients_with_one_route_are_small)
{
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	result = (struct ipc_result){ .noutcomes = IPC_LEASE_RCPTS };
	for (unsigned i = 0; i < IPC_LEASE_RCPTS; i++)
		result.outcomes[i] = (struct ipc_outcome_of){
			.index = i,
			.outcome = IPC_OUTCOME_ROUTE,
			.key = STR("example.org"),
			.next_hop = STR("192.0.2.1:25"),
		};
	assert_true(ipc_result_encode(&b, &result));
	assert_true(buf_len(&b) < IPC_LEASE_RCPTS * 12);
	assert_true(ipc_result_decode(buf_str(&b), &result_back));
	same_result(&result_back, &result);
	buf_fini(&b);
}

static char big[IPC_ENVELOPE_MAX + 1];

static void lease_refused(size_t room)
{
	struct buf b;

	buf_init(&b, room);
	assert_true(buf_add(&b, STR("xy")));
	CHECK(room, !ipc_lease_encode(&b, &lease));
	CHECK_STR(room, buf_str(&b), STR("xy"));
	buf_fini(&b);
	sample_lease();
}

static void result_refused(size_t room)
{
	struct buf b;

	buf_init(&b, room);
	assert_true(buf_add(&b, STR("xy")));
	CHECK(room, !ipc_result_encode(&b, &result));
	CHECK_STR(room, buf_str(&b), STR("xy"));
	buf_fini(&b);
	sample_result();
}

TEST(a_lease_beyond_a_bound_is_not_encoded)
{
	struct buf whole;

	sample_lease();
	buf_init(&whole, IPC_FRAME_MAX);
	assert_true(ipc_lease_encode(&whole, &lease));
	for (size_t room = 2; room < buf_len(&whole) + 2; room++)
		lease_refused(room);
	buf_fini(&whole);

	lease.nrcpts = 0;
	lease_refused(IPC_FRAME_MAX);
	lease.nrcpts = IPC_LEASE_RCPTS + 1;
	lease_refused(IPC_FRAME_MAX);
	lease.envelope = STR_NONE;
	lease_refused(IPC_FRAME_MAX);
	lease.envelope = (struct str){ big, IPC_ENVELOPE_MAX + 1 };
	lease_refused(IPC_FRAME_MAX);
	lease.next_hop = (struct str){ big, IPC_NEXT_HOP + 1 };
	lease_refused(IPC_FRAME_MAX);
	lease.key = (struct str){ big, IPC_NEXT_HOP + 1 };
	lease_refused(IPC_FRAME_MAX);
	lease.header = (struct str){ big, IPC_HEADER_MAX + 1 };
	lease_refused(IPC_FRAME_MAX);
	lease.body = (struct str){ big, IPC_BODY_INLINE + 1 };
	lease_refused(IPC_FRAME_MAX);
	lease.body_length = lease.body.n - 1;
	lease_refused(IPC_FRAME_MAX);
	lease.vars = (struct str){ big, IPC_VARS + 1 };
	lease_refused(IPC_FRAME_MAX);
	lease.last = (struct str){ big, IPC_REPLY_TEXT + 1 };
	lease_refused(IPC_FRAME_MAX);
}

TEST(a_result_beyond_a_bound_is_not_encoded)
{
	struct buf whole;

	sample_result();
	buf_init(&whole, IPC_FRAME_MAX);
	assert_true(ipc_result_encode(&whole, &result));
	for (size_t room = 2; room < buf_len(&whole) + 2; room++)
		result_refused(room);
	buf_fini(&whole);

	result.noutcomes = IPC_LEASE_RCPTS + 1;
	result_refused(IPC_FRAME_MAX);
	result.outcomes[0].key = STR_NONE; /* a route without its key, or its next hop */
	result_refused(IPC_FRAME_MAX);
	result.outcomes[3].next_hop = STR_NONE;
	result_refused(IPC_FRAME_MAX);
	result.outcomes[1].text = (struct str){ big, IPC_REPLY_TEXT + 1 };
	result_refused(IPC_FRAME_MAX);
	result.outcomes[1].code = 600;
	result_refused(IPC_FRAME_MAX);
	result.outcomes[1].outcome = IPC_OUTCOMES;
	result_refused(IPC_FRAME_MAX);
	result.vars = (struct str){ big, IPC_VARS + 1 };
	result_refused(IPC_FRAME_MAX);
}

/*
 * Whatever one byte is changed to, the decoder answers, and what it takes the encoder would have
 * sent.
 */
TEST(no_changed_byte_makes_a_struct_that_could_not_be_sent)
{
	struct buf b, again;

	buf_init(&b, IPC_FRAME_MAX);
	buf_init(&again, IPC_FRAME_MAX);
	sample_result();
	assert_true(ipc_result_encode(&b, &result));
	for (size_t at = 0; at < buf_len(&b); at++) {
		for (unsigned flip = 1; flip < 256; flip++) {
			b.p[at] = (char)(b.p[at] ^ (char)flip);
			buf_reset(&again);
			if (ipc_result_decode(buf_str(&b), &result_back))
				CHECK(at, ipc_result_encode(&again, &result_back));
			b.p[at] = (char)(b.p[at] ^ (char)flip);
		}
	}
	buf_reset(&b);
	sample_lease();
	assert_true(ipc_lease_encode(&b, &lease));
	for (size_t at = 0; at < buf_len(&b); at++) {
		for (unsigned flip = 1; flip < 256; flip++) {
			b.p[at] = (char)(b.p[at] ^ (char)flip);
			buf_reset(&again);
			if (ipc_lease_decode(buf_str(&b), &lease_back))
				CHECK(at, ipc_lease_encode(&again, &lease_back));
			b.p[at] = (char)(b.p[at] ^ (char)flip);
		}
	}
	buf_fini(&b);
	buf_fini(&again);
}

TEST(a_first_outcome_cannot_borrow_from_one_before)
{
	struct buf b;

	buf_init(&b, 1024);
	wire_u16(&b, 1);
	wire_u32(&b, 0);
	wire_u8(&b, IPC_OUTCOME_ROUTE);
	wire_u16(&b, 0);
	for (int i = 0; i < 3; i++)
		wire_u8(&b, 1); /* text, key, next hop: as before */
	wire_str(&b, STR_NONE);
	wire_u8(&b, 0);
	assert_false(ipc_result_decode(buf_str(&b), &result_back));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lease_decodes_whole_and_no_piece_of_it_does),
		cmocka_unit_test(a_result_decodes_whole_and_no_piece_of_it_does),
		cmocka_unit_test(a_thousand_recipients_with_one_route_are_small),
		cmocka_unit_test(a_lease_beyond_a_bound_is_not_encoded),
		cmocka_unit_test(a_result_beyond_a_bound_is_not_encoded),
		cmocka_unit_test(no_changed_byte_makes_a_struct_that_could_not_be_sent),
		cmocka_unit_test(a_first_outcome_cannot_borrow_from_one_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
