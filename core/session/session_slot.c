/*
 *   NONE -> WANTED --SLOT_OPEN--> ASKED --first SLOT_ACK--> OPEN
 *              ^                    |                        |
 *              +---- channel lost, all of the body in memory +
 *              |
 *   any -------+--> GONE             refused, lost, given up
 *
 * What is in memory of the body goes first; from then on each slice of the input goes straight to
 * the spool, never more than IPC_SLOT_WINDOW octets ahead of what it acknowledged. Without credit
 * the connection is paused: that is the back-pressure.
 */
#include "session_private.h"

#include <assert.h>

#define CREDIT_LEAST 1024 /* less is not worth a frame */

void session_slot_want(struct session_tx *tx)
{
	if (tx->slot != SESSION_SLOT_NONE)
		return;
	tx->slot = SESSION_SLOT_WANTED;
	session_server_tag(tx);
	session_slot_push(tx);
}

static uint64_t unsent(const struct session_tx *tx)
{
	struct str body = session_data_body(tx);

	return body.n > tx->slot_sent ? body.n - tx->slot_sent : 0;
}

bool session_slot_is_drained(const struct session_tx *tx)
{
	return tx->slot == SESSION_SLOT_NONE || (tx->slot == SESSION_SLOT_OPEN && unsent(tx) == 0);
}

/*
 * window - octets that spool and channel would take now; half of the room is for the heads of many
 * small frames
 */
static size_t window(const struct session_tx *tx)
{
	uint64_t ahead = tx->slot_sent - tx->slot_acked;
	struct ipc_channel *spool = tx->server->spool;
	size_t may, room;

	if (tx->slot != SESSION_SLOT_OPEN || !spool || ahead > IPC_SLOT_WINDOW - CREDIT_LEAST)
		return 0;
	may = (size_t)(IPC_SLOT_WINDOW - ahead);
	room = ipc_channel_room(spool) / 2;
	if (room < CREDIT_LEAST) {
		ipc_channel_want(spool, 2 * CREDIT_LEAST);
		return 0;
	}
	may = may < room ? may : room;
	return may < IPC_SLOT_CHUNK ? may : IPC_SLOT_CHUNK;
}

size_t session_slot_credit(const struct session_tx *tx)
{
	if (tx->slot == SESSION_SLOT_NONE)
		return SESSION_IN;
	return unsent(tx) > 0 ? 0 : window(tx);
}

static bool put(struct session_tx *tx, enum ipc_submit_type type, const struct str *parts,
		unsigned nparts)
{
	struct ipc_frame head = { .type = (uint16_t)type, .tag = tx->tag };

	return tx->server->spool && ipc_channel_send(tx->server->spool, &head, parts, nparts);
}

void session_slot_send(struct session_tx *tx, const struct str *parts, unsigned nparts)
{
	struct session_refusal no;

	if (nparts == 0)
		return;
	/* there was room: the channel broke meanwhile */
	if (!put(tx, IPC_SLOT_DATA, parts, nparts)) {
		no = session_refusal_own("spool", 451, "4.3.0",
					 "the store is not available, try again later");
		session_slot_refused(tx, &no);
		return;
	}
	for (unsigned i = 0; i < nparts; i++)
		tx->slot_sent += parts[i].n;
}

static void send_open(struct session_tx *tx)
{
	char bytes[sizeof(uint64_t)];
	struct buf b = { .p = bytes, .cap = sizeof bytes, .max = sizeof bytes };
	struct str part;

	(void)wire_u64(&b, tx->view.size);
	part = buf_str(&b);
	if (put(tx, IPC_SLOT_OPEN, &part, 1))
		tx->slot = SESSION_SLOT_ASKED;
}

static void send_memory(struct session_tx *tx)
{
	size_t may;

	while (tx->slot == SESSION_SLOT_OPEN && unsent(tx) > 0 && (may = window(tx)) > 0) {
		struct str part =
			str_head(str_drop(session_data_body(tx), (size_t)tx->slot_sent), may);

		session_slot_send(tx, &part, 1);
	}
}

/* resume - the body may go on, or has nothing left to wait for */
static void resume(struct session_tx *tx)
{
	struct session *s = tx->session;
	bool is_over = smtp_data_is_over(&tx->data);

	if (s->state != SESSION_SPOOLING || tx->part == SESSION_PART_ENDED)
		return;
	if (!tx->refusal.stage &&
	    (is_over ? !session_slot_is_drained(tx) : session_slot_credit(tx) == 0))
		return;
	session_enter(s, SESSION_BODY);
	session_pump(s);
}

void session_slot_push(struct session_tx *tx)
{
	if (tx->slot == SESSION_SLOT_WANTED)
		send_open(tx);
	if (!tx->refusal.stage)
		send_memory(tx);
	resume(tx);
}

/* session_slot_ack - the spool may be hijacked: it cannot take what was not sent, nor give back */
void session_slot_ack(struct session_tx *tx, uint64_t taken)
{
	if (taken > tx->slot_sent || taken < tx->slot_acked)
		return;
	if (tx->slot == SESSION_SLOT_ASKED)
		tx->slot = SESSION_SLOT_OPEN;
	tx->slot_acked = taken;
	session_slot_push(tx);
}

void session_slot_refused(struct session_tx *tx, const struct session_refusal *refusal)
{
	tx->slot = SESSION_SLOT_GONE;
	if (tx->commit != SESSION_COMMIT_NONE) {
		session_submit_no(tx, refusal);
		return;
	}
	session_data_refuse(tx, refusal);
	resume(tx);
}

void session_slot_lost(struct session_tx *tx)
{
	struct session_refusal no;
	bool is_in_memory = session_data_body(tx).n == session_data_body_size(tx);

	/* it may be durable: the same submission will tell */
	if (tx->commit == SESSION_COMMIT_SENT)
		return;
	if (tx->slot != SESSION_SLOT_ASKED && tx->slot != SESSION_SLOT_OPEN)
		return;
	if (is_in_memory && tx->commit == SESSION_COMMIT_NONE) {
		tx->slot = SESSION_SLOT_WANTED;
		tx->slot_sent = tx->slot_acked = 0;
		return;
	}
	no = session_refusal_own("spool", 451, "4.3.0",
				 "the store is not available, try again later");
	session_slot_refused(tx, &no);
}

/*
 * session_slot_abort - a slot that was submitted belongs to the spool, whatever becomes of the
 * submission
 */
bool session_slot_abort(struct session_tx *tx)
{
	bool is_held = tx->slot == SESSION_SLOT_ASKED || tx->slot == SESSION_SLOT_OPEN;

	if (tx->slot == SESSION_SLOT_WANTED)
		tx->slot = SESSION_SLOT_GONE;
	if (!is_held || tx->commit == SESSION_COMMIT_SENT || !tx->server->spool)
		return true;
	if (!put(tx, IPC_SLOT_ABORT, NULL, 0))
		return false;
	tx->slot = SESSION_SLOT_GONE;
	return true;
}
