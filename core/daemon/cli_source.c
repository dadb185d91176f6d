#include "cli_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_tar.h"

#define FIRST      64
#define PATH_BYTES 4096
#define COPY_PIECE (64 * 1024)

/* ---- names ----------------------------------------------------------------------------------- */

static const char *keep(struct cli_source *s, const char *name)
{
	if (s->nnames == s->names_cap) {
		s->names_cap = s->names_cap ? 2 * s->names_cap : FIRST;
		s->names = realloc(s->names, s->names_cap * sizeof *s->names);
		if (!s->names)
			abort();
	}
	s->names[s->nnames] = strdup(name);
	if (!s->names[s->nnames])
		abort();
	return s->names[s->nnames++];
}

static bool has_end(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

static bool is_part(const char *name)
{
	return has_end(name, ".eml") || has_end(name, ".json");
}

/* add - one part of a pair; the other comes by itself, or never */
static void add(struct cli_source *s, const char *place, const char *name,
		struct cli_source_file file)
{
	bool is_eml = has_end(name, ".eml");
	char stem[PATH_BYTES];
	struct cli_source_pair *p;

	if (s->count == s->cap) {
		s->cap = s->cap ? 2 * s->cap : FIRST;
		s->pairs = realloc(s->pairs, s->cap * sizeof *s->pairs);
		if (!s->pairs)
			abort();
	}
	(void)str_copy(stem, sizeof stem, str_head(str_of(name), strlen(name) - (is_eml ? 4 : 5)));
	file.is_there = true;
	p = &s->pairs[s->count++];
	*p = (struct cli_source_pair){ .stem = keep(s, stem), .place = place };
	if (is_eml)
		p->eml = file;
	else
		p->json = file;
}

static int by_name(const void *a, const void *b)
{
	const struct cli_source_pair *x = a, *y = b;
	int order = strcmp(x->place, y->place);

	return order ? order : strcmp(x->stem, y->stem);
}

void cli_source_join(struct cli_source *s)
{
	size_t n = 0;

	if (s->count)
		qsort(s->pairs, s->count, sizeof *s->pairs, by_name);
	for (size_t i = 0; i < s->count; i++) {
		struct cli_source_pair *p = &s->pairs[i];

		if (n == 0 || by_name(p, &s->pairs[n - 1]) != 0)
			s->pairs[n++] = *p;
		else if (p->eml.is_there)
			s->pairs[n - 1].eml = p->eml;
		else
			s->pairs[n - 1].json = p->json;
	}
	s->count = n;
}

void cli_source_fini(struct cli_source *s)
{
	for (size_t i = 0; i < s->nnames; i++)
		free(s->names[i]);
	free(s->names);
	free(s->pairs);
	*s = (struct cli_source){ .count = 0 };
}

int cli_source_read(const struct cli_source_file *f, uint64_t offset, void *to, size_t n)
{
	int fd = open(f->container, O_RDONLY | O_CLOEXEC);
	char *at = to;
	ssize_t got = 1;

	while (fd >= 0 && n > 0 && got > 0) {
		got = pread(fd, at, n, (off_t)(f->offset + offset));
		if (got < 0 && errno == EINTR) {
			got = 1;
			continue;
		}
		at += got > 0 ? got : 0;
		offset += (uint64_t)(got > 0 ? got : 0);
		n -= (size_t)(got > 0 ? got : 0);
	}
	if (fd >= 0)
		(void)close(fd);
	return fd >= 0 && n == 0 ? 0 : -1;
}

/* ---- places ---------------------------------------------------------------------------------- */

/* add_tar - every part in it; what is not one is none of our business */
static int add_tar(struct cli_source *s, const char *place, const char *path, uint64_t size,
		   struct fault *why)
{
	struct cli_source_file whole = { .container = keep(s, path), .size = size };
	enum step step = STEP_DONE;
	char head[CLI_TAR_BLOCK];
	struct cli_tar_entry e;

	for (uint64_t at = 0; step == STEP_DONE;) {
		if (cli_source_read(&whole, at, head, sizeof head) < 0)
			return fault_set(why, "%s: not a tar, or its end is missing", place);
		step = cli_tar_get(head, &e);
		at += sizeof head;
		if (step == STEP_ERROR || (step == STEP_DONE && e.size > size - at))
			return fault_set(why, "%s: no .eml, no .json, and not a tar at byte %llu",
					 place, (unsigned long long)(at - sizeof head));
		if (step == STEP_DONE && e.is_file && is_part(e.name))
			add(s, place, e.name,
			    (struct cli_source_file){ whole.container, at, e.size, false });
		if (step == STEP_DONE)
			at += cli_tar_padded(e.size);
	}
	return 0;
}

static int add_part(struct cli_source *s, const char *place, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	add(s, place, path,
	    (struct cli_source_file){ keep(s, path), 0, (uint64_t)st.st_size, false });
	return 0;
}

static int add_folder(struct cli_source *s, const char *path, struct fault *why)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	char file[PATH_BYTES];
	const char *place;

	if (!dir)
		return fault_sys(why, "reading %s", path);
	place = keep(s, path);
	while ((e = readdir(dir))) {
		(void)snprintf(file, sizeof file, "%s/%s", path, e->d_name);
		if (is_part(e->d_name))
			(void)add_part(s, place, file);
	}
	(void)closedir(dir);
	return 0;
}

/* add_file - one part, and what belongs to it beside it */
static int add_file(struct cli_source *s, const char *path, struct fault *why)
{
	char other[PATH_BYTES];
	const char *place = keep(s, path);

	if (add_part(s, place, path) < 0)
		return fault_sys(why, "reading %s", path);
	if (has_end(path, ".eml"))
		(void)snprintf(other, sizeof other, "%.*s.json", (int)strlen(path) - 4, path);
	else
		(void)snprintf(other, sizeof other, "%.*s.eml", (int)strlen(path) - 5, path);
	(void)add_part(s, place, other);
	return 0;
}

/* add_stream - standard input: copied to where it can be read at any place */
static int add_stream(struct cli_source *s, struct fault *why)
{
	static char piece[COPY_PIECE];
	FILE *copy = tmpfile(); /* gone with us */
	uint64_t size = 0;
	char path[32];
	size_t n;

	if (!copy)
		return fault_sys(why, "making a temporary file");
	while ((n = fread(piece, 1, sizeof piece, stdin)) > 0 && fwrite(piece, 1, n, copy) == n)
		size += n;
	if (n > 0 || ferror(stdin) || fflush(copy) != 0)
		return fault_sys(why, "copying standard input to a temporary file");
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(copy));
	return add_tar(s, "-", path, size, why);
}

int cli_source_add(struct cli_source *s, const char *path, struct fault *why)
{
	struct stat st;

	if (strcmp(path, "-") == 0)
		return add_stream(s, why);
	if (stat(path, &st) < 0)
		return fault_sys(why, "%s", path);
	if (S_ISDIR(st.st_mode))
		return add_folder(s, path, why);
	if (is_part(path))
		return add_file(s, path, why);
	return add_tar(s, keep(s, path), path, (uint64_t)st.st_size, why);
}
