/*
 *   ENVELOPE --354--> LEAD --first line known--> HEADER --`headers` asked--> BODY --> ENDED
 *                                                                            |  ^
 *                                                   the slot is full |  | it has room
 *                                                                            v  |
 *                                                                   (session SPOOLING)
 *
 * Whatever is refused on the way, octets are taken to the true end; only then the no is said.
 */
#include "session_private.h"

#include <assert.h>

#include "counter.h"

#define PARTS 32 /* slices of one frame to a slot */

void session_data_begin(struct session *s)
{
	struct session_tx *tx = s->tx;
	uint64_t size = tx->config->o.message;

	smtp_data_init(&tx->data, tx->config->o.data_line, size ? size : UINT64_MAX);
	header_scan_init(&tx->scan);
	tx->data_us = net_loop_now(s->server->loop);
	tx->part = SESSION_PART_LEAD;
	s->stage = "data";
	session_enter(s, SESSION_BODY);
}

static size_t body_offset(const struct session_tx *tx)
{
	return tx->lead + tx->scan.body;
}

struct str session_data_header(const struct session_tx *tx)
{
	return str_head(str_drop(buf_str(&tx->message), tx->lead), tx->scan.end);
}

struct str session_data_body(const struct session_tx *tx)
{
	return str_drop(buf_str(&tx->message), body_offset(tx));
}

uint64_t session_data_body_size(const struct session_tx *tx)
{
	return tx->data.size - body_offset(tx);
}

/*
 * session_data_refuse - the first no stands; what was collected is of no use any more, the slot is
 * given up
 */
void session_data_refuse(struct session_tx *tx, const struct session_refusal *refusal)
{
	if (tx->refusal.stage)
		return;
	tx->refusal = *refusal;
	(void)session_slot_abort(tx); /* else at the end of the transaction */
}

static void refuse(struct session_tx *tx, unsigned code, const char *esc, const char *text)
{
	struct session_refusal no = session_refusal_own("data", code, esc, text);

	session_data_refuse(tx, &no);
}

/* is_doomed - nothing of it will be used: only its end matters */
static bool is_doomed(const struct session_tx *tx)
{
	return tx->refusal.stage || tx->data.flaw;
}

/* ---- octets */

/* hold - in memory; a body that outgrows it goes to a slot, from its first octet on */
static void hold(struct session_tx *tx, struct str octets)
{
	bool may_hold = session_tx_may_hold(tx, octets.n);
	bool fits;

	if (!may_hold && tx->part < SESSION_PART_BODY) {
		refuse(tx, 452, "4.3.1", "too much mail at once, try again later");
		return;
	}
	fits = buf_add(&tx->message, octets);
	/*
	 * the header block is bounded by header_scan, the body by IPC_BODY_INLINE, each slice by
	 * SESSION_IN
	 */
	assert(fits);
	(void)session_tx_charge(tx);
	if (tx->part == SESSION_PART_BODY &&
	    (!may_hold || session_data_body(tx).n > IPC_BODY_INLINE))
		session_slot_want(tx);
}

static void keep(struct session_tx *tx, const struct str *slices, unsigned n)
{
	if (tx->slot == SESSION_SLOT_OPEN && !is_doomed(tx)) {
		session_slot_send(tx, slices, n);
		return;
	}
	for (unsigned i = 0; i < n && !is_doomed(tx); i++)
		hold(tx, slices[i]);
}

static void decode(struct session_tx *tx, struct str *in)
{
	struct str slices[PARTS];
	unsigned n;

	do {
		n = 0;
		while (n < PARTS && smtp_data_next(&tx->data, in, &slices[n]))
			n++;
		keep(tx, slices, n);
	} while (n == PARTS);
}

/* is_endless - a message beyond its limit whose end does not come either */
static bool is_endless(const struct session_tx *tx)
{
	uint64_t limit = tx->config->o.message;

	return is_doomed(tx) && limit && tx->data.consumed > limit + limit / 8 + SESSION_JUNK;
}

static void give_up(struct session *s)
{
	struct session_refusal no =
		session_refusal_own("data", 552, "5.3.4", "the message is too big");

	s->end = "endless message";
	s->tx->outcome = SESSION_REFUSED;
	session_do(s, smtp_server_end(&s->smtp, SMTP_DATA_TOO_BIG), &no);
	session_leave(s, s->end);
}

/* take - octets out of the input; false: there are none, or no room for them */
static bool take(struct session *s)
{
	struct session_tx *tx = s->tx;
	struct buf *b = net_conn_in(s->conn);
	struct str in = buf_str(b), rest;
	size_t may = is_doomed(tx) ? in.n : session_slot_credit(tx);

	if (in.n == 0)
		return false;
	if (may == 0) {
		session_enter(s, SESSION_SPOOLING);
		return false;
	}
	in = str_head(in, may);
	rest = in;
	decode(tx, &rest);
	buf_take(b, in.n - rest.n);
	if (is_endless(tx))
		give_up(s);
	else
		net_conn_deadline(s->conn, tx->config->o.data_us);
	return true;
}

/* ---- header */

/*
 * find_lead - some mail comes with the line of an mbox file before its header: "From " or ">From ".
 * It is kept in its place, and the header begins behind it: for policy, and for whoever reads the
 * message later.
 */
static enum step find_lead(struct session_tx *tx)
{
	static const struct str marks[] = { { "From ", 5 }, { ">From ", 6 } };
	struct str all = buf_str(&tx->message);
	bool is_over = smtp_data_is_over(&tx->data);

	for (size_t i = 0; i < COUNT(marks); i++) {
		ptrdiff_t end = str_find(all, '\n');

		if (str_has_prefix(all, marks[i])) {
			tx->lead = end < 0 ? 0 : (size_t)end + 1;
			return end < 0 && !is_over ? STEP_MORE : STEP_DONE;
		}
		if (!is_over && all.n < marks[i].n && str_has_prefix(marks[i], all))
			return STEP_MORE;
	}
	return STEP_DONE;
}

static void refuse_header(struct session_tx *tx)
{
	if (tx->scan.fault == HEADER_BIG)
		refuse(tx, 552, "5.3.4", "the header of the message is too big");
	else
		refuse(tx, 554, "5.6.0", "the header of the message has too many fields");
}

/* show - what policy sees; at `headers` nothing of the body, however it was cut */
static void show(struct session_tx *tx)
{
	bool is_complete = tx->part == SESSION_PART_ENDED;

	tx->msg.header = session_data_header(tx);
	tx->msg.body = is_complete ? str_head(session_data_body(tx), IPC_BODY_INLINE) : STR_NONE;
	tx->msg.size = is_complete ? tx->data.size : body_offset(tx);
	tx->msg.is_complete = is_complete;
	tx->view.is_8bit = is_complete ? tx->data.is_8bit : tx->view.is_8bit;
	tx->view.size = is_complete ? tx->data.size : tx->view.size;
}

static void ask_headers(struct session *s)
{
	struct session_tx *tx = s->tx;

	tx->part = SESSION_PART_BODY;
	tx->msg.hops = header_hops(session_data_header(tx));
	show(tx);
	if (tx->msg.hops > tx->config->o.hops) {
		refuse(tx, 554, "5.4.6", "too many hops: a mail loop");
		return;
	}
	if (session_ask(s, HOOK_HEADERS, NULL) == STEP_DONE)
		session_decided(s);
}

static void look_for_header(struct session *s)
{
	struct session_tx *tx = s->tx;
	struct str all;
	enum step step;

	if (tx->part == SESSION_PART_LEAD && find_lead(tx) == STEP_DONE)
		tx->part = SESSION_PART_HEADER;
	if (tx->part != SESSION_PART_HEADER)
		return;
	all = str_drop(buf_str(&tx->message), tx->lead);
	step = smtp_data_is_over(&tx->data) ? header_scan_finish(&tx->scan, all)
					    : header_scan(&tx->scan, all);
	if (step == STEP_ERROR)
		refuse_header(tx);
	else if (step == STEP_DONE)
		ask_headers(s);
}

/* ---- end */

static void finish(struct session *s)
{
	struct session_tx *tx = s->tx;

	if (!is_doomed(tx) && !session_slot_is_drained(tx)) {
		session_enter(s, SESSION_SPOOLING);
		return;
	}
	tx->part = SESSION_PART_ENDED;
	tx->ended_us = net_loop_now(s->server->loop);
	if (!is_doomed(tx))
		show(tx);
	session_submit_ended(s);
}

bool session_data_turn(struct session *s)
{
	struct session_tx *tx = s->tx;

	if (!smtp_data_is_over(&tx->data) && !take(s))
		return false;
	if (s->state == SESSION_BODY && !is_doomed(tx))
		look_for_header(s);
	if (s->state == SESSION_BODY && smtp_data_is_over(&tx->data))
		finish(s);
	return true;
}
