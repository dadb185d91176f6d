#include "spool_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED 0x12345678u

static const struct spool_record sample = {
	.length = 21,
	.type = SPOOL_ACCEPT,
	.flags = 0,
	.lsn = 77,
	.ordinal = 5,
	.variant = 3,
	.id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
};
static const char payload[] = "twenty-one bytes long";

static size_t put(char *to)
{
	spool_record_put(to, &sample);
	memcpy(to + SPOOL_RECORD_HEAD, payload, sample.length);
	spool_record_place(to, sample.lsn, sample.ordinal);
	spool_record_sum(to, SEED);
	return spool_record_size(sample.length);
}

/* exact - a heap copy of just those bytes, so that a sanitizer sees one byte too far */
static char *exact(const char *from, size_t n)
{
	char *p = malloc(n ? n : 1);

	memcpy(p, from, n);
	return p;
}

static bool reads(const char *bytes, size_t n, uint32_t seed)
{
	char *copy = exact(bytes, n);
	struct str in = { copy, n };
	struct spool_record r;
	bool good =
		spool_record_take(&in, seed, &r) == STEP_DONE && spool_record_is_whole(&r, seed);

	free(copy);
	return good;
}

static void a_record_comes_back_as_written(void **state)
{
	char bytes[128];
	struct str in = { bytes, 0 };
	struct spool_record r;

	(void)state;
	in.n = put(bytes);
	assert_int_equal(spool_record_take(&in, SEED, &r), STEP_DONE);
	assert_int_equal(in.n, 0);
	assert_true(spool_record_is_whole(&r, SEED));
	assert_int_equal(r.type, sample.type);
	assert_int_equal(r.lsn, sample.lsn);
	assert_int_equal(r.ordinal, sample.ordinal);
	assert_int_equal(r.variant, sample.variant);
	assert_true(id_is_eq(&r.id, &sample.id));
	assert_int_equal(r.payload.n, sample.length);
	assert_memory_equal(r.payload.p, payload, sample.length);
}

static void a_record_with_any_bit_flipped_is_refused(void **state)
{
	char bytes[128];
	size_t n = put(bytes), checked = SPOOL_RECORD_HEAD + sample.length;

	(void)state;
	for (size_t i = 0; i < checked * 8; i++) {
		bytes[i / 8] ^= (char)(1 << i % 8);
		assert_false(reads(bytes, n, SEED));
		bytes[i / 8] ^= (char)(1 << i % 8);
	}
	assert_true(reads(bytes, n, SEED));
}

static void a_record_cut_anywhere_asks_for_more_and_consumes_nothing(void **state)
{
	char bytes[128];
	size_t n = put(bytes);

	(void)state;
	for (size_t cut = 0; cut < n; cut++) {
		char *copy = exact(bytes, cut);
		struct str in = { copy, cut };
		struct spool_record r;

		assert_int_equal(spool_record_take(&in, SEED, &r), STEP_MORE);
		assert_int_equal(in.n, cut);
		free(copy);
	}
}

static void a_record_of_another_life_of_the_segment_is_refused(void **state)
{
	char bytes[128];
	size_t n = put(bytes);

	(void)state;
	assert_int_not_equal(spool_seed(1, 9), spool_seed(2, 9));
	assert_int_not_equal(spool_seed(1, 9), spool_seed(1, 8));
	assert_false(reads(bytes, n, SEED + 1));
}

static void a_record_whose_length_runs_over_the_end_asks_for_more(void **state)
{
	char bytes[128];
	struct spool_record r = sample;
	struct str in = { bytes, sizeof bytes };

	(void)state;
	r.length = 21;
	spool_record_put(bytes, &r);
	memset(bytes, 0xff, 4);
	/* the head must be honest about the lie: sum it as it is */
	for (int i = 44; i < 48; i++)
		bytes[i] = 0;
	{
		uint32_t crc = crc32c(SEED, bytes, 44);

		spool_put32(bytes + 44, crc);
	}
	assert_int_equal(spool_record_take(&in, SEED, &r), STEP_MORE);
}

static void a_segment_header_survives_any_damage_to_one_copy(void **state)
{
	struct spool_header old = { .number = 7, .epoch = 41, .salt = 1, .size = 1 << 20 },
			    young = old, got;
	char block[SPOOL_BLOCK] = { 0 };

	(void)state;
	young.epoch = 42;
	young.key[0] = 9;
	spool_header_put(block, &old);
	spool_header_put(block + SPOOL_HEADER_COPY, &young);
	assert_int_equal(spool_header_pick(block, &got), 1);
	assert_int_equal(got.epoch, 42);
	assert_int_equal(got.key[0], 9);
	for (size_t i = 0; i < SPOOL_HEADER_SIZE; i++) {
		block[SPOOL_HEADER_COPY + i] ^= 0x20;
		assert_int_equal(spool_header_pick(block, &got), 0);
		assert_int_equal(got.epoch, 41);
		block[i] ^= 0x01;
		assert_int_equal(spool_header_pick(block, &got), -1);
		block[i] ^= 0x01;
		block[SPOOL_HEADER_COPY + i] ^= 0x20;
		block[i] ^= 0x10;
		assert_int_equal(spool_header_pick(block, &got), 1);
		block[i] ^= 0x10;
	}
}

static void a_batch_head_with_any_bit_flipped_is_refused(void **state)
{
	const struct spool_head head = { 1, 2, 3, 4, 5000, 6, 7, 8 };
	struct spool_head got;
	char bytes[SPOOL_BATCH_HEAD];

	(void)state;
	spool_head_put(bytes, &head);
	assert_true(spool_head_get(bytes, &got));
	assert_memory_equal(&got, &head, sizeof head);
	for (size_t i = 0; i < sizeof bytes * 8; i++) {
		bytes[i / 8] ^= (char)(1 << i % 8);
		assert_false(spool_head_get(bytes, &got));
		bytes[i / 8] ^= (char)(1 << i % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_comes_back_as_written),
		cmocka_unit_test(a_record_with_any_bit_flipped_is_refused),
		cmocka_unit_test(a_record_cut_anywhere_asks_for_more_and_consumes_nothing),
		cmocka_unit_test(a_record_of_another_life_of_the_segment_is_refused),
		cmocka_unit_test(a_record_whose_length_runs_over_the_end_asks_for_more),
		cmocka_unit_test(a_segment_header_survives_any_damage_to_one_copy),
		cmocka_unit_test(a_batch_head_with_any_bit_flipped_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
