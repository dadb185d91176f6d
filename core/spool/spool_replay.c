#include "spool_replay_core.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SMALLEST_CAP = 256, FIRST_STRIDE = 64 * 1024, STRIDE = 1024 * 1024 };
#define WINDOW  (SPOOL_WINDOW + SPOOL_REPLAY_STATE)
#define HOLDERS ((SPOOL_SEGMENTS_MAX + 8) / 8)

void spool_segment_path(char path[24], unsigned number)
{
	snprintf(path, 24, "seg/%08u", number);
}

void spool_slot_path(char path[24], unsigned number)
{
	snprintf(path, 24, "big/%02x/%04x", (number - 1) >> 8 & 0xff, number & 0xffff);
}

static void see_damage(void *arg, const struct spool_damage *d)
{
	struct spool_replay *r = arg;

	r->damages++;
	r->segments[r->walking].is_damaged = true;
	if (r->damage)
		r->damage(r->arg, d);
}

void spool_replay_damaged(struct spool_replay *r, struct spool_span span, const char *what)
{
	see_damage(r, &(struct spool_damage){ r->walking, span.offset, span.size, what, NULL });
}

/* miss - a segment has its header before anything is said about it, and never an older one again */
static void miss(struct spool_replay *r, unsigned number)
{
	struct spool_damage d = { .segment = number, .what = "it is lost, or of an earlier time" };

	if (!r->is_first_look && !r->segments[number].is_missed)
		see_damage(r, &d);
	r->segments[number].is_missed |= !r->is_first_look;
}

/* What records say */

static struct spool_replay_segment *segment_of(struct spool_replay *r, uint32_t number,
					       uint64_t epoch)
{
	struct spool_replay_segment *s;

	if (number == 0 || number > r->nsegments)
		return NULL;
	s = &r->segments[number];
	if (s->state == SPOOL_REPLAY_BROKEN)
		return NULL;
	if (s->state < SPOOL_REPLAY_FREE || s->header.epoch < epoch)
		miss(r, number);
	return s->state >= SPOOL_REPLAY_FREE && s->header.epoch == epoch ? s : NULL;
}

static void fail(struct spool_replay *r, const char *what)
{
	if (!r->failed)
		fault_set(r->why, "segment %u: %s", r->walking, what);
	r->failed = -1;
}

/* message_at - the table's row, made if need be; NULL: an ordinal that cannot be, or no memory */
static struct spool_replay_message *message_at(struct spool_replay *r,
					       struct spool_replay_segment *s, uint32_t ordinal)
{
	if (ordinal >= s->size / SPOOL_RECORD_HEAD)
		return NULL;
	if (ordinal >= s->cap) {
		size_t cap = s->cap ? s->cap : SMALLEST_CAP;
		void *grown;

		while (cap <= ordinal)
			cap *= 2;
		grown = realloc(s->messages, cap * sizeof *s->messages);
		if (!grown) {
			fail(r, "no memory for its messages");
			return NULL;
		}
		s->messages = grown;
		memset(s->messages + s->cap, 0, (cap - s->cap) * sizeof *s->messages);
		s->cap = (uint32_t)cap;
	}
	if (ordinal >= s->count)
		s->count = ordinal + 1;
	return &s->messages[ordinal];
}

static void hold(struct spool_replay *r, struct spool_replay_segment *s)
{
	if (!s->holders)
		s->holders = calloc(1, HOLDERS);
	if (!s->holders) {
		fail(r, "no memory for its notes");
		return;
	}
	s->holders[r->walking / 8] |= (uint8_t)(1u << (r->walking % 8));
}

static void see_accept(struct spool_replay *r, const struct spool_record *record, uint64_t offset)
{
	struct spool_replay_message *m = message_at(r, &r->segments[r->walking], record->ordinal);

	if (!m || record->lsn < m->lsn)
		return;
	m->lsn = record->lsn;
	m->accept = (struct spool_span){ (uint32_t)offset,
					 (uint32_t)spool_record_size(record->length) };
}

static void kill(struct spool_replay *r, struct spool_replay_segment *s, uint32_t ordinal)
{
	struct spool_replay_message *m = message_at(r, s, ordinal);

	if (m)
		m->is_dead = true;
}

/* see_move - the message is here now, and no longer where it was: one record says both */
static void see_move(struct spool_replay *r, const struct spool_record *record, uint64_t offset)
{
	struct spool_replay_segment *s;
	struct spool_place from;

	if (spool_message_of(record, &from).n == 0)
		return;
	see_accept(r, record, offset);
	s = segment_of(r, from.segment, from.epoch);
	if (!s)
		return;
	hold(r, s);
	kill(r, s, from.ordinal);
}

static void see_state(struct spool_replay *r, const struct spool_record *record, uint64_t offset)
{
	struct spool_replay_segment *s;
	struct spool_replay_message *m;
	struct spool_place place;
	struct spool_state state;
	uint16_t recipients;

	if (record->flags & SPOOL_SEALED
		    ? !spool_state_place(record->payload, &place)
		    : !spool_state_get(record->payload, &place, &recipients, &state))
		return;
	s = segment_of(r, place.segment, place.epoch);
	m = s ? message_at(r, s, place.ordinal) : NULL;
	if (!m || record->lsn < m->state_lsn)
		return;
	m->state_lsn = record->lsn;
	m->state_segment = (uint16_t)r->walking;
	m->state = (struct spool_span){ (uint32_t)offset,
					(uint32_t)spool_record_size(record->length) };
}

static void see_done(struct spool_replay *r, const struct spool_record *record, uint64_t offset)
{
	struct spool_replay_segment *s;
	struct spool_bits bits;

	(void)offset;
	if (!spool_done_get(record->payload, &bits))
		return;
	s = segment_of(r, bits.place.segment, bits.place.epoch);
	if (!s)
		return;
	hold(r, s);
	for (uint32_t i = 0; i < bits.count; i++)
		kill(r, s, spool_done_at(&bits, i));
}

static void see_end(struct spool_replay *r, const struct spool_end *end)
{
	struct spool_replay_segment *s = segment_of(r, end->segment, end->epoch);

	if (!s || end->end < SPOOL_BLOCK || end->end % SPOOL_BLOCK != 0)
		return;
	s->end = *end;
	hold(r, s);
}

static void see_close(struct spool_replay *r, const struct spool_record *record, uint64_t offset)
{
	struct spool_replay_segment *s;
	struct spool_end end;

	(void)offset;
	if (!spool_end_get(record->payload, &end))
		return;
	see_end(r, &end);
	s = segment_of(r, end.segment, end.epoch);
	if (s && record->type == SPOOL_ABORT)
		s->is_suspect = true;
}

static void see_dead(struct spool_replay *r, const struct spool_record *record, uint64_t offset)
{
	struct spool_replay_segment *s;
	struct spool_bits bits;

	(void)offset;
	if (!spool_dead_get(record->payload, &bits))
		return;
	s = segment_of(r, bits.place.segment, bits.place.epoch);
	if (!s)
		return;
	hold(r, s);
	for (uint32_t i = 0; i < bits.count; i++)
		if (spool_dead_at(&bits, i))
			kill(r, s, i);
	if (bits.end)
		see_end(r, &(struct spool_end){ bits.place.segment, bits.place.epoch, bits.end,
						bits.lsn, bits.lsn, 0 });
}

/* unseal - what can be known of a record without loading it: notes are opened where their key is
 * there, messages when they are given; else what is readable stands for the whole */
static bool unseal(struct spool_replay *r, struct spool_record *record, uint64_t offset)
{
	const struct spool_replay_segment *s = &r->segments[r->walking];
	struct spool_cipher cipher = { s->key, r->walking, s->header.epoch };
	struct spool_span span = { (uint32_t)offset, (uint32_t)spool_record_size(record->length) };

	if (!(record->flags & SPOOL_SEALED)) {
		if (!spool_key_of(&s->header))
			return true;
		spool_replay_damaged(r, span, "a plain record in a sealed segment");
		return false;
	}
	if (!s->key || spool_type_is_message(record->type)) {
		record->payload = spool_cipher_peek(record);
		return true;
	}
	if (spool_cipher_open(&cipher, record))
		return true;
	spool_replay_damaged(r, span, "a record that its key does not open");
	return false;
}

static void see(void *arg, const struct spool_record *sealed, uint64_t offset)
{
	/* clang-format off */
	static void (*const see_type[])(struct spool_replay *, const struct spool_record *, uint64_t) = {
		[SPOOL_ACCEPT] = see_accept, [SPOOL_STATE] = see_state, [SPOOL_DONE] = see_done,
		[SPOOL_DEAD] = see_dead, [SPOOL_CLOSE] = see_close, [SPOOL_ABORT] = see_close,
		[SPOOL_MOVE] = see_move,
	};
	/* clang-format on */
	struct spool_replay *r = arg;
	struct spool_record record = *sealed;

	if (record.type >= COUNT(see_type) || !see_type[record.type]) {
		if (!(record.flags & SPOOL_MAY_SKIP))
			fail(r, "it has records of a newer release");
	} else if ((!r->is_first_look || see_type[record.type] == see_close) &&
		   unseal(r, &record, offset)) {
		see_type[record.type](r, &record, offset);
	}
}

/* Opening */

static void see_name(void *arg, const char *name)
{
	struct spool_replay *r = arg;
	uint64_t number;

	if (strlen(name) != 8 || !str_u64(str_of(name), SPOOL_SEGMENTS_MAX, &number) || number == 0)
		return;
	if (r->segments && number <= r->nsegments)
		r->segments[number].state = SPOOL_REPLAY_RAW;
	if (!r->segments && number > r->nsegments)
		r->nsegments = (unsigned)number;
}

/* list_segments - twice: how many there are, then which */
static int list_segments(struct spool_replay *r, struct fault *why)
{
	if (r->file->list(r->file, "seg", see_name, r) < 0)
		return fault_sys(why, "reading the list of segments");
	r->segments = calloc(r->nsegments + 1, sizeof *r->segments);
	if (!r->segments)
		return fault_set(why, "no memory to read the spool");
	if (r->file->list(r->file, "seg", see_name, r) < 0)
		return fault_sys(why, "reading the list of segments");
	return 0;
}

/* is_blank - nothing but zeros: no batch was ever written there */
static bool is_blank(struct spool_replay *r, struct spool_replay_segment *s)
{
	for (uint64_t at = 0; at < s->size; at += SPOOL_BLOCK) {
		size_t n = s->size - at < SPOOL_BLOCK ? (size_t)(s->size - at) : SPOOL_BLOCK;

		if (spool_file_read_all(r->file, s->fd, r->window, n, at) < 0 ||
		    !sodium_is_zero((unsigned char *)r->window, n))
			return false;
	}
	return true;
}

static void pick_header(struct spool_replay *r, struct spool_replay_segment *s)
{
	s->copy = spool_header_pick(r->window, &s->header);
	s->is_uneven = memcmp(r->window, r->window + SPOOL_HEADER_COPY, SPOOL_HEADER_SIZE) != 0;
}

static void take_key(struct spool_replay *r, struct spool_replay_segment *s)
{
	unsigned char *place =
		spool_key_of(&s->header) ? spool_vault_at(&r->vault, s->header.number) : NULL;

	s->wrapped = spool_key_unwrap(r->keys, &s->header, place);
	s->key = s->wrapped == SPOOL_KEY_OPEN ? place : NULL;
}

static void open_segment(struct spool_replay *r, unsigned number)
{
	struct spool_replay_segment *s = &r->segments[number];
	char path[24];
	int64_t size;

	spool_segment_path(path, number);
	r->walking = number;
	s->fd = r->file->open(r->file, path, SPOOL_FILE_WRITE);
	if (s->fd < 0 && (errno == EACCES || errno == EROFS))
		/* a tool on a copy that it may only read */
		s->fd = r->file->open(r->file, path, SPOOL_FILE_READ);
	size = s->fd < 0 ? -1 : r->file->size(r->file, s->fd);
	s->state = SPOOL_REPLAY_BROKEN;
	if (size < 0) {
		spool_replay_damaged(r, (struct spool_span){ 0, 0 }, "the file cannot be opened");
		return;
	}
	s->size = (uint64_t)size < SPOOL_SEGMENT_MAX ? (uint64_t)size : SPOOL_SEGMENT_MAX;
	s->copy = -1;
	if (s->size >= SPOOL_BLOCK &&
	    spool_file_read_all(r->file, s->fd, r->window, SPOOL_BLOCK, 0) == 0)
		pick_header(r, s);
	if (s->copy >= 0 && s->header.number == number) {
		s->state = SPOOL_REPLAY_FREE;
		take_key(r, s);
		if (s->header.epoch > r->epoch)
			r->epoch = s->header.epoch;
		if (s->size < SPOOL_PIECE && s->size < s->header.size) /* it never gets shorter */
			spool_replay_damaged(r, (struct spool_span){ (uint32_t)s->size, 1 },
					     "it is too short");
	} else if (is_blank(r, s)) {
		s->state = SPOOL_REPLAY_RAW;
	} else {
		spool_replay_damaged(r, (struct spool_span){ 0, (uint32_t)s->size },
				     "it has no header; nothing in it can be used");
	}
}

static void set_walk(struct spool_replay *r, unsigned number)
{
	struct spool_replay_segment *s = &r->segments[number];

	r->walking = number;
	r->walk.fd = s->fd;
	r->walk.header = s->header;
	r->walk.size = s->size;
	r->walk.end = spool_replay_is_closed(s) ? s->end.end : 0;
}

struct spool_replay *spool_replay_new(struct spool_file *file, struct fault *why)
{
	struct spool_replay *r = calloc(1, sizeof *r);

	if (!r) {
		fault_set(why, "no memory to read the spool");
		return NULL;
	}
	r->file = file;
	r->window = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->window == MAP_FAILED) {
		fault_sys(why, "no memory to read the spool");
		free(r);
		return NULL;
	}
	return r;
}

void spool_replay_free(struct spool_replay **r)
{
	if (!*r)
		return;
	for (unsigned i = 1; (*r)->segments && i <= (*r)->nsegments; i++) {
		struct spool_replay_segment *s = &(*r)->segments[i];

		if (s->state != SPOOL_REPLAY_NONE && s->fd >= 0)
			(*r)->file->close((*r)->file, s->fd);
		free(s->messages);
		free(s->holders);
	}
	free((*r)->segments);
	munmap((*r)->window, WINDOW);
	spool_vault_fini(&(*r)->vault);
	free(*r);
	*r = NULL;
}

int spool_replay_open(struct spool_replay *r, struct fault *why)
{
	r->why = why;
	r->walk = (struct spool_walk){
		.file = r->file, .window = r->window, .record = see, .damage = see_damage, .arg = r
	};
	if (list_segments(r, why) < 0)
		return -1;
	for (unsigned i = 1; i <= r->nsegments; i++)
		if (r->segments[i].state == SPOOL_REPLAY_RAW)
			open_segment(r, i);
	r->is_first_look = true;
	r->walk.stride = FIRST_STRIDE;
	for (unsigned i = 1; i <= r->nsegments; i++) {
		if (r->segments[i].state != SPOOL_REPLAY_FREE)
			continue;
		set_walk(r, i);
		if (spool_walk_first(&r->walk))
			r->segments[i].lsn_first = r->walk.lsn_first;
	}
	r->is_first_look = false;
	return r->failed;
}

bool spool_replay_is_closed(const struct spool_replay_segment *s)
{
	return s->end.epoch != 0 && s->end.epoch == s->header.epoch;
}

/* Running */

unsigned *spool_replay_order(struct spool_replay *r, unsigned *count)
{
	unsigned *order = calloc(r->nsegments + 1, sizeof *order), n = 0;

	for (unsigned i = 1; order && i <= r->nsegments; i++) {
		unsigned at = n;

		if (r->segments[i].state != SPOOL_REPLAY_FREE &&
		    r->segments[i].state != SPOOL_REPLAY_USED)
			continue;
		while (at > 0 && r->segments[order[at - 1]].lsn_first > r->segments[i].lsn_first)
			at--;
		memmove(&order[at + 1], &order[at], (n - at) * sizeof *order);
		order[at] = i;
		n++;
	}
	*count = n;
	return order;
}

static void run_segment(struct spool_replay *r, unsigned number)
{
	struct spool_replay_segment *s = &r->segments[number];

	set_walk(r, number);
	spool_walk(&r->walk);
	s->is_pinned |= r->walk.is_unreadable;
	s->tail = r->walk.tail;
	s->lsn_first = r->walk.lsn_first;
	s->lsn_next = r->walk.lsn_next;
	if (r->walk.lsn_next > r->lsn)
		r->lsn = r->walk.lsn_next;
	if (r->walk.durable_upto > r->walk.durable)
		r->walk.durable = r->walk.durable_upto;
	if (spool_replay_is_closed(s) && s->end.upto > r->lsn)
		r->lsn = s->end.upto;
	if (r->walk.batches > 0 || s->is_damaged || spool_replay_is_closed(s))
		s->state = SPOOL_REPLAY_USED;
}

int spool_replay_run(struct spool_replay *r, struct fault *why)
{
	unsigned count, *order = spool_replay_order(r, &count);

	if (!order)
		return fault_set(why, "no memory to read the spool");
	r->why = why;
	r->lsn = 1;
	r->walk.stride = STRIDE;
	r->walk.durable = 0;
	for (unsigned i = count; i > 0; i--)
		run_segment(r, order[i - 1]);
	free(order);
	return r->failed;
}
