#include "role.h"

#include <unistd.h>

#include "admin_control.h"
#include "admin_events.h"
#include "ipc_control.h"
#include "log.h"

#define EVENTS_WAIT_US 10000 /* for an event to be written; a ring has room for those of a second */

/*
 * Carries operators' words to the master and the spool, shows everybody's counters, and writes
 * everybody's events.
 */
static struct {
	struct role *role;
	struct admin_control *control;
	struct admin_events *events;
	struct ipc_channel *peers[ROLE_KINDS][64];
	struct admin_slab slabs[ADMIN_SLABS];
	unsigned nslabs;
	char names[4096];
	int listener;
} admin = { .listener = -1 };

static bool to_master(void *owner, uint64_t tag, struct str words)
{
	role_tell(owner, &(struct role_message){ .word = WORD_REQUEST, .a = tag, .text = words });
	return true;
}

static bool to_spool(void *owner, uint64_t tag, struct str words)
{
	struct ipc_channel *spool = admin.peers[ROLE_SPOOL][0];
	struct ipc_frame head = { .type = IPC_QUERY, .tag = tag };

	(void)owner;
	return spool && ipc_channel_send(spool, &head, &words, 1);
}

static void spool_pause(void *owner, bool paused)
{
	struct ipc_channel *spool = admin.peers[ROLE_SPOOL][0];

	(void)owner;
	if (spool && paused)
		ipc_channel_pause(spool);
	else if (spool)
		ipc_channel_resume(spool);
}

static unsigned slabs(void *owner, struct admin_slab out[ADMIN_SLABS])
{
	(void)owner;
	for (unsigned i = 0; i < admin.nslabs; i++)
		out[i] = admin.slabs[i];
	return admin.nslabs;
}

static const struct admin_ops ops = { to_master, to_spool, spool_pause, slabs };

static bool own_event(void *owner, struct str line)
{
	(void)owner;
	admin_events_line(admin.events, str_trim(line));
	return true;
}

static enum step start(struct role *r, struct fault *why)
{
	const struct settings *s = &r->state.settings;

	admin.role = r;
	admin.events = admin_events_new(r->loop, s->events.to, s->hostname);
	admin.control = admin_control_new(r->loop, &ops, r);
	log_sink(own_event, r);
	if (role_enter_sandbox(r, why) < 0)
		return STEP_ERROR;
	if (admin.listener >= 0)
		admin_control_listen(admin.control, admin.listener);
	return STEP_DONE;
}

static void channel(struct role *r, struct role_peer peer, struct ipc_channel *c)
{
	struct ipc_channel **place = &admin.peers[peer.kind][peer.index % COUNT(admin.peers[0])];
	struct ipc_channel *old = *place;

	(void)r;
	*place = c;
	ipc_channel_close(&old);
	if (peer.kind != ROLE_SPOOL) /* it answers operators, the others only tell events */
		ipc_channel_patience(c, EVENTS_WAIT_US);
	if (peer.kind == ROLE_SPOOL && admin.control)
		admin_control_spool_gone(admin.control);
}

static void frame(struct role *r, struct role_peer peer, const struct ipc_frame *f)
{
	struct str text = f->payload;

	(void)r;
	if (f->type == IPC_EVENT && admin.events)
		admin_events_line(admin.events, f->payload);
	else if (f->type == IPC_ANSWER && peer.kind == ROLE_SPOOL && text.n && admin.control)
		admin_control_answer(admin.control, f->tag, (unsigned char)text.p[0],
				     str_drop(text, 1));
}

static void writable(struct role *r, struct role_peer peer)
{
	(void)r;
	(void)peer;
}

/* take_slabs - "name index" for each slab, in the order of the slabs */
static void take_slabs(const struct role_message *m)
{
	struct counter_slab *all = (struct counter_slab *)(uintptr_t)m->a;
	char *at = admin.names;
	struct str rest = m->text, name, kind;
	uint64_t index;

	for (uint64_t i = 0; i < m->b && i < ADMIN_SLABS && str_take(&rest, '\0', &name); i++) {
		if (!str_take(&name, ' ', &kind) || !str_u64(name, 1000, &index) ||
		    at + kind.n + 1 > admin.names + sizeof admin.names)
			return;
		str_copy(at, kind.n + 1, kind);
		admin.slabs[admin.nslabs++] = (struct admin_slab){ at, (unsigned)index, all + i };
		at += kind.n + 1;
	}
}

/* pass - descriptors for an operator; ours are closed in any case */
static void pass(const struct role_message *m)
{
	if (admin.control)
		admin_control_pass(admin.control, m->a, m->fds, m->nfds);
	for (unsigned i = 0; i < m->nfds; i++)
		close(m->fds[i]);
}

static void word(struct role *r, const struct role_message *m)
{
	(void)r;
	if (m->word == WORD_SLAB)
		take_slabs(m);
	else if (m->word == WORD_REOPEN && admin.events)
		admin_events_reopen(admin.events);
	else if (m->word == WORD_ANSWER && m->nfds)
		pass(m);
	else if (m->word == WORD_ANSWER && admin.control)
		admin_control_answer(admin.control, m->a, (unsigned)m->b, m->text);
	else if (m->word == WORD_EVENT && admin.events)
		admin_events_line(admin.events, m->text);
}

/* listener - the control socket itself, bound by the master */
static void listener(struct role *r, struct str name, int fd)
{
	(void)r;
	(void)name;
	if (admin.control)
		admin_control_listen(admin.control, fd);
	else
		admin.listener = fd;
}

/* listener_gone - our successor answers from now on; who has asked gets an answer */
static void listener_gone(struct role *r, struct str name)
{
	(void)r;
	(void)name;
	if (admin.control)
		admin_control_deafen(admin.control);
}

static void commit(struct role *r)
{
	admin_events_to(admin.events, r->state.settings.events.to);
}

/*
 * drain - the master is gone: its successor wants the socket; events of the others are still
 * written
 */
static void drain(struct role *r)
{
	(void)r;
	admin_control_free(&admin.control);
}

static void stop(struct role *r)
{
	(void)r;
	if (admin.events)
		admin_events_flush(admin.events);
}

const struct role_ops role_control_ops = {
	.start = start,
	.channel = channel,
	.frame = frame,
	.writable = writable,
	.commit = commit,
	.listener = listener,
	.listener_gone = listener_gone,
	.word = word,
	.drain = drain,
	.stop = stop,
};
