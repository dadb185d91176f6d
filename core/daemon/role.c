#include "role.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "ipc_control.h"
#include "log.h"
#include "rnd.h"
#include "sandbox.h"

#define DRAIN_LOOK_US (20 * 1000)

static const struct role_ops *const ops_of[ROLE_KINDS] = {
	[ROLE_SPOOL] = &role_spool_ops,     [ROLE_CONTROL] = &role_control_ops,
	[ROLE_MAILDIR] = &role_maildir_ops, [ROLE_DELIVER] = &role_deliver_ops,
	[ROLE_EDGE] = &role_edge_ops,
};

/* One end of a channel needs to know which peer its frames come from. */
struct role_wire {
	struct role *role;
	struct role_peer peer;
};

void role_tell(struct role *r, const struct role_message *m)
{
	(void)r;
	/* A full or dead link means a stuck or dead master: its end is seen in link_ready. */
	(void)role_send(ROLE_LINK_FD, m, NULL);
}

static void stop(struct role *r);

void role_idle(struct role *r)
{
	if (r->is_orphan)
		stop(r); /* whoever comes next wants our ports and our lock */
	role_tell(r, &(struct role_message){ .word = WORD_IDLE });
}

static void look_again(struct net_timer *t)
{
	struct role *r = container_of(t, struct role, drained);

	if (r->is_idle(r))
		role_idle(r);
	else
		net_timer_start(t, DRAIN_LOOK_US);
}

void role_drain_until(struct role *r, bool (*is_idle)(const struct role *r))
{
	r->is_idle = is_idle;
	look_again(&r->drained);
}

static void fail(struct role *r, uint64_t generation, struct str lines)
{
	role_tell(r, &(struct role_message){ .word = WORD_FAILED, .a = generation, .text = lines });
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool event_to_control(void *owner, struct str line)
{
	struct role *r = owner;
	struct ipc_frame head = { .type = IPC_EVENT };

	line = str_trim(line);
	if (ipc_channel_send(r->events, &head, &line, 1))
		return true;
	counter_add(COUNTER_EVENTS_DROPPED, 1);
	return false;
}

/* ---- channels -------------------------------------------------------------------------------- */

static void channel_frame(void *owner, const struct ipc_frame *frame)
{
	struct role_wire *w = owner;

	w->role->ops->frame(w->role, w->peer, frame);
}

static void channel_writable(void *owner)
{
	struct role_wire *w = owner;

	w->role->ops->writable(w->role, w->peer);
}

static void channel_broken(void *owner, const struct fault *why)
{
	struct role_wire *w = owner;

	log_fault(LOG_LEVEL_ERROR, "channel.broken", role_name[w->peer.kind], why);
	role_tell(w->role, &(struct role_message){ .word = WORD_BROKEN, .peer = w->peer });
}

static const struct ipc_channel_ops channel_ops = { channel_frame, channel_writable,
						    channel_broken };

/* wire_of - the one wire per peer: channels to the same peer follow one another */
static struct role_wire *wire_of(struct role *r, struct role_peer peer)
{
	static struct role_wire wires[ROLE_KINDS][ROLE_INDEXES];
	struct role_wire *w = &wires[peer.kind][peer.index % COUNT(wires[0])];

	*w = (struct role_wire){ r, peer };
	return w;
}

static void take_channel(struct role *r, const struct role_message *m)
{
	struct ipc_channel_fds fds = { m->fds[0], m->fds[1], m->fds[2] };
	enum ipc_end end = m->a ? IPC_END_B : IPC_END_A;
	struct fault why;
	struct ipc_channel *c;

	if (m->nfds == 0) {
		r->ops->channel(r, m->peer, NULL);
		return;
	}
	c = ipc_channel_open(r->loop, &fds, end, &channel_ops, wire_of(r, m->peer), &why);
	if (!c) {
		log_fault(LOG_LEVEL_ERROR, "channel.failed", role_name[m->peer.kind], &why);
		return;
	}
	if (m->peer.kind != ROLE_CONTROL || r->kind == ROLE_SPOOL)
		r->ops->channel(r, m->peer, c);
	if (m->peer.kind != ROLE_CONTROL)
		return;
	if (r->events && r->kind != ROLE_SPOOL) /* the spool closes its own, it answers on it too */
		ipc_channel_close(&r->events);
	r->events = c;
	log_sink(event_to_control, r);
}

/* ---- settings -------------------------------------------------------------------------------- */

static void state_fini(struct role_state *s)
{
	if (s->fd < 0)
		return;
	snapshot_unmap(&s->snapshot);
	arena_fini(&s->arena);
	close(s->fd);
	s->fd = -1;
}

/* state_init - map a snapshot and read its settings; takes fd in every case */
static int state_init(struct role_state *s, int fd, unsigned number, struct fault *why)
{
	struct str canonical;

	*s = (struct role_state){ .fd = -1, .number = number };
	if (snapshot_map(fd, &s->snapshot, why) < 0) {
		close(fd);
		return -1;
	}
	arena_init(&s->arena, ROLE_SETTINGS_BYTES);
	s->fd = fd;
	canonical = snapshot_find(&s->snapshot, SNAPSHOT_SETTINGS, STR(""));
	if (settings_read(&s->settings, canonical, &s->arena, why) < 0) {
		state_fini(s);
		return -1;
	}
	return 0;
}

static void prepare(struct role *r, int fd, unsigned number)
{
	struct buf errors;
	struct fault why;

	buf_init(&errors, ROLE_TEXT);
	state_fini(&r->next);
	if (state_init(&r->next, fd, number, &why) < 0)
		buf_printf(&errors, "%s\n", why.text);
	else if (r->ops->prepare && r->ops->prepare(r, &r->next, &errors) < 0)
		state_fini(&r->next);
	if (r->next.fd >= 0)
		role_tell(r, &(struct role_message){ .word = WORD_PREPARED, .a = number });
	else
		fail(r, number, buf_str(&errors));
	buf_fini(&errors);
}

static void commit(struct role *r)
{
	struct role_state old = r->state;

	if (r->next.fd < 0)
		return;
	r->state = r->next;
	r->next.fd = -1;
	gauge_set(GAUGE_GENERATION, r->state.number);
	if (r->ops->commit)
		r->ops->commit(r);
	/*
	 * Sources and maps of a draining generation live in its own mapping (role_policy.c);
	 * settings nobody keeps.
	 */
	state_fini(&old);
}

static void abandon(struct role *r)
{
	if (r->next.fd < 0)
		return;
	if (r->ops->abort)
		r->ops->abort(r);
	state_fini(&r->next);
}

/* ---- words of the master --------------------------------------------------------------------- */

static void take_slab(struct role *r, const struct role_message *m)
{
	struct stat st;
	struct counter_slab *slabs = MAP_FAILED;

	if (fstat(m->fds[0], &st) == 0 && (uint64_t)st.st_size >= (m->a + 1) * sizeof *slabs)
		slabs = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			     m->fds[0], 0);
	close(m->fds[0]);
	if (slabs == MAP_FAILED)
		abort();
	counter_attach(slabs + m->a);
	if (r->ops->word)
		r->ops->word(r, &(struct role_message){ .word = WORD_SLAB,
							.a = (uint64_t)(uintptr_t)slabs,
							.b = m->b,
							.text = m->text });
}

void role_ready(struct role *r)
{
	gauge_set(GAUGE_GENERATION, r->state.number);
	role_tell(r, &(struct role_message){ .word = WORD_READY });
}

_Noreturn void role_failed(struct role *r, const struct fault *why)
{
	fail(r, 0, str_of(why->text));
	_exit(1);
}

static void start(struct role *r, uint64_t patience_us)
{
	struct fault why;

	r->patience_us = patience_us;
	switch (r->ops->start(r, &why)) {
	case STEP_DONE:
		role_ready(r);
		return;
	case STEP_MORE:
		role_tell(r, &(struct role_message){ .word = WORD_WAITING });
		return;
	case STEP_ERROR:
		role_failed(r, &why);
	}
}

/* drain - once gently, perhaps, and once in earnest */
static void drain(struct role *r, bool is_gentle)
{
	if (r->is_draining && (is_gentle || !r->is_gentle))
		return;
	r->is_draining = true;
	r->is_gentle = is_gentle;
	if (r->ops->drain)
		r->ops->drain(r);
	else
		role_idle(r);
}

static void stop(struct role *r)
{
	if (r->ops->stop)
		r->ops->stop(r);
	net_loop_stop(r->loop);
}

static void take_snapshot(struct role *r, const struct role_message *m)
{
	struct fault why;

	if (state_init(&r->state, m->fds[0], (unsigned)m->a, &why) < 0)
		role_failed(r, &why);
}

static void obey(struct role *r, const struct role_message *m)
{
	switch (m->word) {
	case WORD_SLAB:
		take_slab(r, m);
		return;
	case WORD_SNAPSHOT:
		take_snapshot(r, m);
		return;
	case WORD_CHANNEL:
		take_channel(r, m);
		return;
	case WORD_LISTENER:
		r->ops->listener(r, m->text, m->fds[0]);
		return;
	case WORD_LISTENER_GONE:
		r->ops->listener_gone(r, m->text);
		return;
	case WORD_START:
		start(r, m->a);
		return;
	case WORD_PREPARE:
		prepare(r, m->fds[0], (unsigned)m->a);
		return;
	case WORD_COMMIT:
		commit(r);
		return;
	case WORD_ABORT:
		abandon(r);
		return;
	case WORD_DRAIN:
		drain(r, m->a != 0);
		return;
	case WORD_STOP:
		stop(r);
		return;
	case WORD_KEYS:
	case WORD_SECRETS:
	case WORD_REOPEN:
	case WORD_ANSWER:
	case WORD_EVENT:
		if (r->ops->word)
			r->ops->word(r, m);
		return;
	case WORD_HERITAGE:
	case WORD_BEGIN:
	case WORD_PROVED:
	case WORD_ACCEPT:
	case WORD_SERVING:
	case WORD_REFUSED:
	case WORD_WAITING:
	case WORD_READY:
	case WORD_PREPARED:
	case WORD_FAILED:
	case WORD_IDLE:
	case WORD_BROKEN:
	case WORD_REQUEST:
	case WORDS:
		return;
	}
}

static void orphaned(struct net_timer *t)
{
	struct role *r = container_of(t, struct role, orphan);

	stop(r);
}

static void link_ready(struct net_watch *w, int events)
{
	struct role *r = container_of(w, struct role, link);
	struct role_message m;
	enum step got;

	(void)events;
	while ((got = role_receive(ROLE_LINK_FD, &m)) == STEP_DONE)
		obey(r, &m);
	if (got != STEP_ERROR)
		return;
	net_watch_want(&r->link, 0); /* the master is gone: finish what runs, then go */
	r->is_orphan = true;
	drain(r, false);
	net_timer_start(&r->orphan, ROLE_ORPHAN);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void beat(struct net_timer *t)
{
	struct role *r = container_of(t, struct role, beat);
	uint64_t late = clock_mono() - net_loop_now(r->loop);

	histogram_add(HISTOGRAM_LOOP_LAG, late);
	counter_beat(net_loop_now(r->loop));
	net_timer_start(t, CLOCK_SECOND / 2);
}

/* stalled - the watchdog's SIGABRT: where were we? */
static void stalled(int sig)
{
	void *frames[48];
	int n = backtrace(frames, COUNT(frames));

	backtrace_symbols_fd(frames, n, STDERR_FILENO);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void quiet_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE };
	struct sigaction ignore = { .sa_handler = SIG_IGN },
			 abort_action = { .sa_handler = stalled };
	sigset_t none;
	void *frame;

	for (size_t i = 0; i < COUNT(ignored); i++)
		sigaction(ignored[i], &ignore, NULL);
	(void)backtrace(&frame, 1); /* loads its library now: later there is no open() */
	sigaction(SIGABRT, &abort_action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int role_enter_sandbox(struct role *r, struct fault *why)
{
	return sandbox_enter(r->kind, &r->state.settings, why);
}

int role_main(const char *name, unsigned index)
{
	static struct role role;
	char title[16];

	if (!role_find(str_of(name), &role.kind))
		return 64;
	role.index = index;
	role.ops = ops_of[role.kind];
	role.state.fd = role.next.fd = -1;
	snprintf(title, sizeof title, "mg-%.8s-%u", name, index % 100);
	prctl(PR_SET_NAME, title);
	quiet_signals();
	setenv("TZ", "UTC0", 1); /* and no zone file is ever looked for */
	tzset();
	rnd_init();
	log_init(role_name[role.kind], index, LOG_LEVEL_INFO);
	role.loop = net_loop_new();
	net_timer_init(&role.beat, role.loop, beat);
	net_timer_init(&role.orphan, role.loop, orphaned);
	net_timer_init(&role.drained, role.loop, look_again);
	net_watch_init(&role.link, role.loop, ROLE_LINK_FD, link_ready);
	net_watch_want(&role.link, EV_READ);
	beat(&role.beat);
	net_loop_run(role.loop);
	return 0;
}
