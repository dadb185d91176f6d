#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "step.h"

#define TEXT_MAX    (64 * 1024)
#define ARGS_COLUMN 34

/* clang-format off */
const struct cli_command cli_commands[] = {
	{ "serve",   NULL,       "[--single] [--last-known-good DIR]", 0, 0, "--single", "run the gateway; --single: in the foreground, for a first try; DIR: a spool directory, whose rules step in for bad ones", cli_serve },
	{ "check",   NULL,       "",                  0, 0, NULL,        "are settings, maps and policy good? all problems, with file and line", cli_check },
	{ "reload",  NULL,       "",                  0, 0, NULL,        "settings, maps and policy anew, in every process or in none", cli_ask },
	{ "status",  NULL,       "",                  0, 0, NULL,        "what runs, since when, under which rules", cli_ask },
	{ "metrics", NULL,       "",                  0, 0, NULL,        "counters and times of all processes, as Prometheus reads them", cli_ask },
	{ "version", NULL,       "",                  0, 0, NULL,        "of this program", cli_version },
	{ "upgrade", NULL,       "",                  0, 0, NULL,        "the program that lies in our place now takes over, or everything stays", cli_ask },
	{ "drain",   NULL,       "",                  0, 0, NULL,        "accept nothing more, finish what runs, stop", cli_ask },
	{ "policy",  "list",     "",                  0, 0, NULL,        "the generations of rules: the active one, and those to go back to", cli_ask },
	{ "policy",  "order",    "",                  0, 0, NULL,        "which handlers run, hook by hook, in their order", cli_ask },
	{ "policy",  "rollback", "",                  0, 0, NULL,        "back to the generation before", cli_ask },
	{ "policy",  "test",     "",                  0, 0, NULL,        "the policy's own tests, NAME_test.lua beside it; check and reload run them too", cli_policy_test },
	{ "policy",  "run",      "FILE|- [--rcpt A]", 1, 24, "--ip --helo --listener --from --rcpt", "one made-up session with this message: what every hook says, and the client hears", cli_policy_run },
	{ "queue",   "list",     "[TERM...]",         0, 16, NULL,       "the messages that wait: from~ to~ domain= age> size> reason~ state= destination= vars.X=", cli_ask },
	{ "queue",   "show",     "ID",                1, 1, NULL,        "one message: envelope, recipients, header", cli_ask },
	{ "queue",   "retry",    "ID|all|TERM...",    1, 16, "--reroute --dry-run", "deliver now; --reroute: ask for the way again", cli_ask },
	{ "queue",   "hold",     "ID|all|TERM...",    1, 16, "--dry-run", "keep, and do not deliver; --dry-run: only say what would be", cli_ask },
	{ "queue",   "release",  "ID|all|TERM...",    1, 16, "--dry-run", "deliver what was held", cli_ask },
	{ "queue",   "drop",     "ID|all|TERM...",    1, 16, "--yes --dry-run", "remove without delivering and without a bounce", cli_ask },
	{ "queue",   "shape",    "[TERM...]",         0, 16, NULL,       "how old what waits is, by destination", cli_ask },
	{ "queue",   "suspend",  "DEST",              1, 5, "--for --reason", "make no attempts there; --for 1h, --reason TEXT", cli_ask },
	{ "queue",   "resume",   "DEST|all",          1, 1, NULL,        "make attempts again", cli_ask },
	{ "queue",   "suspensions", "",               0, 0, NULL,        "what is suspended, for how long, and why", cli_ask },
	{ "quarantine", "list",  "[TERM...]",         0, 16, NULL,       "the messages in quarantine; bucket= names one of its parts", cli_ask },
	{ "quarantine", "show",  "ID",                1, 1, NULL,        "one message: envelope, recipients, header", cli_ask },
	{ "quarantine", "release", "ID|all|TERM...",  1, 17, "--to --dry-run", "deliver it after all; --to ADDRESS: to somebody else", cli_ask },
	{ "quarantine", "drop",  "ID|all|TERM...",    1, 16, "--yes --dry-run", "remove it, and tell nobody", cli_ask },
	{ "spool",   "ls",       "[DIR]",             0, 1, NULL,        "what the spool directory holds, read from the disk itself", cli_spool_ls },
	{ "spool",   "show",     "ID [DIR]",          1, 2, NULL,        "one message from the disk, body included", cli_spool_show },
	{ "spool",   "verify",   "[DIR]",             0, 1, NULL,        "is every byte of it as it was written? damage, by place", cli_spool_verify },
	{ "spool",   "stats",    "[DIR]",             0, 1, NULL,        "how full it is, with what, and how well it is", cli_spool_stats },
	{ "spool",   "export",   "ID...|--all DIR|-", 1, 24, "--all --spool", "messages as files, or with - as a tar stream; --spool DIR: of another spool", cli_spool_export },
	{ "spool",   "import",   "FILE|DIR|-...",     1, 24, "--new-ids", "messages that were exported, or NAME.eml with NAME.json {\"from\":\"\",\"to\":[]}, into the queue", cli_spool_import },
	{ "spool",   "adopt",    "DIR",               1, 1, NULL,        "take over the spool of a dead node; once more: go on where it stopped", cli_spool_adopt },
	{ "spool",   "key",      "new|rotate|status [FILE|DIR]", 1, 2, NULL, "keys of a sealed spool: the first one; another one from now on; which is in use", cli_spool_key },
	{ "help",    NULL,       "[COMMAND|settings]",0, 2, NULL,        "this, more about one command, or all settings", cli_help },
	{ "role",    NULL,       "NAME INDEX",        2, 2, NULL,        NULL, cli_role },
	{ "successor", NULL,     "",                  0, 0, NULL,        NULL, cli_successor },
};
/* clang-format on */

const unsigned cli_commands_count = COUNT(cli_commands);

/* ---- words ---------------------------------------------------------------------------------- */

static bool is_noun(const struct cli_command *row, const char *noun)
{
	return strcmp(row->noun, noun) == 0;
}

const char *cli_nearest(const char *noun, const char *word)
{
	struct str_near near = { str_of(word), (unsigned)strlen(word) / 3 + 2, STR_NONE };

	if (near.distance > CLI_UNKNOWN) /* what a slip of the fingers does */
		near.distance = CLI_UNKNOWN;
	for (unsigned i = 0; i < COUNT(cli_commands); i++) {
		const struct cli_command *row = &cli_commands[i];

		if (row->help && (!noun || is_noun(row, noun)))
			str_near_try(&near, str_of(noun ? row->verb : row->noun));
	}
	return near.found.p;
}

void cli_usage(struct buf *out, const char *noun)
{
	for (unsigned i = 0; i < COUNT(cli_commands); i++) {
		const struct cli_command *row = &cli_commands[i];
		char left[ARGS_COLUMN * 3];

		if (!row->help || (noun && !is_noun(row, noun)))
			continue;
		(void)snprintf(left, sizeof left, "%s%s%s%s%s", row->noun, row->verb ? " " : "",
			       row->verb ? row->verb : "", *row->args ? " " : "", row->args);
		(void)buf_printf(out, "  %-*s %s\n", ARGS_COLUMN, left, row->help);
	}
}

/* ---- parsing -------------------------------------------------------------------------------- */

static int unknown(struct buf *out, const char *what, const char *word, const char *near)
{
	(void)buf_printf(out,
			 near ? "moongate: unknown %s `%s`; did you mean `%s`?\n"
			      : "moongate: unknown %s `%s`\n",
			 what, word, near);
	if (!near)
		(void)buf_add(out, STR("`moongate help` lists the commands\n"));
	return EX_USAGE;
}

/* find - the row of the words, how many they are in *used; or an exit code */
static int find(struct cli *c, char *const *words, unsigned nwords, unsigned *used, struct buf *out)
{
	bool known = false;

	for (unsigned i = 0; i < COUNT(cli_commands) && !c->command; i++) {
		const struct cli_command *row = &cli_commands[i];

		if (!is_noun(row, words[0]))
			continue;
		known = true;
		if (row->verb && (nwords < 2 || strcmp(row->verb, words[1]) != 0))
			continue;
		c->command = row;
		*used = row->verb ? 2 : 1;
	}
	if (c->command)
		return 0;
	if (!known)
		return unknown(out, "command", words[0], cli_nearest(NULL, words[0]));
	if (nwords > 1)
		(void)unknown(out, "verb", words[1], cli_nearest(words[0], words[1]));
	cli_usage(out, words[0]);
	return EX_USAGE;
}

static bool has_word(const char *list, const char *word)
{
	struct str rest = str_of(list), one;

	while (str_take(&rest, ' ', &one))
		if (str_eq(one, str_of(word)))
			return true;
	return rest.n && str_eq(rest, str_of(word));
}

/* nearest_option - of those that a command has; NULL: nothing is near */
static const char *nearest_option(const char *list, const char *word)
{
	struct str rest = str_of(list ? list : ""), one;
	struct str_near near = { str_of(word), CLI_UNKNOWN, STR_NONE };
	static char text[64];

	while (str_take(&rest, ' ', &one))
		str_near_try(&near, one);
	str_near_try(&near, rest);
	(void)str_copy(text, sizeof text, near.found);
	return near.found.n ? text : NULL;
}

struct flag {
	const char *name;
	size_t at;       /* of a bool in struct cli */
	bool everywhere; /* else only where the command's row names it */
};

/* clang-format off */
static const struct flag flags[] = {
	{ "--json",   offsetof(struct cli, json),   true },
	{ "--help",   offsetof(struct cli, help),   true },
	{ "-h",       offsetof(struct cli, help),   true },
	{ "--single", offsetof(struct cli, single), false },
	{ "--yes",    offsetof(struct cli, yes),    false },
};
/* clang-format on */

static const struct flag *flag_of(const char *word)
{
	for (size_t i = 0; i < COUNT(flags); i++)
		if (strcmp(word, flags[i].name) == 0)
			return &flags[i];
	return NULL;
}

/* path_option - where the path behind this option goes; NULL: it takes none */
static const char **path_option(struct cli *c, const char *word)
{
	if (strcmp(word, "-c") == 0)
		return &c->settings;
	if (strcmp(word, "--control") == 0)
		return &c->control;
	if (strcmp(word, "--key") == 0)
		return &c->key;
	return strcmp(word, "--last-known-good") == 0 ? &c->last_known_good : NULL;
}

/* take_options - those of all commands go into c, wherever they stand; the other words stay, in
 * their order */
static int take_options(struct cli *c, int argc, char *const *argv, char **words, struct buf *out)
{
	bool literal = false;
	int n = 0;

	for (int i = 1; i < argc; i++) {
		const struct flag *flag = flag_of(argv[i]);
		const char **path = path_option(c, argv[i]);

		if (literal || argv[i][0] != '-' ||
		    (!path && (!flag || !flag->everywhere) && strcmp(argv[i], "--") != 0)) {
			words[n++] = argv[i];
		} else if (strcmp(argv[i], "--") == 0) {
			literal = true;
		} else if (flag) {
			*(bool *)(void *)((char *)c + flag->at) = true;
		} else if (i + 1 == argc) {
			(void)buf_printf(out, "moongate: %s needs a path behind it\n", argv[i]);
			return -1;
		} else {
			*path = argv[++i];
			c->has_settings |= path == &c->settings;
		}
	}
	return n;
}

/* take_args - what stands behind the command's words */
static int take_args(struct cli *c, char *const *words, unsigned nwords, struct buf *out)
{
	unsigned plain = 0;

	for (unsigned i = 0; i < nwords; i++) {
		const struct flag *flag = flag_of(words[i]);
		bool is_option = words[i][0] == '-' && words[i][1];

		if (is_option && (!c->command->options || !has_word(c->command->options, words[i])))
			return unknown(out, "option", words[i],
				       nearest_option(c->command->options, words[i]));
		plain += !is_option;
		if (flag)
			*(bool *)(void *)((char *)c + flag->at) = true;
		else if (c->nargs < CLI_ARGS)
			c->args[c->nargs++] = words[i];
	}
	if (plain >= c->command->least && plain <= c->command->most)
		return 0;
	(void)buf_printf(out, "usage: moongate %s%s%s %s\n", c->command->noun,
			 c->command->verb ? " " : "", c->command->verb ? c->command->verb : "",
			 c->command->args);
	return EX_USAGE;
}

int cli_parse(struct cli *c, int argc, char *const *argv, struct buf *out)
{
	char *words[CLI_ARGS + 2];
	unsigned used = 0;
	int n, code;

	*c = (struct cli){ .program = argv[0], .settings = CLI_SETTINGS };
	if (argc > CLI_ARGS) {
		(void)buf_add(out, STR("moongate: too many words\n"));
		return EX_USAGE;
	}
	n = take_options(c, argc, argv, words, out);
	if (n < 0)
		return EX_USAGE;
	if (n == 0)
		words[n++] = (char *)(uintptr_t) "help";
	code = find(c, words, (unsigned)n, &used, out);
	if (code != 0 || c->help)
		return code;
	if (c->last_known_good && c->command->run != cli_serve)
		return unknown(out, "option", "--last-known-good", c->command->options);
	return take_args(c, words + used, (unsigned)n - used, out);
}

int cli_main(int argc, char **argv)
{
	struct cli c;
	struct buf out;
	int code;

	buf_init(&out, TEXT_MAX);
	code = cli_parse(&c, argc, argv, &out);
	if (code == 0 && c.help)
		cli_usage(&out, c.command->noun);
	(void)fwrite(buf_str(&out).p, 1, buf_len(&out), code ? stderr : stdout);
	buf_fini(&out);
	return code || c.help ? code : c.command->run(&c);
}
