#include "codec.h"

#include "check.h"
#include "rnd.h"

TEST(checksums_match_the_vectors_of_rfc_3720)
{
	static unsigned char zeros[32], ones[32], up[32], down[32];
	static const struct {
		const void *data;
		size_t n;
		uint32_t want;
	} table[] = {
		{ "", 0, 0 },
		{ "123456789", 9, 0xe3069283 },
		{ zeros, 32, 0x8a9136aa },
		{ ones, 32, 0x62a8ab43 },
		{ up, 32, 0x46dd794e },
		{ down, 32, 0x113fdb5c },
	};

	memset(ones, 0xff, sizeof ones);
	for (unsigned i = 0; i < 32; i++) {
		up[i] = (unsigned char)i;
		down[i] = (unsigned char)(31 - i);
	}
	for (size_t i = 0; i < COUNT(table); i++) {
		CHECK_INT(i, crc32c(0, table[i].data, table[i].n), table[i].want);
		CHECK_INT(i, crc32c_portable(0, table[i].data, table[i].n), table[i].want);
	}
}

TEST(checksums_chain_and_both_ways_agree_at_every_length_and_offset)
{
	unsigned char data[200];

	rnd_fill(data, sizeof data);
	for (size_t n = 0; n < 100; n++) {
		const unsigned char *p = data + n % 9;
		uint32_t whole = crc32c(0, p, n);

		CHECK_INT(n, crc32c_portable(0, p, n), whole);
		CHECK_INT(n, crc32c(crc32c(0, p, n / 3), p + n / 3, n - n / 3), whole);
	}
}

TEST(what_is_written_is_read)
{
	struct id id = { { 1, 2, 3 } }, back;
	struct wire w;
	struct buf b;

	buf_init(&b, 1000);
	assert_true(wire_u8(&b, 0xfe) && wire_u16(&b, 0xfedc) && wire_u32(&b, 0xfedcba98));
	assert_true(wire_u64(&b, UINT64_C(0xfedcba9876543210)) && wire_id(&b, &id) &&
		    wire_str(&b, STR("a\0b")));
	assert_true(wire_str(&b, STR_NONE));
	assert_int_equal((unsigned char)buf_str(&b).p[1], 0xdc); /* little-endian */
	w = (struct wire){ .rest = buf_str(&b) };
	assert_int_equal(wire_get_u8(&w), 0xfe);
	assert_int_equal(wire_get_u16(&w), 0xfedc);
	assert_int_equal(wire_get_u32(&w), 0xfedcba98);
	assert_true(wire_get_u64(&w) == UINT64_C(0xfedcba9876543210));
	back = wire_get_id(&w);
	assert_true(id_is_eq(&back, &id));
	CHECK_STR(0, wire_get_str(&w, 3), STR("a\0b"));
	assert_false(wire_is_end(&w));
	CHECK_STR(1, wire_get_str(&w, 0), STR(""));
	assert_true(wire_is_end(&w));
	buf_fini(&b);
}

TEST(a_short_read_is_bad_for_ever)
{
	struct str bytes = heap_copy(STR("\1\2\3"));
	struct wire w = { .rest = bytes };

	assert_int_equal(wire_get_u32(&w), 0);
	assert_true(w.bad);
	assert_int_equal(wire_get_u8(&w), 0);
	assert_false(wire_is_end(&w));
	heap_free(bytes);
}

TEST(a_string_longer_than_allowed_or_than_there_is_is_bad)
{
	static const struct {
		struct str bytes;
		size_t max;
		bool bad;
	} table[] = {
		{ STR("\2\0\0\0ab"), 2, false },
		{ STR("\2\0\0\0ab"), 1, true },
		{ STR("\3\0\0\0ab"), 9, true },
		{ STR("\xff\xff\xff\xff"
		      "ab"),
		  SIZE_MAX, true },
		{ STR("\0\0\0"), 9, true },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct str bytes = heap_copy(table[i].bytes);
		struct wire w = { .rest = bytes };

		CHECK_INT(i, wire_get_str(&w, table[i].max).n, table[i].bad ? 0 : 2);
		CHECK_INT(i, w.bad, table[i].bad);
		heap_free(bytes);
	}
}

TEST(a_full_buffer_takes_nothing_of_a_string)
{
	struct buf b;

	buf_init(&b, 6);
	assert_false(wire_str(&b, STR("abc")));
	assert_int_equal(buf_len(&b), 0);
	assert_true(wire_str(&b, STR("ab")));
	assert_false(wire_u8(&b, 1));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_match_the_vectors_of_rfc_3720),
		cmocka_unit_test(checksums_chain_and_both_ways_agree_at_every_length_and_offset),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_short_read_is_bad_for_ever),
		cmocka_unit_test(a_string_longer_than_allowed_or_than_there_is_is_bad),
		cmocka_unit_test(a_full_buffer_takes_nothing_of_a_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
