#include "script_hook.h"

#include <assert.h>
#include <string.h>

#include "clock.h"
#include "counter.h"
#include "policy_edit.h"
#include "script_box.h"
#include "script_fault.h"
#include "script_log.h"
#include "script_verdict.h"

enum slice { SLICE_WAITS, SLICE_NEXT, SLICE_DECIDED };

/* ---- what a handler is called with */

static void push_conn(lua_State *L, struct policy_question *q)
{
	script_push(L, &script_conn, q->conn, q->conn ? &q->conn->handles : NULL);
}

static void push_tx(lua_State *L, struct policy_question *q)
{
	script_push(L, &script_tx, q->tx, q->tx ? &q->tx->handles : NULL);
}

static void push_rcpt(lua_State *L, struct policy_question *q)
{
	script_push(L, &script_rcpt, q->rcpt, q->rcpt ? &q->rcpt->handles : NULL);
}

static void push_msg(lua_State *L, struct policy_question *q)
{
	script_push(L, &script_msg, q->msg, q->msg ? &q->msg->handles : NULL);
}

static void push_attempt(lua_State *L, struct policy_question *q)
{
	script_push(L, &script_attempt, q->attempt, q->attempt ? &q->attempt->handles : NULL);
}

static void push_result(lua_State *L, struct policy_question *q)
{
	script_push(L, &script_result, q->result, q->result ? &q->result->handles : NULL);
}

static void push_bounce(lua_State *L, struct policy_question *q)
{
	script_push(L, &script_bounce, q->bounce, q->bounce ? &q->bounce->handles : NULL);
}

typedef void push_argument(lua_State *, struct policy_question *);

/* clang-format off */
static push_argument *const arguments[HOOKS][4] = {
	[HOOK_CONNECT] =      { push_conn },
	[HOOK_TLS] =          { push_conn },
	[HOOK_EHLO] =         { push_conn },
	[HOOK_MAIL] =         { push_tx },
	[HOOK_RCPT] =         { push_tx, push_rcpt },
	[HOOK_DATA] =         { push_tx },
	[HOOK_HEADERS] =      { push_tx, push_msg },
	[HOOK_MESSAGE] =      { push_tx, push_msg },
	[HOOK_MESSAGE_RCPT] = { push_tx, push_rcpt, push_msg },
	[HOOK_DISCONNECT] =   { push_conn },
	[HOOK_ROUTE] =        { push_tx, push_rcpt },
	[HOOK_RESULT] =       { push_tx, push_attempt, push_result },
	[HOOK_BOUNCE] =       { push_tx, push_bounce },
};
/* clang-format on */

/* ---- inside the protected resume: these raise */

static int nonsense(lua_State *L, struct script_task *t)
{
	return luaL_error(L,
			  "the handler at %s returned a %s; it may return nothing or a verdict "
			  "like gate.reject()",
			  t->handler->where.p, luaL_typename(L, -1));
}

static int illegal(lua_State *L, struct script_task *t)
{
	enum policy_hook hook = t->q->hook;

	lua_pushfstring(L, "gate.%s() is no verdict at \"%s\"; there are:",
			verdict_name[t->verdict.kind], policy_hook_name[hook]);
	for (enum verdict_kind kind = 0; kind < VERDICTS; kind++)
		if (verdict_is_legal(hook, kind)) {
			lua_pushfstring(L, " %s", verdict_name[kind]);
			lua_concat(L, 2);
		}
	lua_pushfstring(L, " (the handler at %s)", t->handler->where.p);
	lua_concat(L, 2);
	return lua_error(L);
}

static int finish(lua_State *L, int status, lua_KContext context)
{
	struct script_task *t = (struct script_task *)context;

	if (status != LUA_OK && status != LUA_YIELD)
		return lua_error(L);
	switch (script_verdict_read(L, -1, t->q->arena, &t->verdict)) {
	case ANSWER_VERDICT:
		break;
	case ANSWER_NONSENSE:
		return nonsense(L, t);
	case ANSWER_NO_ROOM:
		return luaL_error(L, "this transaction has no memory left for a verdict");
	}
	return verdict_is_legal(t->q->hook, t->verdict.kind) ? 0 : illegal(L, t);
}

/*
 * entry - by pcall, although the error goes on from here: only pcall switches hooks on again that a
 * hook which raised had left off (Lua 5.4.4). Without it a <close> of the dying handler, or the
 * next handler on this coroutine, could loop for ever.
 */
static int entry(lua_State *L)
{
	struct script_task *t = lua_touserdata(L, 1);
	int n = 0;

	t->trace[0] = '\0';
	lua_settop(L, 0);
	lua_pushcfunction(L, script_fault_trace);
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->handler->function);
	for (push_argument *const *push = arguments[t->q->hook]; *push; push++, n++)
		(*push)(L, t->q);
	return finish(L, lua_pcallk(L, n, 1, 1, (lua_KContext)t, finish), (lua_KContext)t);
}

/* ---- which handlers */

static bool is_trusted(const struct policy_question *q)
{
	return (q->tx && q->tx->is_trusted) || (q->conn && q->conn->is_trusted);
}

static bool is_heard_at(const struct script_handler *h, const struct policy_question *q)
{
	struct str listener = q->conn ? q->conn->listener : q->tx ? q->tx->listener : STR_NONE;

	for (unsigned i = 0; i < h->nlisteners; i++)
		if (str_eq(h->listeners[i], listener))
			return true;
	return h->nlisteners == 0;
}

static struct script_handler *next_handler(const struct script_chain *chain, unsigned *at,
					   const struct policy_question *q)
{
	while (*at < chain->n) {
		struct script_handler *h = chain->handlers[(*at)++];

		if (is_heard_at(h, q) && !(h->skip_trusted && is_trusted(q)))
			return h;
	}
	return NULL;
}

/* ---- how a handler ends */

static void edits_drop(const struct policy_question *q)
{
	if (q->tx)
		policy_edits_drop(q->tx);
}

/* rule_of - a copy, because a connection outlives the generation whose handler trusted it */
static struct str rule_of(const struct script_task *t)
{
	return arena_str(t->q->arena, t->handler->name);
}

static void trust(struct script_task *t)
{
	struct policy_question *q = t->q;

	if (q->hook <= HOOK_EHLO) {
		q->conn->is_trusted = true;
		q->conn->trust_reason = t->verdict.reason;
		q->conn->trust_rule = rule_of(t);
	} else {
		q->tx->is_trusted = true;
		q->tx->trust_reason = t->verdict.reason;
		q->tx->trust_rule = rule_of(t);
	}
}

/* monitored - what would have been done, written down */
static void monitored(const struct script_task *t)
{
	const struct verdict *v = &t->verdict;
	unsigned edits = t->q->tx ? t->q->tx->nstaged : 0;
	struct json *j;

	if (v->kind == VERDICT_PASS && edits == 0)
		return;
	j = script_log_open(t, LOG_LEVEL_INFO, "policy.monitor");
	json_str(j, "verdict", str_of(verdict_name[v->kind]));
	if (v->code)
		json_int(j, "code", v->code);
	if (v->text.n)
		json_str(j, "text", v->text);
	if (v->reason.n)
		json_str(j, "reason", v->reason);
	json_int(j, "edits", edits);
	log_close();
}

static bool is_refusal(enum verdict_kind kind)
{
	return kind == VERDICT_DEFER || kind == VERDICT_REJECT || kind == VERDICT_DROP ||
	       kind == VERDICT_ABORT;
}

static enum slice returned(struct script_task *t)
{
	struct policy_question *q = t->q;

	rule_add(t->handler->slot, RULE_RUNS);
	if (t->handler->is_monitor) {
		monitored(t);
		edits_drop(q);
		return SLICE_NEXT;
	}
	if (q->tx)
		policy_edits_apply(q->tx);
	if (t->verdict.kind == VERDICT_PASS)
		return SLICE_NEXT;
	if (t->verdict.kind == VERDICT_TRUST) {
		trust(t);
		return SLICE_NEXT;
	}
	if (is_refusal(t->verdict.kind))
		rule_add(t->handler->slot, RULE_REFUSED);
	q->verdict = t->verdict;
	q->verdict.rule = rule_of(t);
	return SLICE_DECIDED;
}

static enum slice failed(struct script_task *t, int status)
{
	struct policy_question *q = t->q;

	script_fault_report(t, status);
	script_task_stop(t);
	edits_drop(q);
	rule_add(t->handler->slot, RULE_RUNS);
	rule_add(t->handler->slot, RULE_ERRORS);
	counter_add(COUNTER_HOOK_ERRORS, 1);
	if (t->handler->is_monitor || t->handler->on_error == ON_ERROR_PASS ||
	    q->hook == HOOK_DISCONNECT)
		return SLICE_NEXT;
	policy_fail(q, rule_of(t));
	if (t->handler->on_error == ON_ERROR_REJECT) {
		q->verdict.kind = VERDICT_REJECT;
		q->verdict.code = 550;
		memcpy(q->verdict.esc, "5.3.0", sizeof "5.3.0");
		q->verdict.text = STR("Rejected: local policy failed");
	}
	return SLICE_DECIDED;
}

/* handler_done - one more is behind us */
static enum slice handler_done(struct script_task *t, enum slice slice)
{
	uint64_t now = clock_mono();

	histogram_add(HISTOGRAM_HOOK_TIME, now - t->begun_us);
	t->begun_us = now;
	return slice;
}

static uint64_t time_left(const struct script_task *t)
{
	uint64_t spent = clock_mono() - t->begun_us;

	return spent < t->handler->timeout_us ? t->handler->timeout_us - spent : 0;
}

/* slice_done - what a resume brought */
static enum slice slice_done(struct script_task *t, int status)
{
	if (status == LUA_YIELD && t->op && t->budget.doom == DOOM_NONE) {
		script_task_wait(t, time_left(t));
		return SLICE_WAITS;
	}
	if (status != LUA_OK || t->budget.doom != DOOM_NONE)
		return handler_done(t, failed(t, status));
	return handler_done(t, returned(t));
}

/* chain_go - the next handlers, until one waits or decides or none is left */
static enum step chain_go(struct script_task *t, enum slice slice)
{
	const struct script_chain *chain = &t->vm->chains[t->q->hook];

	while (slice == SLICE_NEXT) {
		t->handler = next_handler(chain, &t->next, t->q);
		if (!t->handler)
			return STEP_DONE;
		t->logged = 0;
		counter_add(COUNTER_HOOKS, 1);
		slice = slice_done(t, script_task_start(t, entry));
	}
	return slice == SLICE_WAITS ? STEP_MORE : STEP_DONE;
}

/* ---- the question */

static void release(struct policy_question *q)
{
	struct script_task *t = q->task;
	struct script_vm *vm = t->vm;

	q->task = NULL;
	script_task_give(&t);
	script_budget_pace(vm);
}

static enum step ask(struct policy_question *q)
{
	struct script_vm *vm = q->generation->self;
	struct script_task *t;
	unsigned first = 0;

	if (!next_handler(&vm->chains[q->hook], &first, q))
		return STEP_DONE;
	t = script_task_take(vm);
	if (!t) {
		policy_fail(q, STR_NONE);
		counter_add(COUNTER_HOOK_ERRORS, 1);
		script_budget_pace(vm);
		return STEP_DONE;
	}
	t->q = q;
	t->next = first - 1;
	t->begun_us = clock_mono();
	q->task = t;
	if (chain_go(t, SLICE_NEXT) == STEP_MORE)
		return STEP_MORE;
	release(q);
	return STEP_DONE;
}

void script_hook_continue(struct script_task *t)
{
	struct policy_question *q = t->q;
	enum slice slice;

	if (t->is_expired)
		slice = handler_done(t, failed(t, LUA_YIELD));
	else
		slice = slice_done(t, script_task_resume(t));
	if (chain_go(t, slice) == STEP_MORE)
		return;
	release(q);
	q->answered(q);
}

static void cancel(struct policy_question *q)
{
	struct script_task *t = q->task;

	if (!t)
		return;
	script_task_stop(t);
	edits_drop(q);
	release(q);
}

/* ---- the generation */

static void begin_to_answer(struct policy_generation *g)
{
	struct script_vm *vm = g->self;

	script_budget_pace(vm);
}

static void end_of_answers(struct policy_generation *g)
{
	struct script_vm *vm = g->self;

	script_budget_pace(vm);
}

static void destroy(struct policy_generation *g)
{
	struct script_vm *vm = g->self;

	g->self = NULL;
	script_vm_free(&vm);
}

const struct policy_ops script_ops = {
	.ask = ask,
	.cancel = cancel,
	.activate = begin_to_answer,
	.retire = end_of_answers,
	.destroy = destroy,
};
