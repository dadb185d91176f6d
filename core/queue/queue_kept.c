#include "queue_kept.h"

#include "clock.h"
#include "counter.h"
#include "json.h"
#include "log.h"

#define ENVELOPE_MEMORY (4 * 1024 * 1024)

bool queue_kept_has_room(const struct queue *q, uint64_t bytes)
{
	uint64_t used = q->index.quarantined_kib * 1024;

	return used <= q->o.quarantine_bytes && bytes <= q->o.quarantine_bytes - used;
}

/* ---- as it begins ---------------------------------------------------------------------------- */

static uint32_t until(const struct queue *q, const struct queue_message *m, uint64_t ttl_us)
{
	uint64_t due = m->created + (ttl_us ? ttl_us : q->o.quarantine_ttl_us) / CLOCK_SECOND;

	return due < UINT32_MAX ? (uint32_t)due : UINT32_MAX;
}

void queue_kept_begin(struct queue *q, struct queue_message *m, enum ipc_state state,
		      struct str envelope, uint64_t bytes)
{
	bool is_hold = state == IPC_STATE_HOLD;
	struct envelope e = { .ttl_us = 0 };
	struct arena arena;
	struct fault why;

	arena_init(&arena, ENVELOPE_MEMORY);
	(void)envelope_read(envelope, &arena, &e, &why); /* else it is kept without a reason */
	queue_say(&q->index, m, SAID_LAST,
		  e.reason.n ? e.reason
		  : is_hold  ? STR("held by policy")
			     : STR("quarantined by policy"));
	if (is_hold) {
		queue_job_place(&q->index, &m->job, PLACE_HELD);
	} else {
		queue_say(&q->index, m, SAID_BUCKET, str_head(e.bucket, QUEUE_BUCKET));
		queue_job_quarantine(&q->index, &m->job, bytes, until(q, m, e.ttl_us));
	}
	arena_fini(&arena);
}

void queue_kept_found(struct queue *q, struct queue_message *m, const struct spool_accept *a)
{
	uint64_t bytes = a->envelope.n + a->header.n + a->body_length;
	uint32_t due = m->job.due;

	if (m->job.place == PLACE_HELD && !queue_said(m, SAID_LAST).n) {
		queue_kept_begin(q, m, IPC_STATE_HOLD, a->envelope, bytes);
	} else if (m->job.place == PLACE_QUARANTINED) {
		if (due == 0)
			queue_kept_begin(q, m, IPC_STATE_QUARANTINE, a->envelope, bytes);
		else
			queue_job_quarantine(&q->index, &m->job, bytes, due);
	}
}

/* ---- and as it ends -------------------------------------------------------------------------- */

void queue_kept_expire(struct queue *q, struct queue_job *j)
{
	struct queue_message *m = queue_message_of(j);
	struct json *e = log_open(LOG_LEVEL_WARN, "quarantine.expired");
	char id[ID_TEXT + 1];

	json_str(e, "id", str_of(id_text(&m->id, id)));
	json_int(e, "variant", m->variant);
	json_int(e, "recipients", m->left);
	json_str(e, "bucket", queue_said(m, SAID_BUCKET));
	json_str(e, "reason", queue_said(m, SAID_LAST));
	json_int(e, "age", queue_now(q) > m->created ? queue_now(q) - m->created : 0);
	log_close();
	counter_add(COUNTER_QUARANTINE_EXPIRED, 1);
	queue_drop(q, m);
}

/* leave_one - the first recipient that is left stands for the new one; the rest is finished */
static void leave_one(struct queue_message *m)
{
	bool has_one = false;

	for (unsigned i = 0; i < m->nrcpts; i++) {
		struct queue_rcpt *r = queue_rcpt(m, i);

		if (!r->job)
			continue;
		if (!has_one) {
			has_one = true;
			r->attempts = 0;
			continue;
		}
		r->state = QUEUE_RCPT_DONE;
		r->job = NULL;
		m->left--;
		gauge_move(GAUGE_QUEUE_RECIPIENTS, -1);
	}
}

bool queue_kept_release(struct queue *q, struct queue_message *m, enum queue_place place,
			const struct str *to)
{
	bool moved = false;

	if (to && m->job.next)
		return false; /* parts of it have a way of their own already */
	for (struct queue_job *j = &m->job; j; j = j->next) {
		if (j->place != place)
			continue;
		queue_job_route(&q->index, j, NULL);
		j->due = 0;
		queue_job_place(&q->index, j, PLACE_UNROUTED);
		moved = true;
	}
	if (!moved)
		return false;
	if (to) {
		leave_one(m);
		queue_say(&q->index, m, SAID_TO, *to);
	}
	queue_say(&q->index, m, SAID_LAST, STR_NONE);
	queue_progress(q, m);
	return true;
}

static unsigned first_left(const struct queue_message *m)
{
	unsigned i = 0;

	while (i + 1 < m->nrcpts && !queue_rcpt(m, i)->job)
		i++;
	return i;
}

struct str queue_kept_readdress(const struct queue_message *m, struct str envelope)
{
	unsigned i = first_left(m);
	static struct buf text;
	struct arena arena;
	struct envelope e;
	struct fault why;

	if (!text.max)
		buf_init(&text, IPC_ENVELOPE_MAX);
	buf_reset(&text);
	arena_init(&arena, ENVELOPE_MEMORY);
	if (envelope_read(envelope, &arena, &e, &why) == 0 && i < e.nrcpts) {
		e.rcpts[i].address = queue_said(m, SAID_TO);
		e.rcpts[i].original = e.rcpts[i].route = STR_NONE;
		(void)envelope_write(&text, &e);
	}
	arena_fini(&arena);
	return buf_str(&text);
}
