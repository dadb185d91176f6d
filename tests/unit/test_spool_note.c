#include "spool_note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct spool_place place = { 3, 99, 7 };

static void a_state_comes_back_and_no_cut_of_it_does(void **state)
{
	const uint8_t done[] = { 1, 2 }, failed[] = { 4, 0 };
	struct spool_state s = { done, failed, STR("next hop") }, got;
	struct spool_place at;
	uint16_t recipients;
	char bytes[256];
	size_t n = spool_state_size(10, &s);

	(void)state;
	spool_state_put(bytes, &place, 10, &s);
	assert_true(spool_state_get((struct str){ bytes, n }, &at, &recipients, &got));
	assert_memory_equal(&at, &place, sizeof at);
	assert_int_equal(recipients, 10);
	assert_memory_equal(got.done, done, 2);
	assert_memory_equal(got.failed, failed, 2);
	assert_true(str_eq(got.blob, s.blob));
	for (size_t cut = 0; cut < n; cut++)
		assert_false(spool_state_get((struct str){ bytes, cut }, &at, &recipients, &got));
}

static void finished_ordinals_come_back_and_no_cut_of_them_does(void **state)
{
	struct spool_bits bits;
	char bytes[256], *p = spool_done_put(bytes, &place, 3);
	size_t n = spool_done_size(3);

	(void)state;
	p = spool_put32(p, 5);
	p = spool_put32(p, 0xffffffff);
	spool_put32(p, 6);
	assert_true(spool_done_get((struct str){ bytes, n }, &bits));
	assert_int_equal(bits.place.segment, 3);
	assert_int_equal(bits.place.epoch, 7);
	assert_int_equal(spool_done_at(&bits, 0), 5);
	assert_int_equal(spool_done_at(&bits, 1), 0xffffffff);
	assert_int_equal(spool_done_at(&bits, 2), 6);
	for (size_t cut = 0; cut < n; cut++)
		assert_false(spool_done_get((struct str){ bytes, cut }, &bits));
}

static void the_dead_of_a_segment_come_back_and_no_cut_of_them_does(void **state)
{
	struct spool_bits bits = { place, 70, STR_NONE, 8192, 55 };
	char bytes[256];
	size_t n = spool_dead_size(70);

	(void)state;
	spool_put64(spool_put64(spool_dead_put(bytes, &bits), UINT64_C(1) << 63 | 1), 1 << 5);
	assert_true(spool_dead_get((struct str){ bytes, n }, &bits));
	assert_int_equal(bits.end, 8192);
	assert_int_equal(bits.lsn, 55);
	for (uint32_t i = 0; i < 70; i++)
		assert_int_equal(spool_dead_at(&bits, i), i == 0 || i == 63 || i == 69);
	for (size_t cut = 0; cut < n; cut++)
		assert_false(spool_dead_get((struct str){ bytes, cut }, &bits));
}

static void an_end_comes_back_and_no_cut_of_it_does(void **state)
{
	struct spool_end end = { 3, 7, 4096, 20, 22, 0 }, got = { 0 };
	char bytes[SPOOL_CLOSE_SIZE];

	(void)state;
	spool_end_put(bytes, &end);
	assert_true(spool_end_get((struct str){ bytes, sizeof bytes }, &got));
	assert_int_equal(got.segment, 3);
	assert_int_equal(got.epoch, 7);
	assert_int_equal(got.end, 4096);
	assert_int_equal(got.lsn, 20);
	assert_int_equal(got.upto, 22);
	for (size_t cut = 0; cut < sizeof bytes; cut++)
		assert_false(spool_end_get((struct str){ bytes, cut }, &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_comes_back_and_no_cut_of_it_does),
		cmocka_unit_test(finished_ordinals_come_back_and_no_cut_of_them_does),
		cmocka_unit_test(the_dead_of_a_segment_come_back_and_no_cut_of_them_does),
		cmocka_unit_test(an_end_comes_back_and_no_cut_of_it_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
