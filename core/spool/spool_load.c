/* Reading: at once when the page cache has it, else by a thread. */
#include "spool_load.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "spool_core.h"

/* A record */

size_t spool_load_size(const struct spool_handle *h)
{
	return spool_size_unpack(h->size);
}

enum step spool_load_decode(const struct spool_segment *s, struct str in, struct spool_record *r,
			    struct spool_accept *a)
{
	uint32_t seed = spool_seed(s->header.epoch, s->header.salt);
	struct spool_cipher cipher = { s->key, s->number, s->header.epoch };
	enum step step = spool_record_take(&in, seed, r);
	struct spool_place from;

	if (step != STEP_DONE)
		return step;
	if (!spool_type_is_message(r->type) || !spool_record_is_whole(r, seed))
		return STEP_ERROR;
	if (!(r->flags & SPOOL_SEALED) != !s->key || (s->key && !spool_cipher_open(&cipher, r)))
		return STEP_ERROR;
	return spool_accept_get(spool_message_of(r, &from), a) ? STEP_DONE : STEP_ERROR;
}

static enum step decode(struct spool_load *l)
{
	struct spool_record r;
	enum step step =
		spool_load_decode(l->segment, (struct str){ l->to, l->got }, &r, &l->accept);

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

	bool is_good = decode(l) == STEP_DONE;

	l->segment->readers--;
	l->spool->supply.may_reclaim = true;
	l->done(l, is_good);
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

/* open_range - unit by unit */
static size_t open_range(const struct spool_range *r, char *scratch)
{
	size_t got = 0;

	while (got < r->length) {
		uint64_t at = r->offset + got, begin = at / SPOOL_UNIT * SPOOL_UNIT;
		bool is_last = r->slot_length - begin <= SPOOL_UNIT;
		size_t n = is_last ? (size_t)(r->slot_length - begin) : SPOOL_UNIT;
		size_t skip = (size_t)(at - begin), more = n - skip;
		struct spool_unit u = { r->key, r->slot, at / SPOOL_UNIT, is_last };

		if (spool_file_read_all(r->file, r->fd, scratch, n + SPOOL_CIPHER_MORE,
					spool_unit_at(u.index)) < 0 ||
		    !spool_unit_open(&u, scratch, n))
			break;
		if (more > r->length - got)
			more = r->length - got;
		memcpy(r->to + got, scratch + SPOOL_CIPHER_FRONT + skip, more);
		got += more;
	}
	return got;
}

size_t spool_range_read(const struct spool_range *r)
{
	char *scratch;
	size_t got;

	if (r->offset > r->slot_length || r->length > r->slot_length - r->offset)
		return 0;
	if (!r->key)
		return spool_file_read_most(r->file, r->fd, r->to, r->length, r->offset);
	scratch = malloc(SPOOL_UNIT_STORED);
	got = scratch ? open_range(r, scratch) : 0;
	free(scratch);
	return got;
}

static void read_work(struct spool_job *job)
{
	struct spool_read *r = container_of(job, struct spool_read, job);

	r->got = spool_range_read(&r->range);
}

static void read_done(struct spool_job *job)
{
	struct spool_read *r = container_of(job, struct spool_read, job);

	r->done(r, r->got == r->length);
}

enum step spool_read(struct spool *sp, struct spool_read *r)
{
	const struct spool_slot *slot = spool_slots_get(sp, r->handle->slot);
	struct spool_file *f = sp->file;
	ssize_t got = -1;

	assert(r->handle->phase >= SPOOL_PHASE_CLEAN && r->handle->slot != 0);
	r->range = (struct spool_range){ .file = f,
					 .fd = spool_slot_fd(slot),
					 .key = spool_slot_key(slot),
					 .slot = r->handle->slot,
					 .slot_length = spool_slot_length(slot),
					 .offset = r->offset,
					 .length = r->length,
					 .to = r->to };
	if (!r->range.key)
		got = f->read_now(f, r->range.fd, r->to, r->length, r->offset);
	if (got >= 0 && (size_t)got == r->length)
		return STEP_DONE;
	r->job.work = read_work;
	r->job.done = read_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &r->job);
	return STEP_MORE;
}
