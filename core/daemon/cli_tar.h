/*
 * cli_tar - the heads of a tar stream (POSIX ustar), as far as export and import need them. Pure.
 *
 * What        plain files with short names, one behind the other, each padded to CLI_TAR_BLOCK;
 *             two empty blocks at the end.
 * Invariants  what is read may come from any tar: entries that are not plain files are told from
 *             those that are; a head whose checksum is wrong is none.
 */
#ifndef CLI_TAR_H
#define CLI_TAR_H

#include "step.h"
#include "str.h"

#define CLI_TAR_BLOCK 512
#define CLI_TAR_NAME  100
#define CLI_TAR_SIZE  UINT64_C(077777777777) /* the largest that eleven octal digits say */

struct cli_tar_entry {
	char name[CLI_TAR_NAME + 1];
	uint64_t size;
	bool is_file;
};

/* mtime: seconds */
void cli_tar_put(char head[CLI_TAR_BLOCK], const struct cli_tar_entry *e, uint64_t mtime);
/* DONE: an entry; MORE: an empty block, the end; ERROR: not a tar, or one with sizes in binary */
enum step cli_tar_get(const char head[CLI_TAR_BLOCK], struct cli_tar_entry *e);
uint64_t cli_tar_padded(uint64_t size); /* with the padding behind it */

#endif
