/*
 * session_bed - a session server between a client, a policy and a spool that a test plays itself,
 * all in one loop.
 *
 * What        policy: one canned verdict per hook, at once or when the test answers, and a function
 *             that may edit. Spool: the other end of the channel; commits by itself, or waits, or
 *             refuses; keeps what was submitted. Client: a bare socket.
 * Invariants  a reply of 250 behind the data is only ever heard for an id that the spool kept:
 *             hear() looks at every line.
 */
#ifndef SESSION_BED_H
#define SESSION_BED_H

#include <errno.h>
#include <sys/socket.h>

#include "envelope.h"
#include "log.h"
#include "policy_edit.h"
#include "rnd.h"
#include "session.h"
#include "turns.h"

#define BED_STORED  64
#define BED_CLIENTS 64
#define BED_OPEN    64
#define BED_RING    (2 * 1024 * 1024)

/* ---- policy */

struct bed_policy {
	struct policy_set set;
	struct verdict canned[HOOKS];
	bool waits[HOOKS];                            /* MORE: the test answers */
	void (*act[HOOKS])(struct policy_question *); /* edits, or another verdict */
	bool is_late; /* MORE, always: answered in the next turn by itself */
	struct net_deferred late;
	struct policy_question *open[BED_OPEN];
	unsigned nopen, asked[HOOKS], cancelled, answered;
	char log[4096]; /* "connect ehlo mail ..." */
};

/* ---- spool */

enum bed_commit { BED_COMMITS, BED_WAITS, BED_REFUSES, BED_DEAF };

struct bed_message {
	struct id id;
	uint64_t tag;
	unsigned times;   /* submitted */
	unsigned sending; /* sessions, as the last time said */
	bool is_durable, is_slot;
	struct arena arena;
	struct ipc_submit submit;
	struct envelope envelopes[IPC_VARIANTS];
	struct str body;
};

struct bed_slot {
	uint64_t tag;
	struct buf bytes;
	bool is_gone;
};

struct bed_spool {
	struct ipc_channel *edge, *own;
	enum bed_commit commit;
	struct ipc_refusal refusal;
	bool acks; /* slots by themselves */
	struct bed_message stored[BED_STORED];
	unsigned nstored;
	struct bed_slot slots[BED_STORED];
	unsigned nslots, aborts;
	size_t most_unacked;
};

/* ---- client */

struct bed_client {
	int fd;
	struct buf got;
	char line[1024];
	bool is_over; /* the server closed */
};

struct bed {
	struct net_loop *loop;
	struct bed_policy policy;
	struct bed_spool spool;
	struct session_options o;
	struct session_server *server;
	struct buf events;
};

static struct bed bed;

/* ---- policy: implementation */

static inline void bed_settle(struct policy_question *q)
{
	q->verdict = bed.policy.canned[q->hook];
	if (bed.policy.act[q->hook])
		bed.policy.act[q->hook](q);
	if (q->tx)
		policy_edits_apply(q->tx);
}

static inline enum step bed_ask(struct policy_question *q)
{
	struct bed_policy *p = &bed.policy;
	size_t n = strlen(p->log);

	(void)snprintf(p->log + n, sizeof p->log - n, "%s ", policy_hook_name[q->hook]);
	p->asked[q->hook]++;
	if (!p->waits[q->hook] && !p->is_late) {
		bed_settle(q);
		return STEP_DONE;
	}
	assert_true(p->nopen < BED_OPEN);
	p->open[p->nopen++] = q;
	q->task = p;
	if (p->is_late)
		net_loop_defer_next(bed.loop, &p->late);
	return STEP_MORE;
}

static inline void bed_cancel(struct policy_question *q)
{
	struct bed_policy *p = &bed.policy;

	for (unsigned i = 0; i < p->nopen; i++)
		if (p->open[i] == q)
			p->open[i--] = p->open[--p->nopen];
	p->cancelled++;
	q->task = NULL;
}

/* bed_answer - the oldest open question */
static inline void bed_answer(void)
{
	struct bed_policy *p = &bed.policy;
	struct policy_question *q = p->open[0];

	assert_true(p->nopen > 0);
	memmove(p->open, p->open + 1, --p->nopen * sizeof p->open[0]);
	p->answered++;
	q->task = NULL;
	bed_settle(q);
	q->answered(q);
}

static inline void bed_answer_late(struct net_deferred *d)
{
	(void)d;
	while (bed.policy.nopen > 0)
		bed_answer();
}

static inline void bed_nothing(struct policy_generation *g)
{
	(void)g;
}

static const struct policy_ops bed_ops = {
	.ask = bed_ask,
	.cancel = bed_cancel,
	.activate = bed_nothing,
	.retire = bed_nothing,
	.destroy = bed_nothing,
};

static inline void bed_commit_generation(unsigned number)
{
	struct policy_generation *g = policy_generation_new(number, STR("0123456789abcdef"));

	g->ops = &bed_ops;
	g->hooks = (1u << HOOK_ROUTE) - 1; /* all of the edge */
	policy_set_commit(&bed.policy.set, g);
}

static inline struct verdict bed_verdict(enum verdict_kind kind, unsigned code, const char *esc,
					 const char *text)
{
	struct verdict v = {
		.kind = kind, .code = (uint16_t)code, .text = str_of(text), .rule = STR("bed")
	};

	(void)str_copy(v.esc, sizeof v.esc, str_of(esc));
	return v;
}

/* ---- spool: implementation */

static inline void bed_tell(uint64_t tag, unsigned type, struct str payload)
{
	struct ipc_frame head = { .type = (uint16_t)type, .tag = tag };

	assert_true(ipc_channel_send(bed.spool.own, &head, &payload, 1));
}

static inline void bed_tell_refused(uint64_t tag, unsigned type)
{
	struct buf b;

	buf_init(&b, 1024);
	assert_true(ipc_refusal_encode(&b, &bed.spool.refusal));
	bed_tell(tag, type, buf_str(&b));
	buf_fini(&b);
}

static inline struct bed_slot *bed_slot_of(uint64_t tag)
{
	for (unsigned i = 0; i < bed.spool.nslots; i++)
		if (bed.spool.slots[i].tag == tag && !bed.spool.slots[i].is_gone)
			return &bed.spool.slots[i];
	return NULL;
}

static inline void bed_ack(uint64_t tag)
{
	struct bed_slot *slot = bed_slot_of(tag);
	struct buf b;

	assert_non_null(slot);
	buf_init(&b, 8);
	assert_true(wire_u64(&b, buf_len(&slot->bytes)));
	bed_tell(tag, IPC_SLOT_ACK, buf_str(&b));
	buf_fini(&b);
}

static inline struct bed_message *bed_message_of(const struct id *id)
{
	for (unsigned i = 0; i < bed.spool.nstored; i++)
		if (id_is_eq(&bed.spool.stored[i].id, id))
			return &bed.spool.stored[i];
	return NULL;
}

static inline void bed_keep(struct bed_message *m, const struct ipc_frame *frame)
{
	struct str copy;
	struct fault why;

	arena_init(&m->arena, 64 << 20);
	copy = arena_str(&m->arena, frame->payload);
	assert_true(ipc_submit_decode(copy, &m->submit));
	m->id = m->submit.id;
	m->tag = frame->tag;
	m->is_slot = m->submit.is_slot;
	m->body = m->submit.body;
	if (m->is_slot) {
		struct bed_slot *slot = bed_slot_of(m->submit.slot);

		assert_non_null(slot);
		assert_int_equal(buf_len(&slot->bytes), m->submit.slot_length);
		m->body = buf_str(&slot->bytes);
	}
	for (unsigned i = 0; i < m->submit.nvariants; i++)
		if (envelope_read(m->submit.variants[i].envelope, &m->arena, &m->envelopes[i],
				  &why) < 0)
			fail_msg("%s", why.text);
}

static inline void bed_durable(struct bed_message *m)
{
	m->is_durable = true;
	bed_tell(m->tag, IPC_DURABLE, STR_NONE);
}

static inline void bed_submit(const struct ipc_frame *frame)
{
	struct ipc_submit submit;
	struct bed_message *m;

	assert_true(ipc_submit_decode(frame->payload, &submit));
	m = bed_message_of(&submit.id);
	if (!m && submit.is_slot &&
	    !bed_slot_of(submit.slot)) { /* its slot went with the channel before */
		bed.spool.refusal = (struct ipc_refusal){ 451, STR("4.3.0"), STR("no such slot") };
		bed_tell_refused(frame->tag, IPC_REFUSED);
		return;
	}
	if (!m) {
		assert_true(bed.spool.nstored < BED_STORED);
		m = &bed.spool.stored[bed.spool.nstored++];
		bed_keep(m, frame);
	}
	m->times++;
	m->sending = frame->flags;
	m->tag = frame->tag;
	if (bed.spool.commit == BED_COMMITS || m->is_durable)
		bed_durable(m);
	if (bed.spool.commit == BED_REFUSES)
		bed_tell_refused(frame->tag, IPC_REFUSED);
}

static inline void bed_spool_frame(void *owner, const struct ipc_frame *frame)
{
	struct bed_spool *sp = &bed.spool;
	struct bed_slot *slot = bed_slot_of(frame->tag);

	(void)owner;
	if (sp->commit == BED_DEAF)
		return;
	switch (frame->type) {
	case IPC_SUBMIT:
		bed_submit(frame);
		break;
	case IPC_SLOT_OPEN:
		assert_null(slot);
		assert_true(sp->nslots < BED_STORED);
		slot = &sp->slots[sp->nslots++];
		slot->tag = frame->tag;
		buf_init(&slot->bytes, 256 << 20);
		if (sp->acks)
			bed_ack(frame->tag);
		break;
	case IPC_SLOT_DATA:
		if (!slot)
			break;
		assert_true(frame->payload.n <= IPC_SLOT_CHUNK);
		assert_true(buf_add(&slot->bytes, frame->payload));
		if (sp->acks)
			bed_ack(frame->tag);
		break;
	case IPC_SLOT_ABORT:
		assert_non_null(slot);
		slot->is_gone = true;
		sp->aborts++;
		break;
	default:
		fail_msg("a frame of type %u", frame->type);
	}
}

static inline void bed_edge_frame(void *owner, const struct ipc_frame *frame)
{
	(void)owner;
	session_server_frame(bed.server, frame);
}

static inline void bed_edge_writable(void *owner)
{
	(void)owner;
	session_server_writable(bed.server);
}

static inline void bed_broken(void *owner, const struct fault *why)
{
	(void)owner;
	fail_msg("%s", why->text);
}

static const struct ipc_channel_ops bed_spool_ops = { .frame = bed_spool_frame,
						      .broken = bed_broken };
static const struct ipc_channel_ops bed_edge_ops = { bed_edge_frame, bed_edge_writable,
						     bed_broken };

/*
 * bed_connect_to - a new channel between edge and a spool; what was on its way in the former one is
 * lost, slots with it
 */
static inline void bed_connect_to(const struct ipc_channel_ops *spool, size_t ring)
{
	struct ipc_channel *former = bed.spool.edge;
	struct ipc_channel_fds a, b;
	struct fault why;

	if (ipc_channel_make(&a, ring, &why) < 0)
		fail_msg("%s", why.text);
	b = (struct ipc_channel_fds){ dup(a.memory), dup(a.wake_a), dup(a.wake_b) };
	ipc_channel_close(&bed.spool.own);
	for (unsigned i = 0; i < bed.spool.nslots; i++)
		bed.spool.slots[i].is_gone = true;
	bed.spool.edge = ipc_channel_open(bed.loop, &a, IPC_END_A, &bed_edge_ops, NULL, &why);
	bed.spool.own = ipc_channel_open(bed.loop, &b, IPC_END_B, spool, NULL, &why);
	assert_non_null(bed.spool.edge);
	assert_non_null(bed.spool.own);
	session_server_channel(bed.server, bed.spool.edge);
	ipc_channel_close(&former);
}

static inline void bed_connect(size_t ring)
{
	bed_connect_to(&bed_spool_ops, ring);
}

static inline void bed_disconnect(void)
{
	session_server_channel(bed.server, NULL);
	ipc_channel_close(&bed.spool.edge);
	ipc_channel_close(&bed.spool.own);
	for (unsigned i = 0; i < bed.spool.nslots; i++)
		bed.spool.slots[i].is_gone = true;
}

/* ---- client: implementation */

static inline struct bed_client client_open(void)
{
	struct bed_client c = { .fd = -1 };
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
			 0);
	c.fd = ends[1];
	buf_init(&c.got, 4 << 20);
	session_server_accept(bed.server, ends[0], STR("test"));
	return c;
}

static inline void client_close(struct bed_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_fini(&c->got);
}

static inline void client_read(struct bed_client *c)
{
	char bytes[4096];
	ssize_t n;

	if (c->is_over)
		return;
	while ((n = recv(c->fd, bytes, sizeof bytes, 0)) > 0)
		assert_true(buf_add(&c->got, (struct str){ bytes, (size_t)n }));
	c->is_over = n == 0 || (n < 0 && errno == ECONNRESET);
}

/* say - all of it, turning the loop when the socket is full */
static inline void say_str(struct bed_client *c, struct str s)
{
	for (unsigned turns = 0; s.n > 0; turns++) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EPIPE)
			return;
		if (n > 0)
			s = str_drop(s, (size_t)n);
		else
			turn(bed.loop);
		if (turns == TURNS)
			fail_msg("nobody reads: %zu bytes left", s.n);
	}
}

static inline void say(struct bed_client *c, const char *text)
{
	say_str(c, str_of(text));
}

/* no_false_250 - "queued as ID": the spool has it durable, or every copy was discarded */
static inline void no_false_250(struct str line)
{
	struct str mark = STR("250 2.6.0 queued as ");
	struct bed_message *m;
	struct id id;

	if (!str_has_prefix(line, mark))
		return;
	assert_true(id_parse(str_trim(str_drop(line, mark.n)), &id));
	m = bed_message_of(&id);
	if (m ? !m->is_durable
	      : bed.policy.canned[HOOK_MESSAGE].kind != VERDICT_DISCARD &&
			    bed.policy.canned[HOOK_HEADERS].kind != VERDICT_DISCARD &&
			    bed.policy.canned[HOOK_RCPT].kind != VERDICT_DISCARD &&
			    bed.policy.canned[HOOK_MESSAGE_RCPT].kind != VERDICT_DISCARD &&
			    !bed.policy.act[HOOK_MESSAGE_RCPT])
		fail_msg("a false 250: %.*s", STR_ARG(line));
}

static inline bool has_line(struct bed_client *c)
{
	client_read(c);
	return str_find(buf_str(&c->got), '\n') >= 0 || c->is_over;
}

/* next_line - of the replies, with its CRLF; "" when the server closed */
static inline const char *next_line(struct bed_client *c)
{
	ptrdiff_t end;

	UNTIL(bed.loop, has_line(c));
	end = str_find(buf_str(&c->got), '\n');
	if (end < 0)
		return "";
	str_copy(c->line, sizeof c->line, str_head(buf_str(&c->got), (size_t)end + 1));
	no_false_250(str_head(buf_str(&c->got), (size_t)end + 1));
	buf_take(&c->got, (size_t)end + 1);
	return c->line;
}

static inline void hear_at(struct bed_client *c, const char *prefix, int at)
{
	const char *line;

	do
		line = next_line(c);
	while (strlen(line) > 3 && line[3] == '-');
	if (strncmp(line, prefix, strlen(prefix)) != 0)
		fail_msg("line %d: heard '%s', not '%s'", at, line, prefix);
}

/* hear - the last line of the next reply begins so */
#define hear(c, prefix) hear_at(c, prefix, __LINE__)

static inline void hear_end_at(struct bed_client *c, int at)
{
	const char *line = next_line(c);

	if (*line)
		fail_msg("line %d: heard '%s', not the end", at, line);
}

#define hear_end(c) hear_end_at(c, __LINE__)

/* greet - up to EHLO */
static inline void greet(struct bed_client *c)
{
	hear(c, "220 ");
	say(c, "EHLO client.example\r\n");
	hear(c, "250 ");
}

/* envelope - up to an accepted recipient */
static inline void envelope(struct bed_client *c)
{
	say(c, "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.com>\r\n");
	hear(c, "250 2.1.0");
	hear(c, "250 2.1.5");
}

static inline void data(struct bed_client *c)
{
	say(c, "DATA\r\n");
	hear(c, "354 ");
}

/* ---- bed */

static inline bool bed_event(void *owner, struct str line)
{
	(void)owner;
	return buf_add(&bed.events, line);
}

static inline bool event_has(const char *text)
{
	assert_true(buf_byte(&bed.events, '\0'));
	bed.events.tail--;
	return strstr(bed.events.p + bed.events.head, text) != NULL;
}

static inline int bed_begin(void **state)
{
	static const struct str domains[] = { { "example.com", 11 } };

	(void)state;
	rnd_init();
	memset(&bed, 0, sizeof bed);
	buf_init(&bed.events, 64 << 20);
	log_init("test", 0, LOG_LEVEL_DEBUG);
	log_sink(bed_event, NULL);
	bed.loop = net_loop_new();
	policy_set_init(&bed.policy.set);
	bed.policy.late.run = bed_answer_late;
	bed_commit_generation(1);
	bed.o = (struct session_options){
		.hostname = STR("mx.example.com"),
		.edge = 3,
		.domains = domains,
		.ndomains = 1,
		.relay_domains = domains,
		.nrelay_domains = 1,
		.has_default_route = true,
		.connections = 1000,
		.recipients = 1000,
		.errors = 20,
		.refusals = 100,
		.junk = 100,
		.commands = 10000,
		.messages = 1000,
		.hops = 50,
		.command_line = 2048,
		.data_line = 64 * 1024,
		.message = 50 << 20,
		.memory = 64 << 20,
		.command_us = 300000000,
		.data_us = 180000000,
		.session_us = 3600000000,
		.commit_us = 30000000,
	};
	bed.spool.acks = true;
	bed.spool.refusal = (struct ipc_refusal){ 452, STR("4.3.1"), STR("the disk is full") };
	bed.server = session_server_new(bed.loop, &bed.policy.set, &bed.o);
	bed_connect(BED_RING);
	return 0;
}

static inline void bed_options(void)
{
	session_server_options(bed.server, &bed.o);
}

static inline int bed_end(void **state)
{
	(void)state;
	session_server_free(&bed.server);
	assert_null(bed.server);
	assert_int_equal(bed.policy.nopen, 0);
	net_deferred_cancel(&bed.policy.late);
	assert_int_equal(bed.policy.asked[HOOK_CONNECT], bed.policy.asked[HOOK_DISCONNECT]);
	assert_int_equal(bed.policy.set.active->pins, 0);
	assert_true(list_is_empty(&bed.policy.set.retired));
	policy_set_fini(&bed.policy.set);
	ipc_channel_close(&bed.spool.edge);
	ipc_channel_close(&bed.spool.own);
	for (int i = 0; i < 10; i++) /* connections linger until they see that the client is gone */
		turn(bed.loop);
	for (unsigned i = 0; i < bed.spool.nstored; i++)
		arena_fini(&bed.spool.stored[i].arena);
	for (unsigned i = 0; i < bed.spool.nslots; i++)
		buf_fini(&bed.spool.slots[i].bytes);
	net_loop_free(&bed.loop);
	log_sink(NULL, NULL);
	buf_fini(&bed.events);
	clock_ahead_us = 0;
	return 0;
}

#define BED_TEST(name) cmocka_unit_test_setup_teardown(name, bed_begin, bed_end)

#endif
