/*
 *      NONE --begin--> LOADING --loader done--> PREPARING --all PREPARED--> committed --> NONE
 *                         | refused                | one FAILED, ended, or late
 *                         v                        v
 *                       NONE                    ABORT to all, NONE: nothing has changed
 *
 * One reload at a time; those who ask meanwhile wait for the next one (a storm of editors becomes
 * two reloads).
 */
#include "master.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "loader.h"
#include "log.h"
#include "master_upgrade.h"

#define ASKERS     16
#define ERRORS_MAX (256 * 1024)

enum reload_phase { RELOAD_NONE, RELOAD_LOADING, RELOAD_PREPARING };

struct asker {
	uint64_t tag;
	bool rollback;
};

struct master_reload {
	struct master *master;
	enum reload_phase phase;
	bool rollback;
	struct master_snapshot *next;
	struct net_watch loader;
	int loader_pid;
	struct net_timer deadline;
	struct asker now[ASKERS], later[ASKERS];
	unsigned nnow, nlater;
	bool again; /* asked meanwhile without wanting an answer (HUP) */
};

static void begin(struct master_reload *r, bool rollback);

/* ---- snapshots ------------------------------------------------------------------------------- */

struct master_snapshot *master_snapshot_take(int fd, unsigned number, struct fault *why)
{
	struct master_snapshot *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	s->fd = fd;
	s->number = s->of = number;
	s->wall_us = clock_wall();
	arena_init(&s->arena, 8 * 1024 * 1024);
	if (snapshot_map(fd, &s->map, why) == 0) {
		memcpy(s->hash, s->map.hash, sizeof s->hash);
		if (settings_read(&s->settings, snapshot_find(&s->map, SNAPSHOT_SETTINGS, STR("")),
				  &s->arena, why) == 0)
			return s;
	}
	master_snapshot_free(&s);
	return NULL;
}

void master_snapshot_free(struct master_snapshot **s)
{
	if (!*s)
		return;
	snapshot_unmap(&(*s)->map);
	arena_fini(&(*s)->arena);
	close((*s)->fd);
	free(*s);
	*s = NULL;
}

static void push_history(struct master *m, struct master_snapshot *s)
{
	master_snapshot_free(&m->history[MASTER_HISTORY - 1]);
	memmove(&m->history[1], &m->history[0], (MASTER_HISTORY - 1) * sizeof *m->history);
	m->history[0] = s;
}

/* ---- the end of a reload --------------------------------------------------------------------- */

/* next_round - those who asked while this one ran */
static void next_round(struct master_reload *r)
{
	bool rollback = r->nlater && r->later[0].rollback;
	unsigned kept = 0;

	if (!r->nlater && !r->again)
		return;
	r->nnow = 0;
	for (unsigned i = 0; i < r->nlater; i++)
		if (r->later[i].rollback == rollback)
			r->now[r->nnow++] = r->later[i];
		else
			r->later[kept++] = r->later[i];
	r->nlater = kept;
	if (!rollback)
		r->again = false;
	begin(r, rollback);
}

static void finish(struct master_reload *r, unsigned code, struct str text)
{
	net_timer_stop(&r->deadline);
	r->phase = RELOAD_NONE;
	for (unsigned i = 0; i < r->nnow; i++)
		master_answer(r->master, r->now[i].tag, code, text);
	r->nnow = 0;
	next_round(r);
}

static void refuse(struct master_reload *r, struct str lines)
{
	struct json *j = log_open(LOG_LEVEL_ERROR, "policy.reload_failed");
	char copy[ROLE_TEXT];
	size_t n = str_copy(copy, sizeof copy, lines);

	master_keys_abort(r->master);
	json_int(j, "active", r->master->history[0]->number);
	json_str(j, "why", str_trim(lines));
	log_close();
	counter_add(COUNTER_RELOADS_FAILED, 1);
	finish(r, 78, (struct str){ copy, n });
}

static void abort_all(struct master_reload *r, struct str lines)
{
	char copy[ROLE_TEXT];
	size_t n = str_copy(copy, sizeof copy, lines);

	master_tell_all(r->master, ROLE_KINDS, WORD_ABORT);
	master_listen_abort(r->master);
	master_snapshot_free(&r->next);
	refuse(r, (struct str){ copy, n });
}

static void commit_all(struct master_reload *r)
{
	struct master *m = r->master;
	char text[160];
	struct json *j;
	int n;

	push_history(m, r->next);
	r->next = NULL;
	m->refusal_n = 0;
	master_keys_commit(m);
	master_tell_all(m, ROLE_KINDS, WORD_COMMIT);
	master_listen_commit(m, &m->history[0]->settings);
	master_keep(m);
	counter_add(COUNTER_RELOADS, 1);
	gauge_set(GAUGE_GENERATION, m->history[0]->number);
	j = log_open(LOG_LEVEL_INFO, r->rollback ? "policy.rolled_back" : "policy.reloaded");
	json_int(j, "generation", m->history[0]->number);
	json_str(j, "hash", str_of(m->history[0]->hash));
	json_int(j, "of", m->history[0]->of);
	log_close();
	n = snprintf(text, sizeof text, "generation %u/%.8s is active\n", m->history[0]->number,
		     m->history[0]->hash);
	finish(r, 0, (struct str){ text, (size_t)n });
}

/* ---- prepare --------------------------------------------------------------------------------- */

static bool all_prepared(const struct master *m)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].state != MASTER_ROLE_READY || !m->roles[i].is_prepared)
			return false;
	return true;
}

static void prepare_all(struct master_reload *r)
{
	struct master *m = r->master;
	struct role_message word = {
		.word = WORD_PREPARE, .a = r->next->number, .fds = { r->next->fd }, .nfds = 1
	};
	struct fault why;

	r->phase = RELOAD_PREPARING;
	if (!master_all_ready(m)) {
		abort_all(r, STR("a role is being restarted; try again\n"));
		return;
	}
	if (master_listen_open(m, &r->next->settings, &why) < 0) {
		strncat(why.text, "\n", sizeof why.text - strlen(why.text) - 1);
		abort_all(r, str_of(why.text));
		return;
	}
	for (unsigned i = 0; i < m->nroles; i++) {
		m->roles[i].is_prepared = false;
		if (master_keys_have_changed(m))
			master_keys_give(&m->roles[i], m->next_keys);
		(void)master_role_tell(&m->roles[i], &word);
	}
	net_timer_start(&r->deadline, MASTER_PREPARE);
}

void master_reload_word(struct master_role *role, const struct role_message *word)
{
	struct master_reload *r = role->master->reload;

	if (!r || r->phase != RELOAD_PREPARING || word->a != r->next->number)
		return;
	if (word->word == WORD_FAILED) {
		abort_all(r, word->text);
		return;
	}
	role->is_prepared = true;
	if (all_prepared(role->master))
		commit_all(r);
}

void master_reload_role_ended(struct master *m, const struct master_role *role)
{
	struct master_reload *r = m->reload;
	char text[128];
	int n;

	if (!r || r->phase != RELOAD_PREPARING)
		return;
	n = snprintf(text, sizeof text, "%s %u ended while it prepared the new rules\n",
		     role_name[role->kind], role->index);
	abort_all(r, (struct str){ text, (size_t)n });
}

static void late(struct net_timer *t)
{
	struct master_reload *r = container_of(t, struct master_reload, deadline);

	if (r->phase == RELOAD_PREPARING)
		abort_all(r, STR("not every role had prepared the new rules in time\n"));
	else if (r->phase == RELOAD_LOADING)
		kill(r->loader_pid, SIGKILL); /* its descriptor closes: loaded() refuses */
}

/* ---- load ------------------------------------------------------------------------------------ */

/* restart_needed - a setting that only a restart can change: say which */
static bool restart_needed(struct master_reload *r)
{
	struct master_snapshot *old = r->master->history[0];
	struct str key = settings_restart(snapshot_find(&old->map, SNAPSHOT_SETTINGS, STR("")),
					  snapshot_find(&r->next->map, SNAPSHOT_SETTINGS, STR("")));
	char text[256];
	int n;

	if (!key.n)
		return false;
	n = snprintf(text, sizeof text, "changing `%.*s` needs a restart\n",
		     STR_ARG(str_head(key, 128)));
	master_snapshot_free(&r->next);
	refuse(r, (struct str){ text, (size_t)n });
	return true;
}

static void loaded(struct net_watch *w, int events)
{
	struct master_reload *r = container_of(w, struct master_reload, loader);
	struct master *m = r->master;
	struct fault why = { 0 };
	struct buf errors;
	int memory;

	(void)events;
	net_watch_want(w, 0);
	net_timer_stop(&r->deadline);
	buf_init(&errors, ERRORS_MAX);
	memory = loader_collect(w->ev.fd, &errors);
	close(w->ev.fd);
	if (memory >= 0) {
		r->next = master_snapshot_take(memory, m->next_number, &why);
		if (r->next && master_keys_read(m, &r->next->settings, &why) < 0)
			master_snapshot_free(&r->next);
		if (!r->next)
			buf_printf(&errors, "%s\n", why.text);
	}
	if (!r->next) {
		refuse(r, buf_str(&errors));
	} else if (strcmp(r->next->hash, m->history[0]->hash) == 0 &&
		   !master_keys_have_changed(m)) {
		master_snapshot_free(&r->next);
		master_keys_abort(m);
		m->refusal_n = 0; /* the last known good rules are those of the settings again */
		finish(r, 0, STR("nothing has changed\n"));
	} else if (!restart_needed(r)) {
		m->next_number++;
		prepare_all(r);
	}
	buf_fini(&errors);
}

static void begin_load(struct master_reload *r)
{
	struct fault why;
	int fd = loader_spawn(r->master->settings_path, r->master->secrets->key, &r->loader_pid,
			      &why);

	if (fd < 0) {
		refuse(r, str_of(why.text));
		return;
	}
	net_watch_init(&r->loader, r->master->loop, fd, loaded);
	net_watch_want(&r->loader, EV_READ);
	net_timer_start(&r->deadline, MASTER_LOAD);
}

static void begin_rollback(struct master_reload *r)
{
	struct master *m = r->master;
	struct fault why;

	if (!m->history[1]) { /* nothing is wrong with the rules: a plain no */
		finish(r, 1, STR("there is no earlier generation to go back to\n"));
		return;
	}
	r->next = master_snapshot_take(dup(m->history[1]->fd), m->next_number++, &why);
	if (!r->next) {
		refuse(r, str_of(why.text));
		return;
	}
	r->next->of = m->history[1]->of;
	if (!restart_needed(r))
		prepare_all(r);
}

static void begin(struct master_reload *r, bool rollback)
{
	r->phase = RELOAD_LOADING;
	r->rollback = rollback;
	if (rollback)
		begin_rollback(r);
	else
		begin_load(r);
}

static struct str not_now(const struct master *m)
{
	if (master_upgrade_runs(m))
		return STR("not now: an upgrade is under way; try again when it is over\n");
	if (m->phase != MASTER_SERVING)
		return STR("not now: the gateway is starting or stopping; try again\n");
	return STR("not now: too many wait for a reload already; try again\n");
}

static void ask(struct master *m, struct asker asker, bool has_asker)
{
	struct master_reload *r = m->reload;

	if (!r) {
		r = m->reload = calloc(1, sizeof *r);
		if (!r)
			abort();
		r->master = m;
		net_timer_init(&r->deadline, m->loop, late);
	}
	if (m->phase != MASTER_SERVING || master_upgrade_runs(m) ||
	    (has_asker && r->nlater == ASKERS)) {
		if (has_asker)
			master_answer(m, asker.tag, 75, not_now(m));
		return;
	}
	if (has_asker)
		r->later[r->nlater++] = asker;
	else
		r->again = true;
	if (r->phase == RELOAD_NONE)
		next_round(r);
}

bool master_reload_runs(const struct master *m)
{
	return m->reload && m->reload->phase != RELOAD_NONE;
}

void master_reload_begin(struct master *m, uint64_t tag, bool has_asker)
{
	ask(m, (struct asker){ tag, false }, has_asker);
}

void master_rollback_begin(struct master *m, uint64_t tag, bool has_asker)
{
	ask(m, (struct asker){ tag, true }, has_asker);
}
