/*
 * policy_vars - small typed values that policies keep with a connection, a transaction, a
 * recipient.
 *
 * What        strings, integers, numbers, booleans, and flat lists of strings, by name; kept
 *             packed, so that they cross reloads, processes and the spool as they are.
 * Bounds      64 keys, names of at most 64 bytes, 16 KiB in all. Setting beyond them fails and
 *             changes nothing.
 * Ownership   init/fini; packed slices borrow and die with the next set; a value that is set must
 *             not borrow from the same vars. Zeroed memory is an empty set.
 */
#ifndef POLICY_VARS_H
#define POLICY_VARS_H

#include "buf.h"

#define POLICY_VARS       64
#define POLICY_VARS_NAME  64
#define POLICY_VARS_BYTES (16 * 1024)

enum var_type { VAR_NONE, VAR_STRING, VAR_INTEGER, VAR_NUMBER, VAR_BOOLEAN, VAR_LIST, VAR_TYPES };

struct policy_vars {
	struct buf packed;
	unsigned count;
	bool is_changed; /* set since the last policy_vars_unchanged */
};

struct policy_var {
	enum var_type type;
	struct str text; /* STRING: the value; LIST: packed strings, each u32 length and bytes */
	int64_t integer; /* INTEGER, BOOLEAN */
	double number;   /* NUMBER */
};

void policy_vars_init(struct policy_vars *v);
void policy_vars_fini(struct policy_vars *v);
struct policy_var policy_vars_get(const struct policy_vars *v,
				  struct str name); /* VAR_NONE: not there */
bool policy_vars_set(struct policy_vars *v, struct str name,
		     const struct policy_var *value); /* VAR_NONE removes */
bool policy_vars_next(const struct policy_vars *v, size_t *at, struct str *name,
		      struct policy_var *value);
struct str policy_vars_packed(const struct policy_vars *v);
void policy_vars_unchanged(struct policy_vars *v); /* what it holds now is stored */
bool policy_vars_unpack(struct policy_vars *v,
			struct str packed); /* checks every byte; false: v is empty then */

#endif
