/*
 * session_config - the options of a server as its sessions see them: copied, sorted, shared until
 * the last one let go.
 *
 * Why         options are replaced between two turns while transactions run; each runs to its end
 *             under those it began with.
 * Invariants  domains are lower case and sorted, so that the answers below cost a binary search.
 * Ownership   counted: new gives one reference, take one more, drop gives one back and leaves NULL.
 */
#ifndef SESSION_CONFIG_H
#define SESSION_CONFIG_H

#include "session.h"
#include "smtp_server.h"

struct session_config {
	unsigned refs;
	struct arena arena;
	struct session_options o;
	struct smtp_limits limits;
	struct str postmaster; /* what a bare <postmaster> means */
};

struct session_config *session_config_new(const struct session_options *o);
struct session_config *session_config_take(struct session_config *c);
void session_config_drop(struct session_config **c);

/* `domain` is canonical: lower case. */
/* By name; never NULL. */
const struct session_listener *session_config_listener(const struct session_config *c,
						       struct str name);
bool session_config_is_ours(const struct session_config *c, struct str domain);
bool session_config_relays(const struct session_config *c, struct str domain);
bool session_config_routes(const struct session_config *c, struct str domain);

#endif
