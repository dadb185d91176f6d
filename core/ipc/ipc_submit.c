#include "ipc_submit.h"

/*
 * submit  = id u8(count) 1*64variant u8(is_slot) ( u64(slot) u64(length) / str(body) )
 * variant = u8(state) str(envelope) str(header)
 * refusal = u16(code) str(esc) str(text)
 */

static bool put_variant(struct buf *b, const struct ipc_variant *v)
{
	return v->envelope.n > 0 && v->envelope.n <= IPC_ENVELOPE_MAX &&
	       v->header.n <= IPC_HEADER_MAX && wire_u8(b, (uint8_t)v->state) &&
	       wire_str(b, v->envelope) && wire_str(b, v->header);
}

static bool put_submit(struct buf *b, const struct ipc_submit *s)
{
	if (s->nvariants < 1 || s->nvariants > IPC_VARIANTS || !wire_id(b, &s->id) ||
	    !wire_u8(b, (uint8_t)s->nvariants))
		return false;
	for (unsigned i = 0; i < s->nvariants; i++)
		if (!put_variant(b, &s->variants[i]))
			return false;
	if (!wire_u8(b, s->is_slot))
		return false;
	if (s->is_slot)
		return wire_u64(b, s->slot) && wire_u64(b, s->slot_length);
	return s->body.n <= IPC_BODY_INLINE && wire_str(b, s->body);
}

bool ipc_submit_encode(struct buf *b, const struct ipc_submit *s)
{
	size_t before = buf_len(b);

	if (put_submit(b, s))
		return true;
	b->tail = b->head + before;
	return false;
}

static void get_variant(struct wire *w, struct ipc_variant *v)
{
	unsigned state = wire_get_u8(w);

	w->bad |= state > IPC_STATE_QUARANTINE;
	v->state = (enum ipc_state)state;
	v->envelope = wire_get_str(w, IPC_ENVELOPE_MAX);
	w->bad |= v->envelope.n == 0;
	v->header = wire_get_str(w, IPC_HEADER_MAX);
}

bool ipc_submit_decode(struct str payload, struct ipc_submit *out)
{
	struct wire w = { .rest = payload };
	unsigned is_slot;

	out->id = wire_get_id(&w);
	out->nvariants = wire_get_u8(&w);
	if (w.bad || out->nvariants < 1 || out->nvariants > IPC_VARIANTS)
		return false;
	for (unsigned i = 0; i < out->nvariants && !w.bad; i++)
		get_variant(&w, &out->variants[i]);
	is_slot = wire_get_u8(&w);
	if (w.bad || is_slot > 1)
		return false;
	out->is_slot = is_slot;
	out->slot = is_slot ? wire_get_u64(&w) : 0;
	out->slot_length = is_slot ? wire_get_u64(&w) : 0;
	out->body = is_slot ? STR_NONE : wire_get_str(&w, IPC_BODY_INLINE);
	return wire_is_end(&w);
}

static bool is_reply_code(unsigned code)
{
	return code >= 400 && code <= 599;
}

/* is_line - it goes into a reply to a client as it is */
static bool is_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	return true;
}

static bool is_refusal(const struct ipc_refusal *r)
{
	return is_reply_code(r->code) && r->esc.n <= IPC_ESC && is_line(r->esc) &&
	       r->text.n <= IPC_REPLY_TEXT && is_line(r->text);
}

bool ipc_refusal_encode(struct buf *b, const struct ipc_refusal *r)
{
	size_t before = buf_len(b);

	if (is_refusal(r) && wire_u16(b, r->code) && wire_str(b, r->esc) && wire_str(b, r->text))
		return true;
	b->tail = b->head + before;
	return false;
}

bool ipc_refusal_decode(struct str payload, struct ipc_refusal *out)
{
	struct wire w = { .rest = payload };

	out->code = wire_get_u16(&w);
	out->esc = wire_get_str(&w, IPC_ESC);
	out->text = wire_get_str(&w, IPC_REPLY_TEXT);
	return wire_is_end(&w) && is_refusal(out);
}
