#include "delivery_peer.h"
#include "delivery_rig.h"

static struct peer peer;

static int up(void **state)
{
	rig_up(state);
	rig_policy();
	peer_open(&peer, rig.loop, "127.0.0.1:0", "smtp:");
	return 0;
}

static int down(void **state)
{
	delivery_free(&rig.delivery);
	peer_close(&peer);
	return rig_down(state);
}

static const struct ipc_outcome_of *attempt(struct rig_lease lease)
{
	static uint64_t tag;

	lease.tag = ++tag;
	lease.sender = "s@example.org";
	lease.hop = peer.hop;
	lease.body = STR("x\r\n");
	rig_send(&lease);
	rig_run(rig.nresults + 1);
	return rig_of(tag)->outcomes;
}

/* clang-format off */
static const struct {
	struct canned canned;
	const char *rcpt;
	enum ipc_outcome outcome;
	uint16_t code;
	const char *text;
	uint64_t retry_us;
} rows[] = {
	{ { .retry_us = 0 },                                         "450a@example.net", IPC_OUTCOME_DEFER, 450, "4.1.1 no thanks", 0 },
	{ { .retry_us = 7000000 },                             "450a@example.net", IPC_OUTCOME_DEFER, 450, "4.1.1 no thanks", 7000000 },
	{ { .verdict = { .kind = VERDICT_REJECT } },           "450a@example.net", IPC_OUTCOME_FAIL,  450, "4.1.1 no thanks", 0 },
	{ { .verdict = { .kind = VERDICT_REJECT, .code = 550, .esc = "5.7.1", .text = STR("enough") } },
	                                                       "450a@example.net", IPC_OUTCOME_FAIL,  550, "5.7.1 enough", 0 },
	{ { .verdict = { .kind = VERDICT_DEFER }, .retry_us = 9000000 },
	                                                       "550a@example.net", IPC_OUTCOME_DEFER, 550, "5.1.1 no thanks", 9000000 },
	{ { .retry_us = 0 },                                         "550a@example.net", IPC_OUTCOME_FAIL,  550, "5.1.1 no thanks", 0 },
	{ { .route = "192.0.2.77" },                           "550a@example.net", IPC_OUTCOME_ROUTE, 550, "smtp:192.0.2.77:25", 0 },
	{ { .route = "192.0.2.77", .verdict = { .kind = VERDICT_REJECT } },
	                                                       "450a@example.net", IPC_OUTCOME_FAIL,  450, "4.1.1 no thanks", 0 },
};
/* clang-format on */

TEST(the_hook_turns_outcomes_and_chooses_when_and_where)
{
	for (size_t i = 0; i < COUNT(rows) * 2; i++) {
		size_t k = i % COUNT(rows);
		const struct ipc_outcome_of *o;
		char seen[512];

		rig.canned[HOOK_RESULT] = rows[k].canned;
		rig.canned[HOOK_RESULT].is_late = i >= COUNT(rows);
		rig.asked[HOOK_RESULT] = 0;
		o = attempt((struct rig_lease){ .rcpts = { "ok@example.net", rows[k].rcpt } });
		CHECK_INT(i, rig.asked[HOOK_RESULT], 1);
		CHECK_INT(i, o[0].outcome, IPC_OUTCOME_DONE);
		CHECK_INT(i, o[1].outcome, rows[k].outcome);
		CHECK_INT(i, o[1].code, rows[k].code);
		CHECK_STR(i, o[1].outcome == IPC_OUTCOME_ROUTE ? o[1].key : o[1].text,
			  str_of(rows[k].text));
		CHECK_INT(i, o[1].retry_us, rows[k].retry_us);
		CHECK_INT(i, rig.results[rig.nresults - 1].result->has_bounce,
			  rows[k].outcome == IPC_OUTCOME_FAIL);
		if (rows[k].outcome == IPC_OUTCOME_FAIL)
			continue;
		(void)snprintf(seen, sizeof seen,
			       "result s@example.org>%s client/192.0.2.9 %.3s %s 0", rows[k].rcpt,
			       rows[k].rcpt, peer.hop);
		assert_string_equal(rig.seen, seen);
	}
}

TEST(to_route_to_where_it_was_is_no_route)
{
	rig.canned[HOOK_RESULT].route = peer.hop;
	assert_int_equal(attempt((struct rig_lease){ .rcpts = { "450a@example.net" } })->outcome,
			 IPC_OUTCOME_DEFER);
}

TEST(an_expired_message_is_not_asked_about)
{
	assert_int_equal(
		attempt((struct rig_lease){ .rcpts = { "a@example.net" }, .is_expired = true })
			->outcome,
		IPC_OUTCOME_FAIL);
	assert_int_equal(rig.asked[HOOK_RESULT], 0);
	assert_int_equal(rig.asked[HOOK_BOUNCE], 1);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(the_hook_turns_outcomes_and_chooses_when_and_where),
		RUN(to_route_to_where_it_was_is_no_route),
		RUN(an_expired_message_is_not_asked_about),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
