/* layer: queue */
#include "../unit/memory_disk.c"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "queue_core.h"

/*
 * Peers that say anything, channels that go at any moment, a disk that fails, crashes: after every
 * step queue_check() holds. A step is a byte that says what, and the bytes that it takes.
 */

#define EDGES    2
#define DELIVERS 2
#define STEPS    64

enum kind { EDGE, DELIVER, CONTROL };

struct peer {
	enum kind kind;
	unsigned index;
	struct ipc_channel *ours, *theirs;
};

static struct {
	struct net_loop *loop;
	struct memory_disk disk;
	struct spool *spool;
	struct queue *queue;
	struct peer peers[EDGES + DELIVERS + 1];
	struct str in;
	uint64_t ahead_us;
} world;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += (time_t)(world.ahead_us / 1000000);
	return rc;
}

/* ---- input */

static unsigned byte(void)
{
	unsigned c = world.in.n ? (unsigned char)world.in.p[0] : 0;

	world.in = str_drop(world.in, 1);
	return c;
}

static struct str some(void)
{
	struct str s = str_head(world.in, byte());

	world.in = str_drop(world.in, s.n);
	return s;
}

/* ---- channels */

static void dropped(void *owner, const struct ipc_frame *frame)
{
	(void)owner, (void)frame;
}

static void writable(void *owner)
{
	struct peer *p = owner;

	if (p->kind == EDGE)
		queue_edge_writable(world.queue, p->index);
	else if (p->kind == DELIVER)
		queue_deliver_writable(world.queue, p->index);
	else
		queue_control_writable(world.queue);
}

static void broken(void *owner, const struct fault *why)
{
	(void)owner, (void)why;
	abort();
}

static const struct ipc_channel_ops ours_ops = { dropped, writable, broken };
static const struct ipc_channel_ops theirs_ops = { dropped, NULL, broken };

static void attach(struct peer *p, struct ipc_channel *c)
{
	if (!world.queue)
		return;
	if (p->kind == EDGE)
		queue_edge_channel(world.queue, p->index, c);
	else if (p->kind == DELIVER)
		queue_deliver_channel(world.queue, p->index, c);
	else
		queue_control_lost(world.queue);
}

static void lose(struct peer *p)
{
	if (!p->ours)
		return;
	attach(p, NULL);
	ipc_channel_close(&p->ours);
	ipc_channel_close(&p->theirs);
}

static void join(struct peer *p)
{
	struct ipc_channel_fds theirs, mine;
	struct fault why;

	lose(p);
	if (ipc_channel_make(&theirs, 256 * 1024, &why) < 0)
		abort();
	mine = (struct ipc_channel_fds){ fcntl(theirs.memory, F_DUPFD_CLOEXEC, 0),
					 fcntl(theirs.wake_a, F_DUPFD_CLOEXEC, 0),
					 fcntl(theirs.wake_b, F_DUPFD_CLOEXEC, 0) };
	p->ours = ipc_channel_open(world.loop, &theirs, IPC_END_A, &ours_ops, p, &why);
	p->theirs = ipc_channel_open(world.loop, &mine, IPC_END_B, &theirs_ops, p, &why);
	if (!p->ours || !p->theirs)
		abort();
	attach(p, p->ours);
}

/* give - a frame as if it came from that peer; its payload dies with the call */
static void give(struct peer *p, unsigned type, uint64_t tag, struct str payload)
{
	struct ipc_frame f = { .type = (uint16_t)type, .tag = tag };
	char *copy = malloc(payload.n ? payload.n : 1);

	if (payload.n)
		memcpy(copy, payload.p, payload.n);
	f.payload = (struct str){ copy, payload.n };
	if (!p->ours)
		(void)0;
	else if (p->kind == EDGE)
		queue_edge_frame(world.queue, p->index, &f);
	else if (p->kind == DELIVER)
		queue_deliver_frame(world.queue, p->index, &f);
	else if (world.queue->asks < QUEUE_ASKS) /* else it is paused */
		queue_query(world.queue, p->ours, &f);
	free(copy);
}

static struct peer *edge(void)
{
	return &world.peers[byte() % EDGES];
}

static struct peer *deliver(void)
{
	return &world.peers[EDGES + byte() % DELIVERS];
}

/* ---- steps */

struct turn {
	struct net_deferred over;
};

static void over(struct net_deferred *d)
{
	(void)d;
	net_loop_stop(world.loop);
}

static void one_turn(void)
{
	struct turn t = { .over.run = over };

	net_loop_defer_next(world.loop, &t.over);
	net_loop_run(world.loop);
}

static void some_turns(void)
{
	for (unsigned n = byte() % 4 + 1; n > 0; n--)
		one_turn();
}

static struct id id_of(unsigned number, unsigned from)
{
	struct id id = id_make(1, (uint16_t)from);

	memset(id.b + 8, (int)number, 8);
	return id;
}

static const char *const envelopes[] = {
	"rcpt: a@b\n", "rcpt: a@b\nrcpt: c@d\nrcpt: e@f\n",
	"created: 5\nrcpt: a\nrcpt: b\nrcpt: c\nrcpt: d\nrcpt: e\n", "nobody\n"
};

static bool submission(struct buf *out, unsigned from)
{
	static struct ipc_submit s;

	s.id = id_of(byte() % 16, from);
	s.nvariants = byte() % 3 + 1;
	for (unsigned i = 0; i < s.nvariants; i++)
		s.variants[i] = (struct ipc_variant){ (enum ipc_state)(byte() % 3),
						      str_of(envelopes[byte() % COUNT(envelopes)]),
						      STR("A: b\r\n") };
	s.is_slot = from < QUEUE_DELIVER_IDS && byte() % 4 == 0;
	s.slot = byte() % 4;
	s.slot_length = byte();
	s.body = STR("body");
	return ipc_submit_encode(out, &s);
}

static void submit(void)
{
	struct peer *p = edge();
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	if (submission(&b, p->index))
		give(p, IPC_SUBMIT, byte(), buf_str(&b));
	buf_fini(&b);
}

/* a_lease - the tag of one that is out, where there is one */
static uint64_t a_lease(const struct peer *p, unsigned *type)
{
	const struct queue_deliver *d = &world.queue->delivers[p->index];
	unsigned skip = byte() % 8;

	for (unsigned i = 0; d->leases && i < 64; i++)
		if (d->leases[i].state == LEASE_OUT && skip-- == 0) {
			*type = d->leases[i].is_route ? IPC_ROUTED : IPC_RESULT;
			return (uint64_t)d->leases[i].serial << 16 | i;
		}
	*type = IPC_RESULT;
	return byte();
}

static void answer(void)
{
	static struct ipc_result r;
	static const char *const keys[] = { "a", "b", "c", "smtp:x" };
	struct peer *p = deliver();
	struct buf bounce, b;
	unsigned type;
	uint64_t tag = a_lease(p, &type);

	buf_init(&bounce, IPC_FRAME_MAX);
	buf_init(&b, IPC_FRAME_MAX);
	r.noutcomes = byte() % 6;
	for (unsigned i = 0; i < r.noutcomes; i++) {
		r.outcomes[i] = (struct ipc_outcome_of){
			.index = byte() % 6,
			.outcome = (enum ipc_outcome)(byte() % IPC_OUTCOMES),
			.text = STR("4.0.0 \x1b text"),
			.key = str_of(keys[byte() % COUNT(keys)]),
			.next_hop = str_of(keys[byte() % COUNT(keys)]),
			.retry_us = UINT64_C(1000000) << byte() % 40,
		};
	}
	r.vars = byte() % 2 ? STR("vars") : STR_NONE;
	r.has_bounce = byte() % 2 && submission(&bounce, 0x8000 + byte() % 2);
	r.bounce = buf_str(&bounce);
	if (ipc_result_encode(&b, &r))
		give(p, type, tag, buf_str(&b));
	buf_fini(&bounce);
	buf_fini(&b);
}

static void raw(void)
{
	struct peer *p = &world.peers[byte() % COUNT(world.peers)];
	unsigned type = byte(), known;
	uint64_t tag = p->kind == DELIVER ? a_lease(p, &known) : byte();

	give(p, type, tag, some());
}

static void ask(void)
{
	static const char *const verbs[] = { "list", "show", "retry", "hold", "release", "drop" };
	struct id id = id_of(byte() % 16, byte() % EDGES);
	char text[ID_TEXT + 1], words[128];
	const char *name = byte() % 2 ? "all" : id_text(&id, text);
	int n = snprintf(words, sizeof words, "queue%c%s%c%s%c%s", 0, verbs[byte() % COUNT(verbs)],
			 0, name, 0, byte() % 2 ? "--json" : "--reroute");

	give(&world.peers[EDGES + DELIVERS], IPC_QUERY, byte(), (struct str){ words, (size_t)n });
}

static void slot(void)
{
	static const char bytes[5000];
	struct peer *p = edge();
	uint64_t size = byte();
	unsigned tag = byte() % 4;

	switch (byte() % 4) {
	case 0:
		give(p, IPC_SLOT_OPEN, tag, (struct str){ (const char *)&size, sizeof size });
		break;
	case 1:
		give(p, IPC_SLOT_ABORT, tag, STR_NONE);
		break;
	default:
		give(p, IPC_SLOT_DATA, tag, (struct str){ bytes, size * 17 });
	}
}

static void channel(void)
{
	struct peer *p = &world.peers[byte() % COUNT(world.peers)];

	if (byte() % 2)
		lose(p);
	else
		join(p);
}

static void pass(void)
{
	world.ahead_us += UINT64_C(1000000) << byte() % 20;
	some_turns();
}

static void disk(void)
{
	world.disk.is_cold = byte() % 2;
	world.disk.fail_errno = EIO;
	world.disk.fail_at = byte() % 4 ? 0 : world.disk.calls + 1 + byte() % 8;
}

static void stop(void)
{
	spool_close(&world.spool);
	queue_free(&world.queue);
	for (size_t i = 0; i < COUNT(world.peers); i++)
		lose(&world.peers[i]);
}

static void start(void)
{
	static const struct queue_options options = {
		.retry_first_us = 300000000,
		.retry_longest_us = 14400000000,
		.expire_us = 86400000000,
		.concurrency = 2,
		.total = 4,
		.delivers = DELIVERS,
		.route_ttl_us = 3600000000,
	};
	struct spool_options spool = {
		.file = &world.disk.file,
		.segment_size = 128 * 1024,
		.segments = 8,
		.spare = 1,
		.slots = 3,
		.recent = 16,
		.keep_bytes = 1,
	};
	struct fault why;

	world.queue = queue_new(world.loop, &options);
	spool.owner = queue_owner(world.queue);
	world.spool = spool_open(&spool, &why);
	if (!world.spool)
		abort();
	queue_start(world.queue, world.spool);
	for (size_t i = 0; i < COUNT(world.peers); i++)
		join(&world.peers[i]);
}

static void crash(void)
{
	stop();
	world.disk.fail_at = 0;
	memory_disk_crash(&world.disk, byte() * UINT64_C(0x0101010101010101));
	start();
}

static void (*const steps[])(void) = { submit,     submit,     answer,     answer, answer,
				       some_turns, some_turns, some_turns, raw,    ask,
				       slot,       channel,    pass,       disk,   crash };

static bool no_line(void *owner, struct str line)
{
	(void)owner, (void)line;
	return true;
}

static void begin(void)
{
	memset(&world, 0, sizeof world);
	log_sink(no_line, NULL);
	world.loop = net_loop_new();
	memory_disk_init(&world.disk);
	for (unsigned i = 0; i < COUNT(world.peers); i++) {
		world.peers[i].kind = i < EDGES ? EDGE : i < EDGES + DELIVERS ? DELIVER : CONTROL;
		world.peers[i].index = i < EDGES ? i : i - EDGES;
	}
	start();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	world.in = (struct str){ (const char *)data, size };
	for (unsigned i = 0; i < STEPS && world.in.n; i++) {
		steps[byte() % COUNT(steps)]();
		queue_check(world.queue);
	}
	stop();
	memory_disk_fini(&world.disk);
	net_loop_free(&world.loop);
	world.ahead_us = 0; /* the fuzzer looks at the clock, too */
	return 0;
}
