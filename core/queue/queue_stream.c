#include "queue_frames.h"

#include <stdlib.h>

#include "codec.h"

/*
 * Big bodies on their way from an edge into a slot. The edge sends at most a window beyond the last
 * SLOT_ACK.
 */

static void send_refusal(struct queue *q, unsigned edge, uint64_t tag,
			 const struct spool_refusal *why)
{
	struct ipc_refusal r = { (uint16_t)why->code,
				 why->code == 452 ? STR("4.3.1") : STR("4.3.0"),
				 str_of(why->text) };
	struct ipc_frame head = { .type = IPC_SLOT_REFUSED, .tag = tag };
	struct str payload;

	buf_reset(&q->out);
	ipc_refusal_encode(&q->out, &r);
	payload = buf_str(&q->out);
	(void)ipc_channel_send(q->edges[edge].channel, &head, &payload, 1);
}

static void send_ack(struct queue_stream *s)
{
	struct queue *q = s->queue;
	struct ipc_frame head = { .type = IPC_SLOT_ACK, .tag = s->tag };
	struct str payload;

	buf_reset(&q->out);
	wire_u64(&q->out, spool_slot_written(s->slot));
	payload = buf_str(&q->out);
	s->owes_ack = !ipc_channel_send(q->edges[s->edge].channel, &head, &payload, 1);
}

static void forget(struct queue_stream **sp)
{
	struct queue_stream *s = *sp;

	s->queue->edges[s->edge].nstreams--;
	list_remove(&s->node);
	list_remove(&s->waiting);
	free(s);
	*sp = NULL;
}

/* moved - bytes went to the disk, or the slot failed */
static void moved(void *arg)
{
	struct queue_stream *s = arg;
	static const struct spool_refusal failed = { 451, "cannot write the message" };

	if (!spool_slot_has_failed(s->slot)) {
		send_ack(s);
		return;
	}
	send_refusal(s->queue, s->edge, s->tag, &failed);
	spool_slot_abort(s->queue->spool, &s->slot);
	forget(&s);
}

struct queue_stream *queue_stream_find(struct queue *q, unsigned edge, uint64_t tag)
{
	LIST_EACH(node, &q->edges[edge].streams)
	{
		struct queue_stream *s = LIST_ITEM(node, struct queue_stream, node);

		if (s->tag == tag)
			return s;
	}
	return NULL;
}

/* can_store - a body of that size (0: unknown, but it is a big one), as far as the spool knows */
static bool can_store(const struct queue_stream *s, struct spool_refusal *why)
{
	return spool_is_accepting(s->queue->spool,
				  s->size > SPOOL_INLINE ? s->size : SPOOL_INLINE + 1, why);
}

/* Slots are made, written and cleared by threads: none may be there yet for what the spool does
 * accept. */
void queue_stream_run(struct queue *q)
{
	while (!list_is_empty(&q->waiting)) {
		struct queue_stream *s = LIST_ITEM(q->waiting.next, struct queue_stream, waiting);
		struct spool_refusal why;
		bool can = can_store(s, &why);

		s->slot = can ? spool_slot_open(q->spool, moved, s, &why) : NULL;
		if (s->slot) {
			list_remove(&s->waiting);
			send_ack(s);
			continue;
		}
		if (can && net_loop_now(q->loop) < s->since + QUEUE_SLOT_US)
			return;
		send_refusal(q, s->edge, s->tag, &why);
		forget(&s);
	}
}

uint64_t queue_stream_next(const struct queue *q)
{
	if (list_is_empty(&q->waiting))
		return UINT64_MAX;
	return LIST_ITEM(q->waiting.next, struct queue_stream, waiting)->since + QUEUE_SLOT_US;
}

static void open_stream(struct queue *q, unsigned edge, uint64_t tag, uint64_t size)
{
	static const struct spool_refusal why = { 452, "too many big messages at once" };
	struct queue_edge *e = &q->edges[edge];
	struct queue_stream *s = e->nstreams < QUEUE_STREAMS ? calloc(1, sizeof *s) : NULL;

	if (!s) {
		send_refusal(q, edge, tag, &why);
		return;
	}
	s->queue = q;
	s->edge = edge;
	s->tag = tag;
	s->size = size;
	s->since = net_loop_now(q->loop);
	list_prepend(&e->streams, &s->node);
	e->nstreams++;
	list_append(&q->waiting, &s->waiting);
	queue_stream_run(q);
}

static void open_frame(struct queue *q, unsigned edge, const struct ipc_frame *frame)
{
	struct wire w = { .rest = frame->payload };
	uint64_t size = wire_get_u64(&w);

	if (wire_is_end(&w))
		open_stream(q, edge, frame->tag, size);
}

static void append(struct queue *q, struct queue_stream *s, struct str bytes)
{
	static const struct spool_refusal why = { 451, "more bytes than were asked for" };

	if (s->slot && bytes.n <= spool_slot_room(s->slot)) {
		spool_slot_append(q->spool, s->slot, bytes);
		return;
	}
	send_refusal(q, s->edge, s->tag, &why);
	spool_slot_abort(q->spool, &s->slot);
	forget(&s);
}

void queue_stream_frame(struct queue *q, unsigned edge, const struct ipc_frame *frame)
{
	struct queue_stream *s = queue_stream_find(q, edge, frame->tag);

	if (frame->type == IPC_SLOT_OPEN && !s) {
		open_frame(q, edge, frame);
	} else if (frame->type == IPC_SLOT_DATA && s) {
		append(q, s, frame->payload);
	} else if (frame->type == IPC_SLOT_ABORT && s) {
		spool_slot_abort(q->spool, &s->slot);
		forget(&s);
	}
}

void queue_stream_taken(struct queue_stream **s)
{
	forget(s);
}

void queue_stream_flush(struct queue *q, unsigned edge)
{
	LIST_EACH(node, &q->edges[edge].streams)
	{
		struct queue_stream *s = LIST_ITEM(node, struct queue_stream, node);

		if (s->owes_ack)
			send_ack(s);
	}
}

void queue_stream_lost(struct queue *q, unsigned edge)
{
	LIST_EACH(node, &q->edges[edge].streams)
	{
		struct queue_stream *s = LIST_ITEM(node, struct queue_stream, node);

		spool_slot_abort(q->spool, &s->slot);
		forget(&s);
	}
}

/* queue_stream_fini - the spool is closed: slots are no more */
void queue_stream_fini(struct queue *q, unsigned edge)
{
	struct queue_edge *e = &q->edges[edge];

	LIST_EACH(node, &e->streams)
	{
		struct queue_stream *s = LIST_ITEM(node, struct queue_stream, node);

		forget(&s);
	}
	free(e->stalled);
	e->stalled = NULL;
}
