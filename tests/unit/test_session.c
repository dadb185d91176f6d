#include "session_bed.h"

#include <malloc.h>

#include "counter.h"

TEST(a_message_goes_through)
{
	struct bed_client c = client_open();
	struct bed_message *m = &bed.spool.stored[0];

	greet(&c);
	envelope(&c);
	data(&c);
	say(&c, "Subject: hi\r\n\r\n..dot\r\nlast\r\n.\r\nQUIT\r\n");
	hear(&c, "250 2.6.0 queued as ");
	hear(&c, "221 ");
	hear_end(&c);
	assert_int_equal(bed.spool.nstored, 1);
	assert_int_equal(m->submit.nvariants, 1);
	CHECK_STR(0, m->body, STR(".dot\r\nlast\r\n"));
	CHECK(0, str_has_prefix(m->submit.variants[0].header,
				STR("Received: from client.example\r\n\t(unix socket)\r\n\tby "
				    "mx.example.com with ESMTP id ")));
	CHECK(0, str_has_suffix(m->submit.variants[0].header, STR("\r\nSubject: hi\r\n")));
	CHECK_STR(0, m->envelopes[0].sender, STR("a@sender.example"));
	CHECK_STR(0, m->envelopes[0].rcpts[0].address, STR("b@example.com"));
	CHECK_STR(0, m->envelopes[0].helo, STR("client.example"));
	CHECK_STR(0, m->envelopes[0].peer, STR("unix"));
	CHECK_STR(0, m->envelopes[0].listener, STR("test"));
	CHECK_STR(0, m->envelopes[0].generation, STR("1/01234567"));
	assert_int_equal(id_edge(&m->id), 3);
	assert_string_equal(bed.policy.log,
			    "connect ehlo mail rcpt data headers message message_rcpt disconnect ");
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	assert_true(event_has("\"event\":\"message\""));
	assert_true(event_has("\"outcome\":\"accepted\""));
	assert_true(event_has("\"event\":\"session\""));
	assert_true(event_has("\"end\":\"quit\""));
	client_close(&c);
}

/* ---- hooks and verdicts */

enum stop_at { AT_CONNECT, AT_EHLO, AT_MAIL, AT_RCPT, AT_DATA, AT_END };

/* talk - a whole session in one breath but for the data; the code of each reply, joined */
static void talk(struct bed_client *c, char *codes, size_t size)
{
	static const char *const says[] = {
		"EHLO client.example\r\n",         "MAIL FROM:<a@sender.example>\r\n",
		"RCPT TO:<b@example.com>\r\n",     "DATA\r\n",
		"Subject: x\r\n\r\nbody\r\n.\r\n",
	};

	codes[0] = '\0';
	for (size_t i = 0; i <= COUNT(says); i++) {
		const char *line;

		do
			line = next_line(c);
		while (strlen(line) > 3 && line[3] == '-');
		if (!*line) {
			strncat(codes, "end", size - strlen(codes) - 1);
			break;
		}
		strncat(codes, line, 3);
		strncat(codes, " ", size - strlen(codes) - 1);
		if (i == COUNT(says) || (i == 4 && *line != '3'))
			break;
		say(c, says[i]);
	}
}

static const struct {
	enum policy_hook hook;
	enum verdict_kind kind;
	unsigned code;
	const char *codes;
	unsigned stored;
} verdicts[] = {
	{ HOOK_CONNECT, VERDICT_PASS, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_CONNECT, VERDICT_ACCEPT, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_CONNECT, VERDICT_TRUST, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_CONNECT, VERDICT_DEFER, 450, "450 503 503 503 503 ", 0 },
	{ HOOK_CONNECT, VERDICT_DEFER, 421, "421 end", 0 },
	{ HOOK_CONNECT, VERDICT_REJECT, 554, "554 503 503 503 503 ", 0 },
	{ HOOK_CONNECT, VERDICT_DROP, 550, "550 end", 0 },
	{ HOOK_CONNECT, VERDICT_ABORT, 0, "end", 0 },
	{ HOOK_CONNECT, VERDICT_HOLD, 0, "451 503 503 503 503 ", 0 },
	{ HOOK_EHLO, VERDICT_REJECT, 550, "220 550 503 503 503 ", 0 },
	{ HOOK_EHLO, VERDICT_DROP, 421, "220 421 end", 0 },
	{ HOOK_EHLO, VERDICT_ABORT, 0, "220 end", 0 },
	{ HOOK_EHLO, VERDICT_DISCARD, 0, "220 451 503 503 503 ", 0 },
	{ HOOK_MAIL, VERDICT_DEFER, 451, "220 250 451 503 503 ", 0 },
	{ HOOK_MAIL, VERDICT_REJECT, 550, "220 250 550 503 503 ", 0 },
	{ HOOK_MAIL, VERDICT_REJECT, 250, "220 250 550 503 503 ",
	  0 }, /* a rejection is never 2xx */
	{ HOOK_MAIL, VERDICT_DEFER, 0, "220 250 451 503 503 ", 0 },
	{ HOOK_MAIL, VERDICT_DROP, 554, "220 250 554 end", 0 },
	{ HOOK_MAIL, VERDICT_ABORT, 0, "220 250 451 503 503 ", 0 }, /* not a verdict of this hook */
	{ HOOK_RCPT, VERDICT_ACCEPT, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_RCPT, VERDICT_TRUST, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_RCPT, VERDICT_DEFER, 450, "220 250 250 450 503 ", 0 },
	{ HOOK_RCPT, VERDICT_REJECT, 550, "220 250 250 550 503 ", 0 },
	{ HOOK_RCPT, VERDICT_DROP, 554, "220 250 250 554 end", 0 },
	{ HOOK_RCPT, VERDICT_DISCARD, 0, "220 250 250 250 354 250 ", 0 },
	{ HOOK_RCPT, VERDICT_QUARANTINE, 0, "220 250 250 451 503 ", 0 },
	{ HOOK_DATA, VERDICT_DEFER, 451, "220 250 250 250 451 ", 0 },
	{ HOOK_DATA, VERDICT_REJECT, 554, "220 250 250 250 554 ", 0 },
	{ HOOK_DATA, VERDICT_DROP, 554, "220 250 250 250 554 ", 0 },
	{ HOOK_HEADERS, VERDICT_DEFER, 451, "220 250 250 250 354 451 ", 0 },
	{ HOOK_HEADERS, VERDICT_REJECT, 554, "220 250 250 250 354 554 ", 0 },
	{ HOOK_HEADERS, VERDICT_DROP, 554, "220 250 250 250 354 554 ", 0 },
	{ HOOK_HEADERS, VERDICT_TRUST, 0, "220 250 250 250 354 451 ", 0 },
	{ HOOK_HEADERS, VERDICT_DISCARD, 0, "220 250 250 250 354 250 ", 0 },
	{ HOOK_HEADERS, VERDICT_QUARANTINE, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_HEADERS, VERDICT_HOLD, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_MESSAGE, VERDICT_ACCEPT, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_MESSAGE, VERDICT_DEFER, 451, "220 250 250 250 354 451 ", 0 },
	{ HOOK_MESSAGE, VERDICT_REJECT, 554, "220 250 250 250 354 554 ", 0 },
	{ HOOK_MESSAGE, VERDICT_DROP, 554, "220 250 250 250 354 554 ", 0 },
	{ HOOK_MESSAGE, VERDICT_ABORT, 0, "220 250 250 250 354 451 ", 0 },
	{ HOOK_MESSAGE, VERDICT_DISCARD, 0, "220 250 250 250 354 250 ", 0 },
	{ HOOK_MESSAGE, VERDICT_QUARANTINE, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_MESSAGE, VERDICT_HOLD, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_MESSAGE_RCPT, VERDICT_DEFER, 452, "220 250 250 250 354 452 ", 0 },
	{ HOOK_MESSAGE_RCPT, VERDICT_REJECT, 550, "220 250 250 250 354 550 ", 0 },
	{ HOOK_MESSAGE_RCPT, VERDICT_DROP, 550, "220 250 250 250 354 451 ", 0 },
	{ HOOK_MESSAGE_RCPT, VERDICT_DISCARD, 0, "220 250 250 250 354 250 ", 0 },
	{ HOOK_MESSAGE_RCPT, VERDICT_HOLD, 0, "220 250 250 250 354 250 ", 1 },
	{ HOOK_DISCONNECT, VERDICT_REJECT, 550, "220 250 250 250 354 250 ", 1 },
};

static void each_verdict(void **state, bool is_late)
{
	for (size_t i = 0; i < COUNT(verdicts); i++) {
		struct bed_client c;
		char codes[128];

		bed_begin(state);
		bed.policy.is_late = is_late;
		bed.policy.canned[verdicts[i].hook] =
			bed_verdict(verdicts[i].kind, verdicts[i].code, "", "so it is");
		c = client_open();
		talk(&c, codes, sizeof codes);
		CHECK_STR(i, str_of(codes), str_of(verdicts[i].codes));
		CHECK_INT(i, bed.spool.nstored, verdicts[i].stored);
		client_close(&c);
		UNTIL(bed.loop, session_server_count(bed.server) == 0);
		if (verdicts[i].kind != VERDICT_PASS && verdicts[i].kind != VERDICT_ACCEPT &&
		    verdicts[i].hook != HOOK_DISCONNECT && verdicts[i].kind != VERDICT_TRUST)
			CHECK(i, event_has("\"rule\":\"bed\""));
		bed_end(state);
	}
}

TEST(each_verdict_at_each_hook_does_what_the_table_says)
{
	each_verdict(state, false);
}

TEST(an_answer_that_comes_later_is_the_same_answer)
{
	each_verdict(state, true);
}

TEST(nothing_is_read_while_a_question_is_open)
{
	struct bed_client c = client_open();

	greet(&c);
	bed.policy.waits[HOOK_MAIL] = true;
	say(&c, "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.com>\r\nRCPT "
		"TO:<c@example.com>\r\n");
	UNTIL(bed.loop, bed.policy.nopen == 1);
	for (int i = 0; i < 20; i++)
		turn(bed.loop);
	assert_int_equal(bed.policy.asked[HOOK_RCPT], 0);
	assert_false(has_line(&c));
	bed_answer();
	hear(&c, "250 2.1.0");
	hear(&c, "250 2.1.5");
	hear(&c, "250 2.1.5");
	client_close(&c);
}

TEST(without_a_policy_everything_passes_but_our_own_rules)
{
	struct bed_client c;
	char codes[128];

	policy_set_fini(&bed.policy.set);
	policy_set_init(&bed.policy.set);
	c = client_open();
	talk(&c, codes, sizeof codes);
	assert_string_equal(codes, "220 250 250 250 354 250 ");
	say(&c, "MAIL FROM:<>\r\nRCPT TO:<b@elsewhere.example>\r\n");
	hear(&c, "250 ");
	hear(&c, "550 5.7.1 relaying denied");
	client_close(&c);
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	bed_commit_generation(1);
}

/* ---- recipients */

static void permit(struct policy_question *q)
{
	assert_int_equal(policy_edit_rcpt_permit(q->rcpt, NULL), 0);
}

static void permit_and_route(struct policy_question *q)
{
	permit(q);
	assert_int_equal(policy_edit_rcpt_route(q->rcpt, STR("127.0.0.1:25"), NULL), 0);
}

static void no_such_user(struct policy_question *q)
{
	q->verdict = bed_verdict(VERDICT_REJECT, 550, "5.1.1", "no such user");
}

static void too_much(struct policy_question *q)
{
	q->verdict = bed_verdict(VERDICT_REJECT, 550, "5.7.1", "blocked");
}

static const struct {
	const char *rcpt;
	void (*act)(struct policy_question *);
	bool has_route;
	const char *reply;
} recipients[] = {
	{ "b@example.com", NULL, true, "250 2.1.5" },
	{ "b@EXAMPLE.com", NULL, true, "250 2.1.5" },
	{ "b@sub.example.com", NULL, true, "550 5.7.1 relaying denied" },
	{ "b@example.com.evil.example", NULL, true, "550 5.7.1 relaying denied" },
	{ "b@elsewhere.example", NULL, true, "550 5.7.1 relaying denied" },
	{ "b@[127.0.0.1]", NULL, true, "550 5.7.1 relaying denied" },
	{ "b@localhost", NULL, true, "550 5.7.1 relaying denied" },
	{ "@example.com:b@elsewhere.example", NULL, true, "550 5.7.1 relaying denied" },
	{ "b%elsewhere.example@example.com", NULL, true, "550 5.7.1 relaying by" },
	{ "elsewhere.example!b@example.com", NULL, true, "550 5.7.1 relaying by" },
	{ "\"b@elsewhere.example\"@example.com", NULL, true, "550 5.7.1 relaying by" },
	{ "b@elsewhere.example", permit, true, "250 2.1.5" },
	{ "postmaster", NULL, true, "250 2.1.5" },
	{ "PostMaster", NULL, true, "250 2.1.5" },
	{ "postmaster@example.com", no_such_user, true, "250 2.1.5" },
	{ "postmaster", no_such_user, true, "250 2.1.5" },
	{ "postmaster@elsewhere.example", no_such_user, true, "550 5.1.1 no such user" },
	{ "postmaster@example.com", too_much, true, "550 5.7.1 blocked" },
	{ "b@example.com", no_such_user, true, "550 5.1.1 no such user" },
	{ "b@example.com", NULL, false, "550 5.4.4 no route" },
	{ "b@routed.example", permit, false, "250 2.1.5" },
	{ "b@elsewhere.example", permit, false, "550 5.4.4 no route" },
	{ "b@elsewhere.example", permit_and_route, false, "250 2.1.5" },
};

TEST(a_recipient_is_accepted_only_with_a_reason)
{
	static const struct str routes[] = { { "routed.example", 14 } };

	for (size_t i = 0; i < COUNT(recipients); i++) {
		struct bed_client c;
		char line[300];

		bed_begin(state);
		bed.o.has_default_route = recipients[i].has_route;
		bed.o.route_domains = routes;
		bed.o.nroute_domains = COUNT(routes);
		bed_options();
		bed.policy.act[HOOK_RCPT] = recipients[i].act;
		c = client_open();
		greet(&c);
		(void)snprintf(line, sizeof line,
			       "MAIL FROM:<a@sender.example>\r\nRCPT TO:<%s>\r\n",
			       recipients[i].rcpt);
		say(&c, line);
		hear(&c, "250 ");
		if (strncmp(next_line(&c), recipients[i].reply, strlen(recipients[i].reply)) != 0)
			fail_msg("row %zu: %s", i, c.line);
		client_close(&c);
		bed_end(state);
	}
}

TEST(a_route_handler_may_still_find_a_route)
{
	struct bed_client c;

	bed.o.has_default_route = false;
	bed_options();
	bed.policy.set.active->hooks |= 1u << HOOK_ROUTE;
	c = client_open();
	greet(&c);
	envelope(&c);
	client_close(&c);
}

TEST(a_bare_postmaster_gets_a_domain)
{
	struct bed_client c = client_open();

	greet(&c);
	say(&c, "MAIL FROM:<>\r\nRCPT TO:<PostMaster>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n");
	hear(&c, "250 ");
	hear(&c, "250 ");
	hear(&c, "250 ");
	hear(&c, "354 ");
	say(&c, ".\r\n");
	hear(&c, "250 ");
	CHECK_STR(0, bed.spool.stored[0].envelopes[0].rcpts[0].address,
		  STR("postmaster@example.com"));
	CHECK_STR(0, bed.spool.stored[0].envelopes[0].rcpts[0].original, STR("PostMaster"));
	CHECK_STR(0, bed.spool.stored[0].envelopes[0].rcpts[1].original, STR_NONE);
	CHECK_STR(0, bed.spool.stored[0].envelopes[0].sender, STR_NONE);
	client_close(&c);
}

static void is_trusted(struct policy_question *q)
{
	assert_true(q->tx->is_trusted);
	CHECK_STR(0, q->tx->trust_rule, STR("bed"));
}

TEST(trust_at_connect_reaches_every_transaction)
{
	struct bed_client c;
	char codes[64];

	bed.policy.canned[HOOK_CONNECT] = bed_verdict(VERDICT_TRUST, 0, "", "");
	bed.policy.act[HOOK_MAIL] = bed.policy.act[HOOK_MESSAGE] = is_trusted;
	c = client_open();
	talk(&c, codes, sizeof codes);
	assert_string_equal(codes, "220 250 250 250 354 250 ");
	assert_int_equal(bed.policy.asked[HOOK_MESSAGE], 1);
	client_close(&c);
}

TEST(trust_never_authorises_relaying)
{
	struct bed_client c;

	bed.policy.canned[HOOK_CONNECT] = bed_verdict(VERDICT_TRUST, 0, "", "");
	bed.policy.canned[HOOK_RCPT] = bed_verdict(VERDICT_TRUST, 0, "", "");
	c = client_open();
	greet(&c);
	say(&c, "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@elsewhere.example>\r\n");
	hear(&c, "250 ");
	hear(&c, "550 5.7.1");
	client_close(&c);
}

/* ---- generations and options */

TEST(a_transaction_ends_under_the_rules_it_began_with)
{
	struct bed_client c = client_open();

	greet(&c);
	envelope(&c);
	bed_commit_generation(2);
	data(&c);
	say(&c, "\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
	hear(&c, "250 2.6.0");
	hear(&c, "250 ");
	hear(&c, "250 ");
	hear(&c, "354 ");
	say(&c, "\r\n.\r\n");
	hear(&c, "250 2.6.0");
	CHECK_STR(1, bed.spool.stored[0].envelopes[0].generation, STR("1/01234567"));
	CHECK_STR(2, bed.spool.stored[1].envelopes[0].generation, STR("2/01234567"));
	assert_true(
		list_is_empty(&bed.policy.set.retired)); /* nobody holds the first one any more */
	client_close(&c);
}

TEST(a_connection_at_rest_holds_no_generation)
{
	struct bed_client c = client_open();

	greet(&c);
	assert_int_equal(bed.policy.set.active->pins, 0);
	say(&c, "MAIL FROM:<>\r\n");
	hear(&c, "250 ");
	assert_int_equal(bed.policy.set.active->pins, 1);
	say(&c, "RSET\r\n");
	hear(&c, "250 ");
	assert_int_equal(bed.policy.set.active->pins, 0);
	client_close(&c);
}

TEST(new_options_hold_from_the_next_mail_on)
{
	struct bed_client c = client_open();

	greet(&c);
	say(&c, "MAIL FROM:<>\r\n");
	hear(&c, "250 ");
	bed.o.nrelay_domains = 0;
	bed_options();
	say(&c, "RCPT TO:<b@example.com>\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n");
	hear(&c, "250 ");
	hear(&c, "250 ");
	hear(&c, "250 ");
	hear(&c, "550 5.7.1");
	client_close(&c);
}

TEST(a_second_hello_ends_the_transaction)
{
	struct bed_client c = client_open();

	greet(&c);
	envelope(&c);
	say(&c, "EHLO other.example\r\nDATA\r\n");
	hear(&c, "250 ");
	hear(&c, "503 ");
	client_close(&c);
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	assert_true(event_has("\"outcome\":\"abandoned\""));
}

TEST(a_hello_that_is_refused_leaves_the_transaction_alone)
{
	struct bed_client c = client_open();

	greet(&c);
	envelope(&c);
	bed.policy.canned[HOOK_EHLO] = bed_verdict(VERDICT_REJECT, 550, "5.7.1", "no");
	say(&c, "EHLO a.much.longer.name.than.before.example\r\nDATA\r\n");
	hear(&c, "550 ");
	hear(&c, "354 ");
	say(&c, "\r\n.\r\n");
	hear(&c, "250 ");
	CHECK_STR(0, bed.spool.stored[0].envelopes[0].helo, STR("client.example"));
	client_close(&c);
}

/* ---- limits */

TEST(one_connection_too_many_is_told_so)
{
	struct bed_client a, b, c;

	bed.o.connections = 2;
	bed_options();
	a = client_open();
	b = client_open();
	c = client_open();
	hear(&c, "421 4.3.2 mx.example.com too many connections");
	hear_end(&c);
	client_close(&a);
	UNTIL(bed.loop, session_server_count(bed.server) == 1);
	client_close(&c);
	c = client_open();
	hear(&c, "220 ");
	client_close(&b);
	client_close(&c);
	assert_int_equal(bed.policy.asked[HOOK_CONNECT], 3);
}

TEST(one_recipient_too_many_is_refused_for_now)
{
	struct bed_client c;

	bed.o.recipients = 2;
	bed_options();
	c = client_open();
	greet(&c);
	say(&c, "MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRCPT "
		"TO:<d@example.com>\r\n");
	hear(&c, "250 ");
	hear(&c, "250 ");
	hear(&c, "250 ");
	hear(&c, "452 4.5.3");
	client_close(&c);
}

TEST(every_limit_of_a_session_ends_it)
{
	static const struct {
		uint32_t errors, commands, messages, junk, refusals;
		const char *says, *end;
	} rows[] = {
		{ 3, 1000, 1000, 100, 100, "X\r\nX\r\nX\r\n",
		  "421 4.7.0 mx.example.com too many errors" },
		{ 20, 4, 1000, 100, 100, "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n",
		  "421 4.7.0 mx.example.com too many commands" },
		{ 20, 1000, 1, 100, 100, "MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\n",
		  "421 4.7.0 mx.example.com too many messages" },
		{ 20, 1000, 1000, 2, 100, "NOOP\r\nNOOP\r\nNOOP\r\n",
		  "421 4.7.0 mx.example.com too many commands without mail" },
		{ 20, 1000, 1000, 100, 2,
		  "MAIL FROM:<>\r\nRCPT TO:<a%b@far.example>\r\nRCPT TO:<c%d@far.example>\r\n",
		  "421 4.7.0 mx.example.com too many refused addresses" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bed_client c;
		const char *line;

		bed_begin(state);
		bed.o.errors = rows[i].errors;
		bed.o.commands = rows[i].commands;
		bed.o.messages = rows[i].messages;
		bed.o.junk = rows[i].junk;
		bed.o.refusals = rows[i].refusals;
		bed_options();
		c = client_open();
		greet(&c);
		say(&c, rows[i].says);
		do
			line = next_line(&c);
		while (*line && strncmp(line, "421", 3) != 0);
		CHECK(i, strncmp(line, rows[i].end, strlen(rows[i].end)) == 0);
		hear_end(&c);
		client_close(&c);
		bed_end(state);
	}
}

TEST(a_line_that_is_too_long_is_skipped_to_its_end)
{
	struct bed_client c = client_open();
	char line[5000];

	greet(&c);
	memset(line, 'x', sizeof line);
	memcpy(line + sizeof line - 2, "\r\n", 2);
	memcpy(line + 3000, "\rQUIT", 5);
	say_str(&c, (struct str){ line, sizeof line });
	hear(&c, "500 5.5.2");
	say(&c, "NOOP\r\n");
	hear(&c, "250 ");
	client_close(&c);
}

TEST(a_line_without_an_end_ends_the_session)
{
	struct bed_client c = client_open();
	char line[4096];

	greet(&c);
	memset(line, 'x', sizeof line);
	for (int i = 0; i < 16; i++)
		say_str(&c, (struct str){ line, sizeof line });
	hear(&c, "500 5.5.2");
	say_str(&c, (struct str){ line, sizeof line });
	say_str(&c, (struct str){ line, sizeof line });
	hear_end(&c);
	client_close(&c);
}

TEST(all_transactions_together_hold_no_more_than_they_may)
{
	struct bed_client c[3];

	bed.o.memory = 300;
	bed_options();
	for (size_t i = 0; i < COUNT(c); i++) {
		c[i] = client_open();
		greet(&c[i]);
	}
	for (size_t i = 0; i < COUNT(c); i++) {
		say(&c[i],
		    "MAIL "
		    "FROM:<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@sender.example>\r\n");
		if (strncmp(next_line(&c[i]), "452 4.3.1", 9) == 0)
			break;
		if (i == COUNT(c) - 1)
			fail_msg("nobody was told to wait");
	}
	say(&c[0], "RSET\r\n");
	hear(&c[0], "250 ");
	for (size_t i = 0; i < COUNT(c); i++)
		client_close(&c[i]);
}

TEST(a_session_that_is_silent_is_told_and_closed)
{
	static const struct {
		uint64_t after_us;
		const char *says, *heard;
	} rows[] = {
		{ 299000000, "", "" },
		{ 301000000, "", "421 4.4.2" },
		{ 301000000, "NOO", "421 4.4.2" }, /* half a command buys no time */
		{ 179000000, "MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n", "" },
		{ 181000000, "MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n", "421 4.4.2" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bed_client c;

		bed_begin(state);
		c = client_open();
		greet(&c);
		say(&c, rows[i].says);
		while (strlen(rows[i].says) > 3 && strncmp(next_line(&c), "354", 3) != 0)
			;
		for (int t = 0; t < 5; t++)
			turn(bed.loop);
		clock_ahead_us += rows[i].after_us;
		for (int t = 0; t < 5; t++)
			turn(bed.loop);
		if (*rows[i].heard) {
			CHECK(i, strncmp(next_line(&c), rows[i].heard, strlen(rows[i].heard)) == 0);
			hear_end(&c);
			CHECK(i, event_has("\"end\":\"timeout\""));
		} else {
			CHECK(i, !has_line(&c));
		}
		client_close(&c);
		bed_end(state);
	}
}

TEST(a_session_has_an_end_even_while_it_is_busy)
{
	struct bed_client c = client_open();

	greet(&c);
	for (int i = 0; i < 14; i++) {
		clock_ahead_us += 270000000;
		say(&c, "NOOP\r\n");
		turn(bed.loop);
		if (i < 13)
			hear(&c, "250 ");
	}
	hear(&c, "421 4.4.2");
	hear_end(&c);
	client_close(&c);
}

TEST(a_question_that_outlives_its_session_is_cancelled)
{
	struct bed_client c = client_open();

	greet(&c);
	bed.policy.waits[HOOK_MAIL] = true;
	say(&c, "MAIL FROM:<>\r\n");
	UNTIL(bed.loop, bed.policy.nopen == 1);
	clock_ahead_us += bed.o.session_us;
	hear(&c, "421 4.4.2");
	hear_end(&c);
	assert_int_equal(bed.policy.cancelled, 1);
	client_close(&c);
}

TEST(a_client_that_leaves_ends_the_wait)
{
	struct bed_client c = client_open();

	greet(&c);
	bed.policy.waits[HOOK_MAIL] = true;
	say(&c, "MAIL FROM:<>\r\n");
	UNTIL(bed.loop, bed.policy.nopen == 1);
	client_close(&c);
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	assert_int_equal(bed.policy.cancelled, 1);
	assert_true(event_has("\"end\":\"peer closed\""));
}

TEST(a_peer_that_does_not_read_stops_us)
{
	static char commands[60000];
	struct bed_client c;
	ssize_t sent = 0;

	for (size_t i = 0; i < sizeof commands; i++)
		commands[i] = "XX\r\n"[i % 4];
	bed.o.commands = bed.o.errors = UINT32_MAX;
	bed_options();
	c = client_open();
	greet(&c);
	for (int i = 0; i < 400 && sent >= 0; i++) {
		sent = send(c.fd, commands, sizeof commands, MSG_NOSIGNAL);
		for (int t = 0; t < 10; t++)
			turn(bed.loop);
	}
	assert_int_equal(sent, -1); /* nobody takes what nobody answers */
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(session_server_count(bed.server), 1);
	clock_ahead_us += 301000000;
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	client_close(&c);
}

/* ---- drain */

TEST(draining_lets_a_transaction_end_and_sends_the_rest_away)
{
	struct bed_client idle = client_open(), busy = client_open(), late;

	greet(&idle);
	greet(&busy);
	envelope(&busy);
	session_server_drain(bed.server);
	hear(&idle, "421 4.3.2");
	hear_end(&idle);
	late = client_open();
	hear(&late, "421 4.3.2");
	data(&busy);
	say(&busy, "\r\n.\r\n");
	hear(&busy, "250 2.6.0");
	say(&busy, "MAIL FROM:<>\r\n");
	hear(&busy, "421 4.3.2");
	hear_end(&busy);
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	client_close(&idle);
	client_close(&busy);
	client_close(&late);
}

/* ---- events */

TEST(what_a_client_says_cannot_break_an_event)
{
	struct bed_client c = client_open();
	struct str rest, line;

	hear(&c, "220 ");
	say(&c, "EHLO x\",\"outcome\":\"accepted\r\n");
	hear(&c, "250 ");
	say(&c,
	    "MAIL FROM:<\"a\\\"b\\\\\"@sender.example>\r\nRCPT TO:<\"}\"@example.com>\r\nQUIT\r\n");
	hear(&c, "250 ");
	hear(&c, "250 ");
	hear(&c, "221 ");
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	assert_false(event_has("\"outcome\":\"accepted\""));
	assert_true(event_has("\"outcome\":\"abandoned\""));
	for (rest = buf_str(&bed.events); str_take(&rest, '\n', &line);)
		CHECK(0, str_has_prefix(line, STR("{\"time\"")) && str_has_suffix(line, STR("}")));
	client_close(&c);
}

TEST(a_refused_session_names_the_rule)
{
	struct bed_client c;

	bed.policy.canned[HOOK_CONNECT] = bed_verdict(VERDICT_DROP, 554, "5.7.1", "not you");
	c = client_open();
	hear(&c, "554 5.7.1 not you");
	hear_end(&c);
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	assert_true(event_has("\"stage\":\"connect\",\"verdict\":\"drop\",\"rule\":\"bed\","
			      "\"code\":554,\"esc\":\"5.7.1\",\"reply\":\"not you\""));
	client_close(&c);
}

/* ---- memory */

#ifdef MOONGATE_INSTRUMENTED
#define IDLE_BYTES SIZE_MAX /* a sanitizer's heap says nothing about ours */
#else
#define IDLE_BYTES 4096
#endif

TEST(a_connection_at_rest_costs_little)
{
	enum { SESSIONS = 200, SPARE = 64 /* of sessions and connections stay for reuse */ };
	static struct bed_client c[SESSIONS];
	size_t before, after;

	for (size_t i = 0; i < SESSIONS;
	     i++) { /* the pools, the tables and the clients' own buffers are there */
		c[i] = client_open();
		greet(&c[i]);
		buf_shrink(&c[i].got);
	}
	before = mallinfo2().uordblks;
	for (size_t i = 0; i < SESSIONS; i++) {
		close(c[i].fd);
		c[i].fd = -1;
	}
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	turn(bed.loop);
	after = mallinfo2().uordblks;
	print_message("%zu bytes each\n", (before - after) / (SESSIONS - SPARE));
	assert_true((before - after) / (SESSIONS - SPARE) <= IDLE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BED_TEST(a_message_goes_through),
		cmocka_unit_test(each_verdict_at_each_hook_does_what_the_table_says),
		cmocka_unit_test(an_answer_that_comes_later_is_the_same_answer),
		BED_TEST(nothing_is_read_while_a_question_is_open),
		BED_TEST(without_a_policy_everything_passes_but_our_own_rules),
		cmocka_unit_test(a_recipient_is_accepted_only_with_a_reason),
		BED_TEST(a_route_handler_may_still_find_a_route),
		BED_TEST(a_bare_postmaster_gets_a_domain),
		BED_TEST(trust_at_connect_reaches_every_transaction),
		BED_TEST(trust_never_authorises_relaying),
		BED_TEST(a_transaction_ends_under_the_rules_it_began_with),
		BED_TEST(a_connection_at_rest_holds_no_generation),
		BED_TEST(new_options_hold_from_the_next_mail_on),
		BED_TEST(a_second_hello_ends_the_transaction),
		BED_TEST(a_hello_that_is_refused_leaves_the_transaction_alone),
		BED_TEST(one_connection_too_many_is_told_so),
		BED_TEST(one_recipient_too_many_is_refused_for_now),
		cmocka_unit_test(every_limit_of_a_session_ends_it),
		BED_TEST(a_line_that_is_too_long_is_skipped_to_its_end),
		BED_TEST(a_line_without_an_end_ends_the_session),
		BED_TEST(all_transactions_together_hold_no_more_than_they_may),
		cmocka_unit_test(a_session_that_is_silent_is_told_and_closed),
		BED_TEST(a_session_has_an_end_even_while_it_is_busy),
		BED_TEST(a_question_that_outlives_its_session_is_cancelled),
		BED_TEST(a_client_that_leaves_ends_the_wait),
		BED_TEST(a_peer_that_does_not_read_stops_us),
		BED_TEST(draining_lets_a_transaction_end_and_sends_the_rest_away),
		BED_TEST(what_a_client_says_cannot_break_an_event),
		BED_TEST(a_refused_session_names_the_rule),
		BED_TEST(a_connection_at_rest_costs_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
