#include "date.h"

#include "check.h"

/* clang-format off */
static const struct { struct str text; bool ok; int64_t want; } table[] = {
	{ STR("Tue, 24 Nov 2026 11:09:15 +0000"),       true, 1795518555 },
	{ STR("24 Nov 2026 11:09:15 +0000"),            true, 1795518555 },
	{ STR("Tue, 24 Nov 2026 12:09:15 +0100"),       true, 1795518555 },
	{ STR("Tue, 24 Nov 2026 05:39:15 -0530"),       true, 1795518555 },
	{ STR("Tue, 24 Nov 2026 11:09:15 -0000"),       true, 1795518555 },
	{ STR("Tue, 24 Nov 2026 11:09 GMT"),            true, 1795518540 },     /* no seconds */
	{ STR("tue,24 nov 2026 11:09:15 ut"),           true, 1795518555 },
	{ STR("Tue, 24 Nov 26 06:09:15 EST"),           true, 1795518555 },     /* obs-year, obs-zone */
	{ STR("Tue, 24 Nov 2026 04:09:15 PDT"),         true, 1795518555 },
	{ STR("Tue, 24 Nov 2026 11:09:15 Z"),           true, 1795518555 },
	{ STR("Tue, 24 Nov 2026 11:09:15 A"),           true, 1795518555 },     /* military: not to be trusted */
	{ STR("Tue, 24 Nov 2026 11:09:15"),             true, 1795518555 },
	{ STR("Tue, 24 Nov 2026 11:09:15 +0000 (UTC)"), true, 1795518555 },
	{ STR(" (a(b\\)c)) Tue ,\r\n 24 (x) Nov 2026 11 : 09 : 15 +0000 "), true, 1795518555 },
	{ STR("Thu, 1 Jan 70 00:00:00 +0000"),          true, 0 },
	{ STR("Wed, 31 Dec 1969 23:59:59 +0000"),       true, -1 },
	{ STR("1 Jan 100 00:00:00 +0000"),              true, 946684800 },      /* three digits: 1900 is added */
	{ STR("29 Feb 2024 00:00:00 +0000"),            true, 1709164800 },
	{ STR("30 Jun 2015 23:59:60 +0000"),            true, 1435708799 },     /* a leap second */
	{ STR("29 Feb 2023 00:00:00 +0000"),            false, 0 },
	{ STR("31 Apr 2023 00:00:00 +0000"),            false, 0 },
	{ STR("0 Nov 2026 11:09:15 +0000"),             false, 0 },
	{ STR("24 Nov 2026 24:00:00 +0000"),            false, 0 },
	{ STR("24 Nov 2026 11:60:00 +0000"),            false, 0 },
	{ STR("24 Nov 2026 11:09:61 +0000"),            false, 0 },
	{ STR("24 Nov 2026 11:09:15 +00"),              false, 0 },
	{ STR("24 Nov 2026 11:09:15 +0060"),            false, 0 },
	{ STR("24 Foo 2026 11:09:15 +0000"),            false, 0 },
	{ STR("Foo, 24 Nov 2026 11:09:15 +0000"),       false, 0 },
	{ STR("Tue 24 Nov 2026 11:09:15 +0000"),        false, 0 },
	{ STR("24 Nov 2026"),                           false, 0 },
	{ STR("24 Nov 2026 11:09:15 +0000 x"),          false, 0 },
	{ STR("24 Nov 2026 11:09:15 +0000 (open"),      false, 0 },
	{ STR("24 Nov 2026 11:09:15 +0000 (open\\"),    false, 0 },
	{ STR("((((((((((((((((((((x))))))))))))))))))))24 Nov 2026 11:09:15 +0000"), false, 0 },
	{ STR("2026-11-24T11:09:15Z"),                  false, 0 },
	{ STR(""),                                      false, 0 },
};
/* clang-format on */

TEST(dates_are_read_in_every_form_that_mail_has)
{
	for (size_t i = 0; i < COUNT(table); i++) {
		struct str text = heap_copy(table[i].text);
		int64_t got = 0;

		CHECK_INT(i, date_parse(text, &got), table[i].ok);
		CHECK_INT(i, got, table[i].want);
		heap_free(text);
	}
}

TEST(what_is_written_is_read_back)
{
	char text[DATE_TEXT];

	assert_string_equal(date_write(UINT64_C(1795518555999999), text),
			    "Tue, 24 Nov 2026 11:09:15 +0000");
	assert_string_equal(date_write(0, text), "Thu, 1 Jan 1970 00:00:00 +0000");
	for (int64_t t = 0; t < INT64_C(200000000000); t += 987654321) {
		int64_t back = -1;

		date_write((uint64_t)t * 1000000, text);
		CHECK(t, date_parse(str_of(text), &back));
		CHECK_INT(t, back, t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_read_in_every_form_that_mail_has),
		cmocka_unit_test(what_is_written_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
