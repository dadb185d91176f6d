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
	       "  if rcpt.domain ~= 'example.com' then return gate.reject(550, '5.1.1', 'no ' .. rcpt.address) end\n"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_answers_where_nobody_registered, begin, end),
		cmocka_unit_test_setup_teardown(a_verdict_arrives_with_code_status_text_and_rule, begin, end),
		cmocka_unit_test_setup_teardown(a_handler_that_waits_is_answered_later, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
