#include "queue_frames.h"

#include <string.h>

#include "codec.h"

/*
 * The blob of a STATE: version; per job that has recipients left {whether it is kept, due, number
 * of its destination, recipients and their attempts}; what is said of the message; the
 * destinations. What does not fit (SPOOL_BLOB_MAX) is left out from the end: the jobs of
 * IPC_LEASE_RCPTS recipients and all that is said always fit, so that nothing kept is ever let go,
 * no attempt and no variable forgotten; a destination that is missing is asked for anew.
 *
 *   blob = u8(VERSION) u16(count) *job SAIDS( str(said) ) u16(count) *( str(key) str(hop) )
 *   job  = u8(kept) u32(due) u16(destination) u16(count / ALL) *( u16(index) u16(attempts) )
 *   kept = 0 / 1 (held) / 2 (quarantined until `due`; 0: as its envelope says)
 */
#define VERSION        3
#define ALL            UINT16_MAX /* every recipient, none of them tried */
#define NO_DESTINATION UINT16_MAX
#define DESTINATIONS   256
#define JOB_BYTES      (1 + 4 + 2 + 2)
#define RCPT_BYTES     (2 + 2)

_Static_assert(3 + ENVELOPE_RCPTS * (JOB_BYTES + RCPT_BYTES) + 4 * SAIDS + QUEUE_LAST +
			       QUEUE_BUCKET + 12 + ENVELOPE_VALUE + IPC_VARS + IPC_RCPT_VARS + 2 <=
		       SPOOL_BLOB_MAX,
	       "the jobs of a message and what is said of it fit");

enum kept { KEPT_NOT, KEPT_HELD, KEPT_QUARANTINED, KEPTS };

static enum kept kept_by(const struct queue_job *j)
{
	if (j->place == PLACE_HELD)
		return KEPT_HELD;
	return j->place == PLACE_QUARANTINED ? KEPT_QUARANTINED : KEPT_NOT;
}

struct table {
	const struct queue_destination *at[DESTINATIONS];
	unsigned n;
};

static uint16_t number_of(struct table *t, const struct queue_destination *d)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->at[i] == d)
			return (uint16_t)i;
	if (!d || t->n == DESTINATIONS)
		return NO_DESTINATION;
	t->at[t->n] = d;
	return (uint16_t)t->n++;
}

static void put_u16_at(struct buf *b, size_t at, unsigned v)
{
	b->p[b->head + at] = (char)(v & 0xff);
	b->p[b->head + at + 1] = (char)(v >> 8);
}

static bool is_left(const struct queue_message *m, unsigned i, const struct queue_job *j)
{
	return queue_rcpt(m, i)->job == j && queue_rcpt(m, i)->state == QUEUE_RCPT_LEFT;
}

/* write_job - false: it has no recipient left, and nothing was written */
static bool write_job(struct buf *b, struct table *t, const struct queue_message *m,
		      const struct queue_job *j)
{
	size_t at = buf_len(b);
	unsigned n = 0;

	wire_u8(b, (uint8_t)kept_by(j));
	wire_u32(b, j->place == PLACE_WAITING || j->place == PLACE_QUARANTINED ? j->due : 0);
	wire_u16(b, number_of(t, j->destination));
	wire_u16(b, 0);
	for (unsigned i = 0; i < m->nrcpts && i < ENVELOPE_RCPTS; i++)
		if (is_left(m, i, j)) {
			wire_u16(b, (uint16_t)i);
			wire_u16(b, queue_rcpt(m, i)->attempts);
			n++;
		}
	put_u16_at(b, at + JOB_BYTES - 2, n);
	if (n == 0)
		b->tail = b->head + at;
	return n > 0;
}

static void write_jobs(struct buf *b, struct table *t, const struct queue_message *m)
{
	size_t at = buf_len(b);
	unsigned n = 0;

	wire_u16(b, 0);
	for (const struct queue_job *j = &m->job; j; j = j->next)
		n += write_job(b, t, m, j);
	put_u16_at(b, at, n);
}

static void write_destinations(struct buf *b, const struct table *t)
{
	size_t at = buf_len(b);
	unsigned n;

	wire_u16(b, 0);
	for (n = 0; n < t->n; n++) {
		struct str key = queue_destination_key(t->at[n]);
		struct str hop = queue_destination_hop(t->at[n]);

		if (buf_room(b) < 8 + key.n + hop.n)
			break;
		wire_str(b, key);
		wire_str(b, hop);
	}
	put_u16_at(b, at, n);
}

static void set_bits(uint8_t *bits, const struct queue_message *m, enum queue_rcpt_state state)
{
	memset(bits, 0, spool_bitmap_size(m->nrcpts));
	for (unsigned i = 0; i < m->nrcpts; i++)
		if (queue_rcpt(m, i)->state == state)
			bits[i / 8] |= (uint8_t)(1u << i % 8);
}

uint16_t queue_state_write(const struct queue_message *m, struct spool_state *out)
{
	static uint8_t done[UINT16_MAX / 8 + 1], failed[UINT16_MAX / 8 + 1];
	static struct buf blob;
	struct table t = { .n = 0 };

	if (!blob.max)
		buf_init(&blob, SPOOL_BLOB_MAX);
	buf_reset(&blob);
	set_bits(done, m, QUEUE_RCPT_DONE);
	set_bits(failed, m, QUEUE_RCPT_FAILED);
	wire_u8(&blob, VERSION);
	write_jobs(&blob, &t, m);
	for (unsigned i = 0; i < SAIDS; i++)
		wire_str(&blob, queue_said(m, i));
	write_destinations(&blob, &t);
	*out = (struct spool_state){ done, failed, buf_str(&blob) };
	return m->nrcpts;
}

struct str queue_state_kept(enum ipc_state state)
{
	static struct buf blobs[IPC_STATE_QUARANTINE + 1];
	struct buf *b = &blobs[state];

	if (state == IPC_STATE_QUEUE)
		return STR_NONE;
	if (!b->max) {
		buf_init(b, SPOOL_BLOB_MAX);
		wire_u8(b, VERSION);
		wire_u16(b, 1);
		wire_u8(b, state == IPC_STATE_HOLD ? KEPT_HELD : KEPT_QUARANTINED);
		wire_u32(b, 0);
		wire_u16(b, NO_DESTINATION);
		wire_u16(b, ALL);
		for (unsigned i = 0; i < SAIDS; i++)
			wire_str(b, STR_NONE);
		wire_u16(b, 0);
	}
	return buf_str(b);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct row { /* a job */
	uint32_t due;
	uint16_t destination, count;
	enum kept kept;
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
		queue_rcpt(m, i)->state = has_bit(s->done, i) ? QUEUE_RCPT_DONE : QUEUE_RCPT_FAILED;
		queue_rcpt(m, i)->job = NULL;
		m->left--;
	}
}

static struct row read_row(struct wire *w)
{
	unsigned kept = wire_get_u8(w);
	struct row r;

	w->bad |= kept >= KEPTS;
	r.kept = kept < KEPTS ? (enum kept)kept : KEPT_HELD;
	r.due = wire_get_u32(w);
	r.destination = wire_get_u16(w);
	r.count = wire_get_u16(w);
	return r;
}

static void skip_jobs(struct wire *w, unsigned n)
{
	while (n-- > 0 && !w->bad) {
		struct row r = read_row(w);

		for (unsigned i = 0; r.count != ALL && i < r.count && !w->bad; i++)
			(void)wire_get_u32(w);
	}
}

/* job_for - the message's own one when nobody else is left in it; NULL: as new, they stay there */
static struct queue_job *job_for(struct queue *q, struct queue_message *m, const struct row *r,
				 struct queue_destination *d)
{
	struct queue_job *j;

	if (r->kept == KEPT_NOT && !r->due)
		return NULL;
	if (r->count == ALL || r->count == queue_job_count(&m->job))
		j = &m->job;
	else
		j = queue_job_split(m);
	if (!j)
		return NULL;
	queue_job_route(&q->index, j, d);
	j->due = r->due;
	if (r->kept != KEPT_NOT)
		queue_job_place(&q->index, j,
				r->kept == KEPT_HELD ? PLACE_HELD : PLACE_QUARANTINED);
	return j;
}

/* hold_own - no memory to part what is held from the rest: all of it stays held */
static void hold_own(struct queue *q, struct queue_message *m, const struct row *r,
		     const struct queue_job *j)
{
	if (r->kept != KEPT_NOT && !j)
		queue_job_place(&q->index, &m->job, PLACE_HELD);
}

static void join(struct queue_message *m, unsigned i, unsigned attempts, struct queue_job *j)
{
	if (i >= m->nrcpts || queue_rcpt(m, i)->job != &m->job)
		return;
	queue_rcpt(m, i)->attempts = (uint16_t)attempts;
	if (j)
		queue_rcpt(m, i)->job = j;
}

static void read_job(struct queue *q, struct queue_message *m, struct wire *w,
		     struct queue_destination **table, unsigned n)
{
	struct row r = read_row(w);
	struct queue_job *j;

	if (w->bad)
		return;
	j = job_for(q, m, &r, r.destination < n ? table[r.destination] : NULL);
	hold_own(q, m, &r, j);
	for (unsigned i = 0; r.count == ALL && i < m->nrcpts; i++)
		join(m, i, 0, j);
	for (unsigned i = 0; r.count != ALL && i < r.count && !w->bad; i++) {
		unsigned index = wire_get_u16(w);

		join(m, index, wire_get_u16(w), j);
	}
	if (j && j != &m->job && queue_job_count(j) == 0)
		queue_job_drop(&q->index, j);
}

static unsigned read_table(struct queue *q, struct wire *w, struct queue_destination **table)
{
	unsigned n = wire_get_u16(w);

	if (n > DESTINATIONS)
		w->bad = true;
	for (unsigned i = 0; i < n && !w->bad; i++) {
		struct str key = wire_get_str(w, IPC_NEXT_HOP), hop = wire_get_str(w, IPC_NEXT_HOP);

		if (w->bad)
			break;
		table[i] = queue_destination_get(&q->index, key, hop, q->o.delivers);
		if (table[i])
			table[i]->active++; /* until all are in use that will be */
	}
	return w->bad ? 0 : n;
}

/* queue_state_read - false: the blob makes no sense; then what could be read of it counts */
bool queue_state_read(struct queue *q, struct queue_message *m, const struct spool_state *state)
{
	struct queue_destination *table[DESTINATIONS] = { NULL };
	struct wire w = { .rest = state->blob }, jobs;
	unsigned njobs, n;

	read_finished(m, state);
	if (!state->blob.n)
		return true;
	if (wire_get_u8(&w) != VERSION)
		return false;
	njobs = wire_get_u16(&w);
	jobs = w;
	skip_jobs(&w, njobs);
	for (unsigned i = 0; i < SAIDS; i++)
		queue_say(&q->index, m, i, wire_get_str(&w, SPOOL_BLOB_MAX));
	n = read_table(q, &w, table);
	while (njobs-- > 0 && !jobs.bad)
		read_job(q, m, &jobs, table, n);
	for (unsigned i = 0; i < COUNT(table); i++)
		if (table[i]) {
			table[i]->active--;
			queue_destination_release(&q->index, table[i]);
		}
	return wire_is_end(&w);
}
