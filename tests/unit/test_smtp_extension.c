#include "check.h"
#include "smtp_extension.h"

static const struct {
	struct smtp_offers offers;
	struct str want;
} hellos[] = {
	{ { 0, 0 }, STR("250 mx.example\r\n") },
	{ { SMTP_OFFER(SMTP_EXTENSION_PIPELINING), 0 }, STR("250-mx.example\r\n250 PIPELINING\r\n") },
	{ { SMTP_OFFER(SMTP_EXTENSION_SIZE), 0 }, STR("250-mx.example\r\n250 SIZE\r\n") },
	{ { SMTP_OFFER(SMTP_EXTENSION_SIZE), UINT64_MAX },
	  STR("250-mx.example\r\n250 SIZE 18446744073709551615\r\n") },
	{ { SMTP_OFFER_ALL, 1000 },
	  STR("250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n"
	      "250-ENHANCEDSTATUSCODES\r\n250 STARTTLS\r\n") },
};

TEST(what_is_offered_is_announced)
{
	for (size_t i = 0; i < COUNT(hellos); i++) {
		struct buf out;

		buf_init(&out, 1024);
		CHECK(i, smtp_extension_hello(&out, STR("mx.example"), &hellos[i].offers));
		CHECK_STR(i, buf_str(&out), hellos[i].want);
		buf_fini(&out);
	}
}

static const struct {
	struct str line;
	struct smtp_offers want;
} lines[] = {
	{ STR("PIPELINING"), { SMTP_OFFER(SMTP_EXTENSION_PIPELINING), 0 } },
	{ STR("pipelining"), { SMTP_OFFER(SMTP_EXTENSION_PIPELINING), 0 } },
	{ STR("SIZE"), { SMTP_OFFER(SMTP_EXTENSION_SIZE), 0 } },
	{ STR("SIZE 1000"), { SMTP_OFFER(SMTP_EXTENSION_SIZE), 1000 } },
	{ STR("SIZE 0"), { SMTP_OFFER(SMTP_EXTENSION_SIZE), 0 } },
	{ STR("SIZE  7 more "), { SMTP_OFFER(SMTP_EXTENSION_SIZE), 7 } },
	{ STR("SIZE big"), { SMTP_OFFER(SMTP_EXTENSION_SIZE), 0 } },
	{ STR("SIZE 99999999999999999999"), { SMTP_OFFER(SMTP_EXTENSION_SIZE), 0 } },
	{ STR("SIZE=1000"), { 0, 0 } },
	{ STR("8BITMIME "), { SMTP_OFFER(SMTP_EXTENSION_8BITMIME), 0 } },
	{ STR("XYZZY 1 2 3"), { 0, 0 } },
	{ STR(""), { 0, 0 } },
	{ STR(" "), { 0, 0 } },
};

TEST(what_a_peer_announces_is_learnt)
{
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct str copy = heap_copy(lines[i].line);
		struct smtp_offers peer = { 0 };

		smtp_extension_learn(&peer, copy);
		CHECK_INT(i, peer.set, lines[i].want.set);
		CHECK_INT(i, peer.size, lines[i].want.size);
		heap_free(copy);
	}
}

TEST(every_keyword_is_found_by_its_name)
{
	for (size_t i = 0; i < SMTP_EXTENSIONS; i++) {
		enum smtp_extension found = SMTP_EXTENSIONS;

		CHECK(i, smtp_extension_find(str_of(smtp_extension_keyword((enum smtp_extension)i)), &found));
		CHECK_INT(i, found, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_offered_is_announced),
		cmocka_unit_test(what_a_peer_announces_is_learnt),
		cmocka_unit_test(every_keyword_is_found_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
