#include "check.h"
#include "smtp_command.h"

#define LONG_NAME                                                                                  \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                         \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                         \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                         \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	struct str line;
	enum smtp_verb verb;
	enum smtp_flaw flaw;
	struct str argument;            /* or the path's text, for MAIL and RCPT */
} samples[] = {
	{ STR("NOOP"), VERB_NOOP, FLAW_NONE, STR("") },
	{ STR("noop"), VERB_NOOP, FLAW_NONE, STR("") },
	{ STR("NoOp  anything goes \t"), VERB_NOOP, FLAW_NONE, STR("anything goes") },
	{ STR("NOOP \x01"), VERB_NOOP, FLAW_BYTES, STR("\x01") },
	{ STR(""), VERB_UNKNOWN, FLAW_NONE, STR("") },
	{ STR(" "), VERB_UNKNOWN, FLAW_NONE, STR("") },
	{ STR(" NOOP"), VERB_UNKNOWN, FLAW_NONE, STR("") },
	{ STR("NOOPS"), VERB_UNKNOWN, FLAW_NONE, STR("") },
	{ STR("NOO"), VERB_UNKNOWN, FLAW_NONE, STR("") },
	{ STR("NOOP\tx"), VERB_UNKNOWN, FLAW_NONE, STR("") },
	{ STR("\xff\xfe"), VERB_UNKNOWN, FLAW_NONE, STR("") },
	{ STR("WHATISTHIS"), VERB_UNKNOWN, FLAW_NONE, STR("") },
	{ STR("QUIT"), VERB_QUIT, FLAW_NONE, STR("") },
	{ STR("QUIT "), VERB_QUIT, FLAW_NONE, STR("") },
	{ STR("QUIT now"), VERB_QUIT, FLAW_ARGUMENT, STR("now") },
	{ STR("DATA"), VERB_DATA, FLAW_NONE, STR("") },
	{ STR("DATA x"), VERB_DATA, FLAW_ARGUMENT, STR("x") },
	{ STR("RSET x"), VERB_RSET, FLAW_ARGUMENT, STR("x") },
	{ STR("VRFY bob"), VERB_VRFY, FLAW_NONE, STR("bob") },
	{ STR("VRFY"), VERB_VRFY, FLAW_NO_ARGUMENT, STR("") },
	{ STR("EXPN list"), VERB_EXPN, FLAW_NONE, STR("list") },
	{ STR("HELP"), VERB_HELP, FLAW_NONE, STR("") },
	{ STR("HELP MAIL"), VERB_HELP, FLAW_NONE, STR("MAIL") },
	{ STR("STARTTLS"), VERB_STARTTLS, FLAW_NONE, STR("") },
	{ STR("AUTH PLAIN"), VERB_AUTH, FLAW_NONE, STR("PLAIN") },
	{ STR("BDAT 10 LAST"), VERB_BDAT, FLAW_NONE, STR("10 LAST") },
	{ STR("ETRN example.com"), VERB_OTHER, FLAW_NONE, STR("example.com") },
	{ STR("XCLIENT ADDR=1.2.3.4"), VERB_OTHER, FLAW_NONE, STR("ADDR=1.2.3.4") },
	{ STR("GET / HTTP/1.1"), VERB_FOREIGN, FLAW_NONE, STR("/ HTTP/1.1") },
	{ STR("EHLO mx.example.org"), VERB_EHLO, FLAW_NONE, STR("mx.example.org") },
	{ STR("HELO"), VERB_HELO, FLAW_NO_ARGUMENT, STR("") },
	{ STR("HELO a\tb"), VERB_HELO, FLAW_BYTES, STR("a\tb") },
	{ STR("EHLO caf\xc3\xa9.example"), VERB_EHLO, FLAW_BYTES, STR("caf\xc3\xa9.example") },
	{ STR("EHLO " LONG_NAME), VERB_EHLO, FLAW_BYTES, STR(LONG_NAME) },
	{ STR("LHLO x"), VERB_LHLO, FLAW_NONE, STR("x") },
	{ STR("MAIL FROM:<a@example.org>"), VERB_MAIL, FLAW_NONE, STR("a@example.org") },
	{ STR("mail from:<a@example.org>"), VERB_MAIL, FLAW_NONE, STR("a@example.org") },
	{ STR("MAIL FROM:<>"), VERB_MAIL, FLAW_NONE, STR("") },
	{ STR("MAIL FROM:<> SIZE=10 BODY=8BITMIME"), VERB_MAIL, FLAW_NONE, STR("") },
	{ STR("MAIL FROM:<\"a b\"@example.org>  SIZE=10"), VERB_MAIL, FLAW_NONE, STR("\"a b\"@example.org") },
	{ STR("MAIL FROM:<@a,@b:c@example.org>"), VERB_MAIL, FLAW_NONE, STR("c@example.org") },
	{ STR("MAIL FROM:<a@[192.0.2.1]>"), VERB_MAIL, FLAW_NONE, STR("a@[192.0.2.1]") },
	{ STR("MAIL"), VERB_MAIL, FLAW_NO_ARGUMENT, STR("") },
	{ STR("MAIL FROM"), VERB_MAIL, FLAW_KEYWORD, STR("") },
	{ STR("MAIL FROM:"), VERB_MAIL, FLAW_SENDER, STR("") },
	{ STR("MAIL FROM: <a@example.org>"), VERB_MAIL, FLAW_SPACE, STR("") },
	{ STR("MAIL FROM :<a@example.org>"), VERB_MAIL, FLAW_KEYWORD, STR("") },
	{ STR("MAIL TO:<a@example.org>"), VERB_MAIL, FLAW_KEYWORD, STR("") },
	{ STR("MAIL LALA:<>"), VERB_MAIL, FLAW_KEYWORD, STR("") },
	{ STR("MAIL FROM:a@example.org"), VERB_MAIL, FLAW_SENDER, STR("") },
	{ STR("MAIL FROM:<pepe>"), VERB_MAIL, FLAW_SENDER, STR("") },
	{ STR("MAIL FROM:<a@example.org"), VERB_MAIL, FLAW_SENDER, STR("") },
	{ STR("MAIL FROM:<a\0b@example.org>"), VERB_MAIL, FLAW_SENDER, STR("") },
	{ STR("MAIL FROM:<a@example.org>x"), VERB_MAIL, FLAW_PARAMS, STR("a@example.org") },
	{ STR("MAIL FROM:<a@example.org>SIZE=1"), VERB_MAIL, FLAW_PARAMS, STR("a@example.org") },
	{ STR("MAIL FROM:<a@example.org> SIZE=x"), VERB_MAIL, FLAW_PARAMS, STR("a@example.org") },
	{ STR("MAIL FROM:<a@example.org> SIZE=1 SIZE=1"), VERB_MAIL, FLAW_PARAMS, STR("a@example.org") },
	{ STR("MAIL FROM:<a@example.org> AUTH=<>"), VERB_MAIL, FLAW_PARAM_UNKNOWN, STR("a@example.org") },
	{ STR("MAIL FROM:<caf\xc3\xa9@example.org>"), VERB_MAIL, FLAW_8BIT, STR("") },
	{ STR("RCPT TO:<b@example.com>"), VERB_RCPT, FLAW_NONE, STR("b@example.com") },
	{ STR("RCPT TO:<postmaster>"), VERB_RCPT, FLAW_NONE, STR("postmaster") },
	{ STR("RCPT TO:<Postmaster@example.com>"), VERB_RCPT, FLAW_NONE, STR("Postmaster@example.com") },
	{ STR("RCPT TO:<>"), VERB_RCPT, FLAW_RECIPIENT, STR("") },
	{ STR("RCPT TO:<bob>"), VERB_RCPT, FLAW_RECIPIENT, STR("") },
	{ STR("RCPT FROM:<b@example.com>"), VERB_RCPT, FLAW_KEYWORD, STR("") },
	{ STR("RCPT TO:<b@example.com> SIZE=1"), VERB_RCPT, FLAW_PARAM_UNKNOWN, STR("b@example.com") },
	{ STR("RCPT TO:<b@example.com> NOTIFY=NEVER"), VERB_RCPT, FLAW_PARAM_UNKNOWN, STR("b@example.com") },
	{ STR("RCPT TO:<b@example.com>,<c@example.com>"), VERB_RCPT, FLAW_PARAMS, STR("b@example.com") },
	{ STR("RCPT TO:<b@example.com"), VERB_RCPT, FLAW_RECIPIENT, STR("") },
};

static const struct smtp_offers offers = { SMTP_OFFER_ALL, 0 };

TEST(each_line_has_its_meaning)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct str copy = heap_copy(samples[i].line);
		struct smtp_command c;
		bool has_path;

		smtp_command_parse(copy, &offers, &c);
		has_path = c.verb == VERB_MAIL || c.verb == VERB_RCPT;
		CHECK_INT(i, c.verb, samples[i].verb);
		CHECK_INT(i, c.flaw, samples[i].flaw);
		CHECK_STR(i, has_path ? c.path.text : c.argument, samples[i].argument);
		heap_free(copy);
	}
}

static const struct {
	struct str line;
	bool is_domain;
} hellos[] = {
	{ STR("EHLO mx.example.org"), true },
	{ STR("HELO localhost"), true },
	{ STR("HELO [192.0.2.1]"), true },
	{ STR("EHLO [IPv6:2001:db8::1]"), true },
	{ STR("HELO my_pc"), false },
	{ STR("HELO my pc"), false },
	{ STR("HELO -x-"), false },
	{ STR("HELO [192.0.2.1"), false },
	{ STR("EHLO <script>"), false },
};

TEST(a_hello_that_names_no_host_is_a_fact_and_not_an_error)
{
	for (size_t i = 0; i < COUNT(hellos); i++) {
		struct smtp_command c;

		smtp_command_parse(hellos[i].line, &offers, &c);
		CHECK_INT(i, c.flaw, FLAW_NONE);
		CHECK_INT(i, c.is_domain, hellos[i].is_domain);
	}
}

static const struct {
	struct str line;
	bool has_routing;
} routes[] = {
	{ STR("RCPT TO:<u@example.com>"), false },
	{ STR("RCPT TO:<u%r@example.com>"), true },
	{ STR("RCPT TO:<r!u@example.com>"), true },
	{ STR("RCPT TO:<\"u@r\"@example.com>"), true },
	{ STR("RCPT TO:<\"u%r\"@example.com>"), true },
	{ STR("RCPT TO:<\"u\\@r\"@example.com>"), true },
	{ STR("RCPT TO:<@example.com:u@r.example>"), false },
	{ STR("MAIL FROM:<u%r@example.com>"), false },
};

TEST(routing_characters_in_a_recipient_are_seen)
{
	for (size_t i = 0; i < COUNT(routes); i++) {
		struct smtp_command c;

		smtp_command_parse(routes[i].line, &offers, &c);
		CHECK_INT(i, c.flaw, FLAW_NONE);
		CHECK_INT(i, c.has_routing, routes[i].has_routing);
	}
}

TEST(what_was_not_offered_is_not_understood)
{
	const struct smtp_offers none = { 0 };
	struct smtp_command c;

	smtp_command_parse(STR("MAIL FROM:<> SIZE=1"), &none, &c);
	assert_int_equal(c.flaw, FLAW_PARAM_UNKNOWN);
	smtp_command_parse(STR("MAIL FROM:<>"), &none, &c);
	assert_int_equal(c.flaw, FLAW_NONE);
}

TEST(verbs_have_names)
{
	assert_string_equal(smtp_verb_name(VERB_MAIL), "MAIL");
	assert_string_equal(smtp_verb_name(VERB_BDAT), "BDAT");
	assert_string_equal(smtp_verb_name(VERB_OTHER), "command");
	assert_string_equal(smtp_verb_name(VERB_UNKNOWN), "command");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_has_its_meaning),
		cmocka_unit_test(a_hello_that_names_no_host_is_a_fact_and_not_an_error),
		cmocka_unit_test(routing_characters_in_a_recipient_are_seen),
		cmocka_unit_test(what_was_not_offered_is_not_understood),
		cmocka_unit_test(verbs_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
