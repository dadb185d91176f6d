#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS */

#include "ipc_channel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "turns.h"

#define RING IPC_RING_LEAST

/* One end of a channel, and what it was told. */
struct side {
	struct ipc_channel *c;
	unsigned frames, writable, broken;
	uint64_t tags; /* sum */
	size_t bytes;
	unsigned pause_after, close_after;
	bool echo, close_when_broken, is_garbage;
};

static char bytes[IPC_FRAME_MAX];

static void side_frame(void *owner, const struct ipc_frame *frame)
{
	struct side *s = owner;

	assert_non_null(s->c);
	s->frames++;
	s->tags += frame->tag;
	s->bytes += frame->payload.n;
	if (s->echo)
		assert_true(ipc_channel_send(s->c, frame, &frame->payload, 1));
	if (s->frames == s->pause_after)
		ipc_channel_pause(s->c);
	if (s->frames == s->close_after)
		ipc_channel_close(&s->c);
	if (frame->payload.n && !s->is_garbage) /* still there after the close */
		assert_true(frame->payload.p[0] == bytes[0] &&
			    frame->payload.p[frame->payload.n - 1] == bytes[0]);
}

static void side_writable(void *owner)
{
	((struct side *)owner)->writable++;
}

static void side_broken(void *owner, const struct fault *why)
{
	struct side *s = owner;

	assert_true(why->text[0]);
	s->broken++;
	if (s->close_when_broken)
		ipc_channel_close(&s->c);
}

static const struct ipc_channel_ops ops = { .frame = side_frame,
					    .writable = side_writable,
					    .broken = side_broken };

static struct ipc_channel_fds copy_of(const struct ipc_channel_fds *fds)
{
	return (struct ipc_channel_fds){ fcntl(fds->memory, F_DUPFD_CLOEXEC, 0),
					 fcntl(fds->wake_a, F_DUPFD_CLOEXEC, 0),
					 fcntl(fds->wake_b, F_DUPFD_CLOEXEC, 0) };
}

static void open_end(struct net_loop *loop, struct side *s, const struct ipc_channel_fds *fds,
		     enum ipc_end end)
{
	struct ipc_channel_fds mine = copy_of(fds);
	struct fault why;

	memset(s, 0, sizeof *s);
	s->c = ipc_channel_open(loop, &mine, end, &ops, s, &why);
	if (!s->c)
		fail_msg("%s", why.text);
	assert_int_equal(mine.memory & mine.wake_a & mine.wake_b, -1);
}

struct both {
	struct ipc_channel_fds fds;
	struct side a, b;
};

static void open_both(struct net_loop *loop, struct both *x)
{
	assert_int_equal(ipc_channel_make(&x->fds, RING, NULL), 0);
	open_end(loop, &x->a, &x->fds, IPC_END_A);
	open_end(loop, &x->b, &x->fds, IPC_END_B);
	turn(loop);
}

static void close_both(struct net_loop *loop, struct both *x)
{
	ipc_channel_close(&x->a.c);
	ipc_channel_close(&x->b.c);
	ipc_channel_fds_close(&x->fds);
	turn(loop);
}

static bool say(struct side *s, uint64_t tag, size_t n)
{
	struct str payload = { bytes, n };

	return ipc_channel_send(s->c, &(struct ipc_frame){ .type = 3, .tag = tag }, &payload, 1);
}

static int begin(void **state)
{
	*state = net_loop_new();
	memset(bytes, 'b', sizeof bytes);
	return 0;
}

static int end(void **state)
{
	net_loop_free((struct net_loop **)state);
	return *state != NULL;
}

TEST(frames_cross_both_ways)
{
	struct both x;

	open_both(*state, &x);
	x.b.echo = true;
	for (unsigned i = 1; i <= 10; i++)
		assert_true(say(&x.a, i, i * 1000));
	assert_int_equal(x.b.frames, 0); /* not inside the call */
	UNTIL(*state, x.a.frames == 10);
	assert_int_equal(x.a.tags, 55);
	assert_int_equal(x.a.bytes, 55000);
	assert_int_equal(x.b.bytes, 55000);
	close_both(*state, &x);
}

#define PATIENCE 1000000

static bool is_woken(int wake)
{
	uint64_t times;

	return read(wake, &times, sizeof times) == sizeof times;
}

TEST(a_patient_reader_is_not_woken_for_each_frame)
{
	struct both x;

	open_both(*state, &x);
	clock_stop();
	ipc_channel_patience(x.b.c, PATIENCE);
	assert_true(say(&x.a, 1, 100));
	UNTIL(*state, x.b.frames == 1); /* the first of them as ever */
	for (unsigned i = 0; i < 3; i++) {
		assert_true(say(&x.a, 1, 100));
		turn(*state);
		assert_false(is_woken(x.fds.wake_b));
		assert_int_equal(x.b.frames, 1);
	}
	clock_ahead_us += PATIENCE;
	UNTIL(*state, x.b.frames == 4);
	for (unsigned i = 0; i < 3; i++) { /* nothing more comes: it goes to sleep, and is woken */
		clock_ahead_us += PATIENCE;
		turn(*state);
	}
	assert_true(say(&x.a, 1, 100));
	UNTIL(*state, x.b.frames == 5);
	clock_is_stopped = false;
	close_both(*state, &x);
}

TEST(what_was_sent_before_the_other_end_opened_is_not_lost)
{
	struct both x;

	assert_int_equal(ipc_channel_make(&x.fds, RING, NULL), 0);
	open_end(*state, &x.a, &x.fds, IPC_END_A);
	assert_true(say(&x.a, 1, 0));
	turn(*state);
	assert_true(say(&x.a, 2, 10));
	ipc_channel_close(&x.a.c); /* nor what was sent by one that is gone */
	turn(*state);
	open_end(*state, &x.b, &x.fds, IPC_END_B);
	turn(*state);
	assert_int_equal(x.b.tags, 3);
	close_both(*state, &x);
}

/* signals - how often the reader at end B was to be woken since the last look */
static uint64_t signals(const struct both *x)
{
	uint64_t n = 0;

	return read(x->fds.wake_b, &n, sizeof n) == sizeof n ? n : 0;
}

TEST(a_sleeping_reader_is_woken_once_a_turn_and_one_that_is_awake_never)
{
	struct both x;

	assert_int_equal(ipc_channel_make(&x.fds, RING, NULL), 0);
	open_end(*state, &x.a, &x.fds, IPC_END_A);
	assert_true(say(&x.a, 1, 1));
	turn(*state);
	assert_int_equal(signals(&x), 0); /* there is nobody: who opens looks first */
	open_end(*state, &x.b, &x.fds, IPC_END_B);
	turn(*state);
	for (unsigned i = 0; i < 10; i++)
		assert_true(say(&x.a, 1, 1));
	assert_int_equal(signals(&x), 0);
	ipc_channel_pause(x.b.c);
	turn(*state);
	assert_int_equal(x.b.frames, 1);
	assert_true(say(&x.a, 1, 1));
	assert_true(say(&x.a, 1, 1));
	turn(*state);
	assert_int_equal(signals(&x),
			 0); /* it was woken by the first ones, and has not slept since */
	ipc_channel_resume(x.b.c);
	turn(*state);
	assert_int_equal(x.b.frames, 13);
	close_both(*state, &x);
}

TEST(a_refused_send_is_followed_by_writable_when_its_frame_fits)
{
	static const size_t sizes[] = { 100, 5000, RING / 2 - IPC_HEAD };
	struct both x;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		unsigned sent = 0;

		open_both(*state, &x);
		assert_int_equal(ipc_channel_max(x.a.c), RING / 2 - IPC_HEAD);
		ipc_channel_pause(x.b.c);
		while (say(&x.a, 1, sizes[i]))
			sent++;
		CHECK(i, ipc_channel_room(x.a.c) < sizes[i]);
		for (int k = 0; k < 5; k++)
			turn(*state);
		CHECK_INT(i, x.a.writable, 0);
		ipc_channel_resume(x.b.c);
		UNTIL(*state, x.a.writable);
		CHECK_INT(i, x.a.writable, 1);
		assert_true(say(&x.a, 1, sizes[i]));
		UNTIL(*state, x.b.frames == sent + 1);
		turn(*state);
		CHECK_INT(i, x.a.writable, 1);
		close_both(*state, &x);
	}
}

TEST(who_wants_room_is_told_when_it_is_there)
{
	struct both x;

	open_both(*state, &x);
	ipc_channel_want(x.a.c, 1000); /* it is there now, and the answer still comes later */
	assert_int_equal(x.a.writable, 0);
	turn(*state);
	assert_int_equal(x.a.writable, 1);
	ipc_channel_pause(x.b.c);
	while (say(&x.a, 1, 1000))
		;
	ipc_channel_want(x.a.c, RING / 2 - IPC_HEAD);
	turn(*state);
	ipc_channel_resume(x.b.c);
	UNTIL(*state, x.a.writable == 2);
	assert_true(ipc_channel_room(x.a.c) >= RING / 2 - IPC_HEAD);
	close_both(*state, &x);
}

TEST(the_room_that_is_told_is_there)
{
	struct both x;

	open_both(*state, &x);
	ipc_channel_pause(x.b.c);
	for (unsigned i = 0; ipc_channel_room(x.a.c) > 0; i++) {
		size_t room = ipc_channel_room(x.a.c);

		assert_true(say(&x.a, 1, room > 3000 ? 3000 : room));
		assert_true(i < 100);
	}
	assert_false(say(&x.a, 1, 1));
	close_both(*state, &x);
}

TEST(a_turn_takes_a_bounded_number_of_frames)
{
	struct both x;

	open_both(*state, &x);
	for (unsigned i = 0; i < 3 * IPC_FRAMES_A_TURN; i++)
		assert_true(say(&x.a, 1, 0));
	while (!x.b.frames)
		turn(*state);
	assert_int_equal(x.b.frames, IPC_FRAMES_A_TURN);
	turn(*state);
	assert_int_equal(x.b.frames, 2 * IPC_FRAMES_A_TURN);
	UNTIL(*state, x.b.frames == 3 * IPC_FRAMES_A_TURN);
	close_both(*state, &x);
}

TEST(a_pause_stops_frames_at_once_and_a_resume_brings_the_rest)
{
	struct both x;

	open_both(*state, &x);
	x.b.pause_after = 2;
	for (unsigned i = 0; i < 5; i++)
		assert_true(say(&x.a, 1, 10));
	for (unsigned i = 0; i < 5; i++)
		turn(*state);
	assert_int_equal(x.b.frames, 2);
	ipc_channel_resume(x.b.c);
	assert_int_equal(x.b.frames, 2);
	turn(*state);
	assert_int_equal(x.b.frames, 5);
	assert_true(say(&x.a, 1, 10)); /* and it sleeps again as it should */
	UNTIL(*state, x.b.frames == 6);
	close_both(*state, &x);
}

TEST(an_owner_may_close_inside_frame)
{
	struct both x;

	open_both(*state, &x);
	x.b.close_after = 2;
	for (unsigned i = 0; i < 5; i++)
		assert_true(say(&x.a, 1, 1000));
	for (unsigned i = 0; i < 5; i++)
		turn(*state);
	assert_int_equal(x.b.frames, 2);
	assert_null(x.b.c);
	close_both(*state, &x);
}

static char *memory_of(const struct both *x, size_t *n)
{
	struct stat st;
	char *p;

	assert_int_equal(fstat(x->fds.memory, &st), 0);
	*n = (size_t)st.st_size;
	p = mmap(NULL, *n, PROT_READ | PROT_WRITE, MAP_SHARED, x->fds.memory, 0);
	assert_true(p != MAP_FAILED);
	return p;
}

TEST(nonsense_in_the_ring_ends_the_channel_once_and_nothing_else)
{
	for (int is_closing = 0; is_closing < 2; is_closing++) {
		struct both x;
		size_t n;
		char *p;

		open_both(*state, &x);
		x.b.close_when_broken = is_closing;
		p = memory_of(&x, &n);
		assert_true(say(&x.a, 1, 100));
		memset(p + n - 2 * RING, 0xff, 64); /* the first head of A -> B */
		for (unsigned i = 0; i < 5; i++)
			turn(*state);
		assert_int_equal(x.b.frames, 0);
		assert_int_equal(x.b.broken, 1);
		assert_int_equal(x.a.broken, 0);
		if (x.b.c) {
			assert_false(say(&x.b, 1, 1));
			assert_int_equal(ipc_channel_room(x.b.c), 0);
			ipc_channel_resume(x.b.c);
			turn(*state);
		}
		assert_int_equal(x.b.broken, 1);
		munmap(p, n);
		close_both(*state, &x);
	}
}

TEST(a_reader_that_lies_breaks_the_channel_of_the_writer_outside_of_the_call)
{
	struct both x;
	size_t n;
	char *p;

	open_both(*state, &x);
	p = memory_of(&x, &n);
	memset(p, 0x77, 512);
	assert_false(say(&x.a, 1, 100));
	assert_int_equal(x.a.broken, 0);
	turn(*state);
	assert_int_equal(x.a.broken, 1);
	munmap(p, n);
	close_both(*state, &x);
}

TEST(no_garbage_hurts)
{
	uint64_t seed = 1;

	for (unsigned round = 0; round < 300; round++) {
		struct both x;
		size_t n;
		char *p;

		open_both(*state, &x);
		x.a.is_garbage = x.b.is_garbage = true;
		p = memory_of(&x, &n);
		for (unsigned i = 0; i < 20; i++) {
			for (unsigned k = 0; k < 8; k++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				p[(seed >> 40) % (round % 2 ? 512 : n)] = (char)(seed >> 33);
			}
			(void)say(&x.a, i, (seed >> 20) % 3000);
			(void)say(&x.b, i, (seed >> 30) % 3000);
			turn(*state);
		}
		assert_true(x.a.broken <= 1 && x.b.broken <= 1);
		munmap(p, n);
		close_both(*state, &x);
	}
}

TEST(only_the_memory_of_a_channel_is_opened)
{
	struct fault why;

	for (int i = 0; i < 4; i++) {
		struct ipc_channel_fds fds, odd;
		int fd = memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		assert_int_equal(ipc_channel_make(&fds, RING, NULL), 0);
		assert_int_equal(
			ftruncate(fd, 4096 + 2 * RING + (i == 1) * 4096 - (i == 2) * (4096 + RING)),
			0);
		if (i != 0)
			assert_int_equal(
				fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
				0);
		if (i == 3) {
			close(fd);
			fd = -1;
		}
		odd = (struct ipc_channel_fds){ fd, fds.wake_a, fds.wake_b };
		why.text[0] = '\0';
		assert_null(ipc_channel_open(*state, &odd, IPC_END_A, &ops, NULL, &why));
		CHECK(i, why.text[0]);
		CHECK_INT(i, odd.memory & odd.wake_a & odd.wake_b, -1);
		close(fds.memory);
	}
}

TEST(the_size_of_the_memory_is_sealed)
{
	struct ipc_channel_fds fds;

	assert_int_equal(ipc_channel_make(&fds, RING, NULL), 0);
	assert_int_equal(ftruncate(fds.memory, 0), -1);
	assert_int_equal(ftruncate(fds.memory, 100 << 20), -1);
	ipc_channel_fds_close(&fds);
	assert_int_equal(fds.memory & fds.wake_a & fds.wake_b, -1);
	ipc_channel_fds_close(&fds);
}

#define CHANNEL_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHANNEL_TEST(frames_cross_both_ways),
		CHANNEL_TEST(a_patient_reader_is_not_woken_for_each_frame),
		CHANNEL_TEST(what_was_sent_before_the_other_end_opened_is_not_lost),
		CHANNEL_TEST(a_sleeping_reader_is_woken_once_a_turn_and_one_that_is_awake_never),
		CHANNEL_TEST(a_refused_send_is_followed_by_writable_when_its_frame_fits),
		CHANNEL_TEST(who_wants_room_is_told_when_it_is_there),
		CHANNEL_TEST(the_room_that_is_told_is_there),
		CHANNEL_TEST(a_turn_takes_a_bounded_number_of_frames),
		CHANNEL_TEST(a_pause_stops_frames_at_once_and_a_resume_brings_the_rest),
		CHANNEL_TEST(an_owner_may_close_inside_frame),
		CHANNEL_TEST(nonsense_in_the_ring_ends_the_channel_once_and_nothing_else),
		CHANNEL_TEST(
			a_reader_that_lies_breaks_the_channel_of_the_writer_outside_of_the_call),
		CHANNEL_TEST(no_garbage_hurts),
		CHANNEL_TEST(only_the_memory_of_a_channel_is_opened),
		CHANNEL_TEST(the_size_of_the_memory_is_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
