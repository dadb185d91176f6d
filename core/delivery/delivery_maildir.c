/*
 * A lease here is
 *
 *   waiting --BEGIN sent--> open --RESULT: another recipient--> waiting
 *      ^                      |  \-RESULT: the last one-------> delivery_lease_go()
 *      +---- helper gone -----+
 */
#include "delivery_maildir.h"

#include <assert.h>
#include <stdio.h>

#include "clock.h"
#include "delivery_core.h"
#include "ipc_control.h"
#include "maildir_write.h"
#include "received.h"

#define TRACE_MOST   4096
#define HOST_IN_NAME 100

_Static_assert(DELIVERY_MAILBOX <= MAILDIR_PATH, "the helper takes every path that is made here");

static bool tell(struct delivery *d, uint16_t type, uint64_t tag, struct str payload)
{
	struct ipc_frame head = { .type = type, .tag = tag };

	return ipc_channel_send(d->maildir.channel, &head, &payload, 1);
}

static void decide(struct delivery_lease *l, const struct delivery_said *said)
{
	delivery_lease_decide(l, l->file.rcpt, said);
}

/* ---- what is written */

static struct str name_of(struct delivery_lease *l, char name[MAILDIR_NAME])
{
	struct str host = str_head(l->delivery->settings.o.hostname, HOST_IN_NAME);
	char id[ID_TEXT + 1];
	int n = snprintf(name, MAILDIR_NAME, "%llu.%s-%u-%u.%.*s",
			 (unsigned long long)(l->envelope.created_us / CLOCK_SECOND),
			 id_text(&l->id, id), l->variant, (unsigned)l->rcpts[l->file.rcpt].index,
			 STR_ARG(host));

	assert(n > 0 && n < MAILDIR_NAME);
	/* The host name is the operator's; '/' would be another directory, ':' begins the flags. */
	for (int i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/' || name[i] == ':')
			name[i] = '_';
	return (struct str){ name, (size_t)n };
}

static struct str trace_of(struct delivery_lease *l)
{
	struct str trace = STR_NONE, rcpt = l->rcpts[l->file.rcpt].envelope->address;
	struct buf b;

	buf_init(&b, TRACE_MOST);
	if (received_return_path(&b, l->envelope.sender) &&
	    header_write(&b, STR("Delivered-To"), rcpt))
		trace = arena_str(&l->arena, buf_str(&b));
	buf_fini(&b);
	return trace;
}

/* ---- one file */

static void close_file(struct delivery_lease *l)
{
	list_remove(&l->waiting);
	if (l->file.phase != FILE_NONE)
		l->delivery->maildir.nopen--;
	l->file.phase = FILE_NONE;
}

static void flush_aborts(struct delivery *d)
{
	struct delivery_maildir *m = &d->maildir;

	while (m->naborts > 0 && tell(d, IPC_MAILDIR_ABORT, m->aborts[m->naborts - 1], STR_NONE))
		m->naborts--;
}

/*
 * give_up - the helper is told, at the latest when the ring has room; more than it has places for
 * cannot be open
 */
static void give_up(struct delivery_lease *l)
{
	struct delivery_maildir *m = &l->delivery->maildir;

	if (l->file.phase != FILE_NONE && m->channel && m->naborts < COUNT(m->aborts)) {
		m->aborts[m->naborts++] = l->file.tag;
		flush_aborts(l->delivery);
	}
	close_file(l);
}

/* next - on to the first recipient that has no outcome yet; none: the attempt is over */
static void next(struct delivery_lease *l)
{
	while (l->file.rcpt < l->nrcpts && l->rcpts[l->file.rcpt].outcome != DELIVERY_UNDECIDED)
		l->file.rcpt++;
	if (l->file.rcpt == l->nrcpts) {
		delivery_lease_go(l);
		return;
	}
	list_append(&l->delivery->maildir.waiting, &l->waiting);
	net_loop_defer(l->delivery->loop, &l->delivery->maildir.turn);
}

/* begin - false: no room in the ring; else the file is open, or its recipient is decided */
static bool begin(struct delivery *d, struct delivery_lease *l)
{
	char path[DELIVERY_MAILBOX], name[MAILDIR_NAME];
	struct str mailbox = STR_NONE;
	struct address rcpt;
	bool fits;

	if (address_parse(l->rcpts[l->file.rcpt].envelope->address, &rcpt) == ADDRESS_OK)
		mailbox = delivery_hop_mailbox(&l->hop, &rcpt, path);
	if (mailbox.n == 0) {
		decide(l, &(struct delivery_said){ .outcome = IPC_OUTCOME_FAIL,
						   .esc = STR("5.1.3"),
						   .text = STR("no mailbox can have this name") });
		return true;
	}
	delivery_body_rewind(&l->body, trace_of(l));
	buf_reset(&d->out);
	fits = wire_str(&d->out, mailbox) && wire_str(&d->out, name_of(l, name)) &&
	       wire_u64(&d->out, delivery_body_size(&l->body));
	assert(fits);
	if (!tell(d, IPC_MAILDIR_BEGIN, d->maildir.tag + 1, buf_str(&d->out)))
		return false;
	l->file = (struct delivery_file){ .phase = FILE_OPEN,
					  .tag = ++d->maildir.tag,
					  .rcpt = l->file.rcpt };
	list_append(&d->maildir.open, &l->waiting);
	d->maildir.nopen++;
	return true;
}

static void lost(struct delivery_lease *l)
{
	give_up(l);
	delivery_lease_decide_all(
		l, &(struct delivery_said){
			   .outcome = IPC_OUTCOME_DEFER,
			   .esc = STR("4.3.0"),
			   .text = STR("the message cannot be read from the spool") });
	delivery_lease_go(l);
}

/* pump - as much as the window and the ring take */
static void pump(struct delivery *d, struct delivery_lease *l)
{
	struct delivery_file *f = &l->file;
	struct str piece;

	if (f->phase != FILE_OPEN)
		return;
	if (l->body.is_lost) {
		lost(l);
		return;
	}
	while ((piece = str_head(delivery_body_piece(&l->body), IPC_SLOT_CHUNK)).n > 0) {
		if (f->sent - f->acked + piece.n > IPC_SLOT_WINDOW ||
		    !tell(d, IPC_MAILDIR_DATA, f->tag, piece))
			return;
		f->sent += piece.n;
		delivery_body_took(&l->body, piece.n);
	}
	if (!delivery_body_is_end(&l->body))
		delivery_read(d, l);
	else if (tell(d, IPC_MAILDIR_END, f->tag, STR_NONE))
		f->phase = FILE_ENDED;
}

/* ---- all of them */

static void run(struct net_deferred *turn)
{
	struct delivery *d = container_of(turn, struct delivery, maildir.turn);
	struct delivery_maildir *m = &d->maildir;

	while (m->channel && m->nopen < DELIVERY_MAILDIR_FILES && !list_is_empty(&m->waiting)) {
		struct delivery_lease *l =
			LIST_ITEM(list_take(&m->waiting), struct delivery_lease, waiting);

		if (!begin(d, l)) {
			list_prepend(&m->waiting, &l->waiting);
			return;
		}
		if (l->file.phase == FILE_OPEN)
			pump(d, l);
		else
			next(l);
	}
}

static void impatient(struct net_timer *t)
{
	struct delivery *d = container_of(t, struct delivery, maildir.patience);
	struct list *node;

	while (!d->maildir.channel && (node = list_take(&d->maildir.waiting)) != NULL) {
		struct delivery_lease *l = LIST_ITEM(node, struct delivery_lease, waiting);

		delivery_lease_decide_all(
			l, &(struct delivery_said){ .outcome = IPC_OUTCOME_DEFER,
						    .esc = STR("4.3.0"),
						    .text = STR("nothing here writes mailboxes") });
		delivery_lease_go(l);
	}
}

static void wait_for_helper(struct delivery *d)
{
	if (!d->maildir.channel && !net_timer_is_running(&d->maildir.patience))
		net_timer_start(&d->maildir.patience, DELIVERY_MAILDIR_WAIT);
}

void delivery_maildir_attempt(struct delivery_lease *l)
{
	struct delivery *d = l->delivery;

	l->file = (struct delivery_file){ 0 };
	list_append(&d->maildir.waiting, &l->waiting);
	net_loop_defer(d->loop, &d->maildir.turn);
	wait_for_helper(d);
}

void delivery_maildir_more(struct delivery_lease *l)
{
	if (l->delivery->maildir.channel)
		pump(l->delivery, l);
}

void delivery_maildir_forget(struct delivery_lease *l)
{
	give_up(l);
}

void delivery_maildir_channel(struct delivery *d, struct ipc_channel *c)
{
	struct delivery_maildir *m = &d->maildir;

	m->channel = c;
	m->naborts = 0;
	while (!list_is_empty(
		&m->open)) { /* the helper forgot them; to write them again does no harm */
		struct delivery_lease *l = LIST_ITEM(m->open.prev, struct delivery_lease, waiting);

		close_file(l);
		list_prepend(&m->waiting, &l->waiting);
	}
	if (c)
		net_timer_stop(&m->patience);
	else if (!list_is_empty(&m->waiting))
		wait_for_helper(d);
	net_loop_defer(d->loop, &m->turn);
}

static struct delivery_lease *file_find(struct delivery *d, uint64_t tag)
{
	LIST_EACH(node, &d->maildir.open)
	{
		struct delivery_lease *l = LIST_ITEM(node, struct delivery_lease, waiting);

		if (l->file.tag == tag)
			return l;
	}
	return NULL;
}

static void on_result(struct delivery_lease *l, struct str payload)
{
	struct wire w = { .rest = payload };
	struct delivery_said said = { .outcome = wire_get_u8(&w), .esc = STR_NONE };

	said.text = wire_get_str(&w, IPC_REPLY_TEXT);
	if (!wire_is_end(&w) ||
	    (said.outcome != IPC_OUTCOME_DONE && said.outcome != IPC_OUTCOME_FAIL))
		said.outcome = IPC_OUTCOME_DEFER;
	(void)smtp_esc_take(&said.text,
			    said.outcome == IPC_OUTCOME_DONE   ? 2
			    : said.outcome == IPC_OUTCOME_FAIL ? 5
							       : 4,
			    &said.esc);
	decide(l, &said);
	close_file(l);
	net_loop_defer(l->delivery->loop, &l->delivery->maildir.turn);
	next(l);
}

void delivery_maildir_frame(struct delivery *d, const struct ipc_frame *frame)
{
	struct delivery_lease *l = file_find(d, frame->tag);
	struct wire w = { .rest = frame->payload };
	uint64_t acked;

	if (!l)
		return;
	if (frame->type == IPC_MAILDIR_RESULT) {
		on_result(l, frame->payload);
	} else if (frame->type == IPC_MAILDIR_ACK) {
		acked = wire_get_u64(&w);
		if (wire_is_end(&w) && acked >= l->file.acked && acked <= l->file.sent)
			l->file.acked = acked;
		pump(d, l);
	}
}

void delivery_maildir_writable(struct delivery *d)
{
	flush_aborts(d);
	LIST_EACH(node, &d->maildir.open)
	pump(d, LIST_ITEM(node, struct delivery_lease, waiting));
	net_loop_defer(d->loop, &d->maildir.turn);
}

void delivery_maildir_init(struct delivery *d)
{
	struct delivery_maildir *m = &d->maildir;

	*m = (struct delivery_maildir){ .turn = { .run = run } };
	list_init(&m->waiting);
	list_init(&m->open);
	net_timer_init(&m->patience, d->loop, impatient);
}

void delivery_maildir_fini(struct delivery *d)
{
	net_timer_stop(&d->maildir.patience);
	net_deferred_cancel(&d->maildir.turn);
}
