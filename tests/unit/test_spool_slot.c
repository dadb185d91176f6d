#include "spool_slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rnd.h"
#include "spool_world.h"

static struct world w;
static unsigned moves;

static int begin(void **state)
{
	(void)state;
	world_init(&w);
	moves = 0;
	if (!world_open(&w))
		return -1;
	world_settle(&w);
	return 0;
}

static int end(void **state)
{
	(void)state;
	world_fini(&w);
	return 0;
}

static void moved(void *arg)
{
	(void)arg;
	moves++;
}

static struct spool_slot *open_slot(void)
{
	struct spool_refusal why;

	return spool_slot_open(w.spool, moved, NULL, &why);
}

static char byte_at(uint64_t i)
{
	return (char)('A' + (i * 7 + i / 4099) % 57);
}

/* stream - n bytes as the room allows; the memory that waits never passes the window */
static void stream(struct spool_slot *slot, uint64_t n)
{
	static char chunk[64 * 1024];
	uint64_t at = 0;

	while (at < n) {
		size_t room = spool_slot_room(slot),
		       take = sizeof chunk < n - at ? sizeof chunk : (size_t)(n - at);

		assert_true(room <= SPOOL_SLOT_WINDOW);
		if (take > room)
			take = room;
		for (size_t i = 0; i < take; i++)
			chunk[i] = byte_at(at + i);
		if (take > 0)
			spool_slot_append(w.spool, slot, (struct str){ chunk, take });
		else
			world_turn(&w, 1);
		at += take;
	}
	assert_int_equal(spool_slot_length(slot), n);
}

/* submit - a letter whose body is the slot and a footer; `second`: of a second variant that shares
 * the slot */
static struct letter *submit(struct spool_slot *slot, struct letter *second)
{
	struct letter *l = world_letter(&w, 0);
	struct spool_variant v[2] = { { .handle = &l->handle } };

	v[0].accept = (struct spool_accept){
		.recipients = 3,
		.envelope = STR("big\n"),
		.header = STR("Subject: big\r\n"),
		.nextents = 2,
		.extents = { { NULL, 0, spool_slot_length(slot) }, { "footer", 0, 6 } },
	};
	v[1] = v[0];
	v[1].number = 1;
	if (second)
		v[1].handle = &second->handle;
	world_answer_to(&w, l);
	l->submit.variants = v;
	l->submit.nvariants = second ? 2 : 1;
	l->submit.slot = slot;
	assert_true(spool_submit(w.spool, &l->submit));
	return l;
}

static void body_is_good(struct letter *l, uint64_t n)
{
	char bytes[5000];
	struct spool_read read = { .handle = &l->handle, .to = bytes, .done = world_read_done };

	for (uint64_t at = 0; at < n; at += sizeof bytes) {
		read.offset = at;
		read.length = n - at < sizeof bytes ? (size_t)(n - at) : sizeof bytes;
		if (spool_read(w.spool, &read) == STEP_MORE) { /* sealed */
			unsigned done = world_reads_done;

			world_turn(&w, 1);
			assert_int_equal(world_reads_done, done + 1);
			assert_int_equal(world_reads_failed, 0);
		}
		for (size_t i = 0; i < read.length; i++)
			assert_int_equal(bytes[i], byte_at(at + i));
	}
}

static bool reopen(void)
{
	return world_open(&w);
}

static unsigned free_slots(void)
{
	return world_stats(&w).slots_free;
}

static void fifty_megabytes_pass_through_a_window(void **state)
{
	const uint64_t n = 50 * 1024 * 1024 + 17;
	struct spool_slot *slot = open_slot();
	struct letter *l;

	(void)state;
	stream(slot, n);
	assert_true(moves > 100);
	l = submit(slot, NULL);
	assert_int_equal(l->answer, LETTER_WAITING);
	world_settle(&w);
	assert_int_equal(l->answer, LETTER_DURABLE);
	body_is_good(l, n);
	world_crash(&w, 0);
	assert_true(reopen());
	assert_int_equal(l->found, 1);
	assert_int_equal(w.damages, 0);
	body_is_good(l, n);
}

static void the_slot_is_synced_before_the_message_that_names_it(void **state)
{
	struct spool_slot *slot = open_slot();
	struct letter *l;

	(void)state;
	stream(slot, 100000);
	l = submit(slot, NULL);
	/* a power cut at any moment: the message is not there, or whole */
	while (l->answer == LETTER_WAITING) {
		world_turn(&w, 1);
		if (l->answer == LETTER_DURABLE)
			break;
	}
	world_crash(&w, 0);
	assert_true(reopen());
	assert_int_equal(l->found, 1);
	body_is_good(l, 100000);
}

static void a_crash_before_the_submit_frees_the_slot(void **state)
{
	struct spool_slot *slot = open_slot();
	unsigned before;

	(void)state;
	before = free_slots();
	assert_int_equal(before, w.options.slots - 1);
	stream(slot, 100000);
	world_turn(&w, 3);
	world_crash(&w, UINT64_MAX);
	assert_true(reopen());
	assert_int_equal(free_slots(), w.options.slots);
	assert_int_equal(memory_disk_find(&w.disk, "big/00/0001")->size, 0);
	assert_int_equal(memory_disk_find(&w.disk, "big/00/0002")->size, 0);
}

static void an_aborted_slot_is_free_again_even_while_it_is_written(void **state)
{
	struct spool_slot *slot = open_slot();

	(void)state;
	stream(slot, 100000);
	spool_slot_abort(w.spool, &slot);
	assert_null(slot);
	world_settle(&w);
	assert_int_equal(free_slots(), w.options.slots);
	assert_int_equal(moves, 0);
}

static void slots_run_out_with_452_and_come_back(void **state)
{
	struct spool_slot *a = open_slot(), *b = open_slot();
	struct spool_refusal why;
	struct letter *l;

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_null(spool_slot_open(w.spool, moved, NULL, &why));
	assert_int_equal(why.code, 452);
	assert_false(spool_is_accepting(w.spool, 1 << 20, &why));
	assert_true(spool_is_accepting(w.spool, 1000, &why));
	stream(a, 10);
	l = submit(a, NULL);
	spool_slot_abort(w.spool, &b);
	world_settle(&w);
	assert_int_equal(free_slots(), 1);
	world_done(&w, l);
	world_settle(&w);
	assert_int_equal(free_slots(), 2);
}

static void as_many_as_can_be_written_at_once_are_always_ready(void **state)
{
	struct spool_slot *slots[SPOOL_STREAMS];

	(void)state;
	world_kill(&w);
	w.options.slots = 2 * SPOOL_STREAMS;
	assert_true(reopen());
	for (int burst = 0; burst < 2; burst++) {
		for (int i = 0; i < SPOOL_STREAMS; i++) {
			slots[i] = open_slot();
			assert_non_null(slots[i]);
			stream(slots[i], 10);
		}
		for (int i = 0; i < SPOOL_STREAMS; i++)
			submit(slots[i], NULL);
		world_settle(&w);
	}
}

/* More names are made beside other work, here on a disk that fails: until then fewer are there than
 * the options allow, and nobody is refused for that. */
static void slots_that_are_still_to_be_made_are_accepted(void **state)
{
	struct spool_slot *slots[SPOOL_STREAMS];
	struct spool_refusal why;
	const unsigned group = 256, more = 4;

	(void)state;
	world_kill(&w);
	w.options.slots = group + more;
	assert_true(reopen());
	assert_int_equal(free_slots(), group);
	world_turn(&w, 2); /* how much of the disk is left is known, for a second */
	w.disk.fail_at = w.disk.calls + 1;
	w.disk.fails_for_ever = true;
	w.disk.fail_errno = EIO;
	for (int i = 0; i < SPOOL_STREAMS; i++)
		slots[i] = open_slot();
	for (int i = 0; i < SPOOL_STREAMS; i++)
		spool_slot_abort(w.spool, &slots[i]);
	world_turn(&w, 2); /* what cannot be cleared stays away */
	assert_int_equal(free_slots(), group - SPOOL_STREAMS);
	while (free_slots() > 0)
		assert_non_null(open_slot());
	world_turn(&w, 2);
	assert_null(open_slot());
	w.disk.fail_at = 0;
	assert_true(spool_is_accepting(w.spool, 1 << 20, &why));
	w.now += 2000000;
	world_turn(&w, 2);
	assert_int_equal(free_slots(), more);
	while (free_slots() > 0)
		assert_non_null(open_slot());
	assert_false(spool_is_accepting(w.spool, 1 << 20, &why));
	assert_int_equal(why.code, 452);
}

/* The note that its message is finished must be durable before other bytes are put into the
 * slot. */
static void a_slot_is_not_used_again_before_its_end_is_durable(void **state)
{
	struct spool_slot *slot = open_slot();
	struct letter *l;

	(void)state;
	stream(slot, 100000);
	l = submit(slot, NULL);
	world_settle(&w);
	world_done(&w, l);
	world_turn(&w, 3);
	assert_int_equal(free_slots(), 1);
	world_crash(&w, UINT64_MAX); /* the note is lost: the message is back, and whole */
	assert_true(reopen());
	assert_int_equal(l->found, 1);
	assert_int_equal(w.damages, 0);
	body_is_good(l, 100000);
}

static void variants_share_a_slot_until_the_last_is_finished(void **state)
{
	struct spool_slot *slot = open_slot();
	struct letter *second = world_letter(&w, 0), *l;

	(void)state;
	stream(slot, 5000);
	l = submit(slot, second);
	world_settle(&w);
	second->is_live = true;
	world_done(&w, l);
	world_settle(&w);
	assert_int_equal(free_slots(), 1);
	body_is_good(second, 5000);
	world_done(&w, second);
	world_settle(&w);
	assert_int_equal(free_slots(), 2);
}

static const size_t ruins[] = { 99999, 0 }; /* bytes that are left of 100000 */

static void a_message_whose_slot_is_gone_is_set_aside_and_hurts_no_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ruins / sizeof *ruins; i++) {
		struct letter *other = world_send(&w, 100), *l;
		struct spool_slot *slot = open_slot();
		static char junk[100000];

		stream(slot, 100000);
		l = submit(slot, NULL);
		world_settle(&w);
		assert_int_equal(l->answer, LETTER_DURABLE);
		world_kill(&w);
		memory_disk_set(&w.disk, l->handle.slot == 1 ? "big/00/0001" : "big/00/0002", junk,
				ruins[i]);
		assert_true(reopen());
		assert_int_equal(l->found, 0);
		assert_int_equal(other->found, 1);
		assert_int_equal(w.damages, 1);
		assert_int_equal(w.copies, 1);
		world_settle(&w);
		world_kill(&w);
		/* once is enough: it is finished now, its copy lies in corrupt/ */
		assert_true(reopen());
		assert_int_equal(w.damages, 0);
		assert_int_equal(free_slots(), w.options.slots);
	}
}

static void a_slot_that_cannot_be_written_refuses_its_message_and_no_other(void **state)
{
	struct spool_slot *slot = open_slot();
	struct letter *l, *other;

	(void)state;
	stream(slot, 1000);
	world_turn(&w, 1);
	w.disk.fail_errno = ENOSPC;
	w.disk.fail_at = w.disk.calls + 1;
	l = submit(slot, NULL);
	other = world_send(&w, 10);
	world_settle(&w);
	assert_int_equal(l->answer, LETTER_REFUSED);
	assert_int_equal(other->answer, LETTER_DURABLE);
	assert_int_equal(free_slots(), w.options.slots);
}

static void a_slot_whose_sync_fails_refuses_its_message(void **state)
{
	struct spool_slot *slot = open_slot();
	struct letter *l;

	(void)state;
	stream(slot, 1000);
	world_turn(&w, 2);
	w.disk.fails_syncs_only = true;
	w.disk.fail_errno = EIO;
	w.disk.fail_at = w.disk.syncs + 1;
	l = submit(slot, NULL);
	world_settle(&w);
	assert_int_equal(l->answer, LETTER_REFUSED);
	assert_int_equal(l->code, 451);
	world_crash(&w, UINT64_MAX);
	assert_true(reopen());
	assert_int_equal(l->found, 0);
	assert_int_equal(free_slots(), w.options.slots);
}

static void a_cold_read_goes_to_a_thread_and_comes_back(void **state)
{
	static char bytes[4096];
	struct spool_slot *slot = open_slot();
	struct spool_read read;
	struct letter *l;
	unsigned done;

	(void)state;
	stream(slot, 5000);
	l = submit(slot, NULL);
	world_settle(&w);
	w.disk.is_cold = true;
	read = (struct spool_read){
		.handle = &l->handle, .offset = 900, .to = bytes, .length = sizeof bytes
	};
	read.done = world_read_done;
	assert_int_equal(spool_read(w.spool, &read), STEP_MORE);
	done = world_reads_done;
	world_turn(&w, 1);
	assert_int_equal(world_reads_done, done + 1);
	assert_int_equal(bytes[0], byte_at(900));
	read.offset = 4999; /* beyond what is there */
	assert_int_equal(spool_read(w.spool, &read), STEP_MORE);
	world_turn(&w, 1);
	assert_int_equal(world_reads_failed, 1);
}

/* start_with_failing - false: the start made fewer calls than that */
static bool start_with_failing(unsigned n)
{
	unsigned upto = w.disk.calls + n;

	w.disk.fail_at = upto;
	w.disk.fail_errno = EIO;
	if (world_open(&w)) {
		world_send_slot(&w, 4000);
		world_settle(&w);
	}
	return w.disk.calls >= upto;
}

/* What a start cannot read, the next one can: nothing was written where its body lies. */
static void a_call_that_fails_at_a_start_costs_no_body(void **state)
{
	bool is_reached = true;

	for (unsigned n = 1; is_reached; n++) {
		const char *wrong;

		assert_non_null(world_send_slot(&w, 3000));
		world_settle(&w);
		world_kill(&w);
		is_reached = start_with_failing(n);
		world_kill(&w);
		assert_true(world_open(&w));
		wrong = world_check(&w);
		if (wrong)
			fail_msg("call %u: %s", n, wrong);
		end(state);
		begin(state);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(fifty_megabytes_pass_through_a_window),
		T(the_slot_is_synced_before_the_message_that_names_it),
		T(a_crash_before_the_submit_frees_the_slot),
		T(an_aborted_slot_is_free_again_even_while_it_is_written),
		T(slots_run_out_with_452_and_come_back),
		T(as_many_as_can_be_written_at_once_are_always_ready),
		T(slots_that_are_still_to_be_made_are_accepted),
		T(a_slot_is_not_used_again_before_its_end_is_durable),
		T(variants_share_a_slot_until_the_last_is_finished),
		T(a_message_whose_slot_is_gone_is_set_aside_and_hurts_no_other),
		T(a_slot_that_cannot_be_written_refuses_its_message_and_no_other),
		T(a_slot_whose_sync_fails_refuses_its_message),
		T(a_cold_read_goes_to_a_thread_and_comes_back),
		T(a_call_that_fails_at_a_start_costs_no_body),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
