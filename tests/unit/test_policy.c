#include "policy.h"

#include "check.h"
#include "policy_generation.h"

/* A table answers as well as Lua does. */
static const struct policy_generation *destroyed[8];
static unsigned ndestroyed, nactivated, nretired, ncancelled;

static enum step ask(struct policy_question *q)
{
	if (q->hook == HOOK_RCPT) {
		q->task = q;
		return STEP_MORE;
	}
	q->verdict.kind = VERDICT_ACCEPT;
	return STEP_DONE;
}

static void cancel(struct policy_question *q)
{
	q->task = NULL;
	ncancelled++;
}

static void activate(struct policy_generation *g)
{
	(void)g;
	nactivated++;
}

static void retire(struct policy_generation *g)
{
	(void)g;
	nretired++;
}

static void destroy(struct policy_generation *g)
{
	destroyed[ndestroyed++ % COUNT(destroyed)] = g;
}

static const struct policy_ops ops = {
	.ask = ask,
	.cancel = cancel,
	.activate = activate,
	.retire = retire,
	.destroy = destroy,
};

static struct policy_set set;

static int begin(void **state)
{
	(void)state;
	policy_set_init(&set);
	ndestroyed = nactivated = nretired = ncancelled = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	policy_set_fini(&set);
	return 0;
}

static struct policy_generation *commit(unsigned number)
{
	struct policy_generation *g = policy_generation_new(number, STR("ab12cd3400000000"));

	g->ops = &ops;
	g->hooks = UINT32_MAX;
	policy_set_commit(&set, g);
	return g;
}

TEST(every_hook_and_verdict_has_a_name_and_is_found_by_it)
{
	for (enum policy_hook hook = 0; hook < HOOKS; hook++) {
		enum policy_hook found;

		CHECK(hook,
		      policy_hook_find(str_of(policy_hook_name[hook]), &found) && found == hook);
		CHECK(hook, verdict_is_legal(hook, VERDICT_PASS));
		CHECK_INT(hook, policy_hook_is_edge(hook), hook < HOOK_ROUTE);
	}
	for (enum verdict_kind kind = 0; kind < VERDICTS; kind++)
		CHECK(kind, verdict_name[kind]);
	CHECK(0, !policy_hook_find(STR("RCPT"), &(enum policy_hook){ 0 }));
	CHECK(0, !policy_hook_find(STR(""), &(enum policy_hook){ 0 }));
}

/*
 * DESIGN 4.1, read again from the page: a verdict by its first letters, T for trust, a for accept,
 * A for abort.
 */
TEST(verdicts_are_legal_where_the_design_says)
{
	static const char letters[VERDICTS] = {
		[VERDICT_PASS] = 'p',    [VERDICT_ACCEPT] = 'a',     [VERDICT_TRUST] = 't',
		[VERDICT_DEFER] = 'd',   [VERDICT_REJECT] = 'r',     [VERDICT_DROP] = 'D',
		[VERDICT_ABORT] = 'A',   [VERDICT_QUARANTINE] = 'q', [VERDICT_HOLD] = 'h',
		[VERDICT_DISCARD] = 'x',
	};
	static const char *const legal[HOOKS] = {
		[HOOK_CONNECT] = "patdrDA",  [HOOK_TLS] = "patdrDA",
		[HOOK_EHLO] = "patdrDA",
		[HOOK_MAIL] = "patdrD",      [HOOK_RCPT] = "patdrDx",
		[HOOK_DATA] = "patdrD",      [HOOK_HEADERS] = "padrDqhx",
		[HOOK_MESSAGE] = "padrDqhx", [HOOK_MESSAGE_RCPT] = "padrqhx",
		[HOOK_DISCONNECT] = "p",     [HOOK_ROUTE] = "phdrx",
		[HOOK_RESULT] = "pdr",       [HOOK_BOUNCE] = "pxq",
	};

	for (enum policy_hook hook = 0; hook < HOOKS; hook++)
		for (enum verdict_kind kind = 0; kind < VERDICTS; kind++)
			CHECK_INT(hook * 100 + kind, verdict_is_legal(hook, kind),
				  strchr(legal[hook], letters[kind]) != NULL);
}

TEST(asking_nobody_is_pass_and_asking_somebody_asks_him)
{
	struct policy_question q = { .hook = HOOK_MAIL, .verdict = { .kind = VERDICT_REJECT } };

	CHECK_INT(0, policy_ask(&q), STEP_DONE);
	CHECK_INT(0, q.verdict.kind, VERDICT_PASS);
	CHECK(0, !policy_answers(NULL, HOOK_MAIL));
	q.generation = commit(1);
	CHECK(1, policy_answers(q.generation, HOOK_MAIL));
	CHECK_INT(1, policy_ask(&q), STEP_DONE);
	CHECK_INT(1, q.verdict.kind, VERDICT_ACCEPT);
	q.hook = HOOK_RCPT;
	CHECK_INT(2, policy_ask(&q), STEP_MORE);
	policy_cancel(&q);
	policy_cancel(&q);
	CHECK_INT(2, ncancelled, 1);
}

TEST(failing_is_451)
{
	struct policy_question q = { .verdict = { .kind = VERDICT_ACCEPT } };

	policy_fail(&q, STR("x"));
	CHECK_INT(0, q.verdict.kind, VERDICT_DEFER);
	CHECK_INT(0, q.verdict.code, 451);
	CHECK_STR(0, str_of(q.verdict.esc), STR("4.3.0"));
	CHECK_STR(0, q.verdict.rule, STR("x"));
	CHECK(0, q.verdict.failed && q.verdict.text.n > 0);
}

TEST(a_generation_dies_when_it_is_retired_and_nobody_holds_it)
{
	struct policy_generation *first = commit(1), *pin = policy_pin(&set), *second;

	CHECK_STR(0, str_of(first->name), STR("1/ab12cd34"));
	CHECK(0, pin == first && nactivated == 1);
	second = commit(2);
	CHECK_INT(1, nretired, 1);
	CHECK_INT(1, ndestroyed, 0);
	CHECK_INT(1, set.alive, 2);
	policy_unpin(&set, &pin);
	CHECK(1, !pin && ndestroyed == 1 && destroyed[0] == first);
	CHECK_INT(1, set.alive, 1);
	pin = policy_pin(&set);
	policy_unpin(&set, &pin);
	CHECK(2, set.active == second && ndestroyed == 1);
	(void)commit(3);
	CHECK_INT(3, ndestroyed, 2);
}

TEST(too_many_alive_makes_the_oldest_overdue)
{
	struct policy_generation *pins[5];

	for (unsigned i = 0; i < COUNT(pins); i++) {
		(void)commit(i);
		pins[i] = policy_pin(&set);
	}
	for (unsigned i = 0; i < COUNT(pins); i++)
		CHECK_INT(i, policy_generation_is_overdue(pins[i]),
			  i + GENERATIONS_ALIVE < COUNT(pins));
	CHECK(0, !policy_generation_is_overdue(NULL));
	for (unsigned i = 0; i < COUNT(pins); i++)
		policy_unpin(&set, &pins[i]);
	CHECK_INT(0, set.alive, 1);
	CHECK_INT(0, ndestroyed, 4);
}

TEST(a_set_without_a_generation_pins_nothing)
{
	struct policy_generation *pin = policy_pin(&set),
				 *never = policy_generation_new(9, STR("0"));

	CHECK(0, !pin);
	policy_unpin(&set, &pin);
	policy_generation_free(&never);
	policy_generation_free(&never);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(every_hook_and_verdict_has_a_name_and_is_found_by_it),
		T(verdicts_are_legal_where_the_design_says),
		T(asking_nobody_is_pass_and_asking_somebody_asks_him),
		T(failing_is_451),
		T(a_generation_dies_when_it_is_retired_and_nobody_holds_it),
		T(too_many_alive_makes_the_oldest_overdue),
		T(a_set_without_a_generation_pins_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
