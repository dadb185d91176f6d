/*
 * net_conn_core - what the files behind net_conn.h share: the connection, its states, its wire.
 *
 * What        a wire is how bytes get from the socket to the owner, and back: as they are
 *             (net_wire.c), or through TLS (net_wire_tls.c). Nothing else knows which it is.
 * Read next   net_conn.c, what owners call; net_conn_turn.c, what happens in a turn of the loop.
 */
#ifndef NET_CONN_CORE_H
#define NET_CONN_CORE_H

#include "net_conn.h"

#include <errno.h>
#include <sys/types.h>

enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_ENDED, CONN_CLOSING, CONN_DRAINING, CONN_DEAD };

struct net_wire {
	/* The socket is readable, and bytes are wanted: show what comes. */
	void (*read)(struct net_conn *c);
	bool (*has_more)(const struct net_conn *c); /* bytes were read, and had no taker yet */
	void (*more)(struct net_conn *c);
	/* As much as the socket takes; in CLOSING, a farewell behind it. */
	void (*write)(struct net_conn *c);
	bool (*is_writing)(const struct net_conn *c); /* there is something left to write */
};

struct net_tls;

struct net_conn {
	struct net_loop *loop;
	const struct net_conn_ops *ops;
	void *owner;
	struct net_watch watch;
	struct net_timer alarm;
	struct net_deferred turn;
	const struct net_wire *wire;
	struct net_tls *tls; /* NULL: none */
	struct buf in, out;  /* what the owner sees: plain text */
	uint64_t due, alarm_at;
	uint64_t bytes_in, bytes_out;
	uint32_t drained;
	int broken;
	enum conn_state state;
	bool is_paused, is_eof;
	bool is_landed;  /* the input lies where reads land, not in memory of its own */
	bool is_waiting; /* resumed: show what is in the buffer */
	bool is_guarded; /* paused, but its end is of interest */
	bool is_full;    /* the producer was, or may have been, told to stop */
	bool is_blocked; /* the kernel took no more: wait for writable */
};

static inline bool net_conn_is_owned(const struct net_conn *c)
{
	return c->state < CONN_CLOSING;
}

static inline int net_conn_fd(const struct net_conn *c)
{
	return c->watch.ev.fd;
}

static inline bool net_wire_is_passing(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* ---- net_conn.c */

void net_conn_release(struct net_conn *c); /* its memory */

/* ---- net_conn_turn.c */

void net_conn_enter(struct net_conn *c, enum conn_state state); /* the only setter */
void net_conn_end(struct net_conn *c, enum net_end how);        /* tell the owner; it may close */
void net_conn_broke(struct net_conn *c, int error);
void net_conn_die(struct net_conn *c);
bool net_conn_is_wanting(const struct net_conn *c);   /* it would take bytes now */
int net_conn_interest(const struct net_conn *c);      /* EV_READ, EV_WRITE */
void net_conn_turn(struct net_deferred *d);           /* the end of a turn */
void net_conn_ready(struct net_watch *w, int events); /* the socket is */
void net_conn_alarm(struct net_timer *t);             /* deadline or linger */

/* ---- net_wire.c */

extern const struct net_wire net_wire_plain;

/*
 * net_wire_receive - the one way from a socket: at most `most` bytes, which die at the next call;
 * empty: nothing came, or its end did, and was told
 */
struct str net_wire_receive(struct net_conn *c, size_t most);
/* net_wire_send - the one way into a socket; false: it takes no more, or broke */
bool net_wire_send(struct net_conn *c, struct buf *from);
/* net_wire_drop - as recv(2); what comes is nobody's any more */
ssize_t net_wire_drop(struct net_conn *c);
/* net_wire_show - give the owner what fits into its input */
void net_wire_show(struct net_conn *c, struct str s);
void net_wire_settle(struct buf *b); /* give back memory that outlived its use */

/* ---- net_wire_tls.c */

extern const struct net_wire net_wire_tls;

void net_wire_tls_explain(const struct net_conn *c, struct fault *why);
void net_wire_tls_reset(struct net_conn *c); /* writing is pointless */
void net_wire_tls_settle(struct net_conn *c);
void net_wire_tls_fini(struct net_conn *c);

#endif
