/* Reading: at once when the page cache has it, else by a thread. */
#include "spool_load.h"

#include <assert.h>
#include <errno.h>

#include "spool_core.h"

/* read_range - as much as there is of n bytes; a record near the end of its file is shorter than
 * what is asked for */
static size_t read_range(struct spool_file *f, int fd, char *to, size_t n, uint64_t offset)
{
	size_t got = 0;

	while (got < n) {
		ssize_t more = f->read(f, fd, to + got, n - got, offset + got);

		if (more < 0 && errno == EINTR)
			continue;
		if (more <= 0)
			break;
		got += (size_t)more;
	}
	return got;
}

/* A record */

size_t spool_load_size(const struct spool_handle *h)
{
	return (size_t)h->blocks * SPOOL_BLOCK;
}

/* decode - of the `got` bytes: MORE when the record is not whole yet */
static enum step decode(struct spool_load *l)
{
	struct str in = { l->to, l->got };
	struct spool_record r;
	enum step step = spool_record_take(&in, l->seed, &r);

	if (step != STEP_DONE)
		return step;
	l->id = r.id;
	l->variant = r.variant;
	return r.type == SPOOL_ACCEPT && spool_record_is_whole(&r, l->seed) &&
			       spool_accept_get(r.payload, &l->accept)
		       ? STEP_DONE
		       : STEP_ERROR;
}

static void load_work(struct spool_job *job)
{
	struct spool_load *l = container_of(job, struct spool_load, job);

	l->got = read_range(l->file, l->fd, l->to, l->size, l->offset);
}

static void load_done(struct spool_job *job)
{
	struct spool_load *l = container_of(job, struct spool_load, job);

	l->done(l, decode(l) == STEP_DONE);
}

enum step spool_load(struct spool *sp, struct spool_load *l)
{
	const struct spool_segment *s = sp->segments[l->handle->segment];
	ssize_t got;
	enum step step;

	assert(l->handle->phase >= SPOOL_PHASE_CLEAN);
	l->file = sp->file;
	l->fd = s->fd;
	l->offset = l->handle->offset;
	l->size = spool_load_size(l->handle);
	l->seed = spool_seed(s->header.epoch, s->header.salt);
	got = l->file->read_now(l->file, l->fd, l->to, l->size, l->offset);
	l->got = got > 0 ? (size_t)got : 0;
	step = decode(l);
	if (step != STEP_MORE)
		return step;
	l->job.work = load_work;
	l->job.done = load_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &l->job);
	return STEP_MORE;
}

/* A range of a slot */

static void read_work(struct spool_job *job)
{
	struct spool_read *r = container_of(job, struct spool_read, job);

	r->got = read_range(r->file, r->fd, r->to, r->length, r->offset);
}

static void read_done(struct spool_job *job)
{
	struct spool_read *r = container_of(job, struct spool_read, job);

	r->done(r, r->got == r->length);
}

enum step spool_read(struct spool *sp, struct spool_read *r)
{
	ssize_t got;

	assert(r->handle->phase >= SPOOL_PHASE_CLEAN && r->handle->slot != 0);
	r->file = sp->file;
	r->fd = spool_slot_fd(spool_slots_get(sp, r->handle->slot));
	got = r->file->read_now(r->file, r->fd, r->to, r->length, r->offset);
	if (got >= 0 && (size_t)got == r->length)
		return STEP_DONE;
	r->job.work = read_work;
	r->job.done = read_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &r->job);
	return STEP_MORE;
}
