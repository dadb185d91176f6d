/*
 * edge_tls - the listeners of an edge with their TLS, made from a snapshot.
 *
 * What        a store of the snapshot's certificates and keys, a context per listener that speaks
 *             TLS, and a watch over the day that a certificate ends.
 * Invariants  private keys are opened here and nowhere else, and wiped where they lay; OpenSSL
 *             keeps its own. A state that cannot be made refuses the reload.
 * Ownership   what was prepared is committed or dropped; sessions keep what they need of it.
 */
#ifndef EDGE_TLS_H
#define EDGE_TLS_H

#include "role.h"
#include "session.h"

#define EDGE_TLS_LOOK (UINT64_C(12) * 3600 * 1000000) /* between two looks at the calendar */

struct edge_tls {
	struct session_listener listeners[SETTINGS_LISTENERS];
	unsigned n;
	struct tls_store *store; /* NULL: no certificates */
};

/* edge_tls_secrets - from the master, before anything else */
void edge_tls_secrets(struct str text);
/* edge_tls_make - -1 and why; edge_tls_drop leaves it empty */
int edge_tls_make(struct edge_tls *t, const struct role_state *state, struct fault *why);
void edge_tls_drop(struct edge_tls *t);
/* edge_tls_watch - the gauge, and an event for each that ends within `warn_us`; the first edge's */
void edge_tls_watch(const struct edge_tls *t, uint64_t warn_us);

#endif
