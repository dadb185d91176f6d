#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREDENTIAL "credential:"
#define HEAD                                                                                       \
	"# Master keys of a moongate spool. Whoever reads this file reads the spool; without it\n" \
	"# nobody does: keep a copy elsewhere. The last key seals, all of them open.\n"

bool key_file_is_credential(struct str where)
{
	return str_has_prefix(where, STR(CREDENTIAL));
}

int key_file_path(struct str where, char path[KEY_FILE_PATH], struct fault *why)
{
	const char *folder;
	struct str name = str_drop(where, sizeof CREDENTIAL - 1);

	if (!key_file_is_credential(where)) {
		str_copy(path, KEY_FILE_PATH, where);
		return 0;
	}
	folder = getenv("CREDENTIALS_DIRECTORY");
	if (!folder)
		return fault_set(why,
				 "%.*s: the service manager gave no credentials: "
				 "LoadCredential=%.*s:/path in the unit",
				 STR_ARG(where), STR_ARG(name));
	if (name.n == 0 || str_find(name, '/') >= 0)
		return fault_set(why, "%.*s: expected the name of a credential", STR_ARG(where));
	(void)snprintf(path, KEY_FILE_PATH, "%s/%.*s", folder, STR_ARG(name));
	return 0;
}

/* Reading */

/* is_private - the service manager guards credentials itself, by rights that are not in the mode */
static int check_rights(const char *path, const struct stat *st, bool is_credential,
			struct fault *why)
{
	if (!S_ISREG(st->st_mode))
		return fault_set(why, "%s: is not a regular file", path);
	if (st->st_size > SPOOL_KEYS_FILE)
		return fault_set(why, "%s: has %lld bytes, a key file has at most %d", path,
				 (long long)st->st_size, SPOOL_KEYS_FILE);
	if (is_credential)
		return 0;
	if (st->st_mode & 077)
		return fault_set(why, "%s: others may read it (mode %04o): chmod 600 %s", path,
				 st->st_mode & 07777, path);
	if (geteuid() != 0 && st->st_uid != 0 && st->st_uid != geteuid())
		return fault_set(why, "%s: belongs to somebody else (uid %u)", path,
				 (unsigned)st->st_uid);
	return 0;
}

/* read_text - into memory of spool_secret_new; its length, or -1 */
static ssize_t read_text(const char *path, bool is_credential, char *text, struct fault *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = -1, n = 0;
	struct stat st;

	if (fd < 0)
		return fault_sys(why, "%s", path);
	if (fstat(fd, &st) < 0)
		(void)fault_sys(why, "%s", path);
	else if (check_rights(path, &st, is_credential, why) == 0)
		do {
			got = read(fd, text + n, SPOOL_KEYS_FILE - (size_t)n);
			n += got > 0 ? got : 0;
		} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0 && n >= 0 && !why->text[0])
		(void)fault_sys(why, "%s", path);
	(void)close(fd);
	return got < 0 ? -1 : n;
}

int key_file_read(struct str where, struct spool_keys *keys, struct fault *why)
{
	char path[KEY_FILE_PATH], *text;
	struct fault line;
	ssize_t n;
	int rc = -1;

	*why = (struct fault){ 0 };
	if (key_file_path(where, path, why) < 0)
		return -1;
	text = spool_secret_new(SPOOL_KEYS_FILE);
	n = read_text(path, key_file_is_credential(where), text, why);
	if (n >= 0) {
		rc = spool_keys_parse(keys, (struct str){ text, (size_t)n }, &line);
		if (rc < 0)
			(void)fault_set(why, "%s: %s", path, line.text);
	}
	spool_secret_free(text);
	return rc;
}

/* Writing */

static int put(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return -1;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

static int sync_folder(const char *path)
{
	char folder[KEY_FILE_PATH];
	char *slash;
	int fd, rc;

	str_copy(folder, sizeof folder, str_of(path));
	slash = strrchr(folder, '/');
	if (slash)
		*(slash == folder ? slash + 1 : slash) = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	(void)close(fd);
	return rc;
}

/* make - durable, with that text and a line of the key behind it */
static int make(const char *path, struct str text, const struct spool_key *key, long owner)
{
	char line[SPOOL_KEY_LINE];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc = -1;

	if (fd < 0)
		return -1;
	spool_key_line(key, line);
	if (owner >= 0 && geteuid() == 0 && fchown(fd, (uid_t)owner, (gid_t)-1) < 0)
		goto out;
	if (put(fd, text.p, text.n) < 0 || put(fd, line, sizeof line) < 0 || fsync(fd) < 0)
		goto out;
	rc = 0;
out:
	sodium_memzero(line, sizeof line);
	(void)close(fd);
	if (rc < 0)
		(void)unlink(path);
	return rc;
}

int key_file_make(const char *path, const struct spool_key *key, long owner, struct fault *why)
{
	if (make(path, STR(HEAD), key, owner) < 0 || sync_folder(path) < 0)
		return fault_sys(why, "%s", path);
	return 0;
}

static int replace(const char *path, struct str text, const struct spool_key *key,
		   struct fault *why)
{
	char next[KEY_FILE_PATH + 8];
	struct stat st;

	(void)snprintf(next, sizeof next, "%s.new", path);
	if (stat(path, &st) < 0)
		return fault_sys(why, "%s", path);
	if (make(next, text, key, (long)st.st_uid) < 0)
		return fault_sys(why, "%s%s", next,
				 errno == EEXIST ? " (left by an earlier try: remove it)" : "");
	if (rename(next, path) == 0 && sync_folder(path) == 0)
		return 0;
	(void)fault_sys(why, "%s", path);
	(void)unlink(next);
	return -1;
}

int key_file_add(const char *path, const struct spool_key *key, struct fault *why)
{
	char *text = spool_secret_new(SPOOL_KEYS_FILE);
	ssize_t n;
	int rc = -1;

	*why = (struct fault){ 0 };
	n = read_text(path, false, text, why);
	if (n > SPOOL_KEYS_FILE - SPOOL_KEY_LINE - 1) {
		(void)fault_set(why, "%s: has no room for another key", path);
	} else if (n >= 0) {
		if (n > 0 && text[n - 1] != '\n')
			text[n++] = '\n';
		rc = replace(path, (struct str){ text, (size_t)n }, key, why);
	}
	spool_secret_free(text);
	return rc;
}
