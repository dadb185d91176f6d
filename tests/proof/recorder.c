/* recorder IMAGE LOG MOUNTPOINT: a disk that remembers what was written to it, and when it was told to
 * keep it.
 *
 * A FUSE file system with two files: `disk`, backed by IMAGE, for a loop device; and `told`, where
 * whoever works on that disk writes what he believes to be durable. Every write, flush and word goes
 * to LOG in the order in which it came, for power.py to cut wherever it likes:
 *
 *   record    kind 1 (W F T), zero 3, length 4, offset 8; then the bytes
 *
 * One thread: what is answered before a flush came is kept by that flush. */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int image, log_fd;

static int is_disk(const char *path)
{
	return strcmp(path, "/disk") == 0;
}

static int record(char kind, const void *bytes, size_t n, off_t offset)
{
	struct {
		char kind, zero[3];
		uint32_t length;
		uint64_t offset;
	} head = { kind, { 0 }, (uint32_t)n, (uint64_t)offset };

	if (write(log_fd, &head, sizeof head) != sizeof head ||
	    (n > 0 && write(log_fd, bytes, n) != (ssize_t)n))
		return -EIO;
	return 0;
}

static int do_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	struct stat of_image;

	(void)fi;
	memset(st, 0, sizeof *st);
	st->st_nlink = 1;
	st->st_mode = strcmp(path, "/") == 0 ? S_IFDIR | 0755 : S_IFREG | 0600;
	if (is_disk(path) && fstat(image, &of_image) == 0)
		st->st_size = of_image.st_size;
	return strcmp(path, "/") == 0 || is_disk(path) || strcmp(path, "/told") == 0 ? 0 : -ENOENT;
}

static int do_open(const char *path, struct fuse_file_info *fi)
{
	fi->direct_io = !is_disk(path);
	return 0;
}

static int do_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	(void)size, (void)fi;
	return is_disk(path) ? -EPERM : 0;
}

static int do_read(const char *path, char *to, size_t n, off_t offset, struct fuse_file_info *fi)
{
	ssize_t got = is_disk(path) ? pread(image, to, n, offset) : 0;

	(void)fi;
	return got < 0 ? -errno : (int)got;
}

static int do_write(const char *path, const char *from, size_t n, off_t offset,
		    struct fuse_file_info *fi)
{
	(void)fi;
	if (is_disk(path) && pwrite(image, from, n, offset) != (ssize_t)n)
		return -EIO;
	return record(is_disk(path) ? 'W' : 'T', from, n, offset) < 0 ? -EIO : (int)n;
}

static int do_fsync(const char *path, int is_data, struct fuse_file_info *fi)
{
	(void)is_data, (void)fi;
	return is_disk(path) ? record('F', NULL, 0, 0) : 0;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations operations = {
		.getattr = do_getattr,
		.open = do_open,
		.truncate = do_truncate,
		.read = do_read,
		.write = do_write,
		.fsync = do_fsync,
	};
	char *options[] = { argv[0], argv[3], "-f", "-s", NULL };

	if (argc != 4) {
		fprintf(stderr, "usage: recorder IMAGE LOG MOUNTPOINT\n");
		return 64;
	}
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	log_fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (image < 0 || log_fd < 0) {
		perror("recorder");
		return 66;
	}
	return fuse_main(4, options, &operations, NULL);
}
