#include "memory_disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

enum { FD_BASE = 1000, FDS = 512 };

static struct {
	struct memory_file *file;
	bool is_used;
	/* one disk at a time has open files; descriptors of a disk that lost power are closed by the spool
 * all the same */
} fds[FDS];

static struct memory_disk *disk_of(struct spool_file *f)
{
	return container_of(f, struct memory_disk, file);
}

static bool is_next_short; /* the call under way does half of it */

/* enter - every call comes through here: 0, or -1 with errno when it must fail */
static int enter(struct memory_disk *d, bool is_sync)
{
	unsigned n;

	d->calls++;
	d->syncs += is_sync;
	if (d->off_at && d->calls >= d->off_at)
		d->is_off = true;
	if (d->is_off) {
		errno = EIO;
		return -1;
	}
	is_next_short = false;
	if (d->fail_at == 0 || (d->fails_syncs_only && !is_sync))
		return 0;
	n = d->fails_syncs_only ? d->syncs : d->calls;
	is_next_short = n == d->fail_at || (d->fails_for_ever && n > d->fail_at);
	if (!is_next_short || d->fails_short)
		return 0;
	errno = d->fail_errno;
	return -1;
}

static size_t shorten(const struct memory_disk *d, size_t n)
{
	return d->fails_short && is_next_short ? (n + 1) / 2 : n;
}

static struct memory_file *file_of(int fd)
{
	assert(fd >= FD_BASE && fd < FD_BASE + FDS && fds[fd - FD_BASE].is_used);
	return fds[fd - FD_BASE].file;
}

static size_t sectors(size_t n)
{
	return (n + MEMORY_SECTOR - 1) / MEMORY_SECTOR;
}

/* The images of a file are one block, kept for the next file of that size: a test lives thousands
 * of disks. */
enum { SHELVES = 40, SHELF = 16 };

static struct {
	uint8_t *blocks[SHELF];
	unsigned count;
} shelves[SHELVES];

static unsigned shelf_of(size_t cap)
{
	return (unsigned)__builtin_ctzll(cap);
}

static void give_block(struct memory_file *m)
{
	unsigned shelf;

	if (m->cap == 0)
		return;
	shelf = shelf_of(m->cap);
	if (shelves[shelf].count < SHELF)
		shelves[shelf].blocks[shelves[shelf].count++] = m->now;
	else
		free(m->now);
	m->now = m->disk = m->dirty = NULL;
	m->cap = 0;
}

static void take_block(struct memory_file *m, size_t cap)
{
	unsigned shelf = shelf_of(cap);
	size_t size = 2 * cap + sectors(cap);
	uint8_t *block =
		shelves[shelf].count ? shelves[shelf].blocks[--shelves[shelf].count] : malloc(size);

	memset(block, 0, size);
	m->now = block;
	m->disk = block + cap;
	m->dirty = block + 2 * cap;
	m->cap = cap;
}

static void copy_block(struct memory_file *to, const struct memory_file *from)
{
	memcpy(to->now, from->now, from->cap);
	memcpy(to->disk, from->disk, from->cap);
	memcpy(to->dirty, from->dirty, sectors(from->cap));
}

static void reserve(struct memory_file *m, size_t n)
{
	struct memory_file old = *m;
	size_t cap = m->cap ? m->cap : 4096;

	if (n <= m->cap)
		return;
	while (cap < n)
		cap *= 2;
	take_block(m, cap);
	if (old.cap == 0)
		return;
	copy_block(m, &old);
	give_block(&old);
}

struct memory_file *memory_disk_find(struct memory_disk *d, const char *name)
{
	for (unsigned i = 0; i < d->nfiles; i++)
		if (d->files[i].is_linked && strcmp(d->files[i].name, name) == 0)
			return &d->files[i];
	return NULL;
}

static struct memory_file *make(struct memory_disk *d, const char *name)
{
	struct memory_file *m = NULL;

	for (unsigned i = 0; i < d->nfiles && !m; i++)
		if (!d->files[i].is_linked && strcmp(d->files[i].name, name) == 0)
			m = &d->files[i];
	if (!m) {
		assert(d->nfiles < MEMORY_FILES && strlen(name) < sizeof m->name);
		m = &d->files[d->nfiles++];
		strcpy(m->name, name);
	}
	m->is_linked = true;
	return m;
}

static int do_open(struct spool_file *f, const char *path, enum spool_file_mode mode)
{
	struct memory_disk *d = disk_of(f);
	struct memory_file *m;
	int fd = 0;

	if (enter(d, false) < 0)
		return -1;
	m = memory_disk_find(d, path);
	if (!m && mode != SPOOL_FILE_MAKE) {
		errno = ENOENT;
		return -1;
	}
	while (fds[fd].is_used)
		fd++;
	assert(fd < FDS);
	fds[fd].is_used = true;
	fds[fd].file = m ? m : make(d, path);
	d->fds++;
	return FD_BASE + fd;
}

static int do_close(struct spool_file *f, int fd)
{
	file_of(fd);
	fds[fd - FD_BASE].is_used = false;
	disk_of(f)->fds--;
	return 0;
}

static int64_t do_size(struct spool_file *f, int fd)
{
	if (enter(disk_of(f), false) < 0)
		return -1;
	return (int64_t)file_of(fd)->size;
}

static ssize_t do_read(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset)
{
	struct memory_file *m = file_of(fd);

	if (enter(disk_of(f), false) < 0)
		return -1;
	if (offset >= m->size)
		return 0;
	if (n > m->size - offset)
		n = m->size - offset;
	n = shorten(disk_of(f), n);
	memcpy(to, m->now + offset, n);
	return (ssize_t)n;
}

static ssize_t do_read_now(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset)
{
	if (disk_of(f)->is_cold) {
		errno = EAGAIN;
		return -1;
	}
	return do_read(f, fd, to, n, offset);
}

static void put(struct memory_file *m, const void *from, size_t n, uint64_t offset)
{
	reserve(m, offset + n);
	memcpy(m->now + offset, from, n);
	if (offset + n > m->size)
		m->size = offset + n;
	/* a sector that says what the disk says is neither kept nor lost by a crash */
	for (size_t i = offset / MEMORY_SECTOR; i < sectors(offset + n); i++)
		m->dirty[i] |= memcmp(m->now + i * MEMORY_SECTOR, m->disk + i * MEMORY_SECTOR,
				      MEMORY_SECTOR) != 0;
}

static ssize_t do_write(struct spool_file *f, int fd, const struct iovec *v, int n, uint64_t offset)
{
	struct memory_disk *d = disk_of(f);
	struct memory_file *m = file_of(fd);
	size_t total = 0;

	if (enter(d, false) < 0)
		return -1;
	for (int i = 0; i < n; i++)
		total += v[i].iov_len;
	total = shorten(d, total);
	if (offset + total > m->size) {
		uint64_t more = offset + total - m->size;

		if (more > d->space) {
			errno = ENOSPC;
			return -1;
		}
		d->space -= more;
	}
	for (size_t left = total; left > 0; v++) {
		size_t part = v->iov_len < left ? v->iov_len : left;

		if (part > 0)
			put(m, v->iov_base, part, offset);
		offset += part;
		left -= part;
	}
	return (ssize_t)total;
}

static void write_out(struct memory_file *m)
{
	for (size_t i = 0; i < sectors(m->size); i++)
		if (m->dirty[i])
			memcpy(m->disk + i * MEMORY_SECTOR, m->now + i * MEMORY_SECTOR,
			       MEMORY_SECTOR);
	m->disk_size = m->size;
}

static int do_sync(struct spool_file *f, int fd)
{
	struct memory_disk *d = disk_of(f);
	struct memory_file *m = file_of(fd);
	int rc = enter(d, true);

	if (rc == 0 || (d->failed_sync_keeps && !d->is_off))
		write_out(m);
	if (m->cap && !d->is_off)
		/* as Linux does, also when it failed: the pages are clean now, and never written */
		memset(m->dirty, 0, sectors(m->cap));
	return rc;
}

static int do_reserve(struct spool_file *f, int fd, uint64_t offset, uint64_t n)
{
	struct memory_disk *d = disk_of(f);
	struct memory_file *m = file_of(fd);

	if (enter(d, false) < 0)
		return -1;
	reserve(m, offset + n);
	if (offset + n > m->size && offset + n - m->size > d->space) {
		errno = ENOSPC;
		return -1;
	}
	return 0;
}

static int do_truncate(struct spool_file *f, int fd, uint64_t size)
{
	struct memory_disk *d = disk_of(f);
	struct memory_file *m = file_of(fd);

	if (enter(d, false) < 0)
		return -1;
	assert(size == 0);
	d->space += m->size;
	if (m->cap) {
		memset(m->now, 0, m->size);
		memset(m->dirty, 0, sectors(m->cap));
	}
	m->size = 0;
	return 0;
}

static int do_push(struct spool_file *f, int fd, uint64_t offset, uint64_t n)
{
	(void)fd, (void)offset, (void)n;
	return enter(disk_of(f), false);
}

static int do_forget(struct spool_file *f, int fd)
{
	struct memory_file *m = file_of(fd);

	if (enter(disk_of(f), false) < 0)
		return -1;
	for (size_t i = 0; i < sectors(m->size); i++)
		if (!m->dirty[i])
			memcpy(m->now + i * MEMORY_SECTOR, m->disk + i * MEMORY_SECTOR,
			       MEMORY_SECTOR);
	return 0;
}

static int do_lock(struct spool_file *f, int fd)
{
	(void)fd;
	return enter(disk_of(f), false);
}

static int do_mkdir(struct spool_file *f, const char *path)
{
	(void)path;
	return enter(disk_of(f), false);
}

static bool is_in(const struct memory_file *m, const char *folder)
{
	size_t n = strlen(folder);

	if (strcmp(folder, ".") == 0)
		return strchr(m->name, '/') == NULL;
	return strncmp(m->name, folder, n) == 0 && m->name[n] == '/' &&
	       strchr(m->name + n + 1, '/') == NULL;
}

static int do_sync_dir(struct spool_file *f, const char *path)
{
	struct memory_disk *d = disk_of(f);

	if (enter(d, true) < 0)
		return -1;
	for (unsigned i = 0; i < d->nfiles; i++)
		if (is_in(&d->files[i], path))
			d->files[i].is_durable = d->files[i].is_linked;
	return 0;
}

/* give_folder - of a file two levels down; given again for each file in it, which nobody minds */
static void give_folder(const struct memory_file *m, const char *path, spool_file_each *each,
			void *arg)
{
	size_t n = strlen(path), folder;
	char name[64];

	if (strncmp(m->name, path, n) != 0 || m->name[n] != '/')
		return;
	folder = strcspn(m->name + n + 1, "/");
	memcpy(name, m->name + n + 1, folder);
	name[folder] = 0;
	each(arg, name);
}

static int do_list(struct spool_file *f, const char *path, spool_file_each *each, void *arg)
{
	struct memory_disk *d = disk_of(f);

	if (enter(d, false) < 0)
		return -1;
	for (unsigned i = 0; i < d->nfiles; i++)
		if (d->files[i].is_linked && is_in(&d->files[i], path))
			each(arg, strrchr(d->files[i].name, '/') + 1);
		else if (d->files[i].is_linked)
			give_folder(&d->files[i], path, each, arg);
	return 0;
}

static int do_space(struct spool_file *f, struct spool_space *space)
{
	if (enter(disk_of(f), false) < 0)
		return -1;
	*space = (struct spool_space){ disk_of(f)->space, 1000 };
	return 0;
}

void memory_disk_init(struct memory_disk *d)
{
	*d = (struct memory_disk){
		.file = {
			.open = do_open,         .close = do_close,       .size = do_size,     .read = do_read,
			.read_now = do_read_now, .write = do_write,       .sync = do_sync,     .reserve = do_reserve,
			.truncate = do_truncate, .push = do_push,         .forget = do_forget, .lock = do_lock,
			.mkdir = do_mkdir,       .sync_dir = do_sync_dir, .list = do_list,     .space = do_space,
		},
		.space = UINT64_C(1) << 40,
	};
}

void memory_disk_fini(struct memory_disk *d)
{
	assert(d->fds == 0);
	for (unsigned i = 0; i < d->nfiles; i++)
		give_block(&d->files[i]);
	d->nfiles = 0;
}

void memory_disk_copy(struct memory_disk *to, const struct memory_disk *from)
{
	assert(to->fds == 0 && from->fds == 0);
	memory_disk_fini(to);
	*to = *from;
	for (unsigned i = 0; i < from->nfiles; i++) {
		const struct memory_file *m = &from->files[i];

		to->files[i].now = to->files[i].disk = to->files[i].dirty = NULL;
		to->files[i].cap = 0;
		if (m->cap == 0)
			continue;
		take_block(&to->files[i], m->cap);
		copy_block(&to->files[i], m);
	}
}

unsigned memory_disk_unsynced(const struct memory_disk *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->nfiles; i++) {
		const struct memory_file *m = &d->files[i];

		n += m->is_linked != m->is_durable;
		n += m->size != m->disk_size;
		for (size_t s = 0; s < sectors(m->size); s++)
			n += m->dirty[s];
	}
	return n;
}

static bool bit(uint64_t keep, unsigned i)
{
	if (i < 64)
		return keep >> i & 1;
	keep ^= (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15);
	keep ^= keep >> 31;
	keep *= UINT64_C(0xbf58476d1ce4e5b9);
	return keep >> 40 & 1;
}

static void crash_file(struct memory_file *m, uint64_t keep, unsigned *i)
{
	if (m->is_linked != m->is_durable)
		m->is_durable = m->is_linked = bit(keep, (*i)++) ? m->is_linked : m->is_durable;
	if (m->size != m->disk_size && bit(keep, (*i)++))
		m->disk_size = m->size;
	for (size_t s = 0; s < sectors(m->size); s++) {
		if (!m->dirty[s] || !bit(keep, (*i)++))
			continue;
		memcpy(m->disk + s * MEMORY_SECTOR, m->now + s * MEMORY_SECTOR, MEMORY_SECTOR);
	}
	m->size = m->is_linked ? m->disk_size : 0;
	m->disk_size = m->size;
	if (m->cap) {
		memset(m->disk + m->size, 0, m->cap - m->size);
		memcpy(m->now, m->disk, m->cap);
		memset(m->dirty, 0, sectors(m->cap));
	}
}

void memory_disk_crash(struct memory_disk *d, uint64_t keep)
{
	unsigned i = 0;

	assert(d->fds == 0);
	for (unsigned n = 0; n < d->nfiles; n++)
		crash_file(&d->files[n], keep, &i);
	d->is_off = false;
	d->off_at = d->fail_at = 0;
}

void memory_disk_burn(struct memory_disk *d)
{
	for (unsigned i = 0; i < d->nfiles; i++) {
		struct memory_file *m = &d->files[i];

		if (m->cap == 0)
			continue;
		memcpy(m->disk, m->now, m->cap);
		memset(m->dirty, 0, sectors(m->cap));
		m->disk_size = m->size;
	}
}

void memory_disk_set(struct memory_disk *d, const char *name, const void *bytes, size_t n)
{
	struct memory_file *m = memory_disk_find(d, name);

	if (!m)
		m = make(d, name);
	m->is_durable = true;
	reserve(m, n);
	memset(m->now, 0, m->cap);
	memcpy(m->now, bytes, n);
	memcpy(m->disk, m->now, m->cap);
	m->size = m->disk_size = n;
}
