/*
 * settings_unit - sizes and durations as people write them.
 *
 * What        "25MiB" and bytes, "1h30m" and microseconds, and back to the shortest text that means
 *             the same.
 * Invariants  what settings_unit_*_text writes, the reader takes and gives the same number.
 */
#ifndef SETTINGS_UNIT_H
#define SETTINGS_UNIT_H

#include "str.h"

#define SETTINGS_UNIT_TEXT 64

bool settings_unit_size(struct str text, uint64_t *bytes);
bool settings_unit_duration(struct str text, uint64_t *us);
const char *settings_unit_size_text(uint64_t bytes, char text[SETTINGS_UNIT_TEXT]);
const char *settings_unit_duration_text(uint64_t us, char text[SETTINGS_UNIT_TEXT]);

#endif
