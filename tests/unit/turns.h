/*
 * turns - a loop that a test drives turn by turn, and a clock that a test moves.
 *
 * What        turn() lets one turn pass, without sleeping; UNTIL() lets turns pass until
 *             something holds; clock_ahead_us is added to every clock that the program reads,
 *             libev's too: five seconds of waiting cost nothing. After clock_stop() real time is
 *             not looked at any more: a busy host cannot make a deadline pass.
 */
#ifndef TURNS_H
#define TURNS_H

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "net_loop.h"

#define TURNS 20000 /* more than anything on this host needs; a test that hangs fails instead */

static uint64_t clock_ahead_us;
static struct timespec clock_stopped[2]; /* CLOCK_REALTIME, CLOCK_MONOTONIC */
static bool clock_is_stopped;

static inline void clock_stop(void)
{
	for (clockid_t id = 0; id < 2; id++)
		syscall(SYS_clock_gettime, id, &clock_stopped[id]);
	clock_is_stopped = true;
}

/* The program's own definition comes before that of the C library. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);
	uint64_t us;

	if (clock_is_stopped && id < 2) {
		*ts = clock_stopped[id];
		clock_ahead_us++; /* a timer of no time is due at the next look */
	}
	us = (uint64_t)ts->tv_sec * 1000000 + (uint64_t)ts->tv_nsec / 1000 + clock_ahead_us;
	ts->tv_sec = (time_t)(us / 1000000);
	ts->tv_nsec = (long)(us % 1000000) * 1000 + ts->tv_nsec % 1000;
	return rc;
}

struct turn {
	struct net_deferred over;
	struct net_loop *loop;
};

static void turn_over(struct net_deferred *d)
{
	net_loop_stop(container_of(d, struct turn, over)->loop);
}

static void turn(struct net_loop *loop)
{
	struct turn t = { .over.run = turn_over, .loop = loop };

	net_loop_defer_next(loop, &t.over);
	net_loop_run(loop);
}

#define UNTIL(loop, condition)                                                                     \
	for (unsigned turns_ = 0; !(condition); turns_++) {                                        \
		if (turns_ == TURNS)                                                               \
			fail_msg("line %d: never came true: " #condition, __LINE__);               \
		turn(loop);                                                                        \
	}

#endif
