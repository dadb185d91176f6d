#include "policy_edit.h"

#include "check.h"

static const struct {
	const char *text;
	bool is_valid;
} rows[] = {
	{ "192.0.2.1:25", true },
	{ "192.0.2.1", true },
	{ "smtp:192.0.2.1:25", true },
	{ "smtp:[2001:db8::1]:2525", true },
	{ "[2001:db8::1]", true },
	{ "[::1]:25", true },
	{ "localhost:25", true },
	{ "LOCALHOST", true },
	{ "lmtp:127.0.0.1:24", true },
	{ "lmtp:unix:/run/lmtp.sock", true },
	{ "smtp:unix:/run/smtp.sock", true },
	{ "unix:/run/smtp.sock", true },
	{ "maildir:/var/mail", true },
	{ "maildir:/var/mail/{local}", true },
	{ "", false },
	{ "smtp:", false },
	{ "192.0.2.1:0", false },
	{ "192.0.2.1:65536", false },
	{ "192.0.2.1:", false },
	{ "192.0.2.1:25x", false },
	{ "192.0.2.256:25", false },
	{ "192.0.2:25", false },
	{ "mail.example.org:25", false },
	{ "[192.0.2.1]:25", false },
	{ "[2001:db8::1", false },
	{ "[2001:db8::1]x:25", false },
	{ "[2001:db8::1]25", false },
	{ "2001:db8::1", false },
	{ "[]:25", false },
	{ "lmtp:unix:run/lmtp", false },
	{ "unix:/", false },
	{ "unix:/a/../b", false },
	{ "maildir:/var/..", false },
	{ "maildir:/../etc", false },
	{ "maildir:var", false },
	{ "maildir:", false },
	{ "maildir:/a\nb", false },
	{ "http://192.0.2.1", false },
	{ "smtp:smtp:192.0.2.1", false },
};

TEST(next_hops_are_what_they_should_be)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str exact = heap_copy(str_of(rows[i].text));
		struct fault why = { 0 };

		CHECK_INT(i, policy_next_hop_is_valid(exact, &why), rows[i].is_valid);
		CHECK_INT(i, why.text[0] != '\0', !rows[i].is_valid);
		heap_free(exact);
	}
}

TEST(long_ones_are_refused)
{
	char path[512];
	struct fault why;

	memset(path, 'x', sizeof path);
	memcpy(path, "unix:/", 6);
	CHECK(0, policy_next_hop_is_valid((struct str){ path, 5 + 107 }, &why));
	CHECK(1, !policy_next_hop_is_valid((struct str){ path, 5 + 108 }, &why));
	memcpy(path, "maildir:/", 9);
	CHECK(2, policy_next_hop_is_valid((struct str){ path, POLICY_NEXT_HOP }, &why));
	CHECK(3, !policy_next_hop_is_valid((struct str){ path, POLICY_NEXT_HOP + 1 }, &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(next_hops_are_what_they_should_be),
		cmocka_unit_test(long_ones_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
