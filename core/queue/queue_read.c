#include "queue_core.h"

#include <stdlib.h>

#include "codec.h"

/* One piece of a big body on its way from the disk to a deliver process. */
struct piece {
	struct queue *queue;
	struct queue_message *message;
	unsigned deliver;
	uint64_t tag, offset;
	struct spool_read read;
	char bytes[];
};

static void answer(struct queue *q, unsigned deliver, uint64_t tag, uint64_t offset,
		   struct str bytes)
{
	struct queue_deliver *d = &q->delivers[deliver];
	struct ipc_frame head = { .type = IPC_DATA, .tag = tag };
	struct str payload;

	if (!d->channel)
		return;
	buf_reset(&q->out);
	wire_u64(&q->out, offset);
	wire_str(&q->out, bytes);
	payload = buf_str(&q->out);
	/* The deliver process asks for no more than fits its window, far less than the ring: no room means it misbehaves. */
	(void)ipc_channel_send(d->channel, &head, &payload, 1);
}

static void finish(struct piece *p, bool is_good)
{
	struct queue *q = p->queue;

	if (queue_lease_find(q, p->deliver, p->tag))
		answer(q, p->deliver, p->tag, p->offset,
		       is_good ? (struct str){ p->bytes, p->read.length } : STR_NONE);
	q->delivers[p->deliver].reads--;
	queue_unpin(q, p->message);
	free(p);
}

static void was_read(struct spool_read *r, bool is_good)
{
	finish(container_of(r, struct piece, read), is_good);
}

static void read_slot(struct queue *q, unsigned deliver, const struct queue_lease *l,
		      struct piece *p)
{
	p->queue = q;
	p->deliver = deliver;
	p->message = l->job->message;
	queue_pin(p->message);
	q->delivers[deliver].reads++;
	switch (spool_read(q->spool, &p->read)) {
	case STEP_DONE:
		finish(p, true);
		return;
	case STEP_ERROR:
		finish(p, false);
		return;
	case STEP_MORE:
		return;
	}
}

void queue_read(struct queue *q, unsigned deliver, const struct ipc_frame *frame)
{
	struct queue_lease *l = queue_lease_find(q, deliver, frame->tag);
	struct wire w = { .rest = frame->payload };
	uint64_t offset = wire_get_u64(&w);
	uint32_t length = wire_get_u32(&w);
	struct spool_extent piece;
	struct piece *p;

	if (!wire_is_end(&w) || !l || !l->image || l->is_route)
		return;
	if (length > IPC_READ_MAX || !spool_accept_piece(&l->load.accept, offset, &piece) ||
	    q->delivers[deliver].reads >= QUEUE_READS) {
		answer(q, deliver, frame->tag, offset, STR_NONE);
		return;
	}
	if (piece.length > length)
		piece.length = length;
	if (piece.p) {
		answer(q, deliver, frame->tag, offset, (struct str){ piece.p, piece.length });
		return;
	}
	p = malloc(sizeof *p + piece.length);
	if (!p) {
		answer(q, deliver, frame->tag, offset, STR_NONE);
		return;
	}
	p->tag = frame->tag;
	p->offset = offset;
	p->read = (struct spool_read){ .handle = &l->job->message->handle,
				       .to = p->bytes,
				       .length = piece.length,
				       .offset = piece.offset,
				       .done = was_read };
	read_slot(q, deliver, l, p);
}
