/*
 * net_conn - a buffered stream connection.
 *
 * What        bytes in a bounded buffer each way over a non-blocking socket, as they are or
 *             through TLS.
 * Why         the one owner of sockets: above it there are slices, replies and events, no errno.
 * Invariants  no callback runs inside a call into this file, none after net_conn_close. Output is
 *             written at the end of the turn, in one piece: a pipelined group of replies is one
 *             segment. A full input buffer or net_conn_pause stops reading, and thereby the peer.
 *             All bytes are shown before the peer's end is told; while paused it is not looked
 *             for, unless guarded.
 * Ownership   new/connect: heap, from a free list; net_conn_close takes the pointer by address;
 *             memory dies at the end of the turn. `owner` is borrowed. Slices of net_conn_in()
 *             die when readable() returns; what was not taken stays.
 * Bounds      in_max and out_max at birth; one deadline per connection, always set by the owner.
 *             A connection whose input was taken and whose output was written holds at most
 *             NET_CONN_KEEP bytes each way; what OpenSSL keeps of a session comes on top. TLS adds
 *             NET_TLS_IN and NET_TLS_OUT while bytes wait.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "buf.h"
#include "net_address.h"
#include "net_loop.h"
#include "tls.h"

#define NET_READ        (64 * 1024) /* at most, from one connection in one turn */
#define NET_CONN_KEEP   512
#define NET_TLS_IN      (TLS_RECORD + TLS_OVERHEAD)       /* ciphertext that had no taker */
#define NET_TLS_OUT     (2 * (TLS_RECORD + TLS_OVERHEAD)) /* and for the socket */
#define NET_CONN_SPARES 64                                /* connections kept for reuse */
#define NET_LINGER      (5 * UINT64_C(1000000))
#define NET_DRAIN       (1024 * 1024) /* dropped after a close, lest a reset overtake it */
#define NET_FOREVER     UINT64_MAX    /* for net_conn_deadline: none */

struct net_conn;

enum net_end {
	NET_END_PEER,     /* the peer closed its side; what is written now may still reach it */
	NET_END_ERROR,    /* a socket error: reset, unreachable, refused */
	NET_END_TLS,      /* the handshake failed, or what came after it is damaged */
	NET_END_DEADLINE, /* the deadline passed; a last reply may be written */
	NET_ENDS
};

struct net_conn_ops {
	/* Outbound only, else NULL. */
	void (*connected)(void *owner);
	/* Or NULL, where net_conn_secure() is never called: the handshake is over. */
	void (*secured)(void *owner);
	/* net_conn_in() grew, or reading was resumed with bytes waiting. */
	void (*readable)(void *owner);
	/* Or NULL. Output fell to a quarter of its bound, after it was full or refused a write. */
	void (*drained)(void *owner);
	/* Once; then only close is left. */
	void (*ended)(void *owner, enum net_end end, const struct fault *why);
};

struct net_conn_options {
	const struct net_conn_ops *ops;
	void *owner;
	size_t in_max, out_max;
};

/* Takes fd. */
struct net_conn *net_conn_new(struct net_loop *loop, int fd, const struct net_conn_options *o);
/*
 * NULL and `why` when not even the attempt could be made; else connected() or ended() comes.
 * `from` may be NULL.
 */
struct net_conn *net_conn_connect(struct net_loop *loop, const struct net_address *to,
				  const struct net_address *from, const struct net_conn_options *o,
				  struct fault *why);

/*
 * Take from it; what is left is shown again with the next bytes. Ask anew each time: taking makes
 * room to read.
 */
struct buf *net_conn_in(struct net_conn *c);
/* false: no room, nothing was queued; drained() comes. */
bool net_conn_write(struct net_conn *c, struct str s);
/* Write in place, then net_conn_flush_later(): at the end of this turn. */
struct buf *net_conn_out(struct net_conn *c);
void net_conn_flush_later(struct net_conn *c);
/*
 * From here on TLS: what was written before leaves as it is, what comes next is a handshake; then
 * secured(). The input must be empty. Takes tls. What is written meanwhile waits for the handshake.
 */
void net_conn_secure(struct net_conn *c, struct tls **tls);
bool net_conn_is_secure(const struct net_conn *c); /* the handshake is over, and was good */
/* The connection is secure. */
void net_conn_facts(const struct net_conn *c, struct tls_facts *out);
/* After NET_END_TLS. */
enum tls_failure net_conn_failure(const struct net_conn *c);
/* More than half of out_max waits: stop producing until drained(). */
bool net_conn_full(const struct net_conn *c);
void net_conn_pause(struct net_conn *c);
/* Pause, but tell of the peer's end when it is seen and no byte came before it. */
void net_conn_guard(struct net_conn *c);
/* readable() comes in this turn if bytes wait in the buffer. */
void net_conn_resume(struct net_conn *c);
/* From now; replaces the former; cheap. */
void net_conn_deadline(struct net_conn *c, uint64_t after_us);
/* A system call: ask once. */
void net_conn_peer(const struct net_conn *c, struct net_address *out);
void net_conn_local(const struct net_conn *c, struct net_address *out);
uint64_t net_conn_bytes_in(const struct net_conn *c);
uint64_t net_conn_bytes_out(const struct net_conn *c);

/*
 * Closes after what is queued was written, for at most NET_LINGER; no callback comes any more.
 * NULL-safe, leaves NULL.
 */
void net_conn_close(struct net_conn **c);
/* At once; queued output is lost. */
void net_conn_abort(struct net_conn **c);

#endif
