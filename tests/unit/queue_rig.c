#include "queue_rig.h"

#include <fcntl.h>

#include "log.h"
#include "turns.h"

struct rig rig;

static struct ipc_result result;
static struct buf scratch;

/* ---- channels */

static void ours_frame(void *owner, const struct ipc_frame *frame)
{
	struct rig_peer *p = owner;

	if (p->kind == RIG_EDGE)
		queue_edge_frame(rig.queue, p->index, frame);
	else if (p->kind == RIG_DELIVER)
		queue_deliver_frame(rig.queue, p->index, frame);
	else
		queue_query(rig.queue, p->ours, frame);
}

static void ours_writable(void *owner)
{
	struct rig_peer *p = owner;

	if (p->kind == RIG_EDGE)
		queue_edge_writable(rig.queue, p->index);
	else if (p->kind == RIG_DELIVER)
		queue_deliver_writable(rig.queue, p->index);
	else
		queue_control_writable(rig.queue);
}

static void theirs_frame(void *owner, const struct ipc_frame *frame)
{
	struct rig_peer *p = owner;
	struct rig_frame *f = calloc(1, sizeof *f);

	f->type = frame->type;
	f->tag = frame->tag;
	f->payload = heap_copy(frame->payload);
	list_append(&p->frames, &f->node);
}

static void broken(void *owner, const struct fault *why)
{
	(void)owner;
	fail_msg("%s", why->text);
}

static const struct ipc_channel_ops ours_ops = { ours_frame, ours_writable, broken };
static const struct ipc_channel_ops theirs_ops = { theirs_frame, NULL, broken };

static void attach(struct rig_peer *p, struct ipc_channel *c)
{
	if (p->kind == RIG_EDGE)
		queue_edge_channel(rig.queue, p->index, c);
	else if (p->kind == RIG_DELIVER)
		queue_deliver_channel(rig.queue, p->index, c);
	else
		queue_control_lost(rig.queue);
}

static void forget_frames(struct rig_peer *p)
{
	while (!list_is_empty(&p->frames)) {
		struct rig_frame *f = LIST_ITEM(p->frames.next, struct rig_frame, node);

		list_remove(&f->node);
		rig_free(&f);
	}
}

void rig_lose(struct rig_peer *p)
{
	if (!p->ours)
		return;
	if (rig.queue)
		attach(p, NULL);
	ipc_channel_close(&p->ours);
	ipc_channel_close(&p->theirs);
	forget_frames(p);
}

void rig_connect(struct rig_peer *p)
{
	struct ipc_channel_fds fds, mine;
	struct fault why;

	rig_lose(p);
	assert_int_equal(ipc_channel_make(&fds, rig.ring, &why), 0);
	mine = (struct ipc_channel_fds){ fcntl(fds.memory, F_DUPFD_CLOEXEC, 0),
					 fcntl(fds.wake_a, F_DUPFD_CLOEXEC, 0),
					 fcntl(fds.wake_b, F_DUPFD_CLOEXEC, 0) };
	p->ours = ipc_channel_open(rig.loop, &fds, IPC_END_A, &ours_ops, p, &why);
	p->theirs = ipc_channel_open(rig.loop, &mine, IPC_END_B, &theirs_ops, p, &why);
	assert_true(p->ours && p->theirs);
	if (p->is_deaf)
		ipc_channel_pause(p->theirs);
	attach(p, p->ours);
}

static void each_peer(void (*apply)(struct rig_peer *))
{
	for (unsigned i = 0; i < RIG_EDGES; i++)
		apply(&rig.edges[i]);
	for (unsigned i = 0; i < RIG_DELIVERS; i++)
		apply(&rig.delivers[i]);
	apply(&rig.control);
}

/* ---- life */

static bool no_line(void *arg, struct str line)
{
	(void)arg, (void)line;
	return true;
}

static void peer_init(struct rig_peer *p, int kind, unsigned index)
{
	*p = (struct rig_peer){ .index = index };
	p->kind = kind;
	list_init(&p->frames);
}

void rig_init(void)
{
	memset(&rig, 0, sizeof rig);
	log_sink(no_line, NULL);
	rig.loop = net_loop_new();
	rig.ring = RIG_RING;
	memory_disk_init(&rig.disk);
	for (unsigned i = 0; i < RIG_EDGES; i++)
		peer_init(&rig.edges[i], RIG_EDGE, i);
	for (unsigned i = 0; i < RIG_DELIVERS; i++)
		peer_init(&rig.delivers[i], RIG_DELIVER, i);
	peer_init(&rig.control, RIG_CONTROL, 0);
	rig.options = (struct queue_options){ .retry_first_us = 300 * RIG_SECOND,
					      .retry_longest_us = 14400 * RIG_SECOND,
					      .expire_us = 432000 * RIG_SECOND,
					      .concurrency = 20,
					      .concurrency_least = 20,
					      .quarantine_bytes = 1024 * 1024,
					      .quarantine_ttl_us = 86400 * RIG_SECOND,
					      .total = 100,
					      .delivers = RIG_DELIVERS,
					      .route_ttl_us = 3600 * RIG_SECOND };
	rig.spool_options = (struct spool_options){ .file = &rig.disk.file,
						    .segment_size = 1024 * 1024,
						    .segments = 8,
						    .spare = 1,
						    .slots = 4,
						    .recent = 64,
						    .keep_bytes = 1 };
	if (!scratch.max)
		buf_init(&scratch, IPC_FRAME_MAX);
}

void rig_start(void)
{
	struct fault why;

	rig.queue = queue_new(rig.loop, &rig.options);
	rig.spool_options.owner = queue_owner(rig.queue);
	rig.spool = spool_open(&rig.spool_options, &why);
	if (!rig.spool)
		fail_msg("%s", why.text);
	queue_start(rig.queue, rig.spool);
	each_peer(rig_connect);
	rig_turn(3);
}

void rig_begin(void)
{
	rig_init();
	rig_start();
}

/* stop - as the role does; whatever is under way is dropped */
static void stop(void)
{
	spool_close(&rig.spool);
	queue_free(&rig.queue);
	each_peer(rig_lose);
}

void rig_end(void)
{
	queue_check(rig.queue);
	stop();
	memory_disk_fini(&rig.disk);
	net_loop_free(&rig.loop);
	buf_fini(&scratch);
	scratch.max = 0;
}

void rig_crash(uint64_t keep)
{
	stop();
	memory_disk_crash(&rig.disk, keep);
	rig_start();
}

void rig_restart(void)
{
	queue_flush(rig.queue);
	rig_crash(UINT64_MAX);
}

void rig_turn(unsigned n)
{
	while (n-- > 0) {
		turn(rig.loop);
		queue_check(rig.queue);
	}
}

void rig_pass(unsigned n)
{
	while (n-- > 0)
		turn(rig.loop);
}

void rig_wait(uint64_t us)
{
	clock_ahead_us += us;
	rig_turn(4);
}

/* ---- frames */

void rig_free(struct rig_frame **f)
{
	if (!*f)
		return;
	heap_free((*f)->payload);
	free(*f);
	*f = NULL;
}

static struct rig_frame *first(const struct rig_peer *p, unsigned type)
{
	for (const struct list *node = p->frames.next; node != &p->frames; node = node->next)
		if (LIST_ITEM(node, struct rig_frame, node)->type == type)
			return LIST_ITEM(node, struct rig_frame, node);
	return NULL;
}

struct rig_frame *rig_take(struct rig_peer *p, unsigned type)
{
	struct rig_frame *f = NULL;

	for (unsigned i = 0; i < 12 && !(f = first(p, type)); i++)
		rig_turn(1);
	if (f)
		list_remove(&f->node);
	return f;
}

unsigned rig_count(const struct rig_peer *p, unsigned type)
{
	unsigned n = 0;

	for (const struct list *node = p->frames.next; node != &p->frames; node = node->next)
		n += LIST_ITEM(node, struct rig_frame, node)->type == type;
	return n;
}

uint64_t rig_tag(struct rig_peer *p, unsigned type)
{
	struct rig_frame *f = rig_take(p, type);
	uint64_t tag;

	if (!f)
		fail_msg("no frame of type %u", type);
	tag = f->tag;
	rig_free(&f);
	return tag;
}

bool rig_send(struct rig_peer *p, unsigned type, uint64_t tag, struct str payload)
{
	struct ipc_frame head = { .type = (uint16_t)type, .tag = tag };

	return ipc_channel_send(p->theirs, &head, &payload, 1);
}

/* ---- messages */

struct id rig_id(unsigned number, unsigned edge)
{
	struct id id = id_make(1, (uint16_t)edge);

	memset(id.b + 8, 0, 8);
	memcpy(id.b + 8, &number, sizeof number);
	return id;
}

static struct str envelope_of(unsigned nrcpts)
{
	static struct buf text;

	if (!text.max)
		buf_init(&text, IPC_ENVELOPE_MAX);
	buf_reset(&text);
	buf_printf(&text, "id: %026u\nfrom: %s\ncreated: %llu\n%s", 1u,
		   rig.sender ? rig.sender : "a@b", (unsigned long long)net_loop_wall(rig.loop),
		   rig.submit_lines ? rig.submit_lines : "");
	for (unsigned i = 0; i < nrcpts; i++)
		buf_printf(&text, "rcpt: r%u@example\n", i);
	return buf_str(&text);
}

static void send_submit(unsigned edge, unsigned number, const struct ipc_submit *s)
{
	buf_reset(&scratch);
	assert_true(ipc_submit_encode(&scratch, s));
	assert_true(rig_send(&rig.edges[edge], IPC_SUBMIT, number, buf_str(&scratch)));
}

void rig_submit(unsigned edge, unsigned number, unsigned nrcpts, enum ipc_state state)
{
	struct ipc_submit s = { .id = rig_id(number, edge), .nvariants = 1 };

	s.variants[0] = (struct ipc_variant){ state, envelope_of(nrcpts), STR("Subject: x\r\n") };
	s.body = STR("body\r\n");
	send_submit(edge, number, &s);
}

void rig_submit_slot(unsigned edge, unsigned number, uint64_t slot, uint64_t length)
{
	struct ipc_submit s = { .id = rig_id(number, edge), .nvariants = 1, .is_slot = true };

	s.variants[0] =
		(struct ipc_variant){ IPC_STATE_QUEUE, envelope_of(1), STR("Subject: x\r\n") };
	s.slot = slot;
	s.slot_length = length;
	send_submit(edge, number, &s);
}

struct queue_message *rig_find(unsigned number, unsigned variant)
{
	struct id id = rig_id(number, 0);

	return queue_message_find(&rig.queue->index, &id, (uint16_t)variant);
}

struct queue_message *rig_message(unsigned number, unsigned nrcpts, enum ipc_state state)
{
	rig_submit(0, number, nrcpts, state);
	assert_int_equal(rig_tag(&rig.edges[0], IPC_DURABLE), number);
	assert_non_null(rig_find(number, 0));
	return rig_find(number, 0);
}

/* ---- answers of deliver */

void rig_outcome(unsigned index, enum ipc_outcome outcome, const char *text)
{
	result.outcomes[result.noutcomes++] =
		(struct ipc_outcome_of){ .index = index, .outcome = outcome, .text = str_of(text) };
}

void rig_to(unsigned index, const char *key, const char *hop)
{
	rig_outcome(index, IPC_OUTCOME_ROUTE, "");
	result.outcomes[result.noutcomes - 1].key = str_of(key);
	result.outcomes[result.noutcomes - 1].next_hop = str_of(hop);
}

void rig_retry(unsigned index, uint64_t us)
{
	rig_outcome(index, IPC_OUTCOME_DEFER, "4.0.0 not now");
	result.outcomes[result.noutcomes - 1].retry_us = us;
}

void rig_cause(unsigned index, enum ipc_cause cause, const char *vars)
{
	rig_outcome(index, IPC_OUTCOME_DEFER, "4.0.0 not now");
	result.outcomes[result.noutcomes - 1].cause = cause;
	result.outcomes[result.noutcomes - 1].vars = str_of(vars);
}

void rig_schedule(uint32_t first, uint32_t longest, uint32_t expire)
{
	result.schedule = (struct ipc_schedule){ first, longest, expire };
}

void rig_returned(void)
{
	result.is_returned = true;
}

void rig_bounce(unsigned number, enum ipc_state state)
{
	static struct buf bounce;
	struct ipc_submit s = { .id = rig_id(number, 0x8000), .nvariants = 1 };

	if (!bounce.max)
		buf_init(&bounce, IPC_FRAME_MAX);
	buf_reset(&bounce);
	s.variants[0] = (struct ipc_variant){ state, envelope_of(1), STR("Subject: no\r\n") };
	s.body = STR("sorry\r\n");
	assert_true(ipc_submit_encode(&bounce, &s));
	result.has_bounce = true;
	result.bounce = buf_str(&bounce);
}

void rig_vars(const char *vars)
{
	result.vars = str_of(vars);
}

void rig_answer(struct rig_peer *deliver, unsigned type, uint64_t tag)
{
	buf_reset(&scratch);
	assert_true(ipc_result_encode(&scratch, &result));
	assert_true(rig_send(deliver, type, tag, buf_str(&scratch)));
	result = (struct ipc_result){ .noutcomes = 0 };
	rig_turn(3);
}

static bool is_about(const struct rig_frame *f, unsigned type, unsigned number)
{
	struct id id = rig_id(number, 0);

	return f->type == type && id_is_eq(&rig_lease(f)->id, &id);
}

/* take_about - the tag of that message's frame, and who got it */
static uint64_t take_about(unsigned type, unsigned number, struct rig_peer **at)
{
	for (unsigned i = 0; i < RIG_DELIVERS; i++)
		LIST_EACH(node, &rig.delivers[i].frames)
		{
			struct rig_frame *f = LIST_ITEM(node, struct rig_frame, node);
			uint64_t tag = f->tag;

			if (!is_about(f, type, number))
				continue;
			list_remove(&f->node);
			rig_free(&f);
			*at = &rig.delivers[i];
			return tag;
		}
	fail_msg("nobody got a frame of type %u about message %u", type, number);
	return 0;
}

uint64_t rig_dispatched(unsigned number, const char *key, struct rig_peer **at)
{
	struct queue_message *m = rig_message(number, 1, IPC_STATE_QUEUE);
	uint64_t tag;

	rig_turn(3);
	tag = take_about(IPC_ROUTE, number, at);
	rig_to(0, key, key);
	rig_answer(*at, IPC_ROUTED, tag);
	assert_int_equal(m->job.place, PLACE_LEASED);
	return take_about(IPC_DISPATCH, number, at);
}

struct rig_peer *rig_owner(const char *key)
{
	struct map_node *node = NULL;

	while ((node = map_next(&rig.queue->index.destinations, node))) {
		struct queue_destination *d = container_of(node, struct queue_destination, node);

		if (str_eq(queue_destination_key(d), str_of(key)))
			return &rig.delivers[d->deliver];
	}
	fail_msg("no destination %s", key);
	return NULL;
}

struct ipc_lease *rig_lease(const struct rig_frame *f)
{
	static struct ipc_lease lease;

	assert_non_null(f);
	assert_true(ipc_lease_decode(f->payload, &lease));
	return &lease;
}

/* ---- the operator */

struct str rig_ask(const char *words, unsigned *code)
{
	static uint64_t tags;
	char line[256];
	struct buf all;
	struct str text;

	(void)str_copy(line, sizeof line, str_of(words));
	for (size_t i = 0; line[i] || i < strlen(words); i++)
		if (line[i] == ' ')
			line[i] = '\0';
	assert_true(rig_send(&rig.control, IPC_QUERY, ++tags, (struct str){ line, strlen(words) }));
	buf_init(&all, 64 * 1024 * 1024);
	do {
		struct rig_frame *f = NULL;

		for (unsigned i = 0; i < 200 && !(f = rig_take(&rig.control, IPC_ANSWER)); i++)
			;
		assert_non_null(f);
		assert_int_equal(f->tag, tags);
		*code = (unsigned char)f->payload.p[0];
		buf_add(&all, str_drop(f->payload, 1));
		rig_free(&f);
	} while (*code == 255);
	text = heap_copy(buf_str(&all));
	buf_fini(&all);
	return text;
}
