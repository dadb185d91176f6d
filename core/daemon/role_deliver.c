#include "role.h"

#include "delivery.h"
#include "role_policy.h"

#define IDLE_PER_KEY            100
#define IDLE_TOTAL              200
#define MESSAGES_PER_CONNECTION 1000

static struct {
	struct role_policy policy;
	struct delivery *delivery;
	struct ipc_channel *spool, *maildir;
} out;

static struct delivery_options options_of(const struct role *r)
{
	const struct settings *s = &r->state.settings;
	static struct delivery_route routes[SETTINGS_ROUTES];
	struct delivery_options o = {
		.hostname = s->hostname,
		.index = (uint16_t)r->index,
		.relay_to = s->relay_to,
		.relay_domains = s->relay_domains,
		.nrelay_domains = s->nrelay_domains,
		.idle_per_key = IDLE_PER_KEY,
		.idle_total = IDLE_TOTAL,
		.idle_us = 10 * UINT64_C(1000000),
		.messages_per_connection = MESSAGES_PER_CONNECTION,
	};

	for (unsigned i = 0; i < s->nrelay_domains; i++)
		o.relay_all |= str_eq(s->relay_domains[i], STR("*"));
	for (unsigned i = 0; i < s->nroute; i++)
		routes[o.nroutes++] = (struct delivery_route){ s->route[i].key, s->route[i].value };
	o.routes = routes;
	return o;
}

static enum step start(struct role *r, struct fault *why)
{
	struct delivery_options o = options_of(r);

	if (role_enter_sandbox(r, why) < 0 || role_policy_start(&out.policy, r, why) < 0)
		return STEP_ERROR;
	out.delivery = delivery_new(r->loop, &out.policy.set, &o);
	if (out.maildir)
		delivery_maildir_channel(out.delivery, out.maildir);
	if (out.spool)
		delivery_channel(out.delivery, out.spool);
	return STEP_DONE;
}

static void channel(struct role *r, struct role_peer peer, struct ipc_channel *c)
{
	struct ipc_channel **place = peer.kind == ROLE_SPOOL ? &out.spool : &out.maildir;
	struct ipc_channel *old = *place;

	(void)r;
	*place = c;
	if (out.delivery && peer.kind == ROLE_SPOOL)
		delivery_channel(out.delivery, c);
	else if (out.delivery)
		delivery_maildir_channel(out.delivery, c);
	ipc_channel_close(&old);
}

static void frame(struct role *r, struct role_peer peer, const struct ipc_frame *f)
{
	(void)r;
	if (!out.delivery)
		return;
	if (peer.kind == ROLE_SPOOL)
		delivery_frame(out.delivery, f);
	else if (peer.kind == ROLE_MAILDIR)
		delivery_maildir_frame(out.delivery, f);
}

static void writable(struct role *r, struct role_peer peer)
{
	(void)r;
	if (!out.delivery)
		return;
	if (peer.kind == ROLE_SPOOL)
		delivery_writable(out.delivery);
	else if (peer.kind == ROLE_MAILDIR)
		delivery_maildir_writable(out.delivery);
}

static int prepare(struct role *r, struct role_state *next, struct buf *errors)
{
	return role_policy_prepare(&out.policy, r, next, errors);
}

static void commit(struct role *r)
{
	struct delivery_options o = options_of(r);

	delivery_options_set(out.delivery, &o);
	role_policy_commit(&out.policy);
}

static void abandon(struct role *r)
{
	(void)r;
	role_policy_abort(&out.policy);
}

static bool is_idle(const struct role *r)
{
	(void)r;
	return delivery_is_idle(out.delivery);
}

static void drain(struct role *r)
{
	if (!out.delivery)
		return;
	delivery_drain(out.delivery);
	role_drain_until(r, is_idle);
}

static void stop(struct role *r)
{
	(void)r;
	if (out.delivery)
		delivery_free(&out.delivery);
}

const struct role_ops role_deliver_ops = {
	.start = start,
	.channel = channel,
	.frame = frame,
	.writable = writable,
	.prepare = prepare,
	.commit = commit,
	.abort = abandon,
	.drain = drain,
	.stop = stop,
};
