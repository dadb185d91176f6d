#include "queue_frames.h"

#include "codec.h"
#include "json.h"
#include "log.h"

/* rcpt_vars = *( u16(index) str(packed) ); a new value stands before the old ones, which go */

static bool is_written(const struct ipc_result *r, unsigned rcpt)
{
	for (unsigned i = 0; i < r->noutcomes; i++)
		if (r->outcomes[i].index == rcpt)
			return r->outcomes[i].vars.n > 0;
	return false;
}

static bool put(struct buf *b, unsigned rcpt, struct str packed)
{
	return wire_u16(b, (uint16_t)rcpt) && wire_str(b, packed);
}

/* merge - false: it is more than may be stored */
static bool merge(const struct queue_message *m, const struct ipc_result *r, struct buf *out)
{
	struct wire w = { .rest = queue_said(m, SAID_RCPT_VARS) };
	bool fits = true;

	for (unsigned i = 0; i < r->noutcomes && fits; i++)
		if (r->outcomes[i].vars.n > 0)
			fits = put(out, r->outcomes[i].index, r->outcomes[i].vars);
	while (fits && w.rest.n > 0 && !w.bad) {
		unsigned rcpt = wire_get_u16(&w);
		struct str packed = wire_get_str(&w, IPC_VARS);

		if (!w.bad && !is_written(r, rcpt))
			fits = put(out, rcpt, packed);
	}
	return fits;
}

struct str queue_vars_of(const struct queue_message *m, unsigned rcpt)
{
	struct wire w = { .rest = queue_said(m, SAID_RCPT_VARS) };

	while (w.rest.n > 0 && !w.bad) {
		unsigned index = wire_get_u16(&w);
		struct str packed = wire_get_str(&w, IPC_VARS);

		if (!w.bad && index == rcpt)
			return packed;
	}
	return STR_NONE;
}

static bool has_rcpt_vars(const struct ipc_result *r)
{
	for (unsigned i = 0; i < r->noutcomes; i++)
		if (r->outcomes[i].vars.n > 0)
			return true;
	return false;
}

static void refuse(const struct queue_message *m)
{
	struct json *j = log_open(LOG_LEVEL_WARN, "queue.vars_refused");
	char id[ID_TEXT + 1];

	json_str(j, "id", str_of(id_text(&m->id, id)));
	json_int(j, "variant", m->variant);
	json_str(j, "what", STR("variables of its recipients are more than may be stored"));
	json_int(j, "limit", IPC_RCPT_VARS);
	log_close();
}

void queue_vars_store(struct queue *q, struct queue_message *m, const struct ipc_result *r)
{
	static struct buf merged;

	if (!merged.max)
		buf_init(&merged, IPC_RCPT_VARS);
	buf_reset(&merged);
	if (r->vars.n > 0)
		queue_say(&q->index, m, SAID_VARS, r->vars);
	if (!has_rcpt_vars(r))
		return;
	if (!merge(m, r, &merged))
		refuse(m);
	else
		queue_say(&q->index, m, SAID_RCPT_VARS, buf_str(&merged));
}
