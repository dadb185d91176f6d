/*
 * cli_source - where imported messages come from: files, folders, tar streams.
 *
 * What        pairs of NAME.eml and NAME.json, found in any of them; their bytes when asked for.
 * Invariants  nothing is read twice but what is asked for twice; a stream that cannot be read twice
 *             is copied to a temporary file first.
 * Ownership   init/fini by the caller.
 * Bounds      two names in memory per message.
 */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "fault.h"
#include "str.h"

struct cli_source_file {
	const char *container; /* the path to open */
	uint64_t offset, size; /* in it */
	bool is_there;
};

struct cli_source_pair {
	const char *stem;  /* without .eml and .json; with the folder it is in */
	const char *place; /* where it was found */
	struct cli_source_file eml, json;
};

struct cli_source {
	struct cli_source_pair *pairs;
	size_t count, cap;
	char **names; /* all that pairs point to */
	size_t nnames, names_cap;
};

/* A file, a folder, a tar, or "-": a tar on standard input. */
int cli_source_add(struct cli_source *s, const char *path, struct fault *why);
/* cli_source_join - each message and its side file become one pair; in the order of their names */
void cli_source_join(struct cli_source *s);
void cli_source_fini(struct cli_source *s);

/* -1: it cannot be read, or is shorter than that */
int cli_source_read(const struct cli_source_file *f, uint64_t offset, void *to, size_t n);

#endif
