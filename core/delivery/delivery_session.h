/*
 * delivery_session - one outbound SMTP or LMTP connection: drives smtp_client for one lease after
 * the other.
 *
 * What        carries out each smtp_client_todo: writes, waits with the deadline of RFC 5321
 *             4.5.3.2, feeds the body, hands results to the lease; then waits for the next lease.
 * Why         smtp_client decides, this file has the socket and the clock.
 * Invariants  a lease is given back with every recipient decided, or untouched: then the
 *             connection, used before, was closed by the other side before it took anything, and
 *             the lease is tried once more over a new one. One awaited reply has one deadline: a
 *             server that sends a byte a minute does not move it.
 * Ownership   owned by the pool; ends itself.
 * Bounds      DELIVERY_IN and DELIVERY_OUT bytes of buffers, DELIVERY_CONNECT, DELIVERY_LONGEST.
 */
#ifndef DELIVERY_SESSION_H
#define DELIVERY_SESSION_H

#include "delivery_pool.h"
#include "net_conn.h"
#include "smtp_client.h"

#define DELIVERY_IN      (16 * 1024)
#define DELIVERY_OUT     (128 * 1024)
#define DELIVERY_CONNECT (30 * UINT64_C(1000000))
#define DELIVERY_LONGEST (3600 * UINT64_C(1000000)) /* one message, whatever the server does */
#define DELIVERY_HELLO   256

enum session_phase {
	SESSION_CONNECTING,
	SESSION_BUSY,
	SESSION_IDLE,
	SESSION_QUITTING,
	SESSION_OVER
};

struct delivery_session {
	struct delivery *delivery;
	enum session_phase phase;
	struct delivery_key *key;
	struct list node; /* in key->sessions */
	struct list key_idle, pool_idle;
	struct net_conn *conn;
	struct net_deferred turn; /* pumps: never inside the call that gives a lease */
	struct smtp_client client;
	struct delivery_lease *lease; /* NULL: idle, quitting */
	unsigned messages;            /* sent over this connection */
	uint64_t since;               /* IDLE: when it became so */
	struct {                      /* what the deadline was set for */
		enum smtp_stage stage;
		unsigned got, progress;
	} awaited;
	unsigned progress; /* results and blocks so far */
	char hello[DELIVERY_HELLO];
};

/* delivery_session_connect - a new connection for a lease; -1: not even an attempt could be made */
int delivery_session_connect(struct delivery_key *key, struct delivery_lease *l, struct fault *why);
void delivery_session_take(struct delivery_session *s,
			   struct delivery_lease *l);     /* an idle one gets a lease */
void delivery_session_more(struct delivery_session *s);   /* more of the body is there */
void delivery_session_quit(struct delivery_session *s);   /* an idle one says goodbye */
void delivery_session_forget(struct delivery_session *s); /* its lease is gone: abort */
/*
 * delivery_session_fail - still connecting: its lease is decided by what happened to another
 * connection
 */
void delivery_session_fail(struct delivery_session *s, struct str text);

#endif
