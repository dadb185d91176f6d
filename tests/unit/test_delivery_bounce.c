#include "delivery_peer.h"
#include "delivery_rig.h"

static struct peer peer;

static int up(void **state)
{
	rig_up(state);
	peer_open(&peer, rig.loop, "127.0.0.1:0", "smtp:");
	return 0;
}

static int down(void **state)
{
	delivery_free(&rig.delivery);
	peer_close(&peer);
	return rig_down(state);
}

static const struct ipc_result *attempt(struct rig_lease lease)
{
	static uint64_t tag;

	lease.tag = ++tag;
	if (!lease.sender)
		lease.sender = "s@example.org";
	if (!lease.rcpts[0])
		lease.rcpts[0] = "550a@example.net";
	lease.hop = peer.hop;
	lease.body = STR("the secret body\r\n");
	rig_send(&lease);
	rig_run(rig.nresults + 1);
	return rig_of(tag);
}

/* bounce_of - decoded; borrows from the result */
static const struct ipc_submit *bounce_of(const struct ipc_result *r, struct envelope *e,
					  struct arena *a)
{
	static struct ipc_submit submit;
	struct fault why = { 0 };

	assert_true(r->has_bounce);
	assert_true(ipc_submit_decode(r->bounce, &submit));
	assert_int_equal(submit.nvariants, 1);
	assert_int_equal(id_edge(&submit.id), 0x8003);
	if (envelope_read(submit.variants[0].envelope, a, e, &why) < 0)
		fail_msg("%s", why.text);
	assert_true(id_is_eq(&submit.id, &e->id));
	return &submit;
}

TEST(a_bounce_tells_the_sender_who_failed_and_why)
{
	const struct ipc_result *r = attempt((struct rig_lease){
		.rcpts = { "550a@example.net", "b@example.net", "450c@example.net",
			   "554d@example.net" },
		.header = STR("Subject: my subject\r\nFrom: s@example.org\r\n") });
	static const char *const told[] = {
		"550a@example.net",
		"554d@example.net",
		"Final-Recipient: rfc822; 550a@example.net",
		"Action: failed",
		"Status: 5.1.1",
		"Diagnostic-Code: smtp; ",
		"no thanks",
		"Remote-MTA: dns; 127.0.0.1:",
		"Subject: my subject",
		"Reporting-MTA: dns; gate.example.org",
		"X-Moongate-Id: 01h455vb4pex5vsknk084sn02q",
	};
	const struct ipc_submit *bounce;
	struct envelope e;
	struct arena a;

	arena_init(&a, 1 << 20);
	bounce = bounce_of(r, &e, &a);
	assert_int_equal(r->outcomes[0].outcome, IPC_OUTCOME_FAIL);
	assert_int_equal(r->outcomes[2].outcome, IPC_OUTCOME_DEFER);
	assert_int_equal(bounce->variants[0].state, IPC_STATE_QUEUE);
	assert_int_equal(e.sender.n, 0);
	assert_int_equal(e.nrcpts, 1);
	CHECK_STR(0, e.rcpts[0].address, STR("s@example.org"));
	assert_true(rig_has(bounce->variants[0].header, "To: <s@example.org>\r\n"));
	assert_true(rig_has(bounce->variants[0].header, "Auto-Submitted: auto-replied\r\n"));
	assert_true(str_has_suffix(bounce->variants[0].header, STR("\r\n")));
	assert_false(str_has_suffix(bounce->variants[0].header, STR("\r\n\r\n")));
	for (size_t i = 0; i < COUNT(told); i++)
		CHECK(i, rig_has(bounce->body, told[i]));
	assert_false(rig_has(bounce->body, "450c"));
	assert_false(rig_has(bounce->body, "secret"));
	assert_false(str_has_prefix(bounce->body, STR("\r\n\r\n")));
	arena_fini(&a);
}

TEST(the_null_sender_is_never_bounced)
{
	const struct ipc_result *r = attempt((struct rig_lease){ .sender = "" });

	assert_int_equal(r->outcomes[0].outcome, IPC_OUTCOME_FAIL);
	assert_false(r->has_bounce);
	assert_true(rig_logged("\"event\":\"bounce.dropped\""));
}

TEST(an_expired_message_is_not_tried_and_is_bounced)
{
	const struct ipc_result *r =
		attempt((struct rig_lease){ .is_expired = true,
					    .rcpts = { "a@example.net" },
					    .last = "4.4.1 192.0.2.1:25: Connection refused" });
	const struct ipc_submit *bounce;
	struct envelope e;
	struct arena a;

	arena_init(&a, 1 << 20);
	bounce = bounce_of(r, &e, &a);
	assert_int_equal(peer.connections, 0);
	assert_int_equal(r->outcomes[0].outcome, IPC_OUTCOME_FAIL);
	assert_true(str_has_prefix(r->outcomes[0].text, STR("4.4.7 ")));
	assert_true(rig_has(bounce->body, "Status: 4.4.7"));
	assert_true(rig_has(bounce->body, "Connection refused"));
	arena_fini(&a);
}

TEST(a_hostile_reply_and_a_hostile_header_stay_in_their_places)
{
	static char header[200 * 1024];
	const struct ipc_result *r;
	const struct ipc_submit *bounce;
	struct envelope e;
	struct arena a;
	size_t n = 0;

	while (n < sizeof header - 80)
		n += (size_t)snprintf(
			header + n, sizeof header - n,
			"X-Long: \xff\xfe--boundary =_ and so on, again and again\r\n");
	peer.script.mail = "550 5.7.1 \xffno\x01 --=_ Action: delivered";
	arena_init(&a, 1 << 20);
	r = attempt((struct rig_lease){ .rcpts = { "a@example.net" }, .header = { header, n } });
	assert_int_equal(r->outcomes[0].outcome, IPC_OUTCOME_FAIL);
	for (size_t i = 0; i < r->outcomes[0].text.n; i++)
		assert_in_range(r->outcomes[0].text.p[i], ' ', '~');
	bounce = bounce_of(r, &e, &a);
	assert_true(bounce->body.n <= IPC_BODY_INLINE);
	for (size_t i = 0; i < bounce->body.n; i++)
		assert_true((unsigned char)bounce->body.p[i] < 0x7f);
	arena_fini(&a);
}

/* clang-format off */
static const struct {
	enum verdict_kind kind;
	bool failed, has_bounce;
	enum ipc_outcome outcome;
	enum ipc_state state;
} verdicts[] = {
	{ VERDICT_PASS,       false, true,  IPC_OUTCOME_FAIL,  IPC_STATE_QUEUE },
	{ VERDICT_DISCARD,    false, false, IPC_OUTCOME_FAIL,  IPC_STATE_QUEUE },
	{ VERDICT_QUARANTINE, false, true,  IPC_OUTCOME_FAIL,  IPC_STATE_QUARANTINE },
	{ VERDICT_DEFER,      true,  false, IPC_OUTCOME_DEFER, IPC_STATE_QUEUE },
};
/* clang-format on */

TEST(the_bounce_hook_decides_and_its_failure_loses_nothing)
{
	rig_policy();
	for (size_t i = 0; i < COUNT(verdicts) * 2; i++) {
		size_t k = i % COUNT(verdicts);
		const struct ipc_result *r;
		struct envelope e;
		struct arena a;

		rig.canned[HOOK_BOUNCE] =
			(struct canned){ .verdict = { .kind = verdicts[k].kind,
						      .bucket = STR("bounces"),
						      .failed = verdicts[k].failed },
					 .is_late = i >= COUNT(verdicts) };
		r = attempt(
			(struct rig_lease){ .rcpts = { "550a@example.net", "554b@example.net" } });
		CHECK_INT(i, r->outcomes[0].outcome, verdicts[k].outcome);
		CHECK_INT(i, r->has_bounce, verdicts[k].has_bounce);
		assert_string_equal(rig.seen, "bounce s@example.org> client/192.0.2.9 0  2");
		if (!r->has_bounce)
			continue;
		arena_init(&a, 1 << 20);
		CHECK_INT(i, bounce_of(r, &e, &a)->variants[0].state, verdicts[k].state);
		CHECK_STR(i, e.bucket,
			  verdicts[k].kind == VERDICT_QUARANTINE ? STR("bounces") : STR_NONE);
		CHECK_STR(i, e.generation, STR("7/01234567"));
		arena_fini(&a);
	}
}

TEST(failures_that_do_not_fit_one_bounce_fail_with_the_next)
{
	static struct ipc_lease l;
	struct envelope_rcpt rcpts[300];
	char names[300][128];
	struct envelope e = { .sender = STR("s@example.org"), .rcpts = rcpts, .nrcpts = 300 };
	struct buf envelope, frame;
	struct str payload;
	unsigned failed = 0;

	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(names[i], sizeof names[i], "recipient-number-%u@%s.example.net", i,
			       "a-rather-long-label-of-a-domain");
		rcpts[i] = (struct envelope_rcpt){ .address = str_of(names[i]) };
		l.rcpts[i].index = i;
	}
	l.is_expired = true;
	l.nrcpts = 300;
	buf_init(&envelope, IPC_ENVELOPE_MAX);
	buf_init(&frame, IPC_FRAME_MAX);
	assert_true(envelope_write(&envelope, &e));
	l.envelope = buf_str(&envelope);
	l.key = l.next_hop = str_of(peer.hop);
	assert_true(ipc_lease_encode(&frame, &l));
	payload = buf_str(&frame);
	assert_true(ipc_channel_send(
		rig.spool, &(struct ipc_frame){ .type = IPC_DISPATCH, .tag = 5 }, &payload, 1));
	rig_run(1);
	for (unsigned i = 0; i < 300; i++) {
		const struct ipc_outcome_of *o = &rig_of(5)->outcomes[i];

		failed += o->outcome == IPC_OUTCOME_FAIL;
		assert_true(o->outcome == IPC_OUTCOME_FAIL ||
			    (o->outcome == IPC_OUTCOME_DEFER && o->retry_us == 1000000));
	}
	assert_int_equal(failed, 100);
	assert_true(rig_of(5)->has_bounce);
	buf_fini(&frame);
	buf_fini(&envelope);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(a_bounce_tells_the_sender_who_failed_and_why),
		RUN(the_null_sender_is_never_bounced),
		RUN(an_expired_message_is_not_tried_and_is_bounced),
		RUN(a_hostile_reply_and_a_hostile_header_stay_in_their_places),
		RUN(the_bounce_hook_decides_and_its_failure_loses_nothing),
		RUN(failures_that_do_not_fit_one_bounce_fail_with_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
