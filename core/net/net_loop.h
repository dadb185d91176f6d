/*
 * net_loop - a role's event loop (libev), its time, timers, and the end of a turn.
 *
 * What        one loop per process; watchers for descriptors and timers embedded in their owners;
 *             work deferred to the end of the turn, where objects die.
 * Why         callbacks never run inside the call that asked for them, and never after their
 *             cancellation.
 * Invariants  net_loop_now() does not move within a turn. Everything deferred runs once, before
 *             the loop sleeps again; what a deferred function defers runs in the same turn, at
 *             most NET_DEFER_ROUNDS times round.
 * Ownership   watchers and timers belong to the caller, who stops them before their memory goes.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <ev.h>

#include "fault.h"
#include "list.h"
#include "step.h"
#include "str.h"

#define NET_DEFER_ROUNDS 64
#define NET_BEAT         1.0 /* seconds: so often a turn begins, at least */

struct net_loop;

struct net_loop *net_loop_new(void); /* aborts when the system gives no epoll */
void net_loop_free(struct net_loop **loop);
void net_loop_run(struct net_loop *loop); /* until net_loop_stop() */
void net_loop_stop(struct net_loop *loop);
uint64_t net_loop_now(const struct net_loop *loop);  /* monotonic us at the begin of this turn */
uint64_t net_loop_wall(const struct net_loop *loop); /* wall-clock us of this turn */

struct net_deferred {
	struct list node;
	void (*run)(struct net_deferred *);
	bool queued;
};

/*
 * At the end of this turn; asking again before it ran changes nothing. net_deferred_cancel is
 * idempotent.
 */
void net_loop_defer(struct net_loop *loop, struct net_deferred *d);
/*
 * At the end of the next turn, before which the loop does not sleep: for work cut into pieces, so
 * that others get their turn.
 */
void net_loop_defer_next(struct net_loop *loop, struct net_deferred *d);
void net_deferred_cancel(struct net_deferred *d);

struct net_timer {
	struct ev_timer ev;
	struct net_loop *loop;
	void (*fired)(struct net_timer *);
};

void net_timer_init(struct net_timer *t, struct net_loop *loop, void (*fired)(struct net_timer *));
void net_timer_start(struct net_timer *t, uint64_t after_us); /* once; restarts when running */
void net_timer_stop(struct net_timer *t);                     /* idempotent */
bool net_timer_is_running(const struct net_timer *t);

struct net_watch {
	struct ev_io ev;
	struct net_loop *loop;
	void (*ready)(struct net_watch *, int events); /* EV_READ | EV_WRITE */
};

void net_watch_init(struct net_watch *w, struct net_loop *loop, int fd,
		    void (*ready)(struct net_watch *, int));
void net_watch_want(struct net_watch *w, int events); /* 0 stops; idempotent */

#endif
