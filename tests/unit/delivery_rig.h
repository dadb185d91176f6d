/*
 * delivery_rig - a spool at the other end of a channel, and a policy of canned verdicts.
 */
#ifndef DELIVERY_RIG_H
#define DELIVERY_RIG_H

#include <unistd.h>

#include "check.h"
#include "delivery.h"
#include "envelope.h"
#include "log.h"
#include "policy_edit.h"

#define RIG_RESULTS  256
#define RIG_FILLER   999 /* a frame that only takes room */
#define RIG_PATIENCE (20 * UINT64_C(1000000))

struct canned {
	struct verdict verdict;
	const char *route; /* rcpt:route() */
	uint64_t retry_us; /* result:retry_in() */
	bool is_late;      /* answered in a later turn */
};

static struct {
	struct net_loop *loop;
	struct delivery *delivery;
	struct ipc_channel *spool, *deliver; /* the two ends */
	struct net_timer patience;
	unsigned wanted; /* stop the loop when so many answers are there */
	unsigned nresults;
	struct {
		uint64_t tag;
		uint16_t type;
		char *bytes; /* what result borrows from */
		struct ipc_result *result;
	} results[RIG_RESULTS];
	struct str body; /* what READ reads */
	size_t most;     /* bytes a piece */
	unsigned reads;
	bool is_unreadable;

	struct policy_set policies;
	struct canned canned[HOOKS];
	unsigned asked[HOOKS], cancelled;
	struct policy_question *open;
	bool stops_when_asked;
	struct net_deferred late;
	char seen[512]; /* what the last question showed */

	struct buf log;
} rig;

/* ---- policy */

static void rig_fill(struct policy_question *q)
{
	const struct canned *c = &rig.canned[q->hook];
	struct fault why;

	q->verdict = c->verdict;
	if (c->route && q->rcpt)
		assert_int_equal(policy_edit_rcpt_route(q->rcpt, str_of(c->route), &why), 0);
	if (c->retry_us && q->result)
		assert_int_equal(policy_edit_retry(q->tx, q->result, c->retry_us, &why), 0);
	policy_edits_apply(q->tx);
}

static void rig_answer(struct net_deferred *d)
{
	struct policy_question *q = rig.open;

	(void)d;
	rig.open = NULL;
	q->task = NULL;
	rig_fill(q);
	q->answered(q);
}

static enum step rig_ask(struct policy_question *q)
{
	rig.asked[q->hook]++;
	(void)snprintf(rig.seen, sizeof rig.seen, "%s %.*s>%.*s %.*s/%.*s %u %.*s %u",
		       policy_hook_name[q->hook], STR_ARG(q->tx->sender.text),
		       STR_ARG(q->rcpt ? q->rcpt->address.text : STR_NONE), STR_ARG(q->tx->helo),
		       STR_ARG(q->tx->peer_ip), q->result ? q->result->code : 0,
		       STR_ARG(q->attempt ? q->attempt->destination : STR_NONE),
		       q->bounce ? q->bounce->nfailures : 0);
	if (!rig.canned[q->hook].is_late) {
		rig_fill(q);
		return STEP_DONE;
	}
	assert_null(rig.open);
	rig.open = q;
	q->task = &rig;
	rig.late.run = rig_answer;
	net_loop_defer_next(rig.loop, &rig.late);
	if (rig.stops_when_asked)
		net_loop_stop(rig.loop);
	rig.stops_when_asked = false;
	return STEP_MORE;
}

static void rig_cancel(struct policy_question *q)
{
	q->task = NULL;
	rig.open = NULL;
	rig.cancelled++;
	net_deferred_cancel(&rig.late);
}

static void rig_nothing(struct policy_generation *g)
{
	(void)g;
}

static const struct policy_ops rig_ops = { rig_ask, rig_cancel, rig_nothing, rig_nothing,
					   rig_nothing };

static inline void rig_policy(void)
{
	struct policy_generation *g = policy_generation_new(7, STR("0123456789abcdef"));

	g->ops = &rig_ops;
	g->hooks = UINT32_MAX;
	policy_set_commit(&rig.policies, g);
}

/* ---- spool */

static void rig_read(const struct ipc_frame *frame)
{
	struct wire w = { .rest = frame->payload };
	uint64_t offset = wire_get_u64(&w);
	uint32_t length = wire_get_u32(&w);
	struct ipc_frame head = { .type = IPC_DATA, .tag = frame->tag };
	struct str bytes, payload;
	struct buf b;

	assert_true(wire_is_end(&w) && length > 0 && length <= IPC_READ_MAX &&
		    offset + length <= rig.body.n);
	rig.reads++;
	bytes = str_head(str_drop(rig.body, offset),
			 rig.most && length > rig.most ? rig.most : length);
	if (rig.is_unreadable)
		bytes = STR_NONE;
	buf_init(&b, IPC_FRAME_MAX);
	assert_true(wire_u64(&b, offset) && wire_str(&b, bytes));
	payload = buf_str(&b);
	assert_true(ipc_channel_send(rig.spool, &head, &payload, 1));
	buf_fini(&b);
}

static void rig_spool_frame(void *owner, const struct ipc_frame *frame)
{
	struct str copy = heap_copy(frame->payload);

	(void)owner;
	if (frame->type == IPC_READ) {
		heap_free(copy);
		rig_read(frame);
		return;
	}
	if (frame->type == RIG_FILLER) {
		heap_free(copy);
		return;
	}
	assert_true(frame->type == IPC_RESULT || frame->type == IPC_ROUTED);
	assert_true(rig.nresults < RIG_RESULTS);
	rig.results[rig.nresults].tag = frame->tag;
	rig.results[rig.nresults].type = frame->type;
	rig.results[rig.nresults].bytes = (char *)(uintptr_t)copy.p;
	rig.results[rig.nresults].result = malloc(sizeof(struct ipc_result));
	assert_non_null(rig.results[rig.nresults].result);
	assert_true(ipc_result_decode(copy, rig.results[rig.nresults].result));
	if (++rig.nresults >= rig.wanted)
		net_loop_stop(rig.loop);
}

static void rig_deliver_frame(void *owner, const struct ipc_frame *frame)
{
	(void)owner;
	delivery_frame(rig.delivery, frame);
}

static void rig_deliver_writable(void *owner)
{
	(void)owner;
	delivery_writable(rig.delivery);
}

static void rig_broken(void *owner, const struct fault *why)
{
	(void)owner;
	fail_msg("%s", why->text);
}

static void rig_channel(void)
{
	static const struct ipc_channel_ops spool_ops = { rig_spool_frame, NULL, rig_broken };
	static const struct ipc_channel_ops deliver_ops = { rig_deliver_frame, rig_deliver_writable,
							    rig_broken };
	struct ipc_channel *old = rig.deliver;
	struct ipc_channel_fds fds, other;
	struct fault why;

	ipc_channel_close(&rig.spool);
	assert_int_equal(ipc_channel_make(&fds, 4 << 20, &why), 0);
	other = (struct ipc_channel_fds){ dup(fds.memory), dup(fds.wake_a), dup(fds.wake_b) };
	rig.spool = ipc_channel_open(rig.loop, &fds, IPC_END_A, &spool_ops, NULL, &why);
	rig.deliver = ipc_channel_open(rig.loop, &other, IPC_END_B, &deliver_ops, NULL, &why);
	assert_true(rig.spool && rig.deliver);
	delivery_channel(rig.delivery, rig.deliver);
	ipc_channel_close(&old);
}

static void rig_give_up(struct net_timer *t)
{
	(void)t;
	net_loop_stop(rig.loop);
}

/* rig_run - until so many answers are there */
static void rig_run(unsigned answers)
{
	rig.wanted = answers;
	if (rig.nresults >= answers)
		return;
	net_timer_start(&rig.patience, RIG_PATIENCE);
	net_loop_run(rig.loop);
	net_timer_stop(&rig.patience);
	if (rig.nresults < answers)
		fail_msg("only %u of %u answers came; log: %.*s", rig.nresults, answers,
			 STR_ARG(buf_str(&rig.log)));
}

static bool (*rig_is_so)(void);

static void rig_look(struct net_timer *t)
{
	if (rig_is_so())
		net_loop_stop(rig.loop);
	else
		net_timer_start(t, 500);
}

/* rig_until - something that shows in no answer has happened */
static inline void rig_until(bool (*is_so)(void))
{
	struct net_timer look;

	rig_is_so = is_so;
	rig.wanted = UINT32_MAX;
	net_timer_init(&look, rig.loop, rig_look);
	net_timer_start(&look, 0);
	net_timer_start(&rig.patience, RIG_PATIENCE);
	net_loop_run(rig.loop);
	net_timer_stop(&rig.patience);
	net_timer_stop(&look);
	assert_true(is_so());
}

/* rig_turns - for so long, to see that nothing happens */
static inline void rig_turns(uint64_t us)
{
	rig.wanted = UINT32_MAX;
	net_timer_start(&rig.patience, us);
	net_loop_run(rig.loop);
	net_timer_stop(&rig.patience);
}

/* rig_until_asked - a question is open, its answer comes in the next turn */
static inline void rig_until_asked(void)
{
	rig.stops_when_asked = true;
	net_timer_start(&rig.patience, RIG_PATIENCE);
	net_loop_run(rig.loop);
	net_timer_stop(&rig.patience);
	assert_non_null(rig.open);
}

static bool rig_sink(void *owner, struct str line)
{
	(void)owner;
	return buf_add(&rig.log, line);
}

static const struct delivery_options rig_options = {
	.hostname = STR("gate.example.org"),
	.index = 3,
	.idle_per_key = 20,
	.idle_total = 200,
	.idle_us = 10 * UINT64_C(1000000),
	.messages_per_connection = 100,
};

static int rig_up(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof rig);
	buf_init(&rig.log, 8 << 20);
	log_sink(rig_sink, NULL);
	rig.loop = net_loop_new();
	policy_set_init(&rig.policies);
	rig.delivery = delivery_new(rig.loop, &rig.policies, &rig_options);
	net_timer_init(&rig.patience, rig.loop, rig_give_up);
	rig_channel();
	return 0;
}

static int rig_down(void **state)
{
	(void)state;
	delivery_free(&rig.delivery);
	rig_turns(10000); /* connections that linger */
	ipc_channel_close(&rig.spool);
	ipc_channel_close(&rig.deliver);
	policy_set_fini(&rig.policies);
	for (unsigned i = 0; i < rig.nresults; i++) {
		free(rig.results[i].bytes);
		free(rig.results[i].result);
	}
	net_timer_stop(&rig.patience);
	net_loop_free(&rig.loop);
	log_sink(NULL, NULL);
	buf_fini(&rig.log);
	return 0;
}

/* ---- leases */

struct rig_lease {
	uint64_t tag;
	bool is_route, is_expired;
	const char *hop, *sender, *last;
	const char *rcpts[32];
	const char *route;       /* the edge's, of every recipient */
	struct str header, body; /* body: the whole; over IPC_BODY_INLINE it is left to READ */
	bool is_8bit;
	unsigned attempts;
	struct str vars;
};

static void rig_send(const struct rig_lease *r)
{
	static struct ipc_lease l;
	struct envelope_rcpt rcpts[COUNT(r->rcpts)];
	struct envelope e = { .sender = str_of(r->sender),
			      .is_8bit = r->is_8bit,
			      .created_us = 1000000,
			      .helo = STR("client"),
			      .peer = STR("192.0.2.9"),
			      .rcpts = rcpts,
			      .vars = r->vars };
	struct ipc_frame head = { .type = r->is_route ? IPC_ROUTE : IPC_DISPATCH, .tag = r->tag };
	struct buf envelope, frame;
	struct str payload;

	assert_true(id_parse(STR("01h455vb4pex5vsknk084sn02q"), &e.id));
	l = (struct ipc_lease){ .id = e.id,
				.is_expired = r->is_expired,
				.next_hop = str_of(r->hop),
				.key = str_of(r->hop),
				.last = str_of(r->last),
				.body_length = r->body.n };
	while (e.nrcpts < COUNT(r->rcpts) && r->rcpts[e.nrcpts]) {
		l.rcpts[e.nrcpts].index = e.nrcpts;
		l.rcpts[e.nrcpts].attempts = r->attempts;
		rcpts[e.nrcpts] = (struct envelope_rcpt){ .address = str_of(r->rcpts[e.nrcpts]),
							  .route = str_of(r->route) };
		e.nrcpts++;
	}
	l.nrcpts = e.nrcpts;
	buf_init(&envelope, IPC_ENVELOPE_MAX);
	buf_init(&frame, IPC_FRAME_MAX);
	assert_true(envelope_write(&envelope, &e));
	l.envelope = buf_str(&envelope);
	if (!r->is_route) {
		l.header = r->header.n ? r->header : STR("Subject: hi\r\n");
		l.body = r->body.n <= IPC_BODY_INLINE ? r->body : STR_NONE;
		if (r->body.n > IPC_BODY_INLINE)
			rig.body = r->body;
	}
	assert_true(ipc_lease_encode(&frame, &l));
	payload = buf_str(&frame);
	assert_true(ipc_channel_send(rig.spool, &head, &payload, 1));
	buf_fini(&frame);
	buf_fini(&envelope);
}

/* rig_of - the answer to a lease */
static const struct ipc_result *rig_of(uint64_t tag)
{
	for (unsigned i = 0; i < rig.nresults; i++)
		if (rig.results[i].tag == tag)
			return rig.results[i].result;
	fail_msg("no answer to lease %llu", (unsigned long long)tag);
	return NULL;
}

static inline bool rig_has(struct str s, const char *text)
{
	for (struct str needle = str_of(text); s.n >= needle.n; s = str_drop(s, 1))
		if (str_has_prefix(s, needle))
			return true;
	return false;
}

static inline bool rig_logged(const char *text)
{
	struct str log = buf_str(&rig.log);

	return rig_has(log, text);
}

#endif
