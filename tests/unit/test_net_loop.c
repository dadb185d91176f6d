#define _GNU_SOURCE /* pipe2 */

#include "net_loop.h"

#include <fcntl.h>

#include "turns.h"

static char trace[256];

static void note(char c)
{
	size_t n = strlen(trace);

	assert_true(n + 1 < sizeof trace);
	trace[n] = c;
	trace[n + 1] = '\0';
}

static int begin(void **state)
{
	clock_stop();
	*state = net_loop_new();
	trace[0] = '\0';
	return 0;
}

static int end(void **state)
{
	net_loop_free((struct net_loop **)state);
	return *state != NULL;
}

struct work {
	struct net_deferred d;
	struct net_loop *loop;
	struct work *then, *next, *stops; /* defers, defers to the next turn, cancels */
	char name;
};

static void run_work(struct net_deferred *d)
{
	struct work *w = container_of(d, struct work, d);

	note(w->name);
	if (w->then)
		net_loop_defer(w->loop, &w->then->d);
	if (w->next)
		net_loop_defer_next(w->loop, &w->next->d);
	if (w->stops)
		net_deferred_cancel(&w->stops->d);
}

static struct work work(struct net_loop *loop, char name)
{
	return (struct work){ .d.run = run_work, .loop = loop, .name = name };
}

TEST(deferred_work_runs_once_in_the_order_it_was_asked_for)
{
	struct work a = work(*state, 'a'), b = work(*state, 'b');

	net_loop_defer(*state, &b.d);
	net_loop_defer(*state, &a.d);
	net_loop_defer(*state, &b.d);
	assert_string_equal(trace, "");
	turn(*state);
	turn(*state);
	assert_string_equal(trace, "ba");
}

TEST(cancelled_work_does_not_run_even_when_its_round_has_begun)
{
	struct work a = work(*state, 'a'), b = work(*state, 'b'), c = work(*state, 'c');

	a.stops = &b;
	net_loop_defer(*state, &a.d);
	net_loop_defer(*state, &b.d);
	net_loop_defer(*state, &c.d);
	net_deferred_cancel(&c.d);
	net_deferred_cancel(&c.d);
	turn(*state);
	assert_string_equal(trace, "a");
	assert_false(b.d.queued || c.d.queued);
}

static int pipe_with_a_byte(int ends[2])
{
	return pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0 && write(ends[1], "x", 1) == 1 ? 0 : -1;
}

static void ready_once(struct net_watch *w, int events)
{
	assert_int_equal(events, EV_READ);
	note('r');
	net_watch_want(w, 0);
}

TEST(what_deferred_work_defers_runs_before_any_descriptor_is_looked_at)
{
	struct work a = work(*state, 'a'), b = work(*state, 'b'), c = work(*state, 'c');
	struct net_watch w;
	int ends[2];

	assert_int_equal(pipe_with_a_byte(ends), 0);
	net_watch_init(&w, *state, ends[0], ready_once);
	net_watch_want(&w, EV_READ);
	a.then = &b;
	b.then = &c;
	net_loop_defer(*state, &a.d);
	turn(*state);
	assert_string_equal(trace, "abcr");
	close(ends[0]);
	close(ends[1]);
}

TEST(work_that_defers_itself_for_ever_does_not_keep_descriptors_waiting)
{
	struct work a = work(*state, 'a');
	struct net_watch w;
	int ends[2];

	assert_int_equal(pipe_with_a_byte(ends), 0);
	net_watch_init(&w, *state, ends[0], ready_once);
	net_watch_want(&w, EV_READ);
	a.then = &a;
	net_loop_defer(*state, &a.d);
	turn(*state);
	assert_int_equal(strchr(trace, 'r') - trace, NET_DEFER_ROUNDS);
	net_deferred_cancel(&a.d);
	close(ends[0]);
	close(ends[1]);
}

TEST(work_for_the_next_turn_lets_descriptors_go_first_without_sleep)
{
	struct work a = work(*state, 'a');
	struct net_watch w;
	int ends[2];

	assert_int_equal(pipe_with_a_byte(ends), 0);
	net_watch_init(&w, *state, ends[0], ready_once);
	net_watch_want(&w, EV_READ);
	net_loop_defer_next(*state, &a.d);
	turn(*state);
	assert_string_equal(trace, "ra");
	close(ends[0]);
	close(ends[1]);
}

TEST(work_for_the_next_turn_waits_for_it_even_when_the_loop_stops)
{
	struct work a = work(*state, 'a'), b = work(*state, 'b');
	struct net_watch w;
	int ends[2];

	assert_int_equal(pipe_with_a_byte(ends), 0);
	net_watch_init(&w, *state, ends[0], ready_once);
	a.next = &b;
	net_loop_defer_next(*state, &a.d);
	turn(*state);
	assert_string_equal(trace, "a");
	net_watch_want(&w, EV_READ);
	turn(*state);
	assert_string_equal(trace, "arb");
	close(ends[0]);
	close(ends[1]);
}

static void stop(struct net_deferred *d)
{
	struct work *w = container_of(d, struct work, d);

	net_loop_stop(w->loop);
	net_loop_defer(w->loop, &w->then->d);
}

TEST(what_is_deferred_in_the_turn_that_stops_the_loop_still_runs)
{
	struct work s = work(*state, 's'), a = work(*state, 'a');

	s.d.run = stop;
	s.then = &a;
	net_loop_defer(*state, &s.d);
	net_loop_run(*state);
	assert_string_equal(trace, "a");
}

TEST(a_stop_before_the_run_is_not_lost)
{
	net_loop_stop(*state);
	net_loop_run(*state);
}

struct alarm {
	struct net_timer t;
	char name;
	uint64_t seen;
};

static void alarm_fired(struct net_timer *t)
{
	struct alarm *a = container_of(t, struct alarm, t);

	note(a->name);
	a->seen = net_loop_now(t->loop);
}

TEST(timers_fire_once_when_due_in_the_order_of_their_times)
{
	struct alarm a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' },
		     d = { .name = 'd' };
	struct alarm *all[] = { &a, &b, &c, &d };
	uint64_t start = net_loop_now(*state);

	for (size_t i = 0; i < COUNT(all); i++)
		net_timer_init(&all[i]->t, *state, alarm_fired);
	net_timer_start(&a.t, 30000000);
	net_timer_start(&b.t, 20000000);
	net_timer_start(&c.t, 10000000);
	net_timer_start(&d.t, 10000000);
	net_timer_stop(&d.t);
	net_timer_stop(&d.t);
	turn(*state);
	assert_string_equal(trace, "");
	clock_ahead_us += 10000001;
	turn(*state);
	assert_string_equal(trace, "c");
	assert_true(c.seen >= start + 10000000);
	assert_false(net_timer_is_running(&c.t));
	net_timer_start(&b.t, 5000000); /* restarts, earlier */
	clock_ahead_us += 25000000;
	UNTIL(*state, strlen(trace) == 3);
	assert_string_equal(trace, "cba");
}

TEST(a_timer_of_no_time_fires_in_the_next_turn_and_not_at_once)
{
	struct alarm a = { .name = 'a' };

	net_timer_init(&a.t, *state, alarm_fired);
	net_timer_start(&a.t, 0);
	assert_string_equal(trace, "");
	UNTIL(*state, trace[0]);
	assert_string_equal(trace, "a");
}

static uint64_t first, last;

static void look_at_time(struct net_watch *w, int events)
{
	(void)events;
	first = net_loop_now(w->loop);
	clock_ahead_us += 1000;
	last = net_loop_now(w->loop);
	net_watch_want(w, 0);
}

TEST(time_stands_still_within_a_turn_and_moves_between_turns)
{
	struct net_watch w;
	uint64_t wall;
	int ends[2];

	assert_int_equal(pipe_with_a_byte(ends), 0);
	net_watch_init(&w, *state, ends[0], look_at_time);
	net_watch_want(&w, EV_READ);
	turn(*state);
	assert_true(first != 0 && first == last);
	wall = net_loop_wall(*state);
	turn(*state);
	assert_true(net_loop_now(*state) >= last + 1000);
	assert_true(net_loop_wall(*state) >= wall + 999);
	assert_true(wall / 1000000 + 10 > (uint64_t)time(NULL));
	close(ends[0]);
	close(ends[1]);
}

struct rival {
	struct net_watch w;
	struct rival *other;
};

static void stop_the_other(struct net_watch *w, int events)
{
	(void)events;
	note('r');
	net_watch_want(&container_of(w, struct rival, w)->other->w, 0);
	net_watch_want(w, 0);
}

TEST(a_watcher_stopped_in_the_same_turn_is_not_called)
{
	struct rival a, b;
	int ends[2][2];

	assert_int_equal(pipe_with_a_byte(ends[0]), 0);
	assert_int_equal(pipe_with_a_byte(ends[1]), 0);
	net_watch_init(&a.w, *state, ends[0][0], stop_the_other);
	net_watch_init(&b.w, *state, ends[1][0], stop_the_other);
	a.other = &b;
	b.other = &a;
	net_watch_want(&a.w, EV_READ);
	net_watch_want(&b.w, EV_READ);
	turn(*state);
	turn(*state);
	assert_string_equal(trace, "r");
	for (size_t i = 0; i < 4; i++)
		close(ends[i / 2][i % 2]);
}

/* libev keeps state per number, and the kernel gives the lowest free number again at once. */
TEST(a_descriptor_number_used_again_in_the_same_turn_is_watched_again)
{
	int old[2], new[2], number;
	struct net_watch w;

	assert_int_equal(pipe_with_a_byte(old), 0);
	net_watch_init(&w, *state, old[0], ready_once);
	net_watch_want(&w, EV_READ);
	turn(*state);
	assert_string_equal(trace, "r");
	net_watch_want(&w, EV_READ);
	turn(*state);
	number = old[0];
	net_watch_want(&w, EV_READ);
	net_watch_want(&w, 0);
	close(old[0]);
	assert_int_equal(pipe_with_a_byte(new), 0);
	assert_int_equal(new[0], number);
	net_watch_init(&w, *state, new[0], ready_once);
	net_watch_want(&w, EV_READ);
	turn(*state);
	assert_string_equal(trace, "rrr");
	close(old[1]);
	close(new[0]);
	close(new[1]);
}

static void ready_to_write(struct net_watch *w, int events)
{
	assert_int_equal(events, EV_WRITE);
	note('w');
	net_watch_want(w, 0);
}

TEST(only_what_is_wanted_is_reported)
{
	struct net_watch w;
	int ends[2];

	assert_int_equal(pipe_with_a_byte(ends), 0);
	net_watch_init(&w, *state, ends[1], ready_to_write);
	turn(*state);
	assert_string_equal(trace, "");
	net_watch_want(&w, EV_READ);
	net_watch_want(&w, EV_WRITE);
	net_watch_want(&w, EV_WRITE);
	turn(*state);
	assert_string_equal(trace, "w");
	close(ends[0]);
	close(ends[1]);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(deferred_work_runs_once_in_the_order_it_was_asked_for),
		LOOP_TEST(cancelled_work_does_not_run_even_when_its_round_has_begun),
		LOOP_TEST(what_deferred_work_defers_runs_before_any_descriptor_is_looked_at),
		LOOP_TEST(work_that_defers_itself_for_ever_does_not_keep_descriptors_waiting),
		LOOP_TEST(work_for_the_next_turn_lets_descriptors_go_first_without_sleep),
		LOOP_TEST(work_for_the_next_turn_waits_for_it_even_when_the_loop_stops),
		LOOP_TEST(what_is_deferred_in_the_turn_that_stops_the_loop_still_runs),
		LOOP_TEST(a_stop_before_the_run_is_not_lost),
		LOOP_TEST(timers_fire_once_when_due_in_the_order_of_their_times),
		LOOP_TEST(a_timer_of_no_time_fires_in_the_next_turn_and_not_at_once),
		LOOP_TEST(time_stands_still_within_a_turn_and_moves_between_turns),
		LOOP_TEST(a_watcher_stopped_in_the_same_turn_is_not_called),
		LOOP_TEST(a_descriptor_number_used_again_in_the_same_turn_is_watched_again),
		LOOP_TEST(only_what_is_wanted_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
