/*
 * edge_options - what the settings mean for a session.
 *
 * What        the one place where an edge, and a trial of a policy, get their options from.
 * Ownership   strings are borrowed from the settings; the list of routes is one for the process,
 *             and the next call writes it anew: the session server copies.
 */
#ifndef EDGE_OPTIONS_H
#define EDGE_OPTIONS_H

#include "session.h"
#include "settings.h"

struct session_options edge_options(const struct settings *s, unsigned index);

#endif
