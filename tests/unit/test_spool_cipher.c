#define _GNU_SOURCE /* memmem */
/* Sealed records and units open where they were sealed, and nowhere else. */
#include "spool_cipher.h"

#include "check.h"
#include "rnd.h"

#define SEED 0x12345678u

enum { MOST = 4096 };

static unsigned char key[SPOOL_CIPHER_KEY] = { 1, 2, 3 };
static const struct spool_cipher here = { key, 7, 3000000001u };

static const unsigned types[] = {
	SPOOL_ACCEPT, SPOOL_STATE, SPOOL_DONE, SPOOL_DEAD, SPOOL_CLOSE, SPOOL_ABORT, 40,
};

/* put - a plain record of that type whose payload counts up */
static void put(char *to, unsigned type, uint32_t length)
{
	struct spool_record r = { .length = length,
				  .type = (uint16_t)type,
				  .variant = 3,
				  .id = { { 1, 2, 3, 4, 5, 6, 7, 8 } } };

	spool_record_put(to, &r);
	for (uint32_t i = 0; i < length; i++)
		to[SPOOL_RECORD_HEAD + i] = (char)(i * 7);
	spool_record_place(to, 99, 5);
}

/* seal - on the heap, exactly as long as it is; summed */
static char *seal(unsigned type, uint32_t length, size_t *n)
{
	char *plain = malloc(spool_record_size(length)), *sealed;

	put(plain, type, length);
	*n = spool_record_size(length + SPOOL_CIPHER_MORE);
	sealed = malloc(*n);
	assert_int_equal(spool_cipher_seal(&here, plain, sealed), *n);
	spool_record_sum(sealed, SEED);
	free(plain);
	return sealed;
}

static bool opens(const struct spool_cipher *c, char *sealed, size_t n, struct spool_record *r)
{
	struct str in = { sealed, n };

	assert_int_equal(spool_record_take(&in, SEED, r), STEP_DONE);
	assert_true(spool_record_is_whole(r, SEED));
	assert_true(r->flags & SPOOL_SEALED);
	return spool_cipher_open(c, r);
}

TEST(a_record_of_any_type_and_length_comes_back)
{
	static const uint32_t lengths[] = { 0, 1, 15, 16, 17, 71, 72, 73, 500, MOST };
	char plain[SPOOL_RECORD_HEAD + MOST];
	struct spool_record r;
	size_t n;

	for (size_t t = 0; t < COUNT(types); t++)
		for (size_t i = 0; i < COUNT(lengths); i++) {
			char *sealed = seal(types[t], lengths[i], &n);

			put(plain, types[t], lengths[i]);
			CHECK(i, opens(&here, sealed, n, &r));
			CHECK_INT(i, r.flags, 0);
			CHECK_INT(i, r.length, lengths[i] + SPOOL_CIPHER_MORE);
			CHECK_INT(i, r.payload.n, lengths[i]);
			CHECK(i, memcmp(r.payload.p, plain + SPOOL_RECORD_HEAD, lengths[i]) == 0);
			free(sealed);
		}
}

TEST(what_stays_readable_is_what_the_table_says)
{
	char plain[SPOOL_RECORD_HEAD + 600];
	struct spool_record r;
	size_t n;

	for (size_t t = 0; t < COUNT(types); t++) {
		char *sealed = seal(types[t], 500, &n);
		struct str clear;
		size_t want = spool_cipher_clear(types[t], 500);

		put(plain, types[t], 500);
		spool_record_peek(sealed, &r);
		clear = spool_cipher_peek(&r);
		CHECK_INT(t, clear.n, want);
		CHECK(t, memcmp(clear.p, plain + SPOOL_RECORD_HEAD, want) == 0);
		/* and behind it no four bytes of the plain payload stand together */
		for (size_t at = want; at + 4 <= 500; at++)
			CHECK(at, !memmem(sealed + SPOOL_RECORD_HEAD + want,
					  n - SPOOL_RECORD_HEAD - want,
					  plain + SPOOL_RECORD_HEAD + at, 4));
		free(sealed);
	}
	put(plain, SPOOL_ACCEPT, 500);
	spool_record_peek(plain, &r);
	assert_int_equal(spool_cipher_peek(&r).n, 500);
}

TEST(a_record_does_not_open_elsewhere)
{
	unsigned char other[SPOOL_CIPHER_KEY] = { 9 };
	const struct spool_cipher places[] = {
		{ other, here.number, here.epoch },
		{ key, here.number + 1, here.epoch },
		{ key, here.number, here.epoch + 1 },
	};
	struct spool_record r;
	size_t n;

	for (size_t i = 0; i < COUNT(places); i++)
		for (size_t t = 0; t < COUNT(types); t++) {
			char *sealed = seal(types[t], 100, &n);

			CHECK(i, !opens(&places[i], sealed, n, &r));
			free(sealed);
		}
}

/* Whoever writes to the disk can mend sums: they do not help. */
TEST(a_changed_byte_anywhere_is_found_though_its_sums_are_mended)
{
	struct spool_record r;
	size_t n;

	for (size_t t = 0; t < COUNT(types); t++) {
		size_t used = SPOOL_RECORD_HEAD + 100 + SPOOL_CIPHER_MORE;

		for (size_t at = 4; at < used; at++) {
			char *sealed;

			/* the type decides what is read how; zero and sums are not the record's */
			if ((at >= 22 && at < 24) || (at >= 40 && at < 48) || at == 6)
				continue;
			sealed = seal(types[t], 100, &n);
			sealed[at] ^= 0x10;
			spool_record_sum(sealed, SEED);
			CHECK(at, !opens(&here, sealed, n, &r));
			free(sealed);
		}
	}
}

TEST(too_short_to_be_sealed_does_not_open)
{
	char bytes[SPOOL_RECORD_HEAD + 48];
	struct spool_record r = { .length = SPOOL_CIPHER_MORE - 1,
				  .type = SPOOL_ACCEPT,
				  .flags = SPOOL_SEALED };

	memset(bytes, 0, sizeof bytes);
	spool_record_put(bytes, &r);
	spool_record_peek(bytes, &r);
	assert_false(spool_cipher_open(&here, &r));
	assert_int_equal(spool_cipher_peek(&r).n, 0);
}

TEST(the_same_record_is_sealed_differently_each_time)
{
	size_t n;
	char *a = seal(SPOOL_ACCEPT, 300, &n), *b = seal(SPOOL_ACCEPT, 300, &n);
	size_t from = SPOOL_RECORD_HEAD + 72, same = 0;

	for (size_t at = from; at < n - 8; at++)
		same += a[at] == b[at];
	assert_true(same < 20);
	free(a);
	free(b);
}

/* Units */

static char *unit_of(const struct spool_unit *u, size_t n)
{
	char *unit = malloc(n + SPOOL_CIPHER_MORE);

	for (size_t i = 0; i < n; i++)
		unit[SPOOL_CIPHER_FRONT + i] = (char)(i * 3);
	spool_unit_seal(u, unit, n);
	return unit;
}

TEST(a_unit_opens_in_its_own_place_alone)
{
	const struct spool_unit u = { key, 12, 5, false };
	unsigned char other[SPOOL_CIPHER_KEY] = { 9 };
	const struct {
		struct spool_unit unit;
		bool opens;
	} places[] = {
		{ u, true },
		{ { key, 12, 6, false }, false },
		{ { key, 13, 5, false }, false },
		{ { key, 12, 5, true }, false }, /* a slot that was cut behind it */
		{ { other, 12, 5, false }, false },
	};

	for (size_t i = 0; i < COUNT(places); i++) {
		char *unit = unit_of(&u, SPOOL_UNIT);

		CHECK_INT(i, spool_unit_open(&places[i].unit, unit, SPOOL_UNIT), places[i].opens);
		for (size_t at = 0; places[i].opens && at < SPOOL_UNIT; at++)
			CHECK(at, unit[SPOOL_CIPHER_FRONT + at] == (char)(at * 3));
		free(unit);
	}
}

TEST(a_unit_cut_or_changed_does_not_open)
{
	const struct spool_unit u = { key, 1, 0, true };

	for (size_t at = 0; at < 100 + SPOOL_CIPHER_MORE; at++) {
		char *unit = unit_of(&u, 100);

		CHECK(at, !spool_unit_open(&u, unit, 99));
		unit[at] ^= 1;
		CHECK(at, !spool_unit_open(&u, unit, 100));
		unit[at] ^= 1;
		CHECK(at, spool_unit_open(&u, unit, 100));
		free(unit);
	}
}

TEST(lengths_of_slots)
{
	static const struct {
		uint64_t plain, units;
	} rows[] = { { 0, 0 },
		     { 1, 1 },
		     { SPOOL_UNIT, 1 },
		     { SPOOL_UNIT + 1, 2 },
		     { 3 * (uint64_t)SPOOL_UNIT, 3 },
		     { 5000000000u, 5000000000u / SPOOL_UNIT + 1 } };

	for (size_t i = 0; i < COUNT(rows); i++)
		CHECK_INT(i, spool_unit_stored(rows[i].plain),
			  rows[i].plain + rows[i].units * SPOOL_CIPHER_MORE);
	assert_int_equal(spool_unit_at(2), 2 * (SPOOL_UNIT + SPOOL_CIPHER_MORE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_of_any_type_and_length_comes_back),
		cmocka_unit_test(what_stays_readable_is_what_the_table_says),
		cmocka_unit_test(a_record_does_not_open_elsewhere),
		cmocka_unit_test(a_changed_byte_anywhere_is_found_though_its_sums_are_mended),
		cmocka_unit_test(too_short_to_be_sealed_does_not_open),
		cmocka_unit_test(the_same_record_is_sealed_differently_each_time),
		cmocka_unit_test(a_unit_opens_in_its_own_place_alone),
		cmocka_unit_test(a_unit_cut_or_changed_does_not_open),
		cmocka_unit_test(lengths_of_slots),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
