#include "master.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "privilege.h"

static struct master_listener *listener_at(struct master *m, struct str address)
{
	for (unsigned i = 0; i < m->nlisteners; i++)
		if (str_eq(address, str_of(m->listeners[i].address)))
			return &m->listeners[i];
	return NULL;
}

/* wanted - the listener of these settings that has its address, or NULL */
static const struct settings_listener *wanted(const struct settings *s,
					      const struct master_listener *l)
{
	for (unsigned i = 0; i < s->nlisten; i++)
		if (str_eq(s->listen[i].address, str_of(l->address)))
			return &s->listen[i];
	return NULL;
}

static int open_one(struct master *m, const struct settings_listener *want, struct fault *why)
{
	struct master_listener *l = &m->listeners[m->nlisteners];
	struct net_address at;

	if (m->nlisteners == SETTINGS_LISTENERS)
		return fault_set(why, "more than %d listeners, counting those about to close",
				 SETTINGS_LISTENERS);
	if (net_address_parse(want->address, &at, why) < 0)
		return -1;
	l->fd = net_listen_open(&at, why);
	if (l->fd < 0)
		return -1;
	str_copy(l->name, sizeof l->name, want->name);
	str_copy(l->address, sizeof l->address, want->address);
	l->is_new = true;
	m->nlisteners++;
	return 0;
}

/* master_listen_open - bind what these settings add; on failure nothing is left open */
int master_listen_open(struct master *m, const struct settings *s, struct fault *why)
{
	for (unsigned i = 0; i < s->nlisten; i++) {
		struct master_listener *l = listener_at(m, s->listen[i].address);

		if (l && l->is_new) /* inherited from a predecessor */
			str_copy(l->name, sizeof l->name, s->listen[i].name);
		if (!l && open_one(m, &s->listen[i], why) < 0) {
			master_listen_abort(m);
			return -1;
		}
	}
	return 0;
}

static void remove_at(struct master *m, unsigned i)
{
	close(m->listeners[i].fd);
	m->listeners[i] = m->listeners[--m->nlisteners];
}

void master_listen_abort(struct master *m)
{
	for (unsigned i = m->nlisteners; i-- > 0;)
		if (m->listeners[i].is_new)
			remove_at(m, i);
}

static void tell_edges(struct master *m, const struct role_message *word)
{
	for (unsigned i = 0; i < m->nroles; i++)
		if (m->roles[i].kind == ROLE_EDGE && m->roles[i].state != MASTER_ROLE_DOWN)
			(void)master_role_tell(&m->roles[i], word);
}

/*
 * master_listen_commit - an edge knows a listener by its name, and by that what is spoken there:
 * one that has another name by now is another one. Names that go are told before those that come,
 * lest two that changed places become one.
 */
void master_listen_commit(struct master *m, const struct settings *s)
{
	for (unsigned i = m->nlisteners; i-- > 0;) {
		struct master_listener *l = &m->listeners[i];
		const struct settings_listener *now = wanted(s, l);

		if (now && str_eq(now->name, str_of(l->name)))
			continue;
		tell_edges(m, &(struct role_message){ .word = WORD_LISTENER_GONE,
						      .text = str_of(l->name) });
		if (!now) {
			remove_at(m, i);
			continue;
		}
		(void)str_copy(l->name, sizeof l->name, now->name);
		l->is_new = true;
	}
	for (unsigned i = 0; i < m->nlisteners; i++) {
		struct master_listener *l = &m->listeners[i];

		if (l->is_new && m->announced)
			tell_edges(m, &(struct role_message){ .word = WORD_LISTENER,
							      .text = str_of(l->name),
							      .fds = { l->fd },
							      .nfds = 1 });
		l->is_new = false;
	}
}

/*
 * master_listen_control - bound here, where the right to write into its directory may still be
 * there
 */
int master_listen_control(struct master *m, const struct settings *s, struct fault *why)
{
	char path[sizeof((struct sockaddr_un *)0)->sun_path + 8];
	struct net_address at;

	if (s->control.n > sizeof path - 8)
		return fault_set(why, "the path of the control socket is too long: %.*s",
				 STR_ARG(s->control));
	snprintf(path, sizeof path, "unix:%.*s", STR_ARG(s->control));
	if (net_address_parse(str_of(path), &at, why) < 0)
		return -1;
	if (m->control_fd >= 0 && str_eq(s->control, str_of(m->control_path)))
		return 0; /* inherited from a predecessor */
	if (m->control_fd >= 0)
		close(m->control_fd);
	m->control_fd = net_listen_open(&at, why);
	return m->control_fd < 0 ? -1 : privilege_give_socket(s, why);
}

void master_listen_give(struct master *m, struct master_role *edge)
{
	for (unsigned i = 0; i < m->nlisteners; i++) {
		const struct master_listener *l = &m->listeners[i];

		if (!l->is_new)
			(void)master_role_tell(edge,
					       &(struct role_message){ .word = WORD_LISTENER,
								       .text = str_of(l->name),
								       .fds = { l->fd },
								       .nfds = 1 });
	}
}

void master_listen_give_control(struct master_role *control)
{
	(void)master_role_tell(control,
			       &(struct role_message){ .word = WORD_LISTENER,
						       .text = STR("control"),
						       .fds = { control->master->control_fd },
						       .nfds = 1 });
}
