/*
 * privilege - root for as long as ports are bound, and not a call longer.
 *
 * What        started by root, the master becomes the user of the settings (or the owner of the
 *             spool directory, or nobody), keeping
 *             the right to bind low ports and nothing else; its roles inherit no right at all.
 * Invariants  after privilege_drop the process cannot become root again.
 */
#ifndef PRIVILEGE_H
#define PRIVILEGE_H

#include "fault.h"
#include "settings.h"

/*
 * privilege_prepare - as root: make the spool, control and similar directories and give them to the
 * user
 */
int privilege_prepare(const struct settings *s, struct fault *why);
/* privilege_give_socket - the control socket belongs to the user, and nobody else may connect */
int privilege_give_socket(const struct settings *s, struct fault *why);
/* privilege_owner - the uid that the roles will have when root starts us; -1: it cannot be said */
long privilege_owner(const struct settings *s);
int privilege_drop(const struct settings *s, struct fault *why);

/* In a child, before it executes: a successor keeps the right to bind ports; a role has none. */
void privilege_bequeath(void);
void privilege_none(void);

#endif
