/*
 * net_conn_core - what the files behind net_conn.h share: the connection and its states.
 *
 * Read next   net_conn.c, what owners call; net_conn_turn.c, what happens in a turn of the loop.
 */
#ifndef NET_CONN_CORE_H
#define NET_CONN_CORE_H

#include "net_conn.h"

enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_ENDED, CONN_CLOSING, CONN_DRAINING, CONN_DEAD };

struct net_conn {
	struct net_loop *loop;
	const struct net_conn_ops *ops;
	void *owner;
	struct net_watch watch;
	struct net_timer alarm;
	struct net_deferred turn;
	struct buf in, out;
	uint64_t due, alarm_at;
	uint64_t bytes_in, bytes_out;
	uint32_t drained;
	int broken;
	enum conn_state state;
	bool is_paused, is_eof;
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

/* ---- net_conn.c */

void net_conn_release(struct net_conn *c); /* its memory */

/* ---- net_conn_turn.c */

void net_conn_enter(struct net_conn *c, enum conn_state state); /* the only setter */
void net_conn_die(struct net_conn *c);
int net_conn_interest(const struct net_conn *c);      /* EV_READ, EV_WRITE */
bool net_conn_is_landing(const struct net_conn *c);   /* its input lies where reads land */
void net_conn_turn(struct net_deferred *d);           /* the end of a turn */
void net_conn_ready(struct net_watch *w, int events); /* the socket is */
void net_conn_alarm(struct net_timer *t);             /* deadline or linger */

#endif
