/*
 * call_sites - which places of core/spool made which calls, and which of those were made to fail.
 *
 * What        stands between a spool and its memory disk (disk()), and between it and malloc
 *             (heap()): notes the return address of every call; a heap call fails when told to.
 * Why         "every call fails" means nothing before somebody counts the calls that are there:
 *             tests/proof/sites.py compares what is listed here with what the source says.
 */
#ifndef CALL_SITES_H
#define CALL_SITES_H

#include "memory_disk.h"

struct heap_faults {
	unsigned calls;   /* made so far, by the code under test */
	unsigned fail_at; /* that one fails; 0: none */
	bool fails_for_ever;
};
extern struct heap_faults heap;

void call_sites_disk(struct memory_disk *d);
/* write "disk +offset failed" lines, offsets from the start of the program */
void call_sites_list(const char *path);

#endif
