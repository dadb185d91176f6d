/*
 * settings_eval - from moongate.lua to struct settings.
 *
 * What        runs the file, takes every value by the schema's table, then checks what one value
 *             alone cannot tell: an open relay, a missing listener, times that contradict each
 *             other.
 * Invariants  all problems are found, not the first; settings with a problem are never used.
 * Read next   settings_lua.c, which runs the file; settings_check.c, the questions across settings.
 */
#ifndef SETTINGS_EVAL_H
#define SETTINGS_EVAL_H

#include "settings.h"
#include "settings_source.h"

/* settings_eval - the strings live in the source's arena; false: source->nerrors problems were
 * added */
bool settings_eval(struct settings *s, struct settings_source *source);

/* settings_check - across settings; adds problems and notes */
void settings_check(const struct settings *s, struct settings_source *source);

#endif
