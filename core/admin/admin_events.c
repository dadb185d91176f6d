#include "admin_events.h"

#include "admin_syslog.h"
#include "buf.h"
#include "clock.h"
#include "counter.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY         CLOCK_SECOND
#define PATH          4096
#define WRITES_A_TURN 64 /* datagrams; the rest waits for the next turn */

/*
 *      CLOSED --opened()--> READY --took no more--> BLOCKED --writable--> READY
 *        ^  ^-- retry ---'    |                        |
 *        '------ failed ------+------------------------'
 *
 * CLOSED   has no descriptor; the timer runs, unless the sink is "none".
 * READY    has one; what waits goes out at the end of the turn.
 * BLOCKED  watches it.
 */
enum events_state { EVENTS_CLOSED, EVENTS_READY, EVENTS_BLOCKED };
enum events_kind { EVENTS_NONE, EVENTS_STDOUT, EVENTS_FILE, EVENTS_SYSLOG };

struct admin_events {
	struct net_loop *loop;
	enum events_state state;
	enum events_kind kind;
	char path[PATH]; /* of the file or the log's socket */
	char to[PATH];
	struct admin_syslog syslog;
	int fd;
	int out; /* standard output, opened anew without blocking where that is possible */
	bool out_may_block; /* it was not: small writes, when the kernel says that there is room */
	bool is_said;       /* that it cannot be opened */
	bool is_cut;        /* the first waiting line was written in part */
	struct buf waiting; /* lines with their newlines */
	struct net_watch watch;
	struct net_timer retry;
	struct net_deferred turn;
};

static void set_state(struct admin_events *e, enum events_state state)
{
	if (e->state == EVENTS_BLOCKED && state != EVENTS_BLOCKED)
		net_watch_want(&e->watch, 0);
	e->state = state;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* drop_cut - the rest of a line whose beginning went elsewhere is worth nothing */
static void drop_cut(struct admin_events *e)
{
	struct str rest = buf_str(&e->waiting), line;

	if (e->is_cut && str_take(&rest, '\n', &line))
		buf_take(&e->waiting, line.n + 1);
	e->is_cut = false;
}

static void shut(struct admin_events *e)
{
	set_state(e, EVENTS_CLOSED);
	if (e->fd >= 0 && e->fd != e->out)
		(void)close(e->fd);
	e->fd = -1;
	drop_cut(e);
}

static void fail(struct admin_events *e, const char *what)
{
	if (!e->is_said)
		(void)dprintf(STDERR_FILENO, "moongate: events to %s: %s: %s\n", e->to, what,
			      strerror(errno));
	e->is_said = true;
	shut(e);
	net_timer_start(&e->retry, RETRY);
}

static int open_syslog(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	if (str_copy(to.sun_path, sizeof to.sun_path, str_of(path)) < strlen(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) < 0) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static void ready(struct net_watch *w, int events);

static void open_sink(struct admin_events *e)
{
	assert(e->state == EVENTS_CLOSED);
	switch (e->kind) {
	case EVENTS_NONE:
		buf_fini(&e->waiting);
		return;
	case EVENTS_STDOUT:
		e->fd = e->out;
		break;
	case EVENTS_FILE:
		e->fd = open(e->path,
			     O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
			     0640);
		break;
	case EVENTS_SYSLOG:
		e->fd = open_syslog(e->path);
		break;
	}
	if (e->fd < 0) {
		fail(e, "cannot be opened");
		return;
	}
	e->is_said = false;
	set_state(e, EVENTS_READY);
	net_watch_init(&e->watch, e->loop, e->fd, ready);
	if (buf_len(&e->waiting))
		net_loop_defer(e->loop, &e->turn);
}

/*
 * open_out - standard output may be shared with a shell or another process, so its own flags stay
 * as they are. A pipe or terminal is opened anew; a file is not, since others append to it through
 * the same offset; a socket has MSG_DONTWAIT.
 */
static void open_out(struct admin_events *e)
{
	struct stat st;

	e->out = STDOUT_FILENO;
	if (fstat(STDOUT_FILENO, &st) < 0 || S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode))
		return;
	e->out = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	e->out_may_block = e->out < 0;
	if (e->out < 0)
		e->out = STDOUT_FILENO;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void block(struct admin_events *e)
{
	set_state(e, EVENTS_BLOCKED);
	net_watch_want(&e->watch, EV_WRITE);
}

static bool is_full(int number)
{
	return number == EAGAIN || number == EWOULDBLOCK || number == EINTR || number == ENOBUFS;
}

static ssize_t write_some(struct admin_events *e, struct str s)
{
	ssize_t n = send(e->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 && errno == ENOTSOCK ? write(e->fd, s.p, s.n) : n;
}

static bool may_block(const struct admin_events *e)
{
	return e->out_may_block && e->kind == EVENTS_STDOUT;
}

static void write_stream(struct admin_events *e)
{
	struct str s = buf_str(&e->waiting);
	ssize_t n;

	if (may_block(e))
		s = str_head(s, PIPE_BUF);
	n = write_some(e, s);
	if (n > 0) {
		e->is_cut = s.p[n - 1] != '\n';
		buf_take(&e->waiting, (size_t)n);
	} else if (n == 0 || !is_full(errno)) {
		fail(e, "cannot be written");
		return;
	}
	if (buf_len(&e->waiting))
		block(e);
}

static void write_syslog(struct admin_events *e)
{
	struct str rest = buf_str(&e->waiting), line;

	for (unsigned i = 0; i < WRITES_A_TURN && str_take(&rest, '\n', &line); i++) {
		ssize_t n = admin_syslog_send(&e->syslog, e->fd, line);

		if (n < 0 && is_full(errno))
			break;
		if (n < 0 && errno != EMSGSIZE) {
			fail(e, "cannot be written");
			return;
		}
		if (n < 0)
			counter_add(COUNTER_EVENTS_DROPPED, 1);
		buf_take(&e->waiting, line.n + 1);
		rest = buf_str(&e->waiting);
	}
	if (buf_len(&e->waiting))
		block(e);
}

static void write_out(struct admin_events *e)
{
	if (e->state != EVENTS_READY || buf_len(&e->waiting) == 0)
		return;
	if (e->kind == EVENTS_SYSLOG)
		write_syslog(e);
	else
		write_stream(e);
	buf_shrink(&e->waiting);
}

static void turn_ends(struct net_deferred *d)
{
	struct admin_events *e = container_of(d, struct admin_events, turn);

	if (e->state == EVENTS_READY && may_block(e))
		block(e);
	else
		write_out(e);
}

static void ready(struct net_watch *w, int events)
{
	struct admin_events *e = container_of(w, struct admin_events, watch);

	(void)events;
	set_state(e, EVENTS_READY);
	write_out(e);
}

static void retry_due(struct net_timer *t)
{
	struct admin_events *e = container_of(t, struct admin_events, retry);

	if (e->state == EVENTS_CLOSED)
		open_sink(e);
}

void admin_events_line(struct admin_events *e, struct str line)
{
	if (e->kind == EVENTS_NONE)
		return;
	if (buf_room(&e->waiting) < line.n + 1) {
		counter_add(COUNTER_EVENTS_DROPPED, 1);
		return;
	}
	(void)buf_add(&e->waiting, line);
	(void)buf_byte(&e->waiting, '\n');
	if (e->state == EVENTS_READY)
		net_loop_defer(e->loop, &e->turn);
}

/* ---- choosing ------------------------------------------------------------------------------- */

static void choose(struct admin_events *e, struct str to)
{
	struct str file = STR("file:"), syslog = STR("syslog:");

	(void)str_copy(e->to, sizeof e->to, to);
	e->kind = EVENTS_NONE;
	if (str_eq(to, STR("stdout"))) {
		e->kind = EVENTS_STDOUT;
	} else if (str_has_prefix(to, file)) {
		e->kind = EVENTS_FILE;
		(void)str_copy(e->path, sizeof e->path, str_drop(to, file.n));
	} else if (str_eq(to, STR("syslog")) || str_has_prefix(to, syslog)) {
		e->kind = EVENTS_SYSLOG;
		(void)str_copy(e->path, sizeof e->path,
			       to.n > syslog.n ? str_drop(to, syslog.n) : STR(ADMIN_SYSLOG_PATH));
	}
	open_sink(e);
}

void admin_events_to(struct admin_events *e, struct str to)
{
	if (str_eq(to, str_of(e->to)))
		return;
	net_timer_stop(&e->retry);
	e->is_said = false;
	shut(e);
	choose(e, to);
}

void admin_events_reopen(struct admin_events *e)
{
	if (e->kind != EVENTS_FILE)
		return;
	net_timer_stop(&e->retry);
	e->is_said = false;
	if (e->state == EVENTS_READY)
		write_out(e);
	shut(e);
	open_sink(e);
}

void admin_events_flush(struct admin_events *e)
{
	for (unsigned i = 0;
	     i < WRITES_A_TURN && e->state == EVENTS_READY && !may_block(e) && buf_len(&e->waiting);
	     i++)
		write_out(e);
}

struct admin_events *admin_events_new(struct net_loop *loop, struct str to, struct str hostname)
{
	struct admin_events *e = calloc(1, sizeof *e);

	if (!e)
		abort();
	(void)signal(SIGPIPE, SIG_IGN); /* a reader that left is an error, not our end */
	e->loop = loop;
	e->fd = -1;
	buf_init(&e->waiting, ADMIN_EVENTS_WAITING);
	e->turn.run = turn_ends;
	net_timer_init(&e->retry, loop, retry_due);
	admin_syslog_init(&e->syslog, hostname);
	open_out(e);
	choose(e, to);
	return e;
}

void admin_events_free(struct admin_events **e)
{
	if (!*e)
		return;
	admin_events_flush(*e);
	shut(*e);
	net_timer_stop(&(*e)->retry);
	net_deferred_cancel(&(*e)->turn);
	if ((*e)->out != STDOUT_FILENO)
		(void)close((*e)->out);
	buf_fini(&(*e)->waiting);
	free(*e);
	*e = NULL;
}
