/*
 * corpus - files under ../shared/corpora, for tests that walk real material; a test skips when it is not there.
 */
#ifndef CORPUS_H
#define CORPUS_H

#include "check.h"

#include <dirent.h>

#define CORPUS_ROOT TESTS "/../../shared/corpora/"

/* corpus_read - the whole file, on the heap; .p is NULL when it is not there */
static inline struct str corpus_read(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *p = NULL;
	size_t n = 0, cap = 0;

	if (!file)
		return STR_NONE;
	do {
		cap = cap ? cap * 2 : 64 * 1024;
		p = realloc(p, cap);
		assert_non_null(p);
		n += fread(p + n, 1, cap - n, file);
	} while (n == cap);
	(void)fclose(file);
	return (struct str){ p, n };
}

/* corpus_each - call use() with each file below folder; the number of files */
static inline size_t corpus_each(const char *folder,
				 void (*use)(const char *path, struct str bytes))
{
	DIR *dir = opendir(folder);
	size_t n = 0;

	if (!dir)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		char path[1024];
		struct str bytes;

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (entry->d_type == DT_DIR) {
			n += corpus_each(path, use);
			continue;
		}
		bytes = corpus_read(path);
		if (!bytes.p)
			continue;
		use(path, bytes);
		heap_free(bytes);
		n++;
	}
	(void)closedir(dir);
	return n;
}

/* corpus_crlf - line ends as SMTP has them: a bare LF becomes CRLF, and a bare CR goes away */
static inline struct str corpus_crlf(struct str s)
{
	char *p = malloc(s.n * 2 + 1);
	size_t n = 0;

	assert_non_null(p);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\r')
			continue;
		if (s.p[i] == '\n')
			p[n++] = '\r';
		p[n++] = s.p[i];
	}
	return (struct str){ p, n };
}

static inline void corpus_missing(const char *what)
{
	print_message("%s is not there: skipped\n", what);
	skip();
}

#endif
