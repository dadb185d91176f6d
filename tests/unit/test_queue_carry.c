#include "queue_rig.h"

#include "ipc_carry.h"
#include "queue_frames.h"

/* What an operator carries in goes on where it stopped: as recovery would have taken it up. */

#define OPERATOR 1 /* the rig's peer that plays him */

static struct ipc_carry carry;

static void begin(void)
{
	rig_init();
	rig.edges[OPERATOR].index = IPC_OPERATOR;
	rig_start();
}

static void fill(unsigned number)
{
	carry = (struct ipc_carry){
		.submit = {
			.id = rig_id(number, 5),
			.nvariants = 2,
			.variants = {
				{ IPC_STATE_QUEUE, STR("from: a@b\nrcpt: a@x\nrcpt: b@x\nrcpt: c@x\n"), STR("S: x\r\n") },
				{ IPC_STATE_QUEUE, STR("from: a@b\nrcpt: d@x\n"), STR("S: y\r\n") },
			},
			.body = STR("body\r\n"),
		},
		.variants = { { .number = 1 }, { .number = 3 } },
	};
}

static void send(struct rig_peer *from, uint64_t tag)
{
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	assert_true(ipc_carry_encode(&b, &carry));
	assert_true(rig_send(from, IPC_CARRY, tag, buf_str(&b)));
	buf_fini(&b);
	rig_turn(20);
}

static struct queue_message *find(unsigned number, uint16_t variant)
{
	struct id id = rig_id(number, 5);

	return queue_message_find(&rig.queue->index, &id, variant);
}

/* with_progress - as a queue has written it: the first of three is done, the second waits and was
 * tried four times, the third is held */
static void with_progress(char *blob)
{
	static const char text[] = "\3\2\0"
				   "\0\0\0\0\0\xff\xff\1\0\1\0\4\0"
				   "\1\0\0\0\0\xff\xff\1\0\2\0\0\0";

	memcpy(blob, text, sizeof text - 1);
	carry.variants[0].done = STR("\1");
	carry.variants[0].failed = STR("\0");
	carry.variants[0].blob = (struct str){ blob, sizeof text - 1 };
}

static void holds(uint32_t due)
{
	struct queue_message *m = find(7, 1);

	assert_non_null(m);
	assert_int_equal(m->left, 2);
	CHECK_INT(0, queue_rcpt(m, 0)->state, QUEUE_RCPT_DONE);
	CHECK_INT(1, queue_rcpt(m, 1)->attempts, 4);
	CHECK_INT(1, queue_rcpt(m, 1)->job->place, PLACE_WAITING);
	CHECK_INT(1, queue_rcpt(m, 1)->job->due, due);
	CHECK_INT(2, queue_rcpt(m, 2)->job->place, PLACE_HELD);
	assert_non_null(find(7, 3));
	assert_null(find(7, 0));
}

TEST(it_goes_on_where_it_stopped_now_and_after_a_restart)
{
	char blob[64];
	uint32_t due;

	begin();
	fill(7);
	with_progress(blob);
	due = queue_now(rig.queue) + 1000;
	for (unsigned i = 0; i < 4; i++)
		blob[4 + i] = (char)(due >> 8 * i & 0xff);
	send(&rig.edges[OPERATOR], 77);
	assert_int_equal(rig_tag(&rig.edges[OPERATOR], IPC_DURABLE), 77);
	holds(due);
	rig_restart();
	holds(due);
	rig_end();
}

TEST(twice_is_once)
{
	begin();
	fill(7);
	send(&rig.edges[OPERATOR], 1);
	send(&rig.edges[OPERATOR], 2);
	assert_int_equal(rig_tag(&rig.edges[OPERATOR], IPC_DURABLE), 1);
	assert_int_equal(rig_tag(&rig.edges[OPERATOR], IPC_DURABLE), 2);
	assert_int_equal(rig.queue->index.messages.count, 2);
	rig_end();
}

TEST(a_message_of_which_nothing_is_left_is_finished)
{
	begin();
	fill(7);
	carry.submit.nvariants = 1;
	carry.variants[0].done = STR("\5");
	carry.variants[0].failed = STR("\2");
	send(&rig.edges[OPERATOR], 1);
	assert_int_equal(rig_tag(&rig.edges[OPERATOR], IPC_DURABLE), 1);
	assert_int_equal(rig.queue->index.messages.count, 0);
	rig_end();
}

TEST(what_is_not_well_formed_or_not_an_operators_changes_nothing)
{
	begin();
	fill(7);
	send(&rig.edges[0], 1);
	assert_int_equal(rig_tag(&rig.edges[0], IPC_REFUSED), 1);
	carry.variants[0].done = STR("\1\1"); /* of more recipients than there are */
	send(&rig.edges[OPERATOR], 2);
	fill(7);
	carry.submit.variants[1].state = IPC_STATE_HOLD; /* the progress says so, or nobody */
	send(&rig.edges[OPERATOR], 3);
	fill(7);
	carry.submit.variants[1].envelope = STR("from: a@b\n");
	send(&rig.edges[OPERATOR], 4);
	assert_true(rig_send(&rig.edges[OPERATOR], IPC_CARRY, 5, STR("nonsense")));
	rig_turn(10);
	for (unsigned i = 2; i <= 5; i++)
		assert_int_equal(rig_tag(&rig.edges[OPERATOR], IPC_REFUSED), i);
	assert_int_equal(rig.queue->index.messages.count, 0);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_goes_on_where_it_stopped_now_and_after_a_restart),
		cmocka_unit_test(twice_is_once),
		cmocka_unit_test(a_message_of_which_nothing_is_left_is_finished),
		cmocka_unit_test(what_is_not_well_formed_or_not_an_operators_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
