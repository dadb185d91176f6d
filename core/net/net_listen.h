/*
 * net_listen - listening sockets: opened by the master, watched by every edge.
 *
 * What        open a socket for an address; watch an inherited one, accept in batches of at most
 *             NET_ACCEPTS a turn.
 * Invariants  a paused listener leaves its queue to the other processes. EMFILE and the like
 *             pause it for NET_ACCEPT_REST, counted and logged. One IPv6 listener takes no IPv4:
 *             list both.
 * Ownership   the descriptor belongs to who opened it; net_listen_close closes the watcher's copy.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include "net_conn.h"

#define NET_ACCEPTS     16
#define NET_BACKLOG     1024
#define NET_ACCEPT_REST (1 * UINT64_C(1000000))

/*
 * A bound, listening, non-blocking, close-on-exec socket; a stale Unix socket path is replaced.
 * -1 and why.
 */
int net_listen_open(const struct net_address *at, struct fault *why);

struct net_listen;

/*
 * The socket must be non-blocking (net_listen_open's is; one from a service manager may not be).
 * accepted(): takes fd.
 */
struct net_listen *net_listen_new(struct net_loop *loop, int fd,
				  void (*accepted)(void *owner, int fd), void *owner);
void net_listen_pause(struct net_listen *l);
void net_listen_resume(struct net_listen *l);
void net_listen_close(struct net_listen **l);

#endif
