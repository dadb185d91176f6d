#include "queue_frames.h"

#include <stdlib.h>
#include <string.h>

#include "counter.h"
#include "ipc_carry.h"
#include "queue_kept.h"

/* A message on its way to the disk; answered when it is there. */
struct arrival {
	struct queue_flight flight;
	struct queue *queue;
	unsigned edge;
	uint32_t epoch; /* of the edge's channel */
	uint64_t tag;
	struct spool_submit submit;
	unsigned n;
	struct queue_message *variants[];
};

static const struct spool_refusal no_memory = { 452, "out of memory for the queue" };
static const struct spool_refusal quarantine_full = { 452, "the quarantine is full" };
static const struct spool_refusal nonsense = { 451, "the submission is not well formed" };
static const struct spool_refusal foreign = { 451, "the submission has the id of another process" };

void queue_submit_answer(struct queue *q, unsigned edge, uint64_t tag,
			 const struct spool_refusal *why, uint16_t flags)
{
	struct ipc_frame head = { .type = why ? IPC_REFUSED : IPC_DURABLE,
				  .flags = flags,
				  .tag = tag };
	struct str payload = STR_NONE;
	struct ipc_refusal r;

	buf_reset(&q->out);
	if (why) {
		counter_add(COUNTER_SPOOL_REFUSED, 1);
		r = (struct ipc_refusal){ (uint16_t)why->code,
					  why->code == 452 ? STR("4.3.1") : STR("4.3.0"),
					  str_of(why->text) };
		ipc_refusal_encode(&q->out, &r);
		payload = buf_str(&q->out);
	}
	/*
	 * An edge that lets its ring fill up with answers asks again after its commit timeout; the
	 * id makes that harmless.
	 */
	if (q->edges[edge].channel)
		(void)ipc_channel_send(q->edges[edge].channel, &head, &payload, 1);
}

static void answer(struct queue *q, unsigned edge, uint64_t tag, const struct spool_refusal *why)
{
	queue_submit_answer(q, edge, tag, why, 0);
}

/* ---- variants -------------------------------------------------------------------------------- */

/*
 * hash_sender - so that one address has one turn; what a mailing list puts behind '+' or '=' to
 * tell its recipients apart is not another sender
 */
static uint32_t hash_sender(struct str sender)
{
	ptrdiff_t at = str_rfind(sender, '@'), end = str_find_any(sender, "+=");
	struct str local = str_head(sender, at < 0 ? sender.n : (size_t)at);

	if (end > 0 && (size_t)end < local.n)
		local.n = (size_t)end;
	return (uint32_t)(map_hash_fold(local) * 3 +
			  map_hash_fold(str_drop(sender, at < 0 ? sender.n : (size_t)at)));
}

/* scan - the lines that begin a recipient, and the sender; the rest of the text is for deliver */
static bool scan(struct str text, unsigned *nrcpts, uint32_t *sender)
{
	struct str line;

	*nrcpts = 0;
	*sender = 0;
	while (str_take(&text, '\n', &line))
		if (str_has_prefix(line, STR("rcpt: ")))
			++*nrcpts;
		else if (str_has_prefix(line, STR("from: ")))
			*sender = hash_sender(str_drop(line, 6));
	return *nrcpts > 0 && *nrcpts <= ENVELOPE_RCPTS;
}

uint32_t queue_sender(struct str envelope)
{
	unsigned nrcpts;
	uint32_t sender;

	(void)scan(envelope, &nrcpts, &sender);
	return sender;
}

uint64_t queue_created(struct str envelope)
{
	uint64_t created = 0;
	struct str line;

	while (str_take(&envelope, '\n', &line))
		if (str_has_prefix(line, STR("created: ")))
			(void)str_u64(str_drop(line, 9), UINT64_MAX, &created);
	return created / 1000000;
}

static void fill(const struct ipc_submit *s, const struct ipc_variant *v, struct spool_accept *a)
{
	a->envelope = v->envelope;
	a->header = v->header;
	a->state.blob = queue_state_kept(v->state);
	if (s->is_slot && s->slot_length) {
		a->nextents = 1;
		a->extents[0] = (struct spool_extent){ NULL, 0, s->slot_length };
	} else if (!s->is_slot && s->body.n) {
		a->nextents = 1;
		a->extents[0] = (struct spool_extent){ s->body.p, 0, s->body.n };
	}
}

static uint64_t bytes_of(const struct ipc_submit *s, const struct ipc_variant *v)
{
	return v->envelope.n + v->header.n + (s->is_slot ? s->slot_length : s->body.n);
}

/*
 * queue_variant - its age counts from now, whatever the envelope says: clocks of other processes
 * may step
 */
struct queue_message *queue_variant(struct queue *q, const struct ipc_submit *s, unsigned i,
				    struct spool_variant *out, const struct spool_refusal **why)
{
	const struct ipc_variant *v = &s->variants[i];
	struct queue_message *m;
	unsigned nrcpts;
	uint32_t sender;

	*why = &nonsense;
	if (!scan(v->envelope, &nrcpts, &sender))
		return NULL;
	*why = &quarantine_full;
	if (v->state == IPC_STATE_QUARANTINE && !queue_kept_has_room(q, bytes_of(s, v))) {
		counter_add(COUNTER_QUARANTINE_FULL, 1);
		return NULL;
	}
	*why = &no_memory;
	m = queue_message_new(&s->id, (uint16_t)i, (uint16_t)nrcpts, queue_now(q));
	if (!m)
		return NULL;
	m->sender = sender;
	*out = (struct spool_variant){ .handle = &m->handle, .number = (uint16_t)i };
	out->accept.recipients = (uint16_t)nrcpts;
	fill(s, v, &out->accept);
	queue_pin(m); /* until it has arrived */
	if (v->state != IPC_STATE_QUEUE)
		queue_kept_begin(q, m, v->state, v->envelope, bytes_of(s, v));
	return m;
}

void queue_variant_drop(struct queue *q, struct queue_message **mp)
{
	if (!*mp)
		return;
	queue_job_place(&q->index, &(*mp)->job, PLACE_LEASED);
	queue_message_free(&q->index, mp);
}

void queue_arrived(struct queue *q, struct queue_message *m)
{
	counter_add(COUNTER_SPOOL_MESSAGES, 1);
	queue_message_add(&q->index, m);
	if (m->job.place != PLACE_HELD && m->job.place != PLACE_QUARANTINED)
		queue_job_place(&q->index, &m->job, PLACE_UNROUTED);
	queue_unpin(q, m);
	queue_soon(q);
}

/* ---- submissions ----------------------------------------------------------------------------- */

static void drop(struct arrival **ap)
{
	struct arrival *a = *ap;

	*ap = NULL;
	for (unsigned i = 0; i < a->n; i++)
		queue_variant_drop(a->queue, &a->variants[i]);
	queue_land(&a->flight);
	free(a);
}

static void give_up(struct queue_flight *f)
{
	struct arrival *a = container_of(f, struct arrival, flight);

	drop(&a);
}

static void arrived(struct spool_submit *s, enum spool_outcome outcome,
		    const struct spool_refusal *why)
{
	struct arrival *a = container_of(s, struct arrival, submit);
	struct queue *q = a->queue;

	q->submitting--;
	for (unsigned i = 0; outcome == SPOOL_DURABLE && i < a->n; i++) {
		queue_arrived(q, a->variants[i]);
		a->variants[i] = NULL;
	}
	if (q->edges[a->edge].epoch == a->epoch)
		answer(q, a->edge, a->tag, outcome == SPOOL_REFUSED ? why : NULL);
	drop(&a);
}

static struct arrival *build(struct queue *q, const struct ipc_submit *s,
			     struct spool_variant *variants, const struct spool_refusal **why)
{
	struct arrival *a = calloc(1, sizeof *a + s->nvariants * sizeof a->variants[0]);

	*why = &no_memory;
	if (!a)
		return NULL;
	a->queue = q;
	list_init(&a->flight.node);
	for (; a->n < s->nvariants; a->n++) {
		a->variants[a->n] = queue_variant(q, s, a->n, &variants[a->n], why);
		if (!a->variants[a->n]) {
			drop(&a);
			return NULL;
		}
	}
	return a;
}

/* stall - keep the payload and listen no more to that edge until there is room */
static void stall(struct queue *q, unsigned edge, const struct ipc_frame *frame)
{
	struct queue_edge *e = &q->edges[edge];
	struct str payload = frame->payload;

	e->stalled = malloc(payload.n);
	if (!e->stalled) {
		answer(q, edge, frame->tag, &no_memory);
		return;
	}
	memcpy(e->stalled, payload.p, payload.n);
	e->stalled_frame = *frame;
	e->stalled_frame.payload = (struct str){ e->stalled, payload.n };
	ipc_channel_pause(e->channel);
}

struct queue_stream *queue_submit_stream(struct queue *q, unsigned edge, struct ipc_submit *s)
{
	struct queue_stream *stream = s->is_slot ? queue_stream_find(q, edge, s->slot) : NULL;

	if (stream && stream->slot && spool_slot_length(stream->slot) == s->slot_length)
		return stream;
	if (s->is_slot)
		s->slot_length = UINT64_MAX;
	return NULL;
}

/* take - false: there is no room now, nothing was taken */
static bool take(struct queue *q, unsigned edge, uint64_t tag, struct ipc_submit *s)
{
	static struct spool_variant variants[IPC_VARIANTS];
	struct queue_stream *stream = queue_submit_stream(q, edge, s);
	const struct spool_refusal *why;
	struct arrival *a = build(q, s, variants, &why);

	if (!a) {
		answer(q, edge, tag, why);
		return true;
	}
	a->edge = edge;
	a->epoch = q->edges[edge].epoch;
	a->tag = tag;
	a->submit = (struct spool_submit){ .id = s->id,
					   .variants = variants,
					   .nvariants = s->nvariants,
					   .slot = stream ? stream->slot : NULL,
					   .done = arrived };
	if (!spool_submit(q->spool, &a->submit)) {
		drop(&a);
		return false;
	}
	q->submitting++;
	queue_fly(q, &a->flight, give_up);
	if (stream)
		queue_stream_taken(&stream);
	queue_soon(q);
	return true;
}

void queue_submit(struct queue *q, unsigned edge, const struct ipc_frame *frame)
{
	static struct ipc_submit s;

	if (frame->type == IPC_CARRY) {
		if (!queue_carry(q, edge, frame->tag, frame->payload))
			stall(q, edge, frame);
		return;
	}
	if (!ipc_submit_decode(frame->payload, &s))
		answer(q, edge, frame->tag, &nonsense);
	else if (id_edge(&s.id) != edge)
		answer(q, edge, frame->tag, &foreign);
	else if (!take(q, edge, frame->tag, &s))
		stall(q, edge, frame);
}

void queue_submit_retry(struct queue *q)
{
	for (unsigned i = 0; i < QUEUE_EDGES; i++) {
		struct queue_edge *e = &q->edges[i];
		struct ipc_frame frame = e->stalled_frame;
		char *payload = e->stalled;

		if (!payload)
			continue;
		e->stalled = NULL;
		queue_submit(q, i, &frame);
		free(payload);
		if (!e->stalled && e->channel)
			ipc_channel_resume(e->channel);
	}
}

void queue_submit_edge_lost(struct queue *q, unsigned edge)
{
	free(q->edges[edge].stalled);
	q->edges[edge].stalled = NULL;
	q->edges[edge].epoch++;
	queue_stream_lost(q, edge);
}
