/* layer: spool */
/* What tests/proof/power.py runs on a disk that it cuts the power of.
 *
 *   proof_power live DIR TOLD STEPS SEED [--no-sync]   live on the spool in DIR, and tell TOLD each
 *                                                      intention before it is acted on and each answer
 *                                                      after it came, a line each
 *   proof_power check DIR SAID [TOLD STEPS SEED]       recover DIR and compare with what was SAID
 *                                                      before the power went; then live on
 *
 * The lines: S n body slot: a message is submitted; B n of finishes: it replaces another's state or end;
 * A n: durable; R n: refused; F n: finished; G n: durably so; V n v: version v of its state is made;
 * D n v: and durable. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rnd.h"
#include "spool_world.h"

enum { LINE = 64 };

static struct world w;
static int told = -1;
static enum letter_answer known[WORLD_LETTERS]; /* as far as told */

static void tell(const char *line)
{
	if (told >= 0 && write(told, line, strlen(line)) != (ssize_t)strlen(line)) {
		perror("proof_power: telling");
		exit(2);
	}
}

#define TELL(...)                                                                                  \
	do {                                                                                       \
		char line_[LINE];                                                                  \
		snprintf(line_, sizeof line_, __VA_ARGS__);                                        \
		tell(line_);                                                                       \
	} while (0)

static unsigned number_of(const struct letter *l)
{
	return (unsigned)(l - w.letters);
}

/* Living */

static struct letter *pick(uint64_t chance)
{
	for (unsigned i = 0; i < w.nletters; i++) {
		struct letter *l = &w.letters[(chance + i) % w.nletters];

		if (l->is_live && !l->is_replacing)
			return l;
	}
	return NULL;
}

static void tell_answers(void)
{
	for (unsigned i = 0; i < w.nletters; i++) {
		struct letter *l = &w.letters[i];

		if (known[i] == l->answer || l->answer == LETTER_WAITING ||
		    l->answer == LETTER_UNSENT)
			continue;
		known[i] = l->answer;
		TELL("%c %u\n", l->answer == LETTER_REFUSED ? 'R' : 'A', i);
	}
}

static void settle(void)
{
	world_settle(&w);
	tell_answers();
	if (!spool_is_idle(w.spool))
		return;
	for (unsigned i = 0; i < w.nletters; i++) {
		struct letter *l = &w.letters[i];

		if (l->is_finished && l->is_gone)
			TELL("G %u\n", i);
		else if (l->is_live && l->durable_version > 0)
			TELL("D %u %u\n", i, l->durable_version);
	}
}

static void send(size_t body, size_t slot)
{
	TELL("S %u %zu %zu\n", w.nletters, body, slot);
	if (!(slot ? world_send_slot(&w, slot) : world_send(&w, body)))
		TELL("R %u\n", w.nletters); /* that number is used again */
}

static void step(uint64_t chance)
{
	struct letter *l = w.nletters ? pick(chance >> 8) : NULL;
	unsigned what = chance % 16;

	if (what < 5)
		send(100 + chance / 16 % 3000, 0);
	else if (what == 5)
		send(20000 + chance / 16 % 30000, 0);
	else if (what == 6)
		send(0, 1000 + chance / 16 % 50000);
	else if (what < 11 && l) {
		TELL("F %u\n", number_of(l));
		world_done(&w, l);
	} else if (what == 11 && l) {
		TELL("V %u %u\n", number_of(l), l->version + 1);
		world_touch(&w, l);
	} else if (what == 12 && l) {
		TELL("B %u %u %u\n", w.nletters, number_of(l), (unsigned)(chance >> 7 & 1));
		world_bounce(&w, l, chance >> 7 & 1);
	} else if (what == 13) {
		settle();
	}
	w.now += 30000;
	world_turn(&w, 1 + chance % 3);
	tell_answers();
}

static void live(unsigned steps, uint64_t seed)
{
	for (unsigned i = 0; i < steps && w.nletters + 2 < WORLD_LETTERS; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		step(seed >> 20);
	}
}

/* What was said */

static struct letter *letter(unsigned n)
{
	assert(n < WORLD_LETTERS);
	while (w.nletters <= n)
		world_letter(&w, 0);
	return &w.letters[n];
}

static void hear_answer(struct letter *l)
{
	l->answer = LETTER_DURABLE;
	if (!l->replaces)
		return;
	if (l->finishes)
		l->replaces->is_finished = l->replaces->is_gone = true;
	else
		l->replaces->durable_version = l->replaces->version;
}

static void hear(const char *line)
{
	char what;
	unsigned n, a = 0, b = 0;
	struct letter *l;

	if (sscanf(line, "%c %u %u %u", &what, &n, &a, &b) < 2)
		return; /* the power went off while it was said */
	l = letter(n);
	switch (what) {
	case 'S':
		*l = (struct letter){ .world = &w, .body = a, .in_slot = b };
		break;
	case 'B':
		*l = (struct letter){
			.world = &w, .body = 100, .replaces = letter(a), .finishes = b
		};
		l->replaces->version += !b;
		break;
	case 'A':
		hear_answer(l);
		break;
	case 'R':
		l->answer = LETTER_REFUSED;
		break;
	case 'F':
		l->is_finished = true;
		break;
	case 'G':
		l->is_finished = l->is_gone = true;
		break;
	case 'V':
		l->version = a;
		break;
	case 'D':
		l->durable_version = a;
		break;
	}
}

static void hear_all(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[LINE];

	assert(f);
	while (fgets(line, sizeof line, f))
		hear(line);
	fclose(f);
	for (unsigned i = 0; i < w.nletters; i++)
		known[i] = w.letters[i].answer;
}

static int check(void)
{
	unsigned acknowledged = 0, there = 0;
	const char *wrong = world_check(&w);

	for (unsigned i = 0; i < w.nletters; i++) {
		acknowledged += w.letters[i].answer == LETTER_DURABLE;
		there += w.letters[i].found > 0;
	}
	printf("%s: %u messages, %u acknowledged, %u there\n",
	       w.damages ? w.last_damage
	       : wrong   ? wrong
			 : "ok",
	       w.nletters, acknowledged, there);
	return w.damages || wrong ? 1 : 0;
}

static int no_sync(struct spool_file *f, int fd)
{
	(void)f, (void)fd;
	return 0;
}

static int no_sync_dir(struct spool_file *f, const char *path)
{
	(void)f, (void)path;
	return 0;
}

static void go_on(char **from)
{
	told = open(from[0], O_WRONLY | O_APPEND | O_CREAT, 0600);
	live((unsigned)strtoul(from[1], NULL, 10), strtoull(from[2], NULL, 10));
}

int main(int argc, char **argv)
{
	bool is_check = argc >= 4 && strcmp(argv[1], "check") == 0;
	struct spool_file *file;
	int rc = 0;

	if (!is_check && argc < 6)
		return 64;
	rnd_init();
	world_init(&w);
	file = spool_file_new(argv[2], true, &w.why);
	w.options.file = file;
	w.options.segment_size = 512 * 1024;
	w.options.slots = 8;
	if (file)
		file->read_now = file->read; /* nothing is in the cache yet, and we may wait */
	if (file && strcmp(argv[argc - 1], "--no-sync") == 0) {
		file->sync = no_sync;
		file->sync_dir = no_sync_dir;
	}
	if (is_check)
		hear_all(argv[3]);
	if (!file || !world_open(&w)) {
		printf("the spool does not open: %s\n", w.why.text);
		return 1;
	}
	if (is_check)
		rc = check();
	if (rc == 0 && (!is_check || argc > 4))
		go_on(argv + (is_check ? 4 : 3));
	world_fini(&w);
	spool_file_free(&file);
	return rc;
}
