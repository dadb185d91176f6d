#define _GNU_SOURCE /* SOCK_NONBLOCK */
#include "trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge_options.h"
#include "policy_generation.h"
#include "policy_view.h"
#include "trial_spool.h"

#define OUT_MAX    (TRIAL_BODY + 1024 * 1024)
#define REPLY_LINE 2048

const char *const trial_stage_name[TRIAL_STAGES] = { "connect", "ehlo", "mail",
						     "rcpt",    "data", "message" };

/* Where the client is: what it said last and waits to hear about. */
enum said { SAID_NOTHING, SAID_EHLO, SAID_MAIL, SAID_RCPT, SAID_DATA, SAID_MESSAGE, SAID_QUIT };

struct trial {
	struct net_loop *loop;
	struct policy_set policies;
	const struct policy_ops *ops; /* of the policy, behind our own */
	void (*answered)(struct policy_question *);
	struct session_server *server;
	struct trial_spool spool;
	struct str listener; /* the first of the settings */

	/* of one run */
	const struct trial_case *c;
	struct arena *arena;
	struct trial_outcome *out;
	enum said said;
	unsigned rcpt, accepted;
	struct net_watch watch;
	struct net_timer patience;
	struct buf in, pending;
	int fd;
	bool is_over; /* the server closed */
};

/* One trial at a time asks: the answer of a question has no other way back to it. */
static struct trial *running;

/* ---- what the policy decides ----------------------------------------------------------------- */

static void remember(struct policy_question *q)
{
	struct trial_outcome *o = running->out;
	struct trial_decision *d;

	if (!o || o->ndecisions == TRIAL_DECISIONS)
		return;
	d = &o->decisions[o->ndecisions++];
	*d = (struct trial_decision){ q->hook, o->nreplies, STR_NONE, q->verdict };
	if (q->rcpt)
		d->rcpt = arena_str(running->arena, q->rcpt->address.text);
	d->verdict.text = arena_str(running->arena, q->verdict.text);
	d->verdict.reason = arena_str(running->arena, q->verdict.reason);
	d->verdict.bucket = arena_str(running->arena, q->verdict.bucket);
	d->verdict.rule = arena_str(running->arena, q->verdict.rule);
}

static void answered(struct policy_question *q)
{
	remember(q);
	q->answered = running->answered;
	q->answered(q);
}

static enum step ask(struct policy_question *q)
{
	enum step step = running->ops->ask(q);

	if (step == STEP_MORE) {
		running->answered = q->answered;
		q->answered = answered;
	} else {
		remember(q);
	}
	return step;
}

static void cancel(struct policy_question *q)
{
	if (q->answered == answered)
		q->answered = running->answered;
	running->ops->cancel(q);
}

static void activate(struct policy_generation *g)
{
	running->ops->activate(g);
}

static void retire(struct policy_generation *g)
{
	running->ops->retire(g);
}

static void destroy(struct policy_generation *g)
{
	running->ops->destroy(g);
}

static const struct policy_ops witness = {
	.ask = ask,
	.cancel = cancel,
	.activate = activate,
	.retire = retire,
	.destroy = destroy,
};

/* ---- the client ------------------------------------------------------------------------------ */

static void over(struct trial *t)
{
	net_watch_want(&t->watch, 0);
	net_timer_stop(&t->patience);
	t->is_over = true;
	net_loop_stop(t->loop);
}

static void flush(struct trial *t)
{
	while (buf_len(&t->pending) > 0) {
		struct str s = buf_str(&t->pending);
		ssize_t n = send(t->fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		buf_take(&t->pending, (size_t)n);
	}
	if (buf_len(&t->pending) > 0 && errno != EAGAIN) {
		buf_reset(&t->pending); /* the server has closed: reading will tell */
	}
	net_watch_want(&t->watch, buf_len(&t->pending) > 0 ? EV_READ | EV_WRITE : EV_READ);
}

/* put_message - with its dots doubled, and the one at the end */
static void put_message(struct trial *t)
{
	struct str rest = t->c->message, line;

	while (rest.n > 0) {
		if (!str_take(&rest, '\n', &line)) {
			line = rest;
			rest = STR_NONE;
		}
		if (str_has_prefix(line, STR(".")))
			(void)buf_byte(&t->pending, '.');
		if (str_has_suffix(line, STR("\r")))
			line = str_head(line, line.n - 1);
		(void)(buf_add(&t->pending, line) && buf_add(&t->pending, STR("\r\n")));
	}
	(void)buf_add(&t->pending, STR(".\r\n"));
}

static void say(struct trial *t, enum said what)
{
	const struct trial_case *c = t->c;
	struct buf *b = &t->pending;

	t->said = what;
	switch (what) {
	case SAID_EHLO:
		(void)buf_printf(b, "EHLO %.*s\r\n", STR_ARG(c->helo));
		break;
	case SAID_MAIL:
		(void)buf_printf(b, "MAIL FROM:<%.*s>\r\n", STR_ARG(c->sender));
		break;
	case SAID_RCPT:
		(void)buf_printf(b, "RCPT TO:<%.*s>\r\n", STR_ARG(c->rcpts[t->rcpt]));
		break;
	case SAID_DATA:
		(void)buf_add(b, STR("DATA\r\n"));
		break;
	case SAID_MESSAGE:
		put_message(t);
		break;
	case SAID_QUIT:
		(void)buf_add(b, STR("QUIT\r\n"));
		break;
	case SAID_NOTHING:
		break;
	}
	flush(t);
}

/* next - what a client says after a yes to what it said last */
static enum said next(struct trial *t)
{
	switch (t->said) {
	case SAID_NOTHING:
		return SAID_EHLO;
	case SAID_EHLO:
		return SAID_MAIL;
	case SAID_MAIL:
		t->rcpt = 0;
		return t->c->nrcpts > 0 ? SAID_RCPT : SAID_QUIT;
	case SAID_RCPT:
		if (++t->rcpt < t->c->nrcpts)
			return SAID_RCPT;
		return t->accepted > 0 ? SAID_DATA : SAID_QUIT;
	case SAID_DATA:
		return SAID_MESSAGE;
	case SAID_MESSAGE:
	case SAID_QUIT:
		break;
	}
	return SAID_QUIT;
}

static void heard(struct trial *t, struct str line)
{
	static const enum trial_stage stages[] = { TRIAL_CONNECT, TRIAL_EHLO, TRIAL_MAIL,
						   TRIAL_RCPT,    TRIAL_DATA, TRIAL_MESSAGE };
	struct trial_outcome *o = t->out;
	uint64_t code = 0;

	if (t->said == SAID_QUIT)
		return;
	(void)str_u64(str_head(line, 3), 599, &code);
	if (o->nreplies < TRIAL_REPLIES)
		o->replies[o->nreplies++] = (struct trial_reply){
			.stage = stages[t->said],
			.rcpt = t->rcpt,
			.code = (unsigned)code,
			.text = arena_str(t->arena, line),
		};
	t->accepted += t->said == SAID_RCPT && code < 400;
	say(t, code < 400 || t->said == SAID_RCPT ? next(t) : SAID_QUIT);
}

static void ready(struct net_watch *w, int events)
{
	struct trial *t = container_of(w, struct trial, watch);
	char bytes[4096];
	struct str text, line;
	ssize_t n;

	if (events & EV_WRITE)
		flush(t);
	n = recv(t->fd, bytes, sizeof bytes, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		over(t);
		return;
	}
	(void)buf_add(&t->in, (struct str){ bytes, (size_t)n });
	text = buf_str(&t->in);
	while (str_take(&text, '\n', &line)) {
		line = str_trim(line);
		if (line.n == 3 || (line.n > 3 && line.p[3] == ' '))
			heard(t, line);
	}
	buf_take(&t->in, buf_len(&t->in) - text.n);
}

static void impatient(struct net_timer *timer)
{
	struct trial *t = container_of(timer, struct trial, patience);

	t->out->is_late = true;
	over(t);
}

/* ---- trials ---------------------------------------------------------------------------------- */

static void edge_frame(void *owner, const struct ipc_frame *f)
{
	session_server_frame(((struct trial *)owner)->server, f);
}

static void edge_writable(void *owner)
{
	session_server_writable(((struct trial *)owner)->server);
}

static void edge_broken(void *owner, const struct fault *why)
{
	(void)owner;
	(void)why;
}

static const struct ipc_channel_ops edge_ops = { edge_frame, edge_writable, edge_broken };

static struct policy_generation *generation_of(struct trial *t, const struct script_options *o,
					       struct buf *errors)
{
	struct policy_generation *g = policy_generation_new(0, STR("trial"));

	if (o->nsources > 0 && script_load(g, o, errors) < 0) {
		policy_generation_free(&g);
		return NULL;
	}
	if (g->ops) {
		t->ops = g->ops;
		g->ops = &witness;
	}
	return g;
}

struct trial *trial_new(const struct settings *s, struct script_options o, struct buf *errors)
{
	struct trial *t = calloc(1, sizeof *t);
	struct session_options options = edge_options(s, 0);
	struct policy_generation *g;
	struct fault why;

	if (!t)
		abort();
	running = t;
	t->loop = net_loop_new();
	t->listener = s->nlisten > 0 ? s->listen[0].name : STR("trial");
	policy_set_init(&t->policies);
	o.loop = t->loop;
	o.is_edge = true;
	o.is_trial = true;
	g = generation_of(t, &o, errors);
	if (!g) {
		trial_free(&t);
		return NULL;
	}
	policy_set_commit(&t->policies, g);
	t->server = session_server_new(t->loop, &t->policies, &options);
	if (trial_spool_open(&t->spool, t->loop, &edge_ops, t, &why) < 0) {
		(void)buf_printf(errors, "moongate: %s\n", why.text);
		trial_free(&t);
		return NULL;
	}
	session_server_channel(t->server, t->spool.edge);
	return t;
}

static bool connect_client(struct trial *t, const struct trial_case *c)
{
	struct net_address peer;
	struct fault why;
	char text[NET_ADDRESS_TEXT];
	bool is_six = str_find(c->ip, ':') >= 0;
	int ends[2];

	(void)snprintf(text, sizeof text, is_six ? "[%.*s]:4321" : "%.*s:4321", STR_ARG(c->ip));
	if (net_address_parse(str_of(text), &peer, &why) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	t->fd = ends[1];
	net_watch_init(&t->watch, t->loop, t->fd, ready);
	net_watch_want(&t->watch, EV_READ);
	net_timer_init(&t->patience, t->loop, impatient);
	net_timer_start(&t->patience, TRIAL_WAIT);
	session_server_accept_from(t->server, ends[0], c->listener, &peer);
	return true;
}

void trial_run(struct trial *t, const struct trial_case *wanted, struct arena *arena,
	       struct trial_outcome *out)
{
	struct trial_case c = *wanted;

	*out = (struct trial_outcome){ 0 };
	if (!c.ip.n)
		c.ip = STR("192.0.2.7");
	if (!c.helo.n)
		c.helo = STR("client.example");
	if (!c.listener.n)
		c.listener = t->listener;
	running = t;
	t->c = &c;
	t->arena = arena;
	t->out = out;
	t->said = SAID_NOTHING;
	t->rcpt = t->accepted = 0;
	t->is_over = false;
	buf_init(&t->in, 64 * 1024);
	buf_init(&t->pending, OUT_MAX);
	trial_spool_expect(&t->spool, arena, out);
	if (connect_client(t, &c)) {
		while (!t->is_over)
			net_loop_run(t->loop);
		(void)close(t->fd);
	}
	trial_spool_expect(&t->spool, NULL, NULL);
	t->out = NULL;
	buf_fini(&t->in);
	buf_fini(&t->pending);
}

void trial_free(struct trial **tp)
{
	struct trial *t = *tp;

	*tp = NULL;
	running = t;
	t->out = NULL;
	if (t->server)
		session_server_free(&t->server);
	policy_set_fini(&t->policies);
	trial_spool_close(&t->spool);
	net_loop_free(&t->loop);
	free(t);
	running = NULL;
}

const struct trial_reply *trial_answer(const struct trial_outcome *o)
{
	return o->nreplies > 0 ? &o->replies[o->nreplies - 1] : NULL;
}

const struct trial_decision *trial_decider(const struct trial_outcome *o,
					   const struct trial_reply *answer)
{
	for (unsigned i = o->ndecisions; answer && answer->code >= 400 && i-- > 0;) {
		const struct trial_decision *d = &o->decisions[i];

		if (d->verdict.rule.n > 0 && d->verdict.code == answer->code)
			return d;
	}
	return NULL;
}
