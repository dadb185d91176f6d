/*
 * settings_source - the text of moongate.lua, where it lies, and what is wrong with it.
 *
 * What        reads the file, makes paths in it absolute, and gathers problems and notes with their
 *             places, to be reported in the order of the file.
 * Invariants  a problem is one line "file:line:column: message", a note says "note: " after its
 *             place.
 * Ownership   everything lives in the arena given at the start.
 * Bounds      SETTINGS_SOURCE bytes; SETTINGS_PROBLEMS, further ones are counted.
 */
#ifndef SETTINGS_SOURCE_H
#define SETTINGS_SOURCE_H

#include "arena.h"
#include "buf.h"
#include "fault.h"
#include "settings_keys.h"

#define SETTINGS_SOURCE   (1024 * 1024)
#define SETTINGS_PROBLEMS 100

struct settings_problem {
	struct settings_spot spot; /* column 0: only the line is known; line 0: only the file */
	bool is_note;
	struct str text;
};

struct settings_source {
	struct str path;   /* as it was given: what messages show */
	struct str folder; /* of it, absolute */
	struct str text;
	struct arena *arena;
	struct settings_problem problems[SETTINGS_PROBLEMS];
	unsigned nproblems, nmore, nerrors;
};

/* settings_source_read - false: the problem says why it cannot be read */
bool settings_source_read(struct settings_source *s, struct str path, struct arena *arena);
/* settings_source_path - absolute, in the arena; relative ones are relative to the file's folder */
struct str settings_source_path(const struct settings_source *s, struct str path);
/* settings_source_shown - the path as messages show it: relative when the settings file was given
 * so */
struct str settings_source_shown(const struct settings_source *s, struct str absolute);

void settings_source_problem(struct settings_source *s, const struct settings_place *place,
			     const char *format, ...) __attribute__((format(printf, 3, 4)));
void settings_source_problem_at(struct settings_source *s, struct settings_spot spot,
				const char *format, ...) __attribute__((format(printf, 3, 4)));
void settings_source_note(struct settings_source *s, const struct settings_place *place,
			  const char *format, ...) __attribute__((format(printf, 3, 4)));

/* settings_source_report - all of them, sorted by place; what does not fit is left out */
void settings_source_report(struct settings_source *s, struct buf *out);

#endif
