/*
 * kept_pages - mmap and munmap of the code under test, with the pages kept for the next spool.
 *
 * The windows of a spool are many pages, and in a proof a spool lives for a millisecond. They come
 * back as they were left: nobody may rely on zeros that he did not write. Programs that include this
 * are linked with wrap: mmap munmap, and may make mmap fail: kept_pages_fail.
 */
#ifndef KEPT_PAGES_H
#define KEPT_PAGES_H

#include <stdbool.h>

/* asked before every mmap of the code under test; NULL: none fails */
extern bool (*kept_pages_fail)(const void *caller);

#endif
