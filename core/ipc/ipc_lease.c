#include "ipc_lease.h"

const char *const ipc_cause_name[IPC_CAUSES] = {
	[IPC_CAUSE_OTHER] = "other",   [IPC_CAUSE_CONNECT] = "connect",
	[IPC_CAUSE_BROKEN] = "broken", [IPC_CAUSE_GREYLIST] = "greylist",
	[IPC_CAUSE_RATE] = "rate",     [IPC_CAUSE_POLICY] = "policy",
};

/*
 * lease   = id u16(variant) u8(is_expired) str(envelope) str(next_hop) str(key) str(header)
 *           u64(body_length) str(body) str(vars) str(last)
 *           u16(count) 1*1000( u32(index) u32(attempts) str(vars) )
 * result  = u16(count) *1000outcome str(vars) 3u32(schedule) u8(is_returned)
 *           u8(has_bounce) [ str(bounce) ]
 * outcome = u32(index) u8(outcome) u16(code) same(text) same(vars)
 *           [ same(key) same(next_hop) ]       ; only of ROUTE
 *           [ u64(retry) u8(cause) ]           ; only of DEFER
 * same    = u8(1)                              ; as that of the outcome before (vars: empty)
 *         / u8(0) str
 */

static bool is_lease(const struct ipc_lease *l)
{
	return l->envelope.n > 0 && l->envelope.n <= IPC_ENVELOPE_MAX &&
	       l->next_hop.n <= IPC_NEXT_HOP && l->key.n <= IPC_NEXT_HOP &&
	       l->header.n <= IPC_HEADER_MAX && l->body.n <= IPC_BODY_INLINE &&
	       l->body.n <= l->body_length && l->vars.n <= IPC_VARS &&
	       l->last.n <= IPC_REPLY_TEXT && l->nrcpts >= 1 && l->nrcpts <= IPC_LEASE_RCPTS;
}

static bool put_lease(struct buf *b, const struct ipc_lease *l)
{
	if (!is_lease(l) || !wire_id(b, &l->id) || !wire_u16(b, l->variant) ||
	    !wire_u8(b, l->is_expired) || !wire_str(b, l->envelope) || !wire_str(b, l->next_hop) ||
	    !wire_str(b, l->key) || !wire_str(b, l->header) || !wire_u64(b, l->body_length) ||
	    !wire_str(b, l->body) || !wire_str(b, l->vars) || !wire_str(b, l->last) ||
	    !wire_u16(b, (uint16_t)l->nrcpts))
		return false;
	for (unsigned i = 0; i < l->nrcpts; i++)
		if (!wire_u32(b, l->rcpts[i].index) || !wire_u32(b, l->rcpts[i].attempts) ||
		    l->rcpts[i].vars.n > IPC_VARS || !wire_str(b, l->rcpts[i].vars))
			return false;
	return true;
}

bool ipc_lease_encode(struct buf *b, const struct ipc_lease *l)
{
	size_t before = buf_len(b);

	if (put_lease(b, l))
		return true;
	b->tail = b->head + before;
	return false;
}

static bool get_flag(struct wire *w)
{
	unsigned v = wire_get_u8(w);

	w->bad |= v > 1;
	return v == 1;
}

bool ipc_lease_decode(struct str payload, struct ipc_lease *out)
{
	struct wire w = { .rest = payload };

	out->id = wire_get_id(&w);
	out->variant = wire_get_u16(&w);
	out->is_expired = get_flag(&w);
	out->envelope = wire_get_str(&w, IPC_ENVELOPE_MAX);
	out->next_hop = wire_get_str(&w, IPC_NEXT_HOP);
	out->key = wire_get_str(&w, IPC_NEXT_HOP);
	out->header = wire_get_str(&w, IPC_HEADER_MAX);
	out->body_length = wire_get_u64(&w);
	out->body = wire_get_str(&w, IPC_BODY_INLINE);
	out->vars = wire_get_str(&w, IPC_VARS);
	out->last = wire_get_str(&w, IPC_REPLY_TEXT);
	out->nrcpts = wire_get_u16(&w);
	if (w.bad || !is_lease(out))
		return false;
	for (unsigned i = 0; i < out->nrcpts; i++) {
		out->rcpts[i].index = wire_get_u32(&w);
		out->rcpts[i].attempts = wire_get_u32(&w);
		out->rcpts[i].vars = wire_get_str(&w, IPC_VARS);
	}
	return wire_is_end(&w);
}

static bool is_outcome(const struct ipc_outcome_of *o)
{
	bool is_route = o->outcome == IPC_OUTCOME_ROUTE;

	return o->outcome < IPC_OUTCOMES && o->code <= 599 && o->text.n <= IPC_REPLY_TEXT &&
	       o->cause < IPC_CAUSES && o->vars.n <= IPC_VARS && o->key.n <= IPC_NEXT_HOP &&
	       o->next_hop.n <= IPC_NEXT_HOP && (!is_route || (o->key.n > 0 && o->next_hop.n > 0));
}

static bool put_same(struct buf *b, struct str s, struct str before)
{
	bool is_same = str_eq(s, before);

	return wire_u8(b, is_same) && (is_same || wire_str(b, s));
}

/*
 * Of `before` only what crossed counts: the last outcome's text, but the last *route's* key and
 * next hop. Writer and reader both keep it so.
 */
struct crossed {
	struct str text, key, next_hop;
};

static bool put_outcome(struct buf *b, const struct ipc_outcome_of *o, struct crossed *before)
{
	if (!is_outcome(o) || !wire_u32(b, o->index) || !wire_u8(b, (uint8_t)o->outcome) ||
	    !wire_u16(b, o->code) || !put_same(b, o->text, before->text) ||
	    !put_same(b, o->vars, STR_NONE))
		return false;
	before->text = o->text;
	if (o->outcome == IPC_OUTCOME_ROUTE) {
		if (!put_same(b, o->key, before->key) ||
		    !put_same(b, o->next_hop, before->next_hop))
			return false;
		before->key = o->key;
		before->next_hop = o->next_hop;
	}
	return o->outcome != IPC_OUTCOME_DEFER ||
	       (wire_u64(b, o->retry_us) && wire_u8(b, (uint8_t)o->cause));
}

static bool put_result(struct buf *b, const struct ipc_result *r)
{
	struct crossed before = { .text = STR_NONE };

	if (r->noutcomes > IPC_LEASE_RCPTS || (r->is_returned && r->noutcomes) ||
	    r->vars.n > IPC_VARS || r->bounce.n > IPC_FRAME_MAX ||
	    !wire_u16(b, (uint16_t)r->noutcomes))
		return false;
	for (unsigned i = 0; i < r->noutcomes; i++)
		if (!put_outcome(b, &r->outcomes[i], &before))
			return false;
	return wire_str(b, r->vars) && wire_u32(b, r->schedule.first) &&
	       wire_u32(b, r->schedule.longest) && wire_u32(b, r->schedule.expire) &&
	       wire_u8(b, r->is_returned) && wire_u8(b, r->has_bounce) &&
	       (!r->has_bounce || wire_str(b, r->bounce));
}

bool ipc_result_encode(struct buf *b, const struct ipc_result *r)
{
	size_t before = buf_len(b);

	if (put_result(b, r))
		return true;
	b->tail = b->head + before;
	return false;
}

static struct str get_same(struct wire *w, size_t max, struct str before)
{
	return get_flag(w) ? before : wire_get_str(w, max);
}

static void get_outcome(struct wire *w, struct ipc_outcome_of *o, struct crossed *before)
{
	unsigned outcome;

	*o = (struct ipc_outcome_of){ .index = wire_get_u32(w) };
	outcome = wire_get_u8(w);
	w->bad |= outcome >= IPC_OUTCOMES;
	o->outcome = w->bad ? IPC_OUTCOME_DEFER : (enum ipc_outcome)outcome;
	o->code = wire_get_u16(w);
	o->text = before->text = get_same(w, IPC_REPLY_TEXT, before->text);
	o->vars = get_same(w, IPC_VARS, STR_NONE);
	if (o->outcome == IPC_OUTCOME_ROUTE) {
		o->key = before->key = get_same(w, IPC_NEXT_HOP, before->key);
		o->next_hop = before->next_hop = get_same(w, IPC_NEXT_HOP, before->next_hop);
	}
	if (o->outcome == IPC_OUTCOME_DEFER) {
		o->retry_us = wire_get_u64(w);
		o->cause = (enum ipc_cause)wire_get_u8(w);
	}
	w->bad |= !is_outcome(o);
}

bool ipc_result_decode(struct str payload, struct ipc_result *out)
{
	struct crossed before = { .text = STR_NONE };
	struct wire w = { .rest = payload };

	out->noutcomes = wire_get_u16(&w);
	if (w.bad || out->noutcomes > IPC_LEASE_RCPTS)
		return false;
	for (unsigned i = 0; i < out->noutcomes && !w.bad; i++)
		get_outcome(&w, &out->outcomes[i], &before);
	out->vars = wire_get_str(&w, IPC_VARS);
	out->schedule.first = wire_get_u32(&w);
	out->schedule.longest = wire_get_u32(&w);
	out->schedule.expire = wire_get_u32(&w);
	out->is_returned = get_flag(&w);
	w.bad |= out->is_returned && out->noutcomes;
	out->has_bounce = get_flag(&w);
	out->bounce = out->has_bounce ? wire_get_str(&w, IPC_FRAME_MAX) : STR_NONE;
	return wire_is_end(&w);
}
