#include "spool_world.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rnd.h"

enum { RECIPIENTS = 3 };

static char body_bytes[WORLD_BODY + 251];

static struct letter *letter_of(struct spool_handle *h)
{
	return container_of(h, struct letter, handle);
}

unsigned world_number(const struct world *w, const struct letter *l)
{
	return (unsigned)(l - w->letters);
}

static struct id id_of(unsigned number)
{
	struct id id = { "moongate" };

	memcpy(id.b + 8, &number, sizeof number);
	return id;
}

static const char *body_of(unsigned number)
{
	return body_bytes + number % 251;
}

/* The owner's side */

static struct spool_handle *recovered(void *arg, const struct spool_found *found)
{
	struct world *w = arg;
	struct letter *l;
	unsigned number;

	memcpy(&number, found->id.b + 8, sizeof number);
	assert(number < w->nletters && memcmp(found->id.b, "moongate", 8) == 0);
	l = &w->letters[number];
	l->found++;
	l->is_live = true;
	l->is_finished = false; /* if it was, that is forgotten: it is ours again */
	l->found_version = 0;
	if (found->accept->state.blob.n == 4)
		memcpy(&l->found_version, found->accept->state.blob.p, 4);
	l->version = l->found_version;
	return &l->handle;
}

static uint16_t state(void *arg, struct spool_handle *h, struct spool_state *out)
{
	struct letter *l = letter_of(h);

	(void)arg;
	*out = (struct spool_state){ &l->done,
				     &l->failed,
				     { (const char *)&l->version, sizeof l->version } };
	return RECIPIENTS;
}

static bool is_live(void *arg, const struct id *id)
{
	struct world *w = arg;
	unsigned number;

	memcpy(&number, id->b + 8, sizeof number);
	return number < w->nletters && w->letters[number].is_live;
}

static void room(void *arg)
{
	((struct world *)arg)->rooms++;
}

static void damaged(void *arg, const struct spool_damage *d, const char *copy)
{
	struct world *w = arg;

	w->damages++;
	w->copies += copy != NULL;
	w->last_damage = d->what;
	if (getenv("SPOOL_TRACE"))
		fprintf(stderr, "damage: segment %u offset %llu length %llu: %s (%s)\n", d->segment,
			(unsigned long long)d->offset, (unsigned long long)d->length, d->what,
			copy ? copy : "no copy");
}

static void failed(void *arg, const char *what, const struct fault *why)
{
	((struct world *)arg)->failures++;
	if (getenv("SPOOL_TRACE"))
		fprintf(stderr, "failed: %s: %s\n", what, why->text);
}

/* The world */

bool world_is_sealed;

void world_seal(struct world *w)
{
	static struct spool_key key;

	rnd_init();
	if (sodium_is_zero(key.bytes, sizeof key.bytes))
		spool_key_make(&key);
	w->keys = spool_keys_new();
	w->keys->n = 1;
	w->keys->at[0] = key;
	w->options.keys = w->keys;
	w->options.is_sealing = true;
}

void world_init(struct world *w)
{
	memset(w, 0, sizeof *w);
	memory_disk_init(&w->disk);
	for (size_t i = sizeof body_bytes; body_bytes[0] == 0 && i-- > 0;)
		body_bytes[i] = (char)('a' + i % 23 + i / 997 % 3);
	w->letters = calloc(WORLD_LETTERS, sizeof *w->letters);
	w->now = 1000000;
	w->options = (struct spool_options){
		.file = &w->disk.file,
		.owner = { w, recovered, state, is_live, room, damaged, failed },
		.segment_size = 128 * 1024,
		.segments = 8,
		.spare = 1,
		.slots = 2,
		.recent = 64,
		.keep_bytes = 1,
	};
	if (world_is_sealed)
		world_seal(w);
}

void world_fini(struct world *w)
{
	spool_close(&w->spool);
	memory_disk_fini(&w->disk);
	spool_keys_free(&w->keys);
	free(w->letters);
}

bool world_open(struct world *w)
{
	for (unsigned i = 0; i < w->nletters; i++) {
		struct letter *l = &w->letters[i];

		l->found = 0;
		l->is_live = l->is_replacing = false;
		if (l->answer == LETTER_WAITING)
			l->answer = LETTER_UNSENT; /* the reply was lost: it may be there or not */
	}
	w->damages = w->copies = w->failures = 0;
	w->spool = spool_open(&w->options, &w->why);
	/* a bounce whose answer was lost, and which is there */
	for (unsigned i = 0; w->spool && i < w->nletters; i++) {
		struct letter *l = &w->letters[i];

		if (l->found > 0 && l->finishes && l->replaces->found == 0)
			l->replaces->is_finished = l->replaces->is_gone = true;
	}
	return w->spool != NULL;
}

void world_kill(struct world *w)
{
	spool_close(&w->spool);
	w->disk.is_off = false;
	w->disk.off_at = w->disk.fail_at = 0;
}

void world_crash(struct world *w, uint64_t keep)
{
	spool_close(&w->spool);
	memory_disk_crash(&w->disk, keep);
}

void world_turn(struct world *w, unsigned times)
{
	while (times--)
		spool_turn(w->spool, w->now += 1000);
}

void world_settle(struct world *w)
{
	spool_settle(w->spool, w->now += 1000);
	for (int i = 0; i < 6; i++) /* segments are made, filled and freed as far as it goes */
		spool_turn(w->spool, w->now);
	if (!spool_is_idle(w->spool) || w->disk.is_off)
		return;
	for (unsigned i = 0; i < w->nletters; i++) {
		struct letter *l = &w->letters[i];

		l->is_gone |= l->is_finished;
		if (l->is_live)
			l->durable_version = l->version;
	}
}

void world_save(struct world *to, const struct world *from)
{
	assert(!to->spool && !from->spool);
	memory_disk_copy(&to->disk, &from->disk);
	memcpy(to->letters, from->letters, from->nletters * sizeof *from->letters);
	for (unsigned i = 0; i < from->nletters; i++) {
		to->letters[i].world = to;
		if (from->letters[i].replaces)
			to->letters[i].replaces =
				to->letters + (from->letters[i].replaces - from->letters);
	}
	to->nletters = from->nletters;
	to->now = from->now;
}

static void answered(struct spool_submit *s, enum spool_outcome outcome,
		     const struct spool_refusal *why)
{
	struct letter *l = container_of(s, struct letter, submit);

	assert(l->answer == LETTER_WAITING);
	if (l->world->disk.is_off)
		return; /* nobody hears it */
	l->answer = outcome == SPOOL_DURABLE ? LETTER_DURABLE
		    : outcome == SPOOL_KNOWN ? LETTER_KNOWN
					     : LETTER_REFUSED;
	l->code = why ? why->code : 0;
	assert((outcome == SPOOL_REFUSED) == (why != NULL));
	if (outcome == SPOOL_DURABLE)
		l->is_live = true;
	if (!l->replaces)
		return;
	l->replaces->is_replacing = false;
	if (outcome == SPOOL_REFUSED && !l->finishes)
		/* its new version is still to be written */
		spool_touch(l->world->spool, &l->replaces->handle);
	if (outcome != SPOOL_DURABLE)
		return;
	if (l->finishes) {
		l->replaces->is_live = false;
		l->replaces->is_finished = l->replaces->is_gone = true;
	} else {
		l->replaces->durable_version = l->replaces->version;
	}
}

struct letter *world_letter(struct world *w, size_t body)
{
	struct letter *l = &w->letters[w->nletters++];

	assert(w->nletters <= WORLD_LETTERS && body <= WORLD_BODY);
	*l = (struct letter){ .world = w, .body = body };
	return l;
}

void world_answer_to(struct world *w, struct letter *l)
{
	l->submit.id = id_of(world_number(w, l));
	l->submit.done = answered;
	l->answer = LETTER_WAITING;
}

unsigned world_reads_done, world_reads_failed;

void world_read_done(struct spool_read *r, bool is_good)
{
	(void)r;
	world_reads_done++;
	world_reads_failed += !is_good;
}

/* submit_with - in place of a message of its own; its slot is in the submit already */
static bool submit_with(struct world *w, struct letter *l, struct spool_replace *replace)
{
	unsigned number = world_number(w, l);
	char envelope[64];
	struct spool_variant v = {
		.handle = &l->handle,
		.accept = {
			.recipients = RECIPIENTS,
			.header = STR("Subject: a letter\r\n"),
			.nextents = l->body + l->in_slot > 0,
			.extents = { { l->in_slot ? NULL : body_of(number), 0, l->body + l->in_slot } },
		},
	};
	bool taken;

	v.accept.envelope = (struct str){ envelope, (size_t)snprintf(envelope, sizeof envelope,
								     "number: %u\n", number) };
	l->submit.id = id_of(number);
	l->submit.variants = &v;
	l->submit.nvariants = 1;
	l->submit.replaces = replace;
	l->submit.nreplaces = replace != NULL;
	l->submit.done = answered;
	taken = spool_submit(w->spool, &l->submit);
	if (taken)
		l->answer = LETTER_WAITING;
	return taken;
}

bool world_submit(struct world *w, struct letter *l)
{
	return submit_with(w, l, NULL);
}

struct letter *world_send(struct world *w, size_t body)
{
	struct letter *l = world_letter(w, body);

	if (world_submit(w, l))
		return l;
	w->nletters--;
	return NULL;
}

static void moved(void *arg)
{
	(void)arg;
}

struct letter *world_send_slot(struct world *w, size_t n)
{
	struct spool_refusal why;
	struct spool_slot *slot = spool_slot_open(w->spool, moved, NULL, &why);
	struct letter *l;

	if (!slot)
		return NULL;
	l = world_letter(w, 0);
	l->in_slot = n;
	assert(n <= WORLD_BODY && n <= spool_slot_room(slot));
	spool_slot_append(w->spool, slot, (struct str){ body_of(world_number(w, l)), n });
	l->submit.slot = slot;
	world_submit(w, l);
	return l;
}

void world_touch(struct world *w, struct letter *l)
{
	l->version++;
	spool_touch(w->spool, &l->handle);
}

void world_done(struct world *w, struct letter *l)
{
	struct id id = id_of(world_number(w, l));

	spool_done(w->spool, &l->handle, &id);
	l->is_live = false;
	l->is_finished = true;
}

struct letter *world_bounce(struct world *w, struct letter *of, bool is_done)
{
	struct letter *l = world_letter(w, 100);
	struct spool_replace replace = { .handle = &of->handle,
					 .id = id_of(world_number(w, of)),
					 .is_done = is_done };

	of->version += !is_done;
	replace.recipients = RECIPIENTS;
	replace.state =
		(struct spool_state){ &of->done, &of->failed, { (const char *)&of->version, 4 } };
	l->replaces = of;
	l->finishes = is_done;
	of->is_replacing = true;
	if (submit_with(w, l, &replace))
		return l;
	of->version -= !is_done; /* nothing was taken */
	of->is_replacing = false;
	w->nletters--;
	return NULL;
}

/* reads_slot - at once, or after turns: a sealed slot is never read on the loop */
static bool reads_slot(struct world *w, struct letter *l)
{
	static char bytes[WORLD_BODY];
	unsigned done = world_reads_done, bad = world_reads_failed;
	struct spool_read read = {
		.handle = &l->handle, .to = bytes, .length = l->in_slot, .done = world_read_done
	};

	memset(bytes, 0, l->in_slot);
	if (spool_read(w->spool, &read) == STEP_MORE)
		while (world_reads_done == done)
			world_turn(w, 1);
	return world_reads_failed == bad &&
	       memcmp(bytes, body_of(world_number(w, l)), l->in_slot) == 0;
}

bool world_reads(struct world *w, struct letter *l)
{
	struct spool_load load = { .handle = &l->handle };
	struct spool_extent piece = { 0 };
	char want[64];
	bool good;

	load.to = malloc(spool_load_size(&l->handle));
	good = spool_load(w->spool, &load) == STEP_DONE;
	snprintf(want, sizeof want, "number: %u\n", world_number(w, l));
	good = good && str_eq(load.accept.envelope, str_of(want)) &&
	       str_eq(load.accept.header, STR("Subject: a letter\r\n")) &&
	       load.accept.body_length == l->body + l->in_slot;
	if (good && l->body > 0)
		good = spool_accept_piece(&load.accept, 0, &piece) && piece.length == l->body &&
		       memcmp(piece.p, body_of(world_number(w, l)), l->body) == 0;
	free(load.to);
	return good && (l->in_slot == 0 || reads_slot(w, l));
}

static const char *check_letter(struct world *w, struct letter *l)
{
	bool acknowledged = l->answer == LETTER_DURABLE || l->answer == LETTER_KNOWN;

	if (l->found > 1)
		return "recovered twice";
	if (acknowledged && !l->is_finished && l->found == 0)
		return "lost";
	if (l->answer == LETTER_REFUSED && l->found > 0)
		return "refused, and there";
	if (l->is_gone && l->found > 0)
		return "finished, and there";
	if (l->found > 0 && l->finishes && l->replaces->found > 0)
		return "half of a batch";
	if (l->found > 0 && l->found_version < l->durable_version)
		return "its state is older than what was durable";
	if (l->found > 0 && !world_reads(w, l))
		return "its contents are not what was sent";
	return NULL;
}

const char *world_check(struct world *w)
{
	const char *wrong = NULL;

	for (unsigned i = 0; i < w->nletters && !wrong; i++)
		wrong = check_letter(w, &w->letters[i]);
	return wrong;
}

struct spool_stats world_stats(const struct world *w)
{
	struct spool_stats stats;

	spool_stats(w->spool, &stats);
	return stats;
}
