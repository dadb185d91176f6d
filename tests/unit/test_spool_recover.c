#include "spool_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rnd.h"
#include "spool_record.h"

static struct world w;

enum { LETTERS = 12, BODY = 2500 };

static int begin(void **state)
{
	(void)state;
	world_init(&w);
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

/* fill - letters in as many batches, all in the first segment, all durable; the spool is closed
 * then */
static void fill(void)
{
	for (int i = 0; i < LETTERS; i++) {
		world_send(&w, BODY);
		world_settle(&w);
	}
	world_kill(&w);
}

static struct memory_file *segment(unsigned number)
{
	char name[32];

	snprintf(name, sizeof name, "seg/%08u", number);
	return memory_disk_find(&w.disk, name);
}

static uint8_t *bytes(void)
{
	return segment(w.letters[0].handle.segment)->now;
}

static unsigned found(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.nletters; i++)
		n += w.letters[i].found;
	return n;
}

/* opens - what the test did to the files is on the disk, not in the cache alone */
static bool opens(void)
{
	memory_disk_burn(&w.disk);
	return world_open(&w);
}

static void good(void)
{
	if (!opens())
		fail_msg("%s", w.why.text);
	for (unsigned i = 0; i < w.nletters; i++) {
		assert_true(w.letters[i].found <= 1);
		if (w.letters[i].found)
			assert_true(world_reads(&w, &w.letters[i]));
	}
}

static uint32_t offset_of(unsigned letter)
{
	return w.letters[letter].handle.offset;
}

static void a_torn_tail_is_normal_and_nothing_is_appended_behind_it(void **state)
{
	unsigned segments;
	struct letter *l;

	(void)state;
	fill();
	/* the last batch, as if it had not all been written */
	memset(bytes() + offset_of(LETTERS - 1) + 100, 0, 2000);
	good();
	assert_int_equal(w.damages, 0);
	assert_int_equal(found(), LETTERS - 1);
	segments = w.letters[0].handle.segment;
	l = world_send(&w, 10);
	world_settle(&w);
	assert_int_equal(l->answer, LETTER_DURABLE);
	assert_int_not_equal(l->handle.segment, segments);
	world_kill(&w);
	/* whatever lies there: it was sealed before it */
	memset(bytes() + offset_of(LETTERS - 1) + 100, 'x', 2000);
	good();
	assert_int_equal(w.damages, 0);
	assert_int_equal(found(), LETTERS);
}

static void damage_before_the_tail_is_an_alarm_and_hides_no_other_message(void **state)
{
	(void)state;
	for (unsigned hit = 0; hit < LETTERS - 1; hit++) {
		uint8_t was, *at;

		if (w.nletters == 0)
			fill();
		at = bytes() + offset_of(hit) + SPOOL_RECORD_HEAD + 300;
		was = *at;
		*at ^= 1;
		good();
		assert_int_equal(w.damages, 1);
		assert_int_equal(w.copies, 1);
		assert_int_equal(found(), LETTERS - 1);
		assert_int_equal(w.letters[hit].found, 0);
		world_kill(&w);
		*at = was;
	}
	good();
	assert_int_equal(found(), LETTERS);
}

static void a_batch_whose_head_is_gone_gives_its_records_all_the_same(void **state)
{
	(void)state;
	fill();
	memset(bytes() + (offset_of(4) & ~(SPOOL_BLOCK - 1)), 0, SPOOL_BATCH_HEAD);
	good();
	assert_true(w.damages > 0);
	assert_int_equal(found(), LETTERS);
}

/* Damage in the last batch of a segment that was left behind: where it ends was written down
 * elsewhere. */
static void damage_at_the_end_of_a_closed_segment_is_not_taken_for_a_torn_tail(void **state)
{
	struct letter *next;

	(void)state;
	fill();
	good();
	next = world_send(&w, 10);
	world_settle(&w);
	world_kill(&w);
	memset(bytes() + (offset_of(LETTERS - 1) & ~(SPOOL_BLOCK - 1)), 0xee, SPOOL_BLOCK);
	good();
	assert_true(w.damages > 0);
	assert_int_equal(next->found, 1);
	assert_int_equal(found(), LETTERS);
	assert_int_equal(w.letters[LETTERS - 1].found, 0);
}

/* Whatever byte changes: recovery ends, at most the record it lies in is missing, and what is
 * missing is named. */
static void any_byte_flipped_costs_at_most_its_own_message(void **state)
{
	size_t used;

	(void)state;
	fill();
	good();
	world_send(&w, 10); /* in the next segment: the first one's end is known */
	world_settle(&w);
	world_kill(&w);
	used = offset_of(LETTERS - 1) + SPOOL_BLOCK;
	for (size_t i = 0; i < used; i += i < SPOOL_BLOCK || i % SPOOL_BLOCK < 200 ? 3 : 37) {
		bytes()[i] ^= 0x40;
		good();
		if (found() < LETTERS) {
			fail_msg("byte %zu costs %u messages", i, LETTERS + 1 - found());
		} else if (found() == LETTERS) {
			assert_true(w.damages > 0);
		}
		world_kill(&w);
		bytes()[i] ^= 0x40;
	}
}

/* The two headers of a recycled segment are the same again: one damaged byte does not bring back
 * its last life. */
static void a_damaged_header_of_a_recycled_segment_is_no_matter(void **state)
{
	struct letter *l;
	uint8_t *at;

	(void)state;
	fill();
	good();
	for (unsigned i = 0; i < LETTERS; i++)
		world_done(&w, &w.letters[i]);
	world_settle(&w);
	do {
		l = world_send(&w, 9000);
		world_settle(&w);
		if (l->handle.segment != w.letters[0].handle.segment)
			world_done(&w, l);
		world_settle(&w);
	} while (l->handle.segment != w.letters[0].handle.segment);
	world_kill(&w);
	for (unsigned i = 2; i-- > 0;) /* the one written last first: the other must not be older */
		for (unsigned byte = 0; byte < SPOOL_HEADER_SIZE; byte += 5) {
			at = segment(l->handle.segment)->now + i * SPOOL_HEADER_COPY + byte;
			*at ^= 4;
			good();
			assert_int_equal(found(), 1);
			assert_int_equal(l->found, 1);
			world_kill(&w);
		}
}

static void a_file_cut_anywhere_costs_what_was_behind(void **state)
{
	size_t size, used;

	(void)state;
	fill();
	good();
	world_send(&w, 10);
	world_settle(&w);
	world_kill(&w);
	used = offset_of(LETTERS - 1) + SPOOL_BLOCK;
	size = segment(1)->size;
	assert_int_equal(w.letters[0].handle.segment, 1);
	for (size_t cut = 1; cut < used; cut += 1021) {
		unsigned before = 0;

		for (unsigned i = 0; i < LETTERS; i++)
			before += offset_of(i) + SPOOL_RECORD_HEAD + BODY + 300 <= cut;
		segment(1)->size = segment(1)->disk_size = cut;
		good();
		assert_true(w.damages > 0);
		assert_true(found() >= before + (cut >= SPOOL_BLOCK));
		world_kill(&w);
		segment(1)->size = segment(1)->disk_size = size;
	}
}

static void a_segment_without_a_header_is_left_alone_and_named(void **state)
{
	uint8_t before[64];
	struct letter *l;

	(void)state;
	fill();
	good();
	l = world_send(&w, 10);
	world_settle(&w);
	world_kill(&w);
	memset(segment(1)->now, 0, SPOOL_BLOCK);
	memcpy(before, segment(1)->now + SPOOL_BLOCK, sizeof before);
	good();
	assert_int_equal(found(), 1);
	assert_int_equal(l->found, 1);
	assert_int_equal(w.damages, 1);
	assert_int_equal(world_stats(&w).segments_broken, 1);
	for (int i = 0; i < 40; i++) {
		l = world_send(&w, 9000);
		world_settle(&w);
		world_done(&w, l);
	}
	assert_memory_equal(before, segment(1)->now + SPOOL_BLOCK, sizeof before);
}

static void blocks_swapped_or_repeated_do_not_count_elsewhere(void **state)
{
	uint8_t a[SPOOL_BLOCK], b[SPOOL_BLOCK];

	(void)state;
	fill();
	for (unsigned i = 1; i + 2 < LETTERS; i++) {
		uint8_t *p = bytes() + i * SPOOL_BLOCK, *q = bytes() + (i + 1) * SPOOL_BLOCK;

		memcpy(a, p, sizeof a);
		memcpy(b, q, sizeof b);
		memcpy(p, b, sizeof b);
		memcpy(q, a, sizeof a);
		good();
		assert_true(found() <= LETTERS);
		assert_true(w.damages > 0);
		world_kill(&w);
		memcpy(q, a, sizeof a); /* repeated */
		memcpy(p, a, sizeof a);
		good();
		assert_true(found() <= LETTERS && found() >= LETTERS - 2);
		world_kill(&w);
		memcpy(q, b, sizeof b);
		if (i + 5 < LETTERS) { /* a later one in an earlier place costs what lay there */
			memcpy(p, p + 5 * SPOOL_BLOCK, SPOOL_BLOCK);
			good();
			assert_true(found() >= LETTERS - 1);
			world_kill(&w);
		}
		memcpy(p, a, sizeof a);
	}
	good();
	assert_int_equal(found(), LETTERS);
}

static void blocks_of_an_earlier_life_do_not_count(void **state)
{
	static uint8_t old[128 * 1024];
	unsigned number;

	(void)state;
	fill();
	number = w.letters[0].handle.segment;
	memcpy(old, bytes(), sizeof old);
	good();
	for (unsigned i = 0; i < LETTERS; i++)
		world_done(&w, &w.letters[i]);
	world_settle(&w);
	while (w.letters[w.nletters - 1].handle.segment != number || w.nletters == LETTERS) {
		struct letter *l = world_send(&w, 9000);

		world_settle(&w);
		if (l->handle.segment != number)
			world_done(&w, l);
	}
	world_settle(&w);
	world_kill(&w);
	memcpy(segment(number)->now + 4 * SPOOL_BLOCK, old + 4 * SPOOL_BLOCK,
	       sizeof old - 4 * SPOOL_BLOCK);
	good();
	assert_int_equal(found(), 1);
	assert_int_equal(w.letters[w.nletters - 1].found, 1);
}

/* retype - the record of a letter becomes one of another type, all checksums right */
static void retype(unsigned letter, uint16_t type, uint16_t flags)
{
	char *at = (char *)bytes() + offset_of(letter);
	struct spool_header h;
	struct spool_record r;

	assert_true(spool_header_pick((char *)bytes(), &h) >= 0);
	spool_record_peek(at, &r);
	spool_put16(spool_put16(at + 4, type), flags);
	spool_record_sum(at, spool_seed(h.epoch, h.salt));
}

static void a_record_of_a_newer_release_is_skipped_only_when_it_says_so(void **state)
{
	(void)state;
	fill();
	retype(3, 40, SPOOL_MAY_SKIP);
	good();
	assert_int_equal(found(), LETTERS - 1);
	assert_int_equal(w.damages, 0);
	world_kill(&w);
	retype(3, 40, 0);
	assert_false(opens());
	assert_non_null(strstr(w.why.text, "newer"));
	retype(3, SPOOL_ACCEPT, 0);
	good();
	assert_int_equal(found(), LETTERS);
}

/* A message cannot be made whose body, once its surroundings are damaged, is read as a record of
 * ours. */
static void a_body_that_looks_like_a_record_is_never_one(void **state)
{
	static char body[8192];
	struct letter *l, *fake = world_letter(&w, 10);
	struct spool_accept accept = { .recipients = 1, .envelope = STR("forged\n") };
	struct spool_record r = { .type = SPOOL_ACCEPT, .ordinal = 0 };
	struct spool_variant v;

	(void)state;
	world_answer_to(&w, fake);
	l = world_letter(&w, 0);
	r.id = fake->submit.id;
	r.length = (uint32_t)spool_accept_size(&accept);
	/* the sender guesses everything but the salt */
	for (uint64_t epoch = 1; epoch <= 20; epoch++) {
		char *at = body + (epoch - 1) * 256;

		r.lsn = 1;
		spool_record_put(at, &r);
		spool_accept_put(at + SPOOL_RECORD_HEAD, &accept);
		spool_record_sum(at, spool_seed(epoch, 0));
	}
	v = (struct spool_variant){ .handle = &l->handle };
	v.accept = (struct spool_accept){ .recipients = 3,
					  .envelope = STR("real!\n"),
					  .nextents = 1,
					  .extents = { { body, 0, sizeof body } } };
	world_answer_to(&w, l);
	l->submit.variants = &v;
	l->submit.nvariants = 1;
	assert_true(spool_submit(w.spool, &l->submit));
	world_settle(&w);
	world_send(&w, 10);
	world_settle(&w);
	world_kill(&w);
	memset(segment(l->handle.segment)->now + l->handle.offset, 0, SPOOL_RECORD_HEAD);
	memset(segment(l->handle.segment)->now + (l->handle.offset & ~(SPOOL_BLOCK - 1)), 0,
	       SPOOL_BATCH_HEAD);
	assert_true(opens());
	assert_true(w.damages > 0);
	assert_int_equal(fake->found, 0);
	assert_int_equal(l->found, 0);
}

static void damage_that_cannot_be_copied_keeps_its_segment(void **state)
{
	uint8_t was;

	(void)state;
	fill();
	was = bytes()[offset_of(3) + 100];
	bytes()[offset_of(3) + 100] ^= 1;
	w.disk.space = 0;
	good();
	assert_int_equal(w.damages, 1);
	assert_int_equal(w.copies, 0);
	w.disk.space = 10 << 20;
	w.now += 5000000;
	world_settle(&w);
	for (unsigned i = 0; i < w.nletters; i++)
		if (w.letters[i].found)
			world_done(&w, &w.letters[i]);
	for (int i = 0; i < 40; i++) {
		struct letter *l = world_send(&w, 9000);

		world_settle(&w);
		world_done(&w, l);
	}
	world_settle(&w);
	world_kill(&w);
	bytes()[offset_of(3) + 100] = was;
	assert_true(opens());
	assert_int_equal(w.letters[3].found, 1); /* the operator mended it: it is still there */
}

static void a_file_that_is_no_segment_is_not_touched(void **state)
{
	(void)state;
	fill();
	memory_disk_set(&w.disk, "seg/README", "hello", 5);
	memory_disk_set(&w.disk, "seg/0000000x", "hello", 5);
	good();
	assert_int_equal(w.damages, 0);
	assert_int_equal(found(), LETTERS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(a_torn_tail_is_normal_and_nothing_is_appended_behind_it),
		T(damage_before_the_tail_is_an_alarm_and_hides_no_other_message),
		T(a_batch_whose_head_is_gone_gives_its_records_all_the_same),
		T(damage_at_the_end_of_a_closed_segment_is_not_taken_for_a_torn_tail),
		T(any_byte_flipped_costs_at_most_its_own_message),
		T(a_damaged_header_of_a_recycled_segment_is_no_matter),
		T(a_file_cut_anywhere_costs_what_was_behind),
		T(a_segment_without_a_header_is_left_alone_and_named),
		T(blocks_swapped_or_repeated_do_not_count_elsewhere),
		T(blocks_of_an_earlier_life_do_not_count),
		T(a_record_of_a_newer_release_is_skipped_only_when_it_says_so),
		T(a_body_that_looks_like_a_record_is_never_one),
		T(damage_that_cannot_be_copied_keeps_its_segment),
		T(a_file_that_is_no_segment_is_not_touched),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
