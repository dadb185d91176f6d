/*
 * spool_world - a spool on a memory disk, and an owner that knows what it was told.
 *
 * What        letters with contents made from their number; what was answered; what recovery gave
 *             back. check() compares.
 */
#ifndef SPOOL_WORLD_H
#define SPOOL_WORLD_H

#include "memory_disk.h"
#include "spool_load.h"
#include "spool_slot.h"
#include "spool_submit.h"

#define WORLD_LETTERS 4096
#define WORLD_BODY    60000

enum letter_answer { LETTER_UNSENT, LETTER_WAITING, LETTER_DURABLE, LETTER_KNOWN, LETTER_REFUSED };

struct world;

struct letter {
	struct world *world;
	struct spool_handle handle;
	struct spool_submit submit;
	enum letter_answer answer;
	int code;
	size_t body;              /* length of its inline body */
	size_t in_slot;           /* of what lies in a slot, behind it */
	uint32_t version;         /* of its state: the blob says it */
	uint32_t durable_version; /* at least that must come back */
	uint32_t found_version;
	uint8_t done, failed;
	bool is_live;     /* in this run */
	bool is_finished; /* we said spool_done */
	bool is_gone;     /* and it is durable: must not come back */
	bool is_replacing;
	struct letter *replaces;
	bool finishes;  /* what it replaces */
	unsigned found; /* times recovered in this run */
};

/* every spool that is opened from here on is sealed */
extern bool world_is_sealed;

struct world {
	struct memory_disk disk;
	struct spool_options options;
	struct spool_keys *keys;
	struct spool *spool;
	struct letter *letters;
	unsigned nletters;
	uint64_t now;
	unsigned damages, copies, failures, rooms;
	const char *last_damage;
	struct fault why;
};

void world_init(struct world *w);
void world_fini(struct world *w);
/* world_seal - what is written from the next open on is sealed, with one key for all worlds */
void world_seal(struct world *w);
bool world_open(struct world *w); /* with what is on the disk */
void world_kill(struct world *w); /* no flush; the disk keeps what the cache has */
void world_crash(struct world *w, uint64_t keep);
void world_turn(struct world *w, unsigned times);
void world_settle(struct world *w); /* and then everything said so far is durable */

/* What a crash would find, and how it was told: taken when the spool is closed. */
void world_save(struct world *to, const struct world *from); /* `to` is inited */

/* A new letter; false: the batch is full. */
struct letter *world_letter(struct world *w, size_t body);
bool world_submit(struct world *w, struct letter *l);
struct letter *world_send(struct world *w, size_t body); /* letter and submit */
/* world_send_slot - a letter whose whole body, at most one window, lies in a slot; NULL: none is free
 */
struct letter *world_send_slot(struct world *w, size_t n);
void world_touch(struct world *w, struct letter *l); /* a new version of its state */
void world_done(struct world *w, struct letter *l);
/* world_bounce - a letter that replaces the state of `of`, or finishes it */
struct letter *world_bounce(struct world *w, struct letter *of, bool is_done);

/* for a submit made by the test: id and done() */
void world_answer_to(struct world *w, struct letter *l);
extern unsigned world_reads_done, world_reads_failed;
void world_read_done(struct spool_read *r, bool is_good);

unsigned world_number(const struct world *w, const struct letter *l);
/* world_reads - its contents come back as sent; turns while its slot is read on a thread */
bool world_reads(struct world *w, struct letter *l);
/* world_check - what recovery gave back agrees with what was answered: NULL, or what is wrong */
const char *world_check(struct world *w);
struct spool_stats world_stats(const struct world *w);

#endif
