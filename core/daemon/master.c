#define _GNU_SOURCE
#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "loader.h"
#include "log.h"
#include "master_upgrade.h"
#include "notify.h"
#include "privilege.h"
#include "rnd.h"

#define ERRORS_MAX     (256 * 1024)
#define LISTEN_TRIES   1000
#define LISTEN_WAIT_MS 5

const char *const master_phase_name[] = {
	[MASTER_STARTING] = "starting",
	[MASTER_SERVING] = "serving",
	[MASTER_DRAINING] = "draining",
	[MASTER_STOPPING] = "stopping",
};

/* ---- events ---------------------------------------------------------------------------------- */

static bool event_to_control(void *owner, struct str line)
{
	struct master *m = owner;
	struct master_role *control = master_role_find(m, ROLE_CONTROL, 0);

	if (control && control->state == MASTER_ROLE_READY)
		return role_send(
			       control->link,
			       &(struct role_message){ .word = WORD_EVENT, .text = str_trim(line) },
			       NULL) == 0;
	return dprintf(STDERR_FILENO, "%.*s", STR_ARG(line)) > 0;
}

/* ---- phases ---------------------------------------------------------------------------------- */

/*
 * master_ready - a role became ready. An edge greets at once: what comes before the spool is there
 * waits for it with its reply, and after a crash of ours that is soon. All are ready: say so.
 */
void master_ready(struct master_role *r)
{
	struct master *m = r->master;

	if (r->kind == ROLE_EDGE && !m->is_held)
		master_listen_give(m, r);
	master_successor_ready(m);
	master_announce(m);
}

void master_announce(struct master *m)
{
	if (m->announced || m->is_held || m->phase != MASTER_STARTING || !master_all_ready(m))
		return;
	m->announced = true;
	m->phase = MASTER_SERVING;
	dprintf(STDERR_FILENO, "moongate: ready\n");
	notify("READY=1\nSTATUS=serving\n");
	master_successor_serving(m);
	master_kept_say(m);
	if (!m->refusal_n)
		master_keep(m);
}

static bool any_alive(const struct master *m)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].pid > 0)
			return true;
	return false;
}

void master_stop(struct master *m, int exit_code)
{
	if (m->phase == MASTER_STOPPING)
		return;
	master_upgrade_cancel(m);
	m->phase = MASTER_STOPPING;
	m->exit_code = exit_code;
	if (!m->is_succeeded)
		notify("STOPPING=1\n");
	for (unsigned i = 0; i < m->nroles; i++)
		net_timer_stop(&m->roles[i].restart);
	master_tell_all(m, ROLE_KINDS, WORD_STOP);
	net_timer_start(&m->deadline, MASTER_STOP);
	if (!any_alive(m))
		net_loop_stop(m->loop);
}

static bool all_idle(const struct master *m, enum role_kind kind)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].kind == kind && m->roles[i].state != MASTER_ROLE_DOWN &&
		    !m->roles[i].is_idle)
			return false;
	return true;
}

/* drain_on - edges first, then deliver; the spool and the rest only flush, which STOP does */
static void drain_on(struct master *m)
{
	if (m->phase != MASTER_DRAINING || !all_idle(m, m->draining))
		return;
	if (m->draining == ROLE_EDGE) {
		m->draining = ROLE_DELIVER;
		master_tell_all(m, ROLE_DELIVER, WORD_DRAIN);
		drain_on(m);
	} else {
		master_stop(m, 0);
	}
}

void master_drain(struct master *m)
{
	if (m->phase >= MASTER_DRAINING)
		return;
	master_upgrade_cancel(m);
	m->phase = MASTER_DRAINING;
	m->draining = ROLE_EDGE;
	for (unsigned i = 0; i < m->nlisteners; i++)
		close(m->listeners[i].fd);
	m->nlisteners = 0;
	notify("STOPPING=1\nSTATUS=draining\n");
	master_tell_all(m, ROLE_EDGE, WORD_DRAIN);
	net_timer_start(&m->deadline, m->history[0]->settings.drain);
	drain_on(m);
}

static void deadline_passed(struct net_timer *t)
{
	struct master *m = container_of(t, struct master, deadline);

	if (m->phase == MASTER_DRAINING) {
		master_stop(m, 0);
		return;
	}
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].pid > 0)
			kill(m->roles[i].pid, SIGKILL);
}

static void every_second(struct net_timer *t)
{
	struct master *m = container_of(t, struct master, tick);

	counter_beat(clock_mono());
	master_role_watchdog(m);
	net_timer_start(t, CLOCK_SECOND);
}

/* ---- words and signals ----------------------------------------------------------------------- */

void master_word(struct master_role *r, const struct role_message *word)
{
	struct master *m = r->master;
	struct master_role *peer;

	for (unsigned i = 0; i < word->nfds; i++) /* nobody sends us any */
		close(word->fds[i]);
	if (word->word == WORD_READY) {
		r->state = MASTER_ROLE_READY;
		master_ready(r);
	} else if (word->word == WORD_WAITING) {
		r->state = MASTER_ROLE_WAITING;
		master_successor_ready(m);
	} else if (word->word == WORD_IDLE) {
		r->is_idle = true;
		drain_on(m);
		master_upgrade_idle(r);
	} else if (word->word == WORD_PREPARED || (word->word == WORD_FAILED && word->a)) {
		master_reload_word(r, word);
	} else if (word->word == WORD_FAILED) {
		dprintf(STDERR_FILENO, "moongate: %s %u: %.*s\n", role_name[r->kind], r->index,
			STR_ARG(word->text));
		master_successor_refuse(m, word->text);
	} else if (word->word == WORD_REQUEST && r->kind == ROLE_CONTROL) {
		master_request(m, word);
	} else if (word->word == WORD_BROKEN) {
		peer = master_role_find(m, word->peer.kind, word->peer.index);
		if (peer && peer->pid > 0)
			kill(peer->pid, SIGKILL);
	}
}

static void reap(struct master *m)
{
	int status, pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!master_upgrade_reaped(m, pid, status) && !master_keep_reaped(m, pid, status))
			master_role_ended(m, pid, status);
	drain_on(m);
	if (m->phase == MASTER_STOPPING && !any_alive(m))
		net_loop_stop(m->loop);
}

static void signalled(struct net_watch *w, int events)
{
	struct master *m = container_of(w, struct master, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(w->ev.fd, &info, sizeof info) == sizeof info)
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(m);
			break;
		case SIGHUP:
			master_reload_begin(m, 0, false);
			break;
		case SIGTERM:
			master_drain(m);
			break;
		case SIGINT:
			master_stop(m, 0);
			break;
		case SIGUSR1:
			master_tell_all(m, ROLE_CONTROL, WORD_REOPEN);
			break;
		case SIGUSR2:
			master_upgrade_begin(m, 0, false);
			break;
		}
}

static int watch_signals(struct master *m, struct fault *why)
{
	static const int wanted[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2 };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNT(wanted); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return fault_sys(why, "signalfd");
	net_watch_init(&m->signals, m->loop, fd, signalled);
	net_watch_want(&m->signals, EV_READ);
	return 0;
}

/* ---- boot ------------------------------------------------------------------------------------ */

/* load - the first snapshot, in a child of its own like every later one: the master runs no Lua */
static int load(struct master *m, const char *last_known_good, struct fault *why)
{
	struct buf errors;
	int pid, fd, memory, rc = -1;

	fd = loader_spawn(m->settings_path, m->secrets->key, &pid, why);
	if (fd < 0)
		return -1;
	buf_init(&errors, ERRORS_MAX);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue; /* its one message fits the socket's buffer: it ends by itself */
	memory = loader_collect(fd, &errors);
	close(fd);
	if (memory >= 0) {
		m->history[0] = master_snapshot_take(memory, m->next_number++, why);
	} else { /* all of them, which no fault has room for */
		dprintf(STDERR_FILENO, "%.*s", STR_ARG(buf_str(&errors)));
		master_successor_refuse(m, buf_str(&errors));
		if (last_known_good)
			(void)master_kept_take(m, last_known_good, buf_str(&errors), why);
	}
	buf_fini(&errors);
	if (m->history[0])
		rc = 0;
	return rc;
}

static int share_counters(struct master *m, struct fault *why)
{
	size_t n = (m->nroles + 1) * sizeof *m->slabs;

	m->slab_fd = memfd_create("moongate-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->slab_fd < 0 || ftruncate(m->slab_fd, (off_t)n) < 0 ||
	    fcntl(m->slab_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return fault_sys(why, "memory for counters");
	m->slabs = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, m->slab_fd, 0);
	if (m->slabs == MAP_FAILED)
		return fault_sys(why, "memory for counters");
	counter_attach(m->slabs + m->nroles);
	return 0;
}

static void add_roles(struct master *m)
{
	const struct settings *s = &m->history[0]->settings;

	master_role_add(m, ROLE_CONTROL, 0);
	master_role_add(m, ROLE_SPOOL, 0);
	master_role_add(m, ROLE_MAILDIR, 0);
	for (unsigned i = 0; i < s->delivers; i++)
		master_role_add(m, ROLE_DELIVER, i);
	for (unsigned i = 0; i < s->edges; i++)
		master_role_add(m, ROLE_EDGE, i);
}

/*
 * listen_patiently - after a crash the roles of our predecessor may hold the sockets for a moment
 */
static int listen_patiently(struct master *m, const struct settings *s, struct fault *why)
{
	unsigned tries = m->is_successor ? 1 : LISTEN_TRIES; /* that one hands them over */

	for (unsigned i = 0; i < tries; i++) {
		if (master_listen_open(m, s, why) == 0 && master_listen_control(m, s, why) == 0)
			return 0;
		(void)poll(NULL, 0, LISTEN_WAIT_MS);
	}
	return -1;
}

static int boot(struct master *m, const struct master_options *o, struct fault *why)
{
	const struct settings *s;

	m->exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (m->exe < 0)
		return fault_sys(why, "cannot open our own program");
	if (m->is_successor && master_successor_inherit(m, why) < 0)
		return -1;
	if (load(m, o->last_known_good, why) < 0)
		return -1;
	s = &m->history[0]->settings;
	if (m->is_successor && master_successor_check(m, s, why) < 0)
		return -1;
	if (master_keys_read(m, s, why) < 0 || privilege_prepare(s, why) < 0 ||
	    listen_patiently(m, s, why) < 0 || privilege_drop(s, why) < 0)
		return -1;
	master_keys_commit(m);
	master_listen_commit(m, s);
	if (watch_signals(m, why) < 0)
		return -1;
	add_roles(m);
	return share_counters(m, why);
}

static void leave(struct master *m)
{
	for (unsigned i = 0; i < MASTER_HISTORY; i++)
		master_snapshot_free(&m->history[i]);
	master_keys_abort(m);
	spool_keys_free(&m->keys);
	for (unsigned i = 0; i < m->nlisteners; i++)
		close(m->listeners[i].fd);
}

/*
 * allow_descriptors - a connection is one, and so is a big message in the queue; the usual limit of
 * 1024 is there for select(), which nobody calls here
 */
static void allow_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* find_program - where the next version will lie: as we were called, or where we lie now */
static void find_program(struct master *m, const char *program)
{
	ssize_t n;

	if (strchr(program, '/')) {
		str_copy(m->program, sizeof m->program, str_of(program));
		return;
	}
	n = readlink("/proc/self/exe", m->program, sizeof m->program - 1);
	m->program[n > 0 ? n : 0] = '\0';
}

int master_serve(const struct master_options *o)
{
	static struct master m;
	struct fault why = { 0 };

	m = (struct master){ .settings_path = o->settings_path,
			     .is_successor = o->is_successor,
			     .is_held = o->is_successor,
			     .next_number = 1,
			     .control_fd = -1,
			     .started_us = clock_wall() };
	find_program(&m, o->program);
	allow_descriptors();
	rnd_init();
	m.secrets = sodium_malloc(sizeof *m.secrets);
	if (!m.secrets)
		abort();
	rnd_fill(m.secrets->key, sizeof m.secrets->key);
	tls_tickets_init(&m.secrets->tickets, clock_mono());
	log_init("master", 0, LOG_LEVEL_INFO);
	m.loop = net_loop_new();
	net_timer_init(&m.tick, m.loop, every_second);
	net_timer_init(&m.deadline, m.loop, deadline_passed);
	if (boot(&m, o, &why) < 0) {
		if (why.text[0]) {
			dprintf(STDERR_FILENO, "moongate: %s\n", why.text);
			master_successor_refuse(&m, str_of(why.text));
		}
		leave(&m);
		return 78;
	}
	log_sink(event_to_control, &m);
	for (unsigned i = 0; i < m.nroles; i++)
		master_role_start(&m.roles[i]);
	if (m.is_successor)
		master_successor_watch(&m);
	every_second(&m.tick);
	net_loop_run(m.loop);
	leave(&m);
	return m.exit_code;
}
