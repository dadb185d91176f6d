#include "ipc_ring.h"

#include <stdatomic.h>

#include "check.h"

#define SIZE ((uint64_t)IPC_RING_LEAST)

/* Memory of exactly the size of a ring, so that a sanitizer sees a step beside it. */
struct pair {
	struct ipc_ring_shared *shared;
	struct ipc_ring writer, reader;
};

static void begin_at(struct pair *p, uint64_t at)
{
	char *data = malloc(SIZE);

	p->shared = aligned_alloc(64, sizeof *p->shared);
	assert_true(data && p->shared);
	memset(p->shared, 0, sizeof *p->shared);
	memset(data, 0xee, SIZE);
	atomic_store(&p->shared->written, at);
	atomic_store(&p->shared->taken, at);
	p->writer = (struct ipc_ring){ .shared = p->shared, .data = data, .size = SIZE, .at = at };
	p->reader = p->writer;
	p->reader.frame = malloc(ipc_ring_frame_max(SIZE));
	assert_non_null(p->reader.frame);
}

static void finish(struct pair *p)
{
	free(p->writer.data);
	free(p->reader.frame);
	free(p->shared);
}

static enum step put(struct pair *p, struct str payload)
{
	return ipc_ring_put(&p->writer, &(struct ipc_frame){ .type = 7 }, &payload, 1);
}

static char bytes[IPC_RING_LEAST];

static void fill(unsigned seed)
{
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 31 + seed + (i >> 8));
}

TEST(a_frame_comes_out_as_it_went_in_at_every_offset)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 33, 4000 };

	fill(1);
	for (uint64_t offset = 0; offset < SIZE; offset += IPC_RING_ALIGN) {
		struct pair p;

		begin_at(&p,
			 offset == 16 ? UINT64_MAX - 15 : offset); /* the counter itself may wrap */
		for (size_t i = 0; i < COUNT(sizes); i++) {
			struct str parts[] = { { bytes, sizes[i] / 3 },
					       STR_NONE,
					       { bytes + sizes[i] / 3, sizes[i] - sizes[i] / 3 } };
			struct ipc_frame head = { .type = (uint16_t)(i + 1),
						  .flags = 0xabcd,
						  .tag = ~offset };

			CHECK_INT(offset, ipc_ring_put(&p.writer, &head, parts, COUNT(parts)),
				  STEP_DONE);
		}
		for (size_t i = 0; i < COUNT(sizes); i++) {
			struct ipc_frame got;

			CHECK_INT(offset, ipc_ring_take(&p.reader, &got), STEP_DONE);
			CHECK_INT(offset, got.type, i + 1);
			CHECK_INT(offset, got.flags, 0xabcd);
			CHECK(offset, got.tag == ~offset);
			CHECK(offset, str_eq(got.payload, (struct str){ bytes, sizes[i] }));
		}
		CHECK_INT(offset, ipc_ring_take(&p.reader, &(struct ipc_frame){ .type = 0 }),
			  STEP_MORE);
		finish(&p);
	}
}

TEST(a_full_ring_takes_nothing_and_loses_nothing)
{
	size_t n = 0, room;
	struct ipc_frame got;
	struct pair p;

	begin_at(&p, 4096);
	while (put(&p, (struct str){ bytes, 1000 }) == STEP_DONE)
		n++;
	assert_int_equal(n, SIZE / 1024); /* 1000 + 16, aligned to 1024 with it */
	assert_int_equal(ipc_ring_room(&p.writer, &room), STEP_DONE);
	assert_true(room < 1024);
	assert_int_equal(ipc_ring_take(&p.reader, &got), STEP_DONE);
	assert_int_equal(put(&p, (struct str){ bytes, 1000 }), STEP_DONE);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ipc_ring_take(&p.reader, &got), STEP_DONE);
	assert_int_equal(ipc_ring_take(&p.reader, &got), STEP_MORE);
	finish(&p);
}

TEST(the_last_byte_of_room_is_used_and_not_one_more)
{
	struct pair p;
	size_t room;

	for (size_t left = 64; left >= 16; left -= 16) {
		begin_at(&p, 0);
		assert_int_equal(put(&p, (struct str){ bytes, SIZE / 2 - IPC_HEAD }), STEP_DONE);
		assert_int_equal(put(&p, (struct str){ bytes, SIZE / 2 - IPC_HEAD - left }),
				 STEP_DONE);
		assert_int_equal(ipc_ring_room(&p.writer, &room), STEP_DONE);
		CHECK_INT(left, room, left);
		CHECK_INT(left, put(&p, (struct str){ bytes, left - IPC_HEAD + 1 }), STEP_MORE);
		CHECK_INT(left, put(&p, (struct str){ bytes, left - IPC_HEAD }), STEP_DONE);
		CHECK_INT(left, put(&p, STR_NONE), STEP_MORE);
		finish(&p);
	}
}

TEST(the_largest_frame_passes)
{
	size_t most = ipc_ring_frame_max(SIZE) - IPC_HEAD;
	struct ipc_frame got;
	struct pair p;

	begin_at(&p, SIZE - 32);
	fill(9);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(put(&p, (struct str){ bytes, most }), STEP_DONE);
		assert_int_equal(ipc_ring_take(&p.reader, &got), STEP_DONE);
		assert_true(str_eq(got.payload, (struct str){ bytes, most }));
	}
	finish(&p);
}

TEST(one_announcement_of_sleep_earns_one_waking)
{
	struct ipc_frame got;
	struct pair p;

	begin_at(&p, 0);
	assert_int_equal(put(&p, STR("a")), STEP_DONE);
	assert_false(ipc_ring_wakes_reader(&p.writer)); /* awake from the start */
	assert_false(ipc_ring_sleeps(&p.reader));       /* not with a frame waiting */
	assert_int_equal(ipc_ring_take(&p.reader, &got), STEP_DONE);
	assert_true(ipc_ring_sleeps(&p.reader));
	assert_int_equal(put(&p, STR("b")), STEP_DONE);
	assert_int_equal(put(&p, STR("c")), STEP_DONE);
	assert_true(ipc_ring_wakes_reader(&p.writer));
	assert_false(ipc_ring_wakes_reader(&p.writer));
	finish(&p);
}

TEST(a_writer_that_waits_is_woken_when_its_frame_fits_and_a_quarter_is_free)
{
	static const size_t payloads[] = { 0, 1000, 20000, IPC_RING_LEAST / 2 - IPC_HEAD };

	for (size_t i = 0; i < COUNT(payloads); i++) {
		size_t wants = (payloads[i] + IPC_HEAD + 15) / 16 * 16, freed = 0;
		struct ipc_frame got;
		struct pair p;

		wants = wants < SIZE / 4 ? SIZE / 4 : wants;
		begin_at(&p, 0);
		CHECK_INT(i, ipc_ring_wait(&p.writer, payloads[i]), STEP_DONE);
		while (put(&p, (struct str){ bytes, 1008 }) == STEP_DONE)
			;
		CHECK_INT(i, ipc_ring_wait(&p.writer, payloads[i]), STEP_MORE);
		for (; !ipc_ring_wakes_writer(&p.reader); freed += 1024)
			CHECK_INT(i, ipc_ring_take(&p.reader, &got), STEP_DONE);
		CHECK(i, freed >= wants && freed < wants + 1024);
		CHECK_INT(i, ipc_ring_take(&p.reader, &got), STEP_DONE);
		CHECK(i, !ipc_ring_wakes_writer(&p.reader));
		CHECK_INT(i, put(&p, (struct str){ bytes, payloads[i] }), STEP_DONE);
		finish(&p);
	}
}

TEST(a_head_that_makes_no_sense_is_an_error)
{
	static const struct {
		uint64_t written;
		uint32_t size;
		enum step want;
	} samples[] = {
		{ 0, 0, STEP_MORE },
		{ 16, 16, STEP_DONE },
		{ 32, 17, STEP_DONE },
		{ 32, 16, STEP_DONE },
		{ 32, 0, STEP_ERROR },
		{ 32, 15, STEP_ERROR },
		{ 16, 17, STEP_ERROR }, /* runs beyond what was written */
		{ 8, 8, STEP_ERROR },
		{ 17, 17, STEP_ERROR }, /* not aligned */
		{ IPC_RING_LEAST, IPC_RING_LEAST / 2, STEP_DONE },
		{ IPC_RING_LEAST, IPC_RING_LEAST / 2 + 1, STEP_ERROR },
		{ IPC_RING_LEAST, UINT32_MAX, STEP_ERROR },
		{ IPC_RING_LEAST + 16, 16, STEP_ERROR },
		{ UINT64_MAX - 15, 16, STEP_ERROR }, /* a writer that went back */
		{ UINT64_MAX, 16, STEP_ERROR },
	};

	for (size_t i = 0; i < COUNT(samples); i++) {
		struct ipc_frame got;
		struct pair p;

		begin_at(&p, 0);
		memcpy(p.writer.data, &samples[i].size, sizeof samples[i].size);
		atomic_store(&p.shared->written, samples[i].written);
		CHECK_INT(i, ipc_ring_take(&p.reader, &got), samples[i].want);
		finish(&p);
	}
}

TEST(a_reader_that_claims_nonsense_is_an_error_for_the_writer)
{
	static const uint64_t taken[] = { 1, 8, 32, SIZE, UINT64_MAX, UINT64_MAX - SIZE + 1 };
	struct pair p;
	size_t room;

	for (size_t i = 0; i < COUNT(taken); i++) {
		begin_at(&p, 0);
		assert_int_equal(put(&p, STR_NONE), STEP_DONE);
		atomic_store(&p.shared->taken, taken[i]);
		CHECK_INT(i, ipc_ring_room(&p.writer, &room), STEP_ERROR);
		CHECK_INT(i, room, 0);
		CHECK_INT(i, put(&p, STR("x")), STEP_ERROR);
		CHECK_INT(i, ipc_ring_wait(&p.writer, 1), STEP_ERROR);
		finish(&p);
	}
}

static uint64_t noise(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Near the truth, where a bound may be off by one, as often as far from it. */
static uint64_t lie(uint64_t *seed, uint64_t truth)
{
	uint64_t r = noise(seed);

	return r & 1 ? r : truth + ((r >> 8 & 0xff) - 128) * (r & 2 ? 16 : 1);
}

TEST(no_garbage_in_the_shared_memory_can_hurt)
{
	uint64_t seed = 88172645463325252u;
	struct pair p;
	size_t room;

	begin_at(&p, 0);
	for (size_t i = 0; i < 300000; i++) {
		uint64_t word = lie(&seed, 40) | noise(&seed) << 32;
		struct ipc_frame got;

		memcpy(p.writer.data + noise(&seed) % SIZE / 16 * 16, &word, sizeof word);
		atomic_store(&p.shared->written, lie(&seed, p.reader.at + 64));
		atomic_store(&p.shared->taken, lie(&seed, p.writer.at));
		atomic_store(&p.shared->sleeps, (uint32_t)noise(&seed));
		atomic_store(&p.shared->wants, (uint32_t)noise(&seed));
		if (ipc_ring_take(&p.reader, &got) == STEP_DONE)
			CHECK(i, got.payload.n <= ipc_ring_frame_max(SIZE) - IPC_HEAD);
		if (put(&p, (struct str){ bytes, noise(&seed) % 1000 }) == STEP_DONE)
			atomic_store(&p.shared->written, p.writer.at);
		(void)ipc_ring_room(&p.writer, &room);
		CHECK(i, room <= SIZE);
		(void)ipc_ring_wait(&p.writer, room / 2);
		(void)ipc_ring_sleeps(&p.reader);
		(void)ipc_ring_wakes_reader(&p.writer);
		(void)ipc_ring_wakes_writer(&p.reader);
		if (i % 16 == 0)
			p.reader.at = p.writer.at = noise(&seed) / 16 * 16;
	}
	finish(&p);
}

TEST(only_powers_of_two_within_bounds_are_sizes)
{
	assert_true(ipc_ring_is_size(IPC_RING_LEAST) && ipc_ring_is_size(IPC_RING_MOST) &&
		    ipc_ring_is_size(1 << 20));
	assert_false(ipc_ring_is_size(0) || ipc_ring_is_size(IPC_RING_LEAST / 2) ||
		     ipc_ring_is_size(IPC_RING_MOST * UINT64_C(2)));
	assert_false(ipc_ring_is_size(IPC_RING_LEAST + 16) ||
		     ipc_ring_is_size(UINT64_C(1) << 32 | IPC_RING_LEAST));
	assert_int_equal(ipc_ring_frame_max(IPC_RING_LEAST), IPC_RING_LEAST / 2);
	assert_int_equal(ipc_ring_frame_max(IPC_RING_MOST), IPC_FRAME_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_comes_out_as_it_went_in_at_every_offset),
		cmocka_unit_test(a_full_ring_takes_nothing_and_loses_nothing),
		cmocka_unit_test(the_last_byte_of_room_is_used_and_not_one_more),
		cmocka_unit_test(the_largest_frame_passes),
		cmocka_unit_test(one_announcement_of_sleep_earns_one_waking),
		cmocka_unit_test(
			a_writer_that_waits_is_woken_when_its_frame_fits_and_a_quarter_is_free),
		cmocka_unit_test(a_head_that_makes_no_sense_is_an_error),
		cmocka_unit_test(a_reader_that_claims_nonsense_is_an_error_for_the_writer),
		cmocka_unit_test(no_garbage_in_the_shared_memory_can_hurt),
		cmocka_unit_test(only_powers_of_two_within_bounds_are_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
