#include "delivery_stage.h"

#include "counter.h"
#include "delivery_cause.h"
#include "log.h"

static const char *const names[] = {
	[IPC_OUTCOME_DONE] = "delivered",
	[IPC_OUTCOME_DEFER] = "deferred",
	[IPC_OUTCOME_FAIL] = "failed",
	[IPC_OUTCOME_HOLD] = "held",
};

static const char *name_of(const struct delivery_lease *l, const struct delivery_rcpt *r)
{
	if (r->outcome == IPC_OUTCOME_ROUTE)
		return "rerouted";
	if (r->outcome == IPC_OUTCOME_DONE && l->is_route)
		return "discarded";
	return names[r->outcome];
}

static void count(const struct delivery_lease *l, const struct delivery_rcpt *r)
{
	if (r->outcome == IPC_OUTCOME_DONE && !l->is_route)
		counter_add(COUNTER_DELIVERED, 1);
	else if (r->outcome == IPC_OUTCOME_DEFER)
		counter_add(COUNTER_DEFERRED, 1);
	else if (r->outcome == IPC_OUTCOME_FAIL)
		counter_add(COUNTER_FAILED, 1);
}

static void optional(struct json *j, const char *key, struct str value)
{
	if (value.n > 0)
		json_str(j, key, value);
}

static void add_said(struct json *j, const struct delivery_lease *l, const struct delivery_rcpt *r)
{
	if (r->code)
		json_int(j, "code", r->code);
	optional(j, "status", r->esc);
	optional(j, "text", r->text);
	if (r->is_reply || r->is_unsure)
		json_str(j, "stage", str_of(smtp_stage_name(r->stage)));
	if (r->is_unsure)
		json_bool(j, "unsure", true);
	if (r->outcome == IPC_OUTCOME_DEFER)
		json_str(j, "cause",
			 str_of(ipc_cause_name[delivery_cause(r->is_reply, r->rule.n > 0, r->code,
							      r->esc, r->text)]));
	if (r->retry_us && r->outcome == IPC_OUTCOME_DEFER)
		json_num(j, "retry", (double)r->retry_us / 1e6);
	if (r->outcome == IPC_OUTCOME_ROUTE)
		optional(j, "next", r->key);
	optional(j, "rule", r->rule);
	if (l->generation)
		json_str(j, "generation", str_of(l->generation->name));
}

static void tell(const struct delivery_lease *l, const struct delivery_rcpt *r)
{
	uint64_t wall = net_loop_wall(l->delivery->loop), created = l->envelope.created_us;
	struct json *j = log_open(LOG_LEVEL_INFO, "delivery");
	char id[ID_TEXT + 1];

	json_str(j, "id", str_of(id_text(&l->id, id)));
	json_int(j, "variant", l->variant);
	json_str(j, "sender", l->envelope.sender);
	if (r->envelope)
		json_str(j, "rcpt", r->envelope->address);
	json_str(j, "outcome", str_of(name_of(l, r)));
	optional(j, "destination", l->key);
	optional(j, "peer", l->peer);
	add_said(j, l, r);
	json_int(j, "attempt", (int64_t)r->attempts + !l->is_route);
	json_int(j, "size", (int64_t)(l->is_route ? l->body.length : delivery_body_size(&l->body)));
	json_num(j, "age", created && wall > created ? (double)(wall - created) / 1e6 : 0);
	json_num(j, "took", (double)(net_loop_now(l->delivery->loop) - l->started_us) / 1e6);
	log_close();
}

void delivery_event(const struct delivery_lease *l)
{
	for (unsigned i = 0; i < l->nrcpts; i++) {
		const struct delivery_rcpt *r = &l->rcpts[i];

		if (r->outcome == IPC_OUTCOME_ROUTE && l->is_route)
			continue;
		count(l, r);
		tell(l, r);
	}
}
