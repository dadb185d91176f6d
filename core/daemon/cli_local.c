#include "cli.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "loader.h"
#include "master.h"
#include "role.h"
#include "settings_lua.h"
#include "settings_schema.h"
#include "snapshot.h"

#define ERRORS_MAX   (1024 * 1024)
#define TEXT_MAX     (256 * 1024)
#define VALUE_COLUMN 22

/* ---- processes ------------------------------------------------------------------------------ */

int cli_serve(const struct cli *c)
{
	return master_serve(&(struct master_options){ .settings_path = c->settings,
						      .program = c->program,
						      .last_known_good = c->last_known_good });
}

/* cli_successor - a running master's word to the next program: descriptor 3 leads to it */
int cli_successor(const struct cli *c)
{
	return master_serve(&(struct master_options){
		.settings_path = c->settings, .program = c->program, .is_successor = true });
}

/* cli_role - the master's own word to itself: descriptor 3 is the link, or nothing works */
int cli_role(const struct cli *c)
{
	uint64_t index;

	if (!str_u64(str_of(c->args[1]), 1000, &index)) {
		(void)fprintf(stderr, "moongate: `role` is the master's own command\n");
		return EX_USAGE;
	}
	return role_main(c->args[0], (unsigned)index);
}

/* ---- check ---------------------------------------------------------------------------------- */

static void problems_json(struct json *j, struct str lines)
{
	struct str line;

	json_open(j, "problems", '[');
	while (str_take(&lines, '\n', &line))
		json_str(j, NULL, line);
	json_close(j, ']');
}

static void check_json(bool good, const char *hash, struct str lines)
{
	struct buf out;
	struct json j;

	buf_init(&out, 4 * ERRORS_MAX);
	json_init(&j, &out);
	json_open(&j, NULL, '{');
	json_bool(&j, "good", good);
	json_str(&j, "hash", str_of(hash));
	problems_json(&j, lines);
	json_close(&j, '}');
	(void)printf("%.*s\n", STR_ARG(buf_str(&out)));
	buf_fini(&out);
}

int cli_check(const struct cli *c)
{
	struct snapshot snapshot = { 0 };
	struct fault why = { 0 };
	struct buf errors;
	int fd;
	bool good;

	buf_init(&errors, ERRORS_MAX);
	fd = loader_run(c->settings, NULL, &errors);
	good = fd >= 0 && snapshot_map(fd, &snapshot, &why) == 0;
	if (fd >= 0 && !good)
		(void)buf_printf(&errors, "moongate: %s\n", why.text);
	if (c->json)
		check_json(good, snapshot.hash, buf_str(&errors));
	else
		(void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
	if (good && !c->json)
		(void)printf("%s: good, hash %s\n", c->settings, snapshot.hash);
	snapshot_unmap(&snapshot);
	if (fd >= 0)
		(void)close(fd);
	buf_fini(&errors);
	return good ? 0 : EX_CONFIG;
}

/* ---- version and help ----------------------------------------------------------------------- */

int cli_version(const struct cli *c)
{
	const char *lua = settings_lua_version(), *sodium = sodium_version_string();

	if (c->json)
		(void)printf("{\"moongate\":\"%s\",\"lua\":\"%s\",\"sodium\":\"%s\"}\n",
			     MOONGATE_VERSION, lua, sodium);
	else
		(void)printf("moongate %s (%s, libsodium %s)\n", MOONGATE_VERSION, lua, sodium);
	return 0;
}

static void settings_json(struct buf *out, const struct setting *row)
{
	struct json j;

	json_init(&j, out);
	json_open(&j, NULL, '{');
	json_str(&j, "setting", str_of(row->path));
	json_str(&j, "expects", str_of(setting_expected(row->type)));
	if (row->preset)
		json_str(&j, "default", str_of(row->preset));
	json_bool(&j, "restart", row->restart);
	json_str(&j, "help", str_of(row->help));
	json_close(&j, '}');
	(void)buf_byte(out, '\n');
}

static void settings_help(struct buf *out, bool as_json)
{
	for (unsigned i = 0; i < settings_schema_count; i++) {
		const struct setting *row = &settings_schema[i];

		if (as_json) {
			settings_json(out, row);
			continue;
		}
		(void)buf_printf(out, "  %-*s %s", VALUE_COLUMN, row->path, row->help);
		if (row->preset)
			(void)buf_printf(out, " [%s]", row->preset);
		(void)buf_add(out, row->restart ? STR(" (needs a restart)\n") : STR("\n"));
	}
}

static void commands_json(struct buf *out)
{
	for (unsigned i = 0; i < cli_commands_count; i++) {
		const struct cli_command *row = &cli_commands[i];
		struct json j;

		if (!row->help)
			continue;
		json_init(&j, out);
		json_open(&j, NULL, '{');
		json_str(&j, "noun", str_of(row->noun));
		if (row->verb)
			json_str(&j, "verb", str_of(row->verb));
		json_str(&j, "arguments", str_of(row->args));
		json_str(&j, "help", str_of(row->help));
		json_close(&j, '}');
		(void)buf_byte(out, '\n');
	}
}

static void help_all(struct buf *out)
{
	(void)buf_add(
		out,
		STR("moongate " MOONGATE_VERSION
		    ", a mail gateway\n\nusage: moongate [-c SETTINGS] [--control SOCKET] [--json] "
		    "COMMAND\n\n"));
	cli_usage(out, NULL);
	(void)buf_add(out, STR("\n  -c FILE         settings, otherwise " CLI_SETTINGS "\n"
			       "  --control PATH  the daemon's control socket, otherwise what the "
			       "settings say\n"
			       "  --key FILE      the keys of a sealed spool, otherwise what the "
			       "settings say\n"
			       "  --json          the answer as JSON\n\n"
			       "exit codes: 0 done, 1 no, 64 usage, 69 not running, 75 try again, "
			       "77 not allowed, 78 configuration\n"));
}

int cli_help(const struct cli *c)
{
	const char *about = c->nargs ? c->args[0] : NULL, *near;
	struct buf out;
	int code = 0;

	buf_init(&out, TEXT_MAX);
	if (about && strcmp(about, "settings") == 0)
		settings_help(&out, c->json);
	else if (about)
		cli_usage(&out, about);
	else if (c->json)
		commands_json(&out);
	else
		help_all(&out);
	if (buf_len(&out) == 0) {
		near = cli_nearest(NULL, about);
		(void)fprintf(stderr,
			      near ? "moongate: unknown command `%s`; did you mean `%s`?\n"
				   : "moongate: unknown command `%s`\n",
			      about, near);
		code = EX_USAGE;
	}
	(void)fwrite(buf_str(&out).p, 1, buf_len(&out), stdout);
	buf_fini(&out);
	return code;
}
