/* Reading: at once when the page cache has it, else by a thread. */
#include "spool_load.h"

#include <assert.h>

#include "spool_core.h"

/* A record */

size_t spool_load_size(const struct spool_handle *h)
{
	return spool_size_unpack(h->size);
}

enum step spool_load_decode(struct str in, uint32_t seed, struct spool_record *r,
			    struct spool_accept *a)
{
	enum step step = spool_record_take(&in, seed, r);
	struct spool_place from;

	if (step != STEP_DONE)
		return step;
	return spool_type_is_message(r->type) && spool_record_is_whole(r, seed) &&
			       spool_accept_get(spool_message_of(r, &from), a)
		       ? STEP_DONE
		       : STEP_ERROR;
}

static enum step decode(struct spool_load *l)
{
	struct spool_record r;
	enum step step = spool_load_decode((struct str){ l->to, l->got }, l->seed, &r, &l->accept);

	if (step == STEP_DONE) {
		l->id = r.id;
		l->variant = r.variant;
	}
	return step;
}

static void load_work(struct spool_job *job)
{
	struct spool_load *l = container_of(job, struct spool_load, job);

	l->got = spool_file_read_most(l->file, l->fd, l->to, l->size, l->offset);
}

static void load_done(struct spool_job *job)
{
	struct spool_load *l = container_of(job, struct spool_load, job);

	l->segment->readers--;
	l->spool->supply.may_reclaim = true;
	l->done(l, decode(l) == STEP_DONE);
}

enum step spool_load(struct spool *sp, struct spool_load *l)
{
	struct spool_segment *s = sp->segments[l->handle->segment];
	ssize_t got;
	enum step step;

	assert(l->handle->phase >= SPOOL_PHASE_CLEAN);
	l->spool = sp;
	l->file = sp->file;
	l->segment = s;
	l->fd = s->fd;
	l->offset = l->handle->offset;
	l->size = spool_load_size(l->handle);
	l->seed = spool_seed(s->header.epoch, s->header.salt);
	got = l->file->read_now(l->file, l->fd, l->to, l->size, l->offset);
	l->got = got > 0 ? (size_t)got : 0;
	step = decode(l);
	if (step != STEP_MORE)
		return step;
	s->readers++;
	l->job.work = load_work;
	l->job.done = load_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &l->job);
	return STEP_MORE;
}

/* A range of a slot */

static void read_work(struct spool_job *job)
{
	struct spool_read *r = container_of(job, struct spool_read, job);

	r->got = spool_file_read_most(r->file, r->fd, r->to, r->length, r->offset);
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
