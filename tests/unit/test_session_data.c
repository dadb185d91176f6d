#include "session_bed.h"

/* submit - say a message and its end; `stuffed` is on the wire as it is */
static void submit(struct bed_client *c, struct str stuffed)
{
	data(c);
	say_str(c, stuffed);
	say(c, ".\r\n");
}

/* behind_trace - what leaves, without our own field: header, CRLF, body */
static struct str behind_trace(struct bed_message *m, unsigned variant)
{
	struct str header = m->submit.variants[variant].header;
	struct header_field trace;
	char *all = arena_alloc(&m->arena, header.n + 2 + m->body.n + 1);

	assert_non_null(all);
	memcpy(all, header.p, header.n);
	memcpy(all + header.n, "\r\n", 2);
	if (m->body.n)
		memcpy(all + header.n + 2, m->body.p, m->body.n);
	header = (struct str){ all, header.n + 2 + m->body.n };
	assert_true(header_take(&header, &trace));
	CHECK_STR(0, trace.name, STR("Received"));
	return header;
}

/* ---- byte for byte */

static const struct {
	const char *message; /* as it is, no line of it begins with a dot */
	const char *header;  /* what policy sees of it */
} messages[] = {
	{ "Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n" },
	{ "Subject: x\r\nTo:  y \r\n\tz\r\n\r\nbody\r\n\r\n\r\n",
	  "Subject: x\r\nTo:  y \r\n\tz\r\n" },
	{ "", "" },
	{ "\r\n", "" },
	{ "\r\n\r\n", "" },
	{ "\r\nbody\r\n", "" },
	{ "no header at all\r\n", "" },
	{ "no header\r\n\r\nat all\r\n", "" },
	{ "Subject: x\r\n", "Subject: x\r\n" },
	{ "Subject: x\r\n\r\n", "Subject: x\r\n" },
	{ "Subject: x\r\nno empty line: but a colon\r\nbody\r\n", "Subject: x\r\n" },
	{ "Subject: x\r\n<html>\r\n", "Subject: x\r\n" },
	{ "From a@b Mon Jan 1\r\nSubject: x\r\n\r\nbody\r\n", "Subject: x\r\n" },
	{ ">From a@b Mon Jan 1\r\nSubject: x\r\n\r\nbody\r\n", "Subject: x\r\n" },
	{ "From a@b\r\n", "" },
	{ "From a@b\r\n\r\nbody\r\n", "" },
	{ "From: a@b\r\n\r\nbody\r\n", "From: a@b\r\n" },
	{ "Fro\r\n", "" },
	{ ">Fr\r\n", "" },
	{ "Return-Path: <x@y>\r\nReceived: from a\r\n\r\nbody\r\n",
	  "Return-Path: <x@y>\r\nReceived: from a\r\n" },
	{ "Subject: \xe4\xf6\r\n\r\n\xff\xfe\x01\r\n", "Subject: \xe4\xf6\r\n" },
};

static struct str seen_header;
static char seen_bytes[1024];

static void see_header(struct policy_question *q)
{
	seen_header =
		(struct str){ seen_bytes, str_copy(seen_bytes, sizeof seen_bytes, q->msg->header) };
	CHECK_INT(0, q->msg->body.n, 0);
	assert_false(q->msg->is_complete);
}

static void see_message(struct policy_question *q)
{
	CHECK_STR(0, q->msg->header, seen_header);
	assert_true(q->msg->is_complete);
	assert_int_equal(q->tx->size, q->msg->size);
}

static void each_message(size_t piece)
{
	struct bed_client c = client_open();

	bed.policy.act[HOOK_HEADERS] = see_header;
	bed.policy.act[HOOK_MESSAGE] = see_message;
	greet(&c);
	for (size_t i = 0; i < COUNT(messages); i++) {
		struct str message = str_of(messages[i].message), rest = message;
		struct bed_message *m = &bed.spool.stored[i];

		seen_header = STR("unseen");
		envelope(&c);
		data(&c);
		while (rest.n > 0) {
			say_str(&c, str_head(rest, piece));
			rest = str_drop(rest, piece);
			if (piece < SIZE_MAX)
				turn(bed.loop);
		}
		say(&c, ".\r\n");
		hear(&c, "250 2.6.0");
		CHECK_STR(i, seen_header, str_of(messages[i].header));
		CHECK_STR(i, behind_trace(m, 0), message);
		CHECK_INT(i, m->envelopes[0].is_8bit,
			  strpbrk(messages[i].message, "\xe4\xff") != NULL);
	}
	client_close(&c);
}

TEST(a_message_leaves_byte_for_byte_behind_our_field)
{
	each_message(SIZE_MAX);
}

TEST(its_pieces_change_nothing)
{
	each_message(1);
}

TEST(late_answers_change_nothing)
{
	bed.policy.is_late = true;
	each_message(3);
}

TEST(a_message_that_begins_with_a_blank_cannot_add_to_our_field)
{
	struct bed_client c = client_open();
	struct ipc_variant *v = &bed.spool.stored[0].submit.variants[0];

	greet(&c);
	envelope(&c);
	submit(&c, STR(" by trusted.example\r\n\r\nbody\r\n"));
	hear(&c, "250 2.6.0");
	CHECK(0, str_has_suffix(v->header, STR(" +0000\r\n")));
	CHECK_STR(0, bed.spool.stored[0].body, STR(" by trusted.example\r\n\r\nbody\r\n"));
	client_close(&c);
}

/* ---- refusals behind the data */

static char *filled(size_t n, char c)
{
	char *p = malloc(n + 1);

	assert_non_null(p);
	memset(p, c, n);
	p[n] = '\0';
	return p;
}

static void big_header(struct buf *b)
{
	for (int i = 0; i < 300; i++)
		assert_true(buf_printf(b, "X-%d: %.*s\r\n", i, 900,
				       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
	for (int i = 0; i < 400; i++)
		assert_true(buf_printf(b, "Y: %0900d\r\n", i));
	assert_true(buf_add(b, STR("\r\nbody\r\n")));
}

static void many_fields(struct buf *b)
{
	for (int i = 0; i < 1001; i++)
		assert_true(buf_add(b, STR("X: y\r\n")));
}

static void many_hops(struct buf *b)
{
	for (int i = 0; i < 51; i++)
		assert_true(buf_add(b, STR("Received: from somewhere\r\n")));
	assert_true(buf_add(b, STR("\r\nbody\r\n")));
}

static void enough_hops(struct buf *b)
{
	for (int i = 0; i < 50; i++)
		assert_true(buf_add(b, STR("received: from somewhere\r\n")));
	assert_true(buf_add(b, STR("\r\nReceived: in the body\r\n")));
}

static void long_line(struct buf *b)
{
	char *line = filled(70000, 'x');

	assert_true(buf_add(b, STR("\r\n")) && buf_add(b, str_of(line)) && buf_add(b, STR("\r\n")));
	free(line);
}

static void too_big(struct buf *b)
{
	for (int i = 0; i < 2000; i++)
		assert_true(buf_printf(b, "X%d: %0900d\r\n", i, i));
}

static void bare_lf(struct buf *b)
{
	assert_true(buf_add(b, STR("\r\nbody\n.\r\nMAIL FROM:<evil@sender.example>\r\nRCPT "
				   "TO:<b@example.com>\r\nDATA\r\n")));
}

static const struct {
	void (*make)(struct buf *);
	const char *reply;
	bool closes;
} refusals[] = {
	{ big_header, "552 5.3.4 the header", false },
	{ many_fields, "554 5.6.0 the header", false },
	{ many_hops, "554 5.4.6 too many hops", false },
	{ enough_hops, "250 2.6.0", false },
	{ long_line, "554 5.6.0 a line", false },
	{ too_big, "552 5.3.4 the message", false },
	{ bare_lf, "554 5.6.0 the message holds a LF", true },
};

TEST(what_is_refused_is_refused_at_the_true_end)
{
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct bed_client c;
		struct buf b;

		bed_begin(state);
		bed.o.message = 1 << 20;
		bed_options();
		buf_init(&b, 4 << 20);
		refusals[i].make(&b);
		c = client_open();
		greet(&c);
		envelope(&c);
		data(&c);
		say_str(&c, buf_str(&b));
		for (int t = 0; t < 10; t++)
			turn(bed.loop);
		CHECK(i, !has_line(&c));
		say(&c, ".\r\n");
		if (strncmp(next_line(&c), refusals[i].reply, strlen(refusals[i].reply)) != 0)
			fail_msg("row %zu: %s", i, c.line);
		if (refusals[i].closes) {
			hear_end(&c);
		} else {
			envelope(&c);
			submit(&c, STR("\r\n"));
			hear(&c, "250 2.6.0");
		}
		client_close(&c);
		buf_fini(&b);
		bed_end(state);
	}
}

TEST(a_no_at_headers_is_said_at_the_true_end)
{
	struct bed_client c = client_open();

	bed.policy.canned[HOOK_HEADERS] = bed_verdict(VERDICT_REJECT, 554, "5.7.1", "no");
	greet(&c);
	envelope(&c);
	data(&c);
	say(&c, "Subject: x\r\n\r\nbody\r\n");
	UNTIL(bed.loop, bed.policy.asked[HOOK_HEADERS] == 1);
	say(&c, "more\r\n..\r\n.x\r\n");
	turn(bed.loop);
	assert_false(has_line(&c));
	say(&c, ".\r\n");
	hear(&c, "554 5.7.1 no");
	assert_int_equal(bed.policy.asked[HOOK_MESSAGE], 0);
	client_close(&c);
}

TEST(a_message_without_an_end_is_cut_off)
{
	struct bed_client c;
	char *lines = filled(64 * 1024, 'x');
	ssize_t sent = 1;

	for (size_t i = 0; i < 64 * 1024; i += 64)
		memcpy(lines + i, "\r\n", 2);
	bed.o.message = 100000;
	bed_options();
	c = client_open();
	greet(&c);
	envelope(&c);
	data(&c);
	for (int i = 0; i < 1000 && !has_line(&c); i++) {
		sent = send(c.fd, lines, 64 * 1024, MSG_NOSIGNAL);
		turn(bed.loop);
	}
	(void)sent;
	hear(&c, "552 5.3.4");
	hear_end(&c);
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	client_close(&c);
	free(lines);
}

/* ---- slots */

static struct str made(struct buf *b, size_t n)
{
	buf_init(b, n + 256);
	assert_true(buf_add(b, STR("Subject: big\r\n\r\n")));
	for (unsigned i = 0; buf_len(b) < n; i++)
		assert_true(buf_printf(b, "%08u the quick brown fox jumps over the lazy dog\r\n",
				       i * 2654435761u));
	return buf_str(b);
}

TEST(a_big_body_streams_into_a_slot)
{
	static const size_t sizes[] = { 60000, 65536 + 16, 65600, 70000, 131072, 300000, 5 << 20 };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct bed_client c;
		struct str message;
		struct buf b;

		bed_begin(state);
		message = made(&b, sizes[i]);
		c = client_open();
		greet(&c);
		envelope(&c);
		submit(&c, message);
		hear(&c, "250 2.6.0");
		CHECK_INT(i, bed.spool.nstored, 1);
		CHECK_INT(i, bed.spool.stored[0].is_slot, message.n - 16 > IPC_BODY_INLINE);
		CHECK(i, str_eq(behind_trace(&bed.spool.stored[0], 0), message));
		CHECK_INT(i, bed.spool.aborts, 0);
		client_close(&c);
		buf_fini(&b);
		bed_end(state);
	}
}

TEST(dots_and_slices_survive_a_slot)
{
	struct bed_client c = client_open();
	struct buf wire, plain;

	buf_init(&wire, 4 << 20);
	buf_init(&plain, 4 << 20);
	for (int i = 0; i < 60000; i++)
		assert_true(buf_add(&wire, STR("..\r\n")) && buf_add(&plain, STR(".\r\n")));
	greet(&c);
	envelope(&c);
	submit(&c, buf_str(&wire));
	hear(&c, "250 2.6.0");
	assert_true(bed.spool.stored[0].is_slot);
	CHECK(0, str_eq(behind_trace(&bed.spool.stored[0], 0), buf_str(&plain)));
	client_close(&c);
	buf_fini(&wire);
	buf_fini(&plain);
}

/* push - what the socket takes now */
static struct str push(struct bed_client *c, struct str rest)
{
	ssize_t n = rest.n ? send(c->fd, rest.p, rest.n, MSG_NOSIGNAL) : 0;

	return n > 0 ? str_drop(rest, (size_t)n) : rest;
}

TEST(without_acknowledgement_the_client_has_to_wait)
{
	struct bed_client c = client_open();
	struct str message, rest;
	struct buf b;
	size_t got;

	bed.spool.acks = false;
	rest = message = made(&b, 3 << 20);
	greet(&c);
	envelope(&c);
	data(&c);
	for (int i = 0; i < 200; i++) {
		rest = push(&c, rest);
		turn(bed.loop);
	}
	assert_int_equal(bed.spool.nslots, 1);
	assert_int_equal(buf_len(&bed.spool.slots[0].bytes),
			 0); /* nobody said yet that the slot is there */
	assert_true(rest.n > 0);
	bed_ack(bed.spool.slots[0].tag);
	for (int i = 0; i < 200; i++) {
		rest = push(&c, rest);
		turn(bed.loop);
	}
	got = buf_len(&bed.spool.slots[0].bytes);
	assert_true(got > IPC_SLOT_WINDOW / 2 && got <= IPC_SLOT_WINDOW);
	assert_true(rest.n > 0);
	bed.spool.acks = true;
	bed_ack(bed.spool.slots[0].tag);
	say_str(&c, rest);
	say(&c, ".\r\n");
	hear(&c, "250 2.6.0");
	CHECK(0, str_eq(behind_trace(&bed.spool.stored[0], 0), message));
	client_close(&c);
	buf_fini(&b);
}

TEST(a_slot_that_makes_no_progress_is_given_up)
{
	struct bed_client c = client_open();
	struct str rest;
	struct buf b;

	bed.spool.acks = false;
	rest = made(&b, 1 << 20);
	greet(&c);
	envelope(&c);
	data(&c);
	for (int i = 0; i < 50; i++) {
		rest = push(&c, rest);
		turn(bed.loop);
	}
	clock_ahead_us += bed.o.commit_us + 1000000;
	say_str(&c, rest);
	say(&c, ".\r\n");
	hear(&c, "451 4.3.0");
	assert_int_equal(bed.spool.aborts, 1);
	envelope(&c);
	submit(&c, STR("\r\n"));
	hear(&c, "250 2.6.0");
	client_close(&c);
	buf_fini(&b);
}

TEST(a_slot_that_is_refused_refuses_the_message)
{
	struct bed_client c = client_open();
	struct str rest;
	struct buf b;

	bed.spool.acks = false;
	rest = made(&b, 1 << 20);
	greet(&c);
	envelope(&c);
	data(&c);
	for (int i = 0; i < 50; i++) {
		rest = push(&c, rest);
		turn(bed.loop);
	}
	bed.spool.slots[0].is_gone = true;
	bed_tell_refused(bed.spool.slots[0].tag, IPC_SLOT_REFUSED);
	say_str(&c, rest);
	say(&c, ".\r\n");
	hear(&c, "452 4.3.1 the disk is full");
	assert_int_equal(bed.spool.aborts, 0);
	client_close(&c);
	buf_fini(&b);
}

TEST(a_client_that_leaves_gives_its_slot_back)
{
	struct bed_client c = client_open();
	struct buf b;

	greet(&c);
	envelope(&c);
	data(&c);
	say_str(&c, made(&b, 200000));
	UNTIL(bed.loop, bed.spool.nslots == 1 && buf_len(&bed.spool.slots[0].bytes) > 100000);
	client_close(&c);
	UNTIL(bed.loop, session_server_count(bed.server) == 0);
	UNTIL(bed.loop, bed.spool.aborts == 1);
	buf_fini(&b);
}

TEST(a_no_of_policy_gives_the_slot_back)
{
	struct bed_client c = client_open();
	struct buf b;

	bed.policy.canned[HOOK_MESSAGE] = bed_verdict(VERDICT_REJECT, 554, "5.7.1", "no");
	greet(&c);
	envelope(&c);
	submit(&c, made(&b, 200000));
	hear(&c, "554 5.7.1");
	UNTIL(bed.loop, bed.spool.aborts == 1);
	client_close(&c);
	buf_fini(&b);
}

static uint64_t seen_size;

static void see_beginning(struct policy_question *q)
{
	CHECK_INT(0, q->msg->body.n, IPC_BODY_INLINE);
	seen_size = q->msg->size;
}

TEST(policy_sees_the_beginning_of_a_big_body)
{
	struct bed_client c = client_open();
	struct buf b;

	(void)made(&b, 200000);
	bed.policy.act[HOOK_MESSAGE] = see_beginning;
	greet(&c);
	envelope(&c);
	submit(&c, buf_str(&b));
	hear(&c, "250 2.6.0");
	assert_int_equal(buf_len(&b), seen_size);
	client_close(&c);
	buf_fini(&b);
}

TEST(when_memory_is_short_even_a_small_body_goes_to_a_slot)
{
	struct bed_client c;
	struct str message;
	struct buf b;

	bed.o.memory = 6000;
	bed_options();
	c = client_open();
	message = made(&b, 20000);
	greet(&c);
	envelope(&c);
	data(&c);
	for (struct str rest = message; rest.n > 0; rest = str_drop(rest, 1000)) {
		say_str(&c, str_head(rest, 1000));
		turn(bed.loop);
	}
	say(&c, ".\r\n");
	hear(&c, "250 2.6.0");
	assert_true(bed.spool.stored[0].is_slot);
	CHECK(0, str_eq(behind_trace(&bed.spool.stored[0], 0), message));
	client_close(&c);
	buf_fini(&b);
}

TEST(when_memory_is_short_a_big_header_has_to_come_again)
{
	struct bed_client c;
	struct buf b;

	bed.o.memory = 6000;
	bed_options();
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 20; i++)
		assert_true(buf_printf(&b, "X: %0900d\r\n", i));
	c = client_open();
	greet(&c);
	envelope(&c);
	submit(&c, buf_str(&b));
	hear(&c, "452 4.3.1");
	client_close(&c);
	buf_fini(&b);
}

TEST(a_slot_that_was_lost_before_it_got_anything_is_asked_for_again)
{
	struct bed_client c = client_open();
	struct str message, rest;
	struct buf b;

	bed.spool.acks = false;
	rest = message = made(&b, 200000);
	greet(&c);
	envelope(&c);
	data(&c);
	for (int i = 0; i < 50; i++) {
		rest = push(&c, rest);
		turn(bed.loop);
	}
	assert_int_equal(bed.spool.nslots, 1);
	bed.spool.acks = true;
	bed_connect(BED_RING);
	say_str(&c, rest);
	say(&c, ".\r\n");
	hear(&c, "250 2.6.0");
	assert_int_equal(bed.spool.nslots, 2);
	CHECK(0, str_eq(behind_trace(&bed.spool.stored[0], 0), message));
	client_close(&c);
	buf_fini(&b);
}

TEST(memory_comes_back_with_the_end_of_each_transaction)
{
	struct bed_client c;
	struct buf b;

	bed.o.memory = 70000;
	bed_options();
	c = client_open();
	(void)made(&b, 20000);
	greet(&c);
	for (int i = 0; i < 20; i++) {
		bed.policy.canned[HOOK_MESSAGE] =
			bed_verdict(i % 2 ? VERDICT_PASS : VERDICT_REJECT, 554, "", "");
		envelope(&c);
		submit(&c, buf_str(&b));
		hear(&c, i % 2 ? "250 2.6.0" : "554 ");
	}
	assert_int_equal(bed.spool.nslots, 0);
	client_close(&c);
	buf_fini(&b);
}

/* fill - octets of a slot that nobody has, until not even the head of a frame has room */
static void fill(void)
{
	static char octets[16384];
	struct ipc_frame head = { .type = IPC_SLOT_DATA, .tag = UINT64_MAX };

	for (size_t n = sizeof octets; n > 0; n /= 2) {
		struct str part = { octets, n };

		while (ipc_channel_send(bed.spool.edge, &head, &part, 1))
			;
	}
	while (ipc_channel_send(bed.spool.edge, &head, NULL, 0))
		;
}

TEST(a_slot_is_given_back_even_when_the_channel_is_full)
{
	struct bed_client c;
	struct buf b;

	bed_connect(64 * 1024);
	c = client_open();
	greet(&c);
	envelope(&c);
	data(&c);
	say_str(&c, made(&b, 100000));
	UNTIL(bed.loop, bed.spool.nslots == 1 && buf_len(&bed.spool.slots[0].bytes) > 70000);
	ipc_channel_pause(bed.spool.own);
	fill();
	client_close(&c);
	UNTIL(bed.loop, event_has("\"end\":\"peer closed\""));
	for (int i = 0; i < 10; i++)
		turn(bed.loop);
	assert_int_equal(bed.spool.aborts, 0);
	ipc_channel_resume(bed.spool.own);
	UNTIL(bed.loop, bed.spool.aborts == 1);
	buf_fini(&b);
}

TEST(the_channel_may_be_narrow)
{
	struct bed_client c[4];
	struct buf b;

	bed_connect(64 * 1024);
	(void)made(&b, 400000);
	for (size_t i = 0; i < COUNT(c); i++) {
		c[i] = client_open();
		greet(&c[i]);
		envelope(&c[i]);
		data(&c[i]);
	}
	for (struct str rest = buf_str(&b); rest.n > 0; rest = str_drop(rest, 20000))
		for (size_t i = 0; i < COUNT(c); i++)
			say_str(&c[i], str_head(rest, 20000));
	for (size_t i = 0; i < COUNT(c); i++) {
		say(&c[i], ".\r\n");
		hear(&c[i], "250 2.6.0");
	}
	for (size_t i = 0; i < COUNT(c); i++) {
		CHECK(i, str_eq(behind_trace(&bed.spool.stored[i], 0), buf_str(&b)));
		client_close(&c[i]);
	}
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BED_TEST(a_message_leaves_byte_for_byte_behind_our_field),
		BED_TEST(its_pieces_change_nothing),
		BED_TEST(late_answers_change_nothing),
		BED_TEST(a_message_that_begins_with_a_blank_cannot_add_to_our_field),
		cmocka_unit_test(what_is_refused_is_refused_at_the_true_end),
		BED_TEST(a_no_at_headers_is_said_at_the_true_end),
		BED_TEST(a_message_without_an_end_is_cut_off),
		cmocka_unit_test(a_big_body_streams_into_a_slot),
		BED_TEST(dots_and_slices_survive_a_slot),
		BED_TEST(without_acknowledgement_the_client_has_to_wait),
		BED_TEST(a_slot_that_makes_no_progress_is_given_up),
		BED_TEST(a_slot_that_is_refused_refuses_the_message),
		BED_TEST(a_client_that_leaves_gives_its_slot_back),
		BED_TEST(a_no_of_policy_gives_the_slot_back),
		BED_TEST(policy_sees_the_beginning_of_a_big_body),
		BED_TEST(when_memory_is_short_even_a_small_body_goes_to_a_slot),
		BED_TEST(when_memory_is_short_a_big_header_has_to_come_again),
		BED_TEST(a_slot_that_was_lost_before_it_got_anything_is_asked_for_again),
		BED_TEST(memory_comes_back_with_the_end_of_each_transaction),
		BED_TEST(a_slot_is_given_back_even_when_the_channel_is_full),
		BED_TEST(the_channel_may_be_narrow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
