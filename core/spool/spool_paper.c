#include "spool_paper.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "codec.h"
#include "spool_core.h"

#define HEAD      16
#define NAME_MOST 64

static void path_of(const struct spool_paper *p, uint64_t serial, char path[NAME_MOST])
{
	(void)snprintf(path, NAME_MOST, "%s.%u", p->name, (unsigned)(serial & 1));
}

/* ---- reading --------------------------------------------------------------------------------- */

/* check - false: not whole; a longer text that stood there before may show behind its end */
static bool check(struct str bytes, uint64_t *serial, struct str *text)
{
	struct wire w = { .rest = bytes };
	uint32_t crc = wire_get_u32(&w), length = wire_get_u32(&w);

	*serial = wire_get_u64(&w);
	if (w.bad || w.rest.n < length)
		return false;
	*text = str_head(w.rest, length);
	return crc == crc32c(0, bytes.p + 4, HEAD - 4 + (size_t)length);
}

static bool read_file(struct spool_file *f, const char *path, struct buf *to)
{
	int fd = f->open(f, path, SPOOL_FILE_READ);
	bool good = false;
	int64_t size;
	char *p;

	if (fd < 0)
		return false;
	size = f->size(f, fd);
	p = size >= HEAD && size <= SPOOL_PAPER + HEAD ? buf_space(to, (size_t)size) : NULL;
	if (p && spool_file_read_all(f, fd, p, (size_t)size, 0) == 0) {
		buf_wrote(to, (size_t)size);
		good = true;
	}
	(void)f->close(f, fd);
	return good;
}

void spool_paper_open(struct spool_paper *p, struct spool *sp, const char *name, struct buf *text)
{
	struct buf bytes;

	*p = (struct spool_paper){ .name = name, .spool = sp };
	buf_init(&p->wanted, SPOOL_PAPER + HEAD);
	buf_init(&p->writing, SPOOL_PAPER + HEAD);
	buf_init(&bytes, SPOOL_PAPER + HEAD);
	for (unsigned i = 0; i < 2; i++) {
		char path[NAME_MOST];
		uint64_t serial;
		struct str found;

		path_of(p, i, path);
		buf_reset(&bytes);
		if (!read_file(sp->file, path, &bytes) ||
		    !check(buf_str(&bytes), &serial, &found) || serial <= p->serial)
			continue;
		p->serial = serial;
		buf_reset(text);
		(void)buf_add(text, found);
	}
	buf_fini(&bytes);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void begin(struct spool_paper *p);

/* work - on a thread */
static void work(struct spool_job *job)
{
	struct spool_paper *p = container_of(job, struct spool_paper, job);
	struct spool_file *f = p->spool->file;
	struct str bytes = buf_str(&p->writing);
	char path[NAME_MOST];
	int fd;

	path_of(p, p->serial, path);
	p->error = 0;
	fd = f->open(f, path, SPOOL_FILE_MAKE);
	if (fd < 0 || spool_file_write_all(f, fd, bytes.p, bytes.n, 0) < 0 || f->sync(f, fd) < 0 ||
	    f->sync_dir(f, ".") < 0)
		p->error = errno ? errno : EIO;
	if (fd >= 0)
		(void)f->close(f, fd);
}

static void done(struct spool_job *job)
{
	struct spool_paper *p = container_of(job, struct spool_paper, job);
	const struct spool_owner *o = &p->spool->o.owner;
	struct fault why = { .sys = p->error };

	p->is_writing = false;
	if (p->error) {
		errno = p->error;
		(void)fault_sys(&why, "cannot write %s", p->name);
		if (o->failed)
			o->failed(o->arg, "it is forgotten with this process", &why);
	}
	if (p->is_wanted)
		begin(p);
}

static void begin(struct spool_paper *p)
{
	struct buf swap = p->writing;

	p->writing = p->wanted;
	p->wanted = swap;
	p->is_wanted = false;
	p->is_writing = true;
	p->serial++;
	for (unsigned i = 0; i < 8; i++) /* the serial is known only now */
		p->writing.p[p->writing.head + 8 + i] = (char)(p->serial >> 8 * i);
	for (unsigned i = 0; i < 4; i++)
		p->writing.p[p->writing.head + i] =
			(char)(crc32c(0, p->writing.p + p->writing.head + 4,
				      buf_len(&p->writing) - 4) >>
			       8 * i);
	p->job = (struct spool_job){ .work = work, .done = done };
	spool_pool_put(&p->spool->pool, SPOOL_LANE_FILES, &p->job);
}

void spool_paper_put(struct spool_paper *p, struct str text)
{
	bool fits;

	assert(text.n <= SPOOL_PAPER);
	buf_reset(&p->wanted);
	fits = wire_u32(&p->wanted, 0) && wire_u32(&p->wanted, (uint32_t)text.n) &&
	       wire_u64(&p->wanted, 0) && buf_add(&p->wanted, text);
	assert(fits);
	p->is_wanted = true;
	if (!p->is_writing)
		begin(p);
}

void spool_paper_fini(struct spool_paper *p)
{
	buf_fini(&p->wanted);
	buf_fini(&p->writing);
}
