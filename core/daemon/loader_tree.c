#include "loader_tree.h"

#include "step.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REST_NS 20000000 /* between two tries */
#define MAIN    STR("main")

struct walk {
	struct loader_tree *tree;
	struct str entry, folder;
	struct stat without;
	struct fault *why;
};

/* ---- one file ------------------------------------------------------------------------------- */

static int moved(struct str path, struct fault *why)
{
	(void)fault_set(why, "%.*s: keeps changing while it is read", STR_ARG(path));
	why->sys = EAGAIN;
	return -1;
}

/* read_all - the n bytes that the file has, and had all the time */
static int read_all(int fd, struct str path, char *to, const struct stat *st, struct fault *why)
{
	size_t have = 0, n = (size_t)st->st_size;
	struct stat after;
	ssize_t got;

	while (have < n && (got = read(fd, to + have, n - have)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_sys(why, "%.*s", STR_ARG(path));
		have += (size_t)got;
	}
	if (fstat(fd, &after) < 0)
		return fault_sys(why, "%.*s", STR_ARG(path));
	if (have < n || after.st_size != st->st_size ||
	    after.st_mtim.tv_sec != st->st_mtim.tv_sec ||
	    after.st_mtim.tv_nsec != st->st_mtim.tv_nsec)
		return moved(path, why);
	return 0;
}

int loader_file_read(struct str path, size_t most, struct arena *arena, struct str *text,
		     struct fault *why)
{
	struct str name = arena_str(arena, path);
	int fd = open(name.p ? name.p : "", O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = -1;
	struct stat st;
	char *to;

	if (fd < 0)
		return fault_sys(why, "%.*s", STR_ARG(path));
	if (fstat(fd, &st) < 0) {
		(void)fault_sys(why, "%.*s", STR_ARG(path));
	} else if (!S_ISREG(st.st_mode)) {
		(void)fault_set(why, "%.*s: is not a regular file", STR_ARG(path));
	} else if ((uint64_t)st.st_size > most) {
		(void)fault_set(why, "%.*s: has %lld bytes, at most %zu are read", STR_ARG(path),
				(long long)st.st_size, most);
	} else if (!(to = arena_alloc(arena, (size_t)st.st_size + 1))) {
		(void)fault_set(why, "%.*s: no room for another %lld bytes", STR_ARG(path),
				(long long)st.st_size);
	} else {
		*text = (struct str){ to, (size_t)st.st_size };
		rc = read_all(fd, path, to, &st, why);
	}
	(void)close(fd);
	return rc;
}

/* ---- the folder ----------------------------------------------------------------------------- */

/* is_module - could require() say it? ALPHA / "_", then those, digits and "-" */
static bool is_module(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

		if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-')))
			return false;
	}
	return name.n > 0;
}

static struct str module_of(struct arena *arena, struct str relative)
{
	struct str name = arena_str(arena, str_head(relative, relative.n - strlen(".lua")));
	char *p = (char *)(uintptr_t)name.p;

	for (size_t i = 0; p && i < name.n; i++)
		if (p[i] == '/')
			p[i] = '.';
	return name;
}

static int add_file(struct walk *w, struct str path, const struct stat *st)
{
	struct loader_tree *t = w->tree;
	bool is_entry = str_eq(path, w->entry);
	struct str name = is_entry ? MAIN : module_of(&t->arena, str_drop(path, w->folder.n + 1));

	if (!is_entry && st->st_dev == w->without.st_dev && st->st_ino == w->without.st_ino)
		return 0;
	if (!is_entry && str_eq(name, MAIN))
		return fault_set(w->why,
				 "%.*s: the module `main` is the entry file, %.*s; give this one "
				 "another name",
				 STR_ARG(path), STR_ARG(w->entry));
	if (t->n == LOADER_FILES)
		return fault_set(w->why, "%.*s: more than %d files below this folder",
				 STR_ARG(w->folder), LOADER_FILES);
	t->files[t->n++] = (struct loader_file){
		.name = name,
		.path = path,
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = st->st_size,
		.changed = st->st_mtim,
	};
	return 0;
}

static int walk_folder(struct walk *w, struct str folder, unsigned depth);

static int walk_entry(struct walk *w, struct str folder, const char *name, unsigned depth)
{
	struct str path = arena_printf(&w->tree->arena, "%.*s/%s", STR_ARG(folder), name),
		   text = str_of(name);
	bool is_lua = str_has_suffix(text, STR(".lua"));
	struct stat st;

	if (!path.p)
		return fault_set(w->why, "%.*s: too much", STR_ARG(folder));
	if (!is_module(is_lua ? str_head(text, text.n - 4) : text) && !str_eq(path, w->entry))
		return 0;
	if (lstat(path.p, &st) < 0)
		return errno == ENOENT ? 0 : fault_sys(w->why, "%s", path.p);
	if (S_ISDIR(st.st_mode))
		return is_lua ? 0 : walk_folder(w, path, depth + 1);
	if (S_ISLNK(st.st_mode) && stat(path.p, &st) < 0)
		return is_lua ? fault_sys(w->why, "%s", path.p) : 0;
	return S_ISREG(st.st_mode) && (is_lua || str_eq(path, w->entry)) ? add_file(w, path, &st)
									 : 0;
}

static int walk_folder(struct walk *w, struct str folder, unsigned depth)
{
	struct dirent *entry;
	DIR *dir;
	int rc = 0;

	if (depth > LOADER_DEPTH)
		return fault_set(w->why, "%.*s: more than %d folders deep", STR_ARG(folder),
				 LOADER_DEPTH);
	dir = opendir(folder.p);
	if (!dir && errno == EACCES &&
	    depth > 0) /* not ours: a require() of it will say that it is missing */
		return 0;
	if (!dir)
		return fault_sys(w->why, "%.*s", STR_ARG(folder));
	while (rc == 0 && (entry = readdir(dir)))
		rc = walk_entry(w, folder, entry->d_name, depth);
	(void)closedir(dir);
	return rc;
}

static int by_name(const void *left, const void *right)
{
	const struct loader_file *a = left, *b = right;

	return str_cmp(a->name, b->name);
}

static int scan(struct loader_tree *t, struct str entry, struct str without, struct fault *why)
{
	struct walk w = { .tree = t, .entry = entry, .why = why };
	ptrdiff_t slash = str_rfind(entry, '/');

	t->n = 0;
	t->files = arena_alloc(&t->arena, LOADER_FILES * sizeof *t->files);
	w.folder = arena_str(&t->arena, slash > 0 ? str_head(entry, (size_t)slash) : STR("/"));
	without = arena_str(&t->arena, without);
	if (stat(without.p, &w.without) < 0)
		memset(&w.without, 0, sizeof w.without);
	if (walk_folder(&w, w.folder, 0) < 0)
		return -1;
	qsort(t->files, t->n, sizeof *t->files, by_name);
	return 0;
}

static const struct loader_file *main_of(const struct loader_tree *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (str_eq(t->files[i].name, MAIN))
			return &t->files[i];
	return NULL;
}

static bool is_unmoved(const struct loader_tree *a, const struct loader_tree *b)
{
	for (unsigned i = 0; a->n == b->n && i < a->n; i++) {
		const struct loader_file *x = &a->files[i], *y = &b->files[i];

		if (!str_eq(x->path, y->path) || x->inode != y->inode || x->size != y->size ||
		    x->changed.tv_sec != y->changed.tv_sec ||
		    x->changed.tv_nsec != y->changed.tv_nsec)
			return false;
	}
	return a->n == b->n;
}

/* read_once - MORE: something moved meanwhile, or went away */
static enum step read_once(struct loader_tree *t, struct str entry, struct str without,
			   struct fault *why)
{
	struct loader_tree again = { 0 };
	enum step step = STEP_DONE;

	if (scan(t, entry, without, why) < 0)
		return STEP_ERROR;
	for (unsigned i = 0; i < t->n; i++)
		if (loader_file_read(t->files[i].path, LOADER_FILE, &t->arena, &t->files[i].text,
				     why) < 0)
			return why->sys ? STEP_MORE : STEP_ERROR;
	arena_init(&again.arena, LOADER_TREE_BYTES);
	if (scan(&again, entry, without, why) < 0 || !is_unmoved(t, &again)) {
		(void)moved(entry, why);
		step = STEP_MORE;
	}
	arena_fini(&again.arena);
	return step;
}

int loader_tree_read(struct loader_tree *t, struct str entry, struct str without, struct fault *why)
{
	const struct timespec rest = { 0, REST_NS };
	struct stat st;

	*t = (struct loader_tree){ 0 };
	arena_init(&t->arena, LOADER_TREE_BYTES);
	for (unsigned i = 0; i < LOADER_TRIES; i++) {
		enum step step = read_once(t, entry, without, why);

		if (step == STEP_DONE && main_of(t))
			return 0;
		if (step == STEP_DONE)
			return stat(entry.p, &st) < 0
				       ? fault_sys(why, "%.*s", STR_ARG(entry))
				       : fault_set(why, "%.*s: is not a regular file",
						   STR_ARG(entry));
		if (step == STEP_ERROR)
			return -1;
		arena_reset(&t->arena);
		(void)nanosleep(&rest, NULL);
	}
	return -1;
}

void loader_tree_fini(struct loader_tree *t)
{
	arena_fini(&t->arena);
	*t = (struct loader_tree){ 0 };
}
