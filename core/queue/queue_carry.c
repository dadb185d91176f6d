#include "queue_frames.h"

#include <stdlib.h>
#include <string.h>

#include "counter.h"
#include "ipc_carry.h"
#include "json.h"
#include "log.h"

/*
 * A message that was in a queue before (imported, adopted) on its way to the disk. Its progress is
 * stored with its ACCEPT, as it was; once that is durable the message is taken up as recovery would
 * take it up.
 */
struct carried {
	struct queue_flight flight;
	struct queue *queue;
	unsigned edge;
	uint32_t epoch; /* of the channel */
	uint64_t tag;
	struct spool_submit submit;
	unsigned n;
	char *bytes; /* of all envelopes and states */
	struct {
		struct queue_message *message;
		struct spool_accept accept; /* in bytes; its header and body are lengths alone */
	} variants[];
};

_Static_assert(IPC_CARRY_BLOB == SPOOL_BLOB_MAX && 8 * IPC_CARRY_BITS >= SPOOL_RECIPIENTS,
	       "what the spool stores can be carried");

static const struct spool_refusal no_memory = { 452, "out of memory for the queue" };
static const struct spool_refusal nonsense = { 451, "the message is not well formed" };
static const struct spool_refusal foreign = { 451, "only an operator may carry messages" };

static void answer(const struct carried *c, enum spool_outcome outcome,
		   const struct spool_refusal *why)
{
	if (c->queue->edges[c->edge].epoch != c->epoch)
		return;
	queue_submit_answer(c->queue, c->edge, c->tag, outcome == SPOOL_REFUSED ? why : NULL,
			    outcome == SPOOL_KNOWN ? IPC_KNOWN : 0);
}

static void drop(struct carried **cp)
{
	struct carried *c = *cp;

	*cp = NULL;
	for (unsigned i = 0; i < c->n; i++)
		queue_variant_drop(c->queue, &c->variants[i].message);
	queue_land(&c->flight);
	free(c->bytes);
	free(c);
}

static void give_up(struct queue_flight *f)
{
	struct carried *c = container_of(f, struct carried, flight);

	drop(&c);
}

/* tell - how it came here is said once, for whoever asks later */
static void tell(const struct queue_message *m)
{
	struct json *j = log_open(LOG_LEVEL_INFO, "queue.carried");
	char id[ID_TEXT + 1];

	json_str(j, "id", str_of(id_text(&m->id, id)));
	json_int(j, "variant", m->variant);
	json_int(j, "recipients", m->nrcpts);
	log_close();
}

static void landed(struct spool_submit *s, enum spool_outcome outcome,
		   const struct spool_refusal *why)
{
	struct carried *c = container_of(s, struct carried, submit);
	struct queue *q = c->queue;

	q->submitting--;
	for (unsigned i = 0; outcome == SPOOL_DURABLE && i < c->n; i++) {
		struct queue_message *m = c->variants[i].message;

		c->variants[i].message = NULL;
		tell(m);
		counter_add(COUNTER_SPOOL_MESSAGES, 1);
		queue_restore(q, m, &c->variants[i].accept);
		queue_unpin(q, m);
		queue_progress(q, m);
	}
	answer(c, outcome, why);
	drop(&c);
}

/* ---- building -------------------------------------------------------------------------------- */

static char *copy(char *to, struct str from, const char **at)
{
	*at = from.n ? to : NULL;
	memcpy(to, from.p ? from.p : "", from.n);
	return to + from.n;
}

/* copy_accepts - of what is needed when it is durable: the payload is gone then */
static bool copy_accepts(struct carried *c, const struct ipc_carry *from)
{
	const struct ipc_submit *s = &from->submit;
	size_t n = 1;
	char *to;

	for (unsigned i = 0; i < s->nvariants; i++)
		n += from->variants[i].done.n + from->variants[i].failed.n +
		     from->variants[i].blob.n + s->variants[i].envelope.n;
	to = c->bytes = malloc(n);
	for (unsigned i = 0; to && i < s->nvariants; i++) {
		const struct ipc_carried *v = &from->variants[i];
		struct spool_accept *a = &c->variants[i].accept;

		to = copy(to, v->done, (const char **)&a->state.done);
		to = copy(to, v->failed, (const char **)&a->state.failed);
		a->state.blob.n = v->blob.n;
		to = copy(to, v->blob, &a->state.blob.p);
		a->envelope.n = s->variants[i].envelope.n;
		to = copy(to, s->variants[i].envelope, &a->envelope.p);
		a->header.n = s->variants[i].header.n;
		a->body_length = s->is_slot ? s->slot_length : s->body.n;
	}
	return to != NULL;
}

static bool fits(const struct ipc_carried *v, unsigned nrcpts)
{
	size_t n = spool_bitmap_size(nrcpts);

	return (v->done.n == 0 || v->done.n == n) && (v->failed.n == 0 || v->failed.n == n);
}

/* take_variant - as that of a submission, but with its number, its age and its progress */
static bool take_variant(struct carried *c, const struct ipc_carry *from, unsigned i,
			 struct spool_variant *out, const struct spool_refusal **why)
{
	struct queue_message *m = queue_variant(c->queue, &from->submit, i, out, why);
	uint64_t created = queue_created(from->submit.variants[i].envelope);

	if (!m)
		return false;
	c->variants[c->n++].message = m;
	*why = &nonsense;
	if (!fits(&from->variants[i], m->nrcpts) || from->submit.variants[i].state)
		return false;
	m->variant = out->number = from->variants[i].number;
	if (created && created < m->created)
		m->created = (uint32_t)created;
	c->variants[i].accept.recipients = m->nrcpts;
	out->accept.state = c->variants[i].accept.state;
	return true;
}

static struct carried *build(struct queue *q, const struct ipc_carry *from,
			     struct spool_variant *variants, const struct spool_refusal **why)
{
	struct carried *c = calloc(1, sizeof *c + from->submit.nvariants * sizeof c->variants[0]);
	bool good;

	*why = &no_memory;
	if (!c)
		return NULL;
	c->queue = q;
	list_init(&c->flight.node);
	good = copy_accepts(c, from);
	for (unsigned i = 0; good && i < from->submit.nvariants; i++)
		good = take_variant(c, from, i, &variants[i], why);
	if (!good)
		drop(&c);
	return c;
}

/* take - false: there is no room now, nothing was taken */
static bool take(struct queue *q, unsigned edge, uint64_t tag, struct ipc_carry *from)
{
	static struct spool_variant variants[IPC_VARIANTS];
	struct queue_stream *stream = queue_submit_stream(q, edge, &from->submit);
	const struct spool_refusal *why;
	struct carried *c = build(q, from, variants, &why);

	if (!c) {
		queue_submit_answer(q, edge, tag, why, 0);
		return true;
	}
	c->edge = edge;
	c->epoch = q->edges[edge].epoch;
	c->tag = tag;
	c->submit = (struct spool_submit){ .id = from->submit.id,
					   .variants = variants,
					   .nvariants = c->n,
					   .slot = stream ? stream->slot : NULL,
					   .done = landed };
	if (!spool_submit(q->spool, &c->submit)) {
		drop(&c);
		return false;
	}
	q->submitting++;
	queue_fly(q, &c->flight, give_up);
	if (stream)
		queue_stream_taken(&stream);
	queue_soon(q);
	return true;
}

bool queue_carry(struct queue *q, unsigned edge, uint64_t tag, struct str payload)
{
	static struct ipc_carry c;

	if (edge == IPC_OPERATOR && ipc_carry_decode(payload, &c))
		return take(q, edge, tag, &c);
	queue_submit_answer(q, edge, tag, edge == IPC_OPERATOR ? &nonsense : &foreign, 0);
	return true;
}
