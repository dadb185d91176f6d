#define _GNU_SOURCE /* accept4 */

#include "net_listen.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "counter.h"
#include "log.h"

struct net_listen {
	struct net_loop *loop;
	struct net_watch watch;
	struct net_timer rest; /* runs while descriptors or memory are short */
	struct net_deferred death;
	void (*accepted)(void *owner, int fd);
	void *owner;
	bool is_paused, is_closed;
};

/*
 * clear_stale - a socket's path outlives a process that was killed; one that somebody listens on
 * is not touched
 */
static int clear_stale(const struct net_address *at, struct fault *why)
{
	const char *path = at->u.un.sun_path;
	struct stat st;
	int fd, rc = -1;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fault_sys(why, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return fault_set(why, "%s is in the way, and is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fault_sys(why, "no socket to try %s", path);
	if (connect(fd, &at->u.any, at->n) == 0 || errno != ECONNREFUSED) {
		fault_set(why, "another process listens on %s", path);
		goto out;
	}
	if (unlink(path) < 0 && errno != ENOENT) {
		fault_sys(why, "cannot remove %s", path);
		goto out;
	}
	rc = 0;
out:
	close(fd);
	return rc;
}

/*
 * set_options - an accepted socket inherits TCP_NODELAY. One listener is one family, so that
 * 0.0.0.0 and [::] go together.
 */
static int set_options(int fd, sa_family_t family, struct fault *why)
{
	int on = 1;

	if (family == AF_UNIX)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
	    (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0))
		return fault_sys(why, "cannot set the options of a listening socket");
	return 0;
}

int net_listen_open(const struct net_address *at, struct fault *why)
{
	sa_family_t family = at->u.any.sa_family;
	char text[NET_ADDRESS_TEXT];
	int fd;

	if (family == AF_UNIX && clear_stale(at, why) < 0)
		return -1;
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fault_sys(why, "no socket for %s", net_address_text(at, text));
	if (set_options(fd, family, why) < 0)
		goto failed;
	if (bind(fd, &at->u.any, at->n) < 0 || listen(fd, NET_BACKLOG) < 0) {
		fault_sys(why, "cannot listen on %s", net_address_text(at, text));
		goto failed;
	}
	return fd;
failed:
	close(fd);
	return -1;
}

static void update(struct net_listen *l)
{
	net_watch_want(&l->watch, l->is_paused || net_timer_is_running(&l->rest) ? 0 : EV_READ);
}

/* take_breath - trying again at once would only spin: the connections wait in the kernel's queue */
static void take_breath(struct net_listen *l)
{
	struct fault why;

	fault_sys(&why, "cannot accept");
	counter_add(COUNTER_SESSIONS_SHED, 1);
	log_fault(LOG_LEVEL_WARN, "net.accept", "descriptors or memory are short; pausing", &why);
	net_timer_start(&l->rest, NET_ACCEPT_REST);
	update(l);
}

/*
 * is_its_own - the error belongs to the connection that was to be accepted (accept(2), "Error
 * handling")
 */
static bool is_its_own(int error)
{
	return error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM;
}

static void ready(struct net_watch *w, int events)
{
	struct net_listen *l = container_of(w, struct net_listen, watch);

	(void)events;
	for (unsigned i = 0; i < NET_ACCEPTS && !l->is_paused && !l->is_closed; i++) {
		int fd = accept4(w->ev.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->accepted(l->owner, fd);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (!is_its_own(errno)) {
			take_breath(l);
			break;
		}
	}
}

static void rested(struct net_timer *t)
{
	update(container_of(t, struct net_listen, rest));
}

static void bury(struct net_deferred *d)
{
	free(container_of(d, struct net_listen, death));
}

struct net_listen *net_listen_new(struct net_loop *loop, int fd,
				  void (*accepted)(void *owner, int fd), void *owner)
{
	struct net_listen *l = calloc(1, sizeof *l);

	if (!l)
		abort();
	l->loop = loop;
	l->accepted = accepted;
	l->owner = owner;
	l->death.run = bury;
	net_watch_init(&l->watch, loop, fd, ready);
	net_timer_init(&l->rest, loop, rested);
	update(l);
	return l;
}

void net_listen_pause(struct net_listen *l)
{
	l->is_paused = true;
	update(l);
}

void net_listen_resume(struct net_listen *l)
{
	l->is_paused = false;
	update(l);
}

void net_listen_close(struct net_listen **owned)
{
	struct net_listen *l = *owned;

	*owned = NULL;
	if (!l)
		return;
	l->is_closed = true;
	net_watch_want(&l->watch, 0);
	net_timer_stop(&l->rest);
	close(l->watch.ev.fd);
	net_loop_defer(l->loop, &l->death);
}
