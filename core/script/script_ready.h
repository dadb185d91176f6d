/*
 * script_ready - Lua that the binary brings along: lua/ and policies/, as bytes.
 *
 * The table is written by embed.cmake at build time: "policies.NAME" for policies/NAME.lua,
 * "lua.NAME" for lua/NAME.lua.
 */
#ifndef SCRIPT_READY_H
#define SCRIPT_READY_H

#include "str.h"

struct script_ready {
	const char *name, *path;
	const unsigned char *text;
	size_t n;
};

extern const struct script_ready script_ready[]; /* ends with an empty one */

#endif
