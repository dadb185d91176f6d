#include "role.h"

#include <unistd.h>

#include "clock.h"
#include "edge_options.h"
#include "edge_tls.h"
#include "net_listen.h"
#include "role_policy.h"
#include "session.h"

struct edge {
	struct role *role;
	struct role_policy policy;
	struct session_server *server;
	struct ipc_channel *spool;
	struct edge_listener {
		char name[128];
		struct net_listen *listen;
	} listeners[SETTINGS_LISTENERS];
	unsigned nlisteners;
	struct edge_tls tls, next_tls;
	struct net_timer calendar;
};

static struct edge edge;

static struct session_options options_of(const struct role *r)
{
	struct session_options o = edge_options(&r->state.settings, r->index);

	o.listeners = edge.tls.listeners;
	o.nlisteners = edge.tls.n;
	return o;
}

/* look_at_calendar - the first edge speaks for all: they have the same certificates */
static void look_at_calendar(struct net_timer *t)
{
	edge_tls_watch(&edge.tls, edge.role->state.settings.tls.warn);
	net_timer_start(t, EDGE_TLS_LOOK);
}

static enum step start(struct role *r, struct fault *why)
{
	struct session_options o;

	edge.role = r;
	if (edge_tls_make(&edge.tls, &r->state, why) < 0)
		return STEP_ERROR;
	o = options_of(r);
	if (role_enter_sandbox(r, why) < 0 || role_policy_start(&edge.policy, r, why) < 0)
		return STEP_ERROR;
	edge.server = session_server_new(r->loop, &edge.policy.set, &o);
	if (edge.spool)
		session_server_channel(edge.server, edge.spool);
	net_timer_init(&edge.calendar, r->loop, look_at_calendar);
	if (r->index == 0) /* not at once: nobody listens to events yet */
		net_timer_start(&edge.calendar, CLOCK_SECOND);
	return STEP_DONE;
}

static void channel(struct role *r, struct role_peer peer, struct ipc_channel *c)
{
	struct ipc_channel *old = edge.spool;

	(void)r;
	(void)peer;
	edge.spool = c;
	if (edge.server)
		session_server_channel(edge.server, c);
	ipc_channel_close(&old);
}

static void frame(struct role *r, struct role_peer peer, const struct ipc_frame *f)
{
	(void)r;
	if (peer.kind == ROLE_SPOOL && edge.server)
		session_server_frame(edge.server, f);
}

static void writable(struct role *r, struct role_peer peer)
{
	(void)r;
	if (peer.kind == ROLE_SPOOL && edge.server)
		session_server_writable(edge.server);
}

static bool is_known(struct str name)
{
	for (unsigned i = 0; i < edge.tls.n; i++)
		if (str_eq(name, edge.tls.listeners[i].name))
			return true;
	return false;
}

static void accepted(void *owner, int fd)
{
	struct edge_listener *l = owner;

	if (!is_known(str_of(l->name))) {
		close(fd); /* what is spoken there is not known: nothing, then */
		return;
	}
	session_server_accept(edge.server, fd, str_of(l->name));
}

static void listener(struct role *r, struct str name, int fd)
{
	unsigned i = 0;
	struct edge_listener *l;

	while (i < edge.nlisteners && edge.listeners[i].listen)
		i++;
	if (i == SETTINGS_LISTENERS || r->is_draining) {
		close(fd);
		return;
	}
	l = &edge.listeners[i];
	if (i == edge.nlisteners)
		edge.nlisteners++;
	str_copy(l->name, sizeof l->name, name);
	l->listen = net_listen_new(r->loop, fd, accepted, l);
}

/* listener_gone - the slot stays where it is: `accepted` was given its address */
static void listener_gone(struct role *r, struct str name)
{
	(void)r;
	for (unsigned i = 0; i < edge.nlisteners; i++)
		if (str_eq(name, str_of(edge.listeners[i].name)))
			net_listen_close(&edge.listeners[i].listen);
	while (edge.nlisteners && !edge.listeners[edge.nlisteners - 1].listen)
		edge.nlisteners--;
}

static int prepare(struct role *r, struct role_state *next, struct buf *errors)
{
	struct fault why;

	edge_tls_drop(&edge.next_tls);
	if (edge_tls_make(&edge.next_tls, next, &why) < 0) {
		buf_printf(errors, "%s\n", why.text);
		return -1;
	}
	return role_policy_prepare(&edge.policy, r, next, errors);
}

static void commit(struct role *r)
{
	struct session_options o;

	edge_tls_drop(&edge.tls); /* sessions keep what they need of it */
	edge.tls = edge.next_tls;
	edge.next_tls = (struct edge_tls){ .n = 0 };
	o = options_of(r);
	session_server_options(edge.server, &o);
	role_policy_commit(&edge.policy);
	if (r->index == 0)
		look_at_calendar(&edge.calendar);
}

static void abandon(struct role *r)
{
	(void)r;
	edge_tls_drop(&edge.next_tls);
	role_policy_abort(&edge.policy);
}

static bool is_idle(const struct role *r)
{
	(void)r;
	return session_server_count(edge.server) == 0;
}

static void word(struct role *r, const struct role_message *m)
{
	(void)r;
	if (m->word == WORD_SECRETS)
		edge_tls_secrets(m->text);
}

static void drain(struct role *r)
{
	for (unsigned i = 0; i < edge.nlisteners; i++)
		net_listen_close(&edge.listeners[i].listen);
	edge.nlisteners = 0;
	if (!edge.server)
		return;
	if (!r->is_gentle)
		session_server_drain(edge.server);
	role_drain_until(r, is_idle);
}

static void stop(struct role *r)
{
	(void)r;
	if (edge.server)
		session_server_free(&edge.server);
}

const struct role_ops role_edge_ops = {
	.start = start,
	.channel = channel,
	.frame = frame,
	.writable = writable,
	.prepare = prepare,
	.commit = commit,
	.abort = abandon,
	.listener = listener,
	.listener_gone = listener_gone,
	.word = word,
	.drain = drain,
	.stop = stop,
};
