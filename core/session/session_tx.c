#include "session_private.h"

#include <assert.h>
#include <stdlib.h>

#include "counter.h"

static struct session_tx *make(void)
{
	struct session_tx *tx = calloc(1, sizeof *tx);

	if (!tx)
		abort();
	arena_init(&tx->arena, SESSION_TX_ARENA);
	buf_init(&tx->message, SESSION_MESSAGE);
	return tx;
}

/* take_spare - as new, but for the memory that it kept */
static struct session_tx *take_spare(struct session_server *server)
{
	struct list *node = list_take(&server->spare_txs);
	struct session_tx *tx;
	struct arena arena;
	struct buf message;

	if (!node)
		return make();
	server->nspare_txs--;
	tx = LIST_ITEM(node, struct session_tx, node);
	arena = tx->arena;
	message = tx->message;
	*tx = (struct session_tx){ .arena = arena, .message = message };
	return tx;
}

struct session_tx *session_tx_new(struct session *s)
{
	struct session_server *server = s->server;
	struct session_tx *tx = take_spare(server);
	uint64_t wall = net_loop_wall(server->loop);

	tx->session = s;
	tx->server = server;
	tx->config = session_config_take(s->config);
	tx->began_us = net_loop_now(server->loop);
	list_init(&tx->node);
	list_init(&tx->waits);
	policy_tx_init(&tx->view, &s->view, &tx->arena);
	list_init(&tx->msg.handles);
	tx->msg.tx = &tx->view;
	tx->view.id = id_make(wall, tx->config->o.edge);
	tx->view.created_us = wall;
	tx->view.generation = policy_pin(server->policies);
	/* a second EHLO may change the session's */
	tx->view.helo = arena_str(&tx->arena, s->view.helo);
	tx->view.is_trusted = s->view.is_trusted;
	tx->view.trust_reason = s->view.trust_reason;
	tx->view.trust_rule = s->view.trust_rule;
	return tx;
}

bool session_tx_charge(struct session_tx *tx)
{
	struct session_server *server = tx->server;
	size_t holds = tx->arena.used + tx->message.cap;

	server->memory = server->memory - tx->charged + holds;
	tx->charged = holds;
	return server->memory <= tx->config->o.memory;
}

bool session_tx_may_hold(const struct session_tx *tx, size_t more)
{
	size_t length = buf_len(&tx->message) + more, cap = tx->message.cap;

	if (length <= cap)
		return true;
	cap = cap * 2 > length ? cap * 2 : length; /* as a buf grows */
	return tx->server->memory - tx->charged + tx->arena.used + cap <= tx->config->o.memory;
}

/* count - what became of it; a message that only saw its recipients refused was refused, too */
static void count(struct session_tx *tx)
{
	struct session *s = tx->session;
	unsigned accepted = 0;

	for (unsigned i = 0; i < tx->view.nrcpts; i++)
		accepted += tx->view.rcpts[i]->state == RCPT_ACCEPTED;
	if (tx->outcome == SESSION_ABANDONED && tx->cause.stage && accepted == 0)
		tx->outcome = SESSION_REFUSED;
	switch (tx->outcome) {
	case SESSION_ACCEPTED:
	case SESSION_DISCARDED:
		s->accepted++;
		counter_add(COUNTER_MESSAGES_ACCEPTED, 1);
		counter_add(COUNTER_BYTES_ACCEPTED, tx->data.size);
		break;
	case SESSION_REFUSED:
		s->refused++;
		counter_add(COUNTER_MESSAGES_REFUSED, 1);
		break;
	case SESSION_ABANDONED:
	case SESSION_OUTCOMES:
		break;
	}
	if (tx->ended_us)
		histogram_add(HISTOGRAM_MESSAGE_TIME,
			      net_loop_now(tx->server->loop) - tx->began_us);
}

void session_tx_end(struct session *s)
{
	struct session_tx *tx = s->tx;
	struct session_server *server = tx->server;

	assert(!s->question.task || s->question.tx != &tx->view);
	count(tx);
	session_event_message(tx);
	s->tx = NULL;
	session_server_unwait(tx);
	policy_handles_cut(&tx->msg.handles);
	policy_tx_fini(&tx->view);
	policy_unpin(server->policies, &tx->view.generation);
	server->memory -= tx->charged;
	tx->charged = 0;
	arena_reset(&tx->arena);
	buf_reset(&tx->message);
	if (tx->message.cap > SESSION_SPARE_MESSAGE)
		buf_fini(&tx->message);
	session_config_drop(&tx->config);
	tx->session = NULL;
	if (session_slot_abort(tx))
		session_tx_rest(tx);
	else
		list_append(&server->aborts, &tx->node);
}

void session_tx_rest(struct session_tx *tx)
{
	struct session_server *server = tx->server;

	session_server_untag(tx);
	list_remove(&tx->node);
	if (server->nspare_txs < SESSION_SPARES) {
		server->nspare_txs++;
		list_append(&server->spare_txs, &tx->node);
	} else {
		session_tx_free(&tx);
	}
}

void session_tx_free(struct session_tx **owned)
{
	struct session_tx *tx = *owned;

	*owned = NULL;
	arena_fini(&tx->arena);
	buf_fini(&tx->message);
	free(tx);
}
