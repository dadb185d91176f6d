#include "delivery_pool.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "counter.h"
#include "delivery_core.h"
#include "delivery_session.h"

static bool is_key(const struct map_node *node, const void *text)
{
	const struct delivery_key *key = LIST_ITEM(node, const struct delivery_key, node);

	return str_eq((struct str){ key->text, key->length }, *(const struct str *)text);
}

static void key_forget_death(struct delivery_pool *p, struct delivery_key *key)
{
	if (!list_is_empty(&key->dead))
		p->ndead--;
	list_remove(&key->dead);
	key->dead_until = key->back_off = 0;
}

/* key_collect - nothing is connected and nothing is remembered: gone */
static void key_collect(struct delivery_pool *p, struct delivery_key *key)
{
	if (!list_is_empty(&key->sessions) || !list_is_empty(&key->dead))
		return;
	map_remove(&p->keys, &key->node);
	free(key);
}

static struct delivery_key *key_get(struct delivery_pool *p, const struct delivery_hop *hop)
{
	char text[DELIVERY_HOP_TEXT];
	struct str name = delivery_hop_key(hop, text);
	uint64_t hash = map_hash(name);
	struct map_node *node = map_get(&p->keys, hash, is_key, &name);
	struct delivery_key *key;

	if (node)
		return LIST_ITEM(node, struct delivery_key, node);
	key = calloc(1, sizeof *key);
	if (!key)
		abort();
	list_init(&key->sessions);
	list_init(&key->idle);
	list_init(&key->dead);
	key->length = str_copy(key->text, sizeof key->text, name);
	key->address = hop->address;
	key->is_lmtp = hop->kind == HOP_LMTP;
	(void)net_address_text(&hop->address, key->peer);
	map_put(&p->keys, &key->node, hash);
	return key;
}

/* ---- leases */

static void decide_dead(struct delivery_lease *l, struct str text)
{
	delivery_lease_decide_all(l, &(struct delivery_said){ .outcome = IPC_OUTCOME_DEFER,
							      .esc = STR("4.4.1"),
							      .text = text });
}

void delivery_pool_attempt(struct delivery_lease *l)
{
	struct delivery *d = l->delivery;
	struct delivery_key *key = key_get(&d->pool, &l->hop);
	struct fault why;

	l->peer = arena_str(&l->arena, str_of(key->peer));
	if (!list_is_empty(&key->idle) && !l->is_retried) {
		counter_add(COUNTER_OUT_REUSED, 1);
		delivery_session_take(LIST_ITEM(key->idle.next, struct delivery_session, key_idle),
				      l);
		return;
	}
	if (key->dead_until > net_loop_now(d->loop)) {
		decide_dead(l, str_of(key->dead_text));
		return;
	}
	if (delivery_session_connect(key, l, &why) < 0) {
		decide_dead(l, str_of(why.text));
		key_collect(&d->pool, key);
	}
}

void delivery_pool_alive(struct delivery_key *key)
{
	struct delivery_session *s = LIST_ITEM(key->sessions.next, struct delivery_session, node);

	assert(!list_is_empty(&key->sessions));
	key_forget_death(&s->delivery->pool, key);
}

void delivery_pool_dead(struct delivery *d, struct delivery_key *key, struct str text)
{
	struct delivery_pool *p = &d->pool;
	uint64_t back_off = key->back_off ? key->back_off * 2 : DELIVERY_DEAD_FIRST;

	key_forget_death(p, key);
	key->back_off = back_off < DELIVERY_DEAD_MOST ? back_off : DELIVERY_DEAD_MOST;
	key->dead_until = net_loop_now(d->loop) + key->back_off;
	str_copy(key->dead_text, sizeof key->dead_text, text);
	list_append(&p->dead, &key->dead);
	p->ndead++;
	if (p->ndead > DELIVERY_DEAD_KEYS) {
		struct delivery_key *oldest = LIST_ITEM(p->dead.next, struct delivery_key, dead);

		key_forget_death(p, oldest);
		key_collect(p, oldest);
	}
	LIST_EACH(node, &key->sessions)
	{
		struct delivery_session *s = LIST_ITEM(node, struct delivery_session, node);

		if (s->phase == SESSION_CONNECTING)
			delivery_session_fail(s, text);
	}
}

/* ---- idle connections */

void delivery_pool_idle(struct delivery_session *s)
{
	struct delivery *d = s->delivery;
	const struct delivery_options *o = &d->settings.o;

	if (d->is_draining || s->messages >= o->messages_per_connection ||
	    s->key->nidle >= o->idle_per_key) {
		delivery_session_quit(s);
		return;
	}
	s->since = net_loop_now(d->loop);
	s->phase = SESSION_IDLE;
	list_prepend(&s->key->idle, &s->key_idle);
	list_prepend(&d->pool.idle, &s->pool_idle);
	s->key->nidle++;
	d->pool.nidle++;
	if (!net_timer_is_running(&d->pool.sweep))
		net_timer_start(&d->pool.sweep, o->idle_us);
	if (d->pool.nidle > o->idle_total)
		delivery_session_quit(
			LIST_ITEM(d->pool.idle.prev, struct delivery_session, pool_idle));
}

void delivery_pool_busy(struct delivery_session *s)
{
	if (list_is_empty(&s->pool_idle))
		return;
	list_remove(&s->key_idle);
	list_remove(&s->pool_idle);
	s->key->nidle--;
	s->delivery->pool.nidle--;
}

void delivery_pool_remove(struct delivery_session *s)
{
	delivery_pool_busy(s);
	list_remove(&s->node);
	key_collect(&s->delivery->pool, s->key);
}

/* sweep - the list is in the order of use, so the oldest are at its end */
static void sweep(struct net_timer *t)
{
	struct delivery *d = container_of(t, struct delivery, pool.sweep);
	struct delivery_pool *p = &d->pool;
	uint64_t now = net_loop_now(d->loop), idle = d->settings.o.idle_us;

	while (!list_is_empty(&p->idle)) {
		struct delivery_session *s =
			LIST_ITEM(p->idle.prev, struct delivery_session, pool_idle);

		if (s->since + idle > now) {
			net_timer_start(t, s->since + idle - now);
			return;
		}
		delivery_session_quit(s);
	}
}

void delivery_pool_quit_idle(struct delivery *d)
{
	while (!list_is_empty(&d->pool.idle))
		delivery_session_quit(
			LIST_ITEM(d->pool.idle.next, struct delivery_session, pool_idle));
}

void delivery_pool_init(struct delivery *d)
{
	struct delivery_pool *p = &d->pool;

	map_init(&p->keys);
	list_init(&p->idle);
	list_init(&p->dead);
	p->nidle = p->ndead = 0;
	net_timer_init(&p->sweep, d->loop, sweep);
}

void delivery_pool_fini(struct delivery *d)
{
	struct delivery_pool *p = &d->pool;
	struct map_node *node;

	net_timer_stop(&p->sweep);
	while ((node = map_next(&p->keys, NULL)) != NULL) {
		struct delivery_key *key = LIST_ITEM(node, struct delivery_key, node);

		key_forget_death(p, key);
		if (list_is_empty(&key->sessions))
			key_collect(p, key);
		else
			delivery_session_forget(
				LIST_ITEM(key->sessions.next, struct delivery_session, node));
	}
	map_fini(&p->keys);
}
