#include "check.h"
#include "smtp_server.h"

static const struct smtp_limits small = {
	.commands = 100, .errors = 3, .refusals = 4, .junk = 5, .messages = 2, .recipients = 2, .size = 1000,
};

/* What happens, and what the machine makes of it. YES answers the question with code 0. */
enum { YES = 0, CONNECT = -1, DURABLE = -2, END = -3, SECURED = -4 };

struct turn {
	const char *line;               /* a command; NULL: the event in `verdict` */
	int verdict;                    /* to a question that the command opens; or an event */
	int reply;                      /* 0: closed without a word */
	enum smtp_phase phase;
};

struct session {
	const char *name;
	bool is_lmtp;
	enum smtp_tls tls;
	const struct smtp_limits *limits;
	struct turn turns[24];
};

#define HELLO { NULL, CONNECT, 220, SMTP_START }, { "EHLO client.example", YES, 250, SMTP_READY }
#define MAIL { "MAIL FROM:<s@example.org>", YES, 250, SMTP_MAIL }
#define RCPT { "RCPT TO:<r@example.com>", YES, 250, SMTP_RCPT }
#define DATA { "DATA", YES, 354, SMTP_BODY }
#define QUIT { "QUIT", YES, 221, SMTP_OVER }

static const struct session sessions[] = {
	{ "a message", .turns = {
		HELLO, MAIL, RCPT, DATA, { NULL, END, 0, SMTP_ENDED }, { NULL, DURABLE, 250, SMTP_READY }, MAIL, QUIT } },
	{ "policy is not even asked out of order", .turns = {
		{ NULL, CONNECT, 220, SMTP_START }, { "MAIL FROM:<>", 0, 503, SMTP_START }, { "DATA", 0, 503, SMTP_START } } },
	{ "refused: stay put", .turns = {
		HELLO, { "MAIL FROM:<s@example.org>", 550, 550, SMTP_READY }, MAIL,
		{ "RCPT TO:<r@example.com>", 550, 550, SMTP_MAIL }, { "RCPT TO:<r@example.com>", 451, 451, SMTP_MAIL },
		{ "DATA", 0, 503, SMTP_MAIL }, RCPT, { "RCPT TO:<r@example.com>", 550, 550, SMTP_RCPT },
		{ "DATA", 450, 450, SMTP_RCPT }, DATA, { NULL, END, 0, SMTP_ENDED }, { NULL, 554, 554, SMTP_READY } } },
	{ "hello refused", .turns = {
		{ NULL, CONNECT, 220, SMTP_START }, { "EHLO x", 550, 550, SMTP_START }, { "MAIL FROM:<>", 0, 503, SMTP_START },
		{ "HELO x", YES, 250, SMTP_READY } } },
	{ "after HELO there are no parameters", .turns = {
		{ NULL, CONNECT, 220, SMTP_START }, { "HELO x", YES, 250, SMTP_READY },
		{ "MAIL FROM:<> SIZE=1", 0, 555, SMTP_READY }, { "EHLO x", YES, 250, SMTP_READY },
		{ "MAIL FROM:<> SIZE=1", YES, 250, SMTP_MAIL } } },
	{ "transactions are dropped whole", .turns = {
		HELLO, MAIL, RCPT, { "RSET", 0, 250, SMTP_READY }, MAIL, { "DATA", 0, 503, SMTP_MAIL }, RCPT,
		{ "EHLO again", YES, 250, SMTP_READY }, { "DATA", 0, 503, SMTP_READY } } },
	{ "RSET before a hello leaves us before it", .turns = {
		{ NULL, CONNECT, 220, SMTP_START }, { "RSET", 0, 250, SMTP_START }, { "MAIL FROM:<>", 0, 503, SMTP_START } } },
	{ "MAIL within a transaction", .turns = { HELLO, MAIL, { "MAIL FROM:<>", 0, 503, SMTP_MAIL } } },
	{ "commands that need nothing", .turns = {
		{ NULL, CONNECT, 220, SMTP_START }, { "NOOP", 0, 250, SMTP_START }, { "VRFY bob", 0, 252, SMTP_START },
		{ "HELP", 0, 214, SMTP_START }, { "EXPN list", 0, 502, SMTP_START }, { "QUIT", 0, 221, SMTP_OVER } } },
	{ "what is not spoken here", .turns = {
		HELLO, { "STARTTLS", 0, 502, SMTP_READY }, { "AUTH PLAIN", 0, 502, SMTP_READY } } },
	{ "LMTP's hello in SMTP", .turns = { { NULL, CONNECT, 220, SMTP_START }, { "LHLO x", 0, 500, SMTP_START } } },
	{ "another protocol", .turns = { { NULL, CONNECT, 220, SMTP_START }, { "GET / HTTP/1.1", 0, 500, SMTP_OVER } } },
	{ "refused at connect: waits for QUIT", .turns = {
		{ NULL, 554, 554, SMTP_DENIED }, { "EHLO x", 0, 503, SMTP_DENIED }, { "QUIT", 0, 221, SMTP_OVER } } },
	{ "too many errors", .turns = {
		HELLO, { "FOO", 0, 500, SMTP_READY }, { "BAR", 0, 500, SMTP_READY }, { "BAZ", 0, 421, SMTP_OVER } } },
	{ "too many refusals", .turns = {
		HELLO, { "MAIL FROM:<>", 550, 550, SMTP_READY }, MAIL, { "RCPT TO:<r@example.com>", 550, 550, SMTP_MAIL },
		{ "RCPT TO:<r@example.com>", 550, 550, SMTP_MAIL }, { "RCPT TO:<r@example.com>", 450, 450, SMTP_MAIL },
		{ "RCPT TO:<r@example.com>", 550, 421, SMTP_OVER } } },
	{ "too much junk", .turns = {
		HELLO, { "NOOP", 0, 250, SMTP_READY }, { "RSET", 0, 250, SMTP_READY }, { "NOOP", 0, 250, SMTP_READY },
		{ "EHLO x", YES, 250, SMTP_READY }, { "VRFY x", 0, 252, SMTP_READY }, { "NOOP", 0, 421, SMTP_OVER } } },
	{ "a message makes up for junk", .turns = {
		HELLO, { "NOOP", 0, 250, SMTP_READY }, { "NOOP", 0, 250, SMTP_READY }, { "NOOP", 0, 250, SMTP_READY }, MAIL, RCPT,
		DATA, { NULL, END, 0, SMTP_ENDED }, { NULL, DURABLE, 250, SMTP_READY }, { "NOOP", 0, 250, SMTP_READY },
		{ "NOOP", 0, 250, SMTP_READY }, { "NOOP", 0, 250, SMTP_READY } } },
	{ "too many messages", .turns = {
		HELLO, MAIL, { "RSET", 0, 250, SMTP_READY }, MAIL, { "RSET", 0, 250, SMTP_READY },
		{ "MAIL FROM:<>", 0, 421, SMTP_OVER } } },
	{ "too many recipients", .turns = { HELLO, MAIL, RCPT, RCPT, { "RCPT TO:<r@example.com>", 0, 452, SMTP_RCPT }, DATA } },
	{ "too big by its own word", .turns = {
		HELLO, { "MAIL FROM:<> SIZE=1001", 0, 552, SMTP_READY }, { "MAIL FROM:<> SIZE=1000", YES, 250, SMTP_MAIL } } },
	{ "routing characters", .turns = {
		HELLO, MAIL, { "RCPT TO:<u%r@example.com>", 0, 550, SMTP_MAIL }, { "RCPT TO:<\"u@r\"@example.com>", 0, 550, SMTP_MAIL } } },
	{ "a verdict that closes", .turns = { HELLO, { "MAIL FROM:<>", 421, 421, SMTP_OVER } } },
	{ "521 at connect closes", .turns = { { NULL, 521, 521, SMTP_OVER } } },
	{ "syntax errors by kind", .turns = {
		{ NULL, CONNECT, 220, SMTP_START }, { "EHLO", 0, 501, SMTP_START }, { "EHLO a\tb", 0, 501, SMTP_START } } },
	{ "syntax errors of paths", .turns = {
		HELLO, { "MAIL FROM:<s>", 0, 501, SMTP_READY }, { "MAIL FROM:<caf\xc3\xa9@example.org>", 0, 553, SMTP_READY } } },
	{ "STARTTLS: as if just connected", .tls = SMTP_TLS_OFFERED, .turns = {
		HELLO, { "STARTTLS", YES, 220, SMTP_SECURING }, { NULL, SECURED, 0, SMTP_START }, { "MAIL FROM:<>", 0, 503, SMTP_START },
		{ "EHLO x", YES, 250, SMTP_READY }, { "STARTTLS", 0, 503, SMTP_READY }, MAIL, RCPT, DATA } },
	{ "STARTTLS cannot begin now", .tls = SMTP_TLS_OFFERED, .turns = {
		HELLO, { "STARTTLS", 454, 454, SMTP_READY }, MAIL } },
	{ "STARTTLS out of order", .tls = SMTP_TLS_OFFERED, .turns = {
		{ NULL, CONNECT, 220, SMTP_START }, { "STARTTLS", 0, 503, SMTP_START }, { "EHLO x", YES, 250, SMTP_READY }, MAIL,
		{ "STARTTLS", 0, 503, SMTP_MAIL } } },
	{ "STARTTLS takes no argument", .tls = SMTP_TLS_OFFERED, .turns = { HELLO, { "STARTTLS now", 0, 501, SMTP_READY } } },
	{ "STARTTLS with something behind it", .tls = SMTP_TLS_OFFERED, .turns = { HELLO, { "STARTTLS", 421, 421, SMTP_OVER } } },
	{ "no mail without TLS", .tls = SMTP_TLS_REQUIRED, .turns = {
		HELLO, { "MAIL FROM:<>", 0, 530, SMTP_READY }, { "STARTTLS", YES, 220, SMTP_SECURING }, { NULL, SECURED, 0, SMTP_START },
		{ "EHLO x", YES, 250, SMTP_READY }, MAIL } },
	{ "refused behind STARTTLS: said to all that comes", .tls = SMTP_TLS_OFFERED, .turns = {
		HELLO, { "STARTTLS", YES, 220, SMTP_SECURING }, { NULL, 554, 0, SMTP_DENIED }, { "EHLO x", 0, 554, SMTP_DENIED },
		{ "STARTTLS", 0, 503, SMTP_DENIED }, { "QUIT", 0, 221, SMTP_OVER } } },
	{ "dropped behind STARTTLS", .tls = SMTP_TLS_OFFERED, .turns = {
		HELLO, { "STARTTLS", YES, 220, SMTP_SECURING }, { NULL, 421, 421, SMTP_OVER } } },
	{ "implicit TLS: the greeting comes behind the handshake", .tls = SMTP_TLS_IMPLICIT, .turns = {
		{ NULL, CONNECT, 0, SMTP_SECURING }, { NULL, SECURED, 220, SMTP_START }, { "EHLO x", YES, 250, SMTP_READY },
		{ "STARTTLS", 0, 503, SMTP_READY }, MAIL } },
	{ "implicit TLS: refused at connect, said when it can be", .tls = SMTP_TLS_IMPLICIT, .turns = {
		{ NULL, 554, 0, SMTP_SECURING }, { NULL, SECURED, 554, SMTP_DENIED }, { "EHLO x", 0, 503, SMTP_DENIED },
		{ "QUIT", 0, 221, SMTP_OVER } } },
	{ "implicit TLS: dropped at connect without a word", .tls = SMTP_TLS_IMPLICIT, .turns = { { NULL, 421, 0, SMTP_OVER } } },
	{ "implicit TLS: refused behind the handshake", .tls = SMTP_TLS_IMPLICIT, .turns = {
		{ NULL, CONNECT, 0, SMTP_SECURING }, { NULL, 550, 550, SMTP_DENIED }, { "QUIT", 0, 221, SMTP_OVER } } },
	{ "LMTP: one reply for each recipient", .is_lmtp = true, .turns = {
		{ NULL, CONNECT, 220, SMTP_START }, { "EHLO x", 0, 500, SMTP_START }, { "LHLO x", YES, 250, SMTP_READY }, MAIL, RCPT,
		RCPT, DATA, { NULL, END, 0, SMTP_ENDED }, { NULL, DURABLE, 250, SMTP_ENDED }, { NULL, 550, 550, SMTP_READY }, MAIL } },
};

static struct smtp_todo answer(struct smtp_server *s, int code)
{
	const struct smtp_verdict verdict = { .code = (uint16_t)code };

	return smtp_server_verdict(s, &verdict);
}

/* event - what no command brings */
static struct smtp_todo event(struct smtp_server *s, int what)
{
	switch (what) {
	case DURABLE:
		return smtp_server_durable(s, STR_NONE);
	case END:
		return smtp_server_end(s, SMTP_DATA_CLEAN);
	default:
		if (s->phase == SMTP_GREETING)
			assert_int_equal(smtp_server_connect(s).what, SMTP_ASK);
		if (s->phase == SMTP_SECURING) {
			struct smtp_todo todo = smtp_server_secured(s);

			smtp_server_check(s);
			if (todo.what != SMTP_ASK)
				return todo;
		}
		return answer(s, what == CONNECT || what == SECURED ? YES : what);
	}
}

static struct smtp_todo turn(struct smtp_server *s, const struct turn *t)
{
	struct smtp_command c;
	struct smtp_todo todo;

	if (!t->line)
		return event(s, t->verdict);
	smtp_command_parse(str_of(t->line), smtp_server_offers(s), &c);
	todo = smtp_server_command(s, &c);
	smtp_server_check(s);
	return todo.what == SMTP_ASK ? answer(s, t->verdict) : todo;
}

static void play(const struct session *session)
{
	struct smtp_server s;

	smtp_server_init(&s, STR("mx.example"), session->limits ? session->limits : &small, session->is_lmtp);
	smtp_server_tls(&s, session->tls);
	for (size_t i = 0; i < COUNT(session->turns) && (session->turns[i].line || session->turns[i].verdict); i++) {
		const struct turn *t = &session->turns[i];
		struct smtp_todo todo = turn(&s, t);

		smtp_server_check(&s);
		if (todo.code != t->reply || s.phase != t->phase)
			fail_msg("%s, turn %zu: %d and %s, not %d and %s", session->name, i, todo.code,
				 smtp_phase_name(s.phase), t->reply, smtp_phase_name(t->phase));
		assert_int_equal(todo.what == SMTP_REPLY_CLOSE || todo.what == SMTP_CLOSE, s.phase == SMTP_OVER);
		assert_int_equal(todo.what == SMTP_REPLY_SECURE || todo.what == SMTP_SECURE, s.phase == SMTP_SECURING);
		assert_int_equal(todo.what == SMTP_REPLY_BODY, s.phase == SMTP_BODY);
	}
}

TEST(each_session_goes_as_the_rfc_says)
{
	for (size_t i = 0; i < COUNT(sessions); i++)
		play(&sessions[i]);
}

/* A session up to any phase, for the events that may come at any time. */
static void walk(struct smtp_server *s, enum smtp_phase phase)
{
	static const struct turn way[] = { HELLO, MAIL, RCPT, DATA, { NULL, END, 0, SMTP_ENDED } };

	smtp_server_init(s, STR("mx.example"), &smtp_limits_default, false);
	if (phase == SMTP_SECURING) {
		smtp_server_tls(s, SMTP_TLS_IMPLICIT);
		(void)event(s, CONNECT);
	}
	for (size_t i = 0; i < COUNT(way) && s->phase != phase; i++)
		(void)turn(s, &way[i]);
	if (phase == SMTP_DENIED)
		(void)event(s, 554);
	assert_int_equal(s->phase, phase);
}

TEST(starttls_is_offered_where_it_would_be_granted)
{
	static const struct {
		enum smtp_tls tls;
		bool is_secure, is_offered;
	} rows[] = {
		{ SMTP_TLS_OFF, false, false },     { SMTP_TLS_OFFERED, false, true }, { SMTP_TLS_OFFERED, true, false },
		{ SMTP_TLS_REQUIRED, false, true }, { SMTP_TLS_REQUIRED, true, false }, { SMTP_TLS_IMPLICIT, true, false },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		static const struct turn hello = { "EHLO x", YES, 250, SMTP_READY }, secure = { "STARTTLS", YES, 220, SMTP_SECURING };
		struct smtp_server s;

		smtp_server_init(&s, STR("mx.example"), &small, false);
		smtp_server_tls(&s, rows[i].tls);
		(void)event(&s, CONNECT);
		if (rows[i].is_secure && rows[i].tls != SMTP_TLS_IMPLICIT) {
			(void)turn(&s, &hello);
			(void)turn(&s, &secure);
		}
		if (rows[i].is_secure)
			(void)event(&s, SECURED);
		(void)turn(&s, &hello);
		CHECK_INT(i, smtp_offers_has(smtp_server_offers(&s), SMTP_EXTENSION_STARTTLS), rows[i].is_offered);
	}
}

/* What policy took out of the offers is not granted either. */
TEST(what_is_not_offered_is_not_understood)
{
	static const struct turn starttls = { "STARTTLS", YES, 220, SMTP_SECURING };
	struct smtp_server s;

	walk(&s, SMTP_READY);
	smtp_server_tls(&s, SMTP_TLS_OFFERED);
	CHECK_INT(0, turn(&s, &starttls).code, 502);
}

TEST(a_limit_ends_every_phase_with_421)
{
	for (int phase = SMTP_GREETING; phase < SMTP_DENIED; phase++) {
		for (int why = 0; why < SMTP_STOPS; why++) {
			struct smtp_server s;
			struct smtp_todo todo;

			walk(&s, (enum smtp_phase)phase);
			todo = smtp_server_stop(&s, (enum smtp_stop)why);
			CHECK_INT(phase, todo.what, SMTP_REPLY_CLOSE);
			CHECK_INT(phase, todo.code, 421);
			smtp_server_check(&s);
			walk(&s, (enum smtp_phase)phase);
			CHECK_INT(phase, smtp_server_abort(&s).what, SMTP_CLOSE);
			CHECK_INT(phase, s.phase, SMTP_OVER);
			smtp_server_check(&s);
		}
	}
}

static const struct {
	enum smtp_data_flaw flaw;
	int code;
	enum smtp_phase phase;
} flaws[] = {
	{ SMTP_DATA_BARE_CR, 554, SMTP_OVER },  { SMTP_DATA_BARE_LF, 554, SMTP_OVER },
	{ SMTP_DATA_NUL, 554, SMTP_OVER },      { SMTP_DATA_LINE_TOO_LONG, 554, SMTP_READY },
	{ SMTP_DATA_TOO_BIG, 552, SMTP_READY },
};

TEST(a_flawed_message_is_refused_without_asking)
{
	for (size_t i = 0; i < COUNT(flaws); i++) {
		struct smtp_server s;
		struct smtp_todo todo;

		walk(&s, SMTP_BODY);
		todo = smtp_server_end(&s, flaws[i].flaw);
		smtp_server_check(&s);
		CHECK_INT(i, todo.code, flaws[i].code);
		CHECK_INT(i, todo.times, 1);
		CHECK_INT(i, s.phase, flaws[i].phase);
	}
}

TEST(a_flawed_message_is_refused_for_each_recipient_in_lmtp)
{
	static const struct turn way[] = { { NULL, CONNECT, 220, SMTP_START }, { "LHLO x", YES, 250, SMTP_READY }, MAIL, RCPT, RCPT, DATA };
	struct smtp_server s;
	struct smtp_todo todo;
	struct buf out;

	smtp_server_init(&s, STR("mx.example"), &small, true);
	for (size_t i = 0; i < COUNT(way); i++)
		(void)turn(&s, &way[i]);
	todo = smtp_server_end(&s, SMTP_DATA_TOO_BIG);
	assert_int_equal(todo.times, 2);
	assert_int_equal(s.phase, SMTP_READY);
	buf_init(&out, 370);                    /* room for one at a time */
	assert_false(smtp_server_write(&s, &todo, &out));
	CHECK_STR(0, buf_str(&out), STR("552 5.3.4 the message is too big\r\n"));
	buf_reset(&out);
	assert_true(smtp_server_write(&s, &todo, &out));
	CHECK_STR(1, buf_str(&out), STR("552 5.3.4 the message is too big\r\n"));
	buf_fini(&out);
}

TEST(a_line_that_is_none_is_an_error_or_the_end)
{
	for (int flaw = SMTP_LINE_TOO_LONG; flaw < SMTP_LINE_FLAWS; flaw++) {
		struct smtp_server s;
		struct smtp_todo todo;

		walk(&s, SMTP_MAIL);
		todo = smtp_server_line(&s, (enum smtp_line_flaw)flaw);
		CHECK_INT(flaw, todo.code, 500);
		CHECK_INT(flaw, s.phase, flaw == SMTP_LINE_TOO_LONG ? SMTP_MAIL : SMTP_OVER);
		CHECK_INT(flaw, s.errors, 1);
	}
}

TEST(more_commands_than_allowed_end_the_session)
{
	static const struct smtp_limits limits = { .commands = 3, .errors = 9, .refusals = 9, .junk = 9, .messages = 9, .recipients = 9 };
	static const struct session session = { "too many commands", .limits = &limits, .turns = {
		{ NULL, CONNECT, 220, SMTP_START }, { "NOOP", 0, 250, SMTP_START }, { "NOOP", 0, 250, SMTP_START },
		{ "NOOP", 0, 250, SMTP_START }, { "NOOP", 0, 421, SMTP_OVER } } };

	play(&session);
}

TEST(lines_that_are_none_count_as_commands)
{
	static const struct smtp_limits limits = { .commands = 1, .errors = 9, .refusals = 9, .junk = 9, .messages = 9, .recipients = 9 };
	struct smtp_server s;

	smtp_server_init(&s, STR("mx.example"), &limits, false);
	(void)event(&s, CONNECT);
	assert_int_equal(smtp_server_line(&s, SMTP_LINE_TOO_LONG).code, 500);
	assert_int_equal(smtp_server_line(&s, SMTP_LINE_TOO_LONG).code, 421);
	assert_int_equal(s.phase, SMTP_OVER);
}

TEST(a_setting_lets_policy_judge_routing_characters)
{
	static const struct smtp_limits limits = { .commands = 9, .errors = 9, .refusals = 9, .junk = 9, .messages = 9, .recipients = 9, .routing = true };
	static const struct session session = { "routing", .limits = &limits, .turns = {
		HELLO, MAIL, { "RCPT TO:<u%r@example.com>", YES, 250, SMTP_RCPT } } };

	play(&session);
}

static const struct {
	struct smtp_todo todo;
	struct str want;
} replies[] = {
	{ { SMTP_REPLY, 220, 1, false, STR(""), STR("") }, STR("220 mx.example ESMTP\r\n") },
	{ { SMTP_REPLY, 220, 1, false, STR(""), STR("hello there") }, STR("220 mx.example hello there\r\n") },
	{ { SMTP_REPLY, 250, 1, false, STR(""), STR("") }, STR("250 mx.example\r\n") },
	{ { SMTP_REPLY_CLOSE, 221, 1, false, STR("2.0.0"), STR("bye") }, STR("221 2.0.0 mx.example bye\r\n") },
	{ { SMTP_REPLY_CLOSE, 421, 1, false, STR("4.3.2"), STR("later") }, STR("421 4.3.2 mx.example later\r\n") },
	{ { SMTP_REPLY, 550, 1, false, STR("5.7.1"), STR("no\nnever") }, STR("550-5.7.1 no\r\n550 5.7.1 never\r\n") },
	{ { SMTP_REPLY, 250, 1, true, STR(""), STR("") },
	  STR("250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n") },
};

TEST(replies_are_written)
{
	for (size_t i = 0; i < COUNT(replies); i++) {
		struct smtp_todo todo = replies[i].todo;
		struct smtp_server s;
		struct buf out;

		smtp_server_init(&s, STR("mx.example"), &small, false);
		buf_init(&out, SMTP_SERVER_ROOM);
		CHECK(i, smtp_server_write(&s, &todo, &out));
		CHECK_STR(i, buf_str(&out), replies[i].want);
		buf_fini(&out);
	}
}

/* Policy takes an offer away at the hello; the next hello begins with all of them. */
TEST(what_policy_takes_away_is_not_offered)
{
	const struct smtp_verdict yes = { 0 };
	struct smtp_command c;
	struct smtp_server s;

	walk(&s, SMTP_START);
	smtp_command_parse(STR("EHLO x"), smtp_server_offers(&s), &c);
	assert_int_equal(smtp_server_command(&s, &c).what, SMTP_ASK);
	s.offers.set &= ~SMTP_OFFER(SMTP_EXTENSION_SIZE);
	(void)smtp_server_verdict(&s, &yes);
	smtp_command_parse(STR("MAIL FROM:<> SIZE=1"), smtp_server_offers(&s), &c);
	assert_int_equal(smtp_server_command(&s, &c).code, 555);
	smtp_command_parse(STR("EHLO x"), smtp_server_offers(&s), &c);
	assert_int_equal(smtp_server_command(&s, &c).what, SMTP_ASK);
	assert_true(smtp_offers_has(&s.offers, SMTP_EXTENSION_SIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_session_goes_as_the_rfc_says),
		cmocka_unit_test(starttls_is_offered_where_it_would_be_granted),
		cmocka_unit_test(what_is_not_offered_is_not_understood),
		cmocka_unit_test(a_limit_ends_every_phase_with_421),
		cmocka_unit_test(a_flawed_message_is_refused_without_asking),
		cmocka_unit_test(a_flawed_message_is_refused_for_each_recipient_in_lmtp),
		cmocka_unit_test(a_line_that_is_none_is_an_error_or_the_end),
		cmocka_unit_test(more_commands_than_allowed_end_the_session),
		cmocka_unit_test(lines_that_are_none_count_as_commands),
		cmocka_unit_test(a_setting_lets_policy_judge_routing_characters),
		cmocka_unit_test(replies_are_written),
		cmocka_unit_test(what_policy_takes_away_is_not_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
