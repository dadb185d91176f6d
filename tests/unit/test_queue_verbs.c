#include "queue_rig.h"

/* The operator's words. */

static bool has(struct str text, const char *what)
{
	struct str mark = str_of(what);

	for (; text.n >= mark.n; text = str_drop(text, 1))
		if (str_has_prefix(text, mark))
			return true;
	return false;
}

static void answers(const char *words, unsigned want, const char *with)
{
	unsigned code;
	struct str text = rig_ask(words, &code);

	if (code != want || !has(text, with))
		fail_msg("%s: %u, %.*s", words, code, STR_ARG(text));
	heap_free(text);
}

static const char *naming(const char *verb, unsigned number, const char *more)
{
	static char line[128];
	struct id id = rig_id(number, 0);
	char text[ID_TEXT + 1];

	(void)snprintf(line, sizeof line, "queue %s %s%s", verb, id_text(&id, text), more);
	return line;
}

TEST(words_that_mean_nothing_say_how_they_are_used)
{
	static const char *const words[] = { "",
					     "queue",
					     "queue what",
					     "what list",
					     "queue hold",
					     "queue hold x",
					     "queue show",
					     "queue drop 1.2.3",
					     "queue retry 00000000000000000000000000.99999" };

	rig_begin();
	for (size_t i = 0; i < COUNT(words); i++)
		answers(words[i], 64, "\n");
	answers(naming("show", 5, ""), 1, "no such message");
	answers(naming("drop", 5, ""), 1, "0 dropped");
	rig_end();
}

TEST(hold_release_retry_and_drop_change_what_they_say)
{
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	answers(naming("hold", 1, ""), 75, "0 held, some are being delivered");
	answers(naming("drop", 1, ""), 75, "0 dropped");
	answers(naming("retry", 1, ""), 75, "0 due now");
	rig_outcome(0, IPC_OUTCOME_DEFER, "4.2.2 \x1b]0;evil\a full");
	rig_answer(at, IPC_RESULT, tag);
	answers("queue list", 0, "4.2.2 ?]0;evil? full");
	answers("queue list --json", 0, "\"state\":\"waiting\"");
	answers(naming("hold", 1, " --json"), 0, "{\"changed\":1,\"busy\":0}");
	answers("queue hold --json", 64, "{\"error\":");
	answers(naming("hold", 1, ".0"), 0, "1 held");
	answers(naming("retry", 1, ""), 1, "0 due now");
	rig_restart();
	assert_int_equal(queue_rcpt(rig_find(1, 0), 0)->job->place, PLACE_HELD);
	answers(naming("release", 1, ""), 0, "1 released");
	answers(naming("release", 1, ""), 1, "0 released");
	rig_turn(4);
	assert_int_equal(queue_rcpt(rig_find(1, 0), 0)->job->place, PLACE_ROUTING);
	rig_connect(&rig.delivers[0]);
	rig_lose(&rig.delivers[0]);
	rig_lose(&rig.delivers[1]);
	rig_turn(2);
	answers(naming("drop", 1, ""), 0, "1 dropped");
	assert_null(rig_find(1, 0));
	rig_restart();
	assert_null(rig_find(1, 0));
	rig_end();
}

TEST(retry_asks_the_route_again_only_when_told)
{
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	tag = rig_dispatched(1, "mx", &at);
	rig_outcome(0, IPC_OUTCOME_DEFER, "4.2.2 full");
	rig_answer(at, IPC_RESULT, tag);
	answers(naming("retry", 1, ""), 0, "1 due now");
	rig_turn(2);
	assert_int_equal(rig_find(1, 0)->job.place, PLACE_LEASED);
	rig_outcome(0, IPC_OUTCOME_DEFER, "4.2.2 full");
	rig_answer(at, IPC_RESULT, rig_tag(at, IPC_DISPATCH));
	answers(naming("retry", 1, " --reroute"), 0, "1 due now");
	rig_turn(2);
	assert_int_equal(rig_find(1, 0)->job.place, PLACE_ROUTING);
	assert_null(rig_find(1, 0)->job.destination);
	rig_end();
}

TEST(show_gives_envelope_recipients_and_header)
{
	rig_begin();
	rig_message(1, 2, IPC_STATE_HOLD);
	answers(naming("show", 1, ""), 0, "rcpt: r1@example\n");
	answers(naming("show", 1, ""), 0, "recipient 1: held, 0 attempts\n");
	answers(naming("show", 1, " --json"), 0, "\"header\":\"Subject: x");
	rig.disk.is_cold = true;
	answers(naming("show", 1, ".0"), 0, "Subject: x");
	answers(naming("show", 1, ".1"), 1, "no such message");
	rig_end();
}

TEST(an_operator_who_leaves_is_not_answered)
{
	struct str words = { "queue\0show\0", 11 };
	char line[64], text[ID_TEXT + 1];
	struct id id = rig_id(1, 0);

	rig_begin();
	rig_message(1, 1, IPC_STATE_HOLD);
	rig.disk.is_cold = true; /* the answer comes in a later turn */
	memcpy(line, words.p, words.n);
	memcpy(line + words.n, id_text(&id, text), ID_TEXT);
	queue_query(rig.queue, rig.control.ours,
		    &(struct ipc_frame){
			    .type = IPC_QUERY, .tag = 1, .payload = { line, words.n + ID_TEXT } });
	assert_int_equal(rig.queue->asks, 1);
	rig_connect(&rig.control);
	queue_query(rig.queue, rig.control.ours, /* his successor, who hears of nothing else */
		    &(struct ipc_frame){ .type = IPC_QUERY, .tag = 2, .payload = { "queue", 5 } });
	rig_turn(5);
	assert_int_equal(rig_count(&rig.control, IPC_ANSWER), 1);
	assert_int_equal(rig_tag(&rig.control, IPC_ANSWER), 2);
	assert_int_equal(rig.queue->asks, 0);
	rig_end();
}

TEST(a_flood_of_questions_is_taken_a_few_at_a_time)
{
	rig_begin();
	rig_message(1, 1, IPC_STATE_HOLD);
	ipc_channel_pause(rig.control.theirs);
	for (unsigned i = 0; i < 60; i++)
		assert_true(rig_send(&rig.control, IPC_QUERY, i,
				     (struct str){ "queue\0hold\0all", 14 }));
	rig_turn(20);
	ipc_channel_resume(rig.control.theirs);
	rig_turn(60);
	assert_int_equal(rig_count(&rig.control, IPC_ANSWER), 60);
	assert_int_equal(rig.queue->asks, 0);
	rig_end();
}

TEST(a_verb_over_all_messages_goes_on_over_many_turns)
{
	unsigned code;
	struct str text;

	rig_begin();
	for (unsigned i = 0; i < 3 * QUEUE_SWEEP; i++) {
		rig_submit(0, i, 1, IPC_STATE_HOLD);
		if (i % 512 == 511)
			rig_turn(3);
	}
	rig_turn(6);
	assert_int_equal(rig.queue->index.held, 3 * QUEUE_SWEEP);
	text = rig_ask("queue drop all", &code);
	CHECK_STR(0, text, STR("3072 dropped\n"));
	heap_free(text);
	assert_int_equal(code, 0);
	assert_int_equal(rig.queue->index.messages.count, 0);
	assert_int_equal(rig.queue->index.held, 0);
	rig_end();
}

TEST(a_long_list_goes_out_in_pieces_and_waits_for_its_reader)
{
	const unsigned many = 12000;
	unsigned code, rows = 0;
	struct str text, rest, line;

	rig_init();
	rig.spool_options.segments = 32;
	rig.ring = 256 * 1024;
	rig_start();
	for (unsigned i = 0; i < many; i++) {
		rig_submit(0, i, 1, IPC_STATE_HOLD);
		if (i % 512 == 511)
			rig_pass(3);
	}
	rig_turn(6);
	assert_int_equal(rig.queue->index.held, many);
	ipc_channel_pause(rig.control.theirs);
	assert_true(rig_send(&rig.control, IPC_QUERY, 99, (struct str){ "queue\0list", 10 }));
	rig_pass(300);
	assert_false(list_is_empty(&rig.queue->errands)); /* it waits: its reader does not read */
	ipc_channel_resume(rig.control.theirs);
	for (unsigned i = 0; i < 300 && !list_is_empty(&rig.queue->errands); i++)
		rig_pass(1);
	assert_true(list_is_empty(&rig.queue->errands));
	assert_int_equal(rig.queue->asks, 0);
	rig_pass(50);
	while (rig_count(&rig.control, IPC_ANSWER) > 0) {
		struct rig_frame *f = rig_take(&rig.control, IPC_ANSWER);

		rig_free(&f);
	}
	text = rig_ask("queue list --json state=held", &code);
	for (rest = text; str_take(&rest, '\n', &line);)
		rows += str_has_prefix(line, STR("{\"id\":"));
	assert_int_equal(code, 0);
	assert_int_equal(rows, many);
	heap_free(text);
	rig_end();
}

TEST(filters_choose_and_a_dry_run_changes_nothing)
{
	rig_begin();
	for (unsigned i = 0; i < 20; i++) {
		rig.sender = i % 2 ? "list@news.example" : "anna@example.org";
		rig_message(i, 1, i < 10 ? IPC_STATE_HOLD : IPC_STATE_QUEUE);
	}
	answers("queue list state=held", 0, "10 messages\n");
	answers("queue list from~news", 0, "10 messages\n");
	answers("queue list from~news state=held", 0, "5 messages\n");
	answers("queue release from~news --dry-run", 0, "10 would be released\n");
	answers("queue drop state=held from~NEWS --dry-run --json", 0, "{\"matched\":5}");
	assert_int_equal(rig.queue->index.held, 10);
	answers("queue release from~news", 0, "5 released\n");
	assert_int_equal(rig.queue->index.held, 5);
	answers("queue list frm~x", 64, "did you mean `from`?");
	answers("queue hold", 64, "or say which");
	answers("queue list age>1d", 0, "0 messages\n");
	rig.disk.is_cold = true; /* each message is read in a later turn */
	answers("queue drop from~example.org state=held", 0, "5 dropped\n");
	assert_int_equal(rig.queue->index.held, 0);
	rig_end();
}

TEST(an_operator_who_leaves_while_messages_are_read_for_him_is_forgotten)
{
	rig_begin();
	for (unsigned i = 0; i < 20; i++)
		rig_message(i, 1, IPC_STATE_HOLD);
	rig.disk.is_cold = true;
	assert_true(
		rig_send(&rig.control, IPC_QUERY, 1, (struct str){ "queue\0drop\0from~a", 17 }));
	rig_pass(2);
	rig_connect(&rig.control);
	rig_turn(10);
	assert_true(list_is_empty(&rig.queue->errands));
	rig_end();
}

TEST(the_quarantine_has_its_own_words_and_the_queue_does_not_touch_it)
{
	rig_begin();
	rig.submit_lines = "reason: too clever\nbucket: spam\n";
	rig_message(1, 1, IPC_STATE_QUARANTINE);
	rig_message(2, 1, IPC_STATE_QUARANTINE);
	answers("queue list", 0, "0 messages\n");
	answers("queue release all", 1, "0 released\n");
	answers("queue drop all", 1, "0 dropped\n");
	answers("quarantine list", 0, "spam  too clever");
	answers("quarantine list bucket=virus", 0, "0 messages\n");
	answers("quarantine retry all", 64, "quarantine list|show");
	answers("quarantine release all --to nobody", 64, "--to needs one address");
	answers("quarantine release all --to", 64, "need a value");
	answers("quarantine release bucket=spam --to abuse@example.net", 0, "2 released\n");
	assert_int_equal(rig.queue->index.quarantined, 0);
	rig_message(3, 1, IPC_STATE_QUARANTINE);
	answers("quarantine drop all", 0, "1 dropped\n");
	assert_null(rig_find(3, 0));
	rig_end();
}

TEST(a_suspended_destination_gets_nothing_until_it_is_resumed_or_its_time_is_over)
{
	struct rig_peer *at;
	uint64_t tag;

	rig_begin();
	answers("queue suspend mx --for 1h --reason they_asked", 0, "suspended; 0 jobs");
	answers("queue suspend other", 0, "until it is resumed");
	for (unsigned round = 0; round < 2; round++) {
		answers("queue suspensions", 0, "they_asked");
		answers("queue suspensions --json", 0, "\"destination\":\"other\"");
		rig_restart();
	}
	answers("queue resume other", 0, "1 resumed");
	answers("queue resume other", 1, "0 resumed");
	answers("queue suspend mx --for soon", 64, "--for needs a time");
	rig_message(1, 1, IPC_STATE_QUEUE);
	rig_turn(3);
	at = rig_count(&rig.delivers[0], IPC_ROUTE) ? &rig.delivers[0] : &rig.delivers[1];
	tag = rig_tag(at, IPC_ROUTE);
	rig_to(0, "mx", "hop");
	rig_answer(at, IPC_ROUTED, tag);
	rig_turn(5);
	assert_int_equal(rig_find(1, 0)->job.place, PLACE_READY);
	rig_wait(3700 * RIG_SECOND);
	assert_int_equal(rig_find(1, 0)->job.place, PLACE_LEASED);
	answers("queue suspensions", 0, "0 suspended");
	rig_restart();
	answers("queue suspensions", 0, "0 suspended");
	rig_end();
}

TEST(the_shape_counts_by_destination_and_age)
{
	struct rig_peer *at;
	unsigned code;
	struct str text;

	rig_begin();
	(void)rig_dispatched(1, "mx", &at);
	rig_message(2, 1, IPC_STATE_HOLD);
	rig_wait(15 * 60 * RIG_SECOND);
	rig_message(3, 1, IPC_STATE_HOLD);
	text = rig_ask("queue shape", &code);
	assert_int_equal(code, 0);
	assert_true(has(text, "TOTAL"));
	assert_true(
		has(text, "(held)                                         2      1      0      1"));
	assert_true(
		has(text, "mx                                             1      0      0      1"));
	heap_free(text);
	answers("queue shape --json state=leased", 0, "{\"destination\":\"mx\",\"total\":1,");
	rig_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_mean_nothing_say_how_they_are_used),
		cmocka_unit_test(hold_release_retry_and_drop_change_what_they_say),
		cmocka_unit_test(retry_asks_the_route_again_only_when_told),
		cmocka_unit_test(show_gives_envelope_recipients_and_header),
		cmocka_unit_test(an_operator_who_leaves_is_not_answered),
		cmocka_unit_test(a_flood_of_questions_is_taken_a_few_at_a_time),
		cmocka_unit_test(a_verb_over_all_messages_goes_on_over_many_turns),
		cmocka_unit_test(a_long_list_goes_out_in_pieces_and_waits_for_its_reader),
		cmocka_unit_test(filters_choose_and_a_dry_run_changes_nothing),
		cmocka_unit_test(
			an_operator_who_leaves_while_messages_are_read_for_him_is_forgotten),
		cmocka_unit_test(the_quarantine_has_its_own_words_and_the_queue_does_not_touch_it),
		cmocka_unit_test(
			a_suspended_destination_gets_nothing_until_it_is_resumed_or_its_time_is_over),
		cmocka_unit_test(the_shape_counts_by_destination_and_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
