#include "cli.h"

#include "check.h"

#define WORDS_MOST 32

/* parse - a command line with blanks between its words */
static int parse(struct cli *c, const char *line, struct buf *out)
{
	static char text[1024];
	char *argv[WORDS_MOST] = { (char *)(uintptr_t) "moongate" };
	int argc = 1;

	buf_init(out, 64 * 1024);
	str_copy(text, sizeof text, str_of(line));
	for (char *p = text; *p && argc < WORDS_MOST;) {
		argv[argc++] = p;
		p += strcspn(p, " ");
		if (*p)
			*p++ = '\0';
	}
	return cli_parse(c, argc, argv, out);
}

static const struct {
	const char *line;
	int code;
	const char *noun, *verb; /* of the row that was found */
	const char *complaint;   /* the first line of it */
} samples[] = {
	{ "", 0, "help", NULL, "" },
	{ "serve", 0, "serve", NULL, "" },
	{ "serve --single", 0, "serve", NULL, "" },
	{ "-c x.lua serve", 0, "serve", NULL, "" },
	{ "serve -c x.lua --single", 0, "serve", NULL, "" },
	{ "serve --last-known-good /spool", 0, "serve", NULL, "" },
	{ "--json status", 0, "status", NULL, "" },
	{ "status --json", 0, "status", NULL, "" },
	{ "queue list", 0, "queue", "list", "" },
	{ "queue --json list", 0, "queue", "list", "" },
	{ "queue show 01abc", 0, "queue", "show", "" },
	{ "queue retry all --reroute", 0, "queue", "retry", "" },
	{ "queue retry --reroute all", 0, "queue", "retry", "" },
	{ "queue drop all --yes", 0, "queue", "drop", "" },
	{ "queue show -- -strange", 64, "queue", "show", "moongate: unknown option `-strange`" },
	{ "policy order", 0, "policy", "order", "" },
	{ "role edge 0", 0, "role", NULL, "" },
	{ "help queue", 0, "help", NULL, "" },
	{ "queue retry --help", 0, "queue", "retry", "" },
	{ "quee list", 64, NULL, NULL, "moongate: unknown command `quee`; did you mean `queue`?" },
	{ "relod", 64, NULL, NULL, "moongate: unknown command `relod`; did you mean `reload`?" },
	{ "xyzzy", 64, NULL, NULL, "moongate: unknown command `xyzzy`" },
	{ "rol", 64, NULL, NULL,
	  "moongate: unknown command `rol`" }, /* what is hidden is not offered */
	{ "queue lsit", 64, NULL, NULL, "moongate: unknown verb `lsit`; did you mean `list`?" },
	{ "queue order", 64, NULL, NULL, "moongate: unknown verb `order`" },
	{ "queue", 64, NULL, NULL, "  queue list [TERM...]               the messages that wait: from~ to~ domain= age> "
	  "size> reason~ state= destination= vars.X=" },
	{ "queue show", 64, "queue", "show", "usage: moongate queue show ID" },
	{ "queue show a b", 64, "queue", "show", "usage: moongate queue show ID" },
	{ "status now", 64, "status", NULL, "usage: moongate status " },
	{ "status --single", 64, "status", NULL, "moongate: unknown option `--single`" },
	{ "queue drop all --yse", 64, "queue", "drop",
	  "moongate: unknown option `--yse`; did you mean `--yes`?" },
	{ "check --foo", 64, "check", NULL, "moongate: unknown option `--foo`" },
	{ "check -c", 64, NULL, NULL, "moongate: -c needs a path behind it" },
	{ "--control", 64, NULL, NULL, "moongate: --control needs a path behind it" },
	{ "serve --last-known-good", 64, NULL, NULL,
	  "moongate: --last-known-good needs a path behind it" },
	{ "status --last-known-good /spool", 64, "status", NULL,
	  "moongate: unknown option `--last-known-good`" },
	{ "upgrade", 0, "upgrade", NULL, "" },
};

TEST(words_find_their_row_or_a_complaint)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct str line = STR("");
		struct str rest;
		struct cli c;
		struct buf out;

		CHECK_INT(i, parse(&c, samples[i].line, &out), samples[i].code);
		rest = buf_str(&out);
		(void)str_take(&rest, '\n', &line);
		CHECK_STR(i, line, str_of(samples[i].complaint));
		CHECK_STR(i, str_of(c.command ? c.command->noun : NULL), str_of(samples[i].noun));
		CHECK_STR(i, str_of(c.command ? c.command->verb : NULL), str_of(samples[i].verb));
		buf_fini(&out);
	}
}

TEST(options_are_taken_wherever_they_stand)
{
	struct cli c;
	struct buf out;

	assert_int_equal(
		parse(&c, "queue -c a.lua retry --control b.sock all --json --reroute", &out), 0);
	assert_string_equal(c.settings, "a.lua");
	assert_true(c.has_settings && c.json && !c.single && !c.yes && !c.help);
	assert_string_equal(c.control, "b.sock");
	assert_int_equal(c.nargs, 2);
	assert_string_equal(c.args[0], "all");
	assert_string_equal(c.args[1], "--reroute");
	buf_fini(&out);
	assert_int_equal(parse(&c, "queue drop --yes all", &out), 0);
	assert_true(c.yes);
	assert_int_equal(c.nargs, 1); /* it is ours, and not sent */
	buf_fini(&out);
	assert_int_equal(parse(&c, "serve", &out), 0);
	assert_string_equal(c.settings, CLI_SETTINGS);
	assert_true(!c.has_settings && !c.single);
	buf_fini(&out);
}

TEST(too_many_words_are_refused)
{
	struct cli c;
	struct buf out;

	assert_int_equal(parse(&c, "a b c d e f g h i j k l m n o p q r s t u v w x y z", &out),
			 64);
	CHECK_STR(0, buf_str(&out), STR("moongate: too many words\n"));
	buf_fini(&out);
}

TEST(every_row_is_complete_and_found_by_its_words)
{
	for (unsigned i = 0; i < cli_commands_count; i++) {
		const struct cli_command *row = &cli_commands[i];
		struct cli c;
		struct buf out;
		char line[128];

		CHECK(i, row->noun && row->args && row->run && row->least <= row->most);
		(void)snprintf(line, sizeof line, "%s %s --help", row->noun,
			       row->verb ? row->verb : "");
		CHECK_INT(i, parse(&c, line, &out), 0);
		CHECK(i, c.command == row && c.help);
		buf_fini(&out);
		buf_init(&out, 64 * 1024);
		cli_usage(&out, row->noun);
		CHECK(i, (buf_len(&out) > 0) == (row->help != NULL));
		buf_fini(&out);
	}
}

static const struct {
	const char *noun, *word, *near;
} words[] = {
	{ NULL, "serv", "serve" },    { NULL, "stauts", "status" },
	{ NULL, "chekc", "check" },   { NULL, "verison", "version" },
	{ NULL, "roel", NULL },       { NULL, "x", NULL },
	{ NULL, "", NULL },           { "queue", "relase", "release" },
	{ "queue", "rery", "retry" }, { "policy", "rolback", "rollback" },
	{ "policy", "retry", NULL },  { "nonsense", "list", NULL },
};

TEST(the_nearest_word_is_near)
{
	for (size_t i = 0; i < COUNT(words); i++)
		CHECK_STR(i, str_of(cli_nearest(words[i].noun, words[i].word)),
			  str_of(words[i].near));
}

TEST(the_control_socket_is_found)
{
	struct cli c = { .settings = "/nonexistent/moongate.lua", .control = "/x/y.sock" };
	char path[64];

	assert_true(cli_control_path(&c, path, sizeof path));
	assert_string_equal(path, "/x/y.sock");
	c.control = NULL;
	assert_true(cli_control_path(&c, path, sizeof path));
	assert_string_equal(path, CLI_CONTROL);
	c.settings = TESTS "/../contrib/relay/moongate.lua";
	c.has_settings = true;
	assert_int_equal(setenv("MOONGATE_CONTROL", "/run/relay.sock", 1), 0);
	assert_true(cli_control_path(&c, path, sizeof path));
	assert_string_equal(path, "/run/relay.sock");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_find_their_row_or_a_complaint),
		cmocka_unit_test(options_are_taken_wherever_they_stand),
		cmocka_unit_test(too_many_words_are_refused),
		cmocka_unit_test(every_row_is_complete_and_found_by_its_words),
		cmocka_unit_test(the_nearest_word_is_near),
		cmocka_unit_test(the_control_socket_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
