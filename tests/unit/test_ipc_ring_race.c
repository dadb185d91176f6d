/* layer: ipc */
/*
 * Two processes at the very edge between awake and asleep, a hundred thousand times. Sleep is a
 * spin on a counter and a wake-up an addition, so that the window in which one could be lost is
 * met often; a lost one is a spin without end, which the alarm ends. Without either fence around
 * `sleeps` this hangs within a second on two processors. (Those around `wants` it cannot miss: a
 * frame is at most half a ring, so that the reader always looks once more after there is room.)
 */
#include "ipc_ring.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define ROUNDS   100000
#define PATIENCE 60 /* seconds */
#define SIZE     IPC_RING_LEAST

struct shared {
	struct ipc_ring_shared ring;
	_Alignas(64) _Atomic unsigned wakes_reader;
	_Alignas(64) _Atomic unsigned wakes_writer;
	_Alignas(64) char data[SIZE];
};

/* The child has its own alarm: a signal to the parent does not end it. */
static void gave_up(int number)
{
	(void)number;
	_exit(2);
}

static void sleep_until_woken(_Atomic unsigned *wakes, unsigned *seen)
{
	for (unsigned i = 1; atomic_load_explicit(wakes, memory_order_acquire) == *seen; i++)
		if (i % 1024 == 0)
			sched_yield();
	*seen = atomic_load(wakes);
}

/* dither - a little, and never the same, so that every order of the two sides' steps occurs */
static void dither(unsigned i)
{
	for (volatile unsigned n = (i * 2654435761u >> 24) % 64; n > 0; n--)
		;
}

static int read_all(struct shared *m)
{
	struct ipc_ring r = { .shared = &m->ring,
			      .data = m->data,
			      .size = SIZE,
			      .frame = malloc(ipc_ring_frame_max(SIZE)) };
	unsigned seen = 0;

	for (uint64_t n = 0; n < ROUNDS;) {
		struct ipc_frame frame;

		switch (ipc_ring_take(&r, &frame)) {
		case STEP_DONE:
			if (frame.tag != n++)
				return 1;
			break;
		case STEP_MORE:
			if (ipc_ring_wakes_writer(&r))
				atomic_fetch_add(&m->wakes_writer, 1);
			dither((unsigned)n);
			if (ipc_ring_sleeps(&r))
				sleep_until_woken(&m->wakes_reader, &seen);
			break;
		case STEP_ERROR:
			return 1;
		}
	}
	if (ipc_ring_wakes_writer(&r))
		atomic_fetch_add(&m->wakes_writer, 1);
	free(r.frame);
	return 0;
}

/*
 * write_singly - after each frame, wait until it was taken: the reader is about to fall asleep
 * each time
 */
static void write_singly(struct shared *m)
{
	struct ipc_ring w = { .shared = &m->ring, .data = m->data, .size = SIZE };

	for (uint64_t n = 0; n < ROUNDS; n++) {
		assert_int_equal(ipc_ring_put(&w, &(struct ipc_frame){ .tag = n }, NULL, 0),
				 STEP_DONE);
		if (ipc_ring_wakes_reader(&w))
			atomic_fetch_add(&m->wakes_reader, 1);
		for (unsigned i = 1;
		     atomic_load_explicit(&m->ring.taken, memory_order_acquire) != w.at; i++)
			if (i % 1024 == 0)
				sched_yield();
		dither((unsigned)n * 7);
	}
}

/*
 * write_full - as much as fits, then sleep until there is room: here the writer's announcement is
 * put to the test
 */
static void write_full(struct shared *m)
{
	static char bytes[SIZE / 4 - IPC_HEAD];
	struct ipc_ring w = { .shared = &m->ring, .data = m->data, .size = SIZE };
	struct str payload = { bytes, sizeof bytes };
	unsigned seen = 0;

	for (uint64_t n = 0; n < ROUNDS;) {
		enum step step = ipc_ring_put(&w, &(struct ipc_frame){ .tag = n }, &payload, 1);

		assert_int_not_equal(step, STEP_ERROR);
		n += step == STEP_DONE;
		if (ipc_ring_wakes_reader(&w))
			atomic_fetch_add(&m->wakes_reader, 1);
		if (step == STEP_DONE)
			continue;
		dither((unsigned)n);
		if (ipc_ring_wait(&w, payload.n) == STEP_MORE)
			sleep_until_woken(&m->wakes_writer, &seen);
	}
}

static void race(void (*write_all)(struct shared *))
{
	struct shared *m =
		mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	assert_true(m != MAP_FAILED);
	signal(SIGALRM, gave_up);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	alarm(PATIENCE);
	if (pid == 0) {
		alarm(PATIENCE);
		_exit(read_all(m));
	}
	write_all(m);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	alarm(0);
	assert_int_equal(status, 0);
	munmap(m, sizeof *m);
}

TEST(a_reader_about_to_sleep_misses_no_frame)
{
	race(write_singly);
}

TEST(a_writer_about_to_wait_misses_no_room)
{
	race(write_full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_about_to_sleep_misses_no_frame),
		cmocka_unit_test(a_writer_about_to_wait_misses_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
