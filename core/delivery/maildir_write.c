/*
 *            begin()          data()*            end()
 *   CLOSED ----------> OPEN ----------> OPEN ----------> CLOSED       new/NAME lasts
 *                        |                |                 |
 *                        +---- a fault, abort() ------------+-------> CLOSED       tmp/NAME is gone
 */
#include "maildir_write.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define MODE_DIRECTORY 0700
#define MODE_FILE      0600

const struct maildir_disk maildir_disk_real = {
	.write = write, .fsync = fsync, .linkat = linkat, .mkdirat = mkdirat
};

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- roots */

void maildir_roots_init(struct maildir_roots *r, const struct maildir_disk *disk)
{
	r->disk = disk;
	r->n = 0;
}

static int root_open(struct maildir_roots *r, unsigned i, struct fault *why)
{
	const char *path = r->root[i].path;
	int *fd = &r->root[i].fd;

	if (*fd >= 0)
		return 0;
	if (r->disk->mkdirat(AT_FDCWD, path, MODE_DIRECTORY) < 0 && errno != EEXIST)
		return fault_sys(why, "%s: cannot make the directory", path);
	*fd = open(path, O_RDONLY | O_DIRECTORY |
				 O_CLOEXEC); /* the operator's own path: links are his to follow */
	return *fd < 0 ? fault_sys(why, "%s: cannot open the directory", path) : 0;
}

int maildir_roots_add(struct maildir_roots *r, struct str path, struct fault *why)
{
	unsigned i = r->n;

	if (path.n < 2 || path.n >= MAILDIR_PATH || path.p[0] != '/' || str_find(path, '\0') >= 0)
		return fault_set(why,
				 "\"%.*s\" cannot hold mailboxes: an absolute path other than "
				 "\"/\" is needed",
				 STR_ARG(str_head(path, 200)));
	for (unsigned k = 0; k < r->n; k++)
		if (str_eq((struct str){ r->root[k].path, r->root[k].length }, path))
			return 0;
	if (i == MAILDIR_ROOTS)
		return fault_set(why, "more than %d directories that hold mailboxes",
				 MAILDIR_ROOTS);
	r->root[i].length = str_copy(r->root[i].path, sizeof r->root[i].path, path);
	r->root[i].fd = -1;
	r->n++;
	(void)root_open(r, i, NULL);
	return 0;
}

void maildir_roots_fini(struct maildir_roots *r)
{
	for (unsigned i = 0; i < r->n; i++)
		shut(&r->root[i].fd);
	r->n = 0;
}

/* root_of - the longest root that the path is, or is below; *rest is what remains */
static int root_of(struct maildir_roots *r, struct str path, struct str *rest, struct fault *why)
{
	unsigned best = MAILDIR_ROOTS;

	for (unsigned i = 0; i < r->n; i++) {
		struct str root = { r->root[i].path, r->root[i].length };
		bool is_below =
			str_has_prefix(path, root) && (path.n == root.n || path.p[root.n] == '/');

		if (is_below && (best == MAILDIR_ROOTS || root.n > r->root[best].length))
			best = i;
	}
	if (best == MAILDIR_ROOTS)
		return fault_set(
			why, "%.*s is not below a directory of a maildir: next hop in the settings",
			STR_ARG(str_head(path, 300)));
	*rest = str_drop(path, r->root[best].length);
	if (root_open(r, best, why) < 0)
		return -1;
	return r->root[best].fd;
}

/* ---- directories */

/* descend - open one directory below another, made if need be: -1 and why. `at` stays open. */
static int descend(const struct maildir_disk *disk, int at, const char *name, struct fault *why)
{
	int fd = openat(at, name, OPEN_DIRECTORY);

	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return fault_sys(why, "%s: cannot open the directory", name);
	if (disk->mkdirat(at, name, MODE_DIRECTORY) < 0 && errno != EEXIST)
		return fault_sys(why, "%s: cannot make the directory", name);
	if (disk->fsync(at) < 0) /* or a power cut takes it away with the mail in it */
		return fault_sys(why, "%s: cannot sync its directory", name);
	fd = openat(at, name, OPEN_DIRECTORY);
	return fd < 0 ? fault_sys(why, "%s: cannot open the directory", name) : fd;
}

static bool name_take(struct str *path, char name[NAME_MAX + 1], struct fault *why)
{
	struct str part;

	if (!str_take(path, '/', &part)) {
		part = *path;
		*path = STR_NONE;
	}
	if (part.n > NAME_MAX || str_eq(part, STR(".")) || str_eq(part, STR("..")) ||
	    str_find(part, '\0') >= 0) {
		(void)fault_set(why, "\"%.*s\" cannot be a directory of a mailbox",
				STR_ARG(str_head(part, 80)));
		return false;
	}
	str_copy(name, NAME_MAX + 1, part);
	return true;
}

/* mailbox_open - walk from the root, one name at a time */
static int mailbox_open(struct maildir_roots *roots, struct str path, struct fault *why)
{
	char name[NAME_MAX + 1] = "";
	struct str rest;
	unsigned depth = 0;
	int root = root_of(roots, path, &rest, why), at, next;

	if (root < 0)
		return -1;
	at = fcntl(root, F_DUPFD_CLOEXEC, 0);
	if (at < 0)
		return fault_sys(why, "cannot open one more directory");
	while (rest.n > 0 && at >= 0) {
		next = -1;
		if (depth > MAILDIR_DEPTH)
			(void)fault_set(why, "more than %d directories deep", MAILDIR_DEPTH);
		else if (name_take(&rest, name, why))
			next = name[0] ? descend(roots->disk, at, name, why)
				       : fcntl(at, F_DUPFD_CLOEXEC, 0);
		depth += name[0] != '\0';
		shut(&at);
		at = next;
	}
	return at;
}

/*
 * folders_open - a Maildir is three directories; cur is for the readers, they miss it when it is
 * not there
 */
static int folders_open(struct maildir_write *w, int box, struct fault *why)
{
	int cur = descend(w->disk, box, "cur", why);

	if (cur < 0)
		return -1;
	shut(&cur);
	w->fresh = descend(w->disk, box, "new", why);
	if (w->fresh < 0)
		return -1;
	w->tmp = descend(w->disk, box, "tmp", why);
	return w->tmp < 0 ? -1 : 0;
}

/* ---- the file */

static void done(struct maildir_write *w)
{
	shut(&w->file);
	shut(&w->tmp);
	shut(&w->fresh);
	w->phase = MAILDIR_CLOSED;
}

static bool unique_is_valid(struct str unique)
{
	if (unique.n == 0 || unique.n >= MAILDIR_NAME || unique.p[0] == '.')
		return false;
	for (size_t i = 0; i < unique.n; i++)
		if (unique.p[i] <= ' ' || unique.p[i] >= 0x7f || unique.p[i] == '/')
			return false;
	return true;
}

/*
 * file_open - the name in tmp carries our pid and a count: what a helper before us left there is
 * not in the way
 */
static int file_open(struct maildir_write *w, struct str unique, struct fault *why)
{
	static unsigned count;

	if (!unique_is_valid(unique))
		return fault_set(why, "\"%.*s\" cannot be the name of a file in a mailbox",
				 STR_ARG(str_head(unique, 80)));
	str_copy(w->name, sizeof w->name, unique);
	(void)snprintf(w->tmp_name, sizeof w->tmp_name, "%s.%ld.%u", w->name, (long)getpid(),
		       count++);
	w->file = openat(w->tmp, w->tmp_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			 MODE_FILE);
	return w->file < 0 ? fault_sys(why, "tmp/%s: cannot make the file", w->tmp_name) : 0;
}

int maildir_write_begin(struct maildir_write *w, struct maildir_roots *roots, struct str mailbox,
			struct str unique, struct fault *why)
{
	int box, rc = -1;

	*w = (struct maildir_write){ .disk = roots->disk, .file = -1, .tmp = -1, .fresh = -1 };
	box = mailbox_open(roots, mailbox, why);
	if (box < 0)
		goto out;
	if (folders_open(w, box, why) < 0 || file_open(w, unique, why) < 0)
		goto out;
	w->phase = MAILDIR_OPEN;
	rc = 0;
out:
	if (rc < 0)
		done(w);
	shut(&box);
	return rc;
}

int maildir_write_data(struct maildir_write *w, struct str bytes, struct fault *why)
{
	assert(w->phase == MAILDIR_OPEN);
	while (bytes.n > 0) {
		ssize_t n = w->disk->write(w->file, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			(void)fault_sys(why, "tmp/%s: cannot write", w->tmp_name);
			maildir_write_abort(w);
			return -1;
		}
		bytes = str_drop(bytes, (size_t)n);
	}
	return 0;
}

int maildir_write_end(struct maildir_write *w, struct fault *why)
{
	int rc = -1;

	assert(w->phase == MAILDIR_OPEN);
	if (w->disk->fsync(w->file) < 0) {
		(void)fault_sys(why, "tmp/%s: cannot sync", w->tmp_name);
		goto out;
	}
	/* Link, not rename: a rename would silently replace another file of that name. */
	if (w->disk->linkat(w->tmp, w->tmp_name, w->fresh, w->name, 0) < 0) {
		w->was_there = errno == EEXIST;
		if (!w->was_there) {
			(void)fault_sys(why, "new/%s: cannot link", w->name);
			goto out;
		}
	}
	if (w->disk->fsync(w->fresh) < 0) {
		(void)fault_sys(why, "new: cannot sync the directory");
		goto out;
	}
	rc = 0;
out:
	maildir_write_abort(w); /* the name in tmp has done its work */
	return rc;
}

void maildir_write_abort(struct maildir_write *w)
{
	if (w->phase == MAILDIR_CLOSED)
		return;
	(void)unlinkat(w->tmp, w->tmp_name,
		       0); /* what cannot be removed is swept by its readers after 36 hours */
	done(w);
}
