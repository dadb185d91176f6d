/* layer: spool */
#include "spool_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rnd.h"

/* A script is a line of letters: s send b send a big one f finish the oldest g finish one of them t touch it r bounce
 * it, finishing it u bounce one of its recipients . a turn of the loop ! until everything is
 * durable k kill and start again */

/* Up to so many unsynced things every subset of them is tried, beyond that so many subsets by seed.
 * MOONGATE_LONG: for an evening. */
static unsigned exhaustive = 4, seeds = 8;

static struct world w, at, probe;
static unsigned long states, moved;

static struct letter *oldest(struct world *x)
{
	for (unsigned i = 0; i < x->nletters; i++)
		if (x->letters[i].is_live && !x->letters[i].is_replacing)
			return &x->letters[i];
	return NULL;
}

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 17;
}

static struct letter *some(struct world *x)
{
	static uint64_t seed;
	struct letter *found = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < x->nletters; i++)
		if (x->letters[i].is_live && !x->letters[i].is_replacing && next(&seed) % ++n == 0)
			found = &x->letters[i];
	return n > 30 ? found : NULL; /* so many stay */
}

static void step(struct world *x, char op)
{
	struct letter *l = oldest(x);

	if (strchr("sbru", op) && x->nletters >= WORLD_LETTERS - 2)
		return;
	if (op == 's')
		world_send(x, 300);
	else if (op == 'b')
		world_send(x, 9000);
	else if (op == '.')
		world_turn(x, 1);
	else if (op == '!')
		world_settle(x);
	else if (op == 'k')
		world_kill(x), world_open(x);
	else if (!l)
		return;
	else if (op == 'g')
		(l = some(x)) ? world_done(x, l) : (void)0;
	else if (op == 'f')
		world_done(x, l);
	else if (op == 't')
		world_touch(x, l);
	else
		world_bounce(x, l, op == 'r');
}

/* run - the script, until the power goes off; the calls made */
static unsigned run(struct world *x, const char *script, unsigned off_at)
{
	unsigned calls;

	x->disk.off_at = off_at;
	if (world_open(x))
		for (const char *op = script; *op && !x->disk.is_off; op++) {
			step(x, *op);
			if (!x->spool)
				break;
		}
	calls = x->disk.calls;
	spool_close(&x->spool);
	return calls;
}

static void must(const char *script, unsigned call, uint64_t keep, const char *wrong)
{
	if (wrong)
		fail_msg("script %s, power off at call %u, keep %llx: %s", script, call,
			 (unsigned long long)keep, wrong);
}

static const char *open_and_check(struct world *x)
{
	states++;
	if (!world_open(x))
		return x->why.text;
	if (x->damages)
		return "damage where there was only a crash";
	return world_check(x);
}

/* after - one crash, decided by `keep`: recover, recover again, go on, crash again */
static void after(const char *script, unsigned call, uint64_t keep)
{
	struct letter *l;
	unsigned live, again;

	world_save(&probe, &at);
	world_crash(&probe, keep);
	must(script, call, keep, open_and_check(&probe));
	live = (unsigned)world_stats(&probe).live;
	world_kill(&probe);
	must(script, call, keep, open_and_check(&probe));
	again = (unsigned)world_stats(&probe).live;
	must(script, call, keep, live == again ? NULL : "recovering twice gives something else");
	l = world_send(&probe, 700);
	world_settle(&probe);
	must(script, call, keep,
	     l->answer == LETTER_DURABLE ? NULL : "no message is accepted after recovery");
	/* case 44: the second crash loses nothing that came after the first */
	world_crash(&probe, ~keep);
	must(script, call, keep, open_and_check(&probe));
	spool_close(&probe.spool);
}

static void all_ways(const char *script, unsigned call)
{
	unsigned n = memory_disk_unsynced(&at.disk);
	uint64_t keep = UINT64_C(0x243f6a8885a308d3);

	if (n <= exhaustive) {
		for (uint64_t mask = 0; mask < UINT64_C(1) << n; mask++)
			after(script, call, mask);
		return;
	}
	after(script, call, 0);
	after(script, call, UINT64_MAX);
	for (unsigned i = 0; i < seeds; i++) {
		keep = keep * UINT64_C(6364136223846793005) + 1442695040888963407u;
		after(script, call, keep);
	}
}

/* crash_everywhere - before each call of the script; the calls that every script begins with are
 * tried with the first one only */
static void crash_everywhere(const char *script)
{
	static unsigned begun;
	unsigned calls, first = begun ? begun : 1;

	world_init(&w);
	begun = run(&w, "", 0);
	world_fini(&w);
	world_init(&w);
	calls = run(&w, script, 0);
	world_fini(&w);
	for (unsigned call = first; call <= calls + 1; call++) {
		world_init(&w);
		run(&w, script, call);
		world_save(&at, &w);
		all_ways(script, call);
		world_fini(&w);
	}
}

static void no_crash_loses_or_invents_anything(void **state)
{
	static const char *const scripts[] = {
		"s..",
		"ss.s..",
		"b..",
		"s..f.!",
		"s..t!t!",
		"s..r..",
		"s..u..t!",
		"ss..f!r..",
		"s..!f!s..",
		"s..k",
		"s..t.k!",
		"bbbbbbbbbb..bb..!",
		"s..!bbbbbbbb!f!k",
	};

	(void)state;
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
		crash_everywhere(scripts[i]);
}

static void all_short_scripts_survive_a_crash_at_every_call(void **state)
{
	static const char ops[] = "sftru";
	char script[16];

	(void)state;
	for (unsigned n = 0; n < 5 * 5; n++) {
		snprintf(script, sizeof script, "s..%c.%c.", ops[n % 5], ops[n / 5 % 5]);
		crash_everywhere(script);
	}
}

/* Long lives: segments are recycled many times, the power goes off again and again, also while
 * recovering. */
static void live(const char *ops, unsigned lives, unsigned between)
{
	for (uint64_t life = 1; life <= lives; life++) {
		uint64_t seed = life * UINT64_C(0x9e3779b97f4a7c15);

		world_init(&w);
		for (int crashes = 0; crashes < 12; crashes++) {
			char name[32];

			snprintf(name, sizeof name, "(life %u, crash %d)", (unsigned)life, crashes);
			w.disk.off_at =
				next(&seed) % 4
					? w.disk.calls + 20 + (unsigned)(next(&seed) % between)
					: w.disk.calls + 1 + (unsigned)(next(&seed) % 30);
			if (world_open(&w)) {
				const char *wrong = w.damages ? w.last_damage : world_check(&w);

				must(name, 0, 0, w.disk.is_off ? NULL : wrong);
				while (!w.disk.is_off)
					step(&w, ops[next(&seed) % strlen(ops)]);
				moved += w.spool ? world_stats(&w).moved : 0;
			}
			must(name, 0, 0, w.disk.is_off ? NULL : w.why.text);
			world_crash(&w, next(&seed) * next(&seed));
			states++;
		}
		must("(last)", 0, 0, open_and_check(&w));
		world_fini(&w);
	}
}

/* Recovery itself is interrupted, at every call, and begun again. */
static void long_lives_with_many_crashes_lose_nothing(void **state)
{
	(void)state;
	live("sssbbbffffftttruuu......!", exhaustive > 4 ? 2000 : 40, 150);
}

/* Some of the mail stays: segments are emptied by compaction while the power goes off. */
static void crashes_while_mail_is_moved_lose_nothing(void **state)
{
	(void)state;
	moved = 0;
	live("sbbbbbbgggggggtruu......!", exhaustive > 4 ? 2000 : 15, 600);
	printf("%lu moved\n", moved);
	assert_true(moved > 100);
}

static void an_interrupted_recovery_is_harmless(void **state)
{
	static const char script[] = "ss..t!bf.s.";
	unsigned calls, before;

	(void)state;
	world_init(&w);
	run(&w, script, 0);
	world_save(&at, &w);
	world_save(&probe, &at);
	world_crash(&probe, 5);
	before = probe.disk.calls;
	must(script, 0, 5, open_and_check(&probe));
	calls = probe.disk.calls - before;
	spool_close(&probe.spool);
	for (unsigned call = 1; call <= calls; call++)
		for (uint64_t keep = 0; keep < 3; keep++) {
			world_save(&probe, &at);
			world_crash(&probe, 5);
			probe.disk.off_at = probe.disk.calls + call;
			world_open(&probe);
			world_crash(&probe, keep - 1);
			must(script, call, keep, open_and_check(&probe));
			spool_close(&probe.spool);
		}
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_crash_loses_or_invents_anything),
		cmocka_unit_test(all_short_scripts_survive_a_crash_at_every_call),
		cmocka_unit_test(long_lives_with_many_crashes_lose_nothing),
		cmocka_unit_test(crashes_while_mail_is_moved_lose_nothing),
		cmocka_unit_test(an_interrupted_recovery_is_harmless),
	};
	int rc;

	rnd_init();
	if (getenv("MOONGATE_LONG")) {
		exhaustive = 8;
		seeds = 64;
	}
	world_init(&at);
	world_init(&probe);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	printf("%lu states\n", states);
	world_fini(&at);
	world_fini(&probe);
	return rc;
}
