/*
 * session - one inbound SMTP connection: drives the server machine, asks policy, feeds the spool.
 *
 * What        bytes of a net_conn become lines, commands, questions, replies; a body goes through
 *             the data decoder to the spool; 250 only behind the token of a durable commit.
 * Invariants  every command earns exactly one reply; while a question is open nothing is read;
 *             `disconnect` is asked exactly once; one event per session and one per message
 *             outcome.
 * Ownership   session_server owns its sessions; they die at the end of the turn that closed them.
 * Bounds      struct session_options.
 * Read next   session_server.c accepts; session.c pumps; session_data.c the body; session_submit.c
 *             the commit.
 */
#ifndef SESSION_H
#define SESSION_H

#include "ipc_submit.h"
#include "net_conn.h"
#include "policy_generation.h"
#include "smtp_server.h"

/* What is spoken at a listener. */
struct session_listener {
	struct str name;
	enum smtp_tls tls;
	struct tls_context *context; /* NULL where tls is OFF */
};

struct session_options {
	struct str hostname;
	uint16_t edge;                             /* its index: part of every id */
	const struct str *domains, *relay_domains; /* see settings.h */
	unsigned ndomains, nrelay_domains;
	bool relay_all; /* "*" */
	/* every domain has a next hop: no recipient is refused for want of a route */
	bool has_default_route;
	/* else: those that have one (or a policy must say route) */
	const struct str *route_domains;
	unsigned nroute_domains;
	bool routing_characters;
	uint32_t connections, recipients, errors, refusals, junk, commands, messages, hops;
	uint32_t command_line, data_line;
	uint64_t message, memory;
	const struct session_listener *listeners; /* one that is not here speaks no TLS */
	unsigned nlisteners;
	uint64_t handshake_us, command_us, data_us, session_us, commit_us;
};

struct session_server;

/*
 * The options may be replaced between turns (reload); sessions take the new ones at their next
 * MAIL.
 */
struct session_server *session_server_new(struct net_loop *loop, struct policy_set *policies,
					  const struct session_options *options);
/* Copies them. */
void session_server_options(struct session_server *s, const struct session_options *options);
/* Takes fd, copies listener. */
void session_server_accept(struct session_server *s, int fd, struct str listener);
/* The same for a client that is somebody else than the socket says: behind a proxy, or made up. */
void session_server_accept_from(struct session_server *s, int fd, struct str listener,
				const struct net_address *peer);
/*
 * The spool's channel: given at start and again after the spool was replaced; pending submits are
 * repeated. NULL: it is gone.
 */
void session_server_channel(struct session_server *s, struct ipc_channel *spool);
/* What came from the spool. */
void session_server_frame(struct session_server *s, const struct ipc_frame *frame);
void session_server_writable(struct session_server *s); /* the channel has room again */
/*
 * Finish what runs, accept nothing new from open connections: each gets 421, at once or at the
 * command that follows its transaction.
 */
void session_server_drain(struct session_server *s);
unsigned session_server_count(const struct session_server *s);
void session_server_free(struct session_server **s); /* aborts what is open */

#endif
