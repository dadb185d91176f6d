#include "queue_rig.h"

/*
 * A channel may go at any moment, be full, or have a liar at its other end: no lease is lost, and
 * none is given twice.
 */

static enum queue_place place_of(unsigned number)
{
	return (enum queue_place)queue_rcpt(rig_find(number, 0), 0)->job->place;
}

TEST(a_lost_channel_gives_every_lease_back_once)
{
	struct rig_peer *at;

	rig_begin();
	(void)rig_dispatched(1, "mx", &at);
	rig_lose(at);
	rig_turn(2);
	assert_int_equal(place_of(1), PLACE_READY); /* its key belongs to that process */
	assert_int_equal(rig.queue->delivers[at->index].out, 0);
	rig_connect(at);
	rig_turn(3);
	assert_int_equal(place_of(1), PLACE_LEASED);
	assert_int_equal(rig_count(at, IPC_DISPATCH), 1);
	assert_int_equal(queue_rcpt(rig_find(1, 0), 0)->attempts, 0);
	rig_end();
}

TEST(a_lost_router_is_replaced_by_the_other_one)
{
	rig_begin();
	rig_message(1, 1, IPC_STATE_QUEUE);
	rig_turn(3);
	for (unsigned i = 0; i < RIG_DELIVERS; i++)
		if (rig_count(&rig.delivers[i], IPC_ROUTE))
			rig_lose(&rig.delivers[i]);
	rig_turn(3);
	assert_int_equal(
		rig_count(&rig.delivers[0], IPC_ROUTE) + rig_count(&rig.delivers[1], IPC_ROUTE), 1);
	rig_end();
}

static unsigned lent(void)
{
	return rig.queue->delivers[0].out + rig.queue->delivers[1].out;
}

TEST(nothing_is_lent_while_the_end_is_near)
{
	struct queue_options none;

	rig_begin();
	none = rig.options;
	none.total = 0;
	queue_options_set(rig.queue, &none);
	rig_message(1, 1, IPC_STATE_QUEUE);
	rig_turn(3);
	assert_int_equal(lent(), 0);
	queue_options_set(rig.queue, &rig.options);
	rig_turn(3);
	assert_int_equal(lent(), 1);
	rig_end();
}

TEST(a_stale_tag_finds_nobody)
{
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	rig_connect(at);
	rig_turn(3);
	rig_outcome(0, IPC_OUTCOME_DONE, "");
	rig_answer(at, IPC_RESULT, tag);
	assert_int_equal(place_of(1), PLACE_LEASED);
	assert_int_not_equal(rig_tag(at, IPC_DISPATCH), tag);
	rig_end();
}

TEST(a_channel_that_goes_while_a_message_is_read_loses_nothing)
{
	rig_begin();
	rig.disk.is_cold = true; /* every load takes a turn */
	rig_message(1, 1, IPC_STATE_QUEUE);
	for (unsigned i = 0; i < 8; i++) {
		rig_connect(&rig.delivers[0]);
		queue_check(rig.queue);
		rig_connect(&rig.delivers[1]);
		queue_check(rig.queue);
		rig_turn(1);
	}
	rig_turn(5);
	assert_int_equal(place_of(1), PLACE_ROUTING);
	assert_int_equal(
		rig_count(&rig.delivers[0], IPC_ROUTE) + rig_count(&rig.delivers[1], IPC_ROUTE), 1);
	rig_end();
}

TEST(what_cannot_be_read_back_is_held_and_said)
{
	rig_begin();
	rig_message(1, 1, IPC_STATE_HOLD);
	for (unsigned i = 0; i < rig.disk.nfiles; i++)
		if (strncmp(rig.disk.files[i].name, "seg/", 4) == 0)
			memset(rig.disk.files[i].now + 4096, 0, rig.disk.files[i].size - 4096);
	heap_free(rig_ask("queue release all", &(unsigned){ 0 }));
	rig_turn(4);
	assert_int_equal(place_of(1), PLACE_HELD);
	CHECK_STR(0, queue_said(rig_find(1, 0), SAID_LAST),
		  STR("cannot be read back from the spool"));
	rig_end();
}

/* ---- a full ring ----------------------------------------------------------------------------- */

TEST(what_finds_the_ring_full_goes_out_when_there_is_room)
{
	unsigned routed = 0;

	rig_init();
	rig.ring = IPC_RING_LEAST;
	rig.delivers[0].is_deaf = rig.delivers[1].is_deaf = true;
	rig_start();
	rig.disk.is_cold = true; /* many loads come back at once, after the ring is full */
	for (unsigned i = 0; i < 12; i++)
		rig_message(i, 900, IPC_STATE_QUEUE);
	rig_turn(10);
	assert_true(!list_is_empty(&rig.queue->delivers[0].unsent) ||
		    !list_is_empty(&rig.queue->delivers[1].unsent));
	for (unsigned d = 0; d < RIG_DELIVERS; d++)
		ipc_channel_resume(rig.delivers[d].theirs);
	rig_turn(20);
	for (unsigned d = 0; d < RIG_DELIVERS; d++)
		routed += rig_count(&rig.delivers[d], IPC_ROUTE);
	assert_int_equal(routed, 12);
	rig_end();
}

/* ---- big bodies ------------------------------------------------------------------------------ */

#define PIECE 60000

static char bytes[IPC_SLOT_CHUNK];

/* big - a message of 120000 octets, dispatched */
static uint64_t big(struct rig_peer **at)
{
	struct rig_peer *p;
	uint64_t size = 2 * PIECE;

	assert_true(rig_send(&rig.edges[0], IPC_SLOT_OPEN, 7, (struct str){ (char *)&size, 8 }));
	rig_turn(2);
	for (unsigned i = 0; i < 2; i++) {
		memset(bytes, 'a' + (int)i, PIECE);
		assert_true(
			rig_send(&rig.edges[0], IPC_SLOT_DATA, 7, (struct str){ bytes, PIECE }));
		rig_turn(3);
	}
	rig_submit_slot(0, 1, 7, 2 * PIECE);
	(void)rig_tag(&rig.edges[0], IPC_DURABLE);
	rig_turn(3);
	p = rig_count(&rig.delivers[0], IPC_ROUTE) ? &rig.delivers[0] : &rig.delivers[1];
	rig_to(0, "mx", "mx");
	rig_answer(p, IPC_ROUTED, rig_tag(p, IPC_ROUTE));
	*at = rig_owner("mx");
	return rig_tag(*at, IPC_DISPATCH);
}

static void ask(struct rig_peer *at, uint64_t tag, uint64_t offset, uint32_t length)
{
	char payload[12];

	memcpy(payload, &offset, 8);
	memcpy(payload + 8, &length, 4);
	assert_true(rig_send(at, IPC_READ, tag, (struct str){ payload, 12 }));
}

/* got - length of the piece; -1: no answer */
static int got(struct rig_peer *at, uint64_t offset, char first)
{
	struct rig_frame *f = rig_take(at, IPC_DATA);
	struct wire w = { .rest = f ? f->payload : STR_NONE };
	uint64_t where = wire_get_u64(&w);
	struct str s = wire_get_str(&w, IPC_READ_MAX);
	int n = f ? (int)s.n : -1;

	if (f) {
		assert_true(wire_is_end(&w));
		assert_int_equal(where, offset);
	}
	if (s.n)
		assert_int_equal(s.p[0], first);
	rig_free(&f);
	return n;
}

TEST(a_big_body_is_read_piece_by_piece_warm_or_cold)
{
	for (unsigned cold = 0; cold < 2; cold++) {
		struct rig_peer *at;
		uint64_t tag;

		rig_begin();
		tag = big(&at);
		rig.disk.is_cold = cold;
		ask(at, tag, 0, 1000);
		CHECK_INT(cold, got(at, 0, 'a'), 1000);
		ask(at, tag, PIECE, IPC_READ_MAX);
		CHECK_INT(cold, got(at, PIECE, 'b'), PIECE);
		ask(at, tag, 2 * PIECE, 1); /* at its end, beyond it, too long, for nobody */
		CHECK_INT(cold, got(at, 2 * PIECE, 0), 0);
		ask(at, tag, UINT64_MAX, 1);
		CHECK_INT(cold, got(at, UINT64_MAX, 0), 0);
		ask(at, tag, 0, IPC_READ_MAX + 1);
		CHECK_INT(cold, got(at, 0, 0), 0);
		ask(at, tag + 1, 0, 1);
		CHECK_INT(cold, got(at, 0, 0), -1);
		rig_end();
	}
}

TEST(a_thousand_reads_at_once_are_bounded_and_end_with_the_lease)
{
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	tag = big(&at);
	rig.disk.is_cold = true;
	for (unsigned i = 0; i < 1000; i++)
		ask(at, tag, i, 10);
	rig_outcome(0, IPC_OUTCOME_DONE, "");
	rig_answer(at, IPC_RESULT, tag); /* finished while they are under way */
	rig_turn(10);
	assert_null(rig_find(1, 0));
	assert_int_equal(rig.queue->delivers[at->index].reads, 0);
	rig_end();
}

TEST(a_piece_that_finds_the_ring_full_comes_later)
{
	struct rig_peer *at;
	unsigned n = 0;
	uint64_t tag;

	rig_init();
	rig.ring = 256 * 1024;
	rig_start();
	tag = big(&at);
	ipc_channel_pause(at->theirs);
	for (unsigned i = 0; i < 12; i++)
		ask(at, tag, 0, PIECE);
	rig_turn(5);
	assert_false(list_is_empty(&rig.queue->delivers[at->index].unanswered));
	ipc_channel_resume(at->theirs);
	rig_turn(30);
	while (rig_count(at, IPC_DATA)) {
		CHECK_INT(n, got(at, 0, 'a'), PIECE);
		n++;
	}
	assert_int_equal(n, 12);
	ipc_channel_pause(at->theirs);
	for (unsigned i = 0; i < 12; i++)
		ask(at, tag, 0, PIECE);
	rig_turn(5);
	rig_connect(at); /* or never */
	rig_turn(3);
	assert_int_equal(rig.queue->delivers[at->index].reads, 0);
	rig_end();
}

TEST(what_a_draining_process_gives_back_is_due_at_once_elsewhere)
{
	struct rig_peer *first = &rig.delivers[0], *second = &rig.delivers[1];

	rig_begin();
	rig_lose(second);
	rig_message(1, 1, IPC_STATE_QUEUE);
	rig_returned();
	rig_answer(first, IPC_ROUTED, rig_tag(first, IPC_ROUTE));
	assert_int_equal(rig_find(1, 0)->job.place, PLACE_UNROUTED);
	assert_int_equal(rig_count(first, IPC_ROUTE), 0); /* it would give it back again */
	rig_connect(second);
	rig_to(0, "mx", "mx");
	rig_answer(second, IPC_ROUTED, rig_tag(second, IPC_ROUTE));
	rig_connect(first); /* its successor */
	first = rig_owner("mx");
	rig_returned();
	rig_answer(first, IPC_RESULT, rig_tag(first, IPC_DISPATCH));
	assert_int_equal(rig_find(1, 0)->job.place, PLACE_READY);
	assert_int_equal(queue_rcpt(rig_find(1, 0), 0)->attempts, 0);
	rig_connect(first);
	rig_outcome(0, IPC_OUTCOME_DONE, "");
	rig_answer(first, IPC_RESULT, rig_tag(first, IPC_DISPATCH));
	assert_null(rig_find(1, 0));
	rig_end();
}

TEST(variables_of_recipients_come_back_with_each_lease_also_after_a_crash)
{
	struct rig_frame *f;
	struct rig_peer *p;

	rig_begin();
	rig_lose(&rig.delivers[1]);
	p = &rig.delivers[0];
	rig_message(1, 3, IPC_STATE_QUEUE);
	rig_cause(0, IPC_CAUSE_POLICY, "zero");
	rig_cause(2, IPC_CAUSE_POLICY, "two");
	rig_outcome(1, IPC_OUTCOME_DONE, "");
	rig_answer(p, IPC_ROUTED, rig_tag(p, IPC_ROUTE));
	rig_wait(400 * RIG_SECOND);
	rig_cause(0, IPC_CAUSE_POLICY, "");
	rig_cause(2, IPC_CAUSE_POLICY, "other");
	rig_answer(p, IPC_ROUTED, rig_tag(p, IPC_ROUTE));
	rig_restart();
	rig_lose(&rig.delivers[1]);
	rig_wait(2000 * RIG_SECOND);
	f = rig_take(p, IPC_ROUTE);
	assert_int_equal(rig_lease(f)->nrcpts, 2);
	CHECK_STR(0, rig_lease(f)->rcpts[0].vars, STR("zero"));
	CHECK_STR(1, rig_lease(f)->rcpts[1].vars, STR("other"));
	rig_free(&f);
	rig_end();
}

TEST(the_last_places_are_for_destinations_that_have_none)
{
	struct rig_peer *p = &rig.delivers[0];

	rig_init();
	rig.options.total = 8;
	rig.options.delivers = 1;
	rig_start();
	for (unsigned i = 0; i < 30; i++)
		rig_message(i, 1, IPC_STATE_QUEUE);
	for (unsigned i = 0; i < 30; i++) {
		rig_to(0, i < 29 ? "slow" : "quick", "hop");
		rig_answer(p, IPC_ROUTED, rig_tag(p, IPC_ROUTE));
	}
	rig_turn(3);
	assert_int_equal(rig_count(p, IPC_DISPATCH), 7); /* 6 slow ones, and the quick one */
	assert_int_equal(p == rig_owner("quick"), 1);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_channel_gives_every_lease_back_once),
		cmocka_unit_test(a_lost_router_is_replaced_by_the_other_one),
		cmocka_unit_test(nothing_is_lent_while_the_end_is_near),
		cmocka_unit_test(a_stale_tag_finds_nobody),
		cmocka_unit_test(a_channel_that_goes_while_a_message_is_read_loses_nothing),
		cmocka_unit_test(what_cannot_be_read_back_is_held_and_said),
		cmocka_unit_test(what_finds_the_ring_full_goes_out_when_there_is_room),
		cmocka_unit_test(a_big_body_is_read_piece_by_piece_warm_or_cold),
		cmocka_unit_test(a_thousand_reads_at_once_are_bounded_and_end_with_the_lease),
		cmocka_unit_test(a_piece_that_finds_the_ring_full_comes_later),
		cmocka_unit_test(what_a_draining_process_gives_back_is_due_at_once_elsewhere),
		cmocka_unit_test(
			variables_of_recipients_come_back_with_each_lease_also_after_a_crash),
		cmocka_unit_test(the_last_places_are_for_destinations_that_have_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
