#include "net_loop.h"

#include <assert.h>
#include <stdlib.h>

#include "clock.h"
#include "counter.h"

/*
 * A turn: libev's wait ends -> begin() takes the time -> the callbacks of descriptors and timers
 * -> libev prepares to wait again -> finish() runs what was deferred. (libev runs "check"
 * watchers before the callbacks, not after them: the end of a turn is its "prepare".)
 */
struct net_loop {
	struct ev_loop *ev;
	struct ev_check begin;
	struct ev_prepare finish;
	struct ev_idle awake; /* active while work waits: then libev does not sleep */
	struct ev_timer beat;
	struct list deferred;
	struct list next; /* becomes `deferred` after the end of this turn */
	uint64_t now;
	bool stopped;
};

static void begin(struct ev_loop *ev, struct ev_check *w, int events)
{
	struct net_loop *loop = w->data;

	(void)ev, (void)events;
	loop->now = clock_mono();
	counter_beat(loop->now);
}

static void splice(struct list *to, struct list *from)
{
	struct list *node;

	while ((node = list_take(from)))
		list_append(to, node);
}

/* run_deferred - what is cancelled meanwhile leaves whichever list it is in */
static void run_deferred(struct net_loop *loop)
{
	for (unsigned i = 0; i < NET_DEFER_ROUNDS && !list_is_empty(&loop->deferred); i++) {
		struct list round = LIST_INIT(round), *node;

		splice(&round, &loop->deferred);
		while ((node = list_take(&round))) {
			struct net_deferred *d = LIST_ITEM(node, struct net_deferred, node);

			d->queued = false;
			d->run(d);
		}
	}
}

static void finish(struct ev_loop *ev, struct ev_prepare *w, int events)
{
	struct net_loop *loop = w->data;
	uint64_t lag;

	(void)events;
	run_deferred(loop);
	if (!loop->stopped)
		splice(&loop->deferred, &loop->next);
	if (list_is_empty(&loop->deferred))
		ev_idle_stop(ev, &loop->awake);
	else
		ev_idle_start(ev, &loop->awake);
	/* What became ready just after this turn began waited so long. */
	lag = clock_mono() - loop->now;
	histogram_add(HISTOGRAM_LOOP_LAG, lag);
}

static void stay_awake(struct ev_loop *ev, struct ev_idle *w, int events)
{
	(void)ev, (void)w, (void)events;
}

static void beat(struct ev_loop *ev, struct ev_timer *w, int events)
{
	(void)ev, (void)w, (void)events; /* the turn that it began has counted already */
}

struct net_loop *net_loop_new(void)
{
	struct net_loop *loop = calloc(1, sizeof *loop);

	if (!loop)
		abort();
	/*
	 * No environment, no inotify, no timerfd: a role's list of system calls stays as short as
	 * what is used here.
	 */
	loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV | EVFLAG_NOINOTIFY |
			       EVFLAG_NOSIGMASK | EVFLAG_NOTIMERFD);
	if (!loop->ev || ev_backend(loop->ev) != EVBACKEND_EPOLL)
		abort();
	list_init(&loop->deferred);
	list_init(&loop->next);
	loop->now = clock_mono();

	ev_check_init(&loop->begin, begin);
	ev_set_priority(&loop->begin, EV_MAXPRI);
	ev_prepare_init(&loop->finish, finish);
	ev_set_priority(&loop->finish, EV_MINPRI);
	ev_idle_init(&loop->awake, stay_awake);
	ev_timer_init(&loop->beat, beat, NET_BEAT, NET_BEAT);
	loop->begin.data = loop->finish.data = loop;
	ev_check_start(loop->ev, &loop->begin);
	ev_prepare_start(loop->ev, &loop->finish);
	ev_timer_start(loop->ev, &loop->beat);
	return loop;
}

void net_loop_free(struct net_loop **loop)
{
	struct net_loop *l = *loop;

	if (!l)
		return;
	splice(&l->deferred, &l->next);
	run_deferred(l);
	ev_loop_destroy(l->ev);
	free(l);
	*loop = NULL;
}

void net_loop_run(struct net_loop *loop)
{
	if (!loop->stopped) {
		loop->now = clock_mono();
		ev_run(loop->ev, 0);
	}
	loop->stopped = false;
	run_deferred(loop); /* libev leaves the turn in which it is stopped at once */
}

void net_loop_stop(struct net_loop *loop)
{
	loop->stopped = true;
	ev_break(loop->ev, EVBREAK_ALL);
}

uint64_t net_loop_now(const struct net_loop *loop)
{
	return loop->now;
}

uint64_t net_loop_wall(const struct net_loop *loop)
{
	return (uint64_t)(ev_now(loop->ev) * 1e6);
}

static void enqueue(struct list *queue, struct net_deferred *d)
{
	assert(d->run);
	if (d->queued)
		return;
	d->queued = true;
	list_append(queue, &d->node);
}

void net_loop_defer(struct net_loop *loop, struct net_deferred *d)
{
	enqueue(&loop->deferred, d);
}

void net_loop_defer_next(struct net_loop *loop, struct net_deferred *d)
{
	enqueue(&loop->next, d);
}

void net_deferred_cancel(struct net_deferred *d)
{
	if (!d->queued)
		return;
	d->queued = false;
	list_remove(&d->node);
}

static void timer_fired(struct ev_loop *ev, struct ev_timer *w, int events)
{
	struct net_timer *t = container_of(w, struct net_timer, ev);

	(void)ev, (void)events;
	t->fired(t);
}

void net_timer_init(struct net_timer *t, struct net_loop *loop, void (*fired)(struct net_timer *))
{
	ev_timer_init(&t->ev, timer_fired, 0, 0);
	t->loop = loop;
	t->fired = fired;
}

void net_timer_start(struct net_timer *t, uint64_t after_us)
{
	ev_timer_stop(t->loop->ev, &t->ev);
	ev_timer_set(&t->ev, (double)after_us / 1e6, 0);
	ev_timer_start(t->loop->ev, &t->ev);
}

void net_timer_stop(struct net_timer *t)
{
	ev_timer_stop(t->loop->ev, &t->ev);
}

bool net_timer_is_running(const struct net_timer *t)
{
	return ev_is_active(&t->ev);
}

static void watch_ready(struct ev_loop *ev, struct ev_io *io, int events)
{
	struct net_watch *w = container_of(io, struct net_watch, ev);

	(void)ev;
	w->ready(w, events & (EV_READ | EV_WRITE));
}

void net_watch_init(struct net_watch *w, struct net_loop *loop, int fd,
		    void (*ready)(struct net_watch *, int))
{
	ev_io_init(&w->ev, watch_ready, fd, 0);
	w->loop = loop;
	w->ready = ready;
}

void net_watch_want(struct net_watch *w, int events)
{
	if (ev_is_active(&w->ev) ? w->ev.events == events : events == 0)
		return;
	ev_io_stop(w->loop->ev, &w->ev);
	if (events == 0)
		return;
	ev_io_modify(&w->ev, events);
	ev_io_start(w->loop->ev, &w->ev);
}
