/*
 * memory_disk - a disk for tests that forgets what was not synced.
 *
 * What        a spool_file whose files have a volatile and a durable image, kept apart by sectors
 *             of 512 bytes; names and sizes are durable apart from contents. Any call can fail; the
 *             power can go off before any call.
 * Invariants  crash() keeps everything synced, and of the rest what the caller's bits say: each
 *             dirty sector, each name not yet synced with its folder, each size not yet synced, one
 *             bit each.
 */
#ifndef MEMORY_DISK_H
#define MEMORY_DISK_H

#include "spool_file.h"

#define MEMORY_FILES  512
#define MEMORY_SECTOR 512

struct memory_file {
	char name[64];
	bool is_linked, is_durable;  /* its name: now, after a crash */
	uint8_t *now, *disk, *dirty; /* dirty: a byte for each sector */
	size_t size, disk_size, cap;
};

struct memory_disk {
	struct spool_file file;
	struct memory_file files[MEMORY_FILES];
	unsigned nfiles;
	unsigned calls;  /* made so far */
	unsigned off_at; /* the power goes off before that call; 0: never */
	bool is_off;
	unsigned fail_at;    /* that call fails; 0: none */
	bool fails_for_ever; /* and all after it */
	bool fails_short;    /* instead of failing, reads and writes do half of it */
	int fail_errno;
	bool fails_syncs_only; /* fail_at counts syncs */
	/* what a failed sync should have written is on the disk all the same */
	bool failed_sync_keeps;
	unsigned syncs;
	uint64_t space; /* bytes that are left */
	unsigned fds;   /* open now */
	bool is_cold;   /* read_now never has anything */
};

void memory_disk_init(struct memory_disk *d);
void memory_disk_fini(struct memory_disk *d);
/* memory_disk_unsynced - how many things the next crash may keep or lose */
unsigned memory_disk_unsynced(const struct memory_disk *d);
/* memory_disk_crash - thing i is kept if bit i is set; from the 64th on the bits come from a hash
 * of `keep` */
void memory_disk_crash(struct memory_disk *d, uint64_t keep);
/* `to` is inited; no file is open */
void memory_disk_copy(struct memory_disk *to, const struct memory_disk *from);
struct memory_file *memory_disk_find(struct memory_disk *d, const char *name);
/* everything that files show is durable: after a test changed it */
void memory_disk_burn(struct memory_disk *d);
/* durably */
void memory_disk_set(struct memory_disk *d, const char *name, const void *bytes, size_t n);

#endif
