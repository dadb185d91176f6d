/* Recovery: what a crash left becomes what is known. It writes only copies of what is damaged, and
 * the second header of a segment, so that it may be interrupted and begun again at any point; new
 * notes, among them where the torn segment ends, go out with the first batch. */
#include "spool_core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counter.h"

enum { COPY_CHUNK = 64 * 1024, COPY_PATH = 96 };

struct recovery {
	struct spool *sp;
	struct spool_replay *replay;
	struct fault *why;
	int failed;
	uint8_t folders[256 / 8]; /* of slots: a bit for each that is there */
};

/* Setting aside */

static int copy_bytes(struct spool_file *f, int from, int to, const struct spool_damage *d)
{
	char *chunk = malloc(COPY_CHUNK);
	uint64_t done = 0;
	int rc = -1;

	while (chunk && done < d->length) {
		size_t n = d->length - done < COPY_CHUNK ? (size_t)(d->length - done) : COPY_CHUNK;

		if (spool_file_read_all(f, from, chunk, n, d->offset + done) < 0)
			memset(chunk, 0, n); /* not even the disk can read it */
		if (spool_file_write_all(f, to, chunk, n, done) < 0)
			goto out;
		done += n;
	}
	if (chunk && f->sync(f, to) == 0)
		rc = 0;
out:
	free(chunk);
	return rc;
}

static int copy_to(struct spool_file *f, int from, const char *path, const struct spool_damage *d)
{
	int to = f->open(f, path, SPOOL_FILE_MAKE), rc;

	if (to < 0)
		return -1;
	rc = copy_bytes(f, from, to, d);
	f->close(f, to);
	return rc < 0 ? -1 : f->sync_dir(f, "corrupt");
}

/* copy_aside - the damaged bytes under a name that tells where they come from: the same one if
 * recovery runs again */
static int copy_aside(struct recovery *y, const struct spool_damage *d, char path[COPY_PATH])
{
	const struct spool_replay_segment *s = &y->replay->segments[d->segment];

	snprintf(path, COPY_PATH, "corrupt/%08u-%016llx-%08llx", d->segment,
		 (unsigned long long)s->header.epoch, (unsigned long long)d->offset);
	return copy_to(y->sp->file, s->fd, path, d);
}

/* copy_slot - what is left of a body whose message cannot be delivered; a slot that is not there
 * needs no copy */
static int copy_slot(struct recovery *y, unsigned number, const char *record)
{
	struct spool_file *f = y->sp->file;
	char from[24], path[COPY_PATH + 8];
	struct spool_damage all = { 0 };
	int64_t size;
	int fd, rc = 0;

	spool_slot_path(from, number);
	fd = f->open(f, from, SPOOL_FILE_READ);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	size = f->size(f, fd);
	if (size > 0) {
		all.length = (uint64_t)size;
		snprintf(path, sizeof path, "%s.body", record);
		rc = copy_to(f, fd, path, &all);
	}
	f->close(f, fd);
	return size < 0 ? -1 : rc;
}

/* damaged - reported, and copied; what cannot be copied pins its segment */
static void damaged(void *arg, const struct spool_damage *d)
{
	struct recovery *y = arg;
	struct spool_replay_segment *s = &y->replay->segments[d->segment];
	char path[COPY_PATH];
	bool is_copied;

	counter_add(COUNTER_SPOOL_CORRUPT, 1);
	/* a segment that is broken as a whole is its own evidence: it is never written again */
	is_copied = s->state != SPOOL_REPLAY_BROKEN && d->length > 0 && copy_aside(y, d, path) == 0;
	if (!is_copied)
		s->is_pinned = true;
	y->sp->o.owner.damaged(y->sp->o.owner.arg, d, is_copied ? path : NULL);
}

/* The directory */

/* refuse_adopted - its messages go on elsewhere: to deliver them here too would be twice */
static int refuse_adopted(struct spool_file *f, struct fault *why)
{
	int fd = f->open(f, "ADOPTED", SPOOL_FILE_READ);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fault_sys(why, "looking for ADOPTED in the spool");
	f->close(f, fd);
	return fault_set(why, "another node adopted the messages of this spool: see its file "
			      "ADOPTED; start with an empty directory");
}

static int make_folders(struct spool *sp, struct fault *why)
{
	static const char *const folders[] = { "seg", "big", "corrupt" };
	static const char *const synced[] = { ".", "seg", "big" };
	struct spool_file *f = sp->file;

	sp->lock = f->open(f, "LOCK", SPOOL_FILE_MAKE);
	if (sp->lock < 0)
		return fault_sys(why, "opening LOCK of the spool");
	if (f->lock(f, sp->lock) < 0)
		return fault_sys(why, "the spool is in use by another process");
	if (refuse_adopted(f, why) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(folders); i++)
		if (f->mkdir(f, folders[i]) < 0)
			return fault_sys(why, "making %s in the spool", folders[i]);
	/* a process that was killed before its sync left names that only the cache knows: what is
	 * written under them from now on must be found after a power cut */
	for (size_t i = 0; i < COUNT(synced); i++)
		if (f->sync_dir(f, synced[i]) < 0)
			return fault_sys(why, "syncing the folder %s of the spool", synced[i]);
	return 0;
}

/* sync_open_ends - what was written last may be in the cache alone (killed), or only seem to be
 * there (a failed sync): bring it to the disk if that works, and in any case read what the disk
 * has */
static void sync_open_ends(struct spool *sp, struct spool_replay *r)
{
	for (unsigned i = 1; i <= r->nsegments; i++) {
		struct spool_replay_segment *s = &r->segments[i];
		struct fault why;

		if (s->state != SPOOL_REPLAY_FREE || spool_replay_is_closed(s) || s->lsn_first == 0)
			continue;
		if (sp->file->sync(sp->file, s->fd) < 0) {
			fault_sys(&why, "syncing segment %u before reading it", i);
			sp->o.owner.failed(sp->o.owner.arg, "spool.recover", &why);
		}
		sp->file->forget(sp->file, s->fd);
	}
}

/* Segments */

/* even_header - freeing it was interrupted between its two headers, or one is damaged: the good one
 * becomes both */
static void even_header(struct spool *sp, const struct spool_replay_segment *from, unsigned number)
{
	struct fault why;

	if (!from->is_uneven || from->state == SPOOL_REPLAY_BROKEN ||
	    spool_segment_write_header(sp->file, from->fd, !from->copy, &from->header) == 0)
		return;
	fault_sys(&why, "mending the header of segment %u", number);
	sp->o.owner.failed(sp->o.owner.arg, "spool.recover", &why);
}

static struct spool_segment *adopt(struct spool *sp, struct spool_replay_segment *from,
				   unsigned number)
{
	struct spool_segment *s = spool_segment_new(number);

	if (!s)
		return NULL;
	sp->segments[number] = s;
	s->fd = from->fd;
	s->header = from->header;
	s->filled = from->size & ~(uint64_t)(SPOOL_BLOCK - 1);
	s->size = from->header.size & ~(uint64_t)(SPOOL_BLOCK - 1);
	if (s->size < s->filled || s->size > SPOOL_SEGMENT_MAX)
		s->size = s->filled;
	return s;
}

/* adopt_messages - what is neither finished nor found alive is damaged or void: nothing is ever
 * noted about it */
static int adopt_messages(struct spool_segment *s, const struct spool_replay_segment *from)
{
	if (!spool_segment_bits(s, from->count))
		return -1;
	s->ordinals = from->count;
	for (uint32_t i = 0; i < from->count; i++)
		s->finished[i / 64] |= (uint64_t)from->messages[i].is_dead << (i % 64);
	if (from->holders)
		memcpy(s->holders, from->holders, SPOOL_HOLDERS);
	return 0;
}

static int adopt_used(struct spool *sp, struct spool_segment *s,
		      const struct spool_replay_segment *from)
{
	s->tail = from->tail;
	s->is_end_durable = spool_replay_is_closed(from);
	s->end = from->end;
	/* sealed where its last good batch ends: nothing is ever appended behind a torn tail */
	if (!s->is_end_durable)
		s->end = (struct spool_end){ s->number,      s->header.epoch, from->tail,
					     from->lsn_next, sp->lsn,         0 };
	spool_segment_set(s, SPOOL_SEGMENT_CLOSED);
	return adopt_messages(s, from);
}

static int adopt_all(struct spool *sp, struct spool_replay *r, struct fault *why)
{
	unsigned most = r->nsegments > sp->o.segments ? r->nsegments : sp->o.segments;

	sp->segments = calloc(most + 1, sizeof(struct spool_segment *));
	if (!sp->segments)
		return fault_set(why, "no memory for segments");
	sp->epoch = r->epoch;
	sp->lsn = r->lsn;
	sp->nsegments = r->nsegments;
	for (unsigned i = 1; i <= r->nsegments; i++) {
		struct spool_replay_segment *from = &r->segments[i];
		struct spool_segment *s;

		if (from->state == SPOOL_REPLAY_NONE || from->state == SPOOL_REPLAY_RAW)
			continue;
		even_header(sp, from, i);
		s = adopt(sp, from, i);
		if (s)
			spool_rekey_take(sp, s);
		if (!s || (from->state == SPOOL_REPLAY_USED && adopt_used(sp, s, from) < 0))
			return fault_set(why, "no memory for segment %u", i);
		if (from->state == SPOOL_REPLAY_FREE) {
			spool_segment_set(s, SPOOL_SEGMENT_FREE);
			sp->supply.free++;
		} else if (from->state == SPOOL_REPLAY_BROKEN) {
			spool_segment_set(s, SPOOL_SEGMENT_BROKEN);
		}
	}
	return 0;
}

/* Messages */

static void revive(struct spool *sp, const struct spool_replay_view *v)
{
	sp->segments[v->segment]->live++;
	sp->stats.live++;
}

static void link_handle(struct spool *sp, struct spool_handle *h, const struct spool_replay_view *v)
{
	struct spool_segment *s = sp->segments[v->segment];

	*h = (struct spool_handle){
		.ordinal = v->ordinal,
		.offset = v->message->accept.offset,
		.segment = v->segment,
		.noted = v->message->state_lsn ? v->message->state_segment : 0,
		.slot = (uint16_t)v->accept->slot,
		.phase = SPOOL_PHASE_CLEAN,
		.size = spool_size_pack(v->message->accept.size) & 0xfff,
	};
	list_init(&h->moving);
	list_init(&h->living);
	list_append(&s->living, &h->living);
	s->bytes += spool_size_unpack(h->size);
	if (h->noted)
		sp->segments[h->noted]->states++;
}

/*
 * set_aside - its body is gone: copied, reported, and finished once the copy is durable; a body
 * that an error hides is reported, and the next start looks again
 */
static void set_aside(struct recovery *y, const struct spool_replay_view *v)
{
	struct spool *sp = y->sp;
	struct spool_damage d = { v->segment, v->message->accept.offset, v->message->accept.size,
				  v->slot_trouble, &v->id };
	char path[COPY_PATH];
	bool is_copied =
		!v->is_slot_unread && copy_aside(y, &d, path) == 0 &&
		(v->accept->slot > SPOOL_SLOTS_MAX || copy_slot(y, v->accept->slot, path) == 0);

	counter_add(COUNTER_SPOOL_CORRUPT, 1);
	sp->o.owner.damaged(sp->o.owner.arg, &d, is_copied ? path : NULL);
	revive(sp, v);
	if (!is_copied) { /* alive, but nobody's: it keeps its segment, and its slot */
		sp->slots.is_doubtful = true;
		return;
	}
	sp->stats.live--;
	spool_segment_finish(sp->segments[v->segment], v->ordinal);
	spool_progress_pend(sp, sp->segments[v->segment], v->ordinal);
}

static int found(void *arg, const struct spool_replay_view *v)
{
	struct recovery *y = arg;
	struct spool_found message = { v->id, v->variant, v->message->state_lsn != 0, v->accept };
	struct spool_handle *h;

	if (v->slot_trouble) {
		set_aside(y, v);
		return 0;
	}
	h = y->sp->o.owner.recovered(y->sp->o.owner.arg, &message);
	if (!h)
		return fault_set(y->why, "no memory for the messages in the spool");
	revive(y->sp, v);
	link_handle(y->sp, h, v);
	return v->accept->slot ? spool_slots_use(y->sp, v->accept, y->why) : 0;
}

static bool finished(void *arg, const struct id *id)
{
	struct spool *sp = arg;

	if (sp->recent.count == sp->recent.cap)
		return false;
	spool_recent_add(&sp->recent, id);
	return true;
}

/* Slots */

static void see_slot(void *arg, const char *name)
{
	struct recovery *y = arg;
	char *end;
	unsigned long number = strtoul(name, &end, 16);

	if (*end || strlen(name) != 4 || number == 0 || number > SPOOL_SLOTS_MAX ||
	    spool_slots_get(y->sp, (unsigned)number))
		return;
	if (spool_slots_found(y->sp, (unsigned)number, y->why) < 0)
		y->failed = -1;
}

static void see_folder(void *arg, const char *name)
{
	struct recovery *y = arg;
	char *end;
	unsigned long number = strtoul(name, &end, 16);

	if (!*end && strlen(name) == 2)
		y->folders[number / 8] |= (uint8_t)(1u << (number % 8));
}

static int find_slots(struct recovery *y)
{
	struct spool_file *f = y->sp->file;

	if (f->list(f, "big", see_folder, y) < 0)
		return fault_sys(y->why, "reading the list of slots");
	for (unsigned i = 0; i < 256; i++) {
		char folder[8];

		if (!(y->folders[i / 8] >> (i % 8) & 1))
			continue;
		snprintf(folder, sizeof folder, "big/%02x", i);
		if (f->sync_dir(f, folder) < 0)
			return fault_sys(y->why, "syncing %s", folder);
		if (f->list(f, folder, see_slot, y) < 0)
			return fault_sys(y->why, "reading the list of slots");
	}
	return y->failed;
}

static int run(struct recovery *y)
{
	struct spool *sp = y->sp;
	struct spool_replay *r = y->replay;

	r->damage = damaged;
	r->arg = y;
	if (make_folders(sp, y->why) < 0 || spool_replay_open(r, y->why) < 0)
		return -1;
	sync_open_ends(sp, r);
	if (spool_replay_run(r, y->why) < 0 || find_slots(y) < 0)
		return -1;
	spool_replay_finished(r, finished, sp);
	return 0;
}

int spool_recover(struct spool *sp, struct fault *why)
{
	struct recovery y = { .sp = sp, .replay = spool_replay_new(sp->file, why), .why = why };
	int rc = -1;

	if (!y.replay)
		goto out;
	y.replay->keys = sp->rekey.keys;
	if (run(&y) < 0)
		goto out;
	if (adopt_all(sp, y.replay, why) < 0 || spool_replay_each(y.replay, found, &y, why) < 0)
		goto out;
	sp->slots.is_doubtful |= y.replay->damages > 0;
	rc = 0;
out:
	for (unsigned i = 1; sp->segments && i <= y.replay->nsegments; i++)
		if (sp->segments[i]) {
			sp->segments[i]->is_pinned = y.replay->segments[i].is_pinned;
			y.replay->segments[i].fd = -1; /* the spool's now */
		}
	spool_replay_free(&y.replay);
	return rc;
}
