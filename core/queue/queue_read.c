#include "queue_frames.h"

#include <stdlib.h>
#include <string.h>

#include "codec.h"

/*
 * One piece of a big body on its way to a deliver process: from the disk, or waiting for room in
 * the ring (in `unanswered`, before any lease that waits too: what has begun goes first). A piece
 * that was answered, or whose lease is gone, is no more.
 */
struct piece {
	struct queue_flight flight;
	struct list node;
	struct queue *queue;
	struct queue_message *message; /* pinned while it is read; else NULL */
	unsigned deliver;
	uint64_t tag, offset;
	size_t length; /* 0: it cannot be read */
	struct spool_read read;
	char bytes[];
};

static bool answer(struct queue *q, unsigned deliver, uint64_t tag, uint64_t offset,
		   struct str bytes)
{
	struct queue_deliver *d = &q->delivers[deliver];
	struct ipc_frame head = { .type = IPC_DATA, .tag = tag };
	struct str payload;

	buf_reset(&q->out);
	wire_u64(&q->out, offset);
	wire_str(&q->out, bytes);
	payload = buf_str(&q->out);
	return ipc_channel_send(d->channel, &head, &payload, 1);
}

/* say - true: it is answered, or nobody waits for it any more */
static bool say(struct queue *q, const struct piece *p)
{
	return !queue_lease_find(q, p->deliver, p->tag) ||
	       answer(q, p->deliver, p->tag, p->offset, (struct str){ p->bytes, p->length });
}

static void piece_free(struct piece **pp)
{
	struct piece *p = *pp;

	*pp = NULL;
	queue_land(&p->flight);
	list_remove(&p->node);
	p->queue->delivers[p->deliver].reads--;
	if (p->message)
		queue_unpin(p->queue, p->message);
	free(p);
}

/* say_or_keep - in their order */
static void say_or_keep(struct queue *q, struct piece *p)
{
	struct queue_deliver *d = &q->delivers[p->deliver];

	if (list_is_empty(&d->unanswered) && say(q, p))
		piece_free(&p);
	else
		list_append(&d->unanswered, &p->node);
}

static void was_read(struct spool_read *r, bool is_good)
{
	struct piece *p = container_of(r, struct piece, read);
	struct queue_message *m = p->message;
	struct queue *q = p->queue;

	queue_land(&p->flight);
	p->message = NULL;
	p->length = is_good ? r->length : 0;
	say_or_keep(q, p);
	queue_unpin(q, m);
}

bool queue_read_flush(struct queue *q, unsigned deliver)
{
	struct queue_deliver *d = &q->delivers[deliver];

	while (!list_is_empty(&d->unanswered)) {
		struct piece *p = LIST_ITEM(d->unanswered.next, struct piece, node);

		if (!say(q, p))
			return false;
		piece_free(&p);
	}
	return true;
}

/* queue_read_lost - what is being read is dropped when it comes: its lease is gone */
void queue_read_lost(struct queue *q, unsigned deliver)
{
	struct queue_deliver *d = &q->delivers[deliver];

	while (!list_is_empty(&d->unanswered)) {
		struct piece *p = LIST_ITEM(d->unanswered.next, struct piece, node);

		piece_free(&p);
	}
}

static void give_up(struct queue_flight *f)
{
	struct piece *p = container_of(f, struct piece, flight);

	queue_land(f);
	free(p);
}

static struct piece *piece_new(struct queue *q, unsigned deliver, uint64_t tag, size_t length)
{
	struct piece *p = calloc(1, sizeof *p + length);

	if (!p)
		return NULL;
	p->queue = q;
	p->deliver = deliver;
	p->tag = tag;
	p->length = length;
	list_init(&p->node);
	list_init(&p->flight.node);
	q->delivers[deliver].reads++;
	return p;
}

static void read_slot(struct queue *q, const struct queue_lease *l, struct piece *p,
		      uint64_t offset)
{
	p->message = queue_message_of(l->job);
	p->read = (struct spool_read){ .handle = &p->message->handle,
				       .to = p->bytes,
				       .length = p->length,
				       .offset = offset,
				       .done = was_read };
	queue_pin(p->message);
	queue_fly(q, &p->flight, give_up);
	switch (spool_read(q->spool, &p->read)) {
	case STEP_DONE:
		was_read(&p->read, true);
		return;
	case STEP_ERROR:
		was_read(&p->read, false);
		return;
	case STEP_MORE:
		return;
	}
}

/*
 * extent_at - what of the body lies in one place from that offset on, at most `length`; nothing: no
 * such place
 */
static struct spool_extent extent_at(const struct queue_lease *l, uint64_t offset, uint32_t length)
{
	struct spool_extent e;

	if (length > IPC_READ_MAX || !spool_accept_piece(&l->load.accept, offset, &e))
		return (struct spool_extent){ NULL, 0, 0 };
	if (e.length > length)
		e.length = length;
	return e;
}

void queue_read(struct queue *q, unsigned deliver, const struct ipc_frame *frame)
{
	struct queue_lease *l = queue_lease_find(q, deliver, frame->tag);
	struct wire w = { .rest = frame->payload };
	uint64_t offset = wire_get_u64(&w);
	struct spool_extent e;
	struct piece *p;

	if (!l || !l->is_big || q->delivers[deliver].reads >= QUEUE_READS)
		return; /* more than QUEUE_READS at once: it was told not to */
	e = extent_at(l, offset, wire_get_u32(&w));
	if (!wire_is_end(&w))
		return;
	p = piece_new(q, deliver, frame->tag, e.length);
	if (!p) { /* no memory */
		(void)answer(q, deliver, frame->tag, offset, STR_NONE);
		return;
	}
	p->offset = offset;
	if (e.length > 0 && !e.p) {
		read_slot(q, l, p, e.offset);
		return;
	}
	if (e.length > 0)
		memcpy(p->bytes, e.p, e.length);
	say_or_keep(q, p);
}
