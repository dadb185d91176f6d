#include "delivery_rig.h"

static const struct delivery_route routes[] = {
	{ STR("example.net"), STR("192.0.2.1") },
	{ STR("example.com"), STR("lmtp:unix:/run/lmtp") },
};

static const struct ipc_outcome_of *route(struct rig_lease lease)
{
	static uint64_t tag;

	lease.tag = ++tag;
	lease.is_route = true;
	if (!lease.sender)
		lease.sender = "s@example.org";
	rig_send(&lease);
	rig_run(rig.nresults + 1);
	assert_int_equal(rig.results[rig.nresults - 1].type, IPC_ROUTED);
	return rig_of(tag)->outcomes;
}

static void set_routes(void)
{
	struct delivery_options o = rig_options;

	o.routes = routes;
	o.nroutes = COUNT(routes);
	delivery_options_set(rig.delivery, &o);
}

TEST(settings_route_by_domain_under_one_key_per_place)
{
	const struct ipc_outcome_of *o;

	set_routes();
	o = route((struct rig_lease){
		.rcpts = { "a@example.net", "b@EXAMPLE.com", "c@example.org" } });
	assert_int_equal(o[0].outcome, IPC_OUTCOME_ROUTE);
	CHECK_STR(0, o[0].key, STR("smtp:192.0.2.1:25"));
	CHECK_STR(0, o[0].next_hop, STR("smtp:192.0.2.1:25"));
	CHECK_STR(1, o[1].key, STR("lmtp:unix:/run/lmtp"));
	assert_int_equal(o[2].outcome, IPC_OUTCOME_HOLD);
	CHECK_STR(2, o[2].text, STR("5.4.4 no route for example.org"));
	assert_true(rig_logged("\"outcome\":\"held\""));
}

TEST(what_the_edge_chose_is_not_asked_about)
{
	const struct ipc_outcome_of *o;

	rig_policy();
	set_routes();
	rig.canned[HOOK_ROUTE].route = "192.0.2.5";
	o = route((struct rig_lease){ .rcpts = { "a@example.net" },
				      .route = "maildir:/srv/{local}" });
	CHECK_STR(0, o[0].key, STR("maildir:/srv/{local}"));
	assert_int_equal(rig.asked[HOOK_ROUTE], 0);
}

/* clang-format off */
static const struct {
	struct canned canned;
	enum ipc_outcome outcome;
	uint16_t code;
	const char *text;
	bool has_bounce;
} verdicts[] = {
	{ { .verdict = { .kind = VERDICT_PASS } },                                       IPC_OUTCOME_ROUTE, 0, "smtp:192.0.2.1:25", false },
	{ { .verdict = { .kind = VERDICT_PASS }, .route = "lmtp:192.0.2.7:24" },         IPC_OUTCOME_ROUTE, 0, "lmtp:192.0.2.7:24", false },
	{ { .verdict = { .kind = VERDICT_HOLD, .reason = STR("look at it") } },          IPC_OUTCOME_HOLD, 0, "look at it", false },
	{ { .verdict = { .kind = VERDICT_DISCARD, .reason = STR("junk") } },             IPC_OUTCOME_DONE, 0, "", false },
	{ { .verdict = { .kind = VERDICT_DEFER, .code = 451, .esc = "4.7.1", .text = STR("later") } },
	                                                                                 IPC_OUTCOME_DEFER, 451, "4.7.1 later", false },
	{ { .verdict = { .kind = VERDICT_REJECT, .code = 550, .esc = "5.1.1", .text = STR("gone") } },
	                                                                                 IPC_OUTCOME_FAIL, 550, "5.1.1 gone", true },
};
/* clang-format on */

TEST(each_verdict_of_the_hook_has_its_outcome_at_once_and_later)
{
	rig_policy();
	set_routes();
	for (size_t i = 0; i < COUNT(verdicts) * 2; i++) {
		size_t k = i % COUNT(verdicts);
		const struct ipc_outcome_of *o;

		rig.canned[HOOK_ROUTE] = verdicts[k].canned;
		rig.canned[HOOK_ROUTE].verdict.rule = STR("my-rule");
		rig.canned[HOOK_ROUTE].is_late = i >= COUNT(verdicts);
		o = route((struct rig_lease){ .rcpts = { "a@example.net", "b@example.net" } });
		for (unsigned r = 0; r < 2; r++) {
			CHECK_INT(i, o[r].outcome, verdicts[k].outcome);
			CHECK_INT(i, o[r].code, verdicts[k].code);
			CHECK_STR(i, o[r].outcome == IPC_OUTCOME_ROUTE ? o[r].key : o[r].text,
				  str_of(verdicts[k].text));
		}
		CHECK_INT(i, rig.results[rig.nresults - 1].result->has_bounce,
			  verdicts[k].has_bounce);
	}
	assert_int_equal(rig.asked[HOOK_ROUTE], 2 * 2 * COUNT(verdicts));
	assert_true(rig_logged("\"outcome\":\"discarded\""));
	assert_true(rig_logged("\"rule\":\"my-rule\""));
	assert_true(rig_logged("\"generation\":\"7/01234567\""));
}

TEST(the_hook_sees_what_was_stored)
{
	rig_policy();
	(void)route((struct rig_lease){ .rcpts = { "a@example.net" } });
	assert_string_equal(rig.seen, "route s@example.org>a@example.net client/192.0.2.9 0  0");
}

TEST(a_question_that_is_open_when_the_spool_goes_is_cancelled)
{
	rig_policy();
	rig.canned[HOOK_ROUTE].is_late = true;
	rig_send(&(struct rig_lease){
		.tag = 1, .is_route = true, .sender = "", .rcpts = { "a@example.net" } });
	rig_until_asked();
	rig_channel();
	assert_int_equal(rig.cancelled, 1);
	assert_int_equal(rig.policies.active->pins, 0);
	assert_true(delivery_is_idle(rig.delivery));
}

TEST(a_generation_stays_pinned_while_its_question_is_open)
{
	struct policy_generation *first;

	rig_policy();
	first = rig.policies.active;
	rig.canned[HOOK_ROUTE].is_late = true;
	rig_send(&(struct rig_lease){
		.tag = 1, .is_route = true, .sender = "", .rcpts = { "a@example.net" } });
	rig_until_asked();
	rig_policy();
	assert_true(first->is_retired);
	assert_int_equal(first->pins, 1);
	rig_run(1);
	assert_int_equal(rig.policies.alive, 1);
}

TEST(a_thousand_recipients_without_a_route_fit_one_answer)
{
	static struct ipc_lease l;
	struct envelope_rcpt *rcpts = calloc(IPC_LEASE_RCPTS, sizeof *rcpts);
	struct envelope e = { .sender = STR("s@example.org"),
			      .rcpts = rcpts,
			      .nrcpts = IPC_LEASE_RCPTS };
	char(*names)[260] = calloc(IPC_LEASE_RCPTS, sizeof *names);
	struct buf envelope, frame;
	struct str payload;

	for (unsigned i = 0; i < IPC_LEASE_RCPTS; i++) {
		int n = snprintf(names[i], sizeof names[i], "r@%u", i);

		while (n < 240) /* labels of one letter: the reason of each names its long domain */
			n += snprintf(names[i] + n, sizeof names[i] - (size_t)n, ".a");
		rcpts[i].address = str_of(names[i]);
		l.rcpts[i].index = i;
	}
	buf_init(&envelope, IPC_ENVELOPE_MAX);
	buf_init(&frame, IPC_FRAME_MAX);
	assert_true(envelope_write(&envelope, &e));
	l.envelope = buf_str(&envelope);
	l.nrcpts = IPC_LEASE_RCPTS;
	assert_true(ipc_lease_encode(&frame, &l));
	payload = buf_str(&frame);
	assert_true(ipc_channel_send(rig.spool, &(struct ipc_frame){ .type = IPC_ROUTE, .tag = 5 },
				     &payload, 1));
	rig_run(1);
	assert_int_equal(rig_of(5)->noutcomes, IPC_LEASE_RCPTS);
	assert_int_equal(rig_of(5)->outcomes[999].outcome, IPC_OUTCOME_HOLD);
	buf_fini(&frame);
	buf_fini(&envelope);
	free(names);
	free(rcpts);
}

TEST(an_envelope_that_cannot_be_read_holds_the_message)
{
	static struct ipc_lease l;
	struct str payload;
	struct buf frame;

	buf_init(&frame, IPC_FRAME_MAX);
	l.envelope = STR("nonsense");
	l.nrcpts = 1;
	assert_true(ipc_lease_encode(&frame, &l));
	payload = buf_str(&frame);
	assert_true(ipc_channel_send(rig.spool, &(struct ipc_frame){ .type = IPC_ROUTE, .tag = 5 },
				     &payload, 1));
	rig_run(1);
	assert_int_equal(rig_of(5)->outcomes[0].outcome, IPC_OUTCOME_HOLD);
	buf_fini(&frame);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(settings_route_by_domain_under_one_key_per_place),
		RUN(what_the_edge_chose_is_not_asked_about),
		RUN(each_verdict_of_the_hook_has_its_outcome_at_once_and_later),
		RUN(the_hook_sees_what_was_stored),
		RUN(a_question_that_is_open_when_the_spool_goes_is_cancelled),
		RUN(a_generation_stays_pinned_while_its_question_is_open),
		RUN(a_thousand_recipients_without_a_route_fit_one_answer),
		RUN(an_envelope_that_cannot_be_read_holds_the_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
