#include "delivery.h"

#include <assert.h>
#include <stdlib.h>

#include "delivery_core.h"
#include "delivery_session.h"

/* ---- the spool's channel */

bool delivery_send(struct delivery *d, uint16_t type, uint64_t tag)
{
	struct ipc_frame head = { .type = type, .tag = tag };
	struct str payload = buf_str(&d->out);

	return ipc_channel_send(d->spool, &head, &payload, 1);
}

/* read_now - false: it has to wait for its turn */
static bool read_now(struct delivery *d, struct delivery_lease *l)
{
	uint64_t offset;
	uint32_t length;
	bool fits;

	if (!delivery_body_wants(&l->body, &offset, &length))
		return true;
	if (d->nreads >= DELIVERY_READS)
		return false;
	buf_reset(&d->out);
	fits = wire_u64(&d->out, offset) && wire_u32(&d->out, length);
	assert(fits);
	if (!d->spool || !delivery_send(d, IPC_READ, l->tag))
		return false;
	d->nreads++;
	delivery_body_asked(&l->body);
	return true;
}

void delivery_read(struct delivery *d, struct delivery_lease *l)
{
	if (!list_is_empty(&l->reading))
		return;
	if (!list_is_empty(&d->reading) || !read_now(d, l))
		list_append(&d->reading, &l->reading);
}

static void read_others(struct delivery *d)
{
	while (!list_is_empty(&d->reading)) {
		struct delivery_lease *l =
			LIST_ITEM(d->reading.next, struct delivery_lease, reading);

		if (!read_now(d, l))
			return;
		list_remove(&l->reading);
	}
}

/* on_data - also for a lease that is gone: its READ no longer counts */
static void on_data(struct delivery *d, const struct ipc_frame *frame)
{
	struct delivery_lease *l = delivery_lease_find(d, frame->tag);
	struct wire w = { .rest = frame->payload };
	uint64_t offset = wire_get_u64(&w);
	struct str bytes = wire_get_str(&w, IPC_READ_MAX);

	d->nreads -= d->nreads > 0;
	if (l && l->phase == LEASE_ATTEMPT) {
		delivery_body_data(&l->body, offset, wire_is_end(&w) ? bytes : STR_NONE);
		if (l->session)
			delivery_session_more(l->session);
		else
			delivery_maildir_more(l);
	}
	read_others(d);
}

void delivery_frame(struct delivery *d, const struct ipc_frame *frame)
{
	if (!d->spool)
		return;
	if (frame->type == IPC_ROUTE || frame->type == IPC_DISPATCH)
		delivery_lease_take(d, frame);
	else if (frame->type == IPC_DATA)
		on_data(d, frame);
}

void delivery_writable(struct delivery *d)
{
	while (d->spool && !list_is_empty(&d->unsent)) {
		struct delivery_lease *l = LIST_ITEM(d->unsent.next, struct delivery_lease, unsent);

		if (!delivery_lease_report(&l))
			return;
	}
	read_others(d);
}

void delivery_channel(struct delivery *d, struct ipc_channel *spool)
{
	d->spool = spool;
	while (!list_is_empty(&d->leases)) {
		struct delivery_lease *l = LIST_ITEM(d->leases.next, struct delivery_lease, node);

		delivery_lease_drop(&l);
	}
	d->nreads = 0;
}

/* ---- life */

struct delivery *delivery_new(struct net_loop *loop, struct policy_set *policies,
			      const struct delivery_options *options)
{
	struct delivery *d = calloc(1, sizeof *d);

	if (!d)
		abort();
	d->loop = loop;
	d->policies = policies;
	delivery_settings_init(&d->settings, options);
	list_init(&d->leases);
	list_init(&d->unsent);
	list_init(&d->reading);
	list_init(&d->spares);
	map_init(&d->by_tag);
	buf_init(&d->out, IPC_FRAME_MAX);
	delivery_pool_init(d);
	delivery_maildir_init(d);
	return d;
}

void delivery_options_set(struct delivery *d, const struct delivery_options *options)
{
	delivery_settings_set(&d->settings, options);
}

void delivery_drain(struct delivery *d)
{
	d->is_draining = true;
	delivery_pool_quit_idle(d);
}

bool delivery_is_idle(const struct delivery *d)
{
	return list_is_empty(&d->leases);
}

void delivery_free(struct delivery **dp)
{
	struct delivery *d = *dp;

	if (!d)
		return;
	*dp = NULL;
	delivery_channel(d, NULL);
	delivery_pool_fini(d);
	delivery_maildir_fini(d);
	delivery_lease_fini_spares(d);
	map_fini(&d->by_tag);
	buf_fini(&d->out);
	delivery_settings_fini(&d->settings);
	free(d);
}
