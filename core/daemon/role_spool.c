#include "role.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "queue.h"

#define LOCK_LOOK_US 5000
#define QUIET        20000
#define ORPHAN_QUIET (CLOCK_SECOND / 4)

/*
 * The working directory is the spool: entered while the path can still be walked, so that later
 * neither a path nor a right to walk it is needed. Until the lock is ours, frames wait in their
 * channels: edges and deliver hold what they have.
 */
static struct {
	struct role *role;
	struct queue *queue;
	struct spool *spool;
	struct spool_file *file;
	struct spool_keys *keys, *next_keys; /* until the spool has its copy; to be prepared */
	struct ipc_channel *edges[QUEUE_EDGES], *delivers[QUEUE_DELIVERS], *control;
	struct net_timer lock; /* runs while a predecessor holds the lock */
	uint64_t give_up_us;
	uint64_t heard_us; /* the last frame of anybody */
} store;

struct queue_options role_spool_queue_options(const struct settings *s)
{
	return (struct queue_options){
		.retry_first_us = s->retry.first,
		.retry_longest_us = s->retry.longest,
		.expire_us = s->retry.expire,
		.retry_cause_us = {
			[IPC_CAUSE_CONNECT] = s->retry.connect,
			[IPC_CAUSE_BROKEN] = s->retry.broken,
			[IPC_CAUSE_GREYLIST] = s->retry.greylist,
			[IPC_CAUSE_RATE] = s->retry.rate ? s->retry.rate : 3 * s->retry.first,
			[IPC_CAUSE_POLICY] = s->retry.policy,
		},
		.quarantine_bytes = s->quarantine.bytes,
		.quarantine_ttl_us = s->quarantine.ttl,
		.concurrency = s->retry.concurrency,
		.concurrency_least = s->retry.concurrency_least,
		.total = s->retry.total,
		.delivers = s->delivers,
		.route_ttl_us = 3600 * CLOCK_SECOND,
	};
}

struct spool_options role_spool_options(const struct settings *s)
{
	return (struct spool_options){
		.segment_size = s->store.segment,
		.segments = s->store.segments,
		.slots = s->store.slots,
		.threads = 3,
		.gather_us = s->store.gather,
		.keep_bytes = s->store.reserve,
		.keys = store.keys,
		.is_sealing = store.keys && s->spool_sealed,
	};
}

static void each_channel(void (*act)(struct ipc_channel *))
{
	for (unsigned i = 0; i < QUEUE_EDGES; i++)
		if (store.edges[i])
			act(store.edges[i]);
	for (unsigned i = 0; i < QUEUE_DELIVERS; i++)
		if (store.delivers[i])
			act(store.delivers[i]);
	if (store.control)
		act(store.control);
}

/* attach - channels that came before the spool was there */
static void attach(void)
{
	for (unsigned i = 0; i < QUEUE_EDGES; i++)
		if (store.edges[i])
			queue_edge_channel(store.queue, i, store.edges[i]);
	for (unsigned i = 0; i < QUEUE_DELIVERS; i++)
		if (store.delivers[i])
			queue_deliver_channel(store.queue, i, store.delivers[i]);
}

/*
 * is_locked - after a crash of the master our predecessor may still finish what it has; in an
 * upgrade it works until we are told to take over. Only a look: spool_open takes the lock itself.
 */
static bool is_locked(void)
{
	struct spool_file *f = store.file;
	int fd = f->open(f, "LOCK", SPOOL_FILE_MAKE);
	bool locked = fd >= 0 && f->lock(f, fd) < 0 && errno == EWOULDBLOCK;

	if (fd >= 0)
		(void)f->close(f, fd);
	return locked;
}

/* open_spool - MORE: somebody has the lock, and there is still time to wait for it */
static enum step open_spool(struct role *r, struct fault *why)
{
	struct spool_options o = role_spool_options(&r->state.settings);
	bool patient = net_loop_now(r->loop) < store.give_up_us;

	if (patient && is_locked())
		return STEP_MORE;
	why->sys = 0;
	o.file = store.file;
	o.owner = queue_owner(store.queue);
	store.spool = spool_open(&o, why);
	if (!store.spool)
		return patient && why->sys == EWOULDBLOCK ? STEP_MORE : STEP_ERROR;
	spool_keys_free(&store.keys);
	queue_start(store.queue, store.spool);
	attach();
	each_channel(ipc_channel_resume);
	return STEP_DONE;
}

static void look_at_lock(struct net_timer *t)
{
	struct fault why;

	switch (open_spool(store.role, &why)) {
	case STEP_DONE:
		role_ready(store.role);
		return;
	case STEP_MORE:
		net_timer_start(t, LOCK_LOOK_US);
		return;
	case STEP_ERROR:
		role_failed(store.role, &why);
	}
}

/* Master keys: those that came last are candidates until a start or a commit makes them count */

static void word(struct role *r, const struct role_message *m)
{
	(void)r;
	if (m->word != WORD_KEYS || m->text.n != sizeof *store.next_keys)
		return;
	if (!store.next_keys)
		store.next_keys = spool_keys_new();
	memcpy(store.next_keys, m->text.p, sizeof *store.next_keys);
	sodium_memzero((void *)(uintptr_t)m->text.p, m->text.n);
}

static void use_keys(void)
{
	if (!store.next_keys)
		return;
	if (store.spool) {
		spool_rekey(store.spool, store.next_keys);
		spool_keys_free(&store.next_keys);
		return;
	}
	spool_keys_free(&store.keys);
	store.keys = store.next_keys;
	store.next_keys = NULL;
}

static int prepare(struct role *r, struct role_state *next, struct buf *errors)
{
	struct fault why;

	(void)r, (void)next;
	if (!store.next_keys || !store.spool ||
	    spool_rekey_suffices(store.spool, store.next_keys, &why) == 0)
		return 0;
	spool_keys_free(&store.next_keys);
	(void)buf_printf(errors, "%s\n", why.text);
	return -1;
}

static void abandon(struct role *r)
{
	(void)r;
	spool_keys_free(&store.next_keys);
}

static enum step start(struct role *r, struct fault *why)
{
	const struct settings *s = &r->state.settings;
	struct queue_options queue = role_spool_queue_options(s);
	char path[4096];
	enum step opened;

	str_copy(path, sizeof path, s->spool);
	if (chdir(path) < 0) {
		fault_sys(why, "cannot enter the spool directory %s", path);
		return STEP_ERROR;
	}
	if (role_enter_sandbox(r, why) < 0)
		return STEP_ERROR;
	store.file = spool_file_new(".", false, why);
	if (!store.file)
		return STEP_ERROR;
	store.role = r;
	use_keys();
	store.queue = queue_new(r->loop, &queue);
	store.give_up_us = net_loop_now(r->loop) + r->patience_us;
	opened = open_spool(r, why);
	net_timer_init(&store.lock, r->loop, look_at_lock);
	if (opened == STEP_MORE)
		net_timer_start(&store.lock, LOCK_LOOK_US);
	return opened;
}

static void replace(struct ipc_channel **place, struct ipc_channel *c)
{
	struct ipc_channel *old = *place;

	*place = c;
	ipc_channel_close(&old);
}

static void channel(struct role *r, struct role_peer peer, struct ipc_channel *c)
{
	(void)r;
	if (!store.spool && c)
		ipc_channel_pause(c);
	if (peer.kind == ROLE_EDGE && peer.index < QUEUE_EDGES) {
		if (store.spool)
			queue_edge_channel(store.queue, peer.index, c);
		replace(&store.edges[peer.index], c);
	} else if (peer.kind == ROLE_DELIVER && peer.index < QUEUE_DELIVERS) {
		if (store.spool)
			queue_deliver_channel(store.queue, peer.index, c);
		replace(&store.delivers[peer.index], c);
	} else if (peer.kind == ROLE_CONTROL) {
		if (store.spool)
			queue_control_lost(store.queue);
		replace(&store.control, c);
	} else {
		ipc_channel_close(&c);
	}
}

static void frame(struct role *r, struct role_peer peer, const struct ipc_frame *f)
{
	store.heard_us = net_loop_now(r->loop);
	if (!store.spool)
		return;
	if (peer.kind == ROLE_EDGE)
		queue_edge_frame(store.queue, peer.index, f);
	else if (peer.kind == ROLE_DELIVER)
		queue_deliver_frame(store.queue, peer.index, f);
	else if (peer.kind == ROLE_CONTROL && f->type == IPC_QUERY)
		queue_query(store.queue, store.control, f);
}

static void writable(struct role *r, struct role_peer peer)
{
	(void)r;
	if (store.spool && peer.kind == ROLE_EDGE)
		queue_edge_writable(store.queue, peer.index);
	else if (store.spool && peer.kind == ROLE_DELIVER)
		queue_deliver_writable(store.queue, peer.index);
	else if (store.spool && peer.kind == ROLE_CONTROL)
		queue_control_writable(store.queue);
}

static void commit(struct role *r)
{
	struct queue_options o = role_spool_queue_options(&r->state.settings);

	queue_options_set(store.queue, &o);
	use_keys();
}

/* is_quiet - an orphan's peers may pause for a moment; who is told by the master has none left */
static bool is_quiet(const struct role *r)
{
	return net_loop_now(r->loop) - store.heard_us > (r->is_orphan ? ORPHAN_QUIET : QUIET);
}

/*
 * drain - lend nothing more. Then stay as long as edges and deliver finish what they have: they ask
 * often, and what they sent before they ended still lies in the rings.
 */
static void drain(struct role *r)
{
	struct queue_options o = role_spool_queue_options(&r->state.settings);

	o.total = 0;
	if (store.queue)
		queue_options_set(store.queue, &o);
	if (r->is_gentle)
		return;
	store.heard_us = net_loop_now(r->loop);
	role_drain_until(r, is_quiet);
}

static void stop(struct role *r)
{
	(void)r;
	if (!store.spool)
		return;
	queue_flush(store.queue);
	spool_close(&store.spool);
	queue_free(&store.queue); /* channels may still end */
}

const struct role_ops role_spool_ops = {
	.start = start,
	.channel = channel,
	.frame = frame,
	.writable = writable,
	.prepare = prepare,
	.commit = commit,
	.abort = abandon,
	.word = word,
	.drain = drain,
	.stop = stop,
};
