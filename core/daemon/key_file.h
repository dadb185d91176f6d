/*
 * key_file - the file of the spool's master keys, as settings name it.
 *
 * What        `spool_key` is a path, or "credential:NAME": a credential of the service manager.
 *             read checks who may read it and parses it; add writes it anew with one key more.
 * Why         whoever can read the keys can read the spool: a file that others may read is refused,
 *             not warned about.
 * Invariants  a file has no rights for group and others and belongs to root or to us. It is
 *             replaced as a whole: a crash leaves the old one or the new one.
 * Fails       `why` begins with the file and the line; why->sys EACCES: it cannot be read by who we
 *             are now.
 */
#ifndef KEY_FILE_H
#define KEY_FILE_H

#include "spool_key.h"

#define KEY_FILE_PATH 4096

bool key_file_is_credential(struct str where);
/* key_file_path - of the file itself; -1: there are no credentials here */
int key_file_path(struct str where, char path[KEY_FILE_PATH], struct fault *why);
int key_file_read(struct str where, struct spool_keys *keys, struct fault *why);

/* key_file_make - a new one with that key; it must not exist. `owner`: who it shall belong to,
 * where we may decide that; -1: us. */
int key_file_make(const char *path, const struct spool_key *key, long owner, struct fault *why);
/* key_file_add - the same file with one key more, which is the current one from then on */
int key_file_add(const char *path, const struct spool_key *key, struct fault *why);

#endif
