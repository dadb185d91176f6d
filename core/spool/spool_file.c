#define _GNU_SOURCE /* preadv2, fallocate, sync_file_range */
#include "spool_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "step.h"

struct file_system {
	struct spool_file file;
	int dir;
};

static int dir_of(struct spool_file *f)
{
	return container_of(f, struct file_system, file)->dir;
}

static int do_open(struct spool_file *f, const char *path, enum spool_file_mode mode)
{
	static const int flags[] = { [SPOOL_FILE_READ] = O_RDONLY,
				     [SPOOL_FILE_WRITE] = O_RDWR,
				     [SPOOL_FILE_MAKE] = O_RDWR | O_CREAT };

	return openat(dir_of(f), path, flags[mode] | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int do_close(struct spool_file *f, int fd)
{
	(void)f;
	return close(fd);
}

static int64_t do_size(struct spool_file *f, int fd)
{
	struct stat st;

	(void)f;
	if (fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	return st.st_size;
}

static ssize_t do_read(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset)
{
	(void)f;
	return pread(fd, to, n, (off_t)offset);
}

static ssize_t do_read_now(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset)
{
	struct iovec v = { to, n };
	ssize_t got = preadv2(fd, &v, 1, (off_t)offset, RWF_NOWAIT);

	(void)f;
	if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
		errno = EAGAIN; /* this file system cannot tell: a thread will wait instead */
	return got;
}

static ssize_t do_write(struct spool_file *f, int fd, const struct iovec *v, int n, uint64_t offset)
{
	(void)f;
	return pwritev(fd, v, n, (off_t)offset);
}

static int do_sync(struct spool_file *f, int fd)
{
	(void)f;
	return fdatasync(fd);
}

static int do_reserve(struct spool_file *f, int fd, uint64_t offset, uint64_t n)
{
	(void)f;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)n) == 0)
		return 0;
	/* not supported: nothing lost but a hint */
	return errno == ENOSPC || errno == EDQUOT ? -1 : 0;
}

static int do_truncate(struct spool_file *f, int fd, uint64_t size)
{
	(void)f;
	return ftruncate(fd, (off_t)size);
}

static int do_push(struct spool_file *f, int fd, uint64_t offset, uint64_t n)
{
	(void)f;
	return sync_file_range(fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

static int do_forget(struct spool_file *f, int fd)
{
	int rc = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);

	(void)f;
	errno = rc;
	return rc ? -1 : 0;
}

static int do_lock(struct spool_file *f, int fd)
{
	(void)f;
	return flock(fd, LOCK_EX | LOCK_NB);
}

static int do_mkdir(struct spool_file *f, const char *path)
{
	if (mkdirat(dir_of(f), path, 0700) == 0 || errno == EEXIST)
		return 0;
	return -1;
}

static int do_sync_dir(struct spool_file *f, const char *path)
{
	int fd = openat(dir_of(f), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc, saved;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

static int do_list(struct spool_file *f, const char *path, spool_file_each *each, void *arg)
{
	int fd = openat(dir_of(f), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return -1;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -1;
	}
	errno = 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			each(arg, entry->d_name);
	if (errno) {
		int saved = errno;

		closedir(dir);
		errno = saved;
		return -1;
	}
	closedir(dir);
	return 0;
}

static int do_space(struct spool_file *f, struct spool_space *space)
{
	struct statvfs st;

	if (fstatvfs(dir_of(f), &st) < 0)
		return -1;
	space->bytes = (uint64_t)st.f_bavail * st.f_frsize;
	space->inodes = st.f_files ? st.f_favail : UINT64_MAX; /* btrfs and others have no count */
	return 0;
}

static const struct spool_file operations = {
	.open = do_open,
	.close = do_close,
	.size = do_size,
	.read = do_read,
	.read_now = do_read_now,
	.write = do_write,
	.sync = do_sync,
	.reserve = do_reserve,
	.truncate = do_truncate,
	.push = do_push,
	.forget = do_forget,
	.lock = do_lock,
	.mkdir = do_mkdir,
	.sync_dir = do_sync_dir,
	.list = do_list,
	.space = do_space,
};

struct spool_file *spool_file_new(const char *dir, bool make, struct fault *why)
{
	struct file_system *system;
	int fd;

	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST) {
		fault_sys(why, "making the spool directory %s", dir);
		return NULL;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		fault_sys(why, "opening the spool directory %s", dir);
		return NULL;
	}
	system = calloc(1, sizeof *system);
	if (!system) {
		fault_set(why, "out of memory");
		close(fd);
		return NULL;
	}
	system->file = operations;
	system->dir = fd;
	return &system->file;
}

void spool_file_free(struct spool_file **f)
{
	if (!*f)
		return;
	close(dir_of(*f));
	free(container_of(*f, struct file_system, file));
	*f = NULL;
}

static bool is_interrupted(unsigned *times)
{
	return errno == EINTR && (*times)++ < SPOOL_FILE_INTERRUPTS;
}

int spool_file_read_all(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset)
{
	unsigned interrupts = 0;
	char *p = to;

	while (n > 0) {
		ssize_t got = f->read(f, fd, p, n, offset);

		if (got < 0 && is_interrupted(&interrupts))
			continue;
		if (got == 0)
			errno = EIO;
		if (got <= 0)
			return -1;
		p += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

size_t spool_file_read_most(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset)
{
	unsigned interrupts = 0;
	size_t got = 0;

	while (got < n) {
		ssize_t more = f->read(f, fd, (char *)to + got, n - got, offset + got);

		if (more < 0 && is_interrupted(&interrupts))
			continue;
		if (more <= 0)
			break;
		got += (size_t)more;
	}
	return got;
}

int spool_file_write_all(struct spool_file *f, int fd, const void *from, size_t n, uint64_t offset)
{
	unsigned interrupts = 0;
	const char *p = from;

	while (n > 0) {
		struct iovec v = { (void *)(uintptr_t)p, n };
		ssize_t put = f->write(f, fd, &v, 1, offset);

		if (put < 0 && is_interrupted(&interrupts))
			continue;
		if (put == 0)
			errno = ENOSPC;
		if (put <= 0)
			return -1;
		p += put;
		offset += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}
