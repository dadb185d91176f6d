/* layer: spool */
#include "../unit/memory_disk.c"

#include <stdio.h>

#include "rnd.h"
#include "spool_load.h"
#include "spool_record.h"

/*
 * Whole segments of any bytes through recovery. The first byte says whether checksums are mended
 * first (1), so that lies with honest checksums get as far as honest records do, whether mended
 * segments claim to be sealed (2), and whether the spool is (4); then two segments, half of the
 * rest each. What is found is touched, finished or left alone, the spool settles, is
 * closed and recovered again: the second time it finds the same living messages and nothing new to
 * complain about in what it wrote itself.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MOST = 4096, SEGMENTS = 2 };
enum { IS_MENDED = 1, IS_LOCKED = 2, IS_SEALING = 4 };

struct found {
	struct spool_handle handle;
	struct id id;
	uint16_t recipients;
	bool is_finished;
};

static struct found *all;
static unsigned count;
static struct spool_keys *keys;
static const uint8_t none[(SPOOL_RECIPIENTS + 7) / 8];

static void check(bool holds)
{
	if (!holds)
		abort();
}

static struct spool_handle *recovered(void *arg, const struct spool_found *found)
{
	(void)arg;
	if (count == MOST)
		return NULL;
	all[count] = (struct found){ .id = found->id, .recipients = found->accept->recipients };
	return &all[count++].handle;
}

static uint16_t state(void *arg, struct spool_handle *h, struct spool_state *out)
{
	(void)arg;
	*out = (struct spool_state){ none, none, STR("later") };
	return container_of(h, struct found, handle)->recipients;
}

static bool is_live(void *arg, const struct id *id)
{
	(void)arg, (void)id;
	return false;
}

static void room(void *arg)
{
	(void)arg;
}

static void damaged(void *arg, const struct spool_damage *d, const char *copy)
{
	(void)arg, (void)copy;
	check(d->segment <= SEGMENTS + 8);
}

static void failed(void *arg, const char *what, const struct fault *why)
{
	(void)arg, (void)what, (void)why;
}

/* Mending: every block that claims to begin a batch gets a head of this segment, its records get
 * sums and LSNs in order. */

/* mend_records - up to the first that cannot be one; the bytes they take */
static size_t mend_records(char *at, size_t n, uint32_t seed, struct spool_head *head)
{
	char *from = at;

	while (n >= SPOOL_RECORD_HEAD) {
		struct spool_record r;

		spool_record_peek(at, &r);
		if (r.type == 0 || r.length > n - SPOOL_RECORD_HEAD ||
		    spool_record_size(r.length) > n)
			break;
		spool_record_place(at, head->lsn + head->records++, r.ordinal);
		spool_record_sum(at, seed);
		at += spool_record_size(r.length);
		n -= spool_record_size(r.length);
	}
	return (size_t)(at - from);
}

static void mend(char *p, size_t n, uint32_t number, bool is_sealed, uint64_t *lsn)
{
	static const unsigned char data_key[SPOOL_CIPHER_KEY];

	struct spool_header h = {
		.number = number, .epoch = number, .salt = 7, .size = 128 * 1024
	};

	if (n < 2 * SPOOL_BLOCK)
		return;
	if (is_sealed)
		spool_key_wrap(spool_keys_current(keys), data_key, &h);
	spool_header_put(p, &h);
	spool_header_put(p + SPOOL_HEADER_COPY, &h);
	for (size_t at = SPOOL_BLOCK; at + SPOOL_BATCH_HEAD < n; at += SPOOL_BLOCK) {
		struct spool_head head = { h.epoch, h.salt, *lsn,   *lsn,
					   0,       0,      number, (uint32_t)(at / SPOOL_BLOCK) };
		size_t used;

		if (p[at] != 'M')
			continue;
		used = mend_records(p + at + SPOOL_BATCH_HEAD, n - at - SPOOL_BATCH_HEAD,
				    spool_seed(h.epoch, h.salt), &head);
		head.length = (uint32_t)(SPOOL_BATCH_HEAD + used);
		*lsn += head.records;
		spool_head_put(p + at, &head);
		at += used / SPOOL_BLOCK * SPOOL_BLOCK;
	}
}

static void put_segment(struct memory_disk *d, const uint8_t *data, size_t n, uint32_t number,
			unsigned how)
{
	static uint64_t lsn;
	char name[32], *copy = malloc(n ? n : 1);

	memcpy(copy, data, n);
	if (number == 1)
		lsn = 1;
	if (how & IS_MENDED)
		mend(copy, n, number, how & IS_LOCKED, &lsn);
	snprintf(name, sizeof name, "seg/%08u", number);
	memory_disk_set(d, name, copy, n);
	free(copy);
}

static void load_one(struct spool *sp, struct found *f)
{
	struct spool_load l = { .handle = &f->handle };
	volatile char sink;

	l.to = malloc(spool_load_size(&f->handle));
	check(spool_load(sp, &l) == STEP_DONE);
	check(id_is_eq(&l.id, &f->id));
	if (l.accept.header.n)
		sink = l.accept.header.p[l.accept.header.n - 1];
	(void)sink;
	free(l.to);
}

static unsigned use(struct spool *sp)
{
	unsigned left = 0;

	for (unsigned i = 0; i < count; i++) {
		load_one(sp, &all[i]);
		all[i].is_finished = i % 3 == 0;
		if (all[i].is_finished)
			spool_done(sp, &all[i].handle, &all[i].id);
		else if (i % 3 == 1)
			spool_touch(sp, &all[i].handle);
		left += !all[i].is_finished;
	}
	spool_settle(sp, 1000000);
	return left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct memory_disk disk;
	struct spool_options o = {
		.file = &disk.file,
		.owner = { NULL, recovered, state, is_live, room, damaged, failed },
		.segment_size = 128 * 1024,
		.segments = SEGMENTS + 6,
		.spare = 1,
		.slots = 2,
		.recent = 16,
		.keep_bytes = 1,
	};
	struct spool *sp;
	struct fault why;
	unsigned left;

	if (n < 1)
		return 0;
	if (!all) {
		all = calloc(MOST, sizeof *all);
		rnd_init();
		keys = spool_keys_new();
		keys->n = 1;
		spool_key_make(&keys->at[0]);
	}
	o.keys = keys;
	o.is_sealing = data[0] & IS_SEALING;
	memory_disk_init(&disk);
	put_segment(&disk, data + 1, (n - 1) / 2, 1, data[0]);
	put_segment(&disk, data + 1 + (n - 1) / 2, n - 1 - (n - 1) / 2, 2, data[0]);
	memory_disk_set(&disk, "big/00/0001", data, n < 1000 ? n : 1000);
	count = 0;
	sp = spool_open(&o, &why);
	if (sp) {
		left = use(sp);
		spool_close(&sp);
		count = 0;
		sp = spool_open(&o, &why);
		check(sp != NULL);
		check(count == left);
		spool_close(&sp);
	}
	memory_disk_fini(&disk);
	return 0;
}
