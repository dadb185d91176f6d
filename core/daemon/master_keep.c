/*
 * The committed snapshot goes to disk in a child: a sync takes as long as it takes, and the master
 * never waits. One child at a time; a commit meanwhile is kept when it has ended.
 */
#define _GNU_SOURCE /* SYS_close_range */
#include "master.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "snapshot_keep.h"

#define SNAPSHOT_FD 3

/* child - holds nothing of the master's but the snapshot: a listener that was closed is closed */
static _Noreturn void child(const struct master *m)
{
	char path[4096];
	struct fault why;

	if (m->history[0]->fd != SNAPSHOT_FD && dup2(m->history[0]->fd, SNAPSHOT_FD) < 0)
		_exit(1);
	(void)syscall(SYS_close_range, SNAPSHOT_FD + 1, ~0U, 0);
	str_copy(path, sizeof path, m->history[0]->settings.spool);
	_exit(snapshot_keep(path, SNAPSHOT_FD, &why) < 0 ? 1 : 0);
}

/* master_keep - what is committed now is what a boot may fall back to */
void master_keep(struct master *m)
{
	int pid;

	if (m->keeper > 0) {
		m->is_keep_due = true;
		return;
	}
	m->is_keep_due = false;
	pid = fork();
	if (pid == 0)
		child(m);
	m->keeper = pid;
}

/* master_keep_reaped - true: it was the child that writes; why it failed is its directory's matter,
 * and the rules are good all the same */
bool master_keep_reaped(struct master *m, int pid, int status)
{
	if (m->keeper <= 0 || pid != m->keeper)
		return false;
	m->keeper = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		struct json *j = log_open(LOG_LEVEL_WARN, "policy.not_kept");

		json_int(j, "generation", m->history[0]->number);
		json_str(j, "directory", m->history[0]->settings.spool);
		log_close();
	}
	if (m->is_keep_due)
		master_keep(m);
	return true;
}

/* ---- boot ------------------------------------------------------------------------------------ */

/* master_kept_take - the rules before those that were just refused, loudly */
int master_kept_take(struct master *m, const char *dir, struct str refusal, struct fault *why)
{
	int fd = snapshot_kept(dir, why);

	if (fd < 0)
		return -1;
	m->history[0] = master_snapshot_take(fd, m->next_number, why);
	if (!m->history[0])
		return -1;
	m->next_number++;
	m->refusal_n = str_copy(m->refusal, sizeof m->refusal, str_trim(refusal));
	dprintf(STDERR_FILENO, "moongate: going on with the last known good rules, hash %s\n",
		m->history[0]->hash);
	return 0;
}

/* master_kept_say - as soon as there is somebody who writes events */
void master_kept_say(const struct master *m)
{
	struct json *j;

	if (!m->refusal_n)
		return;
	j = log_open(LOG_LEVEL_ERROR, "policy.last_known_good");
	json_str(j, "hash", str_of(m->history[0]->hash));
	json_str(j, "why", (struct str){ m->refusal, m->refusal_n });
	log_close();
}
