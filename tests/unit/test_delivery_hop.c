#include "delivery_hop.h"

#include "check.h"
#include "policy_edit.h"

static const struct {
	struct str text, key; /* empty: not a next hop */
	enum hop_kind kind;
} hops[] = {
	{ STR("192.0.2.1"), STR("smtp:192.0.2.1:25"), HOP_SMTP },
	{ STR("192.0.2.1:2526"), STR("smtp:192.0.2.1:2526"), HOP_SMTP },
	{ STR("smtp:192.0.2.1:25"), STR("smtp:192.0.2.1:25"), HOP_SMTP },
	{ STR("smtp:[2001:db8::1]"), STR("smtp:[2001:db8::1]:25"), HOP_SMTP },
	{ STR("[2001:DB8:0::1]:26"), STR("smtp:[2001:db8::1]:26"), HOP_SMTP },
	{ STR("localhost"), STR("smtp:127.0.0.1:25"), HOP_SMTP },
	{ STR("lmtp:LOCALHOST:24"), STR("lmtp:127.0.0.1:24"), HOP_LMTP },
	{ STR("lmtp:unix:/run/lmtp.sock"), STR("lmtp:unix:/run/lmtp.sock"), HOP_LMTP },
	{ STR("unix:/run/smtp"), STR("smtp:unix:/run/smtp"), HOP_SMTP },
	{ STR("maildir:/srv/mail"), STR("maildir:/srv/mail"), HOP_MAILDIR },
	{ STR("maildir:/srv/{domain}/{local}"), STR("maildir:/srv/{domain}/{local}"), HOP_MAILDIR },
	{ STR("maildir:/srv/{user}"), STR_NONE, HOP_MAILDIR },
	{ STR("maildir:/srv/{"), STR_NONE, HOP_MAILDIR },
	{ STR("maildir:relative"), STR_NONE, HOP_MAILDIR },
	{ STR("maildir:/srv/../etc"), STR_NONE, HOP_MAILDIR },
	{ STR("mail.example.org:25"), STR_NONE, HOP_SMTP },
	{ STR("localhost.example.org"), STR_NONE, HOP_SMTP },
	{ STR("smtp:"), STR_NONE, HOP_SMTP },
	{ STR(""), STR_NONE, HOP_SMTP },
};

TEST(a_next_hop_has_one_spelling)
{
	for (size_t i = 0; i < COUNT(hops); i++) {
		struct delivery_hop hop;
		struct fault why = { 0 };
		char text[DELIVERY_HOP_TEXT];
		int rc = delivery_hop_parse(hops[i].text, &hop, &why);

		CHECK_INT(i, rc, hops[i].key.n ? 0 : -1);
		if (rc < 0) {
			CHECK(i, why.text[0]);
			continue;
		}
		CHECK_INT(i, hop.kind, hops[i].kind);
		CHECK_STR(i, delivery_hop_key(&hop, text), hops[i].key);
		assert_int_equal(delivery_hop_parse(str_of(text), &hop, &why), 0);
		CHECK_STR(i, delivery_hop_key(&hop, text), hops[i].key);
	}
}

static const struct {
	struct str hop, rcpt, path;
} mailboxes[] = {
	{ STR("maildir:/m"), STR("a@example.org"), STR("/m") },
	{ STR("maildir:/m/{local}"), STR("Ann@example.org"), STR("/m/ann") },
	{ STR("maildir:/m/{domain}/{local}/Maildir"), STR("ann+x@EXAMPLE.org"),
	  STR("/m/example.org/ann+x/Maildir") },
	{ STR("maildir:/m/{address}"), STR("a.b@example.org"), STR("/m/a.b@example.org") },
	{ STR("maildir:/m/{local}"), STR("\"../../etc\"@example.org"), STR("/m/%2E.%2F..%2Fetc") },
	{ STR("maildir:/m/{local}"), STR("\"..\"@example.org"), STR("/m/%2E.") },
	{ STR("maildir:/m/{local}"), STR("a%2fb@example.org"), STR("/m/a%252fb") },
	{ STR("maildir:/m/{local}"), STR("\"{domain}\"@example.org"), STR("/m/%7Bdomain%7D") },
	{ STR("maildir:/m/{domain}"), STR("a@[192.0.2.1]"), STR("/m/%5B192.0.2.1%5D") },
	{ STR("maildir:/m/{local}"), STR("\"a b\"@example.org"), STR("/m/a%20b") },
	{ STR("maildir:/m/{local}.."), STR("\"\"@example.org"), STR("/m/%..") },
};

TEST(a_recipient_cannot_choose_another_directory)
{
	for (size_t i = 0; i < COUNT(mailboxes); i++) {
		char path[DELIVERY_MAILBOX];
		struct delivery_hop hop;
		struct address rcpt;
		struct fault why;

		assert_int_equal(delivery_hop_parse(mailboxes[i].hop, &hop, &why), 0);
		assert_int_equal(address_parse(mailboxes[i].rcpt, &rcpt), ADDRESS_OK);
		CHECK_STR(i, delivery_hop_mailbox(&hop, &rcpt, path), mailboxes[i].path);
	}
}

TEST(a_path_that_grows_too_long_is_no_path)
{
	char text[DELIVERY_HOP_TEXT] = "maildir:/", path[DELIVERY_MAILBOX];
	struct delivery_hop hop;
	struct address rcpt;
	struct fault why;

	for (size_t n = strlen(text); n + 8 < 240; n += 7)
		memcpy(text + n, "{local}", 8);
	assert_int_equal(delivery_hop_parse(str_of(text), &hop, &why), 0);
	assert_int_equal(
		address_parse(STR("################################################@x.org"), &rcpt),
		ADDRESS_OK);
	assert_int_equal(delivery_hop_mailbox(&hop, &rcpt, path).n, 0);
}

TEST(the_longest_next_hop_has_a_key)
{
	char text[POLICY_NEXT_HOP + 2], key[DELIVERY_HOP_TEXT];
	struct delivery_hop hop;
	struct fault why;

	memset(text, 'a', sizeof text);
	memcpy(text, "maildir:/", 9);
	assert_int_equal(delivery_hop_parse((struct str){ text, POLICY_NEXT_HOP }, &hop, &why), 0);
	assert_int_equal(delivery_hop_key(&hop, key).n, POLICY_NEXT_HOP);
	assert_int_equal(delivery_hop_parse((struct str){ text, POLICY_NEXT_HOP + 1 }, &hop, &why), -1);
}

TEST(a_root_ends_before_the_first_placeholder)
{
	static const struct {
		struct str hop, root;
	} roots[] = {
		{ STR("maildir:/srv/mail"), STR("/srv/mail") },
		{ STR("maildir:/srv/mail/"), STR("/srv/mail") },
		{ STR("maildir:/srv/{domain}/{local}"), STR("/srv") },
		{ STR("maildir:/srv/box-{local}/Maildir"), STR("/srv") },
		{ STR("maildir:/{local}"), STR("/") },
	};

	for (size_t i = 0; i < COUNT(roots); i++) {
		struct delivery_hop hop;
		struct fault why;

		assert_int_equal(delivery_hop_parse(roots[i].hop, &hop, &why), 0);
		CHECK_STR(i, delivery_hop_root(&hop), roots[i].root);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_next_hop_has_one_spelling),
		cmocka_unit_test(a_recipient_cannot_choose_another_directory),
		cmocka_unit_test(a_path_that_grows_too_long_is_no_path),
		cmocka_unit_test(the_longest_next_hop_has_a_key),
		cmocka_unit_test(a_root_ends_before_the_first_placeholder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
