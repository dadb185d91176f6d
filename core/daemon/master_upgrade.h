/*
 * master_upgrade - a new program takes over: the old master's side, and the new one's.
 *
 * What        master_upgrade_* executes a successor, hands over, or rolls back; master_successor_*
 *             inherits, proves itself, and takes over.
 * Invariants  until the successor serves nothing is given away: its end is never ours.
 * Read next   master_upgrade.c draws the stages.
 */
#ifndef MASTER_UPGRADE_H
#define MASTER_UPGRADE_H

#include "master.h"

void master_upgrade_begin(struct master *m, uint64_t tag, bool has_asker);
void master_upgrade_cancel(struct master *m); /* we stop instead */
bool master_upgrade_runs(const struct master *m);
const char *master_upgrade_stage(const struct master *m);
void master_upgrade_on(struct master *m); /* a role ended, or the like: is the stage over? */
void master_upgrade_idle(struct master_role *r);
bool master_upgrade_reaped(struct master *m, int pid, int status);
bool master_upgrade_keeps_down(const struct master_role *r);

/* master_successor.c: nothing where we are nobody's successor */
int master_successor_inherit(struct master *m, struct fault *why);
int master_successor_check(const struct master *m, const struct settings *s, struct fault *why);
void master_successor_watch(struct master *m);
void master_successor_ready(struct master *m);
void master_successor_serving(struct master *m);
void master_successor_refuse(struct master *m, struct str lines);

#endif
