#include "cli_look.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "queue_peek.h"

/*
 * moongate spool stats: how full a spool is, with what, and how well it is. Bytes of segments are
 * those that were written; what of them no living message needs is dead, and comes back when its
 * segment is freed.
 */

enum segment_kind {
	SEGMENT_FREE,    /* nothing in it counts, or nothing was ever written */
	SEGMENT_OPEN,    /* where it ends was not written down: in use, or left by a crash */
	SEGMENT_CLOSED,  /* full, or left behind */
	SEGMENT_SUSPECT, /* closed because a sync of it failed */
	SEGMENT_BROKEN,  /* cannot be read */
	SEGMENT_KINDS
};

static const char *const segment_name[SEGMENT_KINDS] = {
	[SEGMENT_FREE] = "free",       [SEGMENT_OPEN] = "open",     [SEGMENT_CLOSED] = "closed",
	[SEGMENT_SUSPECT] = "suspect", [SEGMENT_BROKEN] = "broken",
};

struct stats {
	struct cli_look look;
	uint64_t segments[SEGMENT_KINDS], damaged; /* damaged: segments */
	uint64_t disk, written, live;              /* bytes of segments */
	uint64_t slots, slots_used, slot_bytes;
	uint64_t messages, troubled, recipients, left;
	uint64_t states[QUEUE_PEEKS];
	uint64_t oldest_us; /* wall; 0: none */
	uint8_t *slot_seen; /* a bit for each number: variants share one */
};

/* ---- counting -------------------------------------------------------------------------------- */

static enum segment_kind kind_of(const struct spool_replay_segment *s)
{
	switch (s->state) {
	case SPOOL_REPLAY_NONE:
	case SPOOL_REPLAY_RAW:
	case SPOOL_REPLAY_FREE:
		return SEGMENT_FREE;
	case SPOOL_REPLAY_USED:
		if (s->is_suspect)
			return SEGMENT_SUSPECT;
		return spool_replay_is_closed(s) ? SEGMENT_CLOSED : SEGMENT_OPEN;
	case SPOOL_REPLAY_BROKEN:
		return SEGMENT_BROKEN;
	}
	return SEGMENT_BROKEN;
}

static void count_segments(struct stats *t)
{
	const struct spool_replay *r = t->look.replay;

	for (unsigned i = 1; i <= r->nsegments; i++) {
		const struct spool_replay_segment *s = &r->segments[i];

		if (s->state == SPOOL_REPLAY_NONE)
			continue;
		t->segments[kind_of(s)]++;
		t->damaged += s->is_damaged;
		t->disk += s->size;
		if (s->state == SPOOL_REPLAY_USED)
			t->written += s->tail;
	}
}

static void count_slot(void *arg, const char *name)
{
	struct stats *t = arg;

	t->slots += name[0] != '.';
}

static void count_slots(struct stats *t)
{
	struct spool_file *f = t->look.file;
	char path[24];

	for (unsigned n = 0; n < 256; n++) {
		(void)snprintf(path, sizeof path, "big/%02x", n);
		(void)f->list(f, path, count_slot, t);
	}
}

static void see_slot(struct stats *t, const struct spool_accept *a)
{
	uint8_t bit = (uint8_t)(1u << a->slot % 8);

	if (a->slot == 0 || a->slot > SPOOL_SLOTS_MAX || t->slot_seen[a->slot / 8] & bit)
		return;
	t->slot_seen[a->slot / 8] |= bit;
	t->slots_used++;
	t->slot_bytes += a->slot_length;
}

static unsigned finished(const struct spool_accept *a)
{
	unsigned n = 0;

	for (unsigned i = 0; i < a->recipients; i++) {
		uint8_t done = a->state.done ? a->state.done[i / 8] : 0;
		uint8_t failed = a->state.failed ? a->state.failed[i / 8] : 0;

		n += (done | failed) >> i % 8 & 1;
	}
	return n;
}

static int count_message(void *arg, const struct spool_replay_view *v)
{
	struct stats *t = arg;
	uint64_t made = id_time(&v->id);

	t->messages++;
	t->troubled += v->slot_trouble != NULL;
	t->recipients += v->accept->recipients;
	t->left += v->accept->recipients - finished(v->accept);
	t->live += v->message->accept.size + v->message->state.size;
	t->states[queue_peek(v->accept->state.blob)]++;
	if (!t->oldest_us || made < t->oldest_us)
		t->oldest_us = made;
	see_slot(t, v->accept);
	return 0;
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell_json(struct stats *t)
{
	struct json j;

	json_init(&j, &t->look.line);
	json_open(&j, NULL, '{');
	json_open(&j, "segments", '{');
	for (unsigned i = 0; i < SEGMENT_KINDS; i++)
		json_int(&j, segment_name[i], (int64_t)t->segments[i]);
	json_int(&j, "damaged", (int64_t)t->damaged);
	json_close(&j, '}');
	json_open(&j, "bytes", '{');
	json_int(&j, "segments", (int64_t)t->disk);
	json_int(&j, "written", (int64_t)t->written);
	json_int(&j, "live", (int64_t)t->live);
	json_int(&j, "dead", (int64_t)(t->written - t->live));
	json_int(&j, "slots", (int64_t)t->slot_bytes);
	json_close(&j, '}');
	json_open(&j, "slots", '{');
	json_int(&j, "free", (int64_t)(t->slots - t->slots_used));
	json_int(&j, "used", (int64_t)t->slots_used);
	json_close(&j, '}');
	json_int(&j, "messages", (int64_t)t->messages);
	json_int(&j, "unreadable", (int64_t)t->troubled);
	json_int(&j, "recipients", (int64_t)t->recipients);
	json_int(&j, "left", (int64_t)t->left);
	json_open(&j, "states", '{');
	for (unsigned i = 0; i < QUEUE_PEEKS; i++)
		json_int(&j, queue_peek_name[i], (int64_t)t->states[i]);
	json_close(&j, '}');
	if (t->oldest_us)
		json_time(&j, "oldest", t->oldest_us);
	json_int(&j, "damage", (int64_t)t->look.damages);
	json_close(&j, '}');
	buf_byte(&t->look.line, '\n');
	cli_look_flush(&t->look);
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1024 * 1024);
}

static void tell_text(struct stats *t)
{
	uint64_t now = clock_wall();
	uint64_t age = t->oldest_us && now > t->oldest_us ? now - t->oldest_us : 0;

	(void)printf(
		"segments    %llu free, %llu open, %llu closed, %llu suspect, %llu broken, %llu "
		"damaged\n",
		(unsigned long long)t->segments[SEGMENT_FREE],
		(unsigned long long)t->segments[SEGMENT_OPEN],
		(unsigned long long)t->segments[SEGMENT_CLOSED],
		(unsigned long long)t->segments[SEGMENT_SUSPECT],
		(unsigned long long)t->segments[SEGMENT_BROKEN], (unsigned long long)t->damaged);
	(void)printf("bytes       %.1f MiB in segments: %.1f written, %.1f of it live\n",
		     mib(t->disk), mib(t->written), mib(t->live));
	(void)printf("slots       %llu free, %llu used, %.1f MiB in them\n",
		     (unsigned long long)(t->slots - t->slots_used),
		     (unsigned long long)t->slots_used, mib(t->slot_bytes));
	(void)printf("messages    %llu, %llu of %llu recipients left\n",
		     (unsigned long long)t->messages, (unsigned long long)t->left,
		     (unsigned long long)t->recipients);
	(void)printf("states     ");
	for (unsigned i = 0; i < QUEUE_PEEKS; i++)
		(void)printf(" %llu %s%s", (unsigned long long)t->states[i], queue_peek_name[i],
			     i + 1 < QUEUE_PEEKS ? "," : "\n");
	if (t->oldest_us)
		(void)printf("oldest      %llu s\n", (unsigned long long)(age / CLOCK_SECOND));
	(void)printf("damage      %llu places, %llu messages that cannot be read\n",
		     (unsigned long long)t->look.damages, (unsigned long long)t->troubled);
}

int cli_spool_stats(const struct cli *c)
{
	static uint8_t seen[SPOOL_SLOTS_MAX / 8 + 1];
	struct stats t = { .look = { .is_quiet = true }, .slot_seen = seen };
	char path[CLI_LOOK_PATH];

	if (!cli_look_directory(c, c->nargs > 0 ? c->args[0] : NULL, path, sizeof path))
		return EX_CONFIG;
	if (cli_look_open(&t.look, c, path, false) == 0 &&
	    cli_look_each(&t.look, count_message, &t) == 0) {
		count_segments(&t);
		count_slots(&t);
		if (c->json)
			tell_json(&t);
		else
			tell_text(&t);
	}
	return cli_look_close(&t.look);
}
