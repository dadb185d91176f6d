#include "dsn.h"

#include "check.h"
#include "header.h"

/* ---- status codes */

TEST(status_codes_are_taken_from_the_front_of_a_reply)
{
	static const struct {
		struct str text;
		bool ok;
		struct dsn_status want;
		struct str rest;
	} table[] = {
		{ STR("5.1.1 no such user"), true, { 5, 1, 1 }, STR("no such user") },
		{ STR("2.0.0"), true, { 2, 0, 0 }, STR("") },
		{ STR("4.999.999 x"), true, { 4, 999, 999 }, STR("x") },
		{ STR("3.1.1 x"), false, { 0, 0, 0 }, STR("3.1.1 x") },
		{ STR("5.1.1x"), false, { 0, 0, 0 }, STR("5.1.1x") },
		{ STR("5.1"), false, { 0, 0, 0 }, STR("5.1") },
		{ STR("5.1."), false, { 0, 0, 0 }, STR("5.1.") },
		{ STR("5..1"), false, { 0, 0, 0 }, STR("5..1") },
		{ STR("5.01.1"), false, { 0, 0, 0 }, STR("5.01.1") },
		{ STR("5.1000.1"), false, { 0, 0, 0 }, STR("5.1000.1") },
		{ STR("192.0.2.1 says no"), false, { 0, 0, 0 }, STR("192.0.2.1 says no") },
		{ STR("55.1.1 x"), false, { 0, 0, 0 }, STR("55.1.1 x") },
		{ STR(""), false, { 0, 0, 0 }, STR("") },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct str text = heap_copy(table[i].text), rest = text;
		struct dsn_status got = { 0 };

		CHECK_INT(i, dsn_status_take(&rest, &got), table[i].ok);
		CHECK(i, got.of_class == table[i].want.of_class &&
				 got.subject == table[i].want.subject &&
				 got.detail == table[i].want.detail);
		CHECK_STR(i, rest, table[i].rest);
		CHECK_INT(i, dsn_status_parse(text, &got), table[i].ok && table[i].rest.n == 0);
		heap_free(text);
	}
}

/* ---- the message */

static const struct str original =
	STR("Received: from x\r\n\tby y; date\r\nFrom: a@b\r\nSubject: hello\r\n");

static const struct dsn_rcpt rcpts[] = {
	{
		.action = DSN_FAILED,
		.original = STR("rfc822;joe@example.org"),
		.final = STR("joe@example.net"),
		.status = STR("5.1.1"),
		.remote_mta = STR("mx.example.net"),
		.diagnostic = STR("550 5.1.1 no such\r\nuser\x1b here"),
		.is_reply = true,
		.attempted_us = UINT64_C(1795518555000000),
	},
	{
		.action = DSN_DELAYED,
		.final = STR("ann@example.net"),
		.status = STR("nonsense"),
		.diagnostic = STR("connection refused"),
		.attempted_us = UINT64_C(1795518555000000),
		.retry_until_us = UINT64_C(1795604955000000),
	},
};

static struct dsn report(void)
{
	return (struct dsn){
		.id = { { [15] = 7 } },
		.host = STR("mx.example.org"),
		.to = STR("sender@example.com"),
		.wall_us = UINT64_C(1795518555000000),
		.envelope_id = STR("QQ314159"),
		.original_id = STR("00000000000000000000000006"),
		.arrived_us = UINT64_C(1795510000000000),
		.header = original,
		.rcpts = rcpts,
		.nrcpts = COUNT(rcpts),
	};
}

/* what a reader of multipart/report sees */
struct parts {
	struct str top, people, programs, about_type, about;
};

/* part_take - consume up to the next delimiter line */
static struct str part_take(struct str *rest, struct str delimiter)
{
	struct str part;

	for (size_t i = 0; i + delimiter.n <= rest->n; i++) {
		if (!str_has_prefix(str_drop(*rest, i), delimiter))
			continue;
		part = str_head(*rest, i);
		*rest = str_drop(*rest, i + delimiter.n);
		return part;
	}
	fail_msg("no delimiter '%.*s'", STR_ARG(delimiter));
	return STR_NONE;
}

static struct str body_of(struct str part, struct str *header)
{
	struct header_scan s;

	header_scan_init(&s);
	assert_int_equal(header_scan(&s, part), STEP_DONE);
	assert_int_equal(s.body, s.end + 2);
	*header = str_head(part, s.end);
	return str_drop(part, s.body);
}

static void read_report(struct str message, struct arena *a, struct parts *out)
{
	struct str rest, ignored, type, delimiter;
	struct header_field field;

	rest = body_of(message, &out->top);
	assert_true(header_find(out->top, STR("Content-Type"), 1, &field));
	type = header_unfold(a, field.value);
	assert_true(str_has_prefix(
		type, STR("multipart/report; report-type=delivery-status; boundary=\"")));
	type = str_drop(type, (size_t)str_find(type, '"') + 1);
	assert_true(str_take(&type, '"', &delimiter));
	delimiter = arena_printf(a, "\r\n--%.*s", STR_ARG(delimiter));
	assert_true(str_has_prefix(rest, str_drop(delimiter, 2))); /* no preamble */
	rest = str_drop(rest, delimiter.n);
	out->people = body_of(part_take(&rest, delimiter), &ignored);
	rest = str_drop(rest, 2);
	out->programs = body_of(part_take(&rest, delimiter), &ignored);
	CHECK_STR(0, ignored, STR("Content-Type: message/delivery-status\r\n"));
	rest = str_drop(rest, 2);
	out->about = body_of(part_take(&rest, delimiter), &out->about_type);
	CHECK_STR(1, rest, STR("--\r\n"));
}

static bool has_field(struct str fields, const char *name, const char *want)
{
	struct header_field field;

	return header_find(fields, str_of(name), 1, &field) &&
	       str_eq(str_trim(field.value), str_of(want));
}

TEST(a_report_has_its_three_parts)
{
	struct dsn d = report();
	struct str message, group;
	struct parts parts;
	struct arena a;
	struct buf b;

	buf_init(&b, 1 << 20);
	arena_init(&a, 1 << 20);
	assert_true(dsn_write(&b, &d));
	message = heap_copy(buf_str(&b));
	read_report(message, &a, &parts);

	assert_true(has_field(parts.top, "From",
			      "Mail Delivery System <MAILER-DAEMON@mx.example.org>"));
	assert_true(has_field(parts.top, "To", "<sender@example.com>"));
	assert_true(has_field(parts.top, "Date", "Tue, 24 Nov 2026 11:09:15 +0000"));
	assert_true(
		has_field(parts.top, "Message-ID", "<00000000000000000000000007@mx.example.org>"));
	assert_true(has_field(parts.top, "Auto-Submitted", "auto-replied"));
	assert_true(has_field(parts.top, "MIME-Version", "1.0"));

	group = part_take(&parts.programs, STR("\r\n\r\n"));
	assert_true(has_field(group, "Original-Envelope-Id", "QQ314159"));
	assert_true(has_field(group, "Reporting-MTA", "dns; mx.example.org"));
	group = part_take(&parts.programs, STR("\r\n\r\n"));
	assert_true(has_field(group, "Original-Recipient", "rfc822;joe@example.org"));
	assert_true(has_field(group, "Final-Recipient", "rfc822; joe@example.net"));
	assert_true(has_field(group, "Action", "failed"));
	assert_true(has_field(group, "Status", "5.1.1"));
	assert_true(has_field(group, "Remote-MTA", "dns; mx.example.net"));
	assert_true(has_field(group, "Diagnostic-Code", "smtp; 550 5.1.1 no such  user? here"));
	assert_true(has_field(group, "Last-Attempt-Date", "Tue, 24 Nov 2026 11:09:15 +0000"));
	group = parts.programs;
	assert_true(has_field(group, "Final-Recipient", "rfc822; ann@example.net"));
	assert_true(has_field(group, "Action", "delayed"));
	assert_true(has_field(group, "Status", "4.0.0"));
	assert_true(has_field(group, "Diagnostic-Code", "x-moongate; connection refused"));
	assert_true(has_field(group, "Will-Retry-Until", "Wed, 25 Nov 2026 11:09:15 +0000"));
	assert_int_equal(header_count(group, STR("Remote-MTA")), 0);
	assert_int_equal(header_count(group, STR("Original-Recipient")), 0);

	CHECK_STR(2, parts.about_type, STR("Content-Type: text/rfc822-headers\r\n"));
	CHECK_STR(3, parts.about, original);
	heap_free(message);
	arena_fini(&a);
	buf_fini(&b);
}

TEST(only_a_failure_is_called_one)
{
	struct dsn d = report();
	struct header_field field;
	struct str message;
	struct buf b;

	buf_init(&b, 1 << 20);
	for (unsigned i = 0; i < COUNT(rcpts); i++) {
		d.rcpts = &rcpts[i];
		d.nrcpts = 1;
		buf_reset(&b);
		assert_true(dsn_write(&b, &d));
		message = buf_str(&b);
		assert_true(header_find(message, STR("Subject"), 1, &field));
		CHECK_STR(i, str_trim(field.value),
			  i == 0 ? STR("Undelivered mail returned to sender")
				 : STR("Delivery of your mail is delayed"));
	}
	buf_fini(&b);
}

/*
 * The original tries to end its part, to begin a field, to be 8-bit or endless: the report stays
 * what it is.
 */
TEST(no_header_of_an_original_breaks_the_report)
{
	static char endless[5000];
	const struct {
		struct str header;
		bool is_plain;
	} table[] = {
		{ STR(""), true },
		{ STR("Subject: x"), false }, /* no CRLF at its end */
		{ STR("A: 1\r\n --=_00000000000000000000000007.0--\r\n"), true },
		{ STR("A: 1\r\n--=_00000000000000000000000007.0\r\n "
		      "--=_00000000000000000000000007.1\r\n"),
		  true },
		{ STR("Subject: gr\xc3\xbc\xc3\x9f"
		      "e = all \r\n"),
		  false },
		{ STR("A: 1\nB: 2\r\n"), false },
		{ STR("A: \r\r\n"), false },
		{ STR("A: nul \0\r\n"), false },
		{ { endless, sizeof endless }, false },
	};

	memset(endless, 'x', sizeof endless);
	memcpy(endless, "A: ", 3);
	memcpy(endless + sizeof endless - 2, "\r\n", 2);
	for (size_t i = 0; i < COUNT(table); i++) {
		struct dsn d = report();
		struct str message, rest, line;
		struct parts parts;
		struct arena a;
		struct buf b;

		buf_init(&b, 1 << 20);
		arena_init(&a, 1 << 20);
		d.header = table[i].header;
		assert_true(dsn_write(&b, &d));
		message = heap_copy(buf_str(&b));
		read_report(message, &a, &parts);
		CHECK_INT(i, header_count(parts.about_type, STR("Content-Transfer-Encoding")),
			  !table[i].is_plain);
		if (table[i].is_plain)
			CHECK_STR(i, parts.about, table[i].header);
		rest = message;
		while (str_take(&rest, '\n', &line)) {
			CHECK(i, line.n <= HEADER_LINE + 1 && str_has_suffix(line, STR("\r")));
			for (size_t k = 0; k + 1 < line.n; k++)
				CHECK(i,
				      (line.p[k] >= ' ' || line.p[k] == '\t') && line.p[k] < 0x7f);
		}
		CHECK_INT(i, rest.n, 0);
		heap_free(message);
		arena_fini(&a);
		buf_fini(&b);
	}
}

TEST(quoted_printable_follows_rfc_2045)
{
	struct dsn d = report();
	struct parts parts;
	struct str message;
	struct arena a;
	struct buf b;

	buf_init(&b, 1 << 20);
	arena_init(&a, 1 << 20);
	d.header = STR("S: \xc3\xbc=1 \r\nT: 3456789 123456789 123456789 123456789 123456789 "
		       "123456789 123456789 123456789\t\r\n");
	assert_true(dsn_write(&b, &d));
	message = heap_copy(buf_str(&b));
	read_report(message, &a, &parts);
	CHECK_STR(0, parts.about,
		  STR("S: =C3=BC=3D1=20\r\n"
		      "T: 3456789 123456789 123456789 123456789 123456789 123456789 123456789 "
		      "1234=\r\n56789=09\r\n"));
	heap_free(message);
	arena_fini(&a);
	buf_fini(&b);
}

TEST(a_long_header_is_cut_between_fields)
{
	struct dsn d = report();
	struct parts parts;
	struct str message;
	struct arena a;
	struct buf header, b;

	buf_init(&header, 1 << 20);
	buf_init(&b, 1 << 20);
	arena_init(&a, 1 << 20);
	for (int i = 0; i < 9000; i++)
		assert_true(buf_printf(&header, "X-%04d: 9\r\n", i));
	d.header = buf_str(&header);
	assert_true(dsn_write(&b, &d));
	message = heap_copy(buf_str(&b));
	read_report(message, &a, &parts);
	CHECK_STR(0, parts.about, str_head(d.header, DSN_HEADER / 11 * 11));
	heap_free(message);
	arena_fini(&a);
	buf_fini(&header);
	buf_fini(&b);
}

TEST(a_full_buffer_keeps_no_half_of_it)
{
	struct dsn d = report();
	struct buf b;
	size_t whole;

	buf_init(&b, 1 << 20);
	assert_true(dsn_write(&b, &d));
	whole = buf_len(&b);
	buf_fini(&b);
	for (size_t max = 0; max < whole; max += 101) {
		buf_init(&b, max);
		CHECK(max, !dsn_write(&b, &d));
		CHECK_INT(max, buf_len(&b), 0);
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_codes_are_taken_from_the_front_of_a_reply),
		cmocka_unit_test(a_report_has_its_three_parts),
		cmocka_unit_test(only_a_failure_is_called_one),
		cmocka_unit_test(no_header_of_an_original_breaks_the_report),
		cmocka_unit_test(quoted_printable_follows_rfc_2045),
		cmocka_unit_test(a_long_header_is_cut_between_fields),
		cmocka_unit_test(a_full_buffer_keeps_no_half_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
