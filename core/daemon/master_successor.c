/*
 * The new master's side of an upgrade (the old one's: master_upgrade.c). We were executed by our
 * predecessor, which serves on until we are proved:
 *
 *      inherit sockets, load, start roles --all ready but the spool, which waits--> PROVED
 *      --ACCEPT--> edges listen --spool has the lock--> SERVING, and the predecessor leaves
 *
 * Until SERVING the predecessor's end is ours: the service manager starts somebody else.
 */
#include "master_upgrade.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define INHERIT_MS 5000 /* all of it was sent before we were executed */

static void say(const struct master *m, enum role_word word, struct str text)
{
	(void)role_send(m->predecessor.ev.fd, &(struct role_message){ .word = word, .text = text },
			NULL);
}

void master_successor_refuse(struct master *m, struct str lines)
{
	if (m->is_successor && !m->announced)
		say(m, WORD_REFUSED, lines);
}

/* ---- inherit --------------------------------------------------------------------------------- */

/* take_socket - named by its address: settings say what it is called, when they want it */
static int take_socket(struct master *m, const struct role_message *word, struct fault *why)
{
	struct master_listener *l = &m->listeners[m->nlisteners];

	if (word->nfds != 1)
		return fault_set(why, "a word of the predecessor without its socket");
	if (word->a) {
		m->control_fd = word->fds[0];
		str_copy(m->control_path, sizeof m->control_path, word->text);
		return 0;
	}
	if (m->nlisteners == SETTINGS_LISTENERS)
		return fault_set(why, "more listeners than %d", SETTINGS_LISTENERS);
	*l = (struct master_listener){ .fd = word->fds[0], .is_new = true };
	str_copy(l->address, sizeof l->address, word->text);
	m->nlisteners++;
	return 0;
}

/*
 * master_successor_inherit - the predecessor's sockets, before anything is loaded; waits, for the
 * only time: nobody depends on us yet
 */
int master_successor_inherit(struct master *m, struct fault *why)
{
	struct pollfd p = { ROLE_LINK_FD, POLLIN, 0 };
	struct role_message word;
	enum step got;

	net_watch_init(&m->predecessor, m->loop, ROLE_LINK_FD, NULL);
	(void)fcntl(ROLE_LINK_FD, F_SETFD, FD_CLOEXEC);
	for (;;) {
		got = role_receive(ROLE_LINK_FD, &word);
		if (got == STEP_MORE && poll(&p, 1, INHERIT_MS) > 0)
			continue;
		if (got != STEP_DONE)
			return fault_set(why, "`successor` is the master's own command: an upgrade "
					      "begins with `moongate upgrade`");
		if (word.word == WORD_BEGIN)
			break;
		if (word.word != WORD_HERITAGE || take_socket(m, &word, why) < 0)
			return fault_set(why, "the predecessor speaks another language");
	}
	m->next_number = (unsigned)word.a;
	str_copy(m->spool_path, sizeof m->spool_path, word.text);
	return 0;
}

/* master_successor_check - what the new settings may not change in an upgrade */
int master_successor_check(const struct master *m, const struct settings *s, struct fault *why)
{
	if (str_eq(s->spool, str_of(m->spool_path)))
		return 0;
	return fault_set(why, "`spool` is %.*s now and was %s: that needs a restart",
			 STR_ARG(s->spool), m->spool_path);
}

/* ---- take over ------------------------------------------------------------------------------- */

static void accept_now(struct master *m)
{
	struct master_role *control = master_role_find(m, ROLE_CONTROL, 0);

	m->is_held = false;
	if (control)
		master_listen_give_control(control);
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].kind == ROLE_EDGE && m->roles[i].state == MASTER_ROLE_READY)
			master_listen_give(m, &m->roles[i]);
	master_announce(m); /* the spool may have come first */
}

static void link_ready(struct net_watch *w, int events)
{
	struct master *m = container_of(w, struct master, predecessor);
	struct role_message word;
	enum step got;

	(void)events;
	while ((got = role_receive(w->ev.fd, &word)) == STEP_DONE) {
		for (unsigned i = 0; i < word.nfds; i++)
			close(word.fds[i]);
		if (word.word == WORD_ACCEPT)
			accept_now(m);
	}
	if (got == STEP_MORE)
		return;
	net_watch_want(w, 0);
	if (!m->announced)
		master_stop(m, 75);
}

void master_successor_watch(struct master *m)
{
	net_watch_init(&m->predecessor, m->loop, ROLE_LINK_FD, link_ready);
	net_watch_want(&m->predecessor, EV_READ);
}

/* master_successor_ready - one more role is: when only the spool's lock is missing, say so */
void master_successor_ready(struct master *m)
{
	if (!m->is_successor || m->is_proved)
		return;
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].state < MASTER_ROLE_WAITING)
			return;
	m->is_proved = true;
	say(m, WORD_PROVED, STR(""));
}

void master_successor_serving(struct master *m)
{
	if (m->is_successor)
		say(m, WORD_SERVING, STR(MOONGATE_VERSION));
}
