/*
 * maildir_write - one file into a Maildir, so that it is there whole and lasting, or not at all.
 *
 * What        begin makes tmp/NAME, data fills it, end syncs it, links it to new/NAME and syncs
 *             the directory. Directories that are missing are made. The bytes are written as they
 *             come, CRLF line ends included.
 * Why         the deliver process has no file system; the helper that runs this has nothing else.
 * Invariants  every component is opened relative to a configured root and without following a
 *             symbolic link: no path and no link inside leads out. A name that is in new already
 *             ends as done: the same message, delivered once more after its result was lost, does
 *             not appear twice.
 * Ownership   a maildir_write embedded by value holds three descriptors from begin to end or
 *             abort. Roots: init/fini.
 * Fails       -1 and `why` with errno in why->sys; the file is aborted then.
 * Bounds      MAILDIR_ROOTS roots, MAILDIR_DEPTH directories below one.
 */
#ifndef MAILDIR_WRITE_H
#define MAILDIR_WRITE_H

#include <stdbool.h>
#include <sys/types.h>

#include "fault.h"
#include "str.h"

#define MAILDIR_ROOTS 64
#define MAILDIR_PATH  1024
#define MAILDIR_DEPTH 32
#define MAILDIR_NAME  192 /* of a file; the tmp name is a little longer */

/* The system calls that a full disk or a broken one can make fail. */
struct maildir_disk {
	ssize_t (*write)(int fd, const void *bytes, size_t n);
	int (*fsync)(int fd);
	int (*linkat)(int from, const char *name, int to, const char *as, int flags);
	int (*mkdirat)(int fd, const char *name, mode_t mode);
};

extern const struct maildir_disk maildir_disk_real;

struct maildir_roots {
	const struct maildir_disk *disk;
	unsigned n;
	struct {
		char path[MAILDIR_PATH];
		size_t length;
		int fd; /* -1: it was not there yet */
	} root[MAILDIR_ROOTS];
};

void maildir_roots_init(struct maildir_roots *r, const struct maildir_disk *disk);
/*
 * An absolute path; its last directory is made when it is missing. -1: it cannot be a root, or
 * there are too many. A root that cannot be opened now is kept: it is tried again with each file
 * for it. Adding one twice does nothing.
 */
int maildir_roots_add(struct maildir_roots *r, struct str path, struct fault *why);
void maildir_roots_fini(struct maildir_roots *r);

enum maildir_phase { MAILDIR_CLOSED, MAILDIR_OPEN };

struct maildir_write {
	const struct maildir_disk *disk;
	enum maildir_phase phase;
	int file, tmp, fresh; /* the file; the directories tmp and new */
	bool was_there;       /* end found the name in new */
	char name[MAILDIR_NAME], tmp_name[MAILDIR_NAME + 32];
};

/* `unique` names the file in new: no '/', not beginning with '.'. */
int maildir_write_begin(struct maildir_write *w, struct maildir_roots *roots, struct str mailbox,
			struct str unique, struct fault *why);
int maildir_write_data(struct maildir_write *w, struct str bytes, struct fault *why);
int maildir_write_end(struct maildir_write *w, struct fault *why);
void maildir_write_abort(struct maildir_write *w); /* idempotent */

#endif
