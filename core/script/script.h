/*
 * script - the Lua bridge: makes a generation of rules out of policy sources, and answers policy
 * questions with it.
 *
 * What        implements policy_ops; the only folder that sees lua.h.
 * Why         deliver and session know policy.h alone.
 * Invariants  whatever Lua does, a question ends: with a verdict, or with policy_fail after its
 *             budget; other questions go on.
 * Fails       script_load: every problem one line "file:line:column: message" in errors.
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "buf.h"
#include "net_loop.h"
#include "policy_generation.h"

struct script_source {
	struct str name; /* as require() takes it; the entry is "main" */
	struct str path; /* for messages */
	struct str text;
};

struct script_map {
	struct str name;
	struct str image; /* state/state_map.h; borrowed for the generation's life */
};

struct script_options {
	struct net_loop *loop; /* NULL: check only, nothing will be asked */
	const struct script_source *sources;
	unsigned nsources;
	const struct script_map *maps;
	unsigned nmaps;
	uint64_t cpu_us, load_us;
	size_t memory;
	bool is_edge;        /* which hooks this process runs; both are registered and checked */
	bool is_trial;       /* nobody is there: gate.sleep takes no time */
	uint64_t fail_after; /* tests: grant so many allocations, then none; 0: off */
};

/* script_load - fills g->ops and g->self; -1: errors has the lines, g is unchanged */
int script_load(struct policy_generation *g, const struct script_options *o, struct buf *errors);

/* script_order - the effective chain per hook, as `moongate policy order` prints it */
bool script_order(const struct policy_generation *g, struct buf *out);

/*
 * script_process_init - once per process: the CPU-time tick (SIGVTALRM handler) before the sandbox
 * is closed
 */
void script_process_init(void);

#endif
