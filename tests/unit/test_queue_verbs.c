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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
