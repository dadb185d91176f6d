/* layer: spool */
#include "spool_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rnd.h"
#include "spool_core.h"

static struct world w;

static int begin(void **state)
{
	(void)state;
	world_init(&w);
	return world_open(&w) ? 0 : -1;
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
	assert_int_equal(w.damages, 0);
}

/* sent - durable, however often it must be tried: 452 for a moment is no refusal for ever */
static struct letter *sent(size_t body)
{
	for (int i = 0; i < 40; i++) {
		struct letter *l = world_send(&w, body);

		world_settle(&w);
		if (l->answer == LETTER_DURABLE)
			return l;
		w.now += 100000;
	}
	fail_msg("refused although what lives would fit");
	return NULL;
}

/* scattered - letters of which every fourth stays, until nothing but compaction makes room */
static unsigned scattered(struct letter **stay, unsigned max)
{
	unsigned n = 0;

	while (n < max) {
		struct letter *l[4];

		for (int i = 0; i < 4; i++)
			l[i] = sent(6000);
		for (int i = 1; i < 4; i++)
			world_done(&w, l[i]);
		stay[n++] = l[0];
	}
	world_settle(&w);
	return n;
}

static void mail_that_stays_everywhere_does_not_stop_acceptance(void **state)
{
	enum { STAY = 60 }; /* 60 * 6 KiB of the 768 KiB that mail may fill */
	struct letter *stay[STAY];

	(void)state;
	scattered(stay, STAY);
	for (int i = 0; i < 400; i++)
		world_done(&w, sent(6000));
	assert_true(world_stats(&w).moved > STAY);
	assert_true(world_stats(&w).segments <= 8);
	for (int i = 0; i < STAY; i++)
		assert_true(world_reads(&w, stay[i]));
	for (int twice = 0; twice < 2; twice++) {
		world_settle(&w);
		world_crash(&w, 0);
		reopen();
		for (int i = 0; i < STAY; i++)
			assert_int_equal(stay[i]->found, 1);
		assert_int_equal(world_stats(&w).live, STAY);
	}
}

static void what_was_moved_has_its_latest_state_and_makes_progress_as_before(void **state)
{
	enum { STAY = 40 };
	struct letter *stay[STAY];

	(void)state;
	scattered(stay, STAY);
	for (int i = 0; i < STAY; i++)
		world_touch(&w, stay[i]);
	world_settle(&w);
	for (int i = 0; i < 300; i++)
		world_done(&w, sent(6000));
	world_settle(&w);
	world_crash(&w, 0);
	reopen();
	for (int i = 0; i < STAY; i++) {
		assert_int_equal(stay[i]->found_version, 1);
		if (i % 2)
			world_touch(&w, stay[i]);
		else
			world_done(&w, stay[i]);
	}
	world_settle(&w);
	world_crash(&w, 0);
	reopen();
	for (int i = 0; i < STAY; i++) {
		assert_int_equal(stay[i]->found, i % 2);
		assert_int_equal(stay[i]->found_version, i % 2 ? 2 : 1);
	}
}

/* moving - turns until one of them is being moved */
static struct letter *moving(struct letter **stay, unsigned n)
{
	struct letter *l = NULL;

	for (int turns = 0; turns < 2000; turns++) {
		if (l && l->answer == LETTER_DURABLE)
			world_done(&w, l);
		if (!l || l->answer != LETTER_WAITING)
			l = world_send(&w, 6000);
		world_turn(&w, 1);
		for (unsigned i = 0; i < n; i++)
			if (stay[i]->handle.phase == SPOOL_PHASE_MOVING)
				return stay[i];
	}
	fail_msg("nothing is moved");
	return NULL;
}

static void a_message_that_ends_while_it_is_moved_is_gone_at_both_places(void **state)
{
	enum { STAY = 60 };
	struct letter *stay[STAY], *l;

	(void)state;
	scattered(stay, STAY);
	l = moving(stay, STAY);
	world_done(&w, l);
	world_settle(&w);
	world_crash(&w, 0);
	reopen();
	assert_int_equal(l->found, 0);
}

static void a_touch_while_it_is_moved_is_noted_afterwards(void **state)
{
	enum { STAY = 60 };
	struct letter *stay[STAY], *l;

	(void)state;
	scattered(stay, STAY);
	l = moving(stay, STAY);
	world_touch(&w, l);
	world_settle(&w);
	assert_int_equal(l->durable_version, 1);
	world_crash(&w, 0);
	reopen();
	assert_int_equal(l->found_version, 1);
}

static void a_bounce_waits_until_what_it_reports_has_been_moved(void **state)
{
	enum { STAY = 60 };
	struct letter *stay[STAY], *l, *bounce;
	unsigned rooms;

	(void)state;
	scattered(stay, STAY);
	l = moving(stay, STAY);
	rooms = w.rooms;
	assert_null(world_bounce(&w, l, true));
	world_turn(&w, 1);
	assert_true(w.rooms > rooms);
	bounce = world_bounce(&w, l, true);
	assert_non_null(bounce);
	world_settle(&w);
	assert_int_equal(bounce->answer, LETTER_DURABLE);
	world_crash(&w, 0);
	reopen();
	assert_int_equal(l->found, 0);
	assert_int_equal(bounce->found, 1);
}

static void a_move_that_fails_changes_nothing(void **state)
{
	enum { STAY = 60 };
	struct letter *stay[STAY], *l;
	unsigned segment;

	(void)state;
	scattered(stay, STAY);
	l = moving(stay, STAY);
	segment = l->handle.segment;
	w.disk.fails_syncs_only = true;
	w.disk.fail_errno = 5;
	w.disk.fail_at = w.disk.syncs + 1;
	w.disk.fails_for_ever = true;
	world_turn(&w, 1);
	w.disk.fail_at = 0;
	assert_true(w.failures > 0);
	assert_int_equal(l->handle.segment, segment);
	assert_true(world_reads(&w, l));
	world_settle(&w);
	world_crash(&w, 0);
	reopen();
	for (int i = 0; i < STAY; i++)
		assert_int_equal(stay[i]->found, 1);
}

static bool is_read;

static void loaded(struct spool_load *l, bool is_good)
{
	(void)l;
	is_read = is_good;
}

/* A cold read takes its time; meanwhile the message moves, and its segment could be used again. */
static void a_segment_is_not_used_again_under_a_reader(void **state)
{
	enum { STAY = 60 };
	struct letter *stay[STAY];
	struct spool_load load = { .done = loaded };
	struct spool_segment *in;

	(void)state;
	scattered(stay, STAY);
	w.disk.is_cold = true;
	load.handle = &moving(stay, STAY)->handle;
	load.to = malloc(spool_load_size(load.handle));
	is_read = false;
	assert_int_equal(spool_load(w.spool, &load), STEP_MORE);
	in = load.segment;
	assert_true(in->readers > 0);
	world_turn(&w, 1);
	assert_true(is_read);
	w.disk.is_cold = false;
	free(load.to);
	world_settle(&w);
}

/* Nobody can copy what the disk will not give: its segment stays, the others are emptied. */
static void an_unreadable_message_stops_no_other(void **state)
{
	enum { STAY = 60 };
	struct letter *stay[STAY];
	struct memory_file *f;
	unsigned segment;
	char path[24];

	(void)state;
	scattered(stay, STAY);
	segment = stay[0]->handle.segment;
	spool_segment_path(path, segment);
	f = memory_disk_find(&w.disk, path);
	for (int i = 0; i < STAY; i++)
		if (i == 0) {
			f->now[stay[i]->handle.offset + 200] ^= 1;
		} else if (stay[i]->handle.segment == segment) {
			world_done(&w, stay[i]); /* so that it is the emptiest */
		}
	w.failures = 0;
	for (int i = 0; i < 300; i++)
		world_done(&w, sent(6000));
	assert_int_equal(w.failures, 1);
	assert_int_equal(stay[0]->handle.segment, segment);
	for (int i = 0; i < STAY; i++)
		if (stay[i]->is_live)
			assert_int_equal(world_reads(&w, stay[i]), i != 0);
}

/* I13: the segment with the MOVE is not used again before its word about the old place has been
 * carried forward. */
static void where_it_was_is_held_by_where_it_is(void **state)
{
	enum { STAY = 60 };
	struct letter *stay[STAY];
	struct spool_segment *from = NULL;

	(void)state;
	scattered(stay, STAY);
	for (int i = 0; i < 200 && w.spool->mover.state == SPOOL_MOVER_IDLE; i++) {
		world_send(&w, 6000);
		world_turn(&w, 1);
	}
	assert_int_equal(w.spool->mover.state, SPOOL_MOVER_READING);
	from = w.spool->mover.source;
	spool_segment_hold_only(from, 0);
	while (list_is_empty(&w.spool->batches[0].moving) &&
	       list_is_empty(&w.spool->batches[1].moving))
		world_turn(&w, 1);
	assert_true(spool_segment_is_held(from, w.spool->flying->segment->number));
}

static void nothing_is_moved_while_segments_are_plenty(void **state)
{
	struct letter *stay[20];

	(void)state;
	w.options.segments = 64;
	world_kill(&w);
	assert_true(world_open(&w));
	scattered(stay, 20);
	assert_int_equal(world_stats(&w).moved, 0);
}

static void sizes_fit_into_twelve_bits(void **state)
{
	(void)state;
	for (size_t size = 1; size < 40000; size++) {
		size_t back = spool_size_unpack(spool_size_pack(size));

		assert_true(spool_size_pack(size) < 4096 && back >= size);
		assert_true(back - size < 64 || (size >= 16384 && back - size < size / 256 + 1));
	}
	for (size_t size = 40000; size < SPOOL_BODY_MAX; size += size / 300) {
		size_t back = spool_size_unpack(spool_size_pack(size));

		assert_true(back >= size && back - size < size / 256 + 1);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(mail_that_stays_everywhere_does_not_stop_acceptance),
		T(what_was_moved_has_its_latest_state_and_makes_progress_as_before),
		T(a_message_that_ends_while_it_is_moved_is_gone_at_both_places),
		T(a_touch_while_it_is_moved_is_noted_afterwards),
		T(a_bounce_waits_until_what_it_reports_has_been_moved),
		T(a_move_that_fails_changes_nothing),
		T(a_segment_is_not_used_again_under_a_reader),
		T(an_unreadable_message_stops_no_other),
		T(where_it_was_is_held_by_where_it_is),
		T(nothing_is_moved_while_segments_are_plenty),
		cmocka_unit_test(sizes_fit_into_twelve_bits),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
