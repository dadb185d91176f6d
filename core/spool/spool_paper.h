/*
 * spool_paper - a small text kept beside the log: replaced whole, or not at all.
 *
 * What        what an operator said about the spool as a whole and not about a message, like
 *             destinations that are suspended; two files take turns, NAME.0 and NAME.1, each with a
 *             serial and a checksum, so that a crash while one is written leaves the other.
 *
 *   layout    crc 4 (of all that follows), length 4, serial 8, text.
 *
 * Invariants  put never blocks the loop; the latest text that was put is the one that is written.
 *             What cannot be written is said by failed() of the owner and is lost with the process.
 * Ownership   the paper is the caller's and must live as long as the spool is open.
 * Bounds      SPOOL_PAPER bytes.
 */
#ifndef SPOOL_PAPER_H
#define SPOOL_PAPER_H

#include "buf.h"
#include "spool.h"
#include "spool_pool.h"

#define SPOOL_PAPER (256 * 1024)

struct spool_paper {
	const char *name; /* a constant, without '/' */
	uint64_t serial;  /* of the newest text that is on disk or on its way */

	/* the spool's own */
	struct spool *spool;
	struct spool_job job;
	struct buf wanted, writing;
	bool is_writing, is_wanted;
	int error;
};

/* Blocks, for the start: the text as it was put last, or nothing. */
void spool_paper_open(struct spool_paper *p, struct spool *sp, const char *name, struct buf *text);
void spool_paper_put(struct spool_paper *p, struct str text); /* copied */
void spool_paper_fini(struct spool_paper *p);                 /* after spool_close */

#endif
