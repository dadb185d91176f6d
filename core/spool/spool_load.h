/*
 * spool_load - a message back from the disk.
 *
 * What        load gives envelope, header block and what of the body is inline; read gives a range
 *             of its slot.
 * Why         what the page cache holds is read at once; only a cold read goes to a thread, and a
 *             sealed slot, which takes time to open.
 * Invariants  DONE: filled now, done() does not come. MORE: done() comes from spool_turn. ERROR: it
 *             cannot be read.
 * Ownership   struct and buffer are left alone, and the message is not finished, until then.
 */
#ifndef SPOOL_LOAD_H
#define SPOOL_LOAD_H

#include "spool.h"
#include "spool_pool.h"
#include "spool_record.h"

struct spool_load {
	const struct spool_handle *handle;
	char *to; /* spool_load_size bytes */
	void (*done)(struct spool_load *l, bool is_good);

	/* results, borrowed from `to` */
	struct id id;
	uint16_t variant;
	struct spool_accept accept; /* with the state it arrived with */

	/* the spool's own */
	struct spool_job job;
	struct spool *spool;
	struct spool_file *file;
	struct spool_segment *segment;
	uint64_t offset;
	size_t size, got;
	int fd;
};

struct spool_range { /* of what is stored in a slot */
	struct spool_file *file;
	const unsigned char *key; /* NULL: the slot is plain */
	uint32_t slot;
	uint64_t slot_length, offset;
	size_t length;
	char *to;
	int fd;
};

struct spool_read {
	const struct spool_handle *handle;
	uint64_t offset; /* in the slot */
	char *to;
	size_t length;
	void (*done)(struct spool_read *r, bool is_good);

	/* the spool's own */
	struct spool_job job;
	struct spool_range range;
	size_t got;
};

/* spool_load_decode - one ACCEPT or MOVE of that segment, in writable memory: MORE when it is not
 * whole yet */
enum step spool_load_decode(const struct spool_segment *s, struct str in, struct spool_record *r,
			    struct spool_accept *a);

/* spool_range_read - may block; how much of it could be read, and opened */
size_t spool_range_read(const struct spool_range *r);

size_t spool_load_size(const struct spool_handle *h);
enum step spool_load(struct spool *sp, struct spool_load *l);
enum step spool_read(struct spool *sp, struct spool_read *r);

#endif
