#include "admin_syslog.h"

#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#define LINE(level, event)                                                                         \
	"{\"time\":\"2026-11-24T11:20:13.123Z\",\"level\":\"" level "\",\"event\":\"" event        \
	"\",\"role\":\"edge\"}"
#define FRONT "2026-11-24T11:20:13.123Z mx.example.org moongate 77 "

static const struct {
	struct str line, header;
} samples[] = {
	{ STR(LINE("info", "session")), STR("<22>1 " FRONT "session - ") },
	{ STR(LINE("debug", "x.y")), STR("<23>1 " FRONT "x.y - ") },
	{ STR(LINE("warn", "queue.dropped")), STR("<20>1 " FRONT "queue.dropped - ") },
	{ STR(LINE("error", "role.ended")), STR("<19>1 " FRONT "role.ended - ") },
	{ STR(LINE("other", "")), STR("<22>1 " FRONT "- - ") },
	{ STR(LINE("info", "a b\\u0000c")), STR("<22>1 " FRONT "ab\\u0000c - ") },
	{ STR(LINE("info", "0123456789012345678901234567890123456789")),
	  STR("<22>1 " FRONT "01234567890123456789012345678901 - ") },
	{ STR(""), STR("<22>1 - mx.example.org moongate 77 - - ") },
	{ STR("\xff\n\0<34>1"), STR("<22>1 - mx.example.org moongate 77 - - ") },
	{ STR("{\"time\":\"never closed"), STR("<22>1 - mx.example.org moongate 77 - - ") },
};

TEST(the_header_is_made_of_the_lines_own_fields)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct admin_syslog s;
		char header[ADMIN_SYSLOG_HEADER];
		struct str line = heap_copy(samples[i].line);
		size_t n;

		admin_syslog_init(&s, STR("mx.example.org"));
		s.pid = 77;
		n = admin_syslog_header(&s, line, header);
		CHECK_STR(i, ((struct str){ header, n }), samples[i].header);
		heap_free(line);
	}
}

TEST(a_strange_host_name_stays_one_token)
{
	char header[ADMIN_SYSLOG_HEADER], name[400];
	struct admin_syslog s;

	admin_syslog_init(&s, STR("a b\n\xc3\xa4"));
	s.pid = 1;
	assert_true(admin_syslog_header(&s, STR(""), header) > 0);
	assert_string_equal(header, "<22>1 - ab moongate 1 - - ");
	memset(name, 'x', sizeof name);
	admin_syslog_init(&s, (struct str){ name, sizeof name });
	assert_true(admin_syslog_header(&s, STR(""), header) < sizeof header);
	assert_int_equal(strlen(s.hostname), ADMIN_SYSLOG_HOST);
}

TEST(one_line_is_one_datagram)
{
	struct str line = STR(LINE("info", "session"));
	struct admin_syslog s;
	char got[512];
	int pair[2];
	ssize_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
	admin_syslog_init(&s, STR("mx"));
	n = admin_syslog_send(&s, pair[0], line);
	assert_true(n > (ssize_t)line.n);
	assert_int_equal(recv(pair[1], got, sizeof got, 0), n);
	CHECK_STR(0, ((struct str){ got + n - (ssize_t)line.n, line.n }), line);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_is_made_of_the_lines_own_fields),
		cmocka_unit_test(a_strange_host_name_stays_one_token),
		cmocka_unit_test(one_line_is_one_datagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
