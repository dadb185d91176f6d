#include "delivery_stage.h"

#include <assert.h>
#include <string.h>

#include "dsn.h"
#include "log.h"

/*
 * What failed for good is told to the sender, in a message of its own that the spool commits in
 * one batch with the failures. It goes from the null sender, so nobody ever answers it (RFC 5321
 * 4.5.5), and a message from the null sender gets none.
 */

#define BOUNCE_RCPTS  100               /* in one bounce; the others fail with the next one */
#define BOUNCE_HEADER (32 * 1024)       /* of the original */
#define BOUNCE_TOP    4096              /* of its own header block */
#define BOUNCE_AGAIN  UINT64_C(1000000) /* when the others are tried again */

static unsigned failures(const struct delivery_lease *l)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->nrcpts; i++)
		n += l->rcpts[i].outcome == IPC_OUTCOME_FAIL;
	return n;
}

/* soften - not now: what failed is tried again, from the i-th failure on */
static void soften(struct delivery_lease *l, unsigned from, uint64_t retry_us)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->nrcpts; i++) {
		if (l->rcpts[i].outcome != IPC_OUTCOME_FAIL || n++ < from)
			continue;
		l->rcpts[i].outcome = IPC_OUTCOME_DEFER;
		l->rcpts[i].retry_us = retry_us;
	}
}

static struct dsn_rcpt told(const struct delivery_lease *l, const struct delivery_rcpt *r)
{
	return (struct dsn_rcpt){
		.action = DSN_FAILED,
		.final = r->envelope->address,
		.status = r->esc,
		.remote_mta = r->is_reply ? l->peer : STR_NONE,
		.diagnostic = r->text,
		.is_reply = r->is_reply,
		.attempted_us = l->is_route || l->is_expired ? 0 : l->wall_us,
	};
}

/* list_failures - at most n of them; returns how many */
static unsigned list_failures(const struct delivery_lease *l, struct dsn_rcpt *out, unsigned n)
{
	unsigned listed = 0;

	for (unsigned i = 0; i < l->nrcpts && listed < n; i++)
		if (l->rcpts[i].outcome == IPC_OUTCOME_FAIL)
			out[listed++] = told(l, &l->rcpts[i]);
	return listed;
}

/* header_head - whole fields of the original, as many as fit */
static struct str header_head(struct str header, size_t most)
{
	struct str rest = header;
	struct header_field field;
	size_t n = 0;

	while (header_take(&rest, &field) && n + field.whole.n <= most)
		n += field.whole.n;
	return str_head(header, n);
}

/*
 * write_dsn - as much as one inline body takes: first the original's header goes, then
 * recipients; returns how many are told
 */
static unsigned write_dsn(struct delivery_lease *l, const struct id *id, struct buf *out)
{
	struct dsn_rcpt rcpts[BOUNCE_RCPTS];
	char original[ID_TEXT + 1];
	struct dsn d = {
		.id = *id,
		.host = l->delivery->settings.o.hostname,
		.to = l->envelope.sender,
		.wall_us = net_loop_wall(l->delivery->loop),
		.original_id = str_of(id_text(&l->id, original)),
		.arrived_us = l->envelope.created_us,
		.header = header_head(l->header, BOUNCE_HEADER),
		.rcpts = rcpts,
	};

	d.nrcpts = list_failures(l, rcpts, BOUNCE_RCPTS);
	while (!dsn_write(out, &d)) {
		buf_reset(out);
		if (d.header.n > 0)
			d.header = STR_NONE;
		else
			d.nrcpts /= 2;
		assert(d.nrcpts > 0);
	}
	return d.nrcpts;
}

static bool write_envelope(struct delivery_lease *l, const struct id *id, struct buf *out)
{
	const struct verdict *v = &l->question.verdict;
	struct envelope_rcpt rcpt = { .address = l->envelope.sender };
	struct envelope e = { .id = *id,
			      .created_us = net_loop_wall(l->delivery->loop),
			      .rcpts = &rcpt,
			      .nrcpts = 1 };

	if (l->generation)
		e.generation = str_of(l->generation->name);
	if (v->kind == VERDICT_QUARANTINE) {
		e.reason = v->reason;
		e.bucket = v->bucket;
		e.rule = v->rule;
		e.ttl_us = v->ttl_us;
	}
	return envelope_write(out, &e);
}

static size_t end_of_header(struct str message)
{
	struct header_scan scan;

	header_scan_init(&scan);
	if (header_scan(&scan, message) != STEP_DONE)
		return 0;
	return scan.end;
}

static bool encode(struct delivery_lease *l, const struct id *id, struct str message,
		   struct str envelope)
{
	struct ipc_submit submit = { .id = *id, .nvariants = 1 };
	size_t end = end_of_header(message);

	submit.variants[0] = (struct ipc_variant){
		.state = l->question.verdict.kind == VERDICT_QUARANTINE ? IPC_STATE_QUARANTINE
									: IPC_STATE_QUEUE,
		.envelope = envelope,
		.header = str_head(message, end),
	};
	submit.body = str_drop(message, end + 2);
	return ipc_submit_encode(&l->bounce, &submit);
}

static void make(struct delivery_lease *l)
{
	struct id id = id_make(net_loop_wall(l->delivery->loop),
			       (uint16_t)(0x8000 | l->delivery->settings.o.index));
	struct buf message, envelope;
	unsigned n;

	buf_init(&message, IPC_BODY_INLINE);
	buf_init(&envelope, IPC_ENVELOPE_MAX);
	n = write_dsn(l, &id, &message);
	if (write_envelope(l, &id, &envelope) &&
	    encode(l, &id, buf_str(&message), buf_str(&envelope)))
		soften(l, n, BOUNCE_AGAIN);
	else
		soften(l, 0, 0); /* never a failure without the word that it owes */
	buf_fini(&envelope);
	buf_fini(&message);
}

static void tell_dropped(struct delivery_lease *l, const char *because)
{
	struct json *j = log_open(LOG_LEVEL_INFO, "bounce.dropped");
	char id[ID_TEXT + 1];

	json_str(j, "id", str_of(id_text(&l->id, id)));
	json_str(j, "sender", l->envelope.sender);
	json_int(j, "failures", failures(l));
	json_str(j, "reason", str_of(because));
	if (l->question.verdict.rule.n > 0)
		json_str(j, "rule", l->question.verdict.rule);
	log_close();
}

/* view - false: no memory for what the hook sees */
static bool view(struct delivery_lease *l)
{
	l->failure.to = l->envelope.sender;
	l->failure.nfailures = 0;
	l->failure.failures = arena_alloc(&l->arena, l->nrcpts * sizeof *l->failure.failures);
	if (!l->failure.failures)
		return false;
	for (unsigned i = 0; i < l->nrcpts; i++) {
		if (l->rcpts[i].outcome != IPC_OUTCOME_FAIL)
			continue;
		if (!delivery_result_view(l, &l->rcpts[i]))
			return false;
		l->failure.failures[l->failure.nfailures++] = l->rcpts[i].result;
	}
	return true;
}

static void by_verdict(struct delivery_lease *l)
{
	switch (l->question.verdict.kind) {
	case VERDICT_PASS:
	case VERDICT_ACCEPT:
	case VERDICT_TRUST:
	case VERDICT_QUARANTINE:
		make(l);
		break;
	case VERDICT_DISCARD:
		tell_dropped(l, "policy");
		break;
	case VERDICT_DEFER:
	case VERDICT_REJECT:
	case VERDICT_DROP:
	case VERDICT_ABORT:
	case VERDICT_HOLD:
	case VERDICTS:
		soften(l, 0, 0);
		break;
	}
}

enum step delivery_bounce(struct delivery_lease *l)
{
	if (!l->has_answer) {
		l->question.verdict = (struct verdict){ .kind = VERDICT_PASS };
		if (failures(l) == 0)
			return STEP_DONE;
		if (l->envelope.sender.n == 0) {
			tell_dropped(l, "null sender");
			return STEP_DONE;
		}
		if (delivery_lease_has_policy(l, HOOK_BOUNCE) && !view(l)) {
			soften(l, 0, 0);
			return STEP_DONE;
		}
		if (delivery_lease_ask(l, HOOK_BOUNCE) == STEP_MORE)
			return STEP_MORE;
	}
	l->has_answer = false;
	by_verdict(l);
	return STEP_DONE;
}
