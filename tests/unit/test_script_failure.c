/* layer: script */
/*
 * Whatever a handler does wrong, in whatever hook: 451, named and counted, and the next question is
 * answered as ever.
 */
#define _GNU_SOURCE
#include "script_rig.h"
#include "turns.h"

#include "counter.h"

static struct rig r;
static struct counter_slab slab;

/* Each handler fails in its own way; `message` is what the event says about it. */
static const struct {
	const char *body, *message;
	bool everywhere; /* tried in every hook; the others in one */
} failures[] = {
	{ "while true do end", "CPU time", true },
	{ "for i = 1, math.huge do end", "CPU time", false },
	{ "local x <close> = setmetatable({}, { __close = function() while true do end end }) "
	  "while true do end",
	  "CPU time", false },
	{ "while true do pcall(function() while true do end end) end", "CPU time", false },
	{ "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return "
	  "t[1]",
	  "overflow", false },
	{ "local function f() return f() end f()", "CPU time", false },
	{ "local function f() return 1 + f() end f()", "memory", false },
	{ "local x <close> = setmetatable({}, { __close = function() while true do end end }) "
	  "error('first')",
	  "CPU time", false },
	{ "local x <close> = setmetatable({}, { __close = function() while true do end end })",
	  "CPU time", false },
	{ "pcall(function() local x <close> = setmetatable({}, { __close = function() while true "
	  "do end end }) error() end)",
	  "CPU time", false },
	{ "xpcall(error, function() while true do end end)", "CPU time", false },
	{ "local s = 'x' while true do s = s .. s end", "memory", false },
	{ "local t = {} while true do t[#t + 1] = {} end", "memory", true },
	{ "local t = {} while true do pcall(function() while true do t[#t + 1] = ('x'):rep(1000) "
	  "end end) end",
	  "memory", false },
	{ "pcall(function() local t = {} while true do t[#t + 1] = {} end end) return gate.accept()",
	  "memory", false },
	{ "while true do (('a'):rep(300) .. 'b'):find('a*a*a*a*c') end", "too long", false },
	{ "while true do pcall(string.find, ('a'):rep(300), 'a*a*a*a*c') end", "CPU time", false },
	{ "error('broken')", "policy.lua:2: broken", true },
	{ "error('without a place', 0)", "without a place", false },
	{ "error({ code = 1 })", "called with a table", true },
	{ "error()", "called with a nil", false },
	{ "error(setmetatable({}, { __tostring = function() while true do end end }))",
	  "called with a table", false },
	{ "local x = nil; return x.field", "attempt to index a nil value (local 'x')", false },
	{ "return 'accept'", "returned a string", true },
	{ "return 250", "returned a number", false },
	{ "return true", "returned a boolean", false },
	{ "return {}", "returned a table", false },
	{ "return print", "returned a function", false },
	{ "return gate", "returned a table", false },
	{ "return gate.map", "returned a function", false },
	{ "undefined_function()", "there is no global \\\"undefined_function\\\"", false },
	{ "counter = 1", "cannot set \\\"counter\\\"", false },
	{ "gate.sleep('soon')", "is no duration", false },
	{ "gate.sleep(-1)", "is no number of seconds", false },
	{ "table.sort({ 1, 2, 3 }, function() gate.sleep(1) end)", "not possible inside table.sort",
	  true },
	{ "('x'):gsub('x', function() gate.sleep(1) end)", "not possible inside table.sort, gsub",
	  false },
	{ "gate.on('rcpt', function() end)", "belongs to the top level", false },
	{ "gate.sleep(500)", "longer than its timeout of 2 s", true },
	{ "pcall(gate.sleep, 500) return gate.accept()", "longer than its timeout of 2 s", false },
	{ "while true do gate.sleep(1.5) end", "longer than its timeout of 2 s", false },
	{ "gate.sleep(0.001) while true do end", "CPU time", true },
	{ "gate.sleep(0.001) error('late')", "policy.lua:2: late", false },
	{ "gate.sleep(0.001) return 7", "returned a number", false },
	{ "local x <close> = setmetatable({}, { __close = function() gate.sleep(1) end }) "
	  "gate.sleep(500)",
	  "longer than", true },
};

static int begin(void **state)
{
	(void)state;
	rig_init(&r);
	return 0;
}

static int count(void **state)
{
	(void)state;
	counter_attach(&slab);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_fini(&r);
	return 0;
}

static unsigned long errors_of(const char *rule)
{
	for (size_t i = 0; i < COUNTER_RULES; i++)
		if (strcmp(slab.rules[i].name, rule) == 0)
			return slab.rules[i].counts[RULE_ERRORS];
	return 0;
}

/* ask - without ever sleeping: when nothing is ready, the clock is moved */
static void ask(enum policy_hook hook)
{
	if (rig_begin(&r, hook) == STEP_DONE)
		return;
	for (unsigned i = 0; !r.is_answered; i++) {
		if (i == 1000)
			fail_msg("the question never ends");
		clock_ahead_us += 100000;
		turn(r.loop);
	}
}

static enum policy_hook other; /* where a sound handler answers */

static void failing(const char *hook, const char *body, const char *options)
{
	char text[4096];

	other = strcmp(hook, "ehlo") == 0 ? HOOK_MAIL : HOOK_EHLO;

	(void)snprintf(text, sizeof text,
		       "local gate = require 'moongate'; gate.on('%s', { name = 'bad', timeout = "
		       "'2s'%s }, function(a, b, c)\n%s\nend)\n"
		       "gate.on('%s', { name = 'good', priority = 900 }, function() end)\n"
		       "gate.on('%s', { name = 'other', priority = 100 }, function() return "
		       "gate.reject(521, '5.0.0', 'fine') end)",
		       hook, options, body, hook, policy_hook_name[other]);
	buf_reset(&r.log);
	rig_policy(&r, text);
}

static void others_are_unaffected(size_t row)
{
	CHECK_INT(row, rig_begin(&r, other), STEP_DONE);
	CHECK_INT(row, r.q.verdict.kind, VERDICT_REJECT);
	CHECK_INT(row, r.q.verdict.code, 521);
	CHECK_STR(row, r.q.verdict.rule, STR("other"));
}

/*
 * A hook that raised leaves Lua 5.4.4's thread with its hooks off: the next loop on it must be
 * stopped all the same.
 */
TEST(a_loop_is_stopped_as_often_as_it_comes)
{
	failing("rcpt", "while true do end", "");
	for (unsigned i = 0; i < 3; i++) {
		ask(HOOK_RCPT);
		CHECK_INT(i, r.q.verdict.code, 451);
	}
}

TEST(every_failure_in_every_hook_is_451_and_harms_nobody_else)
{
	for (enum policy_hook hook = 0; hook < HOOKS; hook++)
		for (size_t i = 0; i < COUNT(failures); i++) {
			const struct verdict *v = &r.q.verdict;
			unsigned long before = errors_of("bad");

			if (!failures[i].everywhere && hook != HOOK_RCPT)
				continue;
			r.options.cpu_us =
				strcmp(failures[i].message, "CPU time") == 0 ? 10000 : 1000000;
			failing(policy_hook_name[hook], failures[i].body, "");
			ask(hook);
			CHECK(i, !r.q.task);
			if (hook == HOOK_DISCONNECT) {
				CHECK_INT(i, v->kind, VERDICT_PASS);
			} else {
				CHECK_INT(i, v->kind, VERDICT_DEFER);
				CHECK_INT(i, v->code, 451);
				CHECK_STR(i, str_of(v->esc), STR("4.3.0"));
				CHECK_STR(i, v->rule, STR("bad"));
				CHECK(i, v->failed);
			}
			CHECK_INT(i, errors_of("bad"), before + 1);
			rig_expect(&r.log, failures[i].message);
			rig_expect(&r.log, "\"event\":\"policy.error\"");
			rig_expect(&r.log, "\"rule\":\"bad\"");
			rig_expect(&r.log, "\"generation\":\"7/01234567\"");
			others_are_unaffected(i);
			CHECK_INT(i, slab.gauges[GAUGE_LUA_BYTES] < 16 << 20, 1);
		}
}

TEST(on_error_pass_goes_on_and_reject_rejects)
{
	failing("rcpt", "error('x')", ", on_error = 'pass'");
	ask(HOOK_RCPT);
	CHECK_INT(0, r.q.verdict.kind, VERDICT_PASS);
	CHECK_INT(0, errors_of("bad") > 0, 1);
	failing("rcpt", "error('x')", ", on_error = 'reject'");
	ask(HOOK_RCPT);
	CHECK_INT(1, r.q.verdict.kind, VERDICT_REJECT);
	CHECK_INT(1, r.q.verdict.code, 550);
	CHECK(1, r.q.verdict.failed);
}

TEST(a_failing_monitor_decides_nothing)
{
	failing("rcpt", "error('x')", ", mode = 'monitor'");
	ask(HOOK_RCPT);
	CHECK_INT(0, r.q.verdict.kind, VERDICT_PASS);
	CHECK(0, !r.q.verdict.failed);
	rig_expect(&r.log, "policy.error");
}

TEST(edits_of_a_failed_handler_are_dropped)
{
	static const char *const after[] = {
		"error('x')",
		"while true do end",
		"return 5",
		"gate.sleep(500)",
		"gate.sleep(0.001) error('x')",
	};

	for (size_t i = 0; i < COUNT(after); i++) {
		char body[512];

		(void)snprintf(body, sizeof body,
			       "a:add_header('X-Bad', '1') a:set_sender('evil@example.org') "
			       "b:permit() b:route('192.0.2.1:25') %s",
			       after[i]);
		failing("rcpt", body, "");
		ask(HOOK_RCPT);
		CHECK_INT(i, r.q.verdict.kind, VERDICT_DEFER);
		CHECK(i, !r.tx.edits && !r.tx.staged && r.tx.nstaged == 0);
		CHECK_STR(i, r.tx.sender.text, STR("alice@example.net"));
		CHECK(i, !r.rcpt->is_permitted && r.rcpt->route.n == 0);
	}
}

TEST(a_hog_leaves_room_for_the_next_one)
{
	failing("rcpt", "local t = {} while true do t[#t + 1] = ('x'):rep(1000) end", "");
	for (unsigned i = 0; i < 20; i++) {
		ask(HOOK_RCPT);
		CHECK_INT(i, r.q.verdict.kind, VERDICT_DEFER);
		others_are_unaffected(i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_loop_is_stopped_as_often_as_it_comes, begin, end),
		cmocka_unit_test_setup_teardown(
			every_failure_in_every_hook_is_451_and_harms_nobody_else, begin, end),
		cmocka_unit_test_setup_teardown(on_error_pass_goes_on_and_reject_rejects, begin,
						end),
		cmocka_unit_test_setup_teardown(a_failing_monitor_decides_nothing, begin, end),
		cmocka_unit_test_setup_teardown(edits_of_a_failed_handler_are_dropped, begin, end),
		cmocka_unit_test_setup_teardown(a_hog_leaves_room_for_the_next_one, begin, end),
	};

	return cmocka_run_group_tests(tests, count, NULL);
}
