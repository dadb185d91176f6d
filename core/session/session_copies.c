/*
 * Recipients whose copies are treated alike (same header edits, same state for the same reason)
 * share one variant; the body is shared by all. Variants and their texts follow from the
 * transaction alone, so that a submission that is sent again is the same, byte for byte.
 *
 * The message that leaves is: header, CRLF, body. Where the client sent no empty line between them
 * (a message that is all header, or none), the header goes without its last CRLF: so that what
 * stands behind our trace field is, byte for byte, what came. One exception: a message that begins
 * with a blank would become a fold of our field, so it gets the empty line.
 */
#include "session_private.h"

#include <assert.h>

#include "received.h"

struct treatment {
	enum ipc_state state;
	struct str reason, bucket, rule;
	uint64_t ttl_us;
	struct header_edit *edits; /* of this copy alone */
};

bool session_copies_is_refused(const struct policy_rcpt *r)
{
	return r->verdict.kind == VERDICT_DEFER || r->verdict.kind == VERDICT_REJECT;
}

static struct treatment treatment_by(const struct verdict *v, enum ipc_state state)
{
	return (struct treatment){
		.state = state,
		.reason = v->reason,
		.bucket = v->bucket,
		.rule = v->rule,
		.ttl_us = v->ttl_us,
	};
}

/*
 * treatment_of - a copy refused after all others were accepted can neither be refused nor vanish:
 * it is set aside
 */
static struct treatment treatment_of(const struct session_tx *tx, const struct policy_rcpt *r)
{
	const struct verdict *v = r->verdict.kind == VERDICT_PASS ? &tx->kept : &r->verdict;
	struct treatment t = { .state = IPC_STATE_QUEUE };

	switch (v->kind) {
	case VERDICT_HOLD:
		t = treatment_by(v, IPC_STATE_HOLD);
		break;
	case VERDICT_QUARANTINE:
		t = treatment_by(v, IPC_STATE_QUARANTINE);
		break;
	case VERDICT_DEFER:
	case VERDICT_REJECT:
		t = treatment_by(v, IPC_STATE_QUARANTINE);
		t.bucket = STR("refused");
		t.reason = v->text.n ? v->text : STR("refused by policy");
		break;
	case VERDICT_PASS:
	case VERDICT_ACCEPT:
	case VERDICT_TRUST:
	case VERDICT_DROP:
	case VERDICT_ABORT:
	case VERDICT_DISCARD:
	case VERDICTS:
		break;
	}
	t.edits = r->edits;
	return t;
}

static bool same_edits(const struct header_edit *a, const struct header_edit *b)
{
	for (; a && b; a = a->next, b = b->next)
		if (a->kind != b->kind || a->nth != b->nth || !str_eq(a->name, b->name) ||
		    !str_eq(a->value, b->value))
			return false;
	return !a && !b;
}

static bool is_same(const struct treatment *a, const struct treatment *b)
{
	return a->state == b->state && a->ttl_us == b->ttl_us && str_eq(a->reason, b->reason) &&
	       str_eq(a->bucket, b->bucket) && str_eq(a->rule, b->rule) &&
	       same_edits(a->edits, b->edits);
}

static bool gets_copy(const struct session_tx *tx, const struct policy_rcpt *r)
{
	return r->state == RCPT_ACCEPTED && r->verdict.kind != VERDICT_DISCARD &&
	       (tx->kept.kind != VERDICT_DISCARD || r->verdict.kind != VERDICT_PASS);
}

/* is_repeated - named twice by the client: RFC 5321 4.1.1.3 leaves it to us; one copy is enough */
static bool is_repeated(const struct session_tx *tx, unsigned at)
{
	const struct policy_rcpt *r = tx->view.rcpts[at], *other;

	for (unsigned i = 0; i < at; i++) {
		other = tx->view.rcpts[i];
		if (tx->variant_of[i] == tx->variant_of[at] &&
		    str_eq(other->address.text, r->address.text) && str_eq(other->route, r->route))
			return true;
	}
	return false;
}

bool session_copies_sort(struct session_tx *tx)
{
	struct treatment known[IPC_VARIANTS] = { 0 };

	tx->nvariants = tx->nstored = 0;
	tx->variant_of = arena_alloc(&tx->arena, tx->view.nrcpts + 1);
	if (!tx->variant_of)
		return false;
	for (unsigned i = 0; i < tx->view.nrcpts; i++) {
		struct treatment t = treatment_of(tx, tx->view.rcpts[i]);
		unsigned v = 0;

		tx->variant_of[i] = SESSION_NO_VARIANT;
		if (!gets_copy(tx, tx->view.rcpts[i]))
			continue;
		while (v < tx->nvariants && !is_same(&t, &known[v]))
			v++;
		if (v == IPC_VARIANTS)
			return false;
		known[v] = t;
		tx->nvariants = v == tx->nvariants ? v + 1 : tx->nvariants;
		tx->variant_of[i] = (uint8_t)v;
		if (is_repeated(tx, i))
			tx->variant_of[i] = SESSION_NO_VARIANT;
		else
			tx->nstored++;
	}
	return true;
}

/* ---- texts */

static struct str envelope_original(const struct policy_rcpt *r)
{
	return str_eq(r->original, r->address.text) ? STR_NONE : r->original;
}

/* fill_rcpts - those of one variant, into the server's scratch; *first: one of them */
static unsigned fill_rcpts(const struct session_tx *tx, unsigned variant,
			   const struct policy_rcpt **first)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tx->view.nrcpts; i++) {
		const struct policy_rcpt *r = tx->view.rcpts[i];

		if (tx->variant_of[i] != variant)
			continue;
		*first = r;
		tx->server->rcpts[n++] = (struct envelope_rcpt){
			.address = r->address.text,
			.original = envelope_original(r),
			.route = r->route,
			.vars = policy_vars_packed(&r->vars),
		};
	}
	return n;
}

static bool write_envelope(const struct session_tx *tx, unsigned variant, const struct treatment *t,
			   unsigned nrcpts)
{
	const struct policy_tx *view = &tx->view;
	struct envelope e = {
		.id = view->id,
		.variant = (uint16_t)variant,
		.sender = view->sender.text,
		.is_8bit = tx->data.is_8bit,
		.created_us = view->created_us,
		.helo = view->helo,
		.peer = view->peer_ip,
		.listener = view->listener,
		.generation = view->generation ? str_of(view->generation->name) : STR_NONE,
		.reason = t->reason,
		.bucket = t->bucket,
		.rule = t->rule,
		.ttl_us = t->ttl_us,
		.vars = policy_vars_packed(&view->vars),
		.rcpts = tx->server->rcpts,
		.nrcpts = nrcpts,
	};

	return envelope_write(&tx->server->text, &e);
}

static struct str protocol_of(const struct policy_conn *c)
{
	if (!c->is_esmtp)
		return STR("SMTP");
	return c->tls.version.n ? STR("ESMTPS") : STR("ESMTP"); /* RFC 3848 */
}

/*
 * write_received - RFC 5321 7.2: a recipient is named only where there is no other to be betrayed
 */
static bool write_received(const struct session_tx *tx, const struct policy_rcpt *first)
{
	const struct policy_conn *conn = tx->view.conn;
	bool is_unix = str_eq(conn->peer_ip, STR("unix"));
	struct received r = {
		.helo = tx->view.helo,
		.peer_ip = is_unix ? STR_NONE : conn->peer_ip,
		.host = tx->config->o.hostname,
		.protocol = protocol_of(conn),
		.tls_version = conn->tls.version,
		.tls_cipher = conn->tls.cipher,
		.id = &tx->view.id,
		.rcpt = tx->nstored == 1 ? first->address.text : STR_NONE,
		.wall_us = tx->view.created_us,
	};

	return received_write(&tx->server->text, &r);
}

/*
 * write_edited - those for every copy, then those of this one; the two lists are one only meanwhile
 */
static bool write_edited(struct session_tx *tx, struct header_edit *own)
{
	struct str block = session_data_header(tx);
	struct header_edit **end = &tx->view.edits;
	bool fits;

	if (!tx->view.edits && !own)
		return buf_add(&tx->server->text, block);
	while (*end)
		end = &(*end)->next;
	*end = own;
	fits = header_edit(block, tx->view.edits, &tx->server->text);
	*end = NULL;
	return fits;
}

static bool write_header(struct session_tx *tx, const struct policy_rcpt *first)
{
	struct buf *text = &tx->server->text;
	struct str body = session_data_body(tx);
	bool has_gap = tx->scan.body > tx->scan.end;
	bool would_fold =
		tx->lead + tx->scan.end == 0 && body.n && (body.p[0] == ' ' || body.p[0] == '\t');

	if (!write_received(tx, first) ||
	    !buf_add(text, str_head(buf_str(&tx->message), tx->lead)) ||
	    !write_edited(tx, first->edits))
		return false;
	if (!has_gap && !would_fold)
		text->tail -= 2; /* CRLF: of a field, or of the mbox line */
	return true;
}

static bool write_variant(struct session_tx *tx, unsigned variant, size_t *header_at,
			  enum ipc_state *state)
{
	const struct policy_rcpt *first = NULL;
	unsigned n = fill_rcpts(tx, variant, &first);
	struct treatment t;

	assert(first);
	t = treatment_of(tx, first);
	*state = t.state;
	if (!write_envelope(tx, variant, &t, n))
		return false;
	*header_at = buf_len(&tx->server->text);
	return write_header(tx, first);
}

bool session_copies_build(struct session_tx *tx, struct ipc_submit *out)
{
	struct buf *text = &tx->server->text;
	size_t from[IPC_VARIANTS] = { 0 }, header[IPC_VARIANTS] = { 0 }, end[IPC_VARIANTS] = { 0 };
	struct str all;

	buf_reset(text);
	*out = (struct ipc_submit){ .id = tx->view.id, .nvariants = tx->nvariants };
	for (unsigned i = 0; i < tx->nvariants; i++) {
		from[i] = buf_len(text);
		if (!write_variant(tx, i, &header[i], &out->variants[i].state))
			return false;
		end[i] = buf_len(text);
	}
	all = buf_str(text); /* it moves no more */
	for (unsigned i = 0; i < tx->nvariants; i++) {
		out->variants[i].envelope = str_head(str_drop(all, from[i]), header[i] - from[i]);
		out->variants[i].header = str_head(str_drop(all, header[i]), end[i] - header[i]);
	}
	out->is_slot = tx->slot != SESSION_SLOT_NONE;
	out->body = out->is_slot ? STR_NONE : session_data_body(tx);
	out->slot = out->is_slot ? tx->tag : 0;
	out->slot_length = out->is_slot ? session_data_body_size(tx) : 0;
	return true;
}
