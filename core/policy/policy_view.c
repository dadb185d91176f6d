#include "policy_view.h"

#include "address.h"

#include <assert.h>
#include <string.h>

#define RCPTS_FIRST 8 /* room for recipients that a transaction begins with */

const char *const attempt_outcome_name[ATTEMPT_OUTCOMES] = {
	[ATTEMPT_DELIVERED] = "delivered",
	[ATTEMPT_DEFERRED] = "deferred",
	[ATTEMPT_FAILED] = "failed",
};

void policy_handles_cut(struct list *handles)
{
	struct list *node;

	if (!handles->next) /* zeroed memory is an empty list */
		list_init(handles);
	while ((node = list_take(handles)) != NULL)
		LIST_ITEM(node, struct policy_handle, node)->target = NULL;
}

void policy_conn_init(struct policy_conn *c, struct arena *arena)
{
	*c = (struct policy_conn){ .arena = arena };
	policy_vars_init(&c->vars);
	list_init(&c->handles);
}

void policy_conn_fini(struct policy_conn *c)
{
	policy_handles_cut(&c->handles);
	policy_vars_fini(&c->vars);
}

void policy_tx_init(struct policy_tx *tx, struct policy_conn *conn, struct arena *arena)
{
	*tx = (struct policy_tx){ .conn = conn, .arena = arena };
	policy_vars_init(&tx->vars);
	list_init(&tx->handles);
	if (!conn)
		return;
	tx->helo = conn->helo;
	tx->peer_ip = conn->peer_ip;
	tx->listener = conn->listener;
}

void policy_tx_fini(struct policy_tx *tx)
{
	for (unsigned i = 0; i < tx->nrcpts; i++) {
		policy_handles_cut(&tx->rcpts[i]->handles);
		policy_vars_fini(&tx->rcpts[i]->vars);
	}
	policy_handles_cut(&tx->handles);
	policy_vars_fini(&tx->vars);
	tx->rcpts = NULL;
	tx->nrcpts = tx->room = 0;
	tx->staged = NULL;
	tx->nstaged = 0;
}

bool policy_address_copy(struct arena *a, struct str text, struct policy_address *out)
{
	char local[ADDRESS_LOCAL];
	struct address parsed, canonical;
	struct str unquoted;

	if (address_parse(text, &parsed) != ADDRESS_OK || !address_copy(a, &parsed, &canonical))
		return false;
	unquoted = (struct str){ local, address_unquoted(&canonical, local) };
	if (str_eq(unquoted, canonical.local))
		unquoted = canonical.local;
	else
		unquoted = arena_str(a, unquoted);
	if (!unquoted.p)
		return false;
	*out = (struct policy_address){ canonical.text, unquoted, canonical.domain };
	return true;
}

/*
 * room_for - the list of recipients has room for so many more; what an arena outgrew stays behind
 * in it
 */
static bool room_for(struct policy_tx *tx, unsigned more)
{
	unsigned room = tx->room ? tx->room : RCPTS_FIRST;
	struct policy_rcpt **larger;

	if (more > POLICY_RCPTS || tx->nrcpts > POLICY_RCPTS - more)
		return false;
	if (tx->nrcpts + more <= tx->room)
		return true;
	while (room < tx->nrcpts + more)
		room *= 2;
	larger = arena_alloc(tx->arena, room * sizeof(struct policy_rcpt *));
	if (!larger)
		return false;
	if (tx->nrcpts)
		memcpy(larger, tx->rcpts, tx->nrcpts * sizeof *larger);
	tx->rcpts = larger;
	tx->room = room;
	return true;
}

struct policy_rcpt *policy_rcpt_make(struct policy_tx *tx, struct policy_address address,
				     unsigned ahead)
{
	struct policy_rcpt *r = room_for(tx, ahead + 1) ? arena_alloc(tx->arena, sizeof *r) : NULL;

	if (!r)
		return NULL;
	r->tx = tx;
	r->address = address;
	policy_vars_init(&r->vars);
	list_init(&r->handles);
	return r;
}

void policy_rcpt_link(struct policy_rcpt *r)
{
	struct policy_tx *tx = r->tx;

	assert(tx->nrcpts < tx->room);
	r->index = tx->nrcpts;
	tx->rcpts[tx->nrcpts++] = r;
}

struct policy_rcpt *policy_rcpt_add(struct policy_tx *tx, struct policy_address address)
{
	struct policy_rcpt *r = policy_rcpt_make(tx, address, 0);

	if (r)
		policy_rcpt_link(r);
	return r;
}
