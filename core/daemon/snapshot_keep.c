#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS */
#include "snapshot_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot.h"

#define PIECE (64 * 1024)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

/* copy - from its beginning, wherever others have read to; at most SNAPSHOT_MAX */
static int copy(int from, int to)
{
	static char piece[PIECE];
	size_t at = 0;
	ssize_t n;

	while ((n = pread(from, piece, sizeof piece, (off_t)at)) > 0) {
		if (at + (size_t)n > SNAPSHOT_MAX) {
			errno = EFBIG;
			return -1;
		}
		for (ssize_t done = 0, w; done < n; done += w)
			if ((w = write(to, piece + done, (size_t)(n - done))) < 0)
				return -1;
		at += (size_t)n;
	}
	return n < 0 ? -1 : 0;
}

int snapshot_keep(const char *dir, int snapshot, struct fault *why)
{
	int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1, rc = -1;

	if (at < 0)
		return fault_sys(why, "cannot open %s", dir);
	(void)unlinkat(at, SNAPSHOT_KEPT ".new", 0); /* of a writer that was killed */
	fd = openat(at, SNAPSHOT_KEPT ".new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || copy(snapshot, fd) < 0 || fsync(fd) < 0 ||
	    renameat(at, SNAPSHOT_KEPT ".new", at, SNAPSHOT_KEPT) < 0 || fsync(at) < 0)
		fault_sys(why, "cannot keep the rules in %s/%s", dir, SNAPSHOT_KEPT);
	else
		rc = 0;
	if (fd >= 0)
		close(fd);
	close(at);
	return rc;
}

int snapshot_kept(const char *dir, struct fault *why)
{
	char path[4096];
	int fd, memory = -1;

	if (snprintf(path, sizeof path, "%s/%s", dir, SNAPSHOT_KEPT) >= (int)sizeof path)
		return fault_set(why, "the path %s is too long", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fault_sys(why, "no last known good rules: %s", path);
	memory = memfd_create("moongate-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory < 0 || copy(fd, memory) < 0 || fcntl(memory, F_ADD_SEALS, SEALS) < 0) {
		fault_sys(why, "cannot read %s", path);
		if (memory >= 0)
			close(memory);
		memory = -1;
	}
	close(fd);
	return memory;
}
