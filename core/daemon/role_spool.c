#include "role.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "queue.h"

#define LOCK_TRIES   500
#define LOCK_WAIT_MS 20
#define QUIET_US     (CLOCK_SECOND / 4)

/*
 * The working directory is the spool: entered while the path can still be walked, so that later
 * neither a path nor a right to walk it
 * is needed.
 */
static struct {
	struct queue *queue;
	struct spool *spool;
	struct spool_file *file;
	struct ipc_channel *edges[QUEUE_EDGES], *delivers[QUEUE_DELIVERS], *control;
	uint64_t heard_us; /* the last frame of anybody */
} store;

static struct queue_options queue_options_of(const struct settings *s)
{
	return (struct queue_options){
		.retry_first_us = s->retry.first,
		.retry_longest_us = s->retry.longest,
		.expire_us = s->retry.expire,
		.concurrency = s->retry.concurrency,
		.total = s->retry.total,
		.delivers = s->delivers,
		.route_ttl_us = 3600 * CLOCK_SECOND,
	};
}

static struct spool_options spool_options_of(const struct settings *s)
{
	return (struct spool_options){
		.file = store.file,
		.owner = queue_owner(store.queue),
		.segment_size = s->store.segment,
		.segments = s->store.segments,
		.slots = s->store.slots,
		.threads = 3,
		.gather_us = s->store.gather,
		.keep_bytes = s->store.reserve,
	};
}

/* attach - channels that came before the queue was there */
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
 * open_patiently - after a crash of the master our predecessor may still finish what it has, and
 * hold the lock
 */
static struct spool *open_patiently(const struct spool_options *o, struct fault *why)
{
	struct spool *spool = NULL;

	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		why->sys = 0;
		spool = spool_open(o, why);
		if (spool || why->sys != EWOULDBLOCK)
			break;
		(void)poll(NULL, 0, LOCK_WAIT_MS);
	}
	return spool;
}

static int start(struct role *r, struct fault *why)
{
	const struct settings *s = &r->state.settings;
	struct queue_options queue = queue_options_of(s);
	struct spool_options spool;
	char path[4096];

	str_copy(path, sizeof path, s->spool);
	if (chdir(path) < 0)
		return fault_sys(why, "cannot enter the spool directory %s", path);
	if (role_enter_sandbox(r, why) < 0)
		return -1;
	store.file = spool_file_new(".", false, why);
	if (!store.file)
		return -1;
	store.queue = queue_new(r->loop, &queue);
	spool = spool_options_of(s);
	store.spool = open_patiently(&spool, why);
	if (!store.spool)
		return -1;
	queue_start(store.queue, store.spool);
	attach();
	return 0;
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
	if (peer.kind == ROLE_EDGE && peer.index < QUEUE_EDGES) {
		if (store.queue)
			queue_edge_channel(store.queue, peer.index, c);
		replace(&store.edges[peer.index], c);
	} else if (peer.kind == ROLE_DELIVER && peer.index < QUEUE_DELIVERS) {
		if (store.queue)
			queue_deliver_channel(store.queue, peer.index, c);
		replace(&store.delivers[peer.index], c);
	} else if (peer.kind == ROLE_CONTROL) {
		if (store.queue)
			queue_control_lost(store.queue);
		replace(&store.control, c);
	} else {
		ipc_channel_close(&c);
	}
}

static void frame(struct role *r, struct role_peer peer, const struct ipc_frame *f)
{
	store.heard_us = net_loop_now(r->loop);
	if (!store.queue)
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
	if (store.queue && peer.kind == ROLE_EDGE)
		queue_edge_writable(store.queue, peer.index);
	else if (store.queue && peer.kind == ROLE_DELIVER)
		queue_deliver_writable(store.queue, peer.index);
	else if (store.queue && peer.kind == ROLE_CONTROL)
		queue_control_writable(store.queue);
}

static void commit(struct role *r)
{
	struct queue_options o = queue_options_of(&r->state.settings);

	queue_options_set(store.queue, &o);
}

static bool is_quiet(const struct role *r)
{
	return net_loop_now(r->loop) - store.heard_us > QUIET_US;
}

/*
 * drain - the master is gone: stay as long as edges and deliver finish what they have, they ask
 * often then
 */
static void drain(struct role *r)
{
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
	.commit = commit,
	.drain = drain,
	.stop = stop,
};
