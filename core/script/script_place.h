/*
 * script_place - where in a line a message of Lua's is about something.
 *
 * What        Lua tells a line and a sentence, an editor wants a column: the word that the message
 *             quotes, where that line has it, or else where the line's first word begins.
 * How         what stands behind "near" comes first, then every quoted word in order. A word counts
 *             only as a whole, "on" is not in "only", and only when the line has it once.
 * Invariants  pure; a column counts bytes from 1, and is at most one past the end of its line.
 */
#ifndef SCRIPT_PLACE_H
#define SCRIPT_PLACE_H

#include "str.h"

/* script_place_column - of `message` in the line (from 1) of `text`; 0: there is no such line */
size_t script_place_column(struct str text, unsigned line, struct str message);

#endif
