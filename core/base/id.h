/*
 * id - what a message is called, everywhere.
 *
 * What        128 bits: 48 of wall-clock milliseconds, 16 of the edge that made it, 64 random. As
 *             text 26 lower-case Crockford characters, sortable by time: in the 250, in Received,
 *             in events, on the command line.
 * Invariants  id_parse(id_text(x)) == x; parsing takes upper case and reads i, l as 1 and o as 0.
 */
#ifndef ID_H
#define ID_H

#include "str.h"

#define ID_TEXT 26

struct id {
	uint8_t b[16];
};

struct id id_make(uint64_t wall_us, uint16_t edge);
uint16_t id_edge(const struct id *id);
/* wall time in microseconds, to the millisecond */
uint64_t id_time(const struct id *id);
bool id_is_eq(const struct id *a, const struct id *b);
const char *id_text(const struct id *id, char text[ID_TEXT + 1]); /* returns text */
bool id_parse(struct str text, struct id *out);

#endif
