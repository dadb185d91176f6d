#include "received.h"

#include "check.h"
#include "header.h"

static const struct id id = { { 0 } };

static struct received plain(void)
{
	return (struct received){
		.helo = STR("client.example"),
		.peer_name = STR("mail.example"),
		.peer_ip = STR("192.0.2.1"),
		.host = STR("mx.example.org"),
		.protocol = STR("ESMTP"),
		.id = &id,
		.rcpt = STR("\"a b\"@example.org"),
		.wall_us = UINT64_C(1795518555000000),
	};
}

static struct buf out;

static int begin(void **state)
{
	(void)state;
	buf_init(&out, 4096);
	return 0;
}

static int end(void **state)
{
	(void)state;
	buf_fini(&out);
	return 0;
}

TEST(a_field_has_every_clause_in_its_order)
{
	struct received r = plain();

	assert_true(received_write(&out, &r));
	CHECK_STR(0, buf_str(&out),
		  STR("Received: from client.example\r\n"
		      "\t(mail.example [192.0.2.1])\r\n"
		      "\tby mx.example.org with ESMTP id 00000000000000000000000000\r\n"
		      "\tfor <\"a b\"@example.org>;\r\n"
		      "\tTue, 24 Nov 2026 11:09:15 +0000\r\n"));
}

TEST(what_tls_agreed_on_is_a_comment)
{
	struct received r = plain();

	r.protocol = STR("ESMTPS");
	r.tls_version = STR("TLSv1.3");
	r.tls_cipher = STR("TLS_AES_128_GCM_SHA256");
	assert_true(received_write(&out, &r));
	CHECK_STR(0, buf_str(&out),
		  STR("Received: from client.example\r\n"
		      "\t(mail.example [192.0.2.1])\r\n"
		      "\tby mx.example.org with ESMTPS id 00000000000000000000000000\r\n"
		      "\t(version=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256)\r\n"
		      "\tfor <\"a b\"@example.org>;\r\n"
		      "\tTue, 24 Nov 2026 11:09:15 +0000\r\n"));
}

TEST(what_is_not_known_is_said_or_left_out)
{
	struct received r = plain();

	r.rcpt = r.peer_name = r.helo = STR_NONE;
	r.peer_ip = STR("2001:db8::1");
	assert_true(received_write(&out, &r));
	CHECK_STR(0, buf_str(&out),
		  STR("Received: from unknown\r\n"
		      "\t(unknown [IPv6:2001:db8::1])\r\n"
		      "\tby mx.example.org with ESMTP id 00000000000000000000000000;\r\n"
		      "\tTue, 24 Nov 2026 11:09:15 +0000\r\n"));
	r.peer_ip = STR_NONE;
	buf_reset(&out);
	assert_true(received_write(&out, &r));
	assert_true(str_has_prefix(buf_str(&out),
				   STR("Received: from unknown\r\n\t(unix socket)\r\n")));
}

TEST(no_helo_can_end_the_field_or_begin_a_clause)
{
	static const struct {
		struct str helo, want;
	} table[] = {
		{ STR("[192.0.2.7]"), STR("[192.0.2.7]") },
		{ STR("my_host"), STR("my_host") },
		{ STR("a (b) by c; d"), STR("a??b??by?c??d") },
		{ STR("a\r\nX: y"), STR("a??X:?y") },
		{ STR("\xc3\xbc\0\x1b"), STR("????") },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct received r = plain();
		struct header_field field;
		struct str block, line;

		r.helo = r.peer_name = table[i].helo;
		buf_reset(&out);
		assert_true(received_write(&out, &r));
		block = buf_str(&out);
		assert_true(header_take(&block, &field));
		assert_int_equal(block.n, 0);
		assert_true(str_take(&field.value, '\r', &line));
		CHECK_STR(i, str_drop(line, sizeof " from " - 1), table[i].want);
	}
}

TEST(lines_stay_within_the_limit)
{
	char many[2000];
	struct received r = plain();
	struct str rest, line;

	memset(many, 'x', sizeof many);
	r.helo = r.peer_name = r.host = (struct str){ many, sizeof many };
	r.rcpt = (struct str){ many, 254 };
	assert_true(received_write(&out, &r));
	rest = buf_str(&out);
	while (str_take(&rest, '\n', &line))
		assert_true(line.n <= HEADER_LINE);
}

TEST(a_full_buffer_keeps_no_half_of_it)
{
	struct received r = plain();

	assert_true(received_write(&out, &r));
	for (size_t max = 0; max < buf_len(&out); max += 13) {
		struct buf small;

		buf_init(&small, max + 1);
		assert_true(buf_byte(&small, 'x'));
		if (max + 1 < buf_len(&out) + 1)
			CHECK(max, !received_write(&small, &r));
		assert_int_equal(buf_len(&small), 1);
		buf_fini(&small);
	}
}

TEST(the_return_path_has_angles_even_around_nothing)
{
	assert_true(received_return_path(&out, STR("a@b")));
	assert_true(received_return_path(&out, STR_NONE));
	CHECK_STR(0, buf_str(&out), STR("Return-Path: <a@b>\r\nReturn-Path: <>\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_field_has_every_clause_in_its_order, begin, end),
		cmocka_unit_test_setup_teardown(what_tls_agreed_on_is_a_comment, begin, end),
		cmocka_unit_test_setup_teardown(what_is_not_known_is_said_or_left_out, begin, end),
		cmocka_unit_test_setup_teardown(no_helo_can_end_the_field_or_begin_a_clause, begin,
						end),
		cmocka_unit_test_setup_teardown(lines_stay_within_the_limit, begin, end),
		cmocka_unit_test_setup_teardown(a_full_buffer_keeps_no_half_of_it, begin, end),
		cmocka_unit_test_setup_teardown(the_return_path_has_angles_even_around_nothing,
						begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
