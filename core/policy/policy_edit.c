#include "policy_edit.h"

#include "address.h"

#include <assert.h>
#include <string.h>

enum edit_kind {
	EDIT_SENDER,
	EDIT_ADD,
	EDIT_REMOVE,
	EDIT_SET,
	EDIT_PERMIT,
	EDIT_ROUTE,
	EDIT_HEADER,
	EDIT_RETRY,
	EDIT_SCHEDULE
};

/* The staged ones are a ring: tx->staged is the last, its next the first. */
struct policy_edit {
	struct policy_edit *next;
	enum edit_kind kind;
	struct policy_rcpt *rcpt;
	struct policy_result *result;
	struct policy_address address;
	struct str route;
	struct header_edit *header;
	uint64_t after_us;
	struct policy_schedule schedule;
};

static int no_memory(struct fault *why)
{
	return fault_set(why, "this transaction has no memory left for another edit");
}

/* stage - append a copy to the ring */
static int stage(struct policy_tx *tx, const struct policy_edit *edit, struct fault *why)
{
	struct policy_edit *e;

	if (tx->nstaged + tx->nedits >= POLICY_EDITS)
		return fault_set(why, "more than %d edits of one transaction", POLICY_EDITS);
	e = arena_alloc(tx->arena, sizeof *e);
	if (!e)
		return no_memory(why);
	*e = *edit;
	e->next = tx->staged ? tx->staged->next : e;
	if (tx->staged)
		tx->staged->next = e;
	tx->staged = e;
	tx->nstaged++;
	return 0;
}

static int at_edge(const struct policy_tx *tx, const char *what, struct fault *why)
{
	if (tx->conn)
		return 0;
	return fault_set(why,
			 "%s is over: the message is stored, only routes and retries can "
			 "still be chosen",
			 what);
}

static int parse(struct policy_tx *tx, struct str text, struct policy_address *out,
		 struct fault *why)
{
	struct address parsed;
	enum address_verdict verdict = address_parse(text, &parsed);

	if (verdict != ADDRESS_OK)
		return fault_set(why, "\"%.*s\" is not an address like local@domain: %s",
				 STR_ARG(str_head(text, 80)), address_reason(verdict));
	return policy_address_copy(tx->arena, text, out) ? 0 : no_memory(why);
}

int policy_edit_sender(struct policy_tx *tx, struct str address, struct fault *why)
{
	struct policy_edit e = { .kind = EDIT_SENDER };

	if (at_edge(tx, "changing the sender", why) < 0)
		return -1;
	if (address.n > 0 && parse(tx, address, &e.address, why) < 0)
		return -1;
	return stage(tx, &e, why);
}

static unsigned staged_adds(const struct policy_tx *tx)
{
	const struct policy_edit *e = tx->staged;
	unsigned n = 0;

	if (!e)
		return 0;
	do {
		e = e->next;
		n += e->kind == EDIT_ADD;
	} while (e != tx->staged);
	return n;
}

int policy_edit_rcpt_add(struct policy_tx *tx, struct str address, struct fault *why)
{
	struct policy_edit e = { .kind = EDIT_ADD };
	unsigned ahead = staged_adds(tx);

	if (at_edge(tx, "adding recipients", why) < 0 || parse(tx, address, &e.address, why) < 0)
		return -1;
	if (tx->nrcpts + ahead >= POLICY_RCPTS)
		return fault_set(why, "more than %d recipients", POLICY_RCPTS);
	e.rcpt = policy_rcpt_make(tx, e.address, ahead);
	if (!e.rcpt)
		return no_memory(why);
	return stage(tx, &e, why);
}

int policy_edit_rcpt_remove(struct policy_rcpt *r, struct fault *why)
{
	struct policy_edit e = { .kind = EDIT_REMOVE, .rcpt = r };

	if (at_edge(r->tx, "removing recipients", why) < 0)
		return -1;
	if (r->state == RCPT_ASKED)
		return fault_set(why, "this recipient is being decided right now: return a verdict "
				      "instead of removing it");
	return stage(r->tx, &e, why);
}

int policy_edit_rcpt_set(struct policy_rcpt *r, struct str address, struct fault *why)
{
	struct policy_edit e = { .kind = EDIT_SET, .rcpt = r };

	if (at_edge(r->tx, "changing recipients", why) < 0 ||
	    parse(r->tx, address, &e.address, why) < 0)
		return -1;
	return stage(r->tx, &e, why);
}

int policy_edit_rcpt_permit(struct policy_rcpt *r, struct fault *why)
{
	struct policy_edit e = { .kind = EDIT_PERMIT, .rcpt = r };

	if (at_edge(r->tx, "permitting recipients", why) < 0)
		return -1;
	return stage(r->tx, &e, why);
}

int policy_edit_rcpt_route(struct policy_rcpt *r, struct str next_hop, struct fault *why)
{
	struct policy_edit e = { .kind = EDIT_ROUTE, .rcpt = r };

	if (!policy_next_hop_is_valid(next_hop, why))
		return -1;
	e.route = arena_str(r->tx->arena, next_hop);
	if (!e.route.p)
		return no_memory(why);
	return stage(r->tx, &e, why);
}

static int header_is_fine(const struct header_edit *edit, struct fault *why)
{
	if (!header_name_is_valid(edit->name))
		return fault_set(why,
				 "\"%.*s\" is not a header name: printable ASCII without blanks "
				 "and colons, at most %d",
				 STR_ARG(str_head(edit->name, 80)), HEADER_NAME);
	if (edit->kind == HEADER_REMOVE)
		return 0;
	if (edit->value.n > POLICY_HEADER_VALUE)
		return fault_set(why, "a header value of %zu bytes; at most %d", edit->value.n,
				 POLICY_HEADER_VALUE);
	if (!header_value_is_valid(edit->value))
		return fault_set(why,
				 "a header value is one line without CR, LF and NUL, and no word "
				 "of it over %d bytes",
				 HEADER_LINE);
	return 0;
}

static struct header_edit *header_copy(struct arena *a, const struct header_edit *edit)
{
	struct header_edit *copy = arena_alloc(a, sizeof *copy);

	if (!copy)
		return NULL;
	*copy = (struct header_edit){ .kind = edit->kind, .nth = edit->nth };
	copy->name = arena_str(a, edit->name);
	copy->value = arena_str(a, edit->value);
	return copy->name.p && copy->value.p ? copy : NULL;
}

int policy_edit_header(struct policy_tx *tx, struct policy_rcpt *rcpt,
		       const struct header_edit *edit, struct fault *why)
{
	struct policy_edit e = { .kind = EDIT_HEADER, .rcpt = rcpt };

	assert(!rcpt || rcpt->tx == tx);
	if (at_edge(tx, "editing headers", why) < 0 || header_is_fine(edit, why) < 0)
		return -1;
	e.header = header_copy(tx->arena, edit);
	if (!e.header)
		return no_memory(why);
	return stage(tx, &e, why);
}

int policy_edit_retry(struct policy_tx *tx, struct policy_result *result, uint64_t after_us,
		      struct fault *why)
{
	struct policy_edit e = { .kind = EDIT_RETRY, .result = result, .after_us = after_us };

	if (after_us < POLICY_RETRY_LEAST || after_us > POLICY_RETRY_MOST)
		return fault_set(why, "a retry comes after one second at the earliest and 30 days "
				      "at the latest");
	return stage(tx, &e, why);
}

static bool is_between(uint64_t us, uint64_t most)
{
	return us == 0 || (us >= POLICY_RETRY_LEAST && us <= most);
}

int policy_edit_schedule(struct policy_tx *tx, const struct policy_schedule *s, struct fault *why)
{
	struct policy_edit e = { .kind = EDIT_SCHEDULE, .schedule = *s };

	if (tx->conn)
		return fault_set(why, "a schedule is chosen where the message goes: in `route` or "
				      "`result`");
	if (!is_between(s->first, POLICY_RETRY_MOST) || !is_between(s->longest, POLICY_RETRY_MOST))
		return fault_set(why, "a retry comes after one second at the earliest and 30 days "
				      "at the latest");
	if (!is_between(s->expire, POLICY_EXPIRE_MOST))
		return fault_set(why, "a message expires after one second at the earliest and 60 "
				      "days at the latest");
	if (s->first && s->longest && s->first > s->longest)
		return fault_set(why, "`first` must not be longer than `longest`");
	return stage(tx, &e, why);
}

static void choose(struct policy_schedule *to, const struct policy_schedule *s)
{
	to->first = s->first ? s->first : to->first;
	to->longest = s->longest ? s->longest : to->longest;
	to->expire = s->expire ? s->expire : to->expire;
}

static void header_append(struct header_edit **list, struct header_edit *edit)
{
	while (*list)
		list = &(*list)->next;
	*list = edit;
}

/* apply - nothing in here can fail: what needs memory took it when it was staged */
static void apply(struct policy_tx *tx, struct policy_edit *e)
{
	switch (e->kind) {
	case EDIT_SENDER:
		tx->sender = e->address;
		break;
	case EDIT_ADD:
		e->rcpt->state = RCPT_ACCEPTED;
		e->rcpt->is_permitted = true;
		policy_rcpt_link(e->rcpt);
		break;
	case EDIT_REMOVE:
		e->rcpt->state = RCPT_REMOVED;
		break;
	case EDIT_SET:
		e->rcpt->address = e->address;
		break;
	case EDIT_PERMIT:
		e->rcpt->is_permitted = true;
		break;
	case EDIT_ROUTE:
		e->rcpt->route = e->route;
		break;
	case EDIT_HEADER:
		header_append(e->rcpt ? &e->rcpt->edits : &tx->edits, e->header);
		break;
	case EDIT_RETRY:
		e->result->retry_us = e->after_us;
		break;
	case EDIT_SCHEDULE:
		choose(&tx->schedule, &e->schedule);
		break;
	}
}

void policy_edits_apply(struct policy_tx *tx)
{
	struct policy_edit *e = tx->staged;

	if (!e)
		return;
	do {
		e = e->next;
		apply(tx, e);
	} while (e != tx->staged);
	tx->nedits += tx->nstaged;
	policy_edits_drop(tx);
}

void policy_edits_drop(struct policy_tx *tx)
{
	tx->staged = NULL;
	tx->nstaged = 0;
}
