/* layer: spool wrap: malloc calloc realloc mmap munmap */
/* Torture: every file call of the spool fails, once and from then on for ever, with every error and
 * short; every allocation too. Nothing said durable is lost, nothing refused comes back (but where
 * not even the note that voids it could be written), nobody is told 5xx, nothing leaks, no crash.
 *
 * A scenario is a row of the table: prepare() makes a disk, act() lives on it while a call fails.
 * What core/spool learns to do goes into act(): tests/proof/torture.py fails when a call of its
 * source was never made to fail here. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_sites.h"
#include "rnd.h"
#include "spool_batch.h"
#include "spool_world.h"

enum { SHORT = -1 };

static struct world w;
static unsigned long runs;
static const char *now = "";

static void fail(const char *how, unsigned n, const char *what)
{
	printf("not ok torture: %s, %s at call %u: %s\n", now, how, n, what);
	exit(1);
}

/* Scenarios */

static struct letter *oldest(void)
{
	for (unsigned i = 0; i < w.nletters; i++)
		if (w.letters[i].is_live && !w.letters[i].is_replacing)
			return &w.letters[i];
	return NULL;
}

static void ignore(void *arg)
{
	(void)arg;
}

/* given_up - a body that never becomes a message, written in pieces */
static void given_up(void)
{
	struct spool_refusal why;
	struct spool_slot *slot = spool_slot_open(w.spool, ignore, NULL, &why);

	if (!slot)
		return;
	spool_slot_append(w.spool, slot, STR("half of a body"));
	world_turn(&w, 2);
	spool_slot_append(w.spool, slot, STR(", and no more"));
	spool_slot_abort(w.spool, &slot);
}

static void load_done(struct spool_load *l, bool is_good)
{
	(void)is_good;
	free(l->to);
	free(l);
}

static void read_done(struct spool_read *r, bool is_good)
{
	(void)is_good;
	free(r->to);
	free(r);
}

/* read_cold - what the page cache does not have; whether it works, the failing call decides */
static void read_cold(struct letter *l)
{
	struct spool_load *load = calloc(1, sizeof *load);
	struct spool_read *read = calloc(1, sizeof *read);

	w.disk.is_cold = true;
	load->handle = &l->handle;
	load->to = malloc(spool_load_size(&l->handle));
	load->done = load_done;
	if (spool_load(w.spool, load) != STEP_MORE)
		load_done(load, true);
	read->handle = &l->handle;
	read->to = malloc(l->in_slot + 1);
	read->length = l->in_slot;
	read->done = read_done;
	if (l->in_slot == 0 || spool_read(w.spool, read) != STEP_MORE)
		read_done(read, true);
	w.disk.is_cold = false;
	world_turn(&w, 2);
}

static void one_day(int i)
{
	struct letter *l;

	if (i % 4 == 2)
		world_send_slot(&w, 3000);
	world_send(&w, i % 3 ? 300 : 20000);
	world_turn(&w, 2);
	l = oldest();
	if (l && i % 4 == 1)
		world_touch(&w, l);
	if (l && i % 4 == 2)
		world_bounce(&w, l, i % 8 == 2);
	if (l && i % 4 == 3)
		world_done(&w, l);
	w.now += 60000;
	world_turn(&w, 2);
}

/* live - with everything in it; stops where the spool will not go on */
static void live(void)
{
	if (!world_open(&w))
		return;
	for (int i = 0; i < 12; i++) {
		struct letter *l;

		one_day(i);
		if (i == 5)
			given_up();
		l = oldest();
		if (l && i % 5 == 3)
			read_cold(l);
		if (i != 7)
			continue;
		world_settle(&w);
		world_kill(&w);
		if (!world_open(&w))
			return;
	}
	world_settle(&w);
	w.now += 5000000;
	world_settle(&w);
}

static void nothing(void)
{
}

static void flip(const char *name, uint64_t at)
{
	struct memory_file *m = memory_disk_find(&w.disk, name);

	assert(m && at < m->size);
	m->now[at] ^= 0x10;
	memory_disk_burn(&w.disk);
}

static void expect_loss(struct letter *l)
{
	l->answer = LETTER_UNSENT;
}

/* hurt - a spool with a damaged message between good ones, a slot that lost its bytes, one header of
 * two, a segment whose making was interrupted */
static void hurt(void)
{
	struct letter *bad, *gone;
	static const char zeros[2 * SPOOL_BLOCK];

	assert(world_open(&w));
	world_send(&w, 300);
	world_settle(&w);
	bad = world_send(&w, 9000);
	world_settle(&w);
	world_send(&w, 300);
	gone = world_send_slot(&w, 3000);
	world_settle(&w);
	world_send(&w, 300);
	world_touch(&w, &w.letters[0]);
	world_settle(&w);
	flip("seg/00000001", bad->handle.offset + 4000);
	flip("seg/00000001", 2048 + 20);
	flip("big/00/0001", 1000);
	expect_loss(bad);
	expect_loss(gone);
	world_kill(&w);
	memory_disk_set(&w.disk, "seg/00000007", zeros, sizeof zeros);
	memory_disk_set(&w.disk, "seg/00000006", "not a segment at all", 20);
}

/* mourn - start on it, and go on */
static void mourn(void)
{
	if (!world_open(&w))
		return;
	world_send(&w, 300);
	world_settle(&w);
	w.now += 5000000;
	world_settle(&w);
}

/* begin_long_segment - one that is longer than what is filled before it serves */
static void begin_long_segment(void)
{
	w.options.segment_size = 2 * (uint64_t)SPOOL_BODY_MAX + 1024 * 1024;
	assert(world_open(&w));
}

static void live_in_it(void)
{
	world_send(&w, 300);
	world_settle(&w);
	w.now += 2000000;
	world_settle(&w);
}

/* turn_to_sealing - messages of a plain life, and from now on it is sealed */
static void turn_to_sealing(void)
{
	assert(world_open(&w));
	world_send(&w, 300);
	world_send_slot(&w, 3000);
	world_settle(&w);
	world_kill(&w);
	world_seal(&w);
}

static void mourned(const char *how, unsigned n)
{
	unsigned copies = 0;

	for (unsigned i = 0; i < w.disk.nfiles; i++)
		copies += w.disk.files[i].is_durable &&
			  strncmp(w.disk.files[i].name, "corrupt/", 8) == 0;
	if (copies == 0)
		fail(how, n, "what was damaged is kept nowhere");
}

static void unhurt(const char *how, unsigned n)
{
	if (w.damages)
		fail(how, n, w.last_damage);
}

static const struct scenario {
	const char *name;
	void (*prepare)(void);
	void (*act)(void);
	void (*check)(const char *how, unsigned n);
	bool is_costly; /* one error will do: the spool does not ask which it was */
} scenarios[] = {
	{ "a life", nothing, live, unhurt, false },
	{ "a damaged spool", hurt, mourn, mourned, false },
	{ "a life that is sealed", turn_to_sealing, live, unhurt, true },
	{ "a long segment", begin_long_segment, live_in_it, unhurt, true },
};

/* Running them */

static void begin(const struct scenario *s)
{
	world_init(&w);
	call_sites_disk(&w.disk);
	s->prepare();
	heap.calls = 0;
}

static void check_codes(const char *how, unsigned n)
{
	for (unsigned i = 0; i < w.nletters; i++)
		if (w.letters[i].answer == LETTER_REFUSED && w.letters[i].code != 451 &&
		    w.letters[i].code != 452)
			fail(how, n, "an answer that is neither 451 nor 452");
}

/* check - with a disk and a heap that work again */
static void check(const struct scenario *s, const char *how, unsigned n, bool may_return)
{
	const char *wrong;

	runs++;
	check_codes(how, n);
	if (!world_open(&w))
		fail(how, n, w.why.text);
	for (unsigned i = 0; may_return && i < w.nletters; i++)
		if (w.letters[i].answer == LETTER_REFUSED)
			w.letters[i].answer = LETTER_UNSENT;
	wrong = world_check(&w);
	if (wrong)
		fail(how, n, wrong);
	world_settle(&w);
	if (!spool_is_idle(w.spool))
		fail(how, n, "it does not come to rest");
	s->check(how, n);
	world_fini(&w);
}

static void fail_call(const struct scenario *s, unsigned n, int code, bool for_ever)
{
	char how[64];

	snprintf(how, sizeof how, "%s %s", code == SHORT ? "short" : strerror(code),
		 for_ever ? "for ever" : "once");
	for (uint64_t keep = 0; keep < 2; keep++) {
		begin(s);
		w.disk.fail_at = w.disk.calls + n;
		w.disk.fails_short = code == SHORT;
		w.disk.fail_errno = code;
		w.disk.fails_for_ever = for_ever;
		w.disk.failed_sync_keeps = keep;
		s->act();
		world_crash(&w, keep - 1);
		check(s, how, n, for_ever);
	}
}

static void fail_heap(const struct scenario *s, unsigned n, bool for_ever)
{
	begin(s);
	heap.fail_at = n;
	heap.fails_for_ever = for_ever;
	s->act();
	heap.fail_at = 0;
	world_crash(&w, UINT64_MAX);
	check(s, for_ever ? "no memory any more" : "no memory once", n, false);
}

static void count(const struct scenario *s, unsigned *calls, unsigned *heap_calls)
{
	unsigned before;

	begin(s);
	before = w.disk.calls;
	s->act();
	*calls = w.disk.calls - before;
	*heap_calls = heap.calls;
	world_fini(&w);
}

static void torture(const struct scenario *s)
{
	static const int codes[] = { EIO, ENOSPC, EINTR, SHORT, EDQUOT, EACCES };
	unsigned calls, heap_calls;

	now = s->name;
	count(s, &calls, &heap_calls);
	printf("proof: %s: %u file calls, %u allocations\n", s->name, calls, heap_calls);
	fflush(stdout);
	for (size_t c = 0; c < (s->is_costly ? 1 : COUNT(codes)); c++)
		for (unsigned n = 1; n <= calls; n++) {
			fail_call(s, n, codes[c], false);
			fail_call(s, n, codes[c], true);
		}
	for (unsigned n = 1; n <= heap_calls; n++) {
		fail_heap(s, n, false);
		fail_heap(s, n, true);
	}
}

/* proof_torture [--sites FILE] */
int main(int argc, char **argv)
{
	rnd_init();
	for (size_t i = 0; i < COUNT(scenarios); i++)
		torture(&scenarios[i]);
	if (argc > 2 && strcmp(argv[argc - 2], "--sites") == 0)
		call_sites_list(argv[argc - 1]);
	printf("proof: %lu runs in which something failed\n", runs);
	return 0;
}
