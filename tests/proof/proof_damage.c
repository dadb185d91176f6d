/* layer: spool wrap: mmap munmap */
/* Damage: each byte of a small spool flipped, each file cut at each length, blocks swapped, repeated,
 * put back from an earlier life, records that lie under valid checksums.
 *
 *   I7   a message is lost only when a byte of its own record or slot was touched, and then somebody
 *        is told, and told where; progress is forgotten only when a note was touched
 *   I12  recovery ends, and reads each byte of the files a bounded number of times
 *
 * Short: a sample of each kind. --long: all of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kept_pages.h"
#include "rnd.h"
#include "spool_batch.h"
#include "spool_record.h"
#include "spool_replay.h"
#include "spool_world.h"

enum { SPANS = 512, TOUCHED = 8, REPORTS = 64, READS_PER_BYTE = 4 };

struct span { /* of a file */
	char file[24];
	uint64_t from, to;
	int type; /* of a record; 0: the body in a slot */
	unsigned letter;
};

static struct world w, at, old, probe;
static struct span spans[SPANS], touched[TOUCHED];
static unsigned nspans, ntouched, changes, losses;
static struct spool_damage reports[REPORTS];
static unsigned nreports;
static uint64_t bytes_read;
static char what_now[256], last_segment[24];

static void fail(const char *what)
{
	printf("not ok damage: %s: %s\n", what_now, what);
	exit(1);
}

/* Reports and reads */

static void reported(void *arg, const struct spool_damage *d, const char *copy)
{
	(void)arg, (void)copy;
	if (nreports < REPORTS)
		reports[nreports++] = *d;
}

static ssize_t (*read_under)(struct spool_file *, int, void *, size_t, uint64_t);

static ssize_t count_read(struct spool_file *f, int fd, void *to, size_t n, uint64_t offset)
{
	ssize_t got = read_under(f, fd, to, n, offset);

	bytes_read += got > 0 ? (uint64_t)got : 0;
	return got;
}

/* The spool that is damaged: two segments with messages, notes about them, a slot, and behind the
 * tail what an earlier life left */

static void recycle(void)
{
	unsigned first = w.nletters;

	world_send(&w, 45000);
	world_send(&w, 45000);
	world_settle(&w);
	world_send(&w, 45000);
	world_settle(&w);
	for (unsigned i = first; i < w.nletters; i++)
		world_done(&w, &w.letters[i]);
	world_settle(&w);
	w.now += 2000000;
	world_settle(&w);
}

static void live(void)
{
	struct letter *l;

	world_open(&w);
	for (int i = 0; i < 3; i++)
		recycle();
	world_kill(&w);
	world_save(&old, &w);
	world_open(&w);
	recycle();
	for (int i = 0; i < 4; i++) {
		world_send(&w, 200 + (size_t)i * 700);
		world_settle(&w);
	}
	world_send(&w, 300); /* three in one batch */
	world_send(&w, 5000);
	l = world_send(&w, 400);
	world_settle(&w);
	world_send_slot(&w, 6000);
	world_settle(&w);
	world_touch(&w, l);
	world_settle(&w);
	world_bounce(&w, l, true);
	world_settle(&w);
	world_send(&w, 50000);
	world_send(&w, 30000);
	world_settle(&w);
	world_send(&w, 40000); /* and so into the next segment */
	world_settle(&w);
	world_send(&w, 1000);
	world_settle(&w);
	/* what is last proves nothing about itself: a note */
	world_touch(&w, &w.letters[w.nletters - 1]);
	world_settle(&w);
	spool_segment_path(last_segment, w.letters[w.nletters - 1].handle.segment);
	world_kill(&w);
	memory_disk_burn(&w.disk);
	world_save(&at, &w);
}

/* Where things are: read from the undamaged image */

static struct spool_replay *replay;

static void add_span(const char *file, uint64_t from, uint64_t n, int type, unsigned letter)
{
	struct span *s = &spans[nspans++];

	if (nspans > SPANS)
		fail("too many records");
	*s = (struct span){ .from = from, .to = from + n, .type = type, .letter = letter };
	snprintf(s->file, sizeof s->file, "%s", file);
}

static void see_record(void *arg, const struct spool_record *r, uint64_t offset)
{
	struct spool_accept accept;
	unsigned letter = WORLD_LETTERS;
	char path[24];

	if (r->type == SPOOL_ACCEPT)
		memcpy(&letter, r->id.b + 8, sizeof letter);
	add_span(arg, offset, spool_record_size(r->length), r->type, letter);
	if (r->type != SPOOL_ACCEPT || !spool_accept_get(r->payload, &accept) || accept.slot == 0)
		return;
	spool_slot_path(path, accept.slot);
	add_span(path, 0, accept.slot_length, 0, letter);
}

static void see_damage(void *arg, const struct spool_damage *d)
{
	(void)arg;
	fail(d->what);
}

static void find_spans(void)
{
	struct fault why;

	replay = spool_replay_new(&w.disk.file, &why);
	if (!replay || spool_replay_open(replay, &why) < 0)
		fail(why.text);
	for (unsigned i = 1; i <= replay->nsegments; i++) {
		struct spool_replay_segment *s = &replay->segments[i];
		char path[24];

		if (s->state != SPOOL_REPLAY_FREE)
			continue;
		spool_segment_path(path, i);
		replay->walk.fd = s->fd;
		replay->walk.header = s->header;
		replay->walk.size = s->size;
		replay->walk.end = spool_replay_is_closed(s) ? s->end.end : 0;
		replay->walk.record = see_record;
		replay->walk.damage = see_damage;
		replay->walk.arg = path;
		spool_walk(&replay->walk);
	}
	spool_replay_free(&replay);
}

/* A change, and what it may cost */

static void touch(const char *file, uint64_t from, uint64_t to)
{
	struct span *t = &touched[ntouched++];

	*t = (struct span){ .from = from, .to = to };
	snprintf(t->file, sizeof t->file, "%s", file);
	/* a segment without a whole first block is lost as a whole */
	if (strncmp(file, "seg/", 4) == 0 && from < SPOOL_BLOCK && to >= SPOOL_BLOCK)
		t->to = UINT64_MAX;
}

static bool covers(const struct span *t, const struct span *s)
{
	return strcmp(t->file, s->file) == 0 && t->from < s->to && s->from < t->to;
}

static bool is_touched(const struct span *s)
{
	for (unsigned i = 0; i < ntouched; i++)
		if (covers(&touched[i], s))
			return true;
	return false;
}

/* allow - what this change may cost */
static void allow(void)
{
	bool forgets = false;

	for (unsigned i = 0; i < nspans; i++) {
		struct span *s = &spans[i];

		if (!is_touched(s))
			continue;
		if (s->letter < WORLD_LETTERS)
			probe.letters[s->letter].answer = LETTER_UNSENT;
		else
			forgets = true;
	}
	for (unsigned i = 0; forgets && i < probe.nletters; i++) {
		probe.letters[i].is_gone = false;
		probe.letters[i].durable_version = 0;
	}
	for (unsigned i = 0; forgets && i < probe.nletters; i++)
		probe.letters[i].finishes = false; /* its half may be what was touched */
}

/* is_torn_tail - what one change took together with all that was written after it: as if it had never
 * been written, and nothing could tell */
static bool is_torn_tail(const struct span *s)
{
	const struct span *last = NULL;

	for (unsigned i = 0; i < nspans; i++)
		if (strcmp(spans[i].file, last_segment) == 0 &&
		    (!last || spans[i].from > last->from))
			last = &spans[i];
	for (unsigned i = 0; i < ntouched; i++)
		if (covers(&touched[i], s) && covers(&touched[i], last))
			return true;
	return false;
}

/* names - a report overlaps that place; from the header on: the whole file */
static bool names(const struct spool_damage *d, const struct span *s)
{
	return strncmp(s->file, "seg/", 4) == 0 && strtoul(s->file + 4, NULL, 10) == d->segment &&
	       (d->offset == 0 || (d->offset < s->to && s->from < d->offset + d->length));
}

/* is_told - its place is named, or one that was changed with it: a block that was moved is told where
 * it lies now */
static bool is_told(const struct span *s)
{
	if (is_torn_tail(s))
		return true;
	for (unsigned i = 0; i < nreports; i++) {
		if (names(&reports[i], s) || s->type == 0)
			return true;
		for (unsigned t = 0; t < ntouched; t++)
			if (names(&reports[i], &touched[t]))
				return true;
	}
	return false;
}

/* tell_losses - what was acknowledged, touched and is not there has been named by its place */
static void tell_losses(void)
{
	for (unsigned i = 0; i < nspans; i++) {
		const struct span *s = &spans[i];

		if (s->letter >= WORLD_LETTERS || !is_touched(s) || w.letters[s->letter].is_gone ||
		    probe.letters[s->letter].found > 0)
			continue;
		losses++;
		if (!is_told(s))
			fail("a message is lost, and nobody is told where");
	}
}

/* A body in a slot is summed when something else is damaged, and by `spool verify`: recovery does not
 * read every slot. What such a change did is seen by the latter. */

static int find_trouble(void *arg, const struct spool_replay_view *v)
{
	*(unsigned *)arg += v->slot_trouble != NULL;
	return 0;
}

static void see_nothing(void *arg, const struct spool_damage *d)
{
	(void)arg, (void)d;
}

static bool is_verified(void)
{
	struct fault why;
	struct spool_replay *r = spool_replay_new(&probe.disk.file, &why);
	unsigned troubles = 0;

	r->is_checking = true;
	r->damage = see_nothing;
	if (spool_replay_open(r, &why) < 0 || spool_replay_run(r, &why) < 0 ||
	    spool_replay_each(r, find_trouble, &troubles, &why) < 0)
		fail(why.text);
	spool_replay_free(&r);
	return troubles == 0;
}

/* forgive_slots - whose bodies were touched; found alive all the same, they do not verify */
static void forgive_slots(void)
{
	for (unsigned i = 0; i < nspans; i++) {
		struct letter *l = &probe.letters[spans[i].letter];

		if (spans[i].type != 0 || !is_touched(&spans[i]) || l->found == 0)
			continue;
		if (!world_reads(&probe, l) && is_verified())
			fail("a body is not what was sent, and verify does not see it");
		l->found = 0;
	}
}

static uint64_t bytes_of(const struct memory_disk *d)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < d->nfiles; i++)
		n += d->files[i].is_linked ? d->files[i].size : 0;
	return n;
}

static void begin(void)
{
	spool_close(&probe.spool);
	world_save(&probe, &at);
	if (probe.disk.file.read != count_read) {
		read_under = probe.disk.file.read;
		probe.disk.file.read = count_read;
	}
	ntouched = 0;
}

static void judge(void)
{
	const char *wrong;
	uint64_t most;

	memory_disk_burn(&probe.disk);
	most = READS_PER_BYTE * bytes_of(&probe.disk) + 64 * SPOOL_BLOCK;
	allow();
	changes++;
	nreports = 0;
	bytes_read = 0;
	if (!world_open(&probe))
		fail(probe.why.text);
	if (bytes_read > most)
		fail("recovery read the files more than a few times");
	tell_losses();
	forgive_slots();
	wrong = world_check(&probe);
	if (wrong)
		fail(wrong);
}

static struct memory_file *file_at(unsigned i)
{
	return &probe.disk.files[i];
}

/* The changes */

static void flip(unsigned file, uint64_t byte)
{
	struct memory_file *m;

	begin();
	m = file_at(file);
	snprintf(what_now, sizeof what_now, "byte %llu of %s flipped", (unsigned long long)byte,
		 m->name);
	m->now[byte] ^= (uint8_t)(1u << byte % 8);
	touch(m->name, byte, byte + 1);
	judge();
}

static void cut(unsigned file, uint64_t length)
{
	struct memory_file *m;

	begin();
	m = file_at(file);
	snprintf(what_now, sizeof what_now, "%s cut at %llu", m->name, (unsigned long long)length);
	touch(m->name, length, m->size);
	memset(m->now + length, 0, m->size - length);
	m->size = length;
	judge();
}

/* put_block - over block `to` of that file, `with` of another, or of an earlier life */
static void put_block(struct memory_file *to, unsigned block, const uint8_t *with)
{
	memcpy(to->now + (size_t)block * SPOOL_BLOCK, with, SPOOL_BLOCK);
	touch(to->name, (uint64_t)block * SPOOL_BLOCK, (uint64_t)(block + 1) * SPOOL_BLOCK);
}

struct place { /* a block of a segment */
	unsigned file, block;
};

static void swap_blocks(struct place a, struct place b, bool both)
{
	struct memory_file *one, *other;
	uint8_t kept[SPOOL_BLOCK];

	begin();
	one = file_at(a.file);
	other = file_at(b.file);
	snprintf(what_now, sizeof what_now, "block %u of %s %s block %u of %s", a.block, one->name,
		 both ? "swapped with" : "written over", b.block, other->name);
	memcpy(kept, other->now + (size_t)b.block * SPOOL_BLOCK, SPOOL_BLOCK);
	put_block(other, b.block, one->now + (size_t)a.block * SPOOL_BLOCK);
	if (both)
		put_block(one, a.block, kept);
	judge();
}

/* splice - blocks of an earlier life come back: a write that was lost, or went elsewhere */
static void splice(struct place from, struct place to, unsigned count)
{
	struct memory_file *m;
	const uint8_t *source = old.disk.files[from.file].now;

	if (old.disk.files[from.file].size / SPOOL_BLOCK < from.block + count)
		return; /* it was not there then */
	begin();
	m = file_at(to.file);
	snprintf(what_now, sizeof what_now, "%u blocks from %u of an earlier %s in %s at %u", count,
		 from.block, old.disk.files[from.file].name, m->name, to.block);
	for (unsigned i = 0; i < count; i++)
		memcpy(m->now + (size_t)(to.block + i) * SPOOL_BLOCK,
		       source + (size_t)(from.block + i) * SPOOL_BLOCK, SPOOL_BLOCK);
	touch(m->name, (uint64_t)to.block * SPOOL_BLOCK,
	      (uint64_t)(to.block + count) * SPOOL_BLOCK);
	judge();
}

static uint64_t seed = 1;

static uint64_t next(uint64_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 24) % below;
}

/* lie - a batch whose sums are right and whose records say anything, behind the tail. What it says
 * counts, for it is signed: that it does no harm to the reader is all that can be asked. */
static void lie(unsigned file, unsigned block)
{
	struct memory_file *m;
	struct spool_header h;
	struct spool_head head;
	char *p;
	size_t used = SPOOL_BATCH_HEAD;

	begin();
	m = file_at(file);
	snprintf(what_now, sizeof what_now, "lies at block %u of %s", block, m->name);
	if (spool_header_pick((const char *)m->now, &h) < 0)
		return;
	p = (char *)m->now + (size_t)block * SPOOL_BLOCK;
	head = (struct spool_head){ h.epoch, h.salt, 1000000,  1000000 * next(2),
				    0,       0,      h.number, block };
	while (next(6)) {
		struct spool_record r = { .type = (uint16_t)(1 + next(9)),
					  .length = (uint32_t)next(300) };

		if (next(8) == 0)
			r.flags = (uint16_t)next(4);
		if ((size_t)block * SPOOL_BLOCK + used + spool_record_size(r.length) > m->size)
			break;
		spool_record_put(p + used, &r);
		for (uint32_t i = 0; i < r.length; i++)
			p[used + SPOOL_RECORD_HEAD + i] = (char)(next(3) ? next(8) : next(256));
		spool_record_place(p + used, head.lsn + head.records++,
				   next(4) ? (uint32_t)next(40)
					   : (uint32_t)next(UINT64_C(1) << 32));
		spool_record_sum(p + used, spool_seed(h.epoch, h.salt));
		used += spool_record_size(r.length);
	}
	head.length = (uint32_t)used;
	spool_head_put(p, &head);
	memory_disk_burn(&probe.disk);
	changes++;
	bytes_read = 0;
	probe.nletters = WORLD_LETTERS; /* what it finds by itself is nobody's */
	if (world_open(&probe) &&
	    bytes_read > READS_PER_BYTE * bytes_of(&probe.disk) + 64 * SPOOL_BLOCK)
		fail("recovery read the files more than a few times");
	spool_close(&probe.spool);
	probe.nletters = at.nletters;
}

static bool is_segment(unsigned i)
{
	const struct memory_file *m = &at.disk.files[i];

	return m->is_linked && m->size > 0 && strncmp(m->name, "seg/", 4) == 0;
}

static void each_byte(unsigned step)
{
	for (unsigned f = 0; f < at.disk.nfiles; f++)
		for (uint64_t b = 0; at.disk.files[f].is_linked && b < at.disk.files[f].size;
		     b += 1 + (step > 1 ? next(2 * step) : 0))
			flip(f, b);
}

static void each_length(unsigned step)
{
	for (unsigned f = 0; f < at.disk.nfiles; f++)
		for (uint64_t b = 0; at.disk.files[f].is_linked && b < at.disk.files[f].size;
		     b += 1 + (step > 1 ? next(2 * step) : 0))
			cut(f, b);
}

static struct place any_place(void)
{
	struct place p;

	do
		p.file = (unsigned)next(at.disk.nfiles);
	while (!is_segment(p.file));
	p.block = (unsigned)next(at.disk.files[p.file].size / SPOOL_BLOCK);
	return p;
}

static void some_blocks(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		struct place a = any_place(), b = any_place();
		unsigned left = (unsigned)(at.disk.files[b.file].size / SPOOL_BLOCK) - b.block;

		swap_blocks(a, b, true);
		swap_blocks(a, b, false);
		splice(a, b, 1);
		splice(b, b, 1 + (unsigned)next(left));
		b.block = b.block ? b.block : 1;
		lie(b.file, b.block);
	}
}

int main(int argc, char **argv)
{
	bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;

	rnd_init();
	world_init(&w);
	world_init(&at);
	world_init(&old);
	world_init(&probe);
	live();
	find_spans();
	world_save(&probe, &at);
	probe.options.owner.damaged = reported;
	probe.options.owner.arg = &probe;
	each_byte(is_long ? 1 : 300);
	printf("proof: %u bytes flipped, %u messages lost and named\n", changes, losses);
	each_length(is_long ? 37 : 900);
	printf("proof: %u changes with the lengths\n", changes);
	some_blocks(is_long ? 20000 : 300);
	printf("proof: %u changes with blocks and lies, %u messages lost and named, %llu bytes in "
	       "the files\n",
	       changes, losses, (unsigned long long)bytes_of(&at.disk));
	spool_close(&probe.spool);
	world_fini(&probe);
	world_fini(&old);
	world_fini(&at);
	world_fini(&w);
	return 0;
}
