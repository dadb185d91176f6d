#include "queue_core.h"

#include <stdlib.h>
#include <string.h>

#include "counter.h"

/* A message on its way to the disk; answered when it is there. */
struct arrival {
	struct queue *queue;
	unsigned edge;
	uint32_t epoch; /* of the edge's channel */
	uint64_t tag;
	struct spool_submit submit;
	unsigned n;
	struct {
		struct queue_message *message;
		enum ipc_state state;
	} variants[];
};

static const struct spool_refusal no_memory = { 452, "out of memory for the queue" };
static const struct spool_refusal nonsense = { 451, "the submission is not well formed" };

static void answer(struct queue *q, unsigned edge, uint64_t tag, const struct spool_refusal *why)
{
	struct ipc_frame head = { .type = why ? IPC_REFUSED : IPC_DURABLE, .tag = tag };
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
	/* An edge that lets its ring fill up with answers asks again after its commit timeout; the id makes that harmless. */
	if (q->edges[edge].channel)
		(void)ipc_channel_send(q->edges[edge].channel, &head, &payload, 1);
}

/* ---- variants ----------------------------------------------------------------------------------------------- */

/* count_rcpts - the lines that begin a recipient, and when it was made; the rest of the text is for deliver */
static bool scan_envelope(struct str text, unsigned *nrcpts, uint64_t *created)
{
	struct str line;

	*nrcpts = 0;
	*created = 0;
	while (str_take(&text, '\n', &line))
		if (str_has_prefix(line, STR("rcpt: ")))
			(*nrcpts)++;
		else if (str_has_prefix(line, STR("created: ")) &&
			 !str_u64(str_drop(line, 9), UINT64_MAX, created))
			return false;
	return *nrcpts > 0 && *nrcpts <= ENVELOPE_RCPTS;
}

struct queue_message *queue_variant(const struct ipc_submit *s, unsigned i,
				    struct spool_variant *out)
{
	const struct ipc_variant *v = &s->variants[i];
	struct queue_message *m;
	unsigned nrcpts;
	uint64_t created;

	if (!scan_envelope(v->envelope, &nrcpts, &created))
		return NULL;
	m = queue_message_new(&s->id, (uint16_t)i, (uint16_t)nrcpts, created);
	if (!m)
		return NULL;
	*out = (struct spool_variant){ .handle = &m->handle, .number = (uint16_t)i };
	out->accept.recipients = (uint16_t)nrcpts;
	out->accept.envelope = v->envelope;
	out->accept.header = v->header;
	if (s->is_slot && s->slot_length) {
		out->accept.nextents = 1;
		out->accept.extents[0] = (struct spool_extent){ NULL, 0, s->slot_length };
	} else if (!s->is_slot && s->body.n) {
		out->accept.nextents = 1;
		out->accept.extents[0] = (struct spool_extent){ s->body.p, 0, s->body.n };
	}
	return m;
}

/* mark_state - a message that starts held says so in its first record */
static void mark_state(struct queue *q, struct queue_message *m, enum ipc_state state,
		       struct spool_accept *a)
{
	struct spool_state s;

	if (state == IPC_STATE_QUEUE)
		return;
	queue_message_remember(
		m, state == IPC_STATE_HOLD ? STR("held by policy") : STR("quarantined by policy"),
		STR_NONE);
	queue_job_place(&q->index, &m->job, PLACE_HELD);
	(void)queue_state_write(q, m, &s);
	a->state.blob = s.blob;
}

void queue_arrived(struct queue *q, struct queue_message *m, enum ipc_state state)
{
	counter_add(COUNTER_SPOOL_MESSAGES, 1);
	queue_message_add(&q->index, m);
	if (state == IPC_STATE_QUEUE)
		queue_job_place(&q->index, &m->job, PLACE_UNROUTED);
	queue_soon(q);
}

/* ---- submissions -------------------------------------------------------------------------------------------- */

static void drop(struct arrival **ap)
{
	struct arrival *a = *ap;

	for (unsigned i = 0; i < a->n; i++)
		if (a->variants[i].message) {
			queue_job_place(&a->queue->index, &a->variants[i].message->job,
					PLACE_LEASED);
			queue_message_free(&a->variants[i].message);
		}
	free(a);
	*ap = NULL;
}

static void arrived(struct spool_submit *s, enum spool_outcome outcome,
		    const struct spool_refusal *why)
{
	struct arrival *a = container_of(s, struct arrival, submit);
	struct queue *q = a->queue;

	q->submitting--;
	for (unsigned i = 0; outcome == SPOOL_DURABLE && i < a->n; i++) {
		queue_arrived(q, a->variants[i].message, a->variants[i].state);
		a->variants[i].message = NULL;
	}
	if (q->edges[a->edge].epoch == a->epoch)
		answer(q, a->edge, a->tag, outcome == SPOOL_REFUSED ? why : NULL);
	drop(&a);
}

static struct arrival *build(struct queue *q, const struct ipc_submit *s,
			     struct spool_variant *variants)
{
	struct arrival *a = calloc(1, sizeof *a + s->nvariants * sizeof a->variants[0]);

	if (!a)
		return NULL;
	a->queue = q;
	for (; a->n < s->nvariants; a->n++) {
		a->variants[a->n].message = queue_variant(s, a->n, &variants[a->n]);
		a->variants[a->n].state = s->variants[a->n].state;
		if (!a->variants[a->n].message) {
			drop(&a);
			return NULL;
		}
		mark_state(q, a->variants[a->n].message, a->variants[a->n].state,
			   &variants[a->n].accept);
	}
	return a;
}

/* stall - keep the payload and listen no more to that edge until there is room */
static void stall(struct queue *q, unsigned edge, uint64_t tag, struct str payload)
{
	struct queue_edge *e = &q->edges[edge];

	e->stalled = malloc(payload.n);
	if (!e->stalled) {
		answer(q, edge, tag, &no_memory);
		return;
	}
	memcpy(e->stalled, payload.p, payload.n);
	e->stalled_length = payload.n;
	e->stalled_tag = tag;
	ipc_channel_pause(e->channel);
}

static bool slot_matches(const struct ipc_submit *s, const struct queue_stream *t)
{
	return t && spool_slot_length(t->slot) == s->slot_length;
}

static struct queue_stream *stream_of(struct queue *q, unsigned edge, uint64_t tag)
{
	LIST_EACH(node, &q->edges[edge].streams)
	if (LIST_ITEM(node, struct queue_stream, node)->tag == tag)
		return LIST_ITEM(node, struct queue_stream, node);
	return NULL;
}

/* take - false: there is no room now, nothing was taken */
static bool take(struct queue *q, unsigned edge, uint64_t tag, const struct ipc_submit *s)
{
	static struct spool_variant variants[IPC_VARIANTS];
	struct queue_stream *stream = s->is_slot ? stream_of(q, edge, s->slot) : NULL;
	struct arrival *a;

	if (s->is_slot && !slot_matches(s, stream)) {
		answer(q, edge, tag, queue_message_is_known(&q->index, &s->id) ? NULL : &nonsense);
		return true;
	}
	a = build(q, s, variants);
	if (!a) {
		answer(q, edge, tag, &no_memory);
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
	q->submitting++;
	if (!spool_submit(q->spool, &a->submit)) {
		q->submitting--;
		drop(&a);
		return false;
	}
	if (stream)
		(void)queue_stream_take(q, edge, s->slot);
	queue_soon(q);
	return true;
}

static void submit_payload(struct queue *q, unsigned edge, uint64_t tag, struct str payload)
{
	static struct ipc_submit s;

	if (!ipc_submit_decode(payload, &s))
		answer(q, edge, tag, &nonsense);
	else if (!take(q, edge, tag, &s))
		stall(q, edge, tag, payload);
}

void queue_submit(struct queue *q, unsigned edge, const struct ipc_frame *frame)
{
	submit_payload(q, edge, frame->tag, frame->payload);
}

void queue_submit_retry(struct queue *q)
{
	for (unsigned i = 0; i < QUEUE_EDGES; i++) {
		struct queue_edge *e = &q->edges[i];
		char *payload = e->stalled;

		if (!payload)
			continue;
		e->stalled = NULL;
		submit_payload(q, i, e->stalled_tag, (struct str){ payload, e->stalled_length });
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
