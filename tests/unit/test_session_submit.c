#include "session_bed.h"

static void say_message(struct bed_client *c, const char *rcpts[], size_t n)
{
	char line[300];

	say(c, "MAIL FROM:<a@sender.example>\r\n");
	hear(c, "250 ");
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(line, sizeof line, "RCPT TO:<%s@example.com>\r\n", rcpts[i]);
		say(c, line);
		hear(c, "250 ");
	}
	data(c);
	say(c, "Subject: x\r\nX: 1\r\n\r\nbody\r\n.\r\n");
}

static bool names(struct str header, const char *what)
{
	struct str mark = str_of(what);

	for (; header.n >= mark.n; header = str_drop(header, 1))
		if (str_has_prefix(header, mark))
			return true;
	return false;
}

static const char *three[] = { "one", "two", "three" };

static bool is_to(const struct policy_question *q, const char *local)
{
	return str_eq(q->rcpt->address.local, str_of(local));
}

/* rcpts_of - the local parts of a variant's recipients, joined */
static const char *rcpts_of(const struct bed_message *m, unsigned variant)
{
	static char all[512];

	all[0] = '\0';
	for (unsigned i = 0; i < m->envelopes[variant].nrcpts; i++) {
		struct str address = m->envelopes[variant].rcpts[i].address, local;

		assert_true(str_take(&address, '@', &local));
		(void)snprintf(all + strlen(all), sizeof all - strlen(all), "%.*s ",
			       STR_ARG(local));
	}
	return all;
}

/* ---- variants */

static void mixed(struct policy_question *q)
{
	if (is_to(q, "hold"))
		q->verdict = bed_verdict(VERDICT_HOLD, 0, "", "");
	if (is_to(q, "spam")) {
		q->verdict = bed_verdict(VERDICT_QUARANTINE, 0, "", "");
		q->verdict.bucket = STR("spam");
		q->verdict.reason = STR("score 9");
		q->verdict.ttl_us = 7;
	}
	if (is_to(q, "no"))
		q->verdict = bed_verdict(VERDICT_REJECT, 550, "5.7.1", "not for me");
	if (is_to(q, "later"))
		q->verdict = bed_verdict(VERDICT_DEFER, 451, "4.7.1", "not now");
	if (is_to(q, "lost"))
		q->verdict = bed_verdict(VERDICT_DISCARD, 0, "", "");
}

static const struct {
	const char *rcpts[6];
	const char *reply;
	const char *variants[4]; /* recipients of each */
	enum ipc_state states[4];
} sorts[] = {
	{ { "one", "two" }, "250 2.6.0", { "one two " }, { IPC_STATE_QUEUE } },
	{ { "one", "hold", "two" },
	  "250 2.6.0",
	  { "one two ", "hold " },
	  { IPC_STATE_QUEUE, IPC_STATE_HOLD } },
	{ { "spam" }, "250 2.6.0", { "spam " }, { IPC_STATE_QUARANTINE } },
	{ { "lost" }, "250 2.6.0", { NULL }, { 0 } },
	{ { "lost", "one" }, "250 2.6.0", { "one " }, { IPC_STATE_QUEUE } },
	{ { "no" }, "550 5.7.1 not for me", { NULL }, { 0 } },
	{ { "no", "later" }, "451 4.7.1 not now", { NULL }, { 0 } },
	{ { "no", "lost" }, "550 5.7.1", { NULL }, { 0 } },
	{ { "no", "one" },
	  "250 2.6.0",
	  { "no ", "one " },
	  { IPC_STATE_QUARANTINE, IPC_STATE_QUEUE } },
	{ { "one", "no", "later", "hold", "spam" },
	  "250 2.6.0",
	  { "one ", "no ", "later ", "hold " },
	  { IPC_STATE_QUEUE, IPC_STATE_QUARANTINE, IPC_STATE_QUARANTINE, IPC_STATE_HOLD } },
	{ { "one", "one", "two" },
	  "250 2.6.0",
	  { "one two " },
	  { IPC_STATE_QUEUE } }, /* named twice, stored once */
};

static void each_sort(void **state, bool is_late)
{
	for (size_t i = 0; i < COUNT(sorts); i++) {
		struct bed_client c;
		struct bed_message *m = &bed.spool.stored[0];
		size_t n = 0;

		bed_begin(state);
		bed.policy.is_late = is_late;
		bed.policy.act[HOOK_MESSAGE_RCPT] = mixed;
		while (sorts[i].rcpts[n])
			n++;
		c = client_open();
		greet(&c);
		say_message(&c, (const char **)sorts[i].rcpts, n);
		if (strncmp(next_line(&c), sorts[i].reply, strlen(sorts[i].reply)) != 0)
			fail_msg("row %zu: %s", i, c.line);
		CHECK_INT(i, bed.spool.nstored, sorts[i].variants[0] != NULL);
		for (unsigned v = 0; v < 4 && sorts[i].variants[v]; v++) {
			CHECK_STR(i, str_of(rcpts_of(m, v)), str_of(sorts[i].variants[v]));
			CHECK_INT(i, m->submit.variants[v].state, sorts[i].states[v]);
			CHECK_INT(i, m->envelopes[v].variant, v);
		}
		client_close(&c);
		bed_end(state);
	}
}

TEST(copies_that_are_treated_alike_share_a_variant)
{
	each_sort(state, false);
}

TEST(late_answers_sort_them_the_same_way)
{
	each_sort(state, true);
}

TEST(a_quarantine_says_why_and_for_how_long)
{
	const char *rcpts[] = { "spam", "no" };
	struct bed_client c = client_open();
	struct envelope *e = bed.spool.stored[0].envelopes;

	bed.policy.act[HOOK_MESSAGE_RCPT] = mixed;
	greet(&c);
	say_message(&c, rcpts, 2);
	hear(&c, "250 ");
	CHECK_STR(0, e[0].bucket, STR("spam"));
	CHECK_STR(0, e[0].reason, STR("score 9"));
	CHECK_STR(0, e[0].rule, STR("bed"));
	CHECK_INT(0, e[0].ttl_us, 7);
	CHECK_STR(1, e[1].bucket, STR("refused"));
	CHECK_STR(1, e[1].reason, STR("not for me"));
	client_close(&c);
}

TEST(a_state_of_the_message_is_that_of_every_copy_without_its_own)
{
	const char *rcpts[] = { "one", "hold" };
	struct bed_client c = client_open();
	struct bed_message *m = &bed.spool.stored[0];

	bed.policy.canned[HOOK_MESSAGE] = bed_verdict(VERDICT_QUARANTINE, 0, "", "");
	bed.policy.act[HOOK_MESSAGE_RCPT] = mixed;
	greet(&c);
	say_message(&c, rcpts, 2);
	hear(&c, "250 ");
	CHECK_INT(0, m->submit.variants[0].state, IPC_STATE_QUARANTINE);
	CHECK_INT(1, m->submit.variants[1].state, IPC_STATE_HOLD);
	client_close(&c);
}

static void edit(struct policy_question *q, struct policy_rcpt *r, enum header_edit_kind kind,
		 const char *name, const char *value)
{
	struct header_edit e = { .kind = kind, .name = str_of(name), .value = str_of(value) };
	struct fault why;

	if (policy_edit_header(q->tx, r, &e, &why) < 0)
		fail_msg("%s", why.text);
}

static void edit_all(struct policy_question *q)
{
	edit(q, NULL, HEADER_ADD_TOP, "Top", "t");
	edit(q, NULL, HEADER_REPLACE, "Subject", "[x] x");
}

static void edit_one(struct policy_question *q)
{
	if (is_to(q, "two"))
		edit(q, q->rcpt, HEADER_ADD_END, "For", "two");
	if (is_to(q, "three"))
		edit(q, q->rcpt, HEADER_REMOVE, "X", "");
}

TEST(header_edits_reach_the_copies_they_were_meant_for)
{
	static const char *const want[] = {
		"\r\nTop: t\r\nSubject: [x] x\r\nX: 1\r\n",
		"\r\nTop: t\r\nSubject: [x] x\r\nX: 1\r\nFor: two\r\n",
		"\r\nTop: t\r\nSubject: [x] x\r\n",
	};
	struct bed_client c = client_open();
	struct bed_message *m = &bed.spool.stored[0];

	bed.policy.act[HOOK_MESSAGE] = edit_all;
	bed.policy.act[HOOK_MESSAGE_RCPT] = edit_one;
	greet(&c);
	say_message(&c, three, 3);
	hear(&c, "250 ");
	assert_int_equal(m->submit.nvariants, 3);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(i, str_has_suffix(m->submit.variants[i].header, str_of(want[i])));
		CHECK_INT(i, header_hops(m->submit.variants[i].header), 1);
	}
	CHECK_STR(0, m->body, STR("body\r\n"));
	client_close(&c);
}

static void edit_for_everyone(struct policy_question *q)
{
	char value[32];

	(void)snprintf(value, sizeof value, "%.*s", STR_ARG(q->rcpt->address.local));
	edit(q, q->rcpt, HEADER_ADD_END, "For", value);
}

TEST(more_variants_than_a_submission_has_are_refused)
{
	struct bed_client c = client_open();
	char line[64];

	bed.policy.act[HOOK_MESSAGE_RCPT] = edit_for_everyone;
	greet(&c);
	for (unsigned n = IPC_VARIANTS; n <= IPC_VARIANTS + 1; n++) {
		say(&c, "MAIL FROM:<>\r\n");
		hear(&c, "250 ");
		for (unsigned i = 0; i < n; i++) {
			(void)snprintf(line, sizeof line, "RCPT TO:<u%u@example.com>\r\n", i);
			say(&c, line);
			hear(&c, "250 ");
		}
		data(&c);
		say(&c, "\r\n.\r\n");
		hear(&c, n == IPC_VARIANTS ? "250 2.6.0" : "452 4.5.3");
	}
	assert_int_equal(bed.spool.stored[0].submit.nvariants, IPC_VARIANTS);
	client_close(&c);
}

static void rewrite(struct policy_question *q)
{
	struct policy_var v = { .type = VAR_INTEGER, .integer = 42 };

	assert_int_equal(policy_edit_sender(q->tx, STR("srs@example.com"), NULL), 0);
	assert_int_equal(policy_edit_rcpt_set(q->tx->rcpts[0], STR("new@example.com"), NULL), 0);
	assert_int_equal(policy_edit_rcpt_add(q->tx, STR("archive@example.com"), NULL), 0);
	assert_int_equal(policy_edit_rcpt_route(q->tx->rcpts[0], STR("127.0.0.1:26"), NULL), 0);
	assert_true(policy_vars_set(&q->tx->vars, STR("score"), &v));
}

TEST(the_envelope_is_stored_as_edited)
{
	struct bed_client c = client_open();
	struct envelope *e = &bed.spool.stored[0].envelopes[0];

	bed.policy.act[HOOK_MESSAGE] = rewrite;
	greet(&c);
	say_message(&c, three, 1);
	hear(&c, "250 ");
	CHECK_STR(0, e->sender, STR("srs@example.com"));
	assert_int_equal(e->nrcpts, 2);
	CHECK_STR(0, e->rcpts[0].address, STR("new@example.com"));
	CHECK_STR(0, e->rcpts[0].original, STR("one@example.com"));
	CHECK_STR(0, e->rcpts[0].route, STR("127.0.0.1:26"));
	CHECK_STR(1, e->rcpts[1].address, STR("archive@example.com"));
	assert_true(e->vars.n > 0);
	assert_int_equal(bed.policy.asked[HOOK_MESSAGE_RCPT], 2);
	client_close(&c);
}

static void remove_all(struct policy_question *q)
{
	for (unsigned i = 0; i < q->tx->nrcpts; i++)
		assert_int_equal(policy_edit_rcpt_remove(q->tx->rcpts[i], NULL), 0);
}

TEST(a_message_without_a_copy_is_accepted_and_told_of)
{
	struct bed_client c = client_open();

	bed.policy.act[HOOK_MESSAGE] = remove_all;
	bed.policy.act[HOOK_MESSAGE_RCPT] = mixed; /* so that the bed expects no copy */
	greet(&c);
	say_message(&c, three, 2);
	hear(&c, "250 2.6.0");
	assert_int_equal(bed.spool.nstored, 0);
	assert_true(event_has("\"outcome\":\"discarded\""));
	assert_true(event_has("\"state\":\"removed\""));
	client_close(&c);
}

TEST(only_a_single_recipient_is_named_in_our_field)
{
	struct bed_client c = client_open();

	greet(&c);
	say_message(&c, three, 1);
	hear(&c, "250 ");
	say_message(&c, three, 2);
	hear(&c, "250 ");
	CHECK(0, names(bed.spool.stored[0].submit.variants[0].header, "for <one@example.com>;"));
	CHECK(1, !names(bed.spool.stored[1].submit.variants[0].header, "for <"));
	client_close(&c);
}

/* ---- the spool's answers */

TEST(no_answer_is_no_250)
{
	struct bed_client c = client_open();

	bed.spool.commit = BED_WAITS;
	greet(&c);
	say_message(&c, three, 1);
	for (int i = 0; i < 50; i++)
		turn(bed.loop);
	assert_false(has_line(&c));
	bed_durable(&bed.spool.stored[0]);
	hear(&c, "250 2.6.0");
	client_close(&c);
}

TEST(a_refusal_of_the_spool_is_said_and_never_5xx)
{
	static const struct {
		struct ipc_refusal refusal;
		const char *reply;
	} rows[] = {
		{ { 452, { "4.3.1", 5 }, { "the disk is full", 16 } },
		  "452 4.3.1 the disk is full" },
		{ { 451, { NULL, 0 }, { NULL, 0 } }, "451 " },
		{ { 550, { "5.0.0", 5 }, { "no", 2 } }, "451 4.3.0" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bed_client c;

		bed_begin(state);
		bed.spool.commit = BED_REFUSES;
		bed.spool.refusal = rows[i].refusal;
		c = client_open();
		greet(&c);
		say_message(&c, three, 1);
		if (strncmp(next_line(&c), rows[i].reply, strlen(rows[i].reply)) != 0)
			fail_msg("row %zu: %s", i, c.line);
		bed.spool.commit = BED_COMMITS;
		say_message(&c, three, 1);
		hear(&c, "250 2.6.0");
		client_close(&c);
		bed_end(state);
	}
}

TEST(a_commit_that_does_not_come_is_451_and_may_be_in_doubt)
{
	struct bed_client c = client_open();

	bed.spool.commit = BED_WAITS;
	greet(&c);
	say_message(&c, three, 1);
	UNTIL(bed.loop, bed.spool.nstored == 1);
	clock_ahead_us += bed.o.commit_us - 1000000;
	for (int i = 0; i < 10; i++)
		turn(bed.loop);
	assert_false(has_line(&c));
	clock_ahead_us += 2000000;
	hear(&c, "451 4.3.0");
	bed_durable(&bed.spool.stored[0]); /* too late: nobody is told */
	say(&c, "NOOP\r\n");
	hear(&c, "250 2.0.0");
	assert_true(event_has("\"in_doubt\":true"));
	client_close(&c);
}

TEST(a_new_channel_gets_what_the_old_one_did_not_answer)
{
	struct bed_client c = client_open();

	bed.spool.commit = BED_WAITS;
	greet(&c);
	say_message(&c, three, 1);
	UNTIL(bed.loop, bed.spool.nstored == 1);
	bed.spool.stored[0].is_durable = true; /* it was, and the answer was lost with the spool */
	bed_connect(BED_RING);
	hear(&c, "250 2.6.0");
	assert_int_equal(bed.spool.stored[0].times, 2);
	client_close(&c);
}

TEST(without_a_channel_a_message_waits_for_one)
{
	struct bed_client c = client_open();

	bed_disconnect();
	greet(&c);
	say_message(&c, three, 1);
	for (int i = 0; i < 50; i++)
		turn(bed.loop);
	assert_false(has_line(&c));
	bed_connect(BED_RING);
	hear(&c, "250 2.6.0");
	assert_int_equal(bed.spool.stored[0].times, 1);
	client_close(&c);
}

TEST(without_a_channel_for_too_long_it_is_451)
{
	struct bed_client c = client_open();

	bed_disconnect();
	greet(&c);
	say_message(&c, three, 1);
	for (int i = 0; i < 10; i++)
		turn(bed.loop);
	clock_ahead_us += bed.o.commit_us + 1000000;
	hear(&c, "451 4.3.0");
	client_close(&c);
}

TEST(a_full_channel_delays_a_submission_and_loses_none)
{
	enum { CLIENTS = 20 };
	static struct bed_client c[CLIENTS];
	struct buf body;

	bed_connect(64 * 1024);
	buf_init(&body, 1 << 20);
	assert_true(buf_add(&body, STR("\r\n")));
	for (int i = 0; i < 200; i++)
		assert_true(buf_printf(&body, "%070d\r\n", i));
	assert_true(buf_add(&body, STR(".\r\n")));
	for (size_t i = 0; i < CLIENTS; i++) {
		c[i] = client_open();
		greet(&c[i]);
		envelope(&c[i]);
		data(&c[i]);
	}
	for (size_t i = 0; i < CLIENTS; i++)
		say_str(&c[i], buf_str(&body));
	for (size_t i = 0; i < CLIENTS; i++)
		hear(&c[i], "250 2.6.0");
	assert_int_equal(bed.spool.nstored, CLIENTS);
	for (size_t i = 0; i < CLIENTS; i++)
		client_close(&c[i]);
	buf_fini(&body);
}

/* The spool waits for company when there is any. */
TEST(a_submit_says_how_many_sessions_are_sending)
{
	struct bed_client idle = client_open(), writing = client_open(), a = client_open(),
			  b = client_open();

	bed.spool.commit = BED_WAITS;
	greet(&idle);
	greet(&writing);
	envelope(&writing);
	data(&writing);
	greet(&a);
	say_message(&a, three, 1);
	UNTIL(bed.loop, bed.spool.nstored == 1);
	assert_int_equal(bed.spool.stored[0].sending, 2);
	client_close(&writing);
	bed_durable(&bed.spool.stored[0]);
	hear(&a, "250 2.6.0");
	UNTIL(bed.loop, session_server_count(bed.server) == 3);
	greet(&b);
	say_message(&b, three, 1);
	UNTIL(bed.loop, bed.spool.nstored == 2);
	assert_int_equal(bed.spool.stored[1].sending, 1);
	bed_durable(&bed.spool.stored[1]);
	hear(&b, "250 2.6.0");
	client_close(&a);
	client_close(&b);
	client_close(&idle);
}

TEST(a_client_that_leaves_during_the_commit_is_in_doubt)
{
	struct bed_client c = client_open();

	bed.spool.commit = BED_WAITS;
	greet(&c);
	say_message(&c, three, 1);
	UNTIL(bed.loop, bed.spool.nstored == 1);
	client_close(&c);
	bed_durable(&bed.spool.stored[0]);
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	assert_true(event_has("\"outcome\":\"accepted\"")); /* answered 250 as far as we know */
}

/* ---- a hostile spool */

static void tell_everything(uint64_t tag)
{
	struct buf b;

	buf_init(&b, 64);
	assert_true(wire_u64(&b, UINT64_MAX));
	bed_tell(tag, IPC_SLOT_ACK, buf_str(&b));
	bed_tell(tag, IPC_SLOT_ACK, STR("short"));
	bed_tell(tag, IPC_REFUSED, STR("nonsense"));
	bed_tell(tag, IPC_DURABLE, STR("payload"));
	bed_tell(tag, IPC_SUBMIT_TYPES, STR_NONE);
	bed_tell(tag, UINT16_MAX, STR_NONE);
	buf_fini(&b);
}

TEST(frames_about_nobody_are_nothing)
{
	struct bed_client c = client_open();

	greet(&c);
	envelope(&c);
	for (uint64_t tag = 0; tag < 5; tag++)
		tell_everything(tag);
	for (int i = 0; i < 10; i++)
		turn(bed.loop);
	data(&c);
	say(&c, "\r\n.\r\n");
	hear(&c, "250 2.6.0");
	client_close(&c);
}

TEST(a_durable_for_what_was_not_submitted_is_no_250)
{
	struct bed_client c = client_open();
	char *body = malloc(150000);

	memset(body, 'x', 150000);
	for (size_t i = 0; i < 150000; i += 100)
		memcpy(body + i, "\r\n", 2);
	memcpy(body + 150000 - 2, "\r\n", 2);
	greet(&c);
	envelope(&c);
	data(&c);
	say_str(&c, (struct str){ body, 150000 });
	UNTIL(bed.loop, bed.spool.nslots == 1 && buf_len(&bed.spool.slots[0].bytes) > 65536);
	bed_tell(bed.spool.slots[0].tag, IPC_DURABLE, STR_NONE);
	for (int i = 0; i < 10; i++)
		turn(bed.loop);
	assert_false(has_line(&c));
	bed.spool.commit = BED_WAITS;
	say(&c, ".\r\n");
	UNTIL(bed.loop, bed.spool.nstored == 1);
	assert_false(has_line(&c));
	bed_durable(&bed.spool.stored[0]);
	hear(&c, "250 2.6.0");
	client_close(&c);
	free(body);
}

/* ---- room */

static const struct {
	char room;
	const char *mail, *reply;
} rooms[] = {
	{ IPC_ROOM_ALL, "MAIL FROM:<a@b.example> SIZE=90000\r\n", "250 " },
	{ IPC_ROOM_SMALL, "MAIL FROM:<a@b.example> SIZE=90000\r\n", "452 4.3.1" },
	{ IPC_ROOM_SMALL, "MAIL FROM:<a@b.example> SIZE=65536\r\n", "250 " },
	{ IPC_ROOM_SMALL, "MAIL FROM:<a@b.example>\r\n", "250 " },
	{ IPC_ROOM_NONE, "MAIL FROM:<a@b.example>\r\n", "452 4.3.1" },
	{ IPC_ROOM_NONE, "NOOP\r\n", "250 " },
	{ 77, "MAIL FROM:<a@b.example>\r\n", "452 4.3.1" }, /* nonsense: as before */
	{ IPC_ROOM_ALL, "MAIL FROM:<a@b.example>\r\n", "250 " },
};

TEST(while_the_spool_is_full_mail_is_answered_452)
{
	struct bed_client c = client_open();

	greet(&c);
	for (size_t i = 0; i < COUNT(rooms); i++) {
		bed_tell(0, IPC_ROOM, (struct str){ &rooms[i].room, 1 });
		for (unsigned k = 0; k < 3; k++)
			turn(bed.loop);
		say(&c, rooms[i].mail);
		hear(&c, rooms[i].reply);
		say(&c, "RSET\r\n");
		hear(&c, "250 ");
	}
	client_close(&c);
}

TEST(a_new_spool_is_not_full_before_it_says_so)
{
	struct bed_client c = client_open();

	greet(&c);
	bed_tell(0, IPC_ROOM, (struct str){ "\0", 1 });
	for (unsigned k = 0; k < 3; k++)
		turn(bed.loop);
	bed_connect(BED_RING);
	say(&c, "MAIL FROM:<a@b.example>\r\n");
	hear(&c, "250 ");
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BED_TEST(while_the_spool_is_full_mail_is_answered_452),
		BED_TEST(a_new_spool_is_not_full_before_it_says_so),
		cmocka_unit_test(copies_that_are_treated_alike_share_a_variant),
		cmocka_unit_test(late_answers_sort_them_the_same_way),
		BED_TEST(a_quarantine_says_why_and_for_how_long),
		BED_TEST(a_state_of_the_message_is_that_of_every_copy_without_its_own),
		BED_TEST(header_edits_reach_the_copies_they_were_meant_for),
		BED_TEST(more_variants_than_a_submission_has_are_refused),
		BED_TEST(the_envelope_is_stored_as_edited),
		BED_TEST(a_message_without_a_copy_is_accepted_and_told_of),
		BED_TEST(only_a_single_recipient_is_named_in_our_field),
		BED_TEST(no_answer_is_no_250),
		cmocka_unit_test(a_refusal_of_the_spool_is_said_and_never_5xx),
		BED_TEST(a_commit_that_does_not_come_is_451_and_may_be_in_doubt),
		BED_TEST(a_new_channel_gets_what_the_old_one_did_not_answer),
		BED_TEST(without_a_channel_a_message_waits_for_one),
		BED_TEST(without_a_channel_for_too_long_it_is_451),
		BED_TEST(a_full_channel_delays_a_submission_and_loses_none),
		BED_TEST(a_submit_says_how_many_sessions_are_sending),
		BED_TEST(a_client_that_leaves_during_the_commit_is_in_doubt),
		BED_TEST(frames_about_nobody_are_nothing),
		BED_TEST(a_durable_for_what_was_not_submitted_is_no_250),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
