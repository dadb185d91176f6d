#define _GNU_SOURCE /* struct ucred */
#include "admin_control.h"

#include <stdlib.h>
#include <unistd.h>

#include <sys/socket.h>

#include "net_pass.h"

/*
 *      FREE --accept()--> READING --request--> ASKED --last chunk--> FREE
 *                            |                   |
 *                            +--- gone, late ----+---> FREE
 *
 * READING  has a connection and no tag; nothing was passed on.
 * ASKED  somebody owes an answer with this tag; `source` says who. A client in FREE has neither; a
 * late answer to it finds another
 *          tag, or none.
 */
enum client_state { CLIENT_FREE, CLIENT_READING, CLIENT_ASKED };
enum source { SOURCE_HERE, SOURCE_MASTER, SOURCE_SPOOL };

struct client {
	struct admin_control *admin;
	enum client_state state;
	enum source source;
	struct net_conn *conn;
	int fd; /* of conn */
	uint64_t tag;
	struct buf rest; /* SOURCE_HERE: what does not fit into the connection yet */
	bool is_lasting; /* ASKED, and its connection is what the answer is */
};

struct admin_control {
	struct net_loop *loop;
	const struct admin_ops *ops;
	void *owner;
	struct net_listen *listen;
	uid_t uid;
	uint64_t serial;
	bool is_paused;
	struct client clients[ADMIN_CLIENTS];
};

static const struct route {
	const char *noun;
	enum source source;
	bool is_lasting;
} routes[] = {
	{ "metrics", SOURCE_HERE, false },     { "status", SOURCE_MASTER, false },
	{ "reload", SOURCE_MASTER, false },    { "drain", SOURCE_MASTER, false },
	{ "policy", SOURCE_MASTER, false },    { "queue", SOURCE_SPOOL, false },
	{ "quarantine", SOURCE_SPOOL, false }, { "spool", SOURCE_MASTER, true },
	{ "upgrade", SOURCE_MASTER, false },
};

/* ---- flow ----------------------------------------------------------------------------------- */

/* update_pause - the spool stops as long as anybody who asked it reads too slowly */
static void update_pause(struct admin_control *a)
{
	bool paused = false;

	for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
		const struct client *c = &a->clients[i];

		if (c->state == CLIENT_ASKED && c->source == SOURCE_SPOOL && net_conn_full(c->conn))
			paused = true;
	}
	if (paused == a->is_paused)
		return;
	a->is_paused = paused;
	a->ops->spool_pause(a->owner, paused);
}

static void set_state(struct client *c, enum client_state state)
{
	bool has_left = c->is_lasting && state == CLIENT_FREE;

	c->state = state;
	if (state != CLIENT_FREE)
		return;
	c->tag = 0;
	c->is_lasting = false;
	if (has_left)
		(void)c->admin->ops->to_master(c->admin->owner, 0, STR("spool\0leave"));
	buf_fini(&c->rest);
	update_pause(c->admin);
}

static void leave(struct client *c)
{
	net_conn_close(&c->conn);
	set_state(c, CLIENT_FREE);
}

static void cut(struct client *c)
{
	net_conn_abort(&c->conn);
	set_state(c, CLIENT_FREE);
}

/* put - one chunk; false: the client is gone, since it took in nothing for too long */
static bool put(struct client *c, unsigned code, struct str text)
{
	if (!admin_wire_chunk(net_conn_out(c->conn), code, text)) {
		cut(c);
		return false;
	}
	net_conn_flush_later(c->conn);
	return true;
}

static void answer(struct client *c, unsigned code, struct str text)
{
	while (text.n > ADMIN_CHUNK) {
		if (!put(c, ADMIN_MORE, str_head(text, ADMIN_CHUNK)))
			return;
		text = str_drop(text, ADMIN_CHUNK);
	}
	if (!put(c, code, text))
		return;
	if (code != ADMIN_MORE) {
		leave(c);
		return;
	}
	net_conn_deadline(c->conn, ADMIN_ANSWER_WAIT);
	update_pause(c->admin);
}

/* pump - what was made here, as fast as the client takes it */
static void pump(struct client *c)
{
	while (c->state == CLIENT_ASKED && !net_conn_full(c->conn)) {
		struct str text = str_head(buf_str(&c->rest), ADMIN_CHUNK);
		bool last = text.n == buf_len(&c->rest);

		if (!put(c, last ? 0 : ADMIN_MORE, text))
			return;
		buf_take(&c->rest, text.n);
		if (last)
			leave(c);
		else
			net_conn_deadline(c->conn, ADMIN_ANSWER_WAIT);
	}
}

/* ---- requests ------------------------------------------------------------------------------- */

static void answer_metrics(struct client *c, bool as_json)
{
	struct admin_slab slabs[ADMIN_SLABS];
	unsigned n = c->admin->ops->slabs(c->admin->owner, slabs);
	bool fits;

	buf_init(&c->rest, ADMIN_METRICS);
	fits = as_json ? admin_metrics_json(&c->rest, slabs, n)
		       : admin_metrics_text(&c->rest, slabs, n);
	if (fits)
		pump(c);
	else
		answer(c, 70, STR("moongate: there are too many metrics\n"));
}

static const struct route *route_of(struct str noun)
{
	for (size_t i = 0; i < COUNT(routes); i++)
		if (str_eq(noun, str_of(routes[i].noun)))
			return &routes[i];
	return NULL;
}

static bool is_any_lasting(const struct admin_control *a)
{
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
		if (a->clients[i].is_lasting)
			return true;
	return false;
}

static void ask(struct client *c, struct str request)
{
	struct admin_control *a = c->admin;
	struct str words[ADMIN_WORDS];
	unsigned n = admin_wire_words(request, words);
	const struct route *route = n ? route_of(words[0]) : NULL;
	bool as_json = false, sent = true;

	for (unsigned i = 1; i < n; i++)
		as_json |= str_eq(words[i], STR("--json"));
	if (!route) {
		answer(c, 64, STR("moongate: the daemon knows no such request\n"));
		return;
	}
	if (route->is_lasting && is_any_lasting(a)) {
		answer(c, 75, STR("moongate: another import or adoption is running\n"));
		return;
	}
	c->source = route->source;
	c->is_lasting = route->is_lasting;
	c->tag = ++a->serial;
	set_state(c, CLIENT_ASKED);
	net_conn_deadline(c->conn, ADMIN_ANSWER_WAIT);
	if (route->source == SOURCE_HERE)
		answer_metrics(c, as_json);
	else if (route->source == SOURCE_MASTER)
		sent = a->ops->to_master(a->owner, c->tag, request);
	else
		sent = a->ops->to_spool(a->owner, c->tag, request);
	if (!sent)
		answer(c, 75, STR("moongate: not ready for that now, try again\n"));
}

static void readable(void *owner)
{
	struct client *c = owner;
	struct buf *in = net_conn_in(c->conn);
	struct str rest = buf_str(in), request;
	enum step step;

	if (c->state != CLIENT_READING) { /* one request per connection; what follows is not read */
		buf_take(in, buf_len(in));
		return;
	}
	step = admin_wire_request_take(&rest, &request);
	if (step == STEP_DONE)
		ask(c, request);
	else if (step == STEP_ERROR)
		answer(c, 64, STR("moongate: not a request\n"));
}

static void drained(void *owner)
{
	struct client *c = owner;

	if (c->state == CLIENT_ASKED && c->source == SOURCE_HERE)
		pump(c);
	else
		update_pause(c->admin);
}

static void ended(void *owner, enum net_end end, const struct fault *why)
{
	struct client *c = owner;

	(void)why;
	if (end == NET_END_DEADLINE && c->state == CLIENT_ASKED && !net_conn_full(c->conn))
		answer(c, 75, STR("moongate: no answer in time\n"));
	else
		cut(c);
}

static const struct net_conn_ops conn_ops = { .readable = readable,
					      .drained = drained,
					      .ended = ended };

/* ---- clients -------------------------------------------------------------------------------- */

static struct client *client_new(struct admin_control *a)
{
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
		if (a->clients[i].state == CLIENT_FREE)
			return &a->clients[i];
	return NULL;
}

static bool is_allowed(const struct admin_control *a, int fd)
{
	struct ucred peer;
	socklen_t n = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return false;
	return peer.uid == 0 || peer.uid == a->uid;
}

void admin_control_accept(struct admin_control *a, int fd)
{
	struct client *c = client_new(a);
	struct net_conn_options o = {
		.ops = &conn_ops, .owner = c, .in_max = ADMIN_REQUEST, .out_max = ADMIN_OUT
	};

	if (!c) { /* its end tells the operator to try again */
		(void)close(fd);
		return;
	}
	*c = (struct client){ .admin = a, .fd = fd, .conn = net_conn_new(a->loop, fd, &o) };
	set_state(c, CLIENT_READING);
	net_conn_deadline(c->conn, ADMIN_REQUEST_WAIT);
	if (!is_allowed(a, fd))
		answer(c, 77, STR("moongate: only root and the daemon's own user may ask\n"));
}

static void accepted(void *owner, int fd)
{
	admin_control_accept(owner, fd);
}

void admin_control_answer(struct admin_control *a, uint64_t tag, unsigned code, struct str text)
{
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
		struct client *c = &a->clients[i];

		if (c->state == CLIENT_ASKED && c->source != SOURCE_HERE && c->tag == tag) {
			answer(c, code > ADMIN_MORE ? 70 : code, text);
			return;
		}
	}
}

void admin_control_pass(struct admin_control *a, uint64_t tag, const int *fds, unsigned nfds)
{
	char head[32];
	struct buf b = { .p = head, .cap = sizeof head, .max = sizeof head };

	(void)admin_wire_chunk(&b, ADMIN_MORE, STR_NONE);
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
		struct client *c = &a->clients[i];

		if (c->state != CLIENT_ASKED || !c->is_lasting || c->tag != tag)
			continue;
		if (net_pass(c->fd, buf_str(&b), fds, nfds))
			net_conn_deadline(c->conn, NET_FOREVER);
		else
			cut(c);
	}
}

void admin_control_spool_gone(struct admin_control *a)
{
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++) {
		struct client *c = &a->clients[i];

		if (c->state == CLIENT_ASKED && (c->source == SOURCE_SPOOL || c->is_lasting))
			answer(c, 75,
			       STR("moongate: the spool was restarted meanwhile, try again\n"));
	}
}

unsigned admin_control_clients(const struct admin_control *a)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
		n += a->clients[i].state != CLIENT_FREE;
	return n;
}

struct admin_control *admin_control_new(struct net_loop *loop, const struct admin_ops *ops,
					void *owner)
{
	struct admin_control *a = calloc(1, sizeof *a);

	if (!a)
		abort();
	a->loop = loop;
	a->ops = ops;
	a->owner = owner;
	a->uid = geteuid();
	return a;
}

void admin_control_listen(struct admin_control *a, int fd)
{
	net_listen_close(&a->listen);
	a->listen = net_listen_new(a->loop, fd, accepted, a);
}

void admin_control_deafen(struct admin_control *a)
{
	net_listen_close(&a->listen);
}

void admin_control_free(struct admin_control **a)
{
	if (!*a)
		return;
	net_listen_close(&(*a)->listen);
	for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
		if ((*a)->clients[i].state != CLIENT_FREE)
			leave(&(*a)->clients[i]);
	free(*a);
	*a = NULL;
}
