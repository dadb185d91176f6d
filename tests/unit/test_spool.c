#include "spool_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rnd.h"

static struct world w;

static int begin(void **state)
{
	(void)state;
	world_init(&w);
	if (!world_open(&w))
		return -1;
	world_settle(&w);
	world_send(&w, 10); /* number 0 */
	world_settle(&w);   /* the first segments are made and filled */
	return 0;
}

static int end(void **state)
{
	(void)state;
	world_fini(&w);
	return 0;
}

static void reopen(void)
{
	const char *wrong;

	assert_true(world_open(&w));
	wrong = world_check(&w);
	if (wrong)
		fail_msg("%s", wrong);
}

static void a_message_is_durable_before_anybody_says_so(void **state)
{
	struct letter *l = world_send(&w, 1000);
	unsigned syncs = w.disk.syncs;

	(void)state;
	assert_int_equal(l->answer, LETTER_WAITING);
	world_turn(&w, 1);
	assert_int_equal(l->answer, LETTER_WAITING);
	assert_int_equal(w.disk.syncs, syncs);
	world_turn(&w, 1);
	assert_int_equal(l->answer, LETTER_DURABLE);
	assert_int_equal(w.disk.syncs, syncs + 1);
	assert_true(world_reads(&w, l));
	world_crash(&w, 0);
	reopen();
	assert_int_equal(l->found, 1);
	assert_int_equal(w.damages, 0);
}

static void many_messages_share_one_sync(void **state)
{
	struct letter *l[50];
	unsigned syncs = w.disk.syncs;

	(void)state;
	for (int i = 0; i < 50; i++)
		l[i] = world_send(&w, 500);
	world_turn(&w, 2);
	for (int i = 0; i < 50; i++)
		assert_int_equal(l[i]->answer, LETTER_DURABLE);
	assert_int_equal(w.disk.syncs, syncs + 1);
}

static void a_message_without_sync_is_not_there_after_a_power_cut(void **state)
{
	struct letter *l = world_send(&w, 1000);

	(void)state;
	world_turn(&w, 1); /* the batch is launched; its job has not run */
	world_crash(&w, 0);
	reopen();
	assert_int_equal(l->found, 0);
}

static void finished_messages_stay_finished(void **state)
{
	struct letter *a = world_send(&w, 1000), *b = world_send(&w, 1000);

	(void)state;
	world_settle(&w);
	world_done(&w, a);
	world_settle(&w);
	world_crash(&w, 0);
	reopen();
	assert_int_equal(a->found, 0);
	assert_int_equal(b->found, 1);
}

static void progress_waits_its_time_and_then_needs_no_company(void **state)
{
	struct letter *l = world_send(&w, 1000);
	unsigned syncs;

	(void)state;
	world_settle(&w);
	syncs = w.disk.syncs;
	world_touch(&w, l);
	spool_turn(w.spool, w.now += 1000);
	assert_int_equal(spool_next_timer(w.spool), w.now + 50000);
	spool_turn(w.spool, w.now += 40000);
	spool_turn(w.spool, w.now);
	assert_int_equal(w.disk.syncs, syncs);
	spool_turn(w.spool, w.now += 10000);
	spool_turn(w.spool, w.now);
	assert_int_equal(w.disk.syncs, syncs + 1);
	assert_int_equal(spool_next_timer(w.spool), SPOOL_NEVER);
	l->durable_version = 1;
	world_crash(&w, 0);
	reopen();
	assert_int_equal(l->found_version, 1);
}

static void progress_goes_with_the_next_batch(void **state)
{
	struct letter *a = world_send(&w, 1000), *b;
	unsigned syncs;

	(void)state;
	world_settle(&w);
	syncs = w.disk.syncs;
	world_touch(&w, a);
	b = world_send(&w, 1000);
	world_turn(&w, 2);
	assert_int_equal(b->answer, LETTER_DURABLE);
	assert_int_equal(w.disk.syncs, syncs + 1);
	world_crash(&w, 0);
	reopen();
	assert_int_equal(a->found_version, 1);
}

static void a_touch_while_the_note_flies_is_noted_again(void **state)
{
	struct letter *l = world_send(&w, 10);

	(void)state;
	world_settle(&w);
	world_touch(&w, l);
	spool_flush(w.spool);
	world_turn(&w, 1);
	world_touch(&w, l);
	world_settle(&w);
	assert_int_equal(l->durable_version, 2);
	world_crash(&w, 0);
	reopen();
	assert_int_equal(l->found_version, 2);
}

static void the_same_id_again_is_known(void **state)
{
	struct letter *a = world_send(&w, 100), *b;

	(void)state;
	world_settle(&w);
	assert_true(world_submit(&w, a)); /* alive */
	assert_int_equal(a->answer, LETTER_WAITING);
	world_turn(&w, 1);
	assert_int_equal(a->answer, LETTER_KNOWN);
	world_done(&w, a);
	assert_true(world_submit(&w, a)); /* finished not long ago */
	world_turn(&w, 1);
	assert_int_equal(a->answer, LETTER_KNOWN);
	b = world_send(&w, 100);
	world_settle(&w);
	world_done(&w, b);
	world_settle(&w);
	world_crash(&w, 0);
	reopen();
	assert_true(world_submit(&w, b)); /* and recovery remembers */
	world_turn(&w, 1);
	assert_int_equal(b->answer, LETTER_KNOWN);
}

static void the_same_id_while_the_first_is_under_way_gets_the_same_answer(void **state)
{
	struct letter *a = world_send(&w, 100), *twin = world_letter(&w, 100);

	(void)state;
	twin->submit =
		(struct spool_submit){ .id = a->submit.id, .nvariants = 0, .done = a->submit.done };
	twin->answer = LETTER_WAITING;
	assert_true(spool_submit(w.spool, &twin->submit));
	world_turn(&w, 1);
	assert_int_equal(twin->answer, LETTER_WAITING);
	world_turn(&w, 1);
	assert_int_equal(a->answer, LETTER_DURABLE);
	assert_int_equal(twin->answer, LETTER_KNOWN);
	twin->answer = LETTER_UNSENT;
}

static void a_bounce_and_what_it_reports_are_durable_together(void **state)
{
	struct letter *a = world_send(&w, 100), *b = world_send(&w, 100), *of_a, *of_b;

	(void)state;
	world_settle(&w);
	of_a = world_bounce(&w, a, true);
	of_b = world_bounce(&w, b, false);
	world_turn(&w, 1);
	world_crash(&w, 0); /* before the sync: neither */
	reopen();
	assert_int_equal(a->found + b->found, 2);
	assert_int_equal(of_a->found + of_b->found, 0);
	assert_int_equal(b->found_version, 0);
	of_a = world_bounce(&w, a, true);
	of_b = world_bounce(&w, b, false);
	world_turn(&w, 2);
	assert_int_equal(of_a->answer, LETTER_DURABLE);
	world_crash(&w, 0); /* after: both */
	reopen();
	assert_int_equal(a->found, 0);
	assert_int_equal(b->found_version, 1);
	assert_int_equal(of_a->found + of_b->found, 2);
}

static void a_full_batch_asks_to_wait_and_says_when(void **state)
{
	unsigned sent = 0;
	struct letter *l;

	(void)state;
	while ((l = world_send(&w, 8000)))
		sent++;
	assert_true(sent > 5 && sent < 16);
	assert_int_equal(w.rooms, 0);
	world_turn(&w, 1);
	assert_int_equal(w.rooms, 1);
	assert_non_null(world_send(&w, 8000));
	world_settle(&w);
	world_crash(&w, 0);
	reopen();
}

static void a_message_beyond_the_bounds_is_refused_and_hurts_no_other(void **state)
{
	static char big[SPOOL_HEADER_MAX + 1];
	static const struct {
		struct str header;
		uint16_t recipients;
		int code;
	} samples[] = {
		/* more than these small segments hold */
		{ { big, SPOOL_HEADER_MAX }, 1, 452 },
		{ { big, SPOOL_HEADER_MAX + 1 }, 1, 451 },
		{ { big, 10 }, 0, 451 },
		{ { big, 10 }, SPOOL_RECIPIENTS + 1, 451 },
	};
	struct letter *good = world_send(&w, 60000);

	(void)state;
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		struct letter *l = world_letter(&w, 0);
		struct spool_variant v = { .handle = &l->handle };

		v.accept.recipients = samples[i].recipients;
		v.accept.header = samples[i].header;
		l->submit = (struct spool_submit){ .id = { { (uint8_t)i, [8] = 0xff, 0xff, 0xff } },
						   .variants = &v,
						   .nvariants = 1,
						   .done = good->submit.done };
		l->answer = LETTER_WAITING;
		assert_true(spool_submit(w.spool, &l->submit));
		world_turn(&w, 1);
		assert_int_equal(l->answer, LETTER_REFUSED);
		assert_int_equal(l->code, samples[i].code);
	}
	world_settle(&w);
	assert_int_equal(good->answer, LETTER_DURABLE);
}

/* More than the spool holds passes through, its segments are used again and again, nothing comes
 * back to life. */
static void recycled_segments_do_not_resurrect_what_was_in_them(void **state)
{
	struct letter *keep = world_send(&w, 3000);
	struct spool_stats stats;

	(void)state;
	world_settle(&w);
	for (int round = 0; round < 40; round++) {
		struct letter *l[10];

		for (int i = 0; i < 10; i++)
			l[i] = world_send(&w, 5000);
		world_settle(&w);
		for (int i = 0; i < 10; i++) {
			assert_int_equal(l[i]->answer, LETTER_DURABLE);
			world_done(&w, l[i]);
		}
		world_settle(&w);
	}
	stats = world_stats(&w);
	assert_true(stats.segments <= 4);
	for (int i = 0; i < 3; i++) {
		world_crash(&w, 0);
		reopen();
		assert_int_equal(keep->found, 1);
		assert_int_equal(w.damages, 0);
		assert_int_equal(world_stats(&w).live, 2);
	}
}

static void pass_through(unsigned n)
{
	while (n--) {
		struct letter *l = world_send(&w, 8000);

		world_settle(&w);
		assert_int_equal(l->answer, LETTER_DURABLE);
		world_done(&w, l);
	}
	world_settle(&w);
}

/* I13: notes about the living stand in a segment all of whose own messages are finished; it is
 * reused; they are not forgotten. */
static void notes_are_carried_forward_before_their_segment_is_used_again(void **state)
{
	struct letter *old[8], *pin;
	unsigned number = w.letters[0].handle.segment;

	(void)state;
	for (int i = 0; i < 8; i++)
		old[i] = world_send(&w, 3000);
	world_settle(&w);
	/* leave their segment; a letter that stays keeps the next one, in which stands where theirs
	 * ends */
	do {
		pin = world_send(&w, 8000);
		world_settle(&w);
	} while (pin->handle.segment == number);
	pass_through(20);
	/* so that this, and nothing else about them, stands in a third */
	for (int i = 0; i < 4; i++)
		world_done(&w, old[i]);
	pass_through(20);
	world_touch(&w, old[5]);
	world_touch(&w, old[6]);
	pass_through(200); /* every segment that may be is recycled many times */
	assert_true(world_stats(&w).segments <= 6);
	world_crash(&w, 0);
	reopen();
	for (int i = 0; i < 8; i++)
		assert_int_equal(old[i]->found, i >= 4);
	assert_int_equal(old[5]->found_version, 1);
	assert_int_equal(old[4]->found_version, 0);
}

static void a_full_spool_refuses_new_mail_and_still_drains(void **state)
{
	struct spool_refusal why;
	struct letter *l, *bounce;
	unsigned sent = 0;

	(void)state;
	w.options.segments = 3;
	world_kill(&w);
	reopen();
	for (;;) {
		l = world_send(&w, 20000);
		world_settle(&w);
		if (l->answer != LETTER_DURABLE)
			break;
		sent++;
	}
	assert_int_equal(l->answer, LETTER_REFUSED);
	assert_int_equal(l->code, 452);
	assert_false(spool_is_accepting(w.spool, 20000, &why));
	assert_int_equal(why.code, 452);
	assert_true(sent >= 4);
	do { /* what is left of its segment */
		l = world_send(&w, 100);
		world_settle(&w);
	} while (l->answer == LETTER_DURABLE);
	bounce = world_bounce(&w, &w.letters[0], true); /* refused as well: it is not urgent */
	world_settle(&w);
	assert_int_equal(bounce->answer, LETTER_REFUSED);
	/* while it drains, progress finds room in the reserve */
	for (unsigned i = 0; i < sent; i++) {
		world_touch(&w, &w.letters[i]);
		world_settle(&w);
		assert_int_equal(w.letters[i].durable_version, w.letters[i].version);
	}
	for (unsigned i = 0; i < sent; i++) {
		world_done(&w, &w.letters[i]);
		world_settle(&w);
	}
	assert_true(spool_is_accepting(w.spool, 20000, &why));
	l = world_send(&w, 20000);
	world_settle(&w);
	assert_int_equal(l->answer, LETTER_DURABLE);
	world_crash(&w, 0);
	reopen();
}

static void a_disk_without_space_means_452_and_accepts_again_when_there_is_some(void **state)
{
	struct spool_refusal why;
	struct letter *l;

	(void)state;
	w.disk.space = 1000;
	do {
		l = world_send(&w, 20000);
		world_settle(&w);
		w.now += 2000000;
	} while (l->answer == LETTER_DURABLE);
	assert_int_equal(l->code, 452);
	assert_false(spool_is_accepting(w.spool, 20000, &why));
	w.disk.space = 10 << 20;
	world_turn(&w, 1);
	w.now += 2000000;
	world_turn(&w, 5);
	assert_true(spool_is_accepting(w.spool, 20000, &why));
	l = world_send(&w, 20000);
	world_settle(&w);
	assert_int_equal(l->answer, LETTER_DURABLE);
}

/* Nobody calls but for the timer: nothing is committed while nothing is accepted. */
static void an_idle_spool_notices_that_there_is_space_again(void **state)
{
	const uint64_t soon = 5000000;
	struct spool_refusal why;
	uint64_t since;

	(void)state;
	w.disk.space = 1000;
	w.now += soon;
	world_turn(&w, 5);
	assert_false(spool_is_accepting(w.spool, 1 << 20, &why));
	assert_int_equal(why.code, 452);
	w.disk.space = UINT64_C(1) << 40;
	since = w.now;
	while (!spool_is_accepting(w.spool, 1 << 20, &why)) {
		uint64_t next = spool_next_timer(w.spool);

		assert_true(next <= since + soon);
		w.now = next > w.now ? next : w.now;
		world_turn(&w, 2); /* asked, and answered */
	}
	assert_true(w.now <= since + soon);
	world_turn(&w, 2);
	assert_int_equal(spool_next_timer(w.spool), SPOOL_NEVER);
}

static void a_batch_waits_for_company_only_while_many_send(void **state)
{
	struct letter *l;

	(void)state;
	w.options.gather_us = 2000;
	world_kill(&w);
	reopen();
	spool_hint(w.spool, 8);
	l = world_send(&w, 10);
	spool_turn(w.spool, w.now);
	spool_turn(w.spool, w.now);
	assert_int_equal(l->answer, LETTER_DURABLE);
	spool_hint(w.spool, 9);
	l = world_send(&w, 10);
	spool_turn(w.spool, w.now);
	spool_turn(w.spool, w.now + 1999);
	spool_turn(w.spool, w.now + 1999);
	assert_int_equal(l->answer, LETTER_WAITING);
	assert_int_equal(spool_next_timer(w.spool), w.now + 2000);
	spool_turn(w.spool, w.now + 2000);
	spool_turn(w.spool, w.now + 2000);
	assert_int_equal(l->answer, LETTER_DURABLE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(a_message_is_durable_before_anybody_says_so),
		T(many_messages_share_one_sync),
		T(a_message_without_sync_is_not_there_after_a_power_cut),
		T(finished_messages_stay_finished),
		T(progress_waits_its_time_and_then_needs_no_company),
		T(progress_goes_with_the_next_batch),
		T(a_touch_while_the_note_flies_is_noted_again),
		T(the_same_id_again_is_known),
		T(the_same_id_while_the_first_is_under_way_gets_the_same_answer),
		T(a_bounce_and_what_it_reports_are_durable_together),
		T(a_full_batch_asks_to_wait_and_says_when),
		T(a_message_beyond_the_bounds_is_refused_and_hurts_no_other),
		T(recycled_segments_do_not_resurrect_what_was_in_them),
		T(notes_are_carried_forward_before_their_segment_is_used_again),
		T(a_full_spool_refuses_new_mail_and_still_drains),
		T(a_disk_without_space_means_452_and_accepts_again_when_there_is_some),
		T(an_idle_spool_notices_that_there_is_space_again),
		T(a_batch_waits_for_company_only_while_many_send),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
