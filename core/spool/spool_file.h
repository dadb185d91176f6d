/*
 * spool_file - the file operations of a spool, behind a small table.
 *
 * What        everything core/spool asks of a disk. Paths are relative to the spool's directory.
 * Why         an in-memory disk with a volatile and a durable image stands in for the real one in
 *             tests, and any call can be made to fail; no other file of this layer names a system
 *             call on files.
 * Invariants  calls on different descriptors may come from several threads at once; those on one
 *             descriptor too, as long as their byte ranges differ.
 * Ownership   spool_file_new/free: heap. Descriptors belong to whoever opened them.
 * Fails       -1 with errno, like the calls they stand for.
 */
#ifndef SPOOL_FILE_H
#define SPOOL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "fault.h"

/* MAKE: write, created if missing */
enum spool_file_mode { SPOOL_FILE_READ, SPOOL_FILE_WRITE, SPOOL_FILE_MAKE };

struct spool_space {
	uint64_t bytes, inodes; /* still free for us */
};

typedef void spool_file_each(void *arg, const char *name);

struct spool_file {
	int (*open)(struct spool_file *f, const char *path, enum spool_file_mode mode);
	int (*close)(struct spool_file *f, int fd);
	int64_t (*size)(struct spool_file *f, int fd);
	ssize_t (*read)(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset);
	/* Only what needs no wait: -1 and EAGAIN otherwise. */
	ssize_t (*read_now)(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset);
	ssize_t (*write)(struct spool_file *f, int fd, const struct iovec *v, int n,
			 uint64_t offset);
	/* fdatasync */
	int (*sync)(struct spool_file *f, int fd);
	/* a hint; size stays */
	int (*reserve)(struct spool_file *f, int fd, uint64_t offset, uint64_t n);
	int (*truncate)(struct spool_file *f, int fd, uint64_t size);
	/* begin writing out; a hint */
	int (*push)(struct spool_file *f, int fd, uint64_t offset, uint64_t n);
	/* drop what the page cache holds */
	int (*forget)(struct spool_file *f, int fd);
	/* exclusive, or EWOULDBLOCK */
	int (*lock)(struct spool_file *f, int fd);
	int (*mkdir)(struct spool_file *f, const char *path);
	/* "." is the spool itself */
	int (*sync_dir)(struct spool_file *f, const char *path);
	int (*list)(struct spool_file *f, const char *path, spool_file_each *each, void *arg);
	int (*space)(struct spool_file *f, struct spool_space *space);
};

/* The real one. `make`: the directory is created if missing, its parent must exist. */
struct spool_file *spool_file_new(const char *dir, bool make, struct fault *why);
void spool_file_free(struct spool_file **f);

/* of one read or write; then it has failed: a thread of the spool does not spin */
#define SPOOL_FILE_INTERRUPTS 100

/* spool_file_read_all - n bytes or -1; the end of the file before that is EIO */
int spool_file_read_all(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset);
/* spool_file_read_most - as much of n bytes as there is: a record near the end of its file is
 * shorter than what is asked for */
size_t spool_file_read_most(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset);
/* spool_file_write_all - goes on after a short write; for bytes whose write may be repeated */
int spool_file_write_all(struct spool_file *f, int fd, const void *from, size_t n, uint64_t offset);

#endif
