#include "queue_rig.h"

#include "queue_frames.h"
#include "rnd.h"

/* What is stored of a message's progress comes back as it was; what is damaged costs words, never mail. */

#define KEY_LONG 200

static struct queue_message *message(unsigned nrcpts)
{
	struct id id = rig_id(1, 0);

	return queue_message_new(&id, 0, (uint16_t)nrcpts, 1);
}

static void drop(struct queue_message **m)
{
	queue_message_add(&rig.queue->index, *m);
	queue_message_remove(&rig.queue->index, *m);
	*m = NULL;
}

/* scatter - each recipient in a job of its own, every third held, the others waiting */
static void scatter(struct queue_message *m, size_t key_length)
{
	char key[KEY_LONG + 1];

	memset(key, 'k', sizeof key);
	for (unsigned i = 0; i < m->nrcpts; i++) {
		struct queue_job *j = queue_job_split(m);
		int n = snprintf(key, 8, "%06u", i);

		key[n] = 'k';
		queue_rcpt(m, i)->job = j;
		queue_rcpt(m, i)->attempts = (uint16_t)i;
		queue_job_route(&rig.queue->index, j,
				queue_destination_get(&rig.queue->index,
						      (struct str){ key, key_length }, STR("hop"),
						      RIG_DELIVERS));
		j->due = 1000 + i;
		queue_job_place(&rig.queue->index, j, i % 3 ? PLACE_WAITING : PLACE_HELD);
	}
}

static void comes_back(unsigned n, size_t key_length)
{
	struct queue_message *m = message(n), *back = message(n);
	struct spool_state s;

	scatter(m, key_length);
	queue_say(&rig.queue->index, m, SAID_LAST, STR("the last word"));
	queue_say(&rig.queue->index, m, SAID_VARS, STR("vars"));
	CHECK_INT(n, queue_state_write(m, &s), n);
	CHECK(n, s.blob.n <= SPOOL_BLOB_MAX);
	CHECK(n, queue_state_read(rig.queue, back, &s));
	for (unsigned i = 0; i < n; i++) {
		struct queue_job *j = queue_rcpt(back, i)->job;

		CHECK_INT(i, queue_rcpt(back, i)->attempts, i);
		CHECK_INT(i, j->place == PLACE_HELD, i % 3 == 0);
		CHECK_INT(i, j->due, i % 3 ? 1000 + i : 0);
	}
	CHECK_STR(0, queue_said(back, SAID_LAST), STR("the last word"));
	CHECK_STR(0, queue_said(back, SAID_VARS), STR("vars"));
	drop(&m);
	drop(&back);
	assert_int_equal(rig.queue->index.destinations.count, 0);
	assert_int_equal(rig.queue->index.held + rig.queue->index.waiting.count, 0);
}

TEST(places_attempts_times_and_words_come_back_for_any_number_of_recipients)
{
	static const unsigned counts[] = { 1, 2, 3, 100, 255, 256, 257, ENVELOPE_RCPTS };

	rig_begin();
	for (size_t i = 0; i < COUNT(counts); i++) {
		comes_back(counts[i], 6);
		comes_back(counts[i], KEY_LONG); /* more than a blob holds: only keys are missing */
	}
	rig_end();
}

TEST(what_is_finished_stays_finished)
{
	struct queue_message *m, *back;
	struct spool_state s;

	rig_begin();
	m = message(3);
	back = message(3);
	queue_rcpt(m, 0)->job = NULL;
	queue_rcpt(m, 0)->state = QUEUE_RCPT_DONE;
	queue_rcpt(m, 2)->job = NULL;
	queue_rcpt(m, 2)->state = QUEUE_RCPT_FAILED;
	(void)queue_state_write(m, &s);
	assert_true(queue_state_read(rig.queue, back, &s));
	assert_int_equal(back->left, 1);
	assert_int_equal(queue_rcpt(back, 0)->state, QUEUE_RCPT_DONE);
	assert_int_equal(queue_rcpt(back, 2)->state, QUEUE_RCPT_FAILED);
	assert_ptr_equal(queue_rcpt(back, 1)->job, &back->job);
	assert_null(back->job.next); /* who goes one way needs no further memory */
	drop(&m);
	drop(&back);
	rig_end();
}

TEST(a_message_of_which_nothing_is_left_is_finished_at_the_start)
{
	struct queue_message *m;

	rig_begin();
	m = rig_message(1, 1, IPC_STATE_HOLD);
	queue_job_place(&rig.queue->index, &m->job, PLACE_LEASED);
	queue_rcpt(m, 0)->job = NULL;
	queue_rcpt(m, 0)->state = QUEUE_RCPT_DONE;
	m->left = 0;
	spool_touch(rig.spool, &m->handle); /* the state is on disk, that it is finished is not */
	queue_flush(rig.queue);
	queue_rcpt(m, 0)->job = &m->job;
	queue_rcpt(m, 0)->state = QUEUE_RCPT_LEFT;
	m->left = 1;
	rig_crash(UINT64_MAX);
	assert_null(rig_find(1, 0));
	rig_restart();
	assert_null(rig_find(1, 0));
	rig_end();
}

TEST(damaged_bytes_are_said_and_harm_nothing)
{
	struct queue_message *m = NULL, *back;
	struct spool_state s;
	char bytes[SPOOL_BLOB_MAX];

	rig_begin();
	m = message(5);
	scatter(m, 6);
	(void)queue_state_write(m, &s);
	memcpy(bytes, s.blob.p, s.blob.n);
	for (unsigned i = 0; i < 3000; i++) {
		struct str blob = { bytes, s.blob.n - (i % 3 ? 0 : rnd_below(s.blob.n)) }, copy;

		memcpy(bytes, s.blob.p, s.blob.n);
		for (unsigned k = 0; k < i % 5; k++)
			bytes[rnd_below(s.blob.n)] = (char)rnd_below(256);
		copy = heap_copy(blob);
		back = message(5);
		(void)queue_state_read(rig.queue, back, &(struct spool_state){ NULL, NULL, copy });
		CHECK_INT(i, back->left, 5);
		drop(&back);
		heap_free(copy);
	}
	drop(&m);
	assert_int_equal(rig.queue->index.destinations.count, 0);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			places_attempts_times_and_words_come_back_for_any_number_of_recipients),
		cmocka_unit_test(what_is_finished_stays_finished),
		cmocka_unit_test(a_message_of_which_nothing_is_left_is_finished_at_the_start),
		cmocka_unit_test(damaged_bytes_are_said_and_harm_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
