#define _GNU_SOURCE /* get_current_dir_name */
#include "settings_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROBLEM_TEXT 1024

/* ---- problems ------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void add(struct settings_source *s,
						      struct settings_problem p, const char *format,
						      va_list arguments)
{
	char text[PROBLEM_TEXT];

	(void)vsnprintf(text, sizeof text, format, arguments);
	for (char *c = text; *c; c++) /* one problem is one line, whatever was quoted */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	p.text = arena_str(s->arena, str_of(text));
	s->nerrors += !p.is_note;
	if (s->nproblems < SETTINGS_PROBLEMS && p.text.p)
		s->problems[s->nproblems++] = p;
	else
		s->nmore++;
}

void settings_source_problem(struct settings_source *s, const struct settings_place *place,
			     const char *format, ...)
{
	struct settings_problem p = { .spot = settings_keys_find(s->text, place) };
	va_list arguments;

	va_start(arguments, format);
	add(s, p, format, arguments);
	va_end(arguments);
}

void settings_source_problem_at(struct settings_source *s, struct settings_spot spot,
				const char *format, ...)
{
	struct settings_problem p = { .spot = spot };
	va_list arguments;

	va_start(arguments, format);
	add(s, p, format, arguments);
	va_end(arguments);
}

void settings_source_note(struct settings_source *s, const struct settings_place *place,
			  const char *format, ...)
{
	struct settings_problem p = { .spot = settings_keys_find(s->text, place), .is_note = true };
	va_list arguments;

	va_start(arguments, format);
	add(s, p, format, arguments);
	va_end(arguments);
}

static int by_place(const void *left, const void *right)
{
	const struct settings_problem *a = left, *b = right;

	if (a->spot.line != b->spot.line)
		return a->spot.line < b->spot.line ? -1 : 1;
	if (a->spot.column != b->spot.column)
		return a->spot.column < b->spot.column ? -1 : 1;
	return str_cmp(a->text, b->text);
}

void settings_source_report(struct settings_source *s, struct buf *out)
{
	qsort(s->problems, s->nproblems, sizeof *s->problems, by_place);
	for (unsigned i = 0; i < s->nproblems; i++) {
		const struct settings_problem *p = &s->problems[i];
		const char *note = p->is_note ? "note: " : "";

		if (p->spot.column)
			(void)buf_printf(out, "%.*s:%u:%u: %s%.*s\n", STR_ARG(s->path),
					 p->spot.line, p->spot.column, note, STR_ARG(p->text));
		else if (p->spot.line)
			(void)buf_printf(out, "%.*s:%u: %s%.*s\n", STR_ARG(s->path), p->spot.line,
					 note, STR_ARG(p->text));
		else
			(void)buf_printf(out, "%.*s: %s%.*s\n", STR_ARG(s->path), note,
					 STR_ARG(p->text));
	}
	if (s->nmore)
		(void)buf_printf(out, "%.*s: and %u more\n", STR_ARG(s->path), s->nmore);
}

/* ---- paths ---------------------------------------------------------------------------------- */

static struct str without_dots(struct str path)
{
	while (str_has_prefix(path, STR("./")))
		path = str_drop(path, 2);
	return path;
}

static struct str join(struct arena *arena, struct str folder, struct str path)
{
	if (str_has_prefix(path, STR("/")))
		return arena_str(arena, path);
	path = without_dots(path);
	if (path.n == 0 || str_eq(path, STR(".")))
		return arena_str(arena, folder);
	return arena_printf(arena, "%.*s%s%.*s", STR_ARG(folder),
			    str_eq(folder, STR("/")) ? "" : "/", STR_ARG(path));
}

struct str settings_source_path(const struct settings_source *s, struct str path)
{
	return path.n ? join(s->arena, s->folder, path) : path;
}

static struct str folder_of(struct str path)
{
	ptrdiff_t slash = str_rfind(path, '/');

	return slash < 0 ? STR(".") : slash == 0 ? STR("/") : str_head(path, (size_t)slash);
}

struct str settings_source_shown(const struct settings_source *s, struct str absolute)
{
	struct str given = folder_of(s->path), rest;

	if (str_has_prefix(given, STR("/")) || !str_has_prefix(absolute, s->folder))
		return absolute;
	rest = str_drop(absolute, s->folder.n);
	if (!str_has_prefix(rest, STR("/")))
		return absolute;
	if (str_eq(given, STR(".")))
		return str_drop(rest, 1);
	return join(s->arena, given, str_drop(rest, 1));
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool cannot(struct settings_source *s, const char *what)
{
	settings_source_problem_at(s, (struct settings_spot){ 0, 0 }, "%s: %s", what,
				   strerror(errno));
	return false;
}

static bool read_text(struct settings_source *s, int fd)
{
	struct stat st;
	char *text;
	ssize_t n;
	size_t have = 0;

	if (fstat(fd, &st) < 0)
		return cannot(s, "cannot be read");
	if (!S_ISREG(st.st_mode) || st.st_size > SETTINGS_SOURCE) {
		settings_source_problem_at(s, (struct settings_spot){ 0, 0 },
					   "must be a file of at most %d bytes", SETTINGS_SOURCE);
		return false;
	}
	text = arena_alloc(s->arena, (size_t)st.st_size + 1);
	if (!text)
		return cannot(s, "does not fit into memory");
	while (have < (size_t)st.st_size &&
	       (n = read(fd, text + have, (size_t)st.st_size - have)) != 0) {
		if (n < 0)
			return cannot(s, "cannot be read");
		have += (size_t)n;
	}
	s->text = (struct str){ text, have };
	return true;
}

bool settings_source_read(struct settings_source *s, struct str path, struct arena *arena)
{
	char *here;
	bool ok;
	int fd;

	*s = (struct settings_source){ .path = arena_str(arena, path),
				       .arena = arena,
				       .text = STR("") };
	here = get_current_dir_name();
	if (!here)
		return cannot(s, "the current folder is not known");
	s->folder = join(arena, str_of(here), folder_of(path));
	free(here);
	fd = open(s->path.p ? s->path.p : "", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return cannot(s, "cannot be opened");
	ok = read_text(s, fd);
	(void)close(fd);
	return ok;
}
