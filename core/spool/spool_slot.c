/* Slots: files for big bodies, each written by one job at a time from a ring in memory. */
#include "spool_slot.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "counter.h"
#include "spool_core.h"
#include "spool_stream.h"

enum { GROUP = 256, GROW_BELOW = SPOOL_STREAMS }; /* whatever begins at once finds them made */

/* FREE -- open --> OPEN -- submit --> CLOSING -- synced --> USED -- its last message is finished
 * --> LEAVING OPEN, CLOSING, USED -- abort, refused --> CLEARING; LEAVING -- that is durable -->
 * CLEARING -- truncated --> FREE */
enum slot_state { SLOT_FREE, SLOT_OPEN, SLOT_CLOSING, SLOT_USED, SLOT_LEAVING, SLOT_CLEARING };

struct spool_slot {
	struct list node; /* idle, leaving */
	struct spool *spool;
	uint32_t number;
	enum slot_state state;
	int fd;
	unsigned messages;        /* living ones whose body is in it */
	const unsigned char *key; /* NULL: it is plain; else in the spool's vault */
	struct spool_stream *stream;
	uint64_t length, written; /* appended; of those, in the file */
	void (*moved)(void *arg);
	void *arg;
	struct spool_submit *submit; /* CLOSING */
	int error;
	/* of the job under way */
	struct spool_job job;
	bool is_busy;
	int result;    /* errno or 0; the job's until it is done */
	uint64_t upto; /* write until there */
	bool is_last;  /* and then sync */
	uint8_t sum[SPOOL_SUM];
};

/* On a thread */

static int open_file(struct spool_slot *slot)
{
	char path[24];

	if (slot->fd >= 0)
		return 0;
	spool_slot_path(path, slot->number);
	slot->fd = slot->spool->file->open(slot->spool->file, path, SPOOL_FILE_WRITE);
	return slot->fd < 0 ? -1 : 0;
}

static int write_some(struct spool_slot *slot)
{
	struct spool_file *f = slot->spool->file;
	struct spool_stretch w = { .file = f,
				   .key = slot->key,
				   .from = slot->written,
				   .upto = slot->upto,
				   .slot = slot->number,
				   .fd = slot->fd,
				   .is_last = slot->is_last };

	if (spool_stream_write(slot->stream, &w) < 0)
		return -1;
	if (!slot->is_last)
		return f->push(f, slot->fd, slot->written, slot->upto - slot->written) < 0 ? -1 : 0;
	spool_sum_final(&slot->stream->sum, slot->sum);
	return f->sync(f, slot->fd);
}

static void write_work(struct spool_job *job)
{
	struct spool_slot *slot = container_of(job, struct spool_slot, job);

	slot->result = open_file(slot) < 0 || write_some(slot) < 0 ? errno : 0;
}

static void clear_work(struct spool_job *job)
{
	struct spool_slot *slot = container_of(job, struct spool_slot, job);
	struct spool_file *f = slot->spool->file;

	/* Whether that is durable does not matter: recovery clears what no message names. */
	slot->result = 0;
	if (open_file(slot) < 0 || (f->size(f, slot->fd) != 0 && f->truncate(f, slot->fd, 0) < 0))
		slot->result = errno;
	if (slot->fd >= 0)
		f->close(f, slot->fd);
	slot->fd = -1;
}

/* On the loop */

static void set_state(struct spool_slot *slot, enum slot_state state)
{
	slot->state = state;
}

static void put_job(struct spool_slot *slot, void (*work)(struct spool_job *),
		    void (*done)(struct spool_job *))
{
	slot->job.work = work;
	slot->job.done = done;
	slot->is_busy = true;
	spool_pool_put(&slot->spool->pool, SPOOL_LANE_FILES, &slot->job);
}

static void give_stream(struct spool_slot *slot)
{
	struct spool_slots *y = &slot->spool->slots;

	if (!slot->stream)
		return;
	y->streams[y->nstreams++] =
		(uint8_t)(slot->stream - (struct spool_stream *)(void *)y->windows);
	slot->stream = NULL;
}

static void failed(struct spool_slot *slot, const char *what)
{
	struct fault why;

	errno = slot->result;
	fault_sys(&why, "%s slot %u", what, slot->number);
	counter_add(COUNTER_SPOOL_FAULTS, 1);
	slot->spool->o.owner.failed(slot->spool->o.owner.arg, "spool.slot", &why);
}

static void clear_done(struct spool_job *job)
{
	struct spool_slot *slot = container_of(job, struct spool_slot, job);

	slot->is_busy = false;
	if (slot->result) {
		/* it stays CLEARING: not used again before the next start */
		failed(slot, "clearing");
		return;
	}
	set_state(slot, SLOT_FREE);
	list_append(&slot->spool->slots.idle, &slot->node);
	slot->spool->slots.free++;
}

static void clear(struct spool_slot *slot)
{
	give_stream(slot);
	slot->key = NULL;
	spool_vault_wipe(&slot->spool->rekey.slots, slot->number);
	put_job(slot, clear_work, clear_done);
}

void spool_slot_clear(struct spool *sp, struct spool_slot *slot)
{
	(void)sp;
	assert(slot->state != SLOT_FREE && slot->state != SLOT_CLEARING);
	list_remove(&slot->node);
	set_state(slot, SLOT_CLEARING);
	slot->messages = 0;
	slot->submit = NULL;
	if (!slot->is_busy)
		clear(slot);
}

static void write_done(struct spool_job *job);

/* advance - begin the next piece of work, when there is any and none is under way */
static void advance(struct spool_slot *slot)
{
	bool is_last = slot->state == SLOT_CLOSING;
	uint64_t upto =
		is_last ? slot->length : spool_stream_ready(slot->key != NULL, slot->length);

	if (slot->is_busy || slot->error || (slot->written == upto && !is_last))
		return;
	slot->upto = upto;
	slot->is_last = is_last;
	put_job(slot, write_work, write_done);
}

static void write_done(struct spool_job *job)
{
	struct spool_slot *slot = container_of(job, struct spool_slot, job);
	bool is_last = slot->is_last;

	slot->is_busy = false;
	slot->error = slot->result;
	if (slot->error)
		failed(slot, "writing");
	else
		counter_add(COUNTER_SPOOL_BYTES, slot->upto - slot->written);
	slot->written = slot->upto;
	if (slot->state == SLOT_CLEARING) {
		clear(slot);
		return;
	}
	if (slot->state == SLOT_OPEN) {
		advance(slot);
		slot->moved(slot->arg);
		return;
	}
	if (!is_last && !slot->error) {
		advance(slot);
		return;
	}
	counter_add(COUNTER_SPOOL_SYNCS, 1);
	slot->spool->stats.syncs++;
	give_stream(slot);
	set_state(slot, SLOT_USED);
	spool_submit_synced(slot->spool, slot->submit, slot->error ? NULL : slot->sum);
	slot->submit = NULL;
}

bool spool_slots_are_used_up(const struct spool *sp)
{
	return sp->slots.free == 0 && sp->slots.count >= sp->o.slots;
}

struct spool_slot *spool_slot_open(struct spool *sp, void (*moved)(void *arg), void *arg,
				   struct spool_refusal *why)
{
	struct list *idle = sp->slots.nstreams == 0 ? NULL : list_take(&sp->slots.idle);
	struct spool_slot *slot;

	if (!idle) {
		*why = (struct spool_refusal){ 452, "too many big messages at once" };
		return NULL;
	}
	slot = LIST_ITEM(idle, struct spool_slot, node);
	sp->slots.free--;
	slot->stream = (struct spool_stream *)(void *)sp->slots.windows +
		       sp->slots.streams[--sp->slots.nstreams];
	spool_stream_init(slot->stream, sp->o.is_sealing);
	slot->length = slot->written = 0;
	slot->moved = moved;
	slot->arg = arg;
	slot->error = 0;
	slot->messages = 0;
	slot->key = sp->o.is_sealing ? spool_rekey_slot(sp, slot->number, NULL) : NULL;
	set_state(slot, SLOT_OPEN);
	return slot;
}

size_t spool_slot_room(const struct spool_slot *slot)
{
	if (slot->error)
		return SPOOL_SLOT_WINDOW; /* what comes is dropped */
	return SPOOL_SLOT_WINDOW - (size_t)(slot->length - slot->written);
}

void spool_slot_append(struct spool *sp, struct spool_slot *slot, struct str bytes)
{
	(void)sp;
	assert(slot->state == SLOT_OPEN && bytes.n <= spool_slot_room(slot));
	if (slot->error)
		return;
	spool_stream_put(slot->stream, slot->key != NULL, slot->length, bytes);
	slot->length += bytes.n;
	advance(slot);
}

uint64_t spool_slot_length(const struct spool_slot *slot)
{
	return slot->length;
}

uint64_t spool_slot_written(const struct spool_slot *slot)
{
	return slot->written;
}

bool spool_slot_has_failed(const struct spool_slot *slot)
{
	return slot->error != 0;
}

void spool_slot_abort(struct spool *sp, struct spool_slot **slot)
{
	if (!*slot)
		return;
	assert((*slot)->state == SLOT_OPEN);
	spool_slot_clear(sp, *slot);
	*slot = NULL;
}

void spool_slot_close(struct spool *sp, struct spool_slot *slot, struct spool_submit *s)
{
	(void)sp;
	assert(slot->state == SLOT_OPEN && !slot->error);
	set_state(slot, SLOT_CLOSING);
	slot->submit = s;
	advance(slot);
}

void spool_slot_keep(struct spool_slot *slot, unsigned messages)
{
	slot->messages = messages;
}

unsigned spool_slot_number(const struct spool_slot *slot)
{
	return slot->number;
}

int spool_slot_fd(const struct spool_slot *slot)
{
	return slot->fd;
}

const unsigned char *spool_slot_key(const struct spool_slot *slot)
{
	return slot->key;
}

void spool_slot_drop(struct spool *sp, unsigned number)
{
	struct spool_slot *slot = sp->slots.all[number];

	assert(slot->state == SLOT_USED && slot->messages > 0);
	if (--slot->messages > 0)
		return;
	set_state(slot, SLOT_LEAVING);
	list_append(&sp->slots.leaving, &slot->node);
}

void spool_slots_leave(struct spool *sp, struct list *leaving)
{
	struct list *node;

	while ((node = list_take(leaving)))
		spool_slot_clear(sp, LIST_ITEM(node, struct spool_slot, node));
}

/* All of them */

struct spool_slot *spool_slots_get(const struct spool *sp, unsigned number)
{
	return number > 0 && number <= sp->slots.highest ? sp->slots.all[number] : NULL;
}

/* reach - a table that has a place for that number */
static int reach(struct spool_slots *y, unsigned number)
{
	unsigned cap = y->cap ? y->cap : GROUP;
	struct spool_slot **grown;

	while (cap <= number)
		cap *= 2;
	if (cap == y->cap)
		return 0;
	grown = realloc(y->all, cap * sizeof *grown);
	if (!grown)
		return -1;
	memset(grown + y->cap, 0, (cap - y->cap) * sizeof *grown);
	y->all = grown;
	y->cap = cap;
	return 0;
}

int spool_slots_found(struct spool *sp, unsigned number, struct fault *why)
{
	struct spool_slot *slot = reach(&sp->slots, number) == 0 ? calloc(1, sizeof *slot) : NULL;

	if (!slot)
		return fault_set(why, "no memory for slot %u", number);
	slot->number = number;
	slot->spool = sp;
	slot->fd = -1;
	slot->state = SLOT_OPEN; /* until recovery says who uses it */
	list_init(&slot->node);
	sp->slots.all[number] = slot;
	sp->slots.count++;
	if (number > sp->slots.highest)
		sp->slots.highest = number;
	return 0;
}

int spool_slots_use(struct spool *sp, const struct spool_accept *a, struct fault *why)
{
	struct spool_slot *slot = spool_slots_get(sp, a->slot);

	if (!slot || open_file(slot) < 0)
		return fault_sys(why, "opening slot %u", a->slot);
	slot->length = a->slot_length;
	slot->key = a->is_slot_sealed ? spool_rekey_slot(sp, a->slot, a->slot_key) : NULL;
	set_state(slot, SLOT_USED);
	slot->messages++;
	return 0;
}

static bool is_empty(struct spool_slot *slot)
{
	struct spool_file *f = slot->spool->file;
	bool is_empty = open_file(slot) == 0 && f->size(f, slot->fd) == 0;

	if (slot->fd >= 0)
		f->close(f, slot->fd);
	slot->fd = -1;
	return is_empty;
}

void spool_slots_sweep(struct spool *sp)
{
	for (unsigned i = 1; i <= sp->slots.highest; i++) {
		struct spool_slot *slot = sp->slots.all[i];

		if (slot && slot->state == SLOT_OPEN && (!sp->slots.is_doubtful || is_empty(slot)))
			spool_slot_clear(sp, slot);
	}
}

/* More names: a folder of GROUP at a time, durable before any of them is used */

static int make_names(struct spool_file *f, unsigned from, unsigned upto)
{
	char path[24], folder[8];

	snprintf(folder, sizeof folder, "big/%02x", (from - 1) / GROUP & 0xff);
	if (f->mkdir(f, folder) < 0)
		return -1;
	for (unsigned i = from; i <= upto; i++) {
		int fd;

		spool_slot_path(path, i);
		fd = f->open(f, path, SPOOL_FILE_MAKE);
		if (fd < 0)
			return -1;
		f->close(f, fd);
	}
	return f->sync_dir(f, folder) < 0 ? -1 : f->sync_dir(f, "big");
}

static void make_work(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, slots.make_job);

	sp->slots.make_error =
		make_names(sp->file, sp->slots.made_from, sp->slots.made_upto) < 0 ? errno : 0;
}

static void make_done(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, slots.make_job);
	struct fault why;

	sp->slots.is_making = false;
	errno = sp->slots.make_error;
	if (sp->slots.make_error)
		fault_sys(&why, "making slots");
	for (unsigned i = sp->slots.made_from; !sp->slots.make_error && i <= sp->slots.made_upto;
	     i++) {
		if (spool_slots_found(sp, i, &why) < 0) {
			sp->slots.make_error = ENOMEM;
			break;
		}
		set_state(sp->slots.all[i], SLOT_FREE);
		list_append(&sp->slots.idle, &sp->slots.all[i]->node);
		sp->slots.free++;
	}
	if (!sp->slots.make_error)
		return;
	sp->slots.make_after = sp->now + SPOOL_RETRY_US;
	sp->o.owner.failed(sp->o.owner.arg, "spool.slot", &why);
}

/* first_missing - where the next group begins; 0: all are there */
static unsigned first_missing(const struct spool *sp)
{
	for (unsigned i = 1; i <= sp->o.slots; i++)
		if (!spool_slots_get(sp, i))
			return i;
	return 0;
}

void spool_slots_turn(struct spool *sp)
{
	struct spool_slots *y = &sp->slots;
	unsigned from;

	if (!sp->flying && list_is_empty(&sp->pended))
		/* no note about a finished message is under way or to be written */
		spool_slots_leave(sp, &y->leaving);
	if (y->is_making || y->free >= GROW_BELOW || y->count >= sp->o.slots ||
	    sp->now < y->make_after)
		return;
	from = first_missing(sp);
	if (from == 0)
		return;
	y->made_from = from;
	y->made_upto = from;
	while (y->made_upto < sp->o.slots && y->made_upto % GROUP != 0 &&
	       !spool_slots_get(sp, y->made_upto + 1))
		y->made_upto++;
	y->is_making = true;
	y->make_job.work = make_work;
	y->make_job.done = make_done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &y->make_job);
}

uint64_t spool_slots_timer(const struct spool *sp)
{
	return !sp->slots.is_making && sp->slots.make_after > sp->now ? sp->slots.make_after
								      : SPOOL_NEVER;
}

int spool_slots_init(struct spool *sp, struct fault *why)
{
	struct spool_slots *y = &sp->slots;

	list_init(&y->idle);
	list_init(&y->leaving);
	list_init(&y->ready);
	list_init(&y->failed);
	y->windows = mmap(NULL, SPOOL_STREAMS * sizeof(struct spool_stream), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (y->windows == MAP_FAILED) {
		y->windows = NULL;
		return fault_set(why, "no memory for slots");
	}
	while (y->nstreams < SPOOL_STREAMS) {
		/* the lowest is used first: memory */
		y->streams[y->nstreams] = (uint8_t)(SPOOL_STREAMS - 1 - y->nstreams);
		y->nstreams++;
	}
	return 0;
}

void spool_slots_fini(struct spool *sp)
{
	struct spool_slots *y = &sp->slots;

	for (unsigned i = 1; i <= y->highest; i++) {
		if (y->all[i] && y->all[i]->fd >= 0)
			sp->file->close(sp->file, y->all[i]->fd);
		free(y->all[i]);
	}
	free(y->all);
	y->all = NULL;
	if (y->windows)
		munmap(y->windows, SPOOL_STREAMS * sizeof(struct spool_stream));
	y->windows = NULL;
}
