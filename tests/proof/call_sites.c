#include "call_sites.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kept_pages.h"
#include "step.h"

enum { SITES = 512 };

struct heap_faults heap;

static struct site {
	const void *at;
	bool is_heap, has_failed;
} sites[SITES];
static unsigned nsites;

static void note(const void *at, bool is_heap, bool fails)
{
	unsigned i = 0;

	while (i < nsites && sites[i].at != at)
		i++;
	assert(i < SITES);
	if (i == nsites)
		sites[nsites++] = (struct site){ .at = at, .is_heap = is_heap };
	sites[i].has_failed |= fails;
}

/* The disk */

static struct spool_file under; /* the same functions for every memory disk */

static void note_disk(struct spool_file *f, const void *at)
{
	const struct memory_disk *d = container_of(f, struct memory_disk, file);
	unsigned n = d->calls + 1;

	note(at, false,
	     !d->fails_syncs_only && d->fail_at &&
		     (n == d->fail_at || (n > d->fail_at && d->fails_for_ever)));
}

#define HERE __builtin_return_address(0)

static int at_open(struct spool_file *f, const char *path, enum spool_file_mode mode)
{
	note_disk(f, HERE);
	return under.open(f, path, mode);
}

static int64_t at_size(struct spool_file *f, int fd)
{
	note_disk(f, HERE);
	return under.size(f, fd);
}

static ssize_t at_read(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset)
{
	note_disk(f, HERE);
	return under.read(f, fd, to, n, offset);
}

static ssize_t at_read_now(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset)
{
	note_disk(f, HERE);
	return under.read_now(f, fd, to, n, offset);
}

static ssize_t at_write(struct spool_file *f, int fd, const struct iovec *v, int n, uint64_t offset)
{
	note_disk(f, HERE);
	return under.write(f, fd, v, n, offset);
}

static int at_sync(struct spool_file *f, int fd)
{
	note_disk(f, HERE);
	return under.sync(f, fd);
}

static int at_reserve(struct spool_file *f, int fd, uint64_t offset, uint64_t n)
{
	note_disk(f, HERE);
	return under.reserve(f, fd, offset, n);
}

static int at_truncate(struct spool_file *f, int fd, uint64_t size)
{
	note_disk(f, HERE);
	return under.truncate(f, fd, size);
}

static int at_push(struct spool_file *f, int fd, uint64_t offset, uint64_t n)
{
	note_disk(f, HERE);
	return under.push(f, fd, offset, n);
}

static int at_forget(struct spool_file *f, int fd)
{
	note_disk(f, HERE);
	return under.forget(f, fd);
}

static int at_lock(struct spool_file *f, int fd)
{
	note_disk(f, HERE);
	return under.lock(f, fd);
}

static int at_mkdir(struct spool_file *f, const char *path)
{
	note_disk(f, HERE);
	return under.mkdir(f, path);
}

static int at_sync_dir(struct spool_file *f, const char *path)
{
	note_disk(f, HERE);
	return under.sync_dir(f, path);
}

static int at_list(struct spool_file *f, const char *path, spool_file_each *each, void *arg)
{
	note_disk(f, HERE);
	return under.list(f, path, each, arg);
}

static int at_space(struct spool_file *f, struct spool_space *space)
{
	note_disk(f, HERE);
	return under.space(f, space);
}

/* The heap: this program itself calls the real functions (tests/CMakeLists.txt), the layers under
 * test come here */

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool heap_fails(const void *at)
{
	bool fails = ++heap.calls == heap.fail_at ||
		     (heap.fail_at && heap.fails_for_ever && heap.calls > heap.fail_at);

	note(at, true, fails);
	if (fails)
		errno = ENOMEM;
	return fails;
}

void *__wrap_malloc(size_t n)
{
	return heap_fails(HERE) ? NULL : malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return heap_fails(HERE) ? NULL : calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return heap_fails(HERE) ? NULL : realloc(p, n);
}

/* Both */

void call_sites_disk(struct memory_disk *d)
{
	if (d->file.open == at_open)
		return; /* a copy of one that is watched */
	kept_pages_fail = heap_fails;
	under = d->file;
	d->file.open = at_open;
	d->file.size = at_size;
	d->file.read = at_read;
	d->file.read_now = at_read_now;
	d->file.write = at_write;
	d->file.sync = at_sync;
	d->file.reserve = at_reserve;
	d->file.truncate = at_truncate;
	d->file.push = at_push;
	d->file.forget = at_forget;
	d->file.lock = at_lock;
	d->file.mkdir = at_mkdir;
	d->file.sync_dir = at_sync_dir;
	d->file.list = at_list;
	d->file.space = at_space;
}

extern const char __executable_start[];

void call_sites_list(const char *path)
{
	FILE *f = fopen(path, "w");

	assert(f);
	for (unsigned i = 0; i < nsites; i++)
		fprintf(f, "%s %#zx %s\n", sites[i].is_heap ? "heap" : "disk",
			(size_t)((const char *)sites[i].at - __executable_start),
			sites[i].has_failed ? "failed" : "never");
	fclose(f);
}
