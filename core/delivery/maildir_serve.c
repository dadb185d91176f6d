/*
 * A file:
 *
 *   FREE --BEGIN--> OPEN --END, or a fault--> ANSWERING --RESULT sent--> FREE
 *                     \--ABORT, channel gone--------------------------->
 *
 * In ANSWERING the RESULT, and in OPEN the ACK, may wait for room in the ring.
 */
#include "maildir_serve.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ipc_lease.h"
#include "log.h"

#define ACK_EVERY (IPC_SLOT_WINDOW / 4)

enum file_state { FILE_FREE, FILE_OPEN, FILE_ANSWERING };

struct file {
	enum file_state state;
	uint64_t tag;
	uint64_t taken, acked;
	struct maildir_write write;
	enum ipc_outcome outcome;
	char text[IPC_REPLY_TEXT];
};

struct deliver {
	struct ipc_channel *channel;
	unsigned open; /* files that are not FREE */
	struct file files[MAILDIR_SERVE_FILES];
};

struct maildir_serve {
	struct maildir_roots roots;
	struct deliver *delivers[MAILDIR_SERVE_CHANNELS];
	struct buf out;
};

static void enter(struct deliver *d, struct file *f, enum file_state state)
{
	d->open += state != FILE_FREE;
	d->open -= f->state != FILE_FREE;
	f->state = state;
}

struct maildir_serve *maildir_serve_new(const struct str *roots, unsigned nroots,
					const struct maildir_disk *disk)
{
	struct maildir_serve *s = calloc(1, sizeof *s);
	struct fault why;

	if (!s)
		abort();
	maildir_roots_init(&s->roots, disk);
	buf_init(&s->out, IPC_REPLY_TEXT + 16);
	for (unsigned i = 0; i < nroots; i++)
		if (maildir_serve_root(s, roots[i], &why) < 0)
			log_fault(LOG_LEVEL_ERROR, "maildir.root",
				  "mail for this directory will wait", &why);
	return s;
}

int maildir_serve_root(struct maildir_serve *s, struct str root, struct fault *why)
{
	return maildir_roots_add(&s->roots, root, why);
}

static struct file *file_find(struct deliver *d, uint64_t tag)
{
	for (unsigned i = 0; d->open > 0 && i < MAILDIR_SERVE_FILES; i++)
		if (d->files[i].state == FILE_OPEN && d->files[i].tag == tag)
			return &d->files[i];
	return NULL;
}

static struct file *file_free(struct deliver *d)
{
	for (unsigned i = 0; i < MAILDIR_SERVE_FILES; i++)
		if (d->files[i].state == FILE_FREE)
			return &d->files[i];
	return NULL;
}

static bool send(struct maildir_serve *s, struct deliver *d, uint16_t type, uint64_t tag)
{
	struct ipc_frame head = { .type = type, .tag = tag };
	struct str payload = buf_str(&s->out);

	return ipc_channel_send(d->channel, &head, &payload, 1);
}

static bool send_result(struct maildir_serve *s, struct deliver *d, uint64_t tag,
			enum ipc_outcome outcome, struct str text)
{
	bool fits;

	buf_reset(&s->out);
	fits = wire_u8(&s->out, (uint8_t)outcome) && wire_str(&s->out, text);
	assert(fits);
	return send(s, d, IPC_MAILDIR_RESULT, tag);
}

static void answer(struct maildir_serve *s, struct deliver *d, struct file *f)
{
	if (send_result(s, d, f->tag, f->outcome, str_of(f->text)))
		enter(d, f, FILE_FREE);
}

static void acknowledge(struct maildir_serve *s, struct deliver *d, struct file *f)
{
	bool fits;

	buf_reset(&s->out);
	fits = wire_u64(&s->out, f->taken);
	assert(fits);
	if (send(s, d, IPC_MAILDIR_ACK, f->tag))
		f->acked = f->taken;
}

static void finish(struct maildir_serve *s, struct deliver *d, struct file *f,
		   enum ipc_outcome outcome)
{
	f->outcome = outcome;
	enter(d, f, FILE_ANSWERING);
	answer(s, d, f);
}

/*
 * failed - in the words of RFC 3463: who is in charge of this machine is in charge of the repair,
 * so nothing bounces
 */
static void failed(struct maildir_serve *s, struct deliver *d, struct file *f,
		   const struct fault *why)
{
	const char *esc = why->sys == EDQUOT   ? "4.2.2"
			  : why->sys == ENOSPC ? "4.3.1"
			  : why->sys == 0      ? "4.3.5"
					       : "4.3.0";

	maildir_write_abort(&f->write);
	(void)snprintf(f->text, sizeof f->text, "%s %.*s", esc, (int)sizeof f->text - 8, why->text);
	log_fault(LOG_LEVEL_WARN, "maildir.failed", "the message is kept and tried again", why);
	finish(s, d, f, IPC_OUTCOME_DEFER);
}

static void begin(struct maildir_serve *s, struct deliver *d, const struct ipc_frame *frame)
{
	struct wire w = { .rest = frame->payload };
	struct str path = wire_get_str(&w, MAILDIR_PATH), unique = wire_get_str(&w, MAILDIR_NAME);
	struct file *f = file_free(d);
	struct fault why = { 0 };

	(void)wire_get_u64(&w); /* its length: a hint that nobody needs yet */
	if (file_find(d, frame->tag))
		return; /* a tag in use is the sender's mistake; its first file goes on */
	if (!f) {       /* lost when the ring is full too: such a sender is beyond its own bound */
		(void)send_result(s, d, frame->tag, IPC_OUTCOME_DEFER,
				  STR("4.3.2 too many files at once"));
		return;
	}
	f->tag = frame->tag;
	f->taken = f->acked = 0;
	enter(d, f, FILE_OPEN);
	if (!wire_is_end(&w))
		fault_set(&why, "a path or a name is too long");
	else if (maildir_write_begin(&f->write, &s->roots, path, unique, &why) == 0)
		return;
	failed(s, d, f, &why);
}

static void data(struct maildir_serve *s, struct deliver *d, struct file *f, struct str bytes)
{
	struct fault why = { 0 };

	if (maildir_write_data(&f->write, bytes, &why) < 0) {
		failed(s, d, f, &why);
		return;
	}
	f->taken += bytes.n;
	if (f->taken - f->acked >= ACK_EVERY)
		acknowledge(s, d, f);
}

static void end(struct maildir_serve *s, struct deliver *d, struct file *f)
{
	struct fault why = { 0 };

	if (maildir_write_end(&f->write, &why) < 0) {
		failed(s, d, f, &why);
		return;
	}
	(void)snprintf(f->text, sizeof f->text,
		       f->write.was_there ? "2.0.0 was there already" : "2.0.0 delivered");
	finish(s, d, f, IPC_OUTCOME_DONE);
}

void maildir_serve_frame(struct maildir_serve *s, unsigned deliver, const struct ipc_frame *frame)
{
	struct deliver *d = deliver < MAILDIR_SERVE_CHANNELS ? s->delivers[deliver] : NULL;
	struct file *f;

	if (!d || !d->channel)
		return;
	if (frame->type == IPC_MAILDIR_BEGIN) {
		begin(s, d, frame);
		return;
	}
	f = file_find(d, frame->tag);
	if (!f)
		return;
	if (frame->type == IPC_MAILDIR_DATA) {
		data(s, d, f, frame->payload);
	} else if (frame->type == IPC_MAILDIR_END) {
		end(s, d, f);
	} else if (frame->type == IPC_MAILDIR_ABORT) {
		maildir_write_abort(&f->write);
		enter(d, f, FILE_FREE);
	}
}

static void forget(struct deliver *d)
{
	for (unsigned i = 0; i < MAILDIR_SERVE_FILES; i++) {
		if (d->files[i].state == FILE_OPEN)
			maildir_write_abort(&d->files[i].write);
		enter(d, &d->files[i], FILE_FREE);
	}
}

void maildir_serve_channel(struct maildir_serve *s, unsigned deliver, struct ipc_channel *c)
{
	assert(deliver < MAILDIR_SERVE_CHANNELS);
	if (!s->delivers[deliver]) {
		s->delivers[deliver] = calloc(1, sizeof *s->delivers[deliver]);
		if (!s->delivers[deliver])
			abort();
	}
	forget(s->delivers[deliver]);
	s->delivers[deliver]->channel = c;
}

void maildir_serve_writable(struct maildir_serve *s, unsigned deliver)
{
	struct deliver *d = deliver < MAILDIR_SERVE_CHANNELS ? s->delivers[deliver] : NULL;

	if (!d || !d->channel)
		return;
	for (unsigned i = 0; d->open > 0 && i < MAILDIR_SERVE_FILES; i++) {
		struct file *f = &d->files[i];

		if (f->state == FILE_ANSWERING)
			answer(s, d, f);
		else if (f->state == FILE_OPEN && f->taken - f->acked >= ACK_EVERY)
			acknowledge(s, d, f);
	}
}

bool maildir_serve_is_idle(const struct maildir_serve *s)
{
	for (unsigned i = 0; i < MAILDIR_SERVE_CHANNELS; i++)
		if (s->delivers[i] && s->delivers[i]->open > 0)
			return false;
	return true;
}

void maildir_serve_free(struct maildir_serve **sp)
{
	struct maildir_serve *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	for (unsigned i = 0; i < MAILDIR_SERVE_CHANNELS; i++)
		if (s->delivers[i])
			forget(s->delivers[i]);
	for (unsigned i = 0; i < MAILDIR_SERVE_CHANNELS; i++)
		free(s->delivers[i]);
	maildir_roots_fini(&s->roots);
	buf_fini(&s->out);
	free(s);
}
