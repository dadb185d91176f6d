/* layer: ipc */
/*
 * Two processes, one channel, real sleep: a wake-up that is lost is a process that never wakes,
 * and the alarm ends the test. The child echoes every frame; the parent has `window` frames under
 * way and checks that they come back whole and in order.
 */
#include "ipc_channel.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PATIENCE 60 /* seconds */

struct end {
	struct net_loop *loop;
	struct ipc_channel *c;
	unsigned sent, got, all, window;
	size_t most; /* bytes of a payload */
	bool is_broken;
};

static char bytes[IPC_FRAME_MAX];

static size_t size_of(const struct end *e, unsigned i)
{
	uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return (x >> 33) % (e->most + 1);
}

static void broken(void *owner, const struct fault *why)
{
	struct end *e = owner;

	(void)why;
	e->is_broken = true;
	net_loop_stop(e->loop);
}

/* The child: a frame that finds no room waits in the ring, since nothing after it is taken. */
static struct {
	struct ipc_frame head;
	struct str payload;
} kept;

static void echo(void *owner, const struct ipc_frame *frame)
{
	struct end *e = owner;

	if (ipc_channel_send(e->c, frame, &frame->payload, 1)) {
		if (++e->got == e->all)
			net_loop_stop(e->loop);
		return;
	}
	memcpy(bytes, frame->payload.p, frame->payload.n);
	kept.head = *frame;
	kept.payload = (struct str){ bytes, frame->payload.n };
	ipc_channel_pause(e->c);
}

static void echo_kept(void *owner)
{
	struct end *e = owner;

	if (!ipc_channel_send(e->c, &kept.head, &kept.payload, 1))
		return;
	if (++e->got == e->all)
		net_loop_stop(e->loop);
	ipc_channel_resume(e->c);
}

static void send_more(void *owner)
{
	struct end *e = owner;

	while (e->sent < e->all && e->sent - e->got < e->window) {
		struct str payload = { bytes + e->sent % 251, size_of(e, e->sent) };

		if (!ipc_channel_send(e->c, &(struct ipc_frame){ .type = 1, .tag = e->sent },
				      &payload, 1))
			return;
		e->sent++;
	}
}

static void check_echo(void *owner, const struct ipc_frame *frame)
{
	struct end *e = owner;
	struct str want = { bytes + e->got % 251, size_of(e, e->got) };

	if (frame->tag != e->got || !str_eq(frame->payload, want)) {
		broken(e, NULL);
		return;
	}
	if (++e->got == e->all)
		net_loop_stop(e->loop);
	send_more(e);
}

static const struct ipc_channel_ops child_ops = { .frame = echo,
						  .writable = echo_kept,
						  .broken = broken };
static const struct ipc_channel_ops parent_ops = { .frame = check_echo,
						   .writable = send_more,
						   .broken = broken };

static int run(struct end *e, struct ipc_channel_fds *fds, enum ipc_end which)
{
	alarm(PATIENCE);
	e->loop = net_loop_new();
	e->c = ipc_channel_open(e->loop, fds, which, which == IPC_END_A ? &parent_ops : &child_ops,
				e, NULL);
	if (!e->c)
		return 1;
	if (which == IPC_END_A)
		send_more(e);
	net_loop_run(e->loop);
	ipc_channel_close(&e->c);
	net_loop_free(&e->loop);
	alarm(0);
	return e->is_broken || e->got != e->all;
}

static void gave_up(int number)
{
	(void)number;
	_exit(2);
}

TEST(nothing_is_lost_and_nobody_oversleeps)
{
	static const struct end samples[] = {
		/* Each frame finds the other asleep, or nearly so. */
		{ .all = 30000, .window = 1, .most = 64 },
		{ .all = 30000, .window = 2, .most = 64 },
		{ .all = 40000, .window = 7, .most = 2000 },
		/* As much as fits: both rings fill. */
		{ .all = 40000, .window = 100000, .most = 300 },
		/* A frame is nearly half a ring: waiting for room. */
		{ .all = 10000, .window = 100000, .most = 30000 },
	};

	signal(SIGALRM, gave_up);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i % 251);
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct ipc_channel_fds fds, childs;
		struct end e = samples[i];
		int status = 0;
		pid_t pid;

		assert_int_equal(ipc_channel_make(&fds, IPC_RING_LEAST, NULL), 0);
		fflush(NULL);
		pid = fork();
		assert_true(pid >= 0);
		childs = (struct ipc_channel_fds){ dup(fds.memory), dup(fds.wake_a),
						   dup(fds.wake_b) };
		if (pid == 0)
			_exit(run(&e, &childs, IPC_END_B));
		ipc_channel_fds_close(&childs);
		CHECK_INT(i, run(&e, &fds, IPC_END_A), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		CHECK_INT(i, status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_and_nobody_oversleeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
