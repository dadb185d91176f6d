/* layer: spool */
#include "spool_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <cmocka.h>

#include "rnd.h"

/* What curl calls torture: every call fails once, and from then on for ever; nothing said durable
 * is lost, nothing refused comes back (but where not even the note that voids it could be written),
 * nothing leaks, no crash. */

static struct world w;

static struct letter *oldest(void)
{
	for (unsigned i = 0; i < w.nletters; i++)
		if (w.letters[i].is_live && !w.letters[i].is_replacing)
			return &w.letters[i];
	return NULL;
}

/* live - a life with everything in it; stops where the spool will not go on */
static void live(void)
{
	struct letter *l;

	if (!world_open(&w))
		return;
	for (int i = 0; i < 12; i++) {
		world_send(&w, i % 3 ? 300 : 20000);
		world_turn(&w, 2);
		l = oldest();
		if (l && i % 4 == 1)
			world_touch(&w, l);
		if (l && i % 4 == 2)
			world_bounce(&w, l, i % 8 == 2);
		if (l && i % 4 == 3)
			world_done(&w, l);
		w.now += 60000;
		world_turn(&w, 2);
	}
	world_settle(&w);
	w.now += 5000000;
	world_settle(&w);
}

static void check(const char *how, unsigned n, bool may_return)
{
	const char *wrong;

	if (!world_open(&w))
		fail_msg("%s at %u: %s", how, n, w.why.text);
	if (w.damages)
		fail_msg("%s at %u: damage: %s", how, n, w.last_damage);
	for (unsigned i = 0; may_return && i < w.nletters; i++)
		if (w.letters[i].answer == LETTER_REFUSED)
			w.letters[i].answer = LETTER_UNSENT;
	wrong = world_check(&w);
	if (wrong)
		fail_msg("%s at %u: %s", how, n, wrong);
}

static void fail_each(int code, bool for_ever, bool syncs_only)
{
	char how[64];
	unsigned total;

	snprintf(how, sizeof how, "errno %d %s%s", code, for_ever ? "for ever" : "once",
		 syncs_only ? ", syncs" : "");
	world_init(&w);
	live();
	total = syncs_only ? w.disk.syncs : w.disk.calls;
	world_fini(&w);
	for (unsigned n = 1; n <= total; n++)
		for (uint64_t keep = 0; keep < 2; keep++) {
			world_init(&w);
			w.disk.fail_at = n;
			w.disk.fail_errno = code;
			w.disk.fails_for_ever = for_ever;
			w.disk.fails_syncs_only = syncs_only;
			w.disk.failed_sync_keeps = keep;
			live();
			world_crash(&w, keep - 1);
			check(how, n, for_ever);
			world_settle(&w);
			world_fini(&w);
		}
}

static void a_call_that_fails_once_loses_nothing(void **state)
{
	(void)state;
	fail_each(EIO, false, false);
	fail_each(ENOSPC, false, false);
}

static void calls_that_fail_for_ever_lose_nothing(void **state)
{
	(void)state;
	fail_each(EIO, true, false);
}

static void a_sync_that_fails_is_never_believed_later(void **state)
{
	(void)state;
	fail_each(EIO, false, true);
	fail_each(EIO, true, true);
}

static int begin(void **state)
{
	(void)state;
	world_init(&w);
	w.options.spare = 2;
	if (!world_open(&w))
		return -1;
	world_send(&w, 10);
	world_settle(&w);
	return 0;
}

static int end(void **state)
{
	(void)state;
	world_fini(&w);
	return 0;
}

static void fail_next_sync(unsigned ahead, bool for_ever)
{
	w.disk.fails_syncs_only = true;
	w.disk.fail_errno = EIO;
	w.disk.fail_at = w.disk.syncs + ahead;
	w.disk.fails_for_ever = for_ever;
}

static void one_failed_sync_refuses_its_batch_and_the_next_one_goes_elsewhere(void **state)
{
	struct letter *a, *b;

	(void)state;
	w.disk.failed_sync_keeps = true;
	fail_next_sync(1, false);
	a = world_send(&w, 500);
	world_turn(&w, 1);
	b = world_send(&w, 500); /* gathers while the sync of a fails */
	world_turn(&w, 1);
	assert_int_equal(a->answer, LETTER_WAITING); /* not before its ABORT is durable */
	world_turn(&w, 1);
	assert_int_equal(a->answer, LETTER_REFUSED);
	assert_int_equal(a->code, 451);
	assert_int_equal(b->answer, LETTER_DURABLE);
	assert_int_equal(world_stats(&w).segments_suspect, 1);
	assert_false(world_stats(&w).is_failing);
	world_crash(&w, UINT64_MAX); /* the refused batch is on disk, whole */
	check("one sync", 1, false);
	assert_int_equal(b->found, 1);
}

/* The kernel says that a page is clean though it never reached the disk: what recovery reads must
 * be what the disk has. */
static void what_the_cache_shows_after_a_failed_sync_is_not_believed(void **state)
{
	struct letter *a;

	(void)state;
	fail_next_sync(1, true);
	a = world_send(&w, 500);
	world_turn(&w, 4);
	assert_int_equal(a->answer, LETTER_REFUSED);
	world_kill(&w); /* no power cut: the cache still shows the batch */
	w.disk.fails_for_ever = false;
	check("cache", 1, false);
	assert_int_equal(a->found, 0);
	assert_int_equal(w.letters[0].found, 1);
}

static void two_failed_syncs_stop_accepting_until_one_works_again(void **state)
{
	struct spool_refusal why;
	struct letter *a, *b, *old = &w.letters[0];

	(void)state;
	fail_next_sync(1, true);
	a = world_send(&w, 500);
	world_turn(&w, 4);
	assert_int_equal(a->answer, LETTER_REFUSED);
	assert_true(world_stats(&w).is_failing);
	assert_false(spool_is_accepting(w.spool, 100, &why));
	assert_int_equal(why.code, 451);
	b = world_send(&w, 500);
	world_turn(&w, 1);
	assert_int_equal(b->answer, LETTER_REFUSED);
	assert_true(world_reads(&w, old)); /* still delivering */
	world_touch(&w, old);
	assert_true(spool_next_timer(w.spool) > w.now && spool_next_timer(w.spool) != SPOOL_NEVER);
	w.disk.fail_at = 0;
	w.now = spool_next_timer(w.spool);
	world_turn(&w, 4);
	assert_false(world_stats(&w).is_failing);
	assert_true(spool_is_accepting(w.spool, 100, &why));
	b = world_send(&w, 500);
	world_settle(&w);
	assert_int_equal(b->answer, LETTER_DURABLE);
	assert_int_equal(old->durable_version, 1);
	world_crash(&w, 0);
	check("two syncs", 1, false);
}

/* killed_at - the process dies with that call; the machine goes on, and so does its cache */
static void killed_at(unsigned call)
{
	w.disk.off_at = w.disk.calls + call;
	world_turn(&w, 3);
	assert_true(w.disk.is_off);
	world_kill(&w);
}

static void what_was_found_in_the_cache_alone_is_on_disk_before_it_is_believed(void **state)
{
	struct letter *a = world_send(&w, 500);

	(void)state;
	killed_at(2); /* written, not synced */
	check("killed", 1, false);
	assert_int_equal(a->found, 1);
	assert_true(world_submit(&w, a));
	world_turn(&w, 1);
	assert_int_equal(a->answer, LETTER_KNOWN); /* and its client hears 250 */
	world_crash(&w, 0);
	check("then no power", 1, false);
}

static void what_a_failed_sync_left_in_the_cache_alone_is_not_believed(void **state)
{
	struct letter *a = world_send(&w, 500);

	(void)state;
	fail_next_sync(1, false);
	killed_at(3); /* before anything could be said about it; the pages are clean now */
	check("killed", 1, false);
	assert_int_equal(a->found, 0);
	assert_true(world_submit(&w, a));
	world_settle(&w);
	assert_int_equal(a->answer, LETTER_DURABLE);
	world_crash(&w, 0);
	check("then no power", 1, false);
}

static void progress_of_a_failed_batch_is_written_again(void **state)
{
	struct letter *old = &w.letters[0], *gone = world_send(&w, 10);

	(void)state;
	world_settle(&w);
	world_touch(&w, old);
	world_done(&w, gone);
	fail_next_sync(1, false);
	world_settle(&w);
	assert_int_equal(w.failures, 1);
	assert_int_equal(old->durable_version, 1);
	world_crash(&w, 0);
	check("progress", 1, false);
	assert_int_equal(old->found_version, 1);
	assert_int_equal(gone->found, 0);
}

static void progress_made_before_a_bounce_that_is_refused_is_not_forgotten(void **state)
{
	struct letter *old = &w.letters[0], *bounce;

	(void)state;
	world_touch(&w, old);
	bounce = world_bounce(&w, old, false);
	fail_next_sync(1, false);
	world_settle(&w);
	assert_int_equal(bounce->answer, LETTER_REFUSED);
	assert_true(old->durable_version > 0);
	world_crash(&w, 0);
	check("bounce", 1, false);
	assert_int_equal(bounce->found, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_fails_once_loses_nothing),
		cmocka_unit_test(calls_that_fail_for_ever_lose_nothing),
		cmocka_unit_test(a_sync_that_fails_is_never_believed_later),
		T(one_failed_sync_refuses_its_batch_and_the_next_one_goes_elsewhere),
		T(what_the_cache_shows_after_a_failed_sync_is_not_believed),
		T(two_failed_syncs_stop_accepting_until_one_works_again),
		T(what_was_found_in_the_cache_alone_is_on_disk_before_it_is_believed),
		T(what_a_failed_sync_left_in_the_cache_alone_is_not_believed),
		T(progress_of_a_failed_batch_is_written_again),
		T(progress_made_before_a_bounce_that_is_refused_is_not_forgotten),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
