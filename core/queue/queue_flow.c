#include "queue_flow.h"

#define ONE 256u

static uint32_t between(uint32_t window, const struct queue_flow_limits *l)
{
	uint32_t least = l->least ? l->least : 1;

	if (window < least * ONE)
		window = least * ONE;
	return window > l->most * ONE ? l->most * ONE : window;
}

static uint32_t window_of(const struct queue_flow *f, const struct queue_flow_limits *l)
{
	return between(f->window ? f->window : QUEUE_FLOW_FIRST * ONE, l);
}

unsigned queue_flow_allows(const struct queue_flow *f, const struct queue_flow_limits *l)
{
	return f->is_dead ? 1 : window_of(f, l) / ONE;
}

/* revive - it answered after all: from the bottom, and quickly */
static void revive(struct queue_flow *f, const struct queue_flow_limits *l)
{
	if (!f->is_dead)
		return;
	*f = (struct queue_flow){ .window = between(ONE, l) };
}

void queue_flow_good(struct queue_flow *f, const struct queue_flow_limits *l)
{
	uint32_t window;

	revive(f, l);
	window = window_of(f, l);
	f->round++;
	f->window = between(window + (f->is_careful ? ONE * ONE / window : ONE), l);
}

static void narrow(struct queue_flow *f, const struct queue_flow_limits *l)
{
	uint32_t window = window_of(f, l);

	if (f->is_careful && f->round < window / ONE)
		return; /* it is about the width that was left already */
	f->window = between(window / 2, l);
	f->round = 0;
	f->is_careful = true;
}

void queue_flow_bad(struct queue_flow *f, enum ipc_cause cause, const struct queue_flow_limits *l)
{
	if (cause == IPC_CAUSE_CONNECT) {
		f->is_dead = true;
		return;
	}
	if (cause == IPC_CAUSE_POLICY)
		return; /* nobody was asked */
	revive(f, l);
	f->round++;
	if (cause == IPC_CAUSE_RATE || cause == IPC_CAUSE_BROKEN)
		narrow(f, l);
}
