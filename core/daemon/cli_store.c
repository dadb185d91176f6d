#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli_feed.h"
#include "clock.h"
#include "key_file.h"
#include "log.h"
#include "privilege.h"
#include "queue.h"
#include "rnd.h"
#include "role.h"

/*
 * The spool of a daemon that does not run, opened by a child of the tool: under the spool's own
 * lock, with the rights of its owner, by the code of the spool role. Nobody delivers: there is no
 * deliver process to lend a message to. It ends when its parent does.
 */
static struct {
	struct net_loop *loop;
	struct queue *queue;
	struct spool *spool;
	struct ipc_channel *channel;
	struct net_watch link;
} store;

static void frame(void *owner, const struct ipc_frame *f)
{
	(void)owner;
	queue_edge_frame(store.queue, IPC_OPERATOR, f);
}

static void writable(void *owner)
{
	(void)owner;
	queue_edge_writable(store.queue, IPC_OPERATOR);
}

static void broken(void *owner, const struct fault *why)
{
	(void)owner;
	(void)why;
	net_loop_stop(store.loop);
}

static void parent_left(struct net_watch *w, int events)
{
	(void)w;
	(void)events;
	net_loop_stop(store.loop);
}

static int take_keys(const struct settings *s, struct spool_keys **keys, struct fault *why)
{
	if (!s->spool_key.n)
		return 0;
	*keys = spool_keys_new();
	return key_file_read(s->spool_key, *keys, why);
}

static int open_all(const struct settings *s, struct ipc_channel_fds *fds, struct fault *why)
{
	static const struct ipc_channel_ops ops = { frame, writable, broken };
	struct queue_options queue = role_spool_queue_options(s);
	struct spool_options spool = role_spool_options(s);
	struct spool_keys *keys = NULL;
	char path[4096];

	str_copy(path, sizeof path, s->spool);
	if (take_keys(s, &keys, why) < 0 || privilege_prepare(s, why) < 0)
		return -1;
	if (chdir(path) < 0)
		return fault_sys(why, "cannot enter the spool directory %s", path);
	if (privilege_drop(s, why) < 0)
		return -1;
	store.loop = net_loop_new();
	store.queue = queue_new(store.loop, &queue);
	spool.file = spool_file_new(".", false, why);
	spool.owner = queue_owner(store.queue);
	spool.keys = keys;
	spool.is_sealing = keys && s->spool_sealed;
	store.spool = spool.file ? spool_open(&spool, why) : NULL;
	spool_keys_free(&keys);
	if (!store.spool)
		return -1;
	queue_start(store.queue, store.spool);
	store.channel = ipc_channel_open(store.loop, fds, IPC_END_B, &ops, NULL, why);
	if (!store.channel)
		return -1;
	queue_edge_channel(store.queue, IPC_OPERATOR, store.channel);
	return 0;
}

static void complain(const struct settings *s, int link, const struct fault *why)
{
	char path[4096], holder[64] = "";

	str_copy(path, sizeof path, s->spool);
	if (why->sys == EWOULDBLOCK)
		(void)cli_lock_holder(".", holder, sizeof holder);
	(void)dprintf(link, "moongate: %s: %s%s%s\n", path, why->text, *holder ? ": " : "", holder);
}

static _Noreturn void serve(const struct settings *s, int link, struct ipc_channel_fds *fds)
{
	struct fault why = { 0 };

	(void)signal(SIGINT, SIG_IGN); /* our parent decides */
	(void)signal(SIGPIPE, SIG_IGN);
	log_init("operator", 0, LOG_LEVEL_WARN);
	rnd_init();
	if (open_all(s, fds, &why) < 0) {
		complain(s, link, &why);
		_exit(EX_TEMPFAIL);
	}
	net_watch_init(&store.link, store.loop, link, parent_left);
	net_watch_want(&store.link, EV_READ);
	(void)dprintf(link, "ready\n");
	net_loop_run(store.loop);
	queue_flush(store.queue);
	spool_close(&store.spool);
	_exit(0);
}

int cli_store_fork(const struct settings *s, const int link[2], struct ipc_channel_fds *fds)
{
	int pid = fork();

	if (pid == 0) {
		(void)close(link[0]); /* or we would never see our parent go */
		serve(s, link[1], fds);
	}
	return pid;
}
