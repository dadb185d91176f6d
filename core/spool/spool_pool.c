#include "spool_pool.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void tell_loop(struct spool_pool *p)
{
	uint64_t one = 1;
	/* EAGAIN: the counter is full, so the loop is told */
	ssize_t put = write(p->wakeup, &one, sizeof one);

	(void)put;
}

/* take - the next job of a lane, NULL when the pool stops; the lock is held */
static struct spool_job *take(struct spool_pool *p, enum spool_lane lane)
{
	struct list *node;

	while (!p->stopping && list_is_empty(&p->queues[lane]))
		pthread_cond_wait(&p->wake[lane], &p->lock);
	node = p->stopping ? NULL : list_take(&p->queues[lane]);
	return node ? LIST_ITEM(node, struct spool_job, node) : NULL;
}

static void serve(struct spool_pool *p, enum spool_lane lane)
{
	struct spool_job *job;

	pthread_mutex_lock(&p->lock);
	while ((job = take(p, lane))) {
		bool first;

		pthread_mutex_unlock(&p->lock);
		job->work(job);
		pthread_mutex_lock(&p->lock);
		first = list_is_empty(&p->returned);
		list_append(&p->returned, &job->node);
		pthread_mutex_unlock(&p->lock);
		if (first) /* without the lock: who is woken wants it at once */
			tell_loop(p);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
}

static void *committer(void *pool)
{
	serve(pool, SPOOL_LANE_COMMIT);
	return NULL;
}

static void *filer(void *pool)
{
	serve(pool, SPOOL_LANE_FILES);
	return NULL;
}

static int start(struct spool_pool *p, void *(*run)(void *), struct fault *why)
{
	int rc = pthread_create(&p->threads[p->nthreads], NULL, run, p);

	errno = rc;
	if (rc)
		return fault_sys(why, "starting a thread of the spool");
	p->nthreads++;
	return 0;
}

/* start_all - with every signal blocked: those belong to the loop */
static int start_all(struct spool_pool *p, unsigned files, struct fault *why)
{
	sigset_t all, before;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (files > 0)
		rc = start(p, committer, why);
	for (unsigned i = 0; i < files && rc == 0; i++)
		rc = start(p, filer, why);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int spool_pool_init(struct spool_pool *p, unsigned files, struct fault *why)
{
	assert(files <= SPOOL_POOL_THREADS);
	*p = (struct spool_pool){ .wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (p->wakeup < 0)
		return fault_sys(why, "making an eventfd");
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->returned);
	for (int lane = 0; lane < SPOOL_LANES; lane++) {
		list_init(&p->queues[lane]);
		pthread_cond_init(&p->wake[lane], NULL);
	}
	if (start_all(p, files, why) == 0)
		return 0;
	spool_pool_fini(p);
	return -1;
}

void spool_pool_fini(struct spool_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	for (int lane = 0; lane < SPOOL_LANES; lane++)
		pthread_cond_broadcast(&p->wake[lane]);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->nthreads; i++)
		pthread_join(p->threads[i], NULL);
	for (int lane = 0; lane < SPOOL_LANES; lane++)
		pthread_cond_destroy(&p->wake[lane]);
	pthread_mutex_destroy(&p->lock);
	close(p->wakeup);
}

void spool_pool_put(struct spool_pool *p, enum spool_lane lane, struct spool_job *job)
{
	p->open++;
	pthread_mutex_lock(&p->lock);
	list_append(&p->queues[lane], &job->node);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_signal(&p->wake[lane]);
	if (p->nthreads == 0)
		tell_loop(p);
}

/* work_here - without threads: what is queued now, not what its callbacks will add */
static void work_here(struct spool_pool *p)
{
	for (int lane = SPOOL_LANES - 1; lane >= 0; lane--) {
		struct list *node;

		while ((node = list_take(&p->queues[lane]))) {
			struct spool_job *job = LIST_ITEM(node, struct spool_job, node);

			job->work(job);
			list_append(&p->returned, node);
		}
	}
}

void spool_pool_turn(struct spool_pool *p)
{
	struct list mine = LIST_INIT(mine), *node;
	uint64_t count;
	ssize_t got = read(p->wakeup, &count, sizeof count);

	(void)got; /* nothing to read: called without being woken */
	if (p->nthreads == 0)
		work_here(p);
	pthread_mutex_lock(&p->lock);
	while ((node = list_take(&p->returned)))
		list_append(&mine, node);
	pthread_mutex_unlock(&p->lock);
	while ((node = list_take(&mine))) {
		struct spool_job *job = LIST_ITEM(node, struct spool_job, node);

		p->open--;
		job->done(job);
	}
}

bool spool_pool_is_idle(const struct spool_pool *p)
{
	return p->open == 0;
}

void spool_pool_wait(struct spool_pool *p)
{
	struct pollfd fd = { .fd = p->wakeup, .events = POLLIN };

	if (p->open > 0)
		while (poll(&fd, 1, -1) < 0 && errno == EINTR)
			;
}
