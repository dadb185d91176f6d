#include "policy.h"

#include "policy_generation.h"

#include <assert.h>
#include <string.h>

/* clang-format off */
const char *const policy_hook_name[HOOKS] = {
	[HOOK_CONNECT] = "connect",           [HOOK_TLS] = "tls",
	[HOOK_EHLO] = "ehlo",
	[HOOK_MAIL] = "mail",                 [HOOK_RCPT] = "rcpt",
	[HOOK_DATA] = "data",                 [HOOK_HEADERS] = "headers",
	[HOOK_MESSAGE] = "message",           [HOOK_MESSAGE_RCPT] = "message_rcpt",
	[HOOK_DISCONNECT] = "disconnect",     [HOOK_ROUTE] = "route",
	[HOOK_RESULT] = "result",             [HOOK_BOUNCE] = "bounce",
};

const char *const verdict_name[VERDICTS] = {
	[VERDICT_PASS] = "pass",              [VERDICT_ACCEPT] = "accept",
	[VERDICT_TRUST] = "trust",            [VERDICT_DEFER] = "defer",
	[VERDICT_REJECT] = "reject",          [VERDICT_DROP] = "drop",
	[VERDICT_ABORT] = "abort",            [VERDICT_QUARANTINE] = "quarantine",
	[VERDICT_HOLD] = "hold",              [VERDICT_DISCARD] = "discard",
};

#define V(verdict) (1u << VERDICT_##verdict)
#define TALK (V(PASS) | V(ACCEPT) | V(TRUST) | V(DEFER) | V(REJECT) | V(DROP))
#define MAIL_KEPT (V(QUARANTINE) | V(HOLD) | V(DISCARD))

static const unsigned legal[HOOKS] = {
	[HOOK_CONNECT] =      TALK | V(ABORT),
	[HOOK_TLS] =          TALK | V(ABORT),
	[HOOK_EHLO] =         TALK | V(ABORT),
	[HOOK_MAIL] =         TALK,
	[HOOK_RCPT] =         TALK | V(DISCARD),
	[HOOK_DATA] =         TALK,
	[HOOK_HEADERS] =      V(PASS) | V(ACCEPT) | V(DEFER) | V(REJECT) | V(DROP) | MAIL_KEPT,
	[HOOK_MESSAGE] =      V(PASS) | V(ACCEPT) | V(DEFER) | V(REJECT) | V(DROP) | MAIL_KEPT,
	[HOOK_MESSAGE_RCPT] = V(PASS) | V(ACCEPT) | V(DEFER) | V(REJECT) | MAIL_KEPT,
	[HOOK_DISCONNECT] =   V(PASS),
	[HOOK_ROUTE] =        V(PASS) | V(HOLD) | V(DEFER) | V(REJECT) | V(DISCARD),
	[HOOK_RESULT] =       V(PASS) | V(DEFER) | V(REJECT),
	[HOOK_BOUNCE] =       V(PASS) | V(DISCARD) | V(QUARANTINE),
};
/* clang-format on */

bool policy_hook_find(struct str name, enum policy_hook *out)
{
	for (enum policy_hook hook = 0; hook < HOOKS; hook++)
		if (str_eq(name, str_of(policy_hook_name[hook]))) {
			*out = hook;
			return true;
		}
	return false;
}

bool verdict_is_legal(enum policy_hook hook, enum verdict_kind kind)
{
	assert(hook < HOOKS && kind < VERDICTS);
	return legal[hook] >> kind & 1;
}

bool policy_hook_is_edge(enum policy_hook hook)
{
	assert(hook < HOOKS);
	return hook <= HOOK_DISCONNECT;
}

enum step policy_ask(struct policy_question *q)
{
	assert(!q->task);
	q->verdict = (struct verdict){ .kind = VERDICT_PASS };
	if (!q->generation || !q->generation->ops)
		return STEP_DONE;
	return q->generation->ops->ask(q);
}

bool policy_answers(const struct policy_generation *g, enum policy_hook hook)
{
	return g && g->ops && (g->hooks >> hook & 1);
}

void policy_cancel(struct policy_question *q)
{
	if (q->task)
		q->generation->ops->cancel(q);
	assert(!q->task);
}

void policy_fail(struct policy_question *q, struct str rule)
{
	q->verdict = (struct verdict){
		.kind = VERDICT_DEFER,
		.code = 451,
		.esc = "4.3.0",
		.text = STR("Local policy is not available, try again later"),
		.rule = rule,
		.failed = true,
	};
}
