#include "net_conn_core.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

/*
 *   connect() --> CONNECTING --writable--> OPEN <-- new()
 *                      |                    |
 *                      +------ end() -------+--> ENDED     the owner was told, and has yet to close
 *                      |                    |      |
 *                      |                  close()  |
 *                      |                    v      v
 *                      |                   CLOSING         no owner; the rest of the output leaves
 *                      |                    |    |
 *                      |                    |  shut(), with unread input
 *                      |                    |    v
 *                      |                    |  DRAINING    our side is shut; what comes is dropped
 *                      |                    v    v
 *                      +--- abort() -----> DEAD            closed; memory goes at the turn's end
 *
 * CONNECTING, OPEN, ENDED have an owner. `broken` is the errno that made writing pointless. From
 * CLOSING on the alarm is the linger, before that it is the deadline, set lazily: moving a deadline
 * into the future is a store, and the alarm that comes too early is set again.
 */
void net_conn_enter(struct net_conn *c, enum conn_state state)
{
	assert(state > c->state);
	c->state = state;
}

void net_conn_die(struct net_conn *c)
{
	net_conn_enter(c, CONN_DEAD);
	net_watch_want(&c->watch, 0);
	net_timer_stop(&c->alarm);
	close(net_conn_fd(c));
	net_loop_defer(c->loop, &c->turn);
}

static void explain(const struct net_conn *c, enum net_end end, bool was_connecting,
		    struct fault *why)
{
	switch (end) {
	case NET_END_PEER:
		fault_set(why, "the peer closed the connection");
		break;
	case NET_END_ERROR:
		errno = c->broken;
		fault_sys(why, was_connecting ? "cannot connect" : "the connection broke");
		break;
	case NET_END_TLS:
		net_wire_tls_explain(c, why);
		break;
	case NET_END_DEADLINE:
		fault_set(why, was_connecting ? "no connection within the time allowed"
					      : "no progress within the time allowed");
		break;
	case NET_ENDS:
		break;
	}
}

void net_conn_end(struct net_conn *c, enum net_end how)
{
	bool was_connecting = c->state == CONN_CONNECTING;
	struct fault why;

	net_conn_enter(c, CONN_ENDED);
	if (was_connecting && !c->broken)
		c->broken = ETIMEDOUT; /* there is nobody to linger for */
	explain(c, how, was_connecting, &why);
	c->ops->ended(c->owner, how, &why);
}

/*
 * net_conn_broke - the peer's last words (a 421 before it closed) may wait in the kernel: they come
 * before the end
 */
void net_conn_broke(struct net_conn *c, int error)
{
	c->broken = error;
	c->is_blocked = false;
	buf_reset(&c->out);
	if (c->tls)
		net_wire_tls_reset(c);
	if (net_conn_is_wanting(c) && !c->wire->has_more(c))
		c->wire->read(c);
	if (c->state < CONN_ENDED)
		net_conn_end(c, NET_END_ERROR);
	else if (c->state == CONN_CLOSING)
		net_conn_die(c);
}

/*
 * shut - all is written. Closing with input unread would send a reset, which destroys the last
 * reply in the peer's buffer.
 */
static void shut(struct net_conn *c)
{
	bool is_unread = buf_len(&c->in) > 0 || c->wire->has_more(c);
	ssize_t n = 0;

	if (!is_unread && !c->is_eof)
		n = net_wire_drop(c);
	if ((is_unread && !c->is_eof) || n > 0) {
		(void)shutdown(net_conn_fd(c), SHUT_WR); /* it fails where the next read will */
		c->drained = (uint32_t)n;
		net_conn_enter(c, CONN_DRAINING);
		return;
	}
	net_conn_die(c);
}

static void drain(struct net_conn *c)
{
	ssize_t n = net_wire_drop(c);

	if (n < 0 && net_wire_is_passing(errno))
		return;
	if (n > 0)
		c->drained += (uint32_t)n;
	if (n <= 0 || c->drained > NET_DRAIN)
		net_conn_die(c);
}

static void flush(struct net_conn *c)
{
	c->is_full |= net_conn_full(c);
	if (!c->broken && !c->is_blocked)
		c->wire->write(c);
	if (c->is_full && buf_len(&c->out) <= c->out.max / 4) {
		c->is_full = false;
		if (net_conn_is_owned(c) && !c->broken && c->ops->drained)
			c->ops->drained(c->owner);
	}
	if (c->state == CONN_CLOSING && !c->wire->is_writing(c))
		shut(c);
}

bool net_conn_is_wanting(const struct net_conn *c)
{
	return c->state == CONN_OPEN && !c->is_paused && buf_room(&c->in) > 0;
}

int net_conn_interest(const struct net_conn *c)
{
	bool is_reading = !c->is_eof && !c->wire->has_more(c) &&
			  (c->is_paused ? c->is_guarded : buf_room(&c->in) > 0);

	switch (c->state) {
	case CONN_CONNECTING:
		return EV_WRITE;
	case CONN_OPEN:
		return (is_reading ? EV_READ : 0) | (c->is_blocked ? EV_WRITE : 0);
	case CONN_ENDED:
	case CONN_CLOSING:
		return c->is_blocked ? EV_WRITE : 0;
	case CONN_DRAINING:
		return EV_READ;
	case CONN_DEAD:
		break;
	}
	return 0;
}

/*
 * net_conn_turn - what calls during this turn asked for; callbacks here may close, so the state is
 * looked at anew after each
 */
void net_conn_turn(struct net_deferred *d)
{
	struct net_conn *c = container_of(d, struct net_conn, turn);
	bool is_waiting = c->is_waiting;

	c->is_waiting = false;
	if (c->state == CONN_DEAD) {
		net_conn_release(c);
		return;
	}
	if (c->state == CONN_CONNECTING && c->broken)
		net_conn_end(c, NET_END_ERROR);
	if (c->state == CONN_OPEN && is_waiting && buf_len(&c->in) > 0)
		c->ops->readable(c->owner);
	if (net_conn_is_wanting(c) && c->wire->has_more(c))
		c->wire->more(c);
	if (c->state > CONN_CONNECTING && c->state < CONN_DRAINING)
		flush(c);
	if (c->state == CONN_DEAD)
		return;
	net_wire_settle(&c->in);
	net_wire_settle(&c->out);
	if (c->tls)
		net_wire_tls_settle(c);
	net_watch_want(&c->watch, net_conn_interest(c));
}

static void finish_connect(struct net_conn *c)
{
	int error = 0;
	socklen_t n = sizeof error;

	if (getsockopt(net_conn_fd(c), SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (error) {
		c->broken = error;
		net_conn_end(c, NET_END_ERROR);
		return;
	}
	net_conn_enter(c, CONN_OPEN);
	c->ops->connected(c->owner);
}

/*
 * glance - is a guarded peer still there? Its bytes stay where they are; an end without any is its
 * end
 */
static void glance(struct net_conn *c)
{
	char byte;
	ssize_t n = recv(net_conn_fd(c), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0) {
		c->is_guarded = false; /* there is more to read first: no news can be had */
	} else if (n == 0) {
		c->is_eof = true;
		net_conn_end(c, NET_END_PEER);
	} else if (!net_wire_is_passing(errno)) {
		c->broken = errno;
		net_conn_end(c, NET_END_ERROR);
	}
	net_loop_defer(c->loop, &c->turn);
}

void net_conn_ready(struct net_watch *w, int events)
{
	struct net_conn *c = container_of(w, struct net_conn, watch);

	if (c->state == CONN_CONNECTING) {
		finish_connect(c);
		net_loop_defer(c->loop, &c->turn);
		return;
	}
	if (events & EV_WRITE) {
		c->is_blocked = false;
		net_loop_defer(c->loop, &c->turn);
	}
	if ((events & EV_READ) && c->state == CONN_OPEN && c->is_guarded) {
		glance(c);
	} else if ((events & EV_READ) && c->state == CONN_OPEN && !c->is_paused) {
		if (net_conn_is_wanting(c))
			c->wire->read(c);
		if (c->state != CONN_OPEN || buf_len(&c->in) > 0)
			net_loop_defer(c->loop, &c->turn);
	} else if ((events & EV_READ) && c->state == CONN_DRAINING) {
		drain(c);
	}
}

void net_conn_alarm(struct net_timer *t)
{
	struct net_conn *c = container_of(t, struct net_conn, alarm);
	uint64_t now = net_loop_now(c->loop);

	if (!net_conn_is_owned(c)) {
		net_conn_die(c);
	} else if (c->due > now && c->due != NET_FOREVER) {
		c->alarm_at = c->due;
		net_timer_start(t, c->due - now);
	} else if (c->due != NET_FOREVER && c->state < CONN_ENDED) {
		net_conn_end(c, NET_END_DEADLINE);
		net_loop_defer(c->loop, &c->turn);
	}
}
