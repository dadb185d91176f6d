/*
 * delivery - everything outbound: routes what the spool lends, makes attempts, reports what
 * became of them.
 *
 * What        ROUTE leases become next hops (policy `route`, then settings); DISPATCH leases
 *             become attempts over pooled SMTP or LMTP connections or through the maildir helper;
 *             results go through policy `result`; failures become bounces.
 * Invariants  a lease ends with exactly one ROUTED or RESULT; a lost connection in doubt is
 *             DEFER, never DONE; the null sender is never bounced.
 * Ownership   the delivery owns its leases and connections.
 * Bounds      struct delivery_options; leases: what the spool lends.
 * Read next   delivery_route.c, delivery_pool.c, delivery_session.c, delivery_bounce.c.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "ipc_lease.h"
#include "net_conn.h"
#include "policy_generation.h"

struct delivery_route {
	struct str domain; /* "*" last */
	struct str next_hop;
};

struct delivery_options {
	struct str hostname;
	uint16_t index;      /* of this process, for ids of bounces: 0x8000 | index */
	struct str relay_to; /* next hop of relay domains; empty: none */
	const struct str *relay_domains;
	unsigned nrelay_domains;
	bool relay_all;
	const struct delivery_route *routes;
	unsigned nroutes;
	uint32_t idle_per_key, idle_total; /* connections kept open, 20 and 200 */
	uint64_t idle_us;                  /* 10 s */
	uint32_t messages_per_connection;  /* 100 */
};

struct delivery;

struct delivery *delivery_new(struct net_loop *loop, struct policy_set *policies,
			      const struct delivery_options *options);
void delivery_options_set(struct delivery *d, const struct delivery_options *options); /* copied */
void delivery_channel(struct delivery *d,
		      struct ipc_channel *spool); /* NULL: gone; its leases are forgotten */
void delivery_frame(struct delivery *d, const struct ipc_frame *frame); /* from the spool */
void delivery_writable(struct delivery *d);
void delivery_maildir_channel(struct delivery *d, struct ipc_channel *maildir);
void delivery_maildir_frame(struct delivery *d, const struct ipc_frame *frame);
void delivery_maildir_writable(struct delivery *d);
void delivery_drain(struct delivery *d); /* finish attempts in flight, take no more */
bool delivery_is_idle(const struct delivery *d);
void delivery_free(struct delivery **d);

#endif
