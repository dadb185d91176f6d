/*
 * net_conn - a buffered stream connection.
 *
 * What        bytes in a bounded buffer each way over a non-blocking socket; later TLS in between.
 * Why         the one owner of sockets: above it there are slices, replies and events, no errno.
 * Invariants  no callback runs inside a call into this file, none after net_conn_close. Output is written at the end of the
 *             turn in one piece (so a pipelined group of replies is one segment) or by net_conn_flush. A full input buffer
 *             or net_conn_pause stops reading, and thereby the peer.
 * Ownership   new/connect: heap, from a free list; net_conn_close takes the pointer by address; memory dies at the end of
 *             the turn. `owner` is borrowed.
 * Bounds      in_max and out_max at birth; one deadline per connection, always set by the owner.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

#include "buf.h"
#include "net_loop.h"

struct net_address {
	socklen_t n;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
};

#define NET_ADDRESS_TEXT 128    /* "[2001:db8::1]:25", "unix:/path" */

/* "127.0.0.1:25", "[::1]:25", "unix:/path"; numeric only, never a look-up. -1: `why` says what was expected. */
int net_address_parse(struct str text, struct net_address *out, struct fault *why);
const char *net_address_text(const struct net_address *a, char text[NET_ADDRESS_TEXT]);
/* Only the host: "127.0.0.1", "2001:db8::1", "unix"; IPv4-mapped IPv6 is shown and treated as IPv4. */
const char *net_address_host(const struct net_address *a, char text[NET_ADDRESS_TEXT]);
uint16_t net_address_port(const struct net_address *a);
bool net_address_is_local(const struct net_address *a);         /* loopback or a Unix socket */

struct net_conn;

enum net_end {
	NET_END_PEER,           /* the peer closed its side */
	NET_END_ERROR,          /* a socket error: reset, unreachable, refused */
	NET_END_DEADLINE,       /* the deadline passed */
	NET_ENDS
};

struct net_conn_ops {
	void (*connected)(void *owner);                 /* outbound only */
	void (*readable)(void *owner);                  /* net_conn_in() grew, or reading was resumed with bytes waiting */
	void (*drained)(void *owner);                   /* output fell to a quarter of its bound after net_conn_full() */
	void (*ended)(void *owner, enum net_end end, const struct fault *why);  /* once; then only close is left */
};

struct net_conn_options {
	const struct net_conn_ops *ops;
	void *owner;
	size_t in_max, out_max;
};

struct net_conn *net_conn_new(struct net_loop *loop, int fd, const struct net_conn_options *o);  /* takes fd */
/* NULL and `why` when not even the attempt could be made; else connected() or ended() comes. `from` may be NULL. */
struct net_conn *net_conn_connect(struct net_loop *loop, const struct net_address *to, const struct net_address *from,
				  const struct net_conn_options *o, struct fault *why);

struct buf *net_conn_in(struct net_conn *c);            /* take from it; anything left is shown again on more input */
bool net_conn_write(struct net_conn *c, struct str s);  /* false: no room, nothing was queued */
struct buf *net_conn_out(struct net_conn *c);           /* write in place, then net_conn_flush_later() */
void net_conn_flush_later(struct net_conn *c);
bool net_conn_full(const struct net_conn *c);           /* more than half of out_max waits: stop producing until drained() */
void net_conn_pause(struct net_conn *c);
void net_conn_resume(struct net_conn *c);               /* readable() comes in this turn if bytes wait in the buffer */
void net_conn_deadline(struct net_conn *c, uint64_t after_us);  /* from now; replaces the former; cheap */
void net_conn_peer(const struct net_conn *c, struct net_address *out);
void net_conn_local(const struct net_conn *c, struct net_address *out);
uint64_t net_conn_bytes_in(const struct net_conn *c);
uint64_t net_conn_bytes_out(const struct net_conn *c);

/* Closes after what is queued was written, for at most NET_LINGER; no callback comes any more. NULL-safe, leaves NULL. */
#define NET_LINGER (5 * UINT64_C(1000000))
void net_conn_close(struct net_conn **c);
void net_conn_abort(struct net_conn **c);               /* at once, queued output is lost */

#endif
