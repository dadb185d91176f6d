/* layer: spool wrap: mmap munmap */
/* The model: the spool over a disk that forgets what was not synced. Scripts of operations, the
 * power off before every file call, every subset of up to EXHAUSTIVE unsynced sectors kept, beyond
 * that some subsets; then recovery, which is interrupted as well, and what it gives is compared
 * with a reference that knows nothing of the spool (spool_prefix.h) and with what each message was
 * told (spool_world.h).
 *
 *   I1 I4 I6   what is found is the replay of a prefix of the log that has all that was acknowledged
 *   I2         no block that a sync made durable is written again in its epoch (see watch())
 *   I3         recovering twice gives the same; recovering after an interrupted recovery too
 *   I5 I13     nothing durably finished comes back, no state is older than what was durable
 *   I7         a crash alone is never reported as damage
 *   I8         nothing is found twice, nothing that was refused, nothing with other contents
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kept_pages.h"
#include "rnd.h"
#include "spool_prefix.h"
#include "spool_record.h"
#include "spool_world.h"

enum { EXHAUSTIVE = 8, SUBSETS = 6, SCRIPT_MAX = 8 };

/* clang-format off */
static const char alphabet[] =
	"s"  /* a small message, until it is durable */
	"p"  /* a small message, and go on at once */
	"S"  /* a message whose body is in a slot */
	"f"  /* the oldest is finished: delivered or dropped */
	"t"  /* the oldest is deferred: its state changes */
	"r"  /* the oldest is finished by a bounce */
	"u"  /* one recipient of the oldest fails: a bounce and a new state */
	"c"  /* the current segment is filled and closed; what can be freed is */
	"!"  /* everything settles */
	"k"; /* the process is killed and recovers */
/* clang-format on */

struct scene { /* a world, and what the reference says about it */
	struct world w;
	struct prefix p;
	bool is_dull; /* the last operation had nothing to act on */
};

static struct scene now, at, probe;
static unsigned long long states, crashes, scripts;
static const char *script_now = "";
static unsigned call_now;
static uint64_t keep_now;

static void fail(const char *what)
{
	printf("not ok model: %s\n  script \"%s\", power off at call %u, kept %016llx\n", what,
	       script_now, call_now, (unsigned long long)keep_now);
	exit(1);
}

/* The same script makes the same bytes. */

static uint64_t chance;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 29;
}

static const char *chance_name(void)
{
	return "repeatable";
}

static uint32_t chance_number(void)
{
	return (uint32_t)mix(chance += UINT64_C(0x9e3779b97f4a7c15));
}

static void chance_fill(void *to, const size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = (uint8_t)chance_number();
}

static struct randombytes_implementation repeatable = { .implementation_name = chance_name,
							.random = chance_number,
							.buf = chance_fill };

/* Watching: I2 */

static uint8_t is_written[MEMORY_FILES][256]; /* by block of a segment: synced, in this epoch */
static ssize_t (*write_under)(struct spool_file *, int, const struct iovec *, int, uint64_t);
static int (*open_under)(struct spool_file *, const char *, enum spool_file_mode);
static int (*sync_under)(struct spool_file *, int);
static int segment_of_fd[4096]; /* 0: not a segment */

static int watch_open(struct spool_file *f, const char *path, enum spool_file_mode mode)
{
	int fd = open_under(f, path, mode);

	if (fd >= 0)
		segment_of_fd[fd] = strncmp(path, "seg/", 4) == 0 ? atoi(path + 4) : 0;
	return fd;
}

static bool is_zero(const struct iovec *v, int n)
{
	for (int i = 0; i < n; i++)
		if (!sodium_is_zero(v[i].iov_base, v[i].iov_len))
			return false;
	return true;
}

static uint8_t *blocks_of(int fd)
{
	return is_written[segment_of_fd[fd]];
}

static ssize_t watch_write(struct spool_file *f, int fd, const struct iovec *v, int n,
			   uint64_t offset)
{
	uint8_t *blocks = blocks_of(fd);
	uint64_t end = offset;

	for (int i = 0; i < n; i++)
		end += v[i].iov_len;
	if (segment_of_fd[fd] && offset < SPOOL_BLOCK && !is_zero(v, n))
		memset(blocks, 0, sizeof is_written[0]); /* a new epoch, or the same header again */
	else if (segment_of_fd[fd] && !is_zero(v, n))
		for (uint64_t b = offset / SPOOL_BLOCK; b * SPOOL_BLOCK < end; b++) {
			if (blocks[b] == 2)
				fail("I2: a block with acknowledged bytes is written again");
			blocks[b] = 1;
		}
	return write_under(f, fd, v, n, offset);
}

static int watch_sync(struct spool_file *f, int fd)
{
	int rc = sync_under(f, fd);

	for (unsigned b = 0; rc == 0 && segment_of_fd[fd] && b < sizeof is_written[0]; b++)
		if (blocks_of(fd)[b])
			blocks_of(fd)[b] = 2;
	return rc;
}

static void watch(struct scene *s)
{
	struct spool_file *f = &s->w.disk.file;

	memset(is_written, 0, sizeof is_written);
	if (f->write == watch_write)
		return; /* copied from one that is watched */
	write_under = f->write;
	open_under = f->open;
	sync_under = f->sync;
	f->write = watch_write;
	f->open = watch_open;
	f->sync = watch_sync;
}

/* What the reference is told */

static unsigned number_of(struct scene *s, const struct letter *l)
{
	return (unsigned)(l - s->w.letters);
}

static const struct prefix_change nothing;

static void tell(struct scene *s, enum prefix_what what, const struct letter *l)
{
	prefix_add(&s->p, (struct prefix_change){ what, number_of(s, l), l->version }, nothing);
}

static void tell_answers(struct scene *s)
{
	for (unsigned i = 0; i < s->w.nletters; i++) {
		struct letter *l = &s->w.letters[i];

		if (l->answer == LETTER_REFUSED)
			fail("a message is refused, and nothing is wrong");
		if (l->answer != LETTER_DURABLE)
			continue;
		if (s->p.is_afloat[i]) {
			s->p.is_afloat[i] = false;
			tell(s, PREFIX_ARRIVES, l);
		}
		prefix_durable(&s->p, i);
	}
}

static void found(struct scene *s, struct prefix_fact facts[PREFIX_LETTERS])
{
	memset(facts, 0, PREFIX_LETTERS * sizeof *facts);
	for (unsigned i = 0; i < s->w.nletters; i++)
		facts[i] = (struct prefix_fact){ s->w.letters[i].found > 0,
						 s->w.letters[i].found_version };
}

/* Operations */

static struct letter *oldest(struct scene *s)
{
	for (unsigned i = 0; i < s->w.nletters; i++)
		if (s->w.letters[i].is_live && !s->w.letters[i].is_replacing)
			return &s->w.letters[i];
	return NULL;
}

static void send(struct scene *s, size_t body)
{
	struct letter *l = world_send(&s->w, body);

	if (l)
		tell(s, PREFIX_ARRIVES, l);
	else if (!s->w.disk.is_off)
		fail("no room for a message");
}

static void send_slot(struct scene *s)
{
	struct letter *l = world_send_slot(&s->w, 1500);

	s->is_dull = !l;
	if (l)
		s->p.is_afloat[number_of(s, l)] = true;
}

static void bounce(struct scene *s, struct letter *l, bool is_done)
{
	struct letter *b = world_bounce(&s->w, l, is_done);
	struct prefix_change of = { is_done ? PREFIX_FINISHES : PREFIX_REACHES, number_of(s, l),
				    l->version };

	if (b)
		prefix_add(&s->p, of, (struct prefix_change){ PREFIX_ARRIVES, number_of(s, b), 0 });
	else if (!s->w.disk.is_off)
		fail("no room for a bounce");
}

static void settle(struct scene *s)
{
	world_settle(&s->w);
	tell_answers(s);
	if (!s->w.disk.is_off)
		prefix_settled(&s->p);
}

static void finish(struct scene *s, struct letter *l)
{
	world_done(&s->w, l);
	tell(s, PREFIX_FINISHES, l);
}

/* close_segment - messages that do not fit into one, gone as soon as they are there */
static void close_segment(struct scene *s)
{
	unsigned first = s->w.nletters;

	for (int i = 0; i < 3; i++) {
		send(s, 45000);
		if (i > 0)
			settle(s);
	}
	for (unsigned i = first; i < s->w.nletters && !s->w.disk.is_off; i++)
		finish(s, &s->w.letters[i]);
	settle(s);
	s->w.now += 2000000;
	settle(s);
}

static void open_scene(struct scene *s)
{
	struct prefix_fact facts[PREFIX_LETTERS];
	const char *wrong;

	states++;
	if (!world_open(&s->w))
		fail(s->w.why.text);
	if (s->w.damages)
		fail(s->w.last_damage);
	wrong = world_check(&s->w);
	if (wrong)
		fail(wrong);
	found(s, facts);
	if (!prefix_allows(&s->p, facts))
		fail("I4: what is found is no prefix of what was done");
	prefix_rebase(&s->p, facts);
}

/* restart - the page cache outlives it; the power may go off while it recovers */
static void restart(struct scene *s)
{
	struct prefix_fact facts[PREFIX_LETTERS];
	unsigned off_at = s->w.disk.off_at;

	world_kill(&s->w);
	s->w.disk.off_at = off_at;
	if (!off_at) {
		open_scene(s);
	} else if (world_open(&s->w) && !s->w.disk.is_off) {
		found(s, facts);
		prefix_rebase(&s->p, facts);
	}
}

static void act(struct scene *s, char op, struct letter *l)
{
	if (op == 'f')
		finish(s, l);
	if (op == 't') {
		world_touch(&s->w, l);
		tell(s, PREFIX_REACHES, l);
	}
	if (op == 'r' || op == 'u')
		bounce(s, l, op == 'r');
	world_turn(&s->w, 1);
	tell_answers(s);
}

static void step(struct scene *s, char op)
{
	struct letter *l = oldest(s);

	s->is_dull = false;
	if (op == '!')
		settle(s);
	else if (op == 'k')
		restart(s);
	else if (op == 'c')
		close_segment(s);
	else if (op == 's' || op == 'p')
		send(s, 300);
	else if (op == 'S')
		send_slot(s);
	else if (l)
		act(s, op, l);
	else
		s->is_dull = true;
	if (op != 's' && op != 'S')
		return;
	world_turn(&s->w, op == 's' ? 2 : 4);
	tell_answers(s);
}

/* run - the script in a new world, until the power goes off; the calls made before its last
 * operation, and in all */
static unsigned run(const char *script, unsigned off_at, unsigned *before)
{
	unsigned calls;

	world_fini(&now.w);
	world_init(&now.w);
	memset(&now.p, 0, sizeof now.p);
	watch(&now);
	now.w.disk.off_at = off_at;
	now.is_dull = false;
	chance = 0;
	*before = 0;
	if (world_open(&now.w))
		for (; *script && !now.w.disk.is_off && now.w.spool; script++) {
			*before = now.w.disk.calls;
			step(&now, *script);
		}
	calls = now.w.disk.calls;
	spool_close(&now.w.spool);
	return calls;
}

/* After a crash */

static void copy(struct scene *to, const struct scene *from)
{
	spool_close(&to->w.spool);
	world_save(&to->w, &from->w);
	to->p = from->p;
	watch(to);
}

/* recover_and_go_on - recover, recover again, accept something, and crash again: the second crash
 * loses nothing that came after the first. Returns the calls of one recovery. */
static unsigned recover_and_go_on(uint64_t keep)
{
	uint64_t live;
	unsigned calls;

	copy(&probe, &at);
	world_crash(&probe.w, keep);
	calls = probe.w.disk.calls;
	open_scene(&probe);
	calls = probe.w.disk.calls - calls;
	live = world_stats(&probe.w).live;
	restart(&probe);
	if (world_stats(&probe.w).live != live)
		fail("I3: recovering twice gives something else");
	send(&probe, 700);
	settle(&probe);
	world_crash(&probe.w, ~keep);
	open_scene(&probe);
	return calls;
}

/* interrupted - the power goes off while it recovers, in every state at another one of its calls */
static void interrupted(uint64_t keep, unsigned calls)
{
	static unsigned turn;

	copy(&probe, &at);
	world_crash(&probe.w, keep);
	probe.w.disk.off_at = probe.w.disk.calls + 1 + turn++ % calls;
	world_open(&probe.w);
	world_crash(&probe.w, mix(keep + turn));
	open_scene(&probe);
}

/* killed - the process alone dies at that call: the cache outlives it, also what its next sync would
 * have made durable; what is accepted after that must survive a power cut */
static void killed(uint64_t keep)
{
	copy(&probe, &at);
	world_kill(&probe.w);
	open_scene(&probe);
	send(&probe, 700);
	send_slot(&probe);
	settle(&probe);
	world_crash(&probe.w, keep);
	open_scene(&probe);
}

static void after(uint64_t keep)
{
	crashes++;
	keep_now = keep;
	interrupted(keep, recover_and_go_on(keep));
}

static void all_ways(unsigned samples, uint64_t seed)
{
	unsigned n = memory_disk_unsynced(&at.w.disk);

	if (n <= EXHAUSTIVE && (samples == 0 || 1u << n <= samples)) {
		for (uint64_t keep = 0; keep < UINT64_C(1) << n; keep++)
			after(keep);
		return;
	}
	after(0);
	after(UINT64_MAX);
	for (unsigned i = 0; i < (samples ? samples : SUBSETS); i++)
		after(mix(seed + i * UINT64_C(0x9e3779b97f4a7c15) + call_now));
}

static void crash_at(const char *script, unsigned call, unsigned samples, uint64_t seed)
{
	unsigned before;

	script_now = script;
	call_now = call;
	run(script, call, &before);
	copy(&at, &now);
	keep_now = 0;
	killed(0);
	all_ways(samples, seed);
}

/* Every script */

struct part { /* of a run that is shared between processes */
	unsigned index, of;
};

/* grow - every script that begins with this one, up to `depth`; the crashes of its last operation,
 * for those before it belong to a shorter script */
static void grow(char *script, unsigned n, unsigned depth, const struct part *part)
{
	unsigned before, calls = run(script, 0, &before);

	if (now.is_dull)
		return; /* as if it were not there */
	if (n < 2 || scripts++ % part->of == part->index)
		for (unsigned call = before + 1; call <= calls + 1; call++)
			crash_at(script, call, 0, 0);
	if (n == depth)
		return;
	for (const char *op = alphabet; *op; op++) {
		script[n] = *op;
		script[n + 1] = 0;
		grow(script, n + 1, depth, part);
	}
	script[n] = 0;
}

/* Longer ones by seed: a script, a call, some subsets. */
static void sample(uint64_t seed)
{
	char script[SCRIPT_MAX];
	unsigned before, calls, n = 5 + seed % 2;
	uint64_t r = mix(seed * UINT64_C(0x9e3779b97f4a7c15));

	for (unsigned i = 0; i < n; i++, r = mix(r + i))
		script[i] = alphabet[r % (sizeof alphabet - 1)];
	script[n] = 0;
	calls = run(script, 0, &before);
	for (unsigned i = 0; i < 4; i++, r = mix(r + i))
		crash_at(script, 1 + (unsigned)(r % (calls + 1)), 2, r);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned long long option(int argc, char **argv, const char *name, unsigned long long other)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return strtoull(argv[i + 1], NULL, 10);
	return other;
}

/* proof_model [--long] [--depth N] [--states N] [--seed N] [--part I --of N] */
int main(int argc, char **argv)
{
	bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
	unsigned depth = (unsigned)option(argc, argv, "--depth", is_long ? 4 : 2);
	struct part part = { (unsigned)option(argc, argv, "--part", 0),
			     (unsigned)option(argc, argv, "--of", 1) };
	unsigned long long most =
		option(argc, argv, "--states", is_long ? 10000000 / part.of : 40000);
	uint64_t seed = option(argc, argv, "--seed", 1), first = seed;
	double began = seconds();
	char script[SCRIPT_MAX] = "";

	randombytes_set_implementation(&repeatable);
	rnd_init();
	world_init(&now.w);
	world_init(&at.w);
	world_init(&probe.w);
	grow(script, 0, depth, &part);
	printf("proof: %llu scripts of up to %u operations, %llu crashes, %llu states, %.0f a "
	       "second\n",
	       scripts, depth, crashes, states, (double)states / (seconds() - began));
	fflush(stdout);
	for (; states < most; seed++)
		sample(seed * part.of + part.index);
	printf("proof: seeds %llu to %llu of 5 and 6 operations; %llu states in all, %.0f a "
	       "second\n",
	       (unsigned long long)first, (unsigned long long)seed, states,
	       (double)states / (seconds() - began));
	spool_close(&probe.w.spool);
	world_fini(&now.w);
	world_fini(&at.w);
	world_fini(&probe.w);
	return 0;
}
