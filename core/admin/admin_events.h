/*
 * admin_events - where the event lines of all roles go.
 *
 * What        one sink: standard output, a file, the system's log (RFC 5424 over /dev/log), or
 *             nowhere.
 * Why         a sink that is stuck must not hold up mail: lines wait in a bounded buffer, beyond it
 *             they are dropped and counted.
 * Invariants  never blocks; a line is written whole, in order, or not at all (a file system that is
 *             full may cut the last one).
 * Ownership   owns its descriptor, not standard output.
 * Bounds      ADMIN_EVENTS_WAITING bytes of lines that wait.
 * Fails       a file that cannot be opened, a log that is not there: said on standard error once;
 *             tried again every second.
 */
#ifndef ADMIN_EVENTS_H
#define ADMIN_EVENTS_H

#include "net_loop.h"

#define ADMIN_EVENTS_WAITING (4 * 1024 * 1024)

struct admin_events;

/* to: "stdout", "file:/path", "syslog", "none"; hostname for the system's log. Both are copied. */
struct admin_events *admin_events_new(struct net_loop *loop, struct str to, struct str hostname);
/* admin_events_to - another sink from now on (nothing happens when it is the same); waiting lines
 * go to the new one */
void admin_events_to(struct admin_events *e, struct str to);
void admin_events_line(struct admin_events *e, struct str line); /* without its newline */
void admin_events_reopen(struct admin_events *e); /* the file was moved away: begin a new one */
void admin_events_flush(struct admin_events *e);  /* before the end: what goes without waiting */
void admin_events_free(struct admin_events **e);

#endif
