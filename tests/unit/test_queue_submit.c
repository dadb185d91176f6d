#include "counter.h"
#include "queue_frames.h"
#include "queue_rig.h"
#include "spool_replay.h"

/* From an edge to the disk: inline, by slot, twice, too much, and not at all. */

static char bytes[IPC_SLOT_CHUNK];

static unsigned refusal(unsigned type, uint64_t tag)
{
	struct rig_frame *f = rig_take(&rig.edges[0], type);
	struct ipc_refusal r;

	assert_non_null(f);
	assert_int_equal(f->tag, tag);
	assert_true(ipc_refusal_decode(f->payload, &r));
	rig_free(&f);
	return r.code;
}

static uint64_t acked(uint64_t tag)
{
	struct rig_frame *f;
	uint64_t n = 0;

	while ((f = rig_take(&rig.edges[0], IPC_SLOT_ACK))) {
		struct wire w = { .rest = f->payload };

		assert_int_equal(f->tag, tag);
		n = wire_get_u64(&w);
		rig_free(&f);
	}
	return n;
}

static void open_slot(uint64_t tag, uint64_t size)
{
	assert_true(rig_send(&rig.edges[0], IPC_SLOT_OPEN, tag,
			     (struct str){ (const char *)&size, sizeof size }));
	rig_turn(4);
}

static void put(uint64_t tag, size_t n)
{
	memset(bytes, 'x', sizeof bytes);
	assert_true(rig_send(&rig.edges[0], IPC_SLOT_DATA, tag, (struct str){ bytes, n }));
	rig_turn(4);
}

TEST(the_same_submission_again_is_durable_and_stored_once)
{
	rig_begin();
	rig_submit(0, 1, 1, IPC_STATE_QUEUE);
	rig_submit(0, 1, 1, IPC_STATE_QUEUE); /* in the same turn */
	assert_int_equal(rig_tag(&rig.edges[0], IPC_DURABLE), 1);
	assert_int_equal(rig_tag(&rig.edges[0], IPC_DURABLE), 1);
	rig_crash(0);
	rig_submit(0, 1, 1, IPC_STATE_HOLD); /* after a crash: as it was */
	assert_int_equal(rig_tag(&rig.edges[0], IPC_DURABLE), 1);
	assert_int_equal(rig.queue->index.messages.count, 1);
	assert_int_equal(rig.queue->index.held, 0);
	rig_end();
}

TEST(what_was_delivered_meanwhile_is_still_known)
{
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	rig_outcome(0, IPC_OUTCOME_DONE, "");
	rig_answer(at, IPC_RESULT, tag);
	rig_submit(0, 1, 1, IPC_STATE_QUEUE);
	assert_int_equal(rig_tag(&rig.edges[0], IPC_DURABLE), 1);
	rig_submit_slot(0, 1, 77, 100000); /* even if its slot went with a channel */
	assert_int_equal(rig_tag(&rig.edges[0], IPC_DURABLE), 1);
	assert_null(rig_find(1, 0));
	rig_end();
}

TEST(what_makes_no_sense_is_refused)
{
	struct ipc_submit s = { .id = rig_id(3, 0), .nvariants = 2 };
	struct buf b;

	rig_begin();
	assert_true(rig_send(&rig.edges[0], IPC_SUBMIT, 1, STR("nonsense")));
	assert_int_equal(refusal(IPC_REFUSED, 1), 451);
	s.variants[0] = (struct ipc_variant){ IPC_STATE_HOLD, STR("rcpt: a@b\n"), STR_NONE };
	s.variants[1] = (struct ipc_variant){ IPC_STATE_QUEUE, STR("nobody\n"), STR_NONE };
	buf_init(&b, IPC_FRAME_MAX);
	assert_true(ipc_submit_encode(&b, &s));
	assert_true(rig_send(&rig.edges[0], IPC_SUBMIT, 2, buf_str(&b)));
	buf_fini(&b);
	assert_int_equal(refusal(IPC_REFUSED, 2), 451);
	assert_int_equal(rig.queue->index.held, 0); /* of the variant that was good */
	rig_end();
}

TEST(an_edge_cannot_use_the_ids_of_another_one)
{
	struct ipc_submit s = { .id = rig_id(1, 1), .nvariants = 1 };
	struct buf b;

	rig_begin();
	s.variants[0] = (struct ipc_variant){ IPC_STATE_QUEUE, STR("rcpt: a@b\n"), STR_NONE };
	buf_init(&b, IPC_FRAME_MAX);
	assert_true(ipc_submit_encode(&b, &s));
	assert_true(rig_send(&rig.edges[0], IPC_SUBMIT, 1, buf_str(&b)));
	buf_fini(&b);
	assert_int_equal(refusal(IPC_REFUSED, 1), 451);
	rig_end();
}

TEST(an_answer_never_reaches_the_successor_of_a_lost_edge)
{
	rig_begin();
	rig_submit(0, 1, 1, IPC_STATE_QUEUE);
	rig_turn(1);
	rig_connect(&rig.edges[0]);
	rig_turn(8);
	assert_int_equal(rig_count(&rig.edges[0], IPC_DURABLE), 0);
	assert_non_null(rig_find(1, 0)); /* it may arrive twice, but it arrives */
	rig_end();
}

/* ---- slots ----------------------------------------------------------------------------------- */

TEST(a_slot_is_acknowledged_filled_and_submitted)
{
	rig_begin();
	open_slot(7, 200000);
	assert_int_equal(acked(7), 0);
	for (unsigned i = 0; i < 3; i++)
		put(7, sizeof bytes);
	assert_int_equal(acked(7), 3 * sizeof bytes);
	rig_submit_slot(0, 1, 7, 3 * sizeof bytes);
	assert_int_equal(rig_tag(&rig.edges[0], IPC_DURABLE), 1);
	assert_int_equal(rig.queue->edges[0].nstreams, 0);
	rig_crash(0);
	assert_non_null(rig_find(1, 0));
	rig_end();
}

TEST(a_slot_that_is_not_what_it_was_said_to_be_is_refused)
{
	rig_begin();
	open_slot(7, 0);
	put(7, 1000);
	rig_submit_slot(0, 1, 7, 999);
	assert_int_equal(refusal(IPC_REFUSED, 1), 451);
	rig_submit_slot(0, 2, 8, 1000); /* no such one */
	assert_int_equal(refusal(IPC_REFUSED, 2), 451);
	rig_submit_slot(0, 3, 8, 0); /* and not stored with an empty body instead */
	assert_int_equal(refusal(IPC_REFUSED, 3), 451);
	rig_submit_slot(0, 4, 7, 1000);
	assert_int_equal(rig_tag(&rig.edges[0], IPC_DURABLE), 4);
	rig_end();
}

TEST(a_slot_belongs_to_the_edge_that_opened_it)
{
	rig_begin();
	open_slot(7, 0);
	put(7, 1000);
	assert_true(rig_send(&rig.edges[1], IPC_SLOT_ABORT, 7, STR_NONE));
	rig_submit_slot(1, 1, 7, 1000);
	rig_turn(4);
	assert_int_equal(rig_count(&rig.edges[1], IPC_REFUSED), 1);
	assert_int_equal(rig.queue->edges[0].nstreams, 1);
	rig_end();
}

TEST(more_than_the_window_ends_the_slot)
{
	rig_begin();
	open_slot(7, 0);
	memset(bytes, 'x', sizeof bytes);
	for (unsigned i = 0; i < 6; i++)
		assert_true(rig_send(&rig.edges[0], IPC_SLOT_DATA, 7,
				     (struct str){ bytes, sizeof bytes }));
	assert_int_equal(refusal(IPC_SLOT_REFUSED, 7), 451);
	assert_int_equal(rig.queue->edges[0].nstreams, 0);
	rig_end();
}

TEST(when_no_slot_is_left_it_is_452_and_lost_edges_give_theirs_back)
{
	rig_begin();
	for (unsigned i = 1; i <= 4; i++)
		open_slot(i, 0);
	open_slot(5, 0);
	assert_int_equal(refusal(IPC_SLOT_REFUSED, 5), 452);
	rig_connect(&rig.edges[0]);
	rig_turn(4);
	open_slot(6, 0);
	assert_int_equal(rig_count(&rig.edges[0], IPC_SLOT_REFUSED), 0);
	assert_int_equal(rig.queue->edges[0].nstreams, 1);
	rig_end();
}

/* fill_streams - edge 1 has every body that can be written at once */
static void fill_streams(void)
{
	rig_init();
	rig.spool_options.slots = SPOOL_STREAMS + 8;
	rig_start();
	for (uint64_t i = 1; i <= SPOOL_STREAMS; i++)
		assert_true(rig_send(&rig.edges[1], IPC_SLOT_OPEN, i, (struct str){ bytes, 8 }));
	rig_turn(4);
	assert_int_equal(rig.queue->edges[1].nstreams, SPOOL_STREAMS);
}

TEST(who_finds_no_slot_yet_waits_for_the_next_one)
{
	memset(bytes, 0, sizeof bytes);
	fill_streams();
	open_slot(7, 0);
	open_slot(8, 0);
	assert_int_equal(rig_count(&rig.edges[0], IPC_SLOT_REFUSED), 0);
	assert_int_equal(rig_count(&rig.edges[0], IPC_SLOT_ACK), 0);
	rig_submit_slot(0, 1, 7, 0); /* it has no slot to name */
	assert_int_equal(refusal(IPC_REFUSED, 1), 451);
	assert_true(rig_send(&rig.edges[1], IPC_SLOT_ABORT, 3, STR_NONE));
	rig_turn(4);
	assert_int_equal(rig_tag(&rig.edges[0], IPC_SLOT_ACK), 7);
	assert_int_equal(rig_count(&rig.edges[0], IPC_SLOT_ACK), 0);
	assert_true(rig_send(&rig.edges[0], IPC_SLOT_ABORT, 8, STR_NONE));
	rig_turn(4);
	assert_int_equal(rig.queue->edges[0].nstreams, 1);
	rig_end();
}

TEST(who_waits_too_long_for_a_slot_is_refused)
{
	memset(bytes, 0, sizeof bytes);
	fill_streams();
	open_slot(7, 0);
	assert_true(queue_stream_next(rig.queue) <= net_loop_now(rig.loop) + QUEUE_SLOT_US);
	rig_wait(QUEUE_SLOT_US);
	assert_int_equal(refusal(IPC_SLOT_REFUSED, 7), 452);
	open_slot(8, 0);
	put(8, 10); /* before it was told that it may */
	assert_int_equal(refusal(IPC_SLOT_REFUSED, 8), 451);
	open_slot(9, 0);
	rig_lose(&rig.edges[0]);
	assert_true(queue_stream_next(rig.queue) == UINT64_MAX);
	rig_end();
}

TEST(what_the_disk_cannot_hold_is_refused_before_it_is_sent)
{
	rig_begin();
	rig.disk.space = 10 * 1024 * 1024;
	rig_wait(3 * RIG_SECOND);
	open_slot(1, UINT64_C(1) << 40);
	assert_int_equal(refusal(IPC_SLOT_REFUSED, 1), 452);
	rig_end();
}

TEST(what_is_damaged_is_counted_once)
{
	static struct counter_slab slab;
	char path[24];

	rig_begin();
	open_slot(7, 0);
	put(7, 1000);
	rig_submit_slot(0, 1, 7, 1000);
	assert_int_equal(rig_tag(&rig.edges[0], IPC_DURABLE), 1);
	spool_slot_path(path, rig_find(1, 0)->handle.slot);
	memory_disk_set(&rig.disk, path, bytes, 999);
	counter_attach(&slab);
	rig_restart();
	assert_null(rig_find(1, 0));
	assert_int_equal(slab.counters[COUNTER_SPOOL_CORRUPT], 1);
	rig_end();
}

TEST(a_disk_that_fails_ends_the_slot)
{
	rig_begin();
	open_slot(7, 0);
	rig.disk.fail_at = rig.disk.calls + 1;
	rig.disk.fails_for_ever = true;
	rig.disk.fail_errno = 5;
	put(7, 1000);
	assert_int_equal(refusal(IPC_SLOT_REFUSED, 7), 451);
	rig.disk.fail_at = 0;
	rig_end();
}

/* ---- too much -------------------------------------------------------------------------------- */

TEST(what_finds_no_room_waits_and_everything_is_answered)
{
	unsigned answered = 0;

	rig_init();
	rig.spool_options.segment_size = 128 * 1024; /* batches of 120 KiB */
	rig.spool_options.segments = 64;
	rig_start();
	for (unsigned i = 0; i < 40; i++) {
		struct ipc_submit s = { .id = rig_id(i, i % 2), .nvariants = 1 };
		struct buf b;

		s.variants[0] =
			(struct ipc_variant){ IPC_STATE_HOLD, STR("rcpt: a@b\n"), STR_NONE };
		s.body = (struct str){ bytes, 20000 };
		buf_init(&b, IPC_FRAME_MAX);
		assert_true(ipc_submit_encode(&b, &s));
		assert_true(rig_send(&rig.edges[i % 2], IPC_SUBMIT, i, buf_str(&b)));
		buf_fini(&b);
	}
	rig_turn(60);
	for (unsigned e = 0; e < RIG_EDGES; e++)
		answered += rig_count(&rig.edges[e], IPC_DURABLE) +
			    rig_count(&rig.edges[e], IPC_REFUSED);
	assert_int_equal(answered, 40);
	rig_end();
}

static int room_said(void)
{
	int room = -1;
	struct rig_frame *f;

	while ((f = rig_take(&rig.edges[0], IPC_ROOM))) {
		room = f->payload.p[0];
		rig_free(&f);
	}
	return room;
}

TEST(an_edge_is_told_whether_there_is_room)
{
	rig_begin();
	assert_int_equal(room_said(), IPC_ROOM_ALL);
	for (unsigned i = 1; i <= 4; i++)
		open_slot(i, 0);
	assert_int_equal(room_said(), IPC_ROOM_SMALL);
	assert_true(rig_send(&rig.edges[0], IPC_SLOT_ABORT, 1, STR_NONE));
	rig_turn(4);
	assert_int_equal(room_said(), IPC_ROOM_ALL);
	rig_connect(&rig.edges[0]);
	assert_int_equal(room_said(), IPC_ROOM_ALL);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_submission_again_is_durable_and_stored_once),
		cmocka_unit_test(what_was_delivered_meanwhile_is_still_known),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(an_edge_cannot_use_the_ids_of_another_one),
		cmocka_unit_test(an_answer_never_reaches_the_successor_of_a_lost_edge),
		cmocka_unit_test(a_slot_is_acknowledged_filled_and_submitted),
		cmocka_unit_test(a_slot_that_is_not_what_it_was_said_to_be_is_refused),
		cmocka_unit_test(a_slot_belongs_to_the_edge_that_opened_it),
		cmocka_unit_test(more_than_the_window_ends_the_slot),
		cmocka_unit_test(when_no_slot_is_left_it_is_452_and_lost_edges_give_theirs_back),
		cmocka_unit_test(who_finds_no_slot_yet_waits_for_the_next_one),
		cmocka_unit_test(who_waits_too_long_for_a_slot_is_refused),
		cmocka_unit_test(what_the_disk_cannot_hold_is_refused_before_it_is_sent),
		cmocka_unit_test(what_is_damaged_is_counted_once),
		cmocka_unit_test(a_disk_that_fails_ends_the_slot),
		cmocka_unit_test(what_finds_no_room_waits_and_everything_is_answered),
		cmocka_unit_test(an_edge_is_told_whether_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
