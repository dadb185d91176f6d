#include "queue_rig.h"

/*
 * What an answer makes of the jobs of a message with many recipients; and what a liar cannot make
 * of it.
 */

static struct rig_peer *at;
static uint64_t tag;

/* route_to - a message of n recipients, all leased to one process for ROUTE */
static struct queue_message *routing(unsigned number, unsigned n)
{
	struct queue_message *m = rig_message(number, n, IPC_STATE_QUEUE);

	rig_turn(3);
	at = rig_count(&rig.delivers[0], IPC_ROUTE) ? &rig.delivers[0] : &rig.delivers[1];
	tag = rig_tag(at, IPC_ROUTE);
	return m;
}

/* leased - all to one destination, its DISPATCH in `at` and `tag` */
static struct queue_message *leased(unsigned number, unsigned n)
{
	struct queue_message *m = routing(number, n);

	for (unsigned i = 0; i < n; i++)
		rig_to(i, "mx", "mx");
	rig_answer(at, IPC_ROUTED, tag);
	at = rig_owner("mx");
	tag = rig_tag(at, IPC_DISPATCH);
	return m;
}

static enum queue_place place_of(const struct queue_message *m, unsigned i)
{
	return (enum queue_place)queue_rcpt(m, i)->job->place;
}

TEST(recipients_of_one_destination_travel_together)
{
	struct queue_message *m;

	rig_begin();
	m = routing(1, 6);
	for (unsigned i = 0; i < 6; i++)
		rig_to(i, i % 2 ? "odd" : "even", "hop");
	rig_answer(at, IPC_ROUTED, tag);
	for (unsigned i = 0; i < 6; i++) {
		CHECK_INT(i, place_of(m, i), PLACE_LEASED);
		CHECK(i, queue_rcpt(m, i)->job == queue_rcpt(m, i % 2)->job);
	}
	assert_ptr_not_equal(queue_rcpt(m, 0)->job, queue_rcpt(m, 1)->job);
	assert_int_equal(rig.queue->index.destinations.count, 2);
	rig_end();
}

TEST(each_outcome_takes_its_own_way)
{
	struct queue_message *m;

	rig_begin();
	m = leased(1, 6);
	rig_outcome(0, IPC_OUTCOME_DONE, "");
	rig_outcome(1, IPC_OUTCOME_DEFER, "4.0.0 a");
	rig_outcome(2, IPC_OUTCOME_HOLD, "5.0.0 b");
	rig_to(3, "other", "other"); /* 4 is not named; 5 has no bounce */
	rig_outcome(5, IPC_OUTCOME_FAIL, "5.0.0 c");
	rig_answer(at, IPC_RESULT, tag);
	assert_null(queue_rcpt(m, 0)->job);
	assert_int_equal(queue_rcpt(m, 0)->state, QUEUE_RCPT_DONE);
	assert_int_equal(place_of(m, 1), PLACE_WAITING);
	assert_int_equal(place_of(m, 2), PLACE_HELD);
	assert_int_equal(place_of(m, 3), PLACE_LEASED);
	CHECK_STR(0, queue_destination_key(queue_rcpt(m, 3)->job->destination), STR("other"));
	assert_int_equal(place_of(m, 4), PLACE_WAITING);
	assert_ptr_not_equal(queue_rcpt(m, 4)->job, queue_rcpt(m, 3)->job);
	assert_ptr_not_equal(queue_rcpt(m, 4)->job, queue_rcpt(m, 2)->job);
	assert_int_equal(queue_rcpt(m, 4)->attempts, 0);
	assert_int_equal(queue_rcpt(m, 5)->state, QUEUE_RCPT_FAILED);
	assert_int_equal(m->left, 4);
	rig_crash(UINT64_MAX);
	rig_end();
}

TEST(who_is_not_named_never_shares_the_way_of_others)
{
	struct queue_message *m;

	rig_begin();
	m = routing(1, 3);
	rig_to(1, "mx", "mx");
	rig_answer(at, IPC_ROUTED, tag);
	assert_int_equal(place_of(m, 1), PLACE_LEASED);
	assert_int_equal(place_of(m, 0), PLACE_WAITING);
	assert_null(queue_rcpt(m, 0)->job->destination);
	rig_end();
}

TEST(many_destinations_of_one_message_all_get_what_is_theirs)
{
	static char keys[150][16]; /* more than an answer can part at once */
	struct queue_message *m;
	unsigned seen = 0;

	rig_init();
	rig.options.total = 1000;
	rig_start();
	for (unsigned i = 0; i < COUNT(keys); i++)
		(void)snprintf(keys[i], sizeof keys[i], "mx%u", i);
	m = rig_message(1, COUNT(keys), IPC_STATE_QUEUE);
	rig_turn(3);
	for (unsigned round = 0; round < 40 && m->left; round++) {
		for (unsigned d = 0; d < RIG_DELIVERS; d++) {
			struct rig_frame *f = rig_take(&rig.delivers[d], IPC_ROUTE);

			for (unsigned i = 0; f && i < rig_lease(f)->nrcpts; i++)
				rig_to(rig_lease(f)->rcpts[i].index,
				       keys[rig_lease(f)->rcpts[i].index],
				       keys[rig_lease(f)->rcpts[i].index]);
			if (f)
				rig_answer(&rig.delivers[d], IPC_ROUTED, f->tag);
			rig_free(&f);
			while (m->left && rig_count(&rig.delivers[d], IPC_DISPATCH)) {
				f = rig_take(&rig.delivers[d], IPC_DISPATCH);
				CHECK_INT(round, rig_lease(f)->nrcpts, 1);
				CHECK_STR(round, rig_lease(f)->key,
					  str_of(keys[rig_lease(f)->rcpts[0].index]));
				rig_outcome(rig_lease(f)->rcpts[0].index, IPC_OUTCOME_DONE, "");
				seen++;
				if (seen == COUNT(keys))
					m->pins++; /* look at it once more */
				rig_answer(&rig.delivers[d], IPC_RESULT, f->tag);
				rig_free(&f);
			}
		}
		rig_wait(2 * RIG_SECOND);
	}
	assert_int_equal(seen, COUNT(keys));
	assert_int_equal(m->left, 0);
	queue_unpin(rig.queue, m);
	rig_end();
}

TEST(a_destination_that_all_leave_at_once_is_left_in_order)
{
	rig_begin();
	leased(1, 2);
	/* the own job goes there, and its old destination has nobody */
	rig_to(0, "other", "other");
	rig_outcome(1, IPC_OUTCOME_DEFER, "4.0.0 stays");
	rig_answer(at, IPC_RESULT, tag);
	assert_int_equal(rig.queue->index.destinations.count, 2);
	CHECK_STR(0, queue_destination_key(queue_rcpt(rig_find(1, 0), 1)->job->destination),
		  STR("mx"));
	rig_end();
}

TEST(one_key_with_two_next_hops_is_two_destinations)
{
	struct queue_message *m;

	rig_begin();
	m = routing(1, 2);
	rig_to(0, "mx", "honest");
	rig_to(1, "mx", "evil");
	rig_answer(at, IPC_ROUTED, tag);
	CHECK_STR(0, queue_destination_hop(queue_rcpt(m, 0)->job->destination), STR("honest"));
	CHECK_STR(1, queue_destination_hop(queue_rcpt(m, 1)->job->destination), STR("evil"));
	assert_int_equal(queue_rcpt(m, 0)->job->destination->deliver,
			 queue_rcpt(m, 1)->job->destination->deliver);
	rig_end();
}

/* ---- liars ----------------------------------------------------------------------------------- */

TEST(an_answer_to_what_was_not_lent_changes_nothing)
{
	struct queue_message *m;
	struct rig_peer *other;

	rig_begin();
	m = leased(1, 1);
	other = at == &rig.delivers[0] ? &rig.delivers[1] : &rig.delivers[0];
	rig_outcome(0, IPC_OUTCOME_DONE, "");
	rig_answer(other, IPC_RESULT, tag); /* another process */
	rig_outcome(0, IPC_OUTCOME_DONE, "");
	rig_answer(at, IPC_ROUTED, tag);    /* another kind */
	for (unsigned i = 1; i < 64; i++) { /* other slots, other serials */
		rig_outcome(0, IPC_OUTCOME_DONE, "");
		rig_answer(at, IPC_RESULT, tag ^ (UINT64_C(1) << i));
	}
	assert_int_equal(m->left, 1);
	assert_int_equal(m->job.place, PLACE_LEASED);
	rig_outcome(1, IPC_OUTCOME_DONE, ""); /* no such recipient */
	rig_outcome(4000000000, IPC_OUTCOME_FAIL, "");
	rig_answer(at, IPC_RESULT, tag);
	assert_int_equal(m->left, 1);
	assert_int_equal(m->job.place, PLACE_WAITING);
	rig_end();
}

TEST(of_two_outcomes_for_one_recipient_the_first_counts)
{
	struct queue_message *m;

	rig_begin();
	m = leased(1, 2);
	rig_outcome(0, IPC_OUTCOME_DEFER, "4.0.0 first");
	rig_outcome(0, IPC_OUTCOME_FAIL, "5.0.0 second");
	rig_outcome(1, IPC_OUTCOME_FAIL, "5.0.0 gone");
	rig_outcome(1, IPC_OUTCOME_DONE, "");
	rig_bounce(2, IPC_STATE_QUEUE); /* which would be the end of it, if both counted */
	rig_answer(at, IPC_RESULT, tag);
	rig_turn(5);
	assert_int_equal(m->left, 1);
	assert_int_equal(place_of(m, 0), PLACE_WAITING);
	assert_int_equal(queue_rcpt(m, 1)->state, QUEUE_RCPT_FAILED);
	rig_end();
}

TEST(an_answer_that_comes_twice_counts_once)
{
	struct queue_message *m;

	rig_begin();
	m = leased(1, 2);
	for (unsigned i = 0; i < 2; i++) {
		rig_outcome(0, IPC_OUTCOME_DEFER, "4.0.0 x");
		rig_outcome(1, IPC_OUTCOME_DEFER, "4.0.0 x");
		rig_answer(at, IPC_RESULT, tag);
	}
	assert_int_equal(queue_rcpt(m, 0)->attempts, 1);
	rig_end();
}

TEST(nonsense_instead_of_an_answer_keeps_the_lease)
{
	struct queue_message *m;

	rig_begin();
	m = leased(1, 1);
	assert_true(rig_send(at, IPC_RESULT, tag, STR("\xff\xff nonsense")));
	assert_true(rig_send(at, IPC_RESULT, tag, STR_NONE));
	assert_true(rig_send(at, 999, tag, STR("x")));
	rig_turn(3);
	assert_int_equal(m->job.place, PLACE_LEASED);
	rig_lose(at);
	rig_turn(2);
	assert_int_equal(m->job.place, PLACE_READY);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recipients_of_one_destination_travel_together),
		cmocka_unit_test(each_outcome_takes_its_own_way),
		cmocka_unit_test(who_is_not_named_never_shares_the_way_of_others),
		cmocka_unit_test(many_destinations_of_one_message_all_get_what_is_theirs),
		cmocka_unit_test(a_destination_that_all_leave_at_once_is_left_in_order),
		cmocka_unit_test(one_key_with_two_next_hops_is_two_destinations),
		cmocka_unit_test(an_answer_to_what_was_not_lent_changes_nothing),
		cmocka_unit_test(of_two_outcomes_for_one_recipient_the_first_counts),
		cmocka_unit_test(an_answer_that_comes_twice_counts_once),
		cmocka_unit_test(nonsense_instead_of_an_answer_keeps_the_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
