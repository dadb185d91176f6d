/* memmem */
#define _GNU_SOURCE
#include "script_rig.h"

static struct rig r;

static int begin(void **state)
{
	(void)state;
	rig_init(&r);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_fini(&r);
	return 0;
}

static const char *const head = "local gate = require 'moongate'\n";

static void policy(const char *text)
{
	char all[8192];

	(void)snprintf(all, sizeof all, "%s%s", head, text);
	rig_policy(&r, all);
}

TEST(nobody_answers_where_nobody_registered)
{
	policy("gate.on('mail', function() return gate.reject() end)");
	CHECK_INT(0, rig_begin(&r, HOOK_RCPT), STEP_DONE);
	CHECK_INT(0, r.q.verdict.kind, VERDICT_PASS);
	CHECK_INT(0, rig_vm(&r)->ntasks, 0);
	CHECK_INT(0, r.g->hooks, 1u << HOOK_MAIL);
}

TEST(a_verdict_arrives_with_code_status_text_and_rule)
{
	const struct verdict *v;

	policy("gate.on('rcpt', { name = 'known' }, function(tx, rcpt)\n"
	       "  if rcpt.domain ~= 'example.com' then return gate.reject(550, '5.1.1', 'no ' .. "
	       "rcpt.address) end\n"
	       "end)");
	CHECK_INT(0, rig_begin(&r, HOOK_RCPT), STEP_DONE);
	v = &r.q.verdict;
	CHECK_INT(0, v->kind, VERDICT_REJECT);
	CHECK_INT(0, v->code, 550);
	CHECK_STR(0, str_of(v->esc), STR("5.1.1"));
	CHECK_STR(0, v->text, STR("no bob+tag@example.org"));
	CHECK_STR(0, v->rule, STR("known"));
	CHECK(0, !v->failed);
}

TEST(a_handler_that_waits_is_answered_later)
{
	policy("gate.on('rcpt', function() gate.sleep(0.001) return gate.accept() end)");
	CHECK_INT(0, rig_begin(&r, HOOK_RCPT), STEP_MORE);
	net_loop_run(r.loop);
	CHECK(0, r.is_answered);
	CHECK_INT(0, r.q.verdict.kind, VERDICT_ACCEPT);
	CHECK(0, !r.q.task);
}

/* ---- the chain */

TEST(handlers_run_by_priority_then_in_order_until_one_decides)
{
	policy("local function mark(name) return function(tx) tx:add_header('X-Ran', name) end "
	       "end\n"
	       "gate.on('mail', { name = 'd', priority = 900 }, mark 'd')\n"
	       "gate.on('mail', { name = 'b' }, mark 'b')\n"
	       "gate.on('mail', { name = 'c' }, mark 'c')\n"
	       "gate.on('mail', { name = 'a', priority = 1 }, mark 'a')\n"
	       "gate.on('mail', { name = 'e', priority = 901 }, function() return gate.accept() "
	       "end)\n"
	       "gate.on('mail', { name = 'f', priority = 902 }, mark 'f')\n");
	CHECK_INT(0, rig_ask(&r, HOOK_MAIL)->kind, VERDICT_ACCEPT);
	CHECK_STR(0, r.q.verdict.rule, STR("e"));
	const char *want = "abcd";
	for (struct header_edit *e = r.tx.edits; e; e = e->next, want++)
		CHECK_STR(*want, e->value, ((struct str){ want, 1 }));
	CHECK_INT(0, *want, 0);
}

TEST(pass_and_nil_go_on_and_nobody_deciding_is_pass)
{
	policy("gate.on('mail', { name = 'a' }, function() return gate.pass() end)\n"
	       "gate.on('mail', { name = 'b' }, function() return nil end)\n"
	       "gate.on('mail', { name = 'c' }, function() end)");
	CHECK_INT(0, rig_ask(&r, HOOK_MAIL)->kind, VERDICT_PASS);
	CHECK_INT(0, r.q.verdict.rule.n, 0);
}

static const char *const trusting =
	"gate.on('%s', { name = 'vip' }, function() return gate.trust { reason = 'known' } end)\n"
	"gate.on('%s', { name = 'filter', skip_trusted = true }, function() return gate.reject() "
	"end)\n"
	"gate.on('%s', { name = 'always' }, function() return gate.defer() end)";

TEST(trust_marks_and_the_chain_goes_on_without_those_who_skip)
{
	static const struct {
		enum policy_hook hook;
		const char *name;
	} rows[] = { { HOOK_CONNECT, "connect" },
		     { HOOK_TLS, "tls" },
		     { HOOK_EHLO, "ehlo" },
		     { HOOK_MAIL, "mail" },
		     { HOOK_RCPT, "rcpt" } };

	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[1024];

		r.conn.is_trusted = r.tx.is_trusted = false;
		(void)snprintf(text, sizeof text, trusting, rows[i].name, rows[i].name,
			       rows[i].name);
		policy(text);
		CHECK_INT(i, rig_ask(&r, rows[i].hook)->kind, VERDICT_DEFER);
		CHECK_STR(i, r.q.verdict.rule, STR("always"));
		CHECK_INT(i, r.conn.is_trusted, rows[i].hook <= HOOK_EHLO);
		CHECK_INT(i, r.tx.is_trusted, rows[i].hook > HOOK_EHLO);
		CHECK_STR(i, rows[i].hook <= HOOK_EHLO ? r.conn.trust_reason : r.tx.trust_reason,
			  STR("known"));
		CHECK_STR(i, rows[i].hook <= HOOK_EHLO ? r.conn.trust_rule : r.tx.trust_rule,
			  STR("vip"));
	}
}

TEST(a_trusted_connection_is_trusted_in_its_transactions)
{
	policy("gate.on('mail', { name = 'filter', skip_trusted = true }, function() return "
	       "gate.reject() end)");
	CHECK_INT(0, rig_ask(&r, HOOK_MAIL)->kind, VERDICT_REJECT);
	r.conn.is_trusted = true;
	CHECK_INT(1, rig_ask(&r, HOOK_MAIL)->kind, VERDICT_PASS);
}

TEST(a_handler_of_a_listener_runs_there_only)
{
	policy("gate.on('connect', { name = 'a', listener = 'submission' }, function() return "
	       "gate.reject() end)\n"
	       "gate.on('ehlo', { name = 'b', listener = { 'x', 'mx' } }, function() return "
	       "gate.reject() end)\n"
	       "gate.on('route', { name = 'c', listener = 'mx' }, function() return gate.hold() "
	       "end)");
	CHECK_INT(0, rig_ask(&r, HOOK_CONNECT)->kind, VERDICT_PASS);
	CHECK_INT(1, rig_ask(&r, HOOK_EHLO)->kind, VERDICT_REJECT);
	CHECK_INT(2, rig_ask(&r, HOOK_ROUTE)->kind, VERDICT_HOLD);
}

TEST(a_monitor_says_what_it_would_do_and_does_nothing)
{
	policy("gate.on('rcpt', { name = 'm', mode = 'monitor' }, function(tx, rcpt)\n"
	       "  rcpt:permit() tx:add_header('X-M', '1') return gate.reject(550, '5.1.1', "
	       "'would') end)\n"
	       "gate.on('rcpt', { name = 'n', mode = 'monitor' }, function() return gate.trust { "
	       "reason = 'no' } end)\n"
	       "gate.on('rcpt', { name = 'last' }, function() end)");
	CHECK_INT(0, rig_ask(&r, HOOK_RCPT)->kind, VERDICT_PASS);
	CHECK(0, !r.rcpt->is_permitted && !r.tx.edits && !r.tx.is_trusted);
	rig_expect(&r.log, "\"event\":\"policy.monitor\"");
	rig_expect(&r.log, "\"rule\":\"m\"");
	rig_expect(&r.log, "\"verdict\":\"reject\",\"code\":550,\"text\":\"would\",\"edits\":2");
	rig_expect(&r.log, "\"verdict\":\"trust\"");
}

TEST(a_verdict_that_is_illegal_at_its_stage_is_a_failure)
{
	for (enum policy_hook hook = 0; hook < HOOKS; hook++)
		for (enum verdict_kind kind = 0; kind < VERDICTS; kind++) {
			char text[256];

			(void)snprintf(
				text, sizeof text,
				"gate.on('%s', { name = 'x' }, function() return gate.%s() end)",
				policy_hook_name[hook], verdict_name[kind]);
			policy(text);
			buf_reset(&r.log);
			(void)rig_ask(&r, hook);
			if (verdict_is_legal(hook, kind)) {
				CHECK_INT(kind, r.q.verdict.kind,
					  kind == VERDICT_TRUST ? VERDICT_PASS : kind);
				CHECK(kind, !r.q.verdict.failed);
			} else {
				CHECK_INT(kind, r.q.verdict.kind,
					  hook == HOOK_DISCONNECT ? VERDICT_PASS : VERDICT_DEFER);
				CHECK_INT(kind, r.q.verdict.failed, hook != HOOK_DISCONNECT);
				rig_expect(&r.log, "is no verdict at");
			}
		}
}

/* ---- verdicts */

static const struct {
	const char *expression;
	enum verdict_kind kind;
	unsigned code;
	const char *esc, *text;
} verdicts[] = {
	{ "gate.reject()", VERDICT_REJECT, 550, "5.7.1", "Rejected by local policy" },
	{ "gate.reject(554)", VERDICT_REJECT, 554, "5.7.1", "Rejected by local policy" },
	{ "gate.reject('go away')", VERDICT_REJECT, 550, "5.7.1", "go away" },
	{ "gate.reject(550, 'go away')", VERDICT_REJECT, 550, "5.7.1", "go away" },
	{ "gate.reject('5.1.1', 'no')", VERDICT_REJECT, 550, "5.1.1", "no" },
	{ "gate.reject(550, '5.1.1')", VERDICT_REJECT, 550, "5.1.1", "Rejected by local policy" },
	{ "gate.reject(550, nil, 'x')", VERDICT_REJECT, 550, "5.7.1", "x" },
	{ "gate.defer(450, '4.2.1', 'later')", VERDICT_DEFER, 450, "4.2.1", "later" },
	{ "gate.defer()", VERDICT_DEFER, 451, "4.7.1", "Try again later" },
	{ "gate.drop(421, 'bye')", VERDICT_DROP, 421, "4.7.1", "bye" },
	{ "gate.drop(554, '5.7.0', 'bye')", VERDICT_DROP, 554, "5.7.0", "bye" },
	{ "gate.reject(550, 'a\\r\\n250 b\\0\xc3\xa9')", VERDICT_REJECT, 550, "5.7.1",
	  "a??250 b???" },
	{ "gate.reject(550, ('x'):rep(1000))", VERDICT_REJECT, 550, "5.7.1", NULL },
};

TEST(verdicts_are_what_they_say)
{
	for (size_t i = 0; i < COUNT(verdicts); i++) {
		char text[256];

		(void)snprintf(text, sizeof text,
			       "gate.on('mail', { name = 'x' }, function() return %s end)",
			       verdicts[i].expression);
		policy(text);
		(void)rig_ask(&r, HOOK_MAIL);
		CHECK_INT(i, r.q.verdict.kind, verdicts[i].kind);
		CHECK_INT(i, r.q.verdict.code, verdicts[i].code);
		CHECK_STR(i, str_of(r.q.verdict.esc), str_of(verdicts[i].esc));
		if (verdicts[i].text)
			CHECK_STR(i, r.q.verdict.text, str_of(verdicts[i].text));
		else
			CHECK_INT(i, r.q.verdict.text.n, VERDICT_TEXT);
		CHECK(i, !r.q.verdict.failed);
	}
}

static const struct {
	const char *expression, *message;
} wrong[] = {
	{ "gate.reject(250)", "reject: code must be 500..599, got 250" },
	{ "gate.defer(550)", "defer: code must be 400..499, got 550" },
	{ "gate.drop(200)", "drop: code must be 400..599, got 200" },
	{ "gate.reject(550, '4.1.1', 'x')", "status 4.1.1 does not fit code 550" },
	{ "gate.reject(550, {})", "argument 2 is a table" },
	{ "gate.reject(550, '5.1.1', 'x', 'y')", "argument 4 is one too many" },
	{ "gate.reject(550.5)", "has no integer representation" },
	{ "gate.accept(1)", "takes no arguments" },
	{ "gate.quarantine { bucke = 'x' }",
	  "unknown option \\\"bucke\\\"; did you mean \\\"bucket\\\"?" },
	{ "gate.quarantine { ttl = 'x' }", "is no duration" },
	{ "gate.hold('reason')", "takes a table" },
	{ "gate.discard { reason = 5 }", "reason: a string is expected, got number" },
	{ "gate.rejct(550)", "attempt to call a nil value (field 'rejct')" },
};

TEST(wrong_verdicts_are_explained_at_their_line)
{
	for (size_t i = 0; i < COUNT(wrong); i++) {
		char text[256];

		(void)snprintf(text, sizeof text,
			       "gate.on('mail', { name = 'x' }, function()\nreturn %s end)",
			       wrong[i].expression);
		policy(text);
		buf_reset(&r.log);
		CHECK_INT(i, rig_ask(&r, HOOK_MAIL)->kind, VERDICT_DEFER);
		rig_expect(&r.log, wrong[i].message);
		rig_expect(&r.log, "policy.lua:3: ");
	}
}

TEST(quarantine_hold_and_discard_carry_their_options)
{
	policy("gate.on('message', { name = 'q' }, function() return gate.quarantine { bucket = "
	       "'spam', ttl = '1h', reason = 'bad' } end)\n"
	       "gate.on('route', { name = 'h' }, function() return gate.hold { reason = 'wait' } "
	       "end)");
	CHECK_INT(0, rig_ask(&r, HOOK_MESSAGE)->kind, VERDICT_QUARANTINE);
	CHECK_STR(0, r.q.verdict.bucket, STR("spam"));
	CHECK_STR(0, r.q.verdict.reason, STR("bad"));
	CHECK_INT(0, r.q.verdict.ttl_us, 3600000000);
	CHECK_INT(1, rig_ask(&r, HOOK_ROUTE)->kind, VERDICT_HOLD);
	CHECK_STR(1, r.q.verdict.reason, STR("wait"));
}

TEST(verdicts_cannot_be_changed)
{
	policy("gate.on('mail', { name = 'x' }, function() local v = gate.reject(550, '5.1.1', "
	       "'x')\n"
	       "  assert(v.kind == 'reject' and v.code == 550 and v.status == '5.1.1' and v.text "
	       "== 'x' and v.reason == nil)\n"
	       "  assert(tostring(v) == 'reject 550 5.1.1' and tostring(gate.pass()) == 'pass')\n"
	       "  assert(not pcall(function() v.code = 250 end)) return v end)");
	CHECK_INT(0, rig_ask(&r, HOOK_MAIL)->code, 550);
	CHECK(0, !r.q.verdict.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(nobody_answers_where_nobody_registered),
		T(a_verdict_arrives_with_code_status_text_and_rule),
		T(a_handler_that_waits_is_answered_later),
		T(handlers_run_by_priority_then_in_order_until_one_decides),
		T(pass_and_nil_go_on_and_nobody_deciding_is_pass),
		T(trust_marks_and_the_chain_goes_on_without_those_who_skip),
		T(a_trusted_connection_is_trusted_in_its_transactions),
		T(a_handler_of_a_listener_runs_there_only),
		T(a_monitor_says_what_it_would_do_and_does_nothing),
		T(a_verdict_that_is_illegal_at_its_stage_is_a_failure),
		T(verdicts_are_what_they_say),
		T(wrong_verdicts_are_explained_at_their_line),
		T(quarantine_hold_and_discard_carry_their_options),
		T(verdicts_cannot_be_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
