#include "session_bed.h"
#include "tls_bed.h"

static struct bed_cert cert;
static struct tls_store *store;

static int certify(void **state)
{
	(void)state;
	tls_process_init();
	bed_cert(&cert, EVP_EC_gen("P-256"), "mx.example", "DNS:mx.example", NULL);
	store = tls_store_new();
	bed_add(store, &cert);
	return 0;
}

static int certify_end(void **state)
{
	(void)state;
	tls_store_drop(&store);
	bed_cert_free(&cert);
	return 0;
}

static struct session_listener listener;

static void listen_as(enum smtp_tls tls)
{
	tls_context_drop(&listener.context);
	listener = (struct session_listener){ .name = STR("test"), .tls = tls };
	if (tls != SMTP_TLS_OFF)
		listener.context = bed_context(
			&(struct tls_options){ .listener = STR("test"), .store = store });
	bed.o.listeners = &listener;
	bed.o.nlisteners = 1;
	bed.o.handshake_us = 30000000;
	bed_options();
}

static int begin(void **state)
{
	int rc = bed_begin(state);

	listen_as(SMTP_TLS_OFFERED);
	return rc;
}

static int end(void **state)
{
	tls_context_drop(&listener.context);
	return bed_end(state);
}

/* The client behind the handshake: OpenSSL between the socket and what the tests say and hear. */
struct secure {
	struct bed_client plain;
	struct tls_client tls;
	char line[1024];
	struct buf got;
	bool is_over;
};

static void carry(struct secure *c)
{
	struct str said = tls_client_say(&c->tls);

	if (said.n)
		say_str(&c->plain, said);
	client_read(&c->plain);
	tls_client_hear(&c->tls, buf_str(&c->plain.got));
	buf_reset(&c->plain.got);
}

static void secure_begin(struct secure *c)
{
	*c = (struct secure){ .plain = client_open() };
	buf_init(&c->got, 1 << 20);
	tls_client_init(&c->tls);
	tls_client_begin(&c->tls);
}

static bool is_shaken(struct secure *c)
{
	(void)SSL_do_handshake(c->tls.ssl);
	carry(c);
	return SSL_is_init_finished(c->tls.ssl) || c->plain.is_over;
}

static void starttls(struct secure *c)
{
	secure_begin(c);
	greet(&c->plain);
	say(&c->plain, "STARTTLS\r\n");
	hear(&c->plain, "220 2.0.0 ready");
	UNTIL(bed.loop, is_shaken(c));
}

static bool has_secure_line(struct secure *c)
{
	char bytes[4096];
	int n;

	carry(c);
	while ((n = SSL_read(c->tls.ssl, bytes, sizeof bytes)) > 0)
		assert_true(buf_add(&c->got, (struct str){ bytes, (size_t)n }));
	return str_find(buf_str(&c->got), '\n') >= 0 || c->plain.is_over;
}

static void ask_at(struct secure *c, const char *command, const char *prefix, int at)
{
	ptrdiff_t n;

	if (command) {
		assert_int_equal(SSL_write(c->tls.ssl, command, (int)strlen(command)),
				 strlen(command));
		carry(c);
	}
	do {
		UNTIL(bed.loop, has_secure_line(c));
		n = str_find(buf_str(&c->got), '\n') + 1;
		(void)str_copy(c->line, sizeof c->line, str_head(buf_str(&c->got), (size_t)n));
		buf_take(&c->got, (size_t)n);
	} while (strlen(c->line) > 3 && c->line[3] == '-');
	if (strncmp(c->line, prefix, strlen(prefix)) != 0)
		fail_msg("line %d: heard '%s', not '%s'", at, c->line, prefix);
}

#define ask(c, command, prefix) ask_at(c, command, prefix, __LINE__)

static void secure_end(struct secure *c)
{
	tls_client_fini(&c->tls);
	buf_fini(&c->got);
	client_close(&c->plain);
}

TEST(a_session_goes_on_behind_starttls_as_if_it_had_just_begun)
{
	struct secure c;

	bed.policy.canned[HOOK_EHLO] = bed_verdict(VERDICT_TRUST, 0, "", "");
	starttls(&c);
	ask(&c, "MAIL FROM:<a@sender.example>\r\n", "503 ");
	bed.policy.canned[HOOK_EHLO] = bed_verdict(VERDICT_PASS, 0, "", "");
	ask(&c, "EHLO again.example\r\n", "250 ENHANCED");
	ask(&c, "MAIL FROM:<a@sender.example>\r\n", "250 ");
	ask(&c, "RCPT TO:<b@example.com>\r\n", "250 ");
	ask(&c, "DATA\r\n", "354 ");
	ask(&c, "Subject: x\r\n\r\nx\r\n.\r\n", "250 ");
	ask(&c, "QUIT\r\n", "221 ");
	CHECK_STR(0, str_of(bed.policy.log),
		  STR("connect ehlo tls ehlo mail rcpt data headers message message_rcpt "
		      "disconnect "));
	CHECK(0, strstr(bed.spool.stored[0].submit.variants[0].header.p, "with ESMTPS id"));
	CHECK(0, event_has("\"tls\":{\"version\":\"TLSv1.3\""));
	CHECK(0, !event_has("\"trusted\""));
	secure_end(&c);
}

TEST(trust_that_the_address_earned_stays)
{
	struct secure c;

	bed.policy.canned[HOOK_CONNECT] = bed_verdict(VERDICT_TRUST, 0, "", "");
	starttls(&c);
	ask(&c, "QUIT\r\n", "221 ");
	CHECK(0, event_has("\"trusted\":\"bed\""));
	secure_end(&c);
}

/* Whatever is behind it, in the same segment: not a byte is understood, before or after. */
TEST(one_byte_behind_starttls_ends_the_session)
{
	static const char *const behind[] = { "\r\n", "x", "RSET\r\n", "\x16\x03\x01",
					      "STARTTLS\r\n" };

	for (size_t i = 0; i < COUNT(behind); i++) {
		struct bed_client c = client_open();
		char text[64];

		greet(&c);
		(void)snprintf(text, sizeof text, "STARTTLS\r\n%s", behind[i]);
		say(&c, text);
		hear(&c, "554 5.5.1 nothing may stand behind STARTTLS");
		hear_end(&c);
		client_close(&c);
	}
	CHECK_INT(0, bed.policy.asked[HOOK_TLS], 0);
	CHECK(0, event_has("\"stage\":\"starttls\""));
}

TEST(where_there_is_no_context_there_is_no_tls_now)
{
	struct bed_client c = client_open();

	greet(&c);
	tls_context_drop(&listener.context);
	bed_options();
	say(&c, "STARTTLS\r\n");
	hear(&c, "454 4.7.0");
	envelope(&c);
	client_close(&c);
}

TEST(a_handshake_has_its_time_and_no_more)
{
	struct bed_client c = client_open();

	greet(&c);
	say(&c, "STARTTLS\r\n");
	hear(&c, "220 ");
	clock_ahead_us += 31000000;
	hear_end(&c);
	CHECK(0, event_has("\"end\":\"timeout\",\"stage\":\"session\""));
	client_close(&c);
}

TEST(a_failed_handshake_is_explained)
{
	struct bed_client c = client_open();
	char got[64];

	greet(&c);
	say(&c, "STARTTLS\r\n");
	hear(&c, "220 ");
	say(&c, "MAIL FROM:<evil@example.org>\r\n");
	while (!c.is_over) {
		turn(bed.loop);
		client_read(&c);
	}
	(void)str_copy(got, sizeof got, buf_str(&c.got));
	CHECK(0, got[0] == '\0' || got[0] == 0x15); /* an alert at most */
	CHECK(0,
	      event_has(
		      "\"end\":\"tls failed\",\"stage\":\"tls\",\"reply\":\"TLS failed (not TLS)"));
	CHECK_INT(0, bed.policy.asked[HOOK_MAIL], 0);
	client_close(&c);
}

static const struct {
	enum smtp_tls tls;
	enum policy_hook hook;
	enum verdict_kind kind;
	unsigned code;
	const char *first, *then; /* behind the handshake; to EHLO. NULL: the end */
} verdicts[] = {
	{ SMTP_TLS_OFFERED, HOOK_TLS, VERDICT_ACCEPT, 0, "", "250 " },
	{ SMTP_TLS_OFFERED, HOOK_TLS, VERDICT_REJECT, 554, "", "554 5.7.1 no" },
	{ SMTP_TLS_OFFERED, HOOK_TLS, VERDICT_DROP, 554, "554 5.7.1 no", NULL },
	{ SMTP_TLS_OFFERED, HOOK_TLS, VERDICT_ABORT, 0, NULL, NULL },
	{ SMTP_TLS_OFFERED, HOOK_TLS, VERDICT_HOLD, 0, "", "451 4.3.0" },
	{ SMTP_TLS_IMPLICIT, HOOK_TLS, VERDICT_PASS, 0, "220 mx.example.com", "250 " },
	{ SMTP_TLS_IMPLICIT, HOOK_TLS, VERDICT_REJECT, 554, "554 5.7.1 no", "503 " },
	{ SMTP_TLS_IMPLICIT, HOOK_CONNECT, VERDICT_REJECT, 554, "554 5.7.1 no", "503 " },
	{ SMTP_TLS_IMPLICIT, HOOK_CONNECT, VERDICT_DROP, 554, NULL, NULL },
	{ SMTP_TLS_IMPLICIT, HOOK_CONNECT, VERDICT_ABORT, 0, NULL, NULL },
};

/* Each verdict at once, and by an answer that comes later. */
TEST(a_verdict_around_the_handshake_is_said_when_it_can_be_heard)
{
	for (size_t i = 0; i < 2 * COUNT(verdicts); i++) {
		size_t row = i / 2;
		struct secure c;

		bed.policy.is_late = i % 2;
		memset(bed.policy.canned, 0, sizeof bed.policy.canned);
		listen_as(verdicts[row].tls);
		bed.policy.canned[verdicts[row].hook] =
			bed_verdict(verdicts[row].kind, verdicts[row].code,
				    verdicts[row].code ? "5.7.1" : "", "no");
		if (verdicts[row].tls == SMTP_TLS_IMPLICIT) {
			secure_begin(&c);
			UNTIL(bed.loop, is_shaken(&c));
		} else {
			starttls(&c);
		}
		if (verdicts[row].first && *verdicts[row].first)
			ask(&c, NULL, verdicts[row].first);
		if (verdicts[row].then)
			ask(&c, "EHLO again.example\r\n", verdicts[row].then);
		else
			UNTIL(bed.loop, has_secure_line(&c));
		CHECK_INT(row, c.plain.is_over, verdicts[row].then == NULL);
		secure_end(&c);
		UNTIL(bed.loop, session_server_count(bed.server) == 0);
	}
}

TEST(without_tls_a_listener_may_take_no_mail)
{
	struct bed_client c;
	struct secure s;

	listen_as(SMTP_TLS_REQUIRED);
	c = client_open();
	greet(&c);
	say(&c, "MAIL FROM:<a@sender.example>\r\n");
	hear(&c, "530 5.7.0");
	listen_as(SMTP_TLS_OFFERED); /* a reload: from the next MAIL on */
	envelope(&c);
	client_close(&c);
	listen_as(SMTP_TLS_REQUIRED);
	starttls(&s);
	ask(&s, "EHLO again.example\r\n", "250 ");
	ask(&s, "MAIL FROM:<a@sender.example>\r\n", "250 ");
	secure_end(&s);
}

/* One too many at a listener where plain text is no language: closed without a word. */
TEST(nothing_is_said_in_plain_text_where_tls_is_implicit)
{
	struct bed_client c;

	listen_as(SMTP_TLS_IMPLICIT);
	bed.o.connections = 0;
	bed_options();
	c = client_open();
	hear_end(&c);
	client_close(&c);
	bed.o.connections = 1000;
	bed_options();
	c = client_open();
	session_server_drain(bed.server);
	clock_ahead_us += 31000000;
	hear_end(&c);
	client_close(&c);
}

int main(void)
{
#define BED(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		BED(a_session_goes_on_behind_starttls_as_if_it_had_just_begun),
		BED(trust_that_the_address_earned_stays),
		BED(one_byte_behind_starttls_ends_the_session),
		BED(where_there_is_no_context_there_is_no_tls_now),
		BED(a_handshake_has_its_time_and_no_more),
		BED(a_failed_handshake_is_explained),
		BED(a_verdict_around_the_handshake_is_said_when_it_can_be_heard),
		BED(without_tls_a_listener_may_take_no_mail),
		BED(nothing_is_said_in_plain_text_where_tls_is_implicit),
	};

	return cmocka_run_group_tests(tests, certify, certify_end);
}
