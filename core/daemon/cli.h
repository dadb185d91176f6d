/*
 * cli - the command line.
 *
 * What        one table of commands {words, arguments, options, help, run}; options that all of
 *             them know; the nearest known word for one that is not.
 * Why         help, completion, errors and dispatch cannot disagree when they read the same table.
 * Invariants  exit codes are sysexits: 0 done, 1 no, 64 usage, 69 not running, 74 I/O, 75 try
 *             again, 77 not allowed, 78 configuration. Answers go to standard output, complaints to
 *             standard error.
 * Read next   cli_local.c needs no daemon; cli_ask.c asks one; cli_look.h, a spool directory.
 */
#ifndef CLI_H
#define CLI_H

#include <sysexits.h>

#include "buf.h"
#include "settings.h"

#define CLI_SETTINGS        "/etc/moongate/moongate.lua"
#define CLI_CONTROL         "/run/moongate/control.sock"
#define CLI_ARGS            24
#define CLI_SETTINGS_MEMORY (64 * 1024 * 1024)
#define CLI_NO              1 /* the exit code of a "no" */

/* Edit distance from which two words have nothing to do with each other. */
#define CLI_UNKNOWN 4

struct cli_command;

struct cli {
	const char *program;         /* as it was called */
	const char *settings;        /* -c, or CLI_SETTINGS */
	const char *control;         /* --control, or NULL: what the settings say */
	const char *key;             /* --key: of a sealed spool, or NULL: what the settings say */
	bool has_settings;           /* -c was given */
	const char *last_known_good; /* of serve: a directory, or NULL */
	bool json, single, yes, help;
	const struct cli_command *command;
	const char *args[CLI_ARGS]; /* behind the command's words, its own options among them */
	unsigned nargs;
};

struct cli_command {
	const char *noun, *verb; /* verb NULL: the noun is the command */
	const char *args;        /* for the usage line */
	unsigned least, most;    /* how many of them */
	const char *options;     /* of its own, with blanks between them; NULL: none */
	const char *help;        /* NULL: not shown */
	int (*run)(const struct cli *c);
};

extern const struct cli_command cli_commands[];
extern const unsigned cli_commands_count;

/* cli_parse - fills c; 0, or an exit code with the complaint in `out` */
int cli_parse(struct cli *c, int argc, char *const *argv, struct buf *out);
int cli_main(int argc, char **argv);

/* cli_nearest - the word of the table nearest to `word`: a noun, or with `noun` one of its verbs;
 * NULL: nothing is near */
const char *cli_nearest(const char *noun, const char *word);
void cli_usage(struct buf *out, const char *noun); /* the commands of a noun, or with NULL all */

/* cli_settings - evaluated here, without the daemon; false: they are wrong, which was said */
bool cli_settings(const struct cli *c, struct settings *settings, struct arena *arena);

/* cli_control_path - where the daemon listens; false: the settings are wrong, which was said */
bool cli_control_path(const struct cli *c, char *path, size_t size);

int cli_serve(const struct cli *c);
int cli_role(const struct cli *c);
int cli_successor(const struct cli *c);
int cli_check(const struct cli *c);
int cli_version(const struct cli *c);
int cli_help(const struct cli *c);
int cli_ask(const struct cli *c);
int cli_policy_test(const struct cli *c);
int cli_policy_run(const struct cli *c);
int cli_spool_ls(const struct cli *c);
int cli_spool_show(const struct cli *c);
int cli_spool_verify(const struct cli *c);
int cli_spool_key(const struct cli *c);
int cli_spool_stats(const struct cli *c);
int cli_spool_export(const struct cli *c);
int cli_spool_import(const struct cli *c);
int cli_spool_adopt(const struct cli *c);

#endif
