#include "session_private.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "counter.h"

#define SUBMIT_TEXT IPC_FRAME_MAX /* envelopes and headers of one submission */

/* ---- what waits for the spool */

static struct str tag_key(const uint64_t *tag)
{
	return (struct str){ (const char *)tag, sizeof *tag };
}

static bool has_tag(const struct map_node *node, const void *key)
{
	return container_of(node, const struct session_tx, by_tag)->tag == *(const uint64_t *)key;
}

static struct session_tx *find(const struct session_server *server, uint64_t tag)
{
	struct map_node *node = map_get(&server->by_tag, map_hash(tag_key(&tag)), has_tag, &tag);

	return node ? container_of(node, struct session_tx, by_tag) : NULL;
}

void session_server_tag(struct session_tx *tx)
{
	if (tx->tag)
		return;
	tx->tag = ++tx->server->tags;
	map_put(&tx->server->by_tag, &tx->by_tag, map_hash(tag_key(&tx->tag)));
}

void session_server_untag(struct session_tx *tx)
{
	if (tx->tag)
		map_remove(&tx->server->by_tag, &tx->by_tag);
	tx->tag = 0;
}

void session_server_wait(struct session_tx *tx)
{
	struct session_server *server = tx->server;

	if (!list_is_empty(&tx->waits))
		return;
	tx->due_us = net_loop_now(server->loop) + tx->config->o.commit_us;
	list_append(&server->waiting, &tx->waits);
	if (!net_timer_is_running(&server->patience))
		net_timer_start(&server->patience, tx->config->o.commit_us);
}

void session_server_unwait(struct session_tx *tx)
{
	list_remove(&tx->waits);
}

/* too_late - a slot that makes no progress, a commit that does not come */
static void too_late(struct session_tx *tx)
{
	struct session *s = tx->session;
	struct session_refusal no;

	if (tx->commit != SESSION_COMMIT_NONE) {
		session_submit_late(tx);
		session_pump(s);
		return;
	}
	no = session_refusal_own("spool", 451, "4.3.0",
				 "the store is not available, try again later");
	session_data_refuse(tx, &no);
	session_slot_push(tx);
}

/*
 * impatient - options may have changed meanwhile, so the list is not quite in the order of its
 * dues: all of it is looked at
 */
static void impatient(struct net_timer *t)
{
	struct session_server *server = container_of(t, struct session_server, patience);
	uint64_t now = net_loop_now(server->loop), next = UINT64_MAX;
	struct list late = LIST_INIT(late), *node;

	LIST_EACH(each, &server->waiting)
	{
		struct session_tx *tx = LIST_ITEM(each, struct session_tx, waits);

		if (tx->due_us <= now) {
			list_remove(each);
			list_append(&late, each);
		} else if (tx->due_us < next) {
			next = tx->due_us;
		}
	}
	while ((node = list_take(&late)))
		too_late(LIST_ITEM(node, struct session_tx, waits));
	if (next != UINT64_MAX && !net_timer_is_running(t))
		net_timer_start(t, next - now);
}

/*
 * push_waiting - each does what it can; those that wait again, or no more, do not disturb the walk
 */
static void push_waiting(struct session_server *server)
{
	struct list round = LIST_INIT(round), *node;

	while ((node = list_take(&server->waiting)))
		list_append(&round, node);
	while ((node = list_take(&round))) {
		struct session_tx *tx = LIST_ITEM(node, struct session_tx, waits);

		list_append(&server->waiting, node);
		if (tx->commit == SESSION_COMMIT_NONE) {
			session_slot_push(tx);
			continue;
		}
		session_submit_push(tx);
	}
}

static void push_aborts(struct session_server *server)
{
	struct list *node;

	while ((node = server->aborts.next) != &server->aborts) {
		struct session_tx *tx = LIST_ITEM(node, struct session_tx, node);

		if (!session_slot_abort(tx))
			return;
		session_tx_rest(tx);
	}
}

void session_server_writable(struct session_server *server)
{
	push_aborts(server);
	push_waiting(server);
}

/*
 * lose_channel - slots are gone with it; submissions are sent again on the next one, and are
 * answered as if never sent before
 */
static void lose_channel(struct session_server *server)
{
	struct list *node;

	server->spool = NULL;
	push_aborts(server);
	LIST_EACH(each, &server->sessions)
	{
		struct session_tx *tx = LIST_ITEM(each, struct session, node)->tx;

		if (!tx || !tx->tag)
			continue;
		session_slot_lost(tx);
	}
	for (node = server->waiting.next; node != &server->waiting; node = node->next) {
		struct session_tx *tx = LIST_ITEM(node, struct session_tx, waits);

		if (tx->commit == SESSION_COMMIT_SENT)
			tx->commit = SESSION_COMMIT_WANTED;
	}
}

void session_server_channel(struct session_server *server, struct ipc_channel *spool)
{
	lose_channel(server);
	server->spool = spool;
	server->room = IPC_ROOM_ALL; /* a new spool says otherwise first */
	session_server_writable(server);
}

/*
 * refused - our own trouble is 4xx, whatever the spool says: nothing it knows is the client's fault
 */
static void refused(struct session_tx *tx, const struct ipc_frame *frame)
{
	struct session_refusal no = session_refusal_own(
		"spool", 451, "4.3.0", "the store is not available, try again later");
	struct ipc_refusal r;

	if (ipc_refusal_decode(frame->payload, &r) && r.code >= 400 && r.code <= 499) {
		no.verdict.code = r.code;
		no.verdict.text = arena_str(&tx->arena, r.text);
		(void)str_copy(no.verdict.esc, sizeof no.verdict.esc, r.esc);
	}
	if (frame->type == IPC_SLOT_REFUSED)
		session_slot_refused(tx, &no);
	else if (tx->commit == SESSION_COMMIT_SENT)
		session_submit_no(tx, &no);
}

static void acked(struct session_tx *tx, const struct ipc_frame *frame)
{
	struct wire w = { .rest = frame->payload };
	uint64_t taken = wire_get_u64(&w);

	if (wire_is_end(&w))
		session_slot_ack(tx, taken);
}

static void told_room(struct session_server *server, const struct ipc_frame *frame)
{
	struct wire w = { .rest = frame->payload };
	unsigned room = wire_get_u8(&w);

	if (wire_is_end(&w) && room < IPC_ROOMS)
		server->room = (enum ipc_room)room;
}

/*
 * session_server_frame - what is about nobody who waits is late or nonsense: nothing to do in
 * either case
 */
void session_server_frame(struct session_server *server, const struct ipc_frame *frame)
{
	struct session_tx *tx = find(server, frame->tag);
	struct session *s = tx ? tx->session : NULL;

	if (frame->type == IPC_ROOM)
		told_room(server, frame);
	if (frame->type == IPC_ROOM || !s)
		return;
	switch (frame->type) {
	case IPC_DURABLE:
		session_submit_durable(tx);
		break;
	case IPC_REFUSED:
	case IPC_SLOT_REFUSED:
		refused(tx, frame);
		break;
	case IPC_SLOT_ACK:
		acked(tx, frame);
		break;
	}
	session_pump(s);
}

/* ---- the server */

struct session_server *session_server_new(struct net_loop *loop, struct policy_set *policies,
					  const struct session_options *options)
{
	struct session_server *server = calloc(1, sizeof *server);

	if (!server)
		abort();
	server->loop = loop;
	server->policies = policies;
	server->config = session_config_new(options);
	server->room = IPC_ROOM_ALL;
	list_init(&server->sessions);
	list_init(&server->dying);
	list_init(&server->spare_sessions);
	list_init(&server->spare_txs);
	list_init(&server->listeners);
	list_init(&server->waiting);
	list_init(&server->aborts);
	map_init(&server->by_tag);
	buf_init(&server->line, SIZE_MAX); /* a line was bounded before it gets there */
	buf_init(&server->text, SUBMIT_TEXT);
	buf_init(&server->frame, IPC_FRAME_MAX);
	net_timer_init(&server->patience, loop, impatient);
	return server;
}

void session_server_options(struct session_server *server, const struct session_options *options)
{
	session_config_drop(&server->config);
	server->config = session_config_new(options);
}

struct listener {
	struct list node;
	size_t n;
	char name[];
};

/* listener_name - a copy that lives as long as the server */
static struct str listener_name(struct session_server *server, struct str name)
{
	struct listener *l;

	LIST_EACH(node, &server->listeners)
	{
		l = LIST_ITEM(node, struct listener, node);
		if (str_eq(name, (struct str){ l->name, l->n }))
			return (struct str){ l->name, l->n };
	}
	l = malloc(sizeof *l + name.n + 1);
	if (!l)
		abort();
	l->n = str_copy(l->name, name.n + 1, name);
	list_append(&server->listeners, &l->node);
	return (struct str){ l->name, l->n };
}

/* shed - one connection too many: told so, without a session, a question or a byte read */
static void shed(struct session_server *server, int fd)
{
	static const struct net_conn_ops none = { .readable = NULL };
	struct net_conn_options o = { .ops = &none, .in_max = 1, .out_max = SESSION_OUT };
	struct net_conn *c = net_conn_new(server->loop, fd, &o);
	const char *what = server->is_draining ? "shutting down" : "too many connections";

	counter_add(COUNTER_SESSIONS_SHED, 1);
	(void)buf_printf(net_conn_out(c), "421 4.3.2 %.*s %s, try again later\r\n",
			 STR_ARG(server->config->o.hostname), what);
	net_conn_flush_later(c);
	net_conn_close(&c);
}

void session_server_accept_from(struct session_server *server, int fd, struct str listener,
				const struct net_address *peer)
{
	bool is_full = server->is_draining || server->count >= server->config->o.connections;

	if (is_full &&
	    session_config_listener(server->config, listener)->tls == SMTP_TLS_IMPLICIT) {
		counter_add(COUNTER_SESSIONS_SHED, 1);
		close(fd); /* a word in plain text would be none */
	} else if (is_full) {
		shed(server, fd);
	} else {
		(void)session_new(server, fd, listener_name(server, listener), peer);
	}
}

void session_server_accept(struct session_server *server, int fd, struct str listener)
{
	session_server_accept_from(server, fd, listener, NULL);
}

/*
 * session_server_drain - who is in a transaction may end it; who is at rest is told now rather than
 * at the next command
 */
void session_server_drain(struct session_server *server)
{
	server->is_draining = true;
	LIST_EACH(node, &server->sessions)
	session_drain(LIST_ITEM(node, struct session, node));
}

unsigned session_server_count(const struct session_server *server)
{
	return server->count;
}

static void free_sessions(struct session_server *server)
{
	struct list *node;

	while ((node = server->sessions.next) != &server->sessions) {
		struct session *s = LIST_ITEM(node, struct session, node);

		if (s->state != SESSION_LEAVING)
			session_leave(s, "stopped");
		if (s->state == SESSION_LEAVING)
			/* nobody waits for the answer to `disconnect` any more */
			session_bury(s);
	}
	while ((node = list_take(&server->dying)) || (node = list_take(&server->spare_sessions))) {
		struct session *s = LIST_ITEM(node, struct session, node);

		session_free(&s);
	}
}

void session_server_free(struct session_server **owned)
{
	struct session_server *server = *owned;
	struct list *node;

	*owned = NULL;
	if (!server)
		return;
	free_sessions(server);
	while ((node = list_take(&server->aborts)) || (node = list_take(&server->spare_txs))) {
		struct session_tx *tx = LIST_ITEM(node, struct session_tx, node);

		session_tx_free(&tx);
	}
	while ((node = list_take(&server->listeners)))
		free(LIST_ITEM(node, struct listener, node));
	net_timer_stop(&server->patience);
	session_config_drop(&server->config);
	map_fini(&server->by_tag);
	buf_fini(&server->line);
	buf_fini(&server->text);
	buf_fini(&server->frame);
	free(server);
}
