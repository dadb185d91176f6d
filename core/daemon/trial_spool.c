#define _GNU_SOURCE /* F_DUPFD_CLOEXEC */
#include "trial_spool.h"

#include <fcntl.h>

#include "codec.h"
#include "ipc_submit.h"

#define RING (2 * 1024 * 1024)

static void tell(struct trial_spool *s, uint64_t tag, enum ipc_submit_type type, struct str payload)
{
	struct ipc_frame head = { .type = (uint16_t)type, .tag = tag };

	(void)ipc_channel_send(s->own, &head, &payload, 1);
}

static void acknowledge(struct trial_spool *s, uint64_t tag)
{
	struct buf b;

	buf_init(&b, 8);
	if (wire_u64(&b, buf_len(&s->slot)))
		tell(s, tag, IPC_SLOT_ACK, buf_str(&b));
	buf_fini(&b);
}

static void refuse(struct trial_spool *s, uint64_t tag, enum ipc_submit_type type)
{
	struct ipc_refusal no = { 452, STR("4.3.1"), STR("too much for a trial") };
	struct buf b;

	buf_init(&b, 1024);
	if (ipc_refusal_encode(&b, &no))
		tell(s, tag, type, buf_str(&b));
	buf_fini(&b);
}

/* keep - the frame's bytes are gone when it returns */
static bool keep(struct trial_spool *s, struct str payload)
{
	struct trial_outcome *o = s->outcome;
	struct str copy = arena_str(s->arena, payload);
	struct ipc_submit submit;
	struct fault why;

	if (!copy.p || !ipc_submit_decode(copy, &submit))
		return false;
	o->copies = arena_alloc(s->arena, submit.nvariants * sizeof *o->copies);
	if (!o->copies)
		return false;
	for (o->ncopies = 0; o->ncopies < submit.nvariants; o->ncopies++) {
		const struct ipc_variant *v = &submit.variants[o->ncopies];
		struct trial_copy *c = &o->copies[o->ncopies];

		c->header = v->header;
		c->state = v->state == IPC_STATE_HOLD         ? TRIAL_HELD
			   : v->state == IPC_STATE_QUARANTINE ? TRIAL_QUARANTINED
							      : TRIAL_QUEUED;
		if (envelope_read(v->envelope, s->arena, &c->envelope, &why) < 0)
			return false;
	}
	o->body = submit.is_slot ? arena_str(s->arena, buf_str(&s->slot)) : submit.body;
	return true;
}

static void frame(void *owner, const struct ipc_frame *f)
{
	struct trial_spool *s = owner;

	if (f->type == IPC_SUBMIT) {
		if (s->outcome && keep(s, f->payload))
			tell(s, f->tag, IPC_DURABLE, STR_NONE);
		else
			refuse(s, f->tag, IPC_REFUSED);
	} else if (f->type == IPC_SLOT_OPEN) {
		buf_reset(&s->slot);
		acknowledge(s, f->tag);
	} else if (f->type == IPC_SLOT_DATA) {
		if (buf_add(&s->slot, f->payload))
			acknowledge(s, f->tag);
		else
			refuse(s, f->tag, IPC_SLOT_REFUSED);
	}
}

static void broken(void *owner, const struct fault *why)
{
	(void)owner;
	(void)why;
}

static const struct ipc_channel_ops own_ops = { .frame = frame, .broken = broken };

static int twin(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int trial_spool_open(struct trial_spool *s, struct net_loop *loop,
		     const struct ipc_channel_ops *ops, void *owner, struct fault *why)
{
	struct ipc_channel_fds a, b;

	*s = (struct trial_spool){ 0 };
	buf_init(&s->slot, TRIAL_BODY);
	if (ipc_channel_make(&a, RING, why) < 0)
		return -1;
	b = (struct ipc_channel_fds){ twin(a.memory), twin(a.wake_a), twin(a.wake_b) };
	s->edge = ipc_channel_open(loop, &a, IPC_END_A, ops, owner, why);
	s->own = ipc_channel_open(loop, &b, IPC_END_B, &own_ops, s, why);
	return s->edge && s->own ? 0 : -1;
}

void trial_spool_expect(struct trial_spool *s, struct arena *arena, struct trial_outcome *outcome)
{
	buf_reset(&s->slot);
	s->arena = arena;
	s->outcome = outcome;
}

void trial_spool_close(struct trial_spool *s)
{
	ipc_channel_close(&s->edge);
	ipc_channel_close(&s->own);
	buf_fini(&s->slot);
}
