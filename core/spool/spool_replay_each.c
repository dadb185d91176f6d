/* What lives: the messages whose records and slots are there, with their latest state. */
#include "spool_replay_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spool_stream.h"

enum { SUM_CHUNK = 256 * 1024 };

static int load(struct spool_replay *r, unsigned segment, struct spool_span span, char *to,
		struct spool_record *record)
{
	struct spool_replay_segment *s = &r->segments[segment];
	uint32_t seed = spool_seed(s->header.epoch, s->header.salt);
	struct str in = { to, span.size };

	if (spool_file_read_all(r->file, s->fd, to, span.size, span.offset) < 0)
		return -1;
	return spool_record_take(&in, seed, record) == STEP_DONE &&
			       spool_record_is_whole(record, seed)
		       ? 0
		       : -1;
}

/* missing - the key of that segment: named, and how to give it */
static int missing(struct spool_replay *r, unsigned segment)
{
	const struct spool_replay_segment *s = &r->segments[segment];
	char name[SPOOL_KEY_NAME];

	spool_key_name(spool_key_of(&s->header), name);
	if (s->wrapped == SPOOL_KEY_WRONG)
		return fault_set(r->why,
				 "segment %u: its key cannot be opened with %s: it was changed on "
				 "the disk",
				 segment, name);
	if (!r->keys)
		return fault_set(r->why,
				 "segment %u is sealed with key %s, and no key file is named: "
				 "`spool_key` in the settings, or --key FILE",
				 segment, name);
	return fault_set(r->why,
			 "segment %u is sealed with key %s, which is not in the key file: put its "
			 "line back",
			 segment, name);
}

enum { OPENED = 0, LOCKED = 1 }; /* and -1: not what was sealed there */

static int unseal(const struct spool_replay *r, unsigned segment, struct spool_record *record)
{
	const struct spool_replay_segment *s = &r->segments[segment];
	struct spool_cipher cipher = { s->key, segment, s->header.epoch };

	if (!(record->flags & SPOOL_SEALED) != !spool_key_of(&s->header))
		return -1; /* one of the two was put there by somebody else */
	if (!(record->flags & SPOOL_SEALED))
		return OPENED;
	if (!s->key)
		return LOCKED;
	return spool_cipher_open(&cipher, record) ? OPENED : -1;
}

static uint64_t stored_length(const struct spool_accept *a)
{
	return a->is_slot_sealed ? spool_unit_stored(a->slot_length) : a->slot_length;
}

static const char *sum_slot(struct spool_replay *r, int fd, const struct spool_accept *a)
{
	uint64_t length = stored_length(a);
	unsigned char sum[SPOOL_SUM], *chunk = malloc(SUM_CHUNK);
	struct spool_sum slot;
	uint64_t at = 0;

	spool_sum_init(&slot, a->is_slot_sealed);
	while (chunk && at < length) {
		size_t n = length - at < SUM_CHUNK ? (size_t)(length - at) : SUM_CHUNK;

		if (spool_file_read_all(r->file, fd, chunk, n, at) < 0)
			break;
		spool_sum_add(&slot, chunk, n);
		at += n;
	}
	free(chunk);
	spool_sum_final(&slot, sum);
	if (at < length)
		return "its slot cannot be read";
	return memcmp(sum, a->slot_sum, sizeof sum) == 0 ? NULL : "its slot holds other bytes";
}

/* slot_trouble - a slot is reused only when that its message is finished is durable. When nothing
 * is damaged its length is proof enough; else the note may be what was damaged, and another
 * message's body may lie there: then the sum decides. */
static const char *slot_trouble(struct spool_replay *r, const struct spool_accept *a,
				bool *is_unread)
{
	const char *trouble = NULL;
	char path[24];
	int64_t size;
	int fd;

	if (a->slot == 0)
		return NULL;
	if (a->slot > SPOOL_SLOTS_MAX)
		return "its slot has an impossible number";
	spool_slot_path(path, a->slot);
	fd = r->file->open(r->file, path, SPOOL_FILE_READ);
	*is_unread = fd < 0 && errno != ENOENT;
	if (fd < 0)
		return *is_unread ? "its slot cannot be opened" : "its slot is missing";
	size = r->file->size(r->file, fd);
	*is_unread = size < 0;
	if (*is_unread)
		trouble = "its slot cannot be read";
	else if ((uint64_t)size < stored_length(a))
		trouble = "its slot is too short";
	else if (r->is_checking || r->damages > 0)
		trouble = sum_slot(r, fd, a);
	r->file->close(r->file, fd);
	return trouble;
}

/* with_state - put the latest state in place of the one the message came with; -1: its key is not
 * there */
static int with_state(struct spool_replay *r, const struct spool_replay_message *m,
		      struct spool_accept *a)
{
	struct spool_record record;
	struct spool_place place;
	struct spool_state state;
	uint16_t recipients;

	if (m->state_lsn == 0 || m->state.size > SPOOL_REPLAY_STATE ||
	    load(r, m->state_segment, m->state, r->window + SPOOL_WINDOW, &record) < 0)
		return 0;
	switch (unseal(r, m->state_segment, &record)) {
	case LOCKED:
		return r->is_checking ? 0 : missing(r, m->state_segment);
	case OPENED:
		if (spool_state_get(record.payload, &place, &recipients, &state) &&
		    recipients == a->recipients)
			a->state = state;
	}
	return 0;
}

/* give_locked - to who checks: slots have sums that need no key */
static int give_locked(struct spool_replay *r, struct spool_replay_view *view,
		       struct spool_record *record, spool_replay_each_fn *each, void *arg)
{
	struct spool_accept accept;
	struct spool_place from;

	if (!r->is_checking)
		return missing(r, view->segment);
	record->payload = spool_cipher_peek(record);
	if (!spool_accept_slot(spool_message_of(record, &from), &accept)) {
		spool_replay_damaged(r, view->message->accept, "a message that cannot be read");
		return 0;
	}
	view->is_locked = true;
	view->accept = &accept;
	view->slot_trouble = slot_trouble(r, &accept, &view->is_slot_unread);
	return each(arg, view);
}

static int give(struct spool_replay *r, unsigned segment, uint32_t ordinal,
		spool_replay_each_fn *each, void *arg)
{
	const struct spool_replay_message *m = &r->segments[segment].messages[ordinal];
	struct spool_replay_view view = { .segment = (uint16_t)segment,
					  .ordinal = ordinal,
					  .message = m };
	struct spool_record record;
	struct spool_accept accept;
	struct spool_place from;
	int rc;

	r->walking = segment;
	rc = load(r, segment, m->accept, r->window, &record);
	if (rc == 0) {
		view.id = record.id;
		view.variant = record.variant;
		rc = unseal(r, segment, &record);
	}
	if (rc == LOCKED)
		return give_locked(r, &view, &record, each, arg);
	if (rc < 0 || !spool_accept_get(spool_message_of(&record, &from), &accept)) {
		spool_replay_damaged(r, m->accept, "a message that cannot be read");
		r->segments[segment].is_pinned = true;
		return 0;
	}
	if (with_state(r, m, &accept) < 0)
		return -1;
	view.accept = &accept;
	view.slot_trouble = slot_trouble(r, &accept, &view.is_slot_unread);
	return each(arg, &view);
}

static bool is_living(const struct spool_replay_message *m)
{
	return m->lsn != 0 && !m->is_dead;
}

int spool_replay_each(struct spool_replay *r, spool_replay_each_fn *each, void *arg,
		      struct fault *why)
{
	unsigned count, *order = spool_replay_order(r, &count);
	int rc = 0;

	if (!order)
		return fault_set(why, "no memory to read the spool");
	r->why = why;
	for (unsigned i = 0; i < count && rc == 0; i++)
		for (uint32_t o = 0; o < r->segments[order[i]].count && rc == 0; o++)
			if (is_living(&r->segments[order[i]].messages[o]))
				rc = give(r, order[i], o, each, arg);
	free(order);
	return rc;
}

int spool_replay_one(struct spool_replay *r, unsigned segment, uint32_t ordinal,
		     spool_replay_each_fn *each, void *arg)
{
	return give(r, segment, ordinal, each, arg);
}

void spool_replay_finished(struct spool_replay *r, bool (*each)(void *arg, const struct id *id),
			   void *arg)
{
	unsigned count, *order = spool_replay_order(r, &count);
	struct spool_record record;
	bool more = order != NULL;

	for (unsigned i = count; more && i > 0; i--) {
		const struct spool_replay_segment *s = &r->segments[order[i - 1]];

		for (uint32_t o = s->count; more && o > 0; o--) {
			const struct spool_replay_message *m = &s->messages[o - 1];

			if (m->lsn != 0 && m->is_dead &&
			    load(r, order[i - 1], m->accept, r->window, &record) == 0)
				more = each(arg, &record.id);
		}
	}
	free(order);
}
