#include "spool_replay.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "rnd.h"
#include "spool_world.h"

/* What the operator's tools see: a spool that nobody runs, or a copy of it, read and never
 * written. */

static struct world w;
static unsigned views, damages, troubles, suspects;
static char text[4][64];
static struct spool_damage last;

static int begin(void **state)
{
	(void)state;
	views = damages = troubles = suspects = 0;
	world_init(&w);
	return world_open(&w) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	world_fini(&w);
	return 0;
}

static int see(void *arg, const struct spool_replay_view *v)
{
	(void)arg;
	assert_true(views < 4);
	troubles += v->slot_trouble != NULL;
	str_copy(text[views++], sizeof *text, v->accept->envelope);
	return 0;
}

static void hurt(void *arg, const struct spool_damage *d)
{
	(void)arg;
	damages++;
	last = *d;
}

static void look(bool is_checking)
{
	struct spool_replay *r;
	struct fault why;
	unsigned syncs = w.disk.syncs;

	r = spool_replay_new(&w.disk.file, &why);
	assert_non_null(r);
	r->damage = hurt;
	r->is_checking = is_checking;
	assert_int_equal(spool_replay_open(r, &why), 0);
	assert_int_equal(spool_replay_run(r, &why), 0);
	assert_int_equal(spool_replay_each(r, see, NULL, &why), 0);
	for (unsigned i = 1; i <= r->nsegments; i++)
		suspects += r->segments[i].is_suspect;
	spool_replay_free(&r);
	assert_int_equal(w.disk.syncs, syncs);
	assert_int_equal(memory_disk_unsynced(&w.disk), 0);
}

static void living_messages_are_seen_and_nothing_is_written(void **state)
{
	struct letter *a;

	(void)state;
	a = world_send(&w, 100);
	world_send(&w, 5000);
	world_settle(&w);
	world_done(&w, a);
	world_settle(&w);
	world_kill(&w);
	look(false);
	assert_int_equal(views, 1);
	assert_string_equal(text[0], "number: 1\n");
	assert_int_equal(damages, 0);
}

static void damage_is_named_by_place_and_message(void **state)
{
	struct letter *a, *b;

	(void)state;
	a = world_send(&w, 100);
	world_settle(&w);
	b = world_send(&w, 100);
	world_settle(&w);
	world_kill(&w);
	memory_disk_find(&w.disk, "seg/00000001")->now[a->handle.offset + 80] ^= 1;
	memory_disk_burn(&w.disk);
	look(false);
	assert_int_equal(views, 1);
	assert_int_equal(damages, 1);
	assert_int_equal(last.segment, 1);
	assert_int_equal(last.offset, a->handle.offset);
	assert_int_not_equal(last.offset, b->handle.offset);
}

static void a_segment_whose_sync_failed_is_told_apart(void **state)
{
	(void)state;
	world_send(&w, 100);
	world_settle(&w);
	w.disk.fails_syncs_only = true;
	w.disk.fail_errno = EIO;
	w.disk.fail_at = w.disk.syncs + 1;
	world_send(&w, 100); /* refused */
	world_settle(&w);
	world_send(&w, 100);
	world_settle(&w);
	world_kill(&w);
	look(false);
	assert_int_equal(views, 2);
	assert_int_equal(suspects, 1);
}

static void moved(void *arg)
{
	(void)arg;
}

static void a_slot_with_other_bytes_is_found_by_checking(void **state)
{
	struct spool_refusal why;
	struct spool_slot *slot;
	struct letter *l = world_letter(&w, 0);
	struct spool_variant v = { .handle = &l->handle };

	(void)state;
	world_settle(&w);
	slot = spool_slot_open(w.spool, moved, NULL, &why);
	spool_slot_append(w.spool, slot, STR("a body of some length"));
	v.accept = (struct spool_accept){ .recipients = 1,
					  .envelope = STR("slot\n"),
					  .nextents = 1,
					  .extents = { { NULL, 0, 21 } } };
	world_answer_to(&w, l);
	l->submit.variants = &v;
	l->submit.nvariants = 1;
	l->submit.slot = slot;
	assert_true(spool_submit(w.spool, &l->submit));
	world_settle(&w);
	assert_int_equal(l->answer, LETTER_DURABLE);
	world_kill(&w);
	look(true);
	assert_int_equal(troubles, 0);
	memory_disk_set(&w.disk, l->handle.slot == 1 ? "big/00/0001" : "big/00/0002",
			"a body of some lengTh", 21);
	views = 0;
	look(false);
	assert_int_equal(troubles, 0);
	views = 0;
	look(true);
	assert_int_equal(troubles, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(living_messages_are_seen_and_nothing_is_written),
		T(damage_is_named_by_place_and_message),
		T(a_segment_whose_sync_failed_is_told_apart),
		T(a_slot_with_other_bytes_is_found_by_checking),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
