#include "queue_core.h"

#include <string.h>

#include "codec.h"

/*
 * The blob of a STATE: version, text of the last failure, variables, the distinct destinations, then per recipient that is left
 * {index, attempts, due, place, number of its destination}. What does not fit (SPOOL_BLOB_MAX) is left out from the end: such a
 * recipient is routed and tried anew after a restart, which costs a look-up and loses nothing.
 */
#define VERSION        1
#define DESTINATIONS   256
#define NO_DESTINATION UINT16_MAX
#define ROW_BYTES      11

struct table {
	struct queue_destination *at[DESTINATIONS];
	unsigned n;
};

static uint16_t number_of(struct table *t, struct queue_destination *d)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->at[i] == d)
			return (uint16_t)i;
	if (!d || t->n == DESTINATIONS)
		return NO_DESTINATION;
	t->at[t->n] = d;
	return (uint16_t)t->n++;
}

static void write_destinations(struct buf *b, struct table *t, const struct queue_message *m)
{
	for (unsigned i = 0; i < m->nrcpts; i++)
		if (m->rcpts[i].job)
			(void)number_of(t, m->rcpts[i].job->destination);
	wire_u16(b, (uint16_t)t->n);
	for (unsigned i = 0; i < t->n; i++) {
		wire_str(b, queue_destination_key(t->at[i]));
		wire_str(b, queue_destination_hop(t->at[i]));
	}
}

static void write_rows(struct buf *b, struct table *t, const struct queue_message *m)
{
	for (unsigned i = 0; i < m->nrcpts && buf_room(b) >= ROW_BYTES; i++) {
		const struct queue_job *j = m->rcpts[i].job;

		if (!j)
			continue;
		wire_u16(b, (uint16_t)i);
		wire_u16(b, m->rcpts[i].attempts);
		wire_u32(b, j->place == PLACE_WAITING ? j->due : 0);
		wire_u8(b, j->place == PLACE_HELD);
		wire_u16(b, number_of(t, j->destination));
	}
}

static void set_bits(uint8_t *bits, const struct queue_message *m, enum queue_rcpt_state state)
{
	memset(bits, 0, (ENVELOPE_RCPTS + 7) / 8);
	for (unsigned i = 0; i < m->nrcpts && i < ENVELOPE_RCPTS; i++)
		if (m->rcpts[i].state == state)
			bits[i / 8] |= (uint8_t)(1u << i % 8);
}

uint16_t queue_state_write(struct queue *q, struct queue_message *m, struct spool_state *out)
{
	static uint8_t done[(ENVELOPE_RCPTS + 7) / 8], failed[(ENVELOPE_RCPTS + 7) / 8];
	static struct buf blob;
	struct table t = { .n = 0 };

	(void)q;
	if (!blob.max)
		buf_init(&blob, SPOOL_BLOB_MAX);
	buf_reset(&blob);
	set_bits(done, m, QUEUE_RCPT_DONE);
	set_bits(failed, m, QUEUE_RCPT_FAILED);
	wire_u8(&blob, VERSION);
	wire_str(&blob, m->extra ? str_of(m->extra->last) : STR_NONE);
	if (!m->extra || !wire_str(&blob, (struct str){ m->extra->vars, m->extra->nvars }))
		wire_str(&blob, STR_NONE);
	write_destinations(&blob, &t, m);
	write_rows(&blob, &t, m);
	*out = (struct spool_state){ done, failed, buf_str(&blob) };
	return m->nrcpts;
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

struct row {
	uint32_t due;
	uint16_t index, attempts, destination;
	bool held;
};

static bool has_bit(const uint8_t *bits, unsigned i)
{
	return bits && bits[i / 8] >> i % 8 & 1;
}

static void read_finished(struct queue_message *m, const struct spool_state *s)
{
	for (unsigned i = 0; i < m->nrcpts; i++) {
		if (!has_bit(s->done, i) && !has_bit(s->failed, i))
			continue;
		m->rcpts[i].state = has_bit(s->done, i) ? QUEUE_RCPT_DONE : QUEUE_RCPT_FAILED;
		m->rcpts[i].job = NULL;
		m->left--;
	}
}

static bool read_row(struct wire *w, struct row *r)
{
	r->index = wire_get_u16(w);
	r->attempts = wire_get_u16(w);
	r->due = wire_get_u32(w);
	r->held = wire_get_u8(w) != 0;
	r->destination = wire_get_u16(w);
	return !w->bad;
}

static bool fits(const struct queue_job *j, const struct row *r, const struct queue_destination *d)
{
	return j->destination == d && (j->place == PLACE_HELD) == r->held && j->due == r->due;
}

/* job_for - a job of the message that already goes that way, or a new one */
static struct queue_job *job_for(struct queue *q, struct queue_message *m, const struct row *r,
				 struct queue_destination *d)
{
	struct queue_job *j;

	for (j = m->job.next; j; j = j->next)
		if (fits(j, r, d))
			return j;
	j = queue_job_split(m);
	if (!j)
		return NULL;
	queue_job_route(&q->index, j, d);
	j->due = r->due;
	if (r->held)
		queue_job_place(&q->index, j, PLACE_HELD);
	return j;
}

static void apply_row(struct queue *q, struct queue_message *m, const struct row *r,
		      struct queue_destination **table, unsigned n)
{
	struct queue_destination *d = r->destination < n ? table[r->destination] : NULL;
	struct queue_job *j;

	if (r->index >= m->nrcpts || m->rcpts[r->index].job != &m->job)
		return;
	m->rcpts[r->index].attempts = r->attempts;
	if (!d && !r->held && !r->due)
		return; /* as new */
	j = job_for(q, m, r, d);
	if (j)
		m->rcpts[r->index].job = j;
}

/* queue_state_read - false: the blob makes no sense; then the message is as new but for what is finished */
bool queue_state_read(struct queue *q, struct queue_message *m, const struct spool_state *state)
{
	struct wire w = { .rest = state->blob };
	struct queue_destination *table[DESTINATIONS];
	struct str last, vars;
	struct row row;
	unsigned n;

	read_finished(m, state);
	if (!state->blob.n)
		return true;
	if (wire_get_u8(&w) != VERSION)
		return false;
	last = wire_get_str(&w, QUEUE_LAST);
	vars = wire_get_str(&w, SPOOL_BLOB_MAX);
	n = wire_get_u16(&w);
	if (w.bad || n > DESTINATIONS)
		return false;
	queue_message_remember(m, last, vars);
	for (unsigned i = 0; i < n; i++) {
		struct str key = wire_get_str(&w, IPC_NEXT_HOP),
			   hop = wire_get_str(&w, IPC_NEXT_HOP);

		table[i] = w.bad || !key.n
				   ? NULL
				   : queue_destination_get(&q->index, key, hop, q->o.delivers);
	}
	while (!w.bad && w.rest.n && read_row(&w, &row))
		apply_row(q, m, &row, table, n);
	return !w.bad;
}
