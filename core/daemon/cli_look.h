/*
 * cli_look - a spool directory as the operator's tools see it.
 *
 * What        the directory named or the one of the settings, read by the same code that recovery
 *             uses; damage as it is found; the body of a message, piece by piece.
 * Why         one way in for all `moongate spool` words, so that they agree with each other and
 *             with recovery.
 * Invariants  no lock is taken and nothing is written: it works while the gateway runs (a message
 *             that arrives meanwhile may be missed), while it is down, and on a copy in any state.
 * Ownership   open/close: embedded in the caller's own struct; close after a failed open too.
 * Fails       -1: what went wrong was said, and `code` is the exit code.
 */
#ifndef CLI_LOOK_H
#define CLI_LOOK_H

#include "cli.h"
#include "spool_replay.h"

#define CLI_LOOK_PATH 4096
#define CLI_LOOK_LINE (4 * 1024 * 1024) /* bytes of one line of JSON: an envelope, escaped */

struct cli_look {
	const struct cli *cli;
	struct spool_file *file;
	struct spool_replay *replay;
	struct spool_keys *keys; /* NULL: none */
	struct buf line;
	uint64_t damages;
	bool is_quiet; /* damage is counted, not told */
	bool is_aside; /* damage is told on standard error: something else goes to the output */
	int code;
};

/* cli_look_directory - `given`, else what the settings say */
bool cli_look_directory(const struct cli *c, const char *given, char *path, size_t size);
/* its key file, as a setting names it: --key, else what the settings said; empty: none */
struct str cli_look_key(const struct cli *c);
/* is_checking: the bytes of slots too, and without keys what needs none; l->file may be open
 * already */
int cli_look_open(struct cli_look *l, const struct cli *c, const char *path, bool is_checking);
/* the headers of segments alone */
int cli_look_headers(struct cli_look *l, const struct cli *c, const char *path);
int cli_look_each(struct cli_look *l, spool_replay_each_fn *one, void *arg);
int cli_look_close(struct cli_look *l); /* returns the exit code */
int cli_look_complain(struct cli_look *l, const struct fault *why, int code);

void cli_look_flush(struct cli_look *l); /* the line, to standard output */
void cli_look_damage(struct cli_look *l, const struct spool_damage *d);

/* cli_look_read - bytes of a body from `offset` on; -1: they cannot be read */
int cli_look_read(struct cli_look *l, const struct spool_accept *a, uint64_t offset, char *to,
		  size_t n);

/* "ID" or "ID.variant"; *variant -1: none was named. false was said. */
bool cli_look_name(const char *text, struct id *id, int *variant);

#endif
