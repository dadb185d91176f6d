#include "ipc_carry.h"

/* carry = u8(count) 1*64( u16(number) str(done) str(failed) str(blob) ) submit */

static bool put(struct buf *b, const struct ipc_carried *v)
{
	return v->done.n <= IPC_CARRY_BITS && v->failed.n <= IPC_CARRY_BITS &&
	       v->blob.n <= IPC_CARRY_BLOB && wire_u16(b, v->number) && wire_str(b, v->done) &&
	       wire_str(b, v->failed) && wire_str(b, v->blob);
}

bool ipc_carry_encode(struct buf *b, const struct ipc_carry *c)
{
	size_t before = buf_len(b);
	bool good = wire_u8(b, (uint8_t)c->submit.nvariants);

	for (unsigned i = 0; good && i < c->submit.nvariants && i < IPC_VARIANTS; i++)
		good = put(b, &c->variants[i]);
	if (good && ipc_submit_encode(b, &c->submit))
		return true;
	b->tail = b->head + before;
	return false;
}

static void get(struct wire *w, struct ipc_carried *v)
{
	v->number = wire_get_u16(w);
	v->done = wire_get_str(w, IPC_CARRY_BITS);
	v->failed = wire_get_str(w, IPC_CARRY_BITS);
	v->blob = wire_get_str(w, IPC_CARRY_BLOB);
}

bool ipc_carry_decode(struct str payload, struct ipc_carry *out)
{
	struct wire w = { .rest = payload };
	unsigned n = wire_get_u8(&w);

	if (n > IPC_VARIANTS)
		return false;
	for (unsigned i = 0; i < n && !w.bad; i++) {
		get(&w, &out->variants[i]);
		/* one order, no number twice */
		w.bad |= i > 0 && out->variants[i].number <= out->variants[i - 1].number;
	}
	return !w.bad && ipc_submit_decode(w.rest, &out->submit) && out->submit.nvariants == n;
}
