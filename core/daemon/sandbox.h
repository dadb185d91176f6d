/*
 * sandbox - what a role may still ask of the kernel once it is ready to read from a peer.
 *
 * What        seccomp allow-lists per role (kill in release builds), Landlock where the kernel has
 *             it, no new privileges, not
 *             dumpable, no capabilities.
 * Why         a hijacked edge owns one message, not the machine; whatever is not on the list ends
 *             the process, and the master
 *             replaces it.
 * Invariants  entered before the first byte of a peer. Instrumented builds (sanitizers, coverage)
 *             use the wider list, since
 *             their run time makes calls of its own; the end-to-end tests run once more on the
 *             release build.
 * Fails       a call that is missing from a list ends the role by SIGSYS; the kernel's log names
 *             its number (type=1326).
 * Read next   the tables in sandbox.c.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "fault.h"
#include "role_link.h"
#include "settings.h"

int sandbox_enter(enum role_kind kind, const struct settings *s, struct fault *why);

#endif
