/*
 * settings_keys - where in moongate.lua a setting is given.
 *
 * What        a small tokenizer of Lua that follows table constructors and finds the line and
 *             column of a key by its path.
 * Why         a table in Lua has forgotten where it was written; an error that says where saves the
 *             operator a search.
 * Invariants  never fails: what is not written literally in the returned table is answered with the
 *             nearest thing that is: the table around it, the `return`, the first line.
 */
#ifndef SETTINGS_KEYS_H
#define SETTINGS_KEYS_H

#include "str.h"

#define SETTINGS_DEPTH 4

struct settings_key {
	struct str name; /* .p NULL: by index */
	unsigned index;  /* from 1 */
};

struct settings_place {
	struct settings_key keys[SETTINGS_DEPTH];
	unsigned n;
};

struct settings_spot {
	unsigned line, column; /* from 1; bytes */
};

struct settings_place settings_place_of(struct str path); /* "relay.domains" */
struct settings_place settings_place_at(struct settings_place place, unsigned index);
struct settings_place settings_place_in(struct settings_place place, struct str name);

struct settings_spot settings_keys_find(struct str source, const struct settings_place *place);

#endif
