/* layer: script */
/* The policies in tests/policy: good ones load and answer, bad_ ones give just the lines that they expect. */
#define _GNU_SOURCE
#include "script_rig.h"
#include "turns.h"

#include <dirent.h>

static struct rig r;
static struct buf images[3];
static struct script_map maps[3];

static void map(unsigned i, const char *name, const char *text)
{
	struct buf errors;

	buf_init(&errors, 4096);
	buf_init(&images[i], STATE_MAP_IMAGE);
	assert_int_equal(state_map_compile(STR("m"), str_of(text), &images[i], &errors), 0);
	maps[i] = (struct script_map){ str_of(name), buf_str(&images[i]) };
	buf_fini(&errors);
}

static int begin(void **state)
{
	(void)state;
	rig_init(&r);
	map(0, "recipients", "bob@example.org\n");
	map(1, "partners", "@partner.example\n");
	map(2, "nuisances", "@nuisance.example reject no\n");
	r.options.maps = maps;
	r.options.nmaps = COUNT(maps);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_fini(&r);
	for (size_t i = 0; i < COUNT(images); i++)
		buf_fini(&images[i]);
	return 0;
}

/* read_file - into a string on the heap */
static char *read_file(const char *name)
{
	char path[1024], *text = calloc(1, 65536);
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/policy/%s", TESTS, name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 0);
	(void)fclose(f);
	return text;
}

static int load(const char *name, const char *text)
{
	r.options.nsources = 0;
	buf_reset(&r.errors);
	rig_source(&r, "main", name, text);
	return rig_load(&r);
}

/* expected - the lines after "-- expect: ", as the errors should be */
static void expected(struct str text, struct buf *out)
{
	struct str line;

	while (str_take(&text, '\n', &line))
		if (str_has_prefix(line, STR("-- expect: ")))
			assert_true(buf_printf(out, "%.*s\n", STR_ARG(str_drop(line, 11))));
}

TEST(every_sample_loads_or_fails_as_it_expects)
{
	DIR *d = opendir(TESTS "/policy");
	unsigned good = 0, bad = 0;
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		struct str name = str_of(e->d_name);
		struct buf want;
		char *text;
		int rc;

		if (!str_has_suffix(name, STR(".lua")))
			continue;
		text = read_file(e->d_name);
		buf_init(&want, 65536);
		expected(str_of(text), &want);
		rc = load(e->d_name, text);
		CHECK_STR(good + bad, buf_str(&r.errors), buf_str(&want));
		CHECK_INT(good + bad, rc, str_has_prefix(name, STR("bad_")) ? -1 : 0);
		good += rc == 0;
		bad += rc != 0;
		buf_fini(&want);
		free(text);
	}
	(void)closedir(d);
	CHECK(0, good >= 1 && bad >= 4);
}

/* ask - without sleeping */
static const struct verdict *ask(enum policy_hook hook)
{
	if (rig_begin(&r, hook) == STEP_MORE)
		while (!r.is_answered) {
			clock_ahead_us += 20000;
			turn(r.loop);
		}
	return &r.q.verdict;
}

TEST(the_site_answers_as_it_reads)
{
	char *text = read_file("site.lua");

	CHECK_INT(0, load("site.lua", text), 0);
	CHECK_INT(1, ask(HOOK_CONNECT)->kind, VERDICT_PASS);
	CHECK_INT(2, ask(HOOK_EHLO)->kind, VERDICT_PASS);
	r.conn.helo = STR("mx.example.org");
	CHECK_INT(3, ask(HOOK_EHLO)->code, 550);
	CHECK_INT(4, ask(HOOK_MAIL)->kind, VERDICT_PASS);
	CHECK(4, !r.tx.is_trusted);
	CHECK_INT(5, ask(HOOK_RCPT)->kind, VERDICT_PASS); /* bob+tag is bob */
	CHECK(5, r.rcpt->is_permitted);
	CHECK_STR(5, r.rcpt->route, STR("smtp:192.0.2.10:25"));
	CHECK_INT(6, ask(HOOK_MESSAGE)->kind, VERDICT_PASS);
	CHECK_STR(6, r.tx.edits->value, STR("[extern] =?x?= hello  world"));
	r.msg.header = STR("Content-Type: application/x; name=\"a.exe\"\r\n");
	CHECK_INT(7, ask(HOOK_MESSAGE)->kind, VERDICT_QUARANTINE);
	CHECK_INT(7, r.q.verdict.ttl_us, UINT64_C(30) * 86400 * 1000000);
	r.result.code = 450;
	CHECK_INT(8, ask(HOOK_RESULT)->kind, VERDICT_PASS);
	CHECK_INT(8, r.result.retry_us, 120000000);
	CHECK_INT(9, ask(HOOK_DISCONNECT)->kind, VERDICT_PASS);
	rig_expect(&r.log, "\"peer\":\"192.0.2.7\"");
	CHECK(9, !rig_says(&r.log, "policy.error"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_sample_loads_or_fails_as_it_expects, begin, end),
		cmocka_unit_test_setup_teardown(the_site_answers_as_it_reads, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
