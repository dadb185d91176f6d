#include "queue_rig.h"

/* Every arrow of the diagram in queue_index.h; then what a restart keeps. */

static void place_is(unsigned number, enum queue_place place)
{
	struct queue_message *m = rig_find(number, 0);

	assert_non_null(m);
	assert_string_equal(queue_place_name[m->job.place], queue_place_name[place]);
}

static struct rig_peer *router(uint64_t *tag)
{
	for (unsigned i = 0; i < RIG_DELIVERS; i++)
		if (rig_count(&rig.delivers[i], IPC_ROUTE)) {
			*tag = rig_tag(&rig.delivers[i], IPC_ROUTE);
			return &rig.delivers[i];
		}
	fail_msg("nobody routes");
	return NULL;
}

TEST(a_message_goes_from_submit_to_done)
{
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	place_is(1, PLACE_LEASED);
	rig_outcome(0, IPC_OUTCOME_DONE, "2.0.0 ok");
	rig_answer(at, IPC_RESULT, tag);
	assert_null(rig_find(1, 0));
	assert_int_equal(rig.queue->index.destinations.count, 0);
	rig_restart();
	assert_null(rig_find(1, 0));
	rig_end();
}

TEST(a_lease_carries_what_was_submitted)
{
	struct rig_frame *f;
	struct ipc_lease *l;
	struct rig_peer *p;

	rig_begin();
	rig_message(1, 3, IPC_STATE_QUEUE);
	rig_turn(3);
	p = rig_count(&rig.delivers[0], IPC_ROUTE) ? &rig.delivers[0] : &rig.delivers[1];
	f = rig_take(p, IPC_ROUTE);
	l = rig_lease(f);
	assert_int_equal(l->nrcpts, 3);
	assert_int_equal(l->header.n + l->body.n + l->next_hop.n, 0);
	for (unsigned i = 0; i < 3; i++)
		rig_to(i, "k", "h");
	rig_answer(p, IPC_ROUTED, f->tag);
	rig_free(&f);
	f = rig_take(rig_owner("k"), IPC_DISPATCH);
	l = rig_lease(f);
	CHECK_STR(0, l->header, STR("Subject: x\r\n"));
	CHECK_STR(0, l->body, STR("body\r\n"));
	CHECK_STR(0, l->key, STR("k"));
	CHECK_STR(0, l->next_hop, STR("h"));
	assert_int_equal(l->body_length, 6);
	assert_false(l->is_expired);
	rig_free(&f);
	rig_end();
}

TEST(what_is_deferred_waits_and_is_tried_again_at_its_time)
{
	struct rig_peer *at;
	uint64_t tag;
	struct queue_message *m;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	rig_outcome(0, IPC_OUTCOME_DEFER, "4.2.0 busy");
	rig_answer(at, IPC_RESULT, tag);
	place_is(1, PLACE_WAITING);
	m = rig_find(1, 0);
	assert_int_equal(queue_rcpt(m, 0)->attempts, 1);
	CHECK_STR(0, queue_said(m, SAID_LAST), STR("4.2.0 busy"));
	rig_wait(250 * RIG_SECOND); /* 300 s, an eighth less at most */
	place_is(1, PLACE_WAITING);
	rig_wait(100 * RIG_SECOND);
	place_is(1, PLACE_LEASED); /* the route is fresh enough */
	tag = rig_tag(at, IPC_DISPATCH);
	rig_retry(0, 7200 * RIG_SECOND);
	rig_answer(at, IPC_RESULT, tag);
	rig_wait(7190 * RIG_SECOND);
	place_is(1, PLACE_WAITING);
	rig_wait(20 * RIG_SECOND);
	place_is(1, PLACE_ROUTING); /* after an hour `route` is asked again */
	assert_int_equal(queue_rcpt(rig_find(1, 0), 0)->attempts, 2);
	rig_end();
}

TEST(a_route_that_is_put_off_waits_too)
{
	struct rig_peer *p;
	uint64_t tag;

	rig_begin();
	rig_message(1, 1, IPC_STATE_QUEUE);
	rig_turn(2);
	place_is(1, PLACE_ROUTING);
	p = router(&tag);
	rig_outcome(0, IPC_OUTCOME_DEFER, "4.4.3 no answer");
	rig_answer(p, IPC_ROUTED, tag);
	place_is(1, PLACE_WAITING);
	rig_wait(400 * RIG_SECOND);
	place_is(1, PLACE_ROUTING);
	rig_end();
}

TEST(an_answer_that_names_nobody_is_tried_again)
{
	struct rig_peer *at, *p;
	uint64_t tag;

	rig_begin();
	rig_message(1, 1, IPC_STATE_QUEUE);
	rig_turn(2);
	p = router(&tag);
	rig_answer(p, IPC_ROUTED, tag);
	place_is(1, PLACE_WAITING);
	tag = rig_dispatched(2, "mx", &at);
	rig_answer(at, IPC_RESULT, tag);
	place_is(2, PLACE_WAITING);
	assert_int_equal(queue_rcpt(rig_find(2, 0), 0)->attempts, 0);
	rig_end();
}

TEST(held_mail_stays_until_it_is_released)
{
	struct rig_peer *p;
	uint64_t tag;

	rig_begin();
	rig_message(1, 1, IPC_STATE_QUEUE);
	rig_turn(2);
	p = router(&tag);
	rig_outcome(0, IPC_OUTCOME_HOLD, "5.4.4 no route for example");
	rig_answer(p, IPC_ROUTED, tag);
	place_is(1, PLACE_HELD);
	rig_wait(86400 * RIG_SECOND);
	place_is(1, PLACE_HELD);
	rig_restart();
	place_is(1, PLACE_HELD);
	CHECK_STR(0, queue_said(rig_find(1, 0), SAID_LAST), STR("5.4.4 no route for example"));
	rig_end();
}

TEST(mail_that_policy_holds_is_never_scheduled_not_even_after_a_crash)
{
	struct ipc_submit s = { .id = rig_id(1, 0), .nvariants = 3 };
	struct buf b;

	rig_begin();
	for (unsigned i = 0; i < 3; i++)
		s.variants[i] =
			(struct ipc_variant){ (enum ipc_state)((i + 1) % 3),
					      STR("rcpt: a@b\nrcpt: c@d\n"), STR("A: b\r\n") };
	buf_init(&b, IPC_FRAME_MAX);
	assert_true(ipc_submit_encode(&b, &s));
	assert_true(rig_send(&rig.edges[0], IPC_SUBMIT, 1, buf_str(&b)));
	buf_fini(&b);
	(void)rig_tag(&rig.edges[0], IPC_DURABLE);
	for (unsigned round = 0; round < 2; round++) {
		CHECK_INT(round, rig.queue->index.held, 1);
		CHECK_INT(round, rig.queue->index.quarantined, 1);
		CHECK_INT(round, rig_find(1, 0)->left, 2);
		CHECK_STR(0, queue_said(rig_find(1, 0), SAID_LAST), STR("held by policy"));
		CHECK_STR(0, queue_said(rig_find(1, 1), SAID_LAST), STR("quarantined by policy"));
		CHECK_INT(round,
			  rig_count(&rig.delivers[0], IPC_ROUTE) +
				  rig_count(&rig.delivers[1], IPC_ROUTE),
			  1);
		rig_crash(0);
	}
	rig_end();
}

static const struct queue_message plain; /* nothing is said of it */

/* ---- time ------------------------------------------------------------------------------------ */

TEST(each_class_of_failure_has_a_first_wait_of_its_own)
{
	rig_init();
	rig.options.retry_cause_us[IPC_CAUSE_RATE] = 900 * RIG_SECOND;
	rig_start();
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t rate = queue_sched_retry(rig.queue, &plain, 1, IPC_CAUSE_RATE);
		uint64_t grey = queue_sched_retry(rig.queue, &plain, 1, IPC_CAUSE_GREYLIST);

		CHECK(i, rate >= 787 * RIG_SECOND && rate <= 1013 * RIG_SECOND);
		CHECK(i, grey >= 300 * RIG_SECOND && grey <= 375 * RIG_SECOND); /* never early */
		CHECK(i, queue_sched_retry(rig.queue, &plain, 2, IPC_CAUSE_RATE) >=
				 2 * 787 * RIG_SECOND);
	}
	rig_end();
}

TEST(the_wait_doubles_up_to_the_longest_with_an_eighth_of_jitter)
{
	static const struct {
		unsigned attempts;
		uint64_t seconds;
	} rows[] = { { 1, 300 }, { 2, 600 }, { 5, 4800 }, { 7, 14400 }, { 60000, 14400 } };

	rig_begin();
	for (size_t i = 0; i < COUNT(rows); i++)
		for (unsigned k = 0; k < 200; k++) {
			uint64_t wait = queue_sched_retry(rig.queue, &plain, rows[i].attempts,
							  IPC_CAUSE_OTHER),
				 mean = rows[i].seconds * RIG_SECOND;

			CHECK(i, wait >= mean - mean / 8 && wait <= mean + mean / 8);
		}
	rig_end();
}

static bool expires(uint64_t tag, struct rig_peer *at)
{
	struct rig_frame *f;
	bool is_expired;

	rig_retry(0, RIG_SECOND);
	rig_answer(at, IPC_RESULT, tag);
	rig_wait(3 * RIG_SECOND);
	f = rig_take(at, IPC_DISPATCH);
	is_expired = rig_lease(f)->is_expired;
	rig_free(&f);
	return is_expired;
}

TEST(a_message_expires_by_age_and_after_enough_attempts)
{
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	/* older than five days: or so says a clock that stepped */
	rig_find(1, 0)->created -= 500000;
	assert_false(expires(tag, at));
	for (unsigned i = 1; i < 3; i++) {
		tag = ((uint64_t)rig.queue->delivers[at->index].leases[0].serial << 16);
		assert_int_equal(queue_rcpt(rig_find(1, 0), 0)->attempts, i);
		assert_false(expires(tag, at));
	}
	tag = ((uint64_t)rig.queue->delivers[at->index].leases[0].serial << 16);
	assert_true(expires(tag, at));
	rig_end();
}

TEST(what_was_never_routed_expires_as_well)
{
	struct rig_frame *f = NULL;
	struct rig_peer *p;
	uint64_t tag;

	rig_begin();
	rig_message(1, 1, IPC_STATE_QUEUE);
	rig_turn(2);
	rig_find(1, 0)->created -= 500000;
	queue_rcpt(rig_find(1, 0), 0)->attempts = 3;
	p = router(&tag);
	rig_retry(0, RIG_SECOND);
	rig_answer(p, IPC_ROUTED, tag);
	rig_wait(3 * RIG_SECOND);
	for (unsigned i = 0; i < RIG_DELIVERS && !f; i++)
		if ((f = rig_take(&rig.delivers[i], IPC_DISPATCH)))
			p = &rig.delivers[i];
	assert_true(rig_lease(f)->is_expired);
	rig_outcome(0, IPC_OUTCOME_FAIL, "4.4.7 too late");
	rig_bounce(2, IPC_STATE_QUEUE);
	rig_answer(p, IPC_RESULT, f->tag);
	rig_free(&f);
	rig_turn(3);
	assert_null(rig_find(1, 0));
	rig_end();
}

TEST(age_counts_from_the_arrival_whatever_the_envelope_says)
{
	struct ipc_submit s = { .id = rig_id(1, 0), .nvariants = 2 };
	struct buf b;

	rig_begin();
	s.variants[0] = (struct ipc_variant){ IPC_STATE_QUEUE, STR("created: 1000000\nrcpt: a@b\n"),
					      STR_NONE };
	s.variants[1] =
		(struct ipc_variant){ IPC_STATE_QUEUE,
				      STR("created: 18446744073709551615\nrcpt: a@b\n"), STR_NONE };
	buf_init(&b, IPC_FRAME_MAX);
	assert_true(ipc_submit_encode(&b, &s));
	assert_true(rig_send(&rig.edges[0], IPC_SUBMIT, 1, buf_str(&b)));
	buf_fini(&b);
	(void)rig_tag(&rig.edges[0], IPC_DURABLE);
	for (unsigned i = 0; i < 2; i++)
		CHECK(i, queue_now(rig.queue) - rig_find(1, i)->created < 60);
	rig_crash(0);
	assert_int_equal(rig_find(1, 0)->created, 1);              /* that is all that is stored */
	CHECK(0, rig_find(1, 1)->created <= queue_now(rig.queue)); /* none comes from the future */
	rig_end();
}

/* ---- how many at once ------------------------------------------------------------------------ */

static void route_all(const char *(*key)(unsigned i))
{
	for (unsigned i = 0, found = 1; found;) {
		found = 0;
		for (unsigned d = 0; d < RIG_DELIVERS; d++)
			while (rig_count(&rig.delivers[d], IPC_ROUTE)) {
				rig_to(0, key(i), key(i));
				rig_answer(&rig.delivers[d], IPC_ROUTED,
					   rig_tag(&rig.delivers[d], IPC_ROUTE));
				i++;
				found++;
			}
		rig_turn(2);
	}
}

static const char *one_key(unsigned i)
{
	(void)i;
	return "mx";
}

static const char *mostly_one(unsigned i)
{
	return i == 29 ? "small" : "big";
}

static const char *many_keys(unsigned i)
{
	static char key[16];

	(void)snprintf(key, sizeof key, "mx%u", i);
	return key;
}

TEST(what_policy_chose_for_a_message_goes_before_the_settings_and_stays)
{
	struct queue_message *m;
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	rig_schedule(60, 120, 0);
	rig_outcome(0, IPC_OUTCOME_DEFER, "4.0.0 x");
	rig_answer(at, IPC_RESULT, tag);
	for (unsigned round = 0; round < 2; round++) {
		m = rig_find(1, 0);
		for (unsigned i = 0; i < 100; i++) {
			uint64_t first = queue_sched_retry(rig.queue, m, 1, IPC_CAUSE_OTHER);
			uint64_t later = queue_sched_retry(rig.queue, m, 9, IPC_CAUSE_RATE);

			CHECK(i, first >= 52 * RIG_SECOND && first <= 68 * RIG_SECOND);
			CHECK(i, later >= 105 * RIG_SECOND && later <= 135 * RIG_SECOND);
		}
		assert_false(queue_sched_is_expired(rig.queue, &m->job));
		rig_restart();
	}
	m = rig_find(1, 0);
	queue_rcpt(m, 0)->attempts = 9;
	queue_sched_choose(rig.queue, m, &(struct ipc_schedule){ 0, 0, 1000 });
	rig_wait(900 * RIG_SECOND);
	assert_false(queue_sched_is_expired(rig.queue, &m->job));
	rig_wait(200 * RIG_SECOND);
	assert_true(queue_sched_is_expired(rig.queue, &m->job));
	rig_end();
}

TEST(one_senders_flood_does_not_delay_anothers_letter_to_the_same_destination)
{
	const unsigned flood = 200;
	struct rig_peer *p;
	unsigned behind = 0;

	rig_init();
	rig.options.concurrency = 1;
	rig_start();
	rig.sender = "news@flood.example";
	for (unsigned i = 0; i < flood; i++)
		rig_message(i, 1, IPC_STATE_QUEUE);
	rig.sender = "anna@letter.example";
	rig_message(flood, 1, IPC_STATE_QUEUE);
	rig_turn(3);
	route_all(one_key);
	p = rig_owner("mx");
	for (; rig_find(flood, 0) && behind < flood; behind++) {
		rig_outcome(0, IPC_OUTCOME_DONE, "");
		rig_answer(p, IPC_RESULT, rig_tag(p, IPC_DISPATCH));
	}
	assert_true(behind <= 4); /* the one on its way, and its turn */
	rig_end();
}

TEST(a_destination_gets_no_more_than_its_concurrency)
{
	struct rig_peer *p;

	rig_init();
	rig.options.concurrency = 3;
	rig_start();
	for (unsigned i = 0; i < 10; i++)
		rig_message(i, 1, IPC_STATE_QUEUE);
	rig_turn(3);
	route_all(one_key);
	p = rig_owner("mx");
	assert_int_equal(rig_count(p, IPC_DISPATCH), 3);
	rig_outcome(0, IPC_OUTCOME_DONE, "");
	rig_answer(p, IPC_RESULT, rig_tag(p, IPC_DISPATCH));
	rig_turn(2);
	assert_int_equal(rig_count(p, IPC_DISPATCH), 3); /* 2 and the next one */
	rig.options.concurrency = 5;
	queue_options_set(rig.queue, &rig.options);
	rig_turn(2);
	assert_int_equal(rig_count(p, IPC_DISPATCH), 5);
	rig_end();
}

TEST(a_deliver_process_gets_no_more_than_its_total)
{
	rig_init();
	rig.options.total = 4;
	rig_start();
	for (unsigned i = 0; i < 30; i++)
		rig_message(i, 1, IPC_STATE_QUEUE);
	rig_turn(3);
	route_all(many_keys);
	for (unsigned d = 0; d < RIG_DELIVERS; d++)
		CHECK(d, rig_count(&rig.delivers[d], IPC_DISPATCH) <= 4);
	rig_end();
}

TEST(a_small_destination_does_not_wait_behind_a_big_one)
{
	rig_init();
	rig.options.total = 3;
	rig_start();
	for (unsigned i = 0; i < 30; i++)
		rig_message(i, 1, IPC_STATE_QUEUE);
	rig_turn(3);
	route_all(mostly_one);
	for (unsigned n = 0; n < 8; n++) { /* long before the 29 of the big one are through */
		struct rig_peer *p = rig_owner("big");

		if (!rig_count(p, IPC_DISPATCH))
			break;
		rig_outcome(0, IPC_OUTCOME_DONE, "");
		rig_answer(p, IPC_RESULT, rig_tag(p, IPC_DISPATCH));
		rig_turn(2);
	}
	for (unsigned d = 0; d < RIG_DELIVERS; d++) {
		struct rig_frame *f;

		while (rig_count(&rig.delivers[d], IPC_DISPATCH)) {
			f = rig_take(&rig.delivers[d], IPC_DISPATCH);
			if (str_eq(rig_lease(f)->key, STR("small"))) {
				rig_free(&f);
				rig_end();
				return;
			}
			rig_free(&f);
		}
	}
	/* it may have gone among the eight */
	CHECK(0, rig_owner("big") != NULL && rig.queue->index.destinations.count == 1);
	rig_end();
}

TEST(options_may_change_before_there_is_a_spool)
{
	struct queue_options o = { .delivers = 1, .total = 1 };
	struct queue *q;

	rig_init();
	q = queue_new(rig.loop, &o);
	o.total = 0;
	queue_options_set(q, &o);
	rig_start();
	rig_turn(2); /* the loop's: nothing of q runs in it */
	queue_free(&q);
	rig_end();
}

TEST(more_deliver_processes_than_there_can_be_are_cut)
{
	rig_init();
	rig.options.delivers = 1000;
	rig_start();
	assert_int_equal(rig.queue->o.delivers, QUEUE_DELIVERS);
	rig_message(1, 1, IPC_STATE_QUEUE);
	rig_turn(3);
	assert_int_equal(rig_find(1, 0)->job.place, PLACE_ROUTING);
	rig_end();
}

/* ---- restarts -------------------------------------------------------------------------------- */

TEST(a_crash_loses_nothing_that_was_durable)
{
	struct rig_peer *at;
	uint64_t tag;

	for (uint64_t keep = 0; keep < 4; keep++) {
		rig_begin();
		rig_message(1, 1, IPC_STATE_QUEUE); /* routing */
		rig_message(2, 1, IPC_STATE_HOLD);
		tag = rig_dispatched(3, "mx", &at); /* leased */
		(void)tag;
		rig_submit(0, 4, 1, IPC_STATE_QUEUE); /* on its way */
		rig_submit(1, 5, 1, IPC_STATE_QUEUE);
		rig_crash(keep * 0x5555);
		for (unsigned i = 1; i <= 3; i++)
			CHECK(i, rig_find(i, 0) != NULL);
		CHECK_INT(keep, rig_find(2, 0)->job.place, PLACE_HELD);
		CHECK_INT(keep, rig_find(3, 0)->job.place, PLACE_ROUTING);
		rig_end();
	}
}

TEST(attempts_due_times_and_words_survive_a_restart)
{
	struct rig_peer *at;
	uint64_t tag;
	struct queue_message *m;
	uint32_t due;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	rig_vars("vars of a hook");
	rig_outcome(0, IPC_OUTCOME_DEFER, "4.1.0 \x1b[2J later");
	rig_answer(at, IPC_RESULT, tag);
	due = rig_find(1, 0)->job.due;
	rig_restart();
	m = rig_find(1, 0);
	assert_int_equal(queue_rcpt(m, 0)->attempts, 1);
	assert_int_equal(queue_rcpt(m, 0)->job->place, PLACE_WAITING);
	assert_true(queue_rcpt(m, 0)->job->due + 2 >= due && queue_rcpt(m, 0)->job->due <= due + 2);
	CHECK_STR(0, queue_said(m, SAID_LAST), STR("4.1.0 ?[2J later"));
	assert_int_equal(queue_said(m, SAID_VARS).n, 14);
	CHECK_STR(0, queue_destination_key(queue_rcpt(m, 0)->job->destination), STR("mx"));
	rig_wait(400 * RIG_SECOND);
	assert_int_equal(queue_rcpt(m, 0)->job->place, PLACE_ROUTING); /* asked anew */
	rig_end();
}

TEST(a_stored_time_that_a_wrong_clock_made_is_cut)
{
	struct queue_message *m;
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	rig_outcome(0, IPC_OUTCOME_DEFER, "4.1.0 later");
	rig_answer(at, IPC_RESULT, tag);
	m = rig_find(1, 0);
	m->job.due = queue_now(rig.queue) + 400 * 86400;
	queue_progress(rig.queue, m);
	rig_restart();
	m = rig_find(1, 0);
	assert_true(queue_rcpt(m, 0)->job->due <= queue_now(rig.queue) + 31 * 86400);
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_goes_from_submit_to_done),
		cmocka_unit_test(a_lease_carries_what_was_submitted),
		cmocka_unit_test(what_is_deferred_waits_and_is_tried_again_at_its_time),
		cmocka_unit_test(a_route_that_is_put_off_waits_too),
		cmocka_unit_test(an_answer_that_names_nobody_is_tried_again),
		cmocka_unit_test(held_mail_stays_until_it_is_released),
		cmocka_unit_test(mail_that_policy_holds_is_never_scheduled_not_even_after_a_crash),
		cmocka_unit_test(
			what_policy_chose_for_a_message_goes_before_the_settings_and_stays),
		cmocka_unit_test(
			one_senders_flood_does_not_delay_anothers_letter_to_the_same_destination),
		cmocka_unit_test(each_class_of_failure_has_a_first_wait_of_its_own),
		cmocka_unit_test(the_wait_doubles_up_to_the_longest_with_an_eighth_of_jitter),
		cmocka_unit_test(a_message_expires_by_age_and_after_enough_attempts),
		cmocka_unit_test(what_was_never_routed_expires_as_well),
		cmocka_unit_test(age_counts_from_the_arrival_whatever_the_envelope_says),
		cmocka_unit_test(a_destination_gets_no_more_than_its_concurrency),
		cmocka_unit_test(a_deliver_process_gets_no_more_than_its_total),
		cmocka_unit_test(a_small_destination_does_not_wait_behind_a_big_one),
		cmocka_unit_test(options_may_change_before_there_is_a_spool),
		cmocka_unit_test(more_deliver_processes_than_there_can_be_are_cut),
		cmocka_unit_test(a_crash_loses_nothing_that_was_durable),
		cmocka_unit_test(attempts_due_times_and_words_survive_a_restart),
		cmocka_unit_test(a_stored_time_that_a_wrong_clock_made_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
