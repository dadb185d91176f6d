/*
 * loader_tree - the files of a policy, read as one.
 *
 * What        every *.lua below the folder of the entry file, with its module name:
 *             "lists/local.lua" is "lists.local", the entry file is "main".
 * Why         a policy that was copied while it was being saved would be half old and half new: the
 *             folder is looked at again after reading, and read again when anything moved.
 * Invariants  sorted by module name. Hidden files and folders, linked folders, and files whose name
 *             no require() could say are left out.
 * Ownership   everything lives in the arena.
 * Bounds      below.
 */
#ifndef LOADER_TREE_H
#define LOADER_TREE_H

#include <sys/types.h>
#include <time.h>

#include "arena.h"
#include "fault.h"

#define LOADER_FILES      1000
#define LOADER_FILE       (1024 * 1024) /* bytes of one */
#define LOADER_DEPTH      8             /* folders below the first */
#define LOADER_TRIES      5             /* to find the folder at rest */
#define LOADER_TREE_BYTES (48 * 1024 * 1024)

struct loader_file {
	struct str name, path, text;
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct loader_tree {
	struct loader_file *files; /* [LOADER_FILES] */
	unsigned n;
	struct arena arena;
};

/* loader_tree_read - entry is an absolute path, NUL behind it; `without` is a file to be left out:
 * the settings, which may lie in the same folder */
int loader_tree_read(struct loader_tree *t, struct str entry, struct str without,
		     struct fault *why);
void loader_tree_fini(struct loader_tree *t);

/* loader_file_read - the whole of a regular file of at most `most` bytes, into the arena. why->sys:
 * worth another try */
int loader_file_read(struct str path, size_t most, struct arena *arena, struct str *text,
		     struct fault *why);

#endif
