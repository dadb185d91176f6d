#include "snapshot_secret.h"

#include "check.h"

static const unsigned char key[SNAPSHOT_SECRET] = "one", other[SNAPSHOT_SECRET] = "another";

TEST(what_is_sealed_opens_by_its_key_alone)
{
	static const size_t lengths[] = { 0, 1, 100, 5000 };
	static char text[5000];
	unsigned char back[sizeof text];

	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct str s = { text, lengths[i] };
		struct buf out;

		buf_init(&out, sizeof text + SNAPSHOT_SECRET_MORE);
		memset(text, 'a' + (int)i, sizeof text);
		CHECK(i, snapshot_secret_seal(key, s, &out));
		CHECK_INT(i, buf_len(&out), s.n + SNAPSHOT_SECRET_MORE);
		CHECK_INT(i, snapshot_secret_open(key, buf_str(&out), back, sizeof back), s.n);
		assert_memory_equal(back, text, s.n);
		CHECK_INT(i, snapshot_secret_open(other, buf_str(&out), back, sizeof back), -1);
		if (s.n)
			CHECK_INT(i, snapshot_secret_open(key, buf_str(&out), back, s.n - 1), -1);
		for (size_t k = 0; k < buf_len(&out) && k < 200; k++) {
			out.p[k] ^= 1;
			CHECK_INT(k, snapshot_secret_open(key, buf_str(&out), back, sizeof back),
				  -1);
			out.p[k] ^= 1;
		}
		CHECK_INT(i,
			  snapshot_secret_open(key, str_head(buf_str(&out), 39), back, sizeof back),
			  -1);
		buf_fini(&out);
	}
}

/* Else a reload that changes nothing would be a new generation. */
TEST(the_same_text_gives_the_same_bytes_and_another_one_others)
{
	struct buf a, b, c;

	buf_init(&a, 1000);
	buf_init(&b, 1000);
	buf_init(&c, 1000);
	assert_true(snapshot_secret_seal(key, STR("text"), &a));
	assert_true(snapshot_secret_seal(key, STR("text"), &b));
	assert_true(snapshot_secret_seal(key, STR("texT"), &c));
	CHECK_STR(0, buf_str(&a), buf_str(&b));
	CHECK(0, memcmp(a.p, c.p, SNAPSHOT_SECRET_MORE) != 0);
	buf_fini(&a);
	buf_fini(&b);
	buf_fini(&c);
}

TEST(what_does_not_fit_is_not_sealed)
{
	struct buf out;

	buf_init(&out, SNAPSHOT_SECRET_MORE + 3);
	CHECK_INT(0, snapshot_secret_seal(key, STR("text"), &out), false);
	CHECK_INT(0, buf_len(&out), 0);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_opens_by_its_key_alone),
		cmocka_unit_test(the_same_text_gives_the_same_bytes_and_another_one_others),
		cmocka_unit_test(what_does_not_fit_is_not_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
