#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "master_upgrade.h"
#include "privilege.h"

extern char **environ;

/* Who talks to whom, and how much may wait in each ring. End A is the first of the pair. */
/* clang-format off */
static const struct pair { enum role_kind a, b; size_t ring; } pairs[] = {
	{ ROLE_EDGE,    ROLE_SPOOL,   4 * 1024 * 1024 },
	{ ROLE_DELIVER, ROLE_SPOOL,   4 * 1024 * 1024 },
	{ ROLE_DELIVER, ROLE_MAILDIR, 1024 * 1024 },
	{ ROLE_SPOOL,   ROLE_CONTROL, 512 * 1024 },
	{ ROLE_EDGE,    ROLE_CONTROL, 512 * 1024 },
	{ ROLE_DELIVER, ROLE_CONTROL, 512 * 1024 },
	{ ROLE_MAILDIR, ROLE_CONTROL, 256 * 1024 },
};
/* clang-format on */

int master_role_tell(struct master_role *r, const struct role_message *message)
{
	struct fault why;

	if (r->state == MASTER_ROLE_DOWN)
		return -1;
	if (role_send(r->link, message, &why) == 0)
		return 0;
	log_fault(LOG_LEVEL_ERROR, "role.stuck", role_name[r->kind], &why);
	kill(r->pid, SIGKILL);
	return -1;
}

void master_tell_all(struct master *m, enum role_kind kind, enum role_word word)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (kind == ROLE_KINDS || m->roles[i].kind == kind)
			(void)master_role_tell(&m->roles[i],
					       &(struct role_message){ .word = word });
}

struct master_role *master_role_find(struct master *m, enum role_kind kind, unsigned index)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].kind == kind && m->roles[i].index == index)
			return &m->roles[i];
	return NULL;
}

bool master_all_ready(const struct master *m)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].state != MASTER_ROLE_READY)
			return false;
	return true;
}

/* ---- channels -------------------------------------------------------------------------------- */

static int give_end(struct master_role *to, const struct master_role *peer,
		    const struct ipc_channel_fds *fds, enum ipc_end end)
{
	struct role_message word = {
		.word = WORD_CHANNEL,
		.peer = { peer->kind, peer->index },
		.a = end,
		.fds = { fds->memory, fds->wake_a, fds->wake_b },
		.nfds = 3,
	};

	return master_role_tell(to, &word);
}

static void connect_pair(struct master_role *a, struct master_role *b, size_t ring)
{
	struct ipc_channel_fds fds;
	struct fault why;

	if (ipc_channel_make(&fds, ring, &why) < 0) {
		log_fault(LOG_LEVEL_ERROR, "channel.failed", role_name[a->kind], &why);
		kill(a->pid, SIGKILL);
		return;
	}
	if (give_end(a, b, &fds, IPC_END_A) == 0)
		(void)give_end(b, a, &fds, IPC_END_B);
	ipc_channel_fds_close(&fds);
}

/*
 * connect_all - a fresh channel to every peer that runs; those that start later connect themselves
 */
static void connect_all(struct master_role *r)
{
	struct master *m = r->master;

	for (unsigned i = 0; i < m->nroles; i++)
		for (size_t p = 0; p < COUNT(pairs); p++) {
			struct master_role *peer = &m->roles[i];

			if (peer == r || peer->state == MASTER_ROLE_DOWN)
				continue;
			if (pairs[p].a == r->kind && pairs[p].b == peer->kind)
				connect_pair(r, peer, pairs[p].ring);
			else if (pairs[p].b == r->kind && pairs[p].a == peer->kind)
				connect_pair(peer, r, pairs[p].ring);
		}
}

/* ---- start ----------------------------------------------------------------------------------- */

static _Noreturn void become(const struct master_role *r, int exe, int link)
{
	char index[12];
	char *const argv[] = { (char *)"moongate", (char *)"role",
			       (char *)(uintptr_t)role_name[r->kind], index, NULL };
	sigset_t none;

	snprintf(index, sizeof index, "%u", r->index);
	if (link == ROLE_LINK_FD)
		fcntl(link, F_SETFD, 0);
	else if (dup2(link, ROLE_LINK_FD) < 0)
		_exit(71);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	privilege_none(); /* the right to bind ports stays with the master */
	fexecve(exe, argv, environ);
	_exit(71);
}

static void give_slab(struct master_role *r)
{
	struct master *m = r->master;
	char names[MASTER_ROLES * 16];
	size_t n = 0;

	for (unsigned i = 0; i < m->nroles; i++)
		n += (size_t)snprintf(names + n, sizeof names - n, "%s %u",
				      role_name[m->roles[i].kind], m->roles[i].index) +
		     1;
	n += (size_t)snprintf(names + n, sizeof names - n, "master 0") + 1;
	(void)master_role_tell(r, &(struct role_message){ .word = WORD_SLAB,
							  .a = r->slot,
							  .b = m->nroles + 1,
							  .text = { names, n },
							  .fds = { m->slab_fd },
							  .nfds = 1 });
}

/* give_secrets - those of now: whoever begins later knows nothing of what is past */
static void give_secrets(struct master_role *edge)
{
	struct role_secrets *s = edge->master->secrets;

	tls_tickets_advance(&s->tickets, clock_mono());
	(void)master_role_tell(edge,
			       &(struct role_message){ .word = WORD_SECRETS,
						       .text = { (const char *)s, sizeof *s } });
}

static void introduce(struct master_role *r)
{
	struct master *m = r->master;
	struct role_message snapshot = { .word = WORD_SNAPSHOT,
					 .a = m->history[0]->number,
					 .fds = { m->history[0]->fd },
					 .nfds = 1 };

	give_slab(r);
	(void)master_role_tell(r, &snapshot);
	master_keys_give(r, m->keys);
	if (r->kind == ROLE_CONTROL && !m->is_held)
		master_listen_give_control(r);
	if (r->kind == ROLE_EDGE)
		give_secrets(r);
	(void)master_role_tell(r, &(struct role_message){ .word = WORD_START,
							  .a = m->announced || !m->is_successor
								       ? MASTER_LOCK
								       : MASTER_LOCK_SUCCESSOR });
	connect_all(r);
}

static void link_ready(struct net_watch *w, int events)
{
	struct master_role *r = container_of(w, struct master_role, watch);
	struct role_message word;
	enum step got;

	(void)events;
	while (r->state != MASTER_ROLE_DOWN && (got = role_receive(r->link, &word)) != STEP_MORE) {
		if (got == STEP_ERROR) { /* its end comes by SIGCHLD */
			net_watch_want(&r->watch, 0);
			kill(r->pid, SIGKILL);
			return;
		}
		master_word(r, &word);
	}
}

static void restart_due(struct net_timer *t)
{
	master_role_start(container_of(t, struct master_role, restart));
}

void master_role_add(struct master *m, enum role_kind kind, unsigned index)
{
	struct master_role *r = &m->roles[m->nroles];

	*r = (struct master_role){ .master = m,
				   .kind = kind,
				   .index = index,
				   .slot = m->nroles++,
				   .pid = -1,
				   .link = -1 };
	net_timer_init(&r->restart, m->loop, restart_due);
}

static void retry_later(struct master_role *r)
{
	uint64_t lived = clock_mono() - r->started_us;

	r->backoff_us = lived > MASTER_STEADY ? 0
			: r->backoff_us       ? 2 * r->backoff_us
					      : CLOCK_SECOND / 20;
	if (r->backoff_us > MASTER_BACKOFF_LONGEST)
		r->backoff_us = MASTER_BACKOFF_LONGEST;
	net_timer_start(&r->restart, r->backoff_us + 1);
}

void master_role_start(struct master_role *r)
{
	int link[2];

	r->started_us = clock_mono();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0) {
		retry_later(r);
		return;
	}
	r->pid = fork();
	if (r->pid == 0)
		become(r, r->master->exe, link[1]);
	close(link[1]);
	if (r->pid < 0) {
		close(link[0]);
		retry_later(r);
		return;
	}
	r->link = link[0];
	r->state = MASTER_ROLE_STARTING;
	r->is_prepared = r->is_idle = r->is_aborted = r->is_leaving = false;
	net_watch_init(&r->watch, r->master->loop, r->link, link_ready);
	net_watch_want(&r->watch, EV_READ);
	introduce(r);
}

/* ---- end ------------------------------------------------------------------------------------- */

static void report_end(const struct master_role *r, int status)
{
	struct json *j = log_open(LOG_LEVEL_ERROR, "role.ended");

	json_str(j, "process", str_of(role_name[r->kind]));
	json_int(j, "number", r->index);
	json_int(j, "pid", r->pid);
	if (WIFSIGNALED(status))
		json_int(j, "signal", WTERMSIG(status));
	else
		json_int(j, "exit", WEXITSTATUS(status));
	json_bool(j, "stalled", r->is_aborted);
	log_close();
}

/* master_role_ended - reaped: replace it, unless we are leaving or it never came up at boot */
void master_role_ended(struct master *m, int pid, int status)
{
	struct master_role *r = NULL;

	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].pid == pid)
			r = &m->roles[i];
	if (!r)
		return;
	if (m->phase != MASTER_STOPPING && !r->is_leaving &&
	    !(m->phase == MASTER_DRAINING && r->is_idle))
		report_end(r, status);
	net_watch_want(&r->watch, 0);
	close(r->link);
	r->link = r->pid = -1;
	r->state = MASTER_ROLE_DOWN;
	master_reload_role_ended(m, r);
	if (r->is_leaving) {
		master_upgrade_on(m);
		if (master_upgrade_keeps_down(r))
			return;
		r->is_leaving = false;
	}
	if (m->is_successor && !m->announced) { /* the old ones are better than ours */
		char text[128];
		int n = snprintf(text, sizeof text, "%s %u of the new program ended\n",
				 role_name[r->kind], r->index);

		master_successor_refuse(m, (struct str){ text, (size_t)n });
		master_stop(m, 70);
	}
	if (m->phase == MASTER_STARTING && !m->announced && r->backoff_us >= CLOCK_SECOND) {
		fprintf(stderr, "moongate: the %s role does not start\n", role_name[r->kind]);
		master_stop(m, 70);
	}
	if (m->phase == MASTER_STOPPING || (m->phase == MASTER_DRAINING && r->is_idle))
		return;
	r->restarts++;
	counter_add(COUNTER_ROLE_RESTARTS, 1);
	retry_later(r);
}

static void abort_stalled(struct master_role *r, uint64_t limit)
{
	uint64_t now = clock_mono();
	uint64_t beat = __atomic_load_n(&r->master->slabs[r->slot].heartbeat, __ATOMIC_RELAXED);

	if (r->state != MASTER_ROLE_READY || beat > now || now - beat < limit ||
	    now - r->started_us < limit)
		return;
	kill(r->pid,
	     r->is_aborted ? SIGKILL : SIGABRT); /* first with a stack trace, then for certain */
	r->is_aborted = true;
}

void master_role_watchdog(struct master *m)
{
	for (unsigned i = 0; i < m->nroles; i++)
		abort_stalled(&m->roles[i], m->history[0]->settings.watchdog);
}
