/*
 * The old master's side of an upgrade (the new one's: master_successor.c).
 *
 *      NONE -USR2-> PROVING -PROVED-> GRACE -> DRAINING -> STOPPING -> SETTLING -> RELEASING
 *                      |                                                              |
 *                      | FAILED, ended, late      (the same in each later stage)      v
 *                      v                                                           AWAITING
 *                    NONE  <- RETURNING <---- FAILED, ended, late -------------------+ |
 *                  (nothing has changed)  (roles that left are started again)          | SERVING
 *                                                                                      v
 *                                                                            MAINPID, and we leave
 *
 * PROVING    the successor runs, with our listening sockets: it loads, starts its roles, and its
 *            spool waits for our lock. We serve as ever.
 * GRACE      its edges accept, ours do not; ours let their sessions go on, deliver finishes.
 * DRAINING   who is at rest is told to come again; who is in a transaction may end it.
 * STOPPING   edges and deliver end.
 * SETTLING   the spool reads what they still sent.
 * RELEASING  the spool flushes, closes, and with its end the lock is free.
 * AWAITING   the successor's spool recovers.
 *
 * What a stage waits for may be there already: it is then passed at once.
 */
#define _GNU_SOURCE
#include "master_upgrade.h"

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
#include "notify.h"
#include "privilege.h"

#define PROVING   (60 * CLOCK_SECOND)
#define GRACE     (2 * CLOCK_SECOND)
#define DRAINING  (3 * CLOCK_SECOND)
#define SETTLING  (1 * CLOCK_SECOND)
#define AWAITING  (60 * CLOCK_SECOND) /* a full spool is recovered in ten */
#define RETURNING (5 * CLOCK_SECOND)

enum upgrade_stage {
	UPGRADE_NONE,
	UPGRADE_PROVING,
	UPGRADE_GRACE,
	UPGRADE_DRAINING,
	UPGRADE_STOPPING,
	UPGRADE_SETTLING,
	UPGRADE_RELEASING,
	UPGRADE_AWAITING,
	UPGRADE_DONE,
	UPGRADE_RETURNING,
};

struct master_upgrade {
	struct master *master;
	enum upgrade_stage stage;
	int pid, link;
	bool is_serving; /* the successor */
	bool has_asker;
	uint64_t tag, began_us;
	struct net_watch watch;
	struct net_timer deadline;
	struct net_deferred gone_on;
};

static void enter(struct master_upgrade *u, enum upgrade_stage stage);
static void roll_back(struct master_upgrade *u, struct str why);

/* ---- what the stages do ---------------------------------------------------------------------- */

static bool is_peer(const struct master_role *r)
{
	return r->kind == ROLE_EDGE || r->kind == ROLE_DELIVER;
}

static bool is_spool(const struct master_role *r)
{
	return r->kind == ROLE_SPOOL;
}

static bool is_leaving(const struct master_role *r)
{
	return r->is_leaving;
}

typedef bool role_test(const struct master_role *r);

static void tell(struct master *m, role_test *whom, enum role_word word, uint64_t a)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (whom(&m->roles[i]))
			(void)master_role_tell(&m->roles[i],
					       &(struct role_message){ .word = word, .a = a });
}

static void kill_all(struct master *m, role_test *whom)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (whom(&m->roles[i]) && m->roles[i].pid > 0)
			kill(m->roles[i].pid, SIGKILL);
}

static bool are_down(const struct master *m, role_test *whom)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (whom(&m->roles[i]) && m->roles[i].state != MASTER_ROLE_DOWN)
			return false;
	return true;
}

static bool are_idle(const struct master *m, role_test *whom)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (whom(&m->roles[i]) && m->roles[i].state != MASTER_ROLE_DOWN &&
		    !m->roles[i].is_idle)
			return false;
	return true;
}

static void begin_grace(struct master *m)
{
	struct master_role *control = master_role_find(m, ROLE_CONTROL, 0);

	for (unsigned i = 0; i < m->nroles; i++)
		if (is_peer(&m->roles[i]) || is_spool(&m->roles[i])) {
			m->roles[i].is_leaving = true;
			net_timer_stop(&m->roles[i].restart);
		}
	if (control)
		(void)master_role_tell(control, &(struct role_message){ .word = WORD_LISTENER_GONE,
									.text = STR("control") });
	tell(m, is_leaving, WORD_DRAIN, 1);
}

static void begin_draining(struct master *m)
{
	tell(m, is_peer, WORD_DRAIN, 0);
}

static bool peers_are_idle(const struct master *m)
{
	return are_idle(m, is_peer);
}

static void begin_stopping(struct master *m)
{
	tell(m, is_peer, WORD_STOP, 0);
}

static bool peers_are_down(const struct master *m)
{
	return are_down(m, is_peer);
}

static void kill_peers(struct master *m)
{
	kill_all(m, is_peer);
}

static void begin_settling(struct master *m)
{
	tell(m, is_spool, WORD_DRAIN, 0);
}

static bool spool_is_idle(const struct master *m)
{
	return are_idle(m, is_spool);
}

static void begin_releasing(struct master *m)
{
	tell(m, is_spool, WORD_STOP, 0);
}

static bool spool_is_down(const struct master *m)
{
	return are_down(m, is_spool);
}

static void kill_spool(struct master *m)
{
	kill_all(m, is_spool);
}

static bool is_taken_over(const struct master *m)
{
	return m->upgrade->is_serving;
}

/*
 * begin_returning - those that left come again. Those that drain cannot turn round: they end when
 * they are idle, and come again too; the spool at once, which its peers bridge as after a crash
 */
static void begin_returning(struct master *m)
{
	struct master_role *control = master_role_find(m, ROLE_CONTROL, 0);

	for (unsigned i = 0; i < m->nroles; i++) {
		struct master_role *r = &m->roles[i];

		if (r->is_leaving && r->state == MASTER_ROLE_DOWN)
			master_role_start(r);
		else if (r->is_leaving && (r->is_idle || is_spool(r)))
			(void)master_role_tell(r, &(struct role_message){ .word = WORD_STOP });
	}
	if (control)
		master_listen_give_control(control);
}

static bool nobody_leaves(const struct master *m)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].is_leaving)
			return false;
	return true;
}

static void stop_leaving(struct master *m)
{
	tell(m, is_leaving, WORD_STOP, 0);
}

static void too_late(struct master *m)
{
	roll_back(m->upgrade, STR("the new program was not ready in time\n"));
}

/* late NULL: then the next stage all the same */
/* clang-format off */
static const struct stage {
	const char *name;
	uint64_t longest;
	void (*begin)(struct master *);
	bool (*is_over)(const struct master *);
	void (*late)(struct master *);
	enum upgrade_stage next;
} stages[] = {
	[UPGRADE_NONE]      = { "none",      0,           NULL,            NULL,           NULL,         UPGRADE_NONE },
	[UPGRADE_PROVING]   = { "proving",   PROVING,     NULL,            NULL,           too_late,     UPGRADE_GRACE },
	[UPGRADE_GRACE]     = { "grace",     GRACE,       begin_grace,     peers_are_idle, NULL,         UPGRADE_DRAINING },
	[UPGRADE_DRAINING]  = { "draining",  DRAINING,    begin_draining,  peers_are_idle, NULL,         UPGRADE_STOPPING },
	[UPGRADE_STOPPING]  = { "stopping",  MASTER_STOP, begin_stopping,  peers_are_down, kill_peers,   UPGRADE_SETTLING },
	[UPGRADE_SETTLING]  = { "settling",  SETTLING,    begin_settling,  spool_is_idle,  NULL,         UPGRADE_RELEASING },
	[UPGRADE_RELEASING] = { "releasing", MASTER_STOP, begin_releasing, spool_is_down,  kill_spool,   UPGRADE_AWAITING },
	[UPGRADE_AWAITING]  = { "awaiting",  AWAITING,    NULL,            is_taken_over,  too_late,     UPGRADE_DONE },
	[UPGRADE_DONE]      = { "done",      0,           NULL,            NULL,           NULL,         UPGRADE_DONE },
	[UPGRADE_RETURNING] = { "returning", RETURNING,   begin_returning, nobody_leaves,  stop_leaving, UPGRADE_NONE },
};
/* clang-format on */

/* ---- outcome --------------------------------------------------------------------------------- */

static void answer(struct master_upgrade *u, unsigned code, struct str text)
{
	if (u->has_asker)
		master_answer(u->master, u->tag, code, text);
	u->has_asker = false;
}

static void forget_successor(struct master_upgrade *u)
{
	if (u->link >= 0) {
		net_watch_want(&u->watch, 0);
		close(u->link);
	}
	u->link = -1;
}

/* roll_back - the successor ends, and with it its roles; ours go on, or come again */
static void roll_back(struct master_upgrade *u, struct str why)
{
	struct json *j = log_open(LOG_LEVEL_ERROR, "upgrade.rolled_back");
	char copy[ROLE_TEXT];
	size_t n = str_copy(copy, sizeof copy, why);

	json_str(j, "stage", str_of(stages[u->stage].name));
	json_str(j, "program", str_of(u->master->program));
	json_str(j, "why", str_trim((struct str){ copy, n }));
	log_close();
	forget_successor(u);
	if (u->pid > 0)
		kill(u->pid, SIGKILL);
	u->pid = -1;
	enter(u, u->stage == UPGRADE_PROVING ? UPGRADE_NONE : UPGRADE_RETURNING);
	answer(u, 75, (struct str){ copy, n });
}

static void succeed(struct master_upgrade *u)
{
	struct master *m = u->master;
	struct json *j = log_open(LOG_LEVEL_INFO, "upgrade.done");
	char text[128];
	int n;

	json_str(j, "program", str_of(m->program));
	json_int(j, "pid", u->pid);
	json_int(j, "ms", (int64_t)((clock_mono() - u->began_us) / 1000));
	log_close();
	n = snprintf(text, sizeof text, "MAINPID=%d\n", u->pid);
	notify(text);
	n = snprintf(text, sizeof text, "process %d serves now\n", u->pid);
	answer(u, 0, (struct str){ text, (size_t)n });
	m->is_succeeded = true;
	master_stop(m, 0);
}

/* ---- from stage to stage --------------------------------------------------------------------- */

static void enter(struct master_upgrade *u, enum upgrade_stage stage)
{
	const struct stage *s = &stages[stage];

	u->stage = stage;
	net_timer_stop(&u->deadline);
	if (s->longest)
		net_timer_start(&u->deadline, s->longest);
	if (s->begin)
		s->begin(u->master);
	if (stage == UPGRADE_DONE)
		succeed(u);
	master_upgrade_on(u->master);
}

/* go_on - not inside the call that told us: a word may pass several stages */
static void go_on(struct net_deferred *d)
{
	struct master_upgrade *u = container_of(d, struct master_upgrade, gone_on);
	const struct stage *s = &stages[u->stage];

	if (s->is_over && s->is_over(u->master))
		enter(u, s->next);
}

void master_upgrade_on(struct master *m)
{
	if (m->upgrade)
		net_loop_defer(m->loop, &m->upgrade->gone_on);
}

static void deadline_passed(struct net_timer *t)
{
	struct master_upgrade *u = container_of(t, struct master_upgrade, deadline);
	const struct stage *s = &stages[u->stage];

	if (!s->late) {
		enter(u, s->next);
		return;
	}
	net_timer_start(t, s->longest);
	s->late(u->master);
}

/* ---- the successor --------------------------------------------------------------------------- */

static void heard(struct master_upgrade *u, const struct role_message *word)
{
	for (unsigned i = 0; i < word->nfds; i++) /* it gives us none */
		close(word->fds[i]);
	if (word->word == WORD_PROVED && u->stage == UPGRADE_PROVING) {
		(void)role_send(u->link, &(struct role_message){ .word = WORD_ACCEPT }, NULL);
		enter(u, UPGRADE_GRACE);
	} else if (word->word == WORD_SERVING) {
		u->is_serving = true;
		master_upgrade_on(u->master);
	} else if (word->word == WORD_REFUSED) {
		roll_back(u, word->text);
	}
}

static void link_ready(struct net_watch *w, int events)
{
	struct master_upgrade *u = container_of(w, struct master_upgrade, watch);
	struct role_message word;
	enum step got;

	(void)events;
	while (u->link >= 0 && (got = role_receive(u->link, &word)) != STEP_MORE) {
		if (got == STEP_ERROR) { /* its end comes by SIGCHLD, with its reason */
			net_watch_want(w, 0);
			return;
		}
		heard(u, &word);
	}
}

/* master_upgrade_reaped - true: it was the successor, which ended although nobody told it to */
bool master_upgrade_reaped(struct master *m, int pid, int status)
{
	struct master_upgrade *u = m->upgrade;
	char text[128];
	int n;

	if (!u || pid != u->pid)
		return false;
	u->pid = -1;
	link_ready(&u->watch, EV_READ); /* what it said before it ended */
	if (u->stage == UPGRADE_NONE || u->stage == UPGRADE_RETURNING)
		return true;
	n = snprintf(text, sizeof text, "the new program ended, %s %d, before it was ready\n",
		     WIFSIGNALED(status) ? "by signal" : "exit",
		     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	roll_back(u, (struct str){ text, (size_t)n });
	return true;
}

/* become - the new program, by its path: what lies there now */
static _Noreturn void become(const struct master *m, int link)
{
	char *const argv[] = { (char *)(uintptr_t)m->program, (char *)"-c",
			       (char *)(uintptr_t)m->settings_path, (char *)"successor", NULL };
	struct fault why;
	sigset_t none;

	if (link == ROLE_LINK_FD)
		fcntl(link, F_SETFD, 0);
	else if (dup2(link, ROLE_LINK_FD) < 0)
		_exit(71);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	privilege_bequeath();
	execve(m->program, argv, environ);
	fault_sys(&why, "cannot execute %s", m->program);
	(void)role_send(ROLE_LINK_FD,
			&(struct role_message){ .word = WORD_REFUSED, .text = str_of(why.text) },
			NULL);
	_exit(71);
}

static int bequeath(const struct master *m, int link, struct fault *why)
{
	const struct settings *s = &m->history[0]->settings;
	struct role_message word = { .word = WORD_HERITAGE, .nfds = 1 };

	for (unsigned i = 0; i < m->nlisteners; i++) {
		word.text = str_of(m->listeners[i].address);
		word.fds[0] = m->listeners[i].fd;
		if (role_send(link, &word, why) < 0)
			return -1;
	}
	word.text = s->control;
	word.fds[0] = m->control_fd;
	word.a = 1;
	if (role_send(link, &word, why) < 0)
		return -1;
	return role_send(
		link,
		&(struct role_message){ .word = WORD_BEGIN, .a = m->next_number, .text = s->spool },
		why);
}

static int spawn(struct master_upgrade *u, struct fault *why)
{
	struct master *m = u->master;
	int link[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		return fault_sys(why, "socket pair of the successor");
	if (bequeath(m, link[0], why) < 0)
		goto out;
	u->pid = fork();
	if (u->pid == 0)
		become(m, link[1]);
	if (u->pid < 0) {
		fault_sys(why, "fork the successor");
		goto out;
	}
	close(link[1]);
	u->link = link[0];
	net_watch_init(&u->watch, m->loop, u->link, link_ready);
	net_watch_want(&u->watch, EV_READ);
	return 0;
out:
	close(link[0]);
	close(link[1]);
	return -1;
}

/* ---- begin ----------------------------------------------------------------------------------- */

bool master_upgrade_runs(const struct master *m)
{
	return m->upgrade && m->upgrade->stage != UPGRADE_NONE;
}

const char *master_upgrade_stage(const struct master *m)
{
	return stages[m->upgrade ? m->upgrade->stage : UPGRADE_NONE].name;
}

static struct master_upgrade *upgrade_of(struct master *m)
{
	struct master_upgrade *u = m->upgrade;

	if (u)
		return u;
	u = m->upgrade = calloc(1, sizeof *u);
	if (!u)
		abort();
	u->master = m;
	u->link = u->pid = -1;
	u->gone_on.run = go_on;
	net_timer_init(&u->deadline, m->loop, deadline_passed);
	return u;
}

void master_upgrade_begin(struct master *m, uint64_t tag, bool has_asker)
{
	struct master_upgrade *u = upgrade_of(m);
	struct fault why = { 0 };

	if (m->phase != MASTER_SERVING || master_reload_runs(m) || u->stage != UPGRADE_NONE ||
	    u->pid > 0) {
		if (has_asker)
			master_answer(m, tag, 75, STR("not now; try again\n"));
		return;
	}
	u->tag = tag;
	u->has_asker = has_asker;
	u->is_serving = false;
	u->began_us = clock_mono();
	json_str(log_open(LOG_LEVEL_INFO, "upgrade.begun"), "program", str_of(m->program));
	log_close();
	enter(u, UPGRADE_PROVING);
	if (spawn(u, &why) < 0)
		roll_back(u, str_of(why.text));
}

void master_upgrade_cancel(struct master *m)
{
	struct master_upgrade *u = m->upgrade;

	if (master_upgrade_runs(m) && u->stage != UPGRADE_DONE && u->stage != UPGRADE_RETURNING)
		roll_back(u, STR("the gateway is about to stop\n"));
}

/* master_upgrade_idle - drained */
void master_upgrade_idle(struct master_role *r)
{
	struct master_upgrade *u = r->master->upgrade;

	if (u && u->stage == UPGRADE_RETURNING && r->is_leaving)
		(void)master_role_tell(r, &(struct role_message){ .word = WORD_STOP });
	master_upgrade_on(r->master);
}

/* master_upgrade_keeps_down - a role that left for the successor's: not to be started again */
bool master_upgrade_keeps_down(const struct master_role *r)
{
	return r->is_leaving && r->master->upgrade->stage != UPGRADE_RETURNING;
}
