#include "queue_peek.h"

#include "queue_rig.h"

#include "queue_frames.h"

/* What a tool sees of a stored blob is what the queue meant by it. */

static const struct {
	struct str blob;
	enum queue_peek want;
} samples[] = {
	{ STR(""), QUEUE_PEEK_DUE },
	{ STR("\2\0\0"), QUEUE_PEEK_DUE },
	{ STR("\2\1\0\0\0\0\0\0\0\0\0\0"), QUEUE_PEEK_DUE },
	{ STR("\2\1\0\0\7\0\0\0\0\0\0\0"), QUEUE_PEEK_WAITING },
	{ STR("\2\1\0\1\0\0\0\0\0\0\xff\xff"), QUEUE_PEEK_HELD },
	{ STR("\3\1\0\2\0\0\0\0\0\0\xff\xff"), QUEUE_PEEK_QUARANTINED },
	{ STR("\2\2\0\1\0\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0"), QUEUE_PEEK_HELD },
	{ STR("\2\2\0\0\7\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0"), QUEUE_PEEK_HELD },
	{ STR("\3\1\0\3\0\0\0\0\0\0\xff\xff"), QUEUE_PEEK_UNKNOWN },
	{ STR("\1\0\0"), QUEUE_PEEK_UNKNOWN },
	{ STR("\4\0\0"), QUEUE_PEEK_UNKNOWN },
	{ STR("\2\1\0\0\0\0\0\0\0\0\1\0"), QUEUE_PEEK_UNKNOWN },
	{ STR("\2"), QUEUE_PEEK_UNKNOWN },
};

TEST(the_most_telling_state_is_told)
{
	for (size_t i = 0; i < COUNT(samples); i++)
		CHECK_INT(i, queue_peek(samples[i].blob), samples[i].want);
}

static enum queue_peek stored(enum queue_place place, uint32_t due)
{
	struct id id = rig_id(1, 0);
	struct queue_message *m = queue_message_new(&id, 0, 2, 1);
	struct spool_state s;
	enum queue_peek got;

	m->job.due = due;
	queue_job_place(&rig.queue->index, &m->job, place);
	queue_state_write(m, &s);
	got = queue_peek(s.blob);
	queue_message_add(&rig.queue->index, m);
	queue_message_remove(&rig.queue->index, m);
	return got;
}

TEST(what_the_queue_writes_is_understood)
{
	rig_begin();
	CHECK_INT(0, stored(PLACE_WAITING, 77), QUEUE_PEEK_WAITING);
	CHECK_INT(1, stored(PLACE_HELD, 0), QUEUE_PEEK_HELD);
	CHECK_INT(2, stored(PLACE_UNROUTED, 0), QUEUE_PEEK_DUE);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_telling_state_is_told),
		cmocka_unit_test(what_the_queue_writes_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
