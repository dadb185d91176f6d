#include "spool_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "step.h"

struct task {
	struct spool_job job;
	int worked, at;
};

static int finished;

static void work(struct spool_job *job)
{
	struct task *t = container_of(job, struct task, job);

	t->worked++;
}

static void done(struct spool_job *job)
{
	struct task *t = container_of(job, struct task, job);

	assert_int_equal(t->worked, 1);
	t->at = finished++;
}

static void run(unsigned threads, enum spool_lane lane, struct task *tasks, size_t n)
{
	struct spool_pool pool;
	struct fault why;

	assert_int_equal(spool_pool_init(&pool, threads, &why), 0);
	finished = 0;
	for (size_t i = 0; i < n; i++) {
		tasks[i] = (struct task){ .job = { .work = work, .done = done } };
		spool_pool_put(&pool, lane, &tasks[i].job);
	}
	assert_int_equal(finished, 0);
	while (!spool_pool_is_idle(&pool)) {
		spool_pool_wait(&pool);
		spool_pool_turn(&pool);
	}
	assert_int_equal(finished, n);
	spool_pool_fini(&pool);
}

static void every_job_is_done_once_whatever_the_number_of_threads(void **state)
{
	struct task tasks[100];

	(void)state;
	for (unsigned threads = 0; threads <= SPOOL_POOL_THREADS; threads++)
		run(threads, SPOOL_LANE_FILES, tasks, COUNT(tasks));
}

static void the_commit_lane_keeps_its_order(void **state)
{
	struct task tasks[100];

	(void)state;
	for (unsigned threads = 0; threads <= 2; threads++) {
		run(threads, SPOOL_LANE_COMMIT, tasks, COUNT(tasks));
		for (int i = 0; i < (int)COUNT(tasks); i++)
			assert_int_equal(tasks[i].at, i);
	}
}

static void jobs_that_have_not_begun_are_dropped_at_the_end(void **state)
{
	struct task task = { .job = { .work = work, .done = done } };
	struct spool_pool pool;
	struct fault why;

	(void)state;
	assert_int_equal(spool_pool_init(&pool, 0, &why), 0);
	spool_pool_put(&pool, SPOOL_LANE_FILES, &task.job);
	spool_pool_fini(&pool);
	assert_int_equal(task.worked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_is_done_once_whatever_the_number_of_threads),
		cmocka_unit_test(the_commit_lane_keeps_its_order),
		cmocka_unit_test(jobs_that_have_not_begun_are_dropped_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
