#include "cli_feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin_wire.h"
#include "rnd.h"

/*
 * What is under way has a place in `flights` by its tag; a slot that is being written is known by
 * the tag of its message. The link is the control socket, or a pair with our child: whatever comes
 * on it later is the end.
 */
#define RING     (4 * 1024 * 1024)
#define LINK_MAX 4096

struct flight {
	uint64_t tag, cookie;
	bool is_open;
};

struct cli_feed {
	struct net_loop *loop;
	struct ipc_channel *channel;
	struct net_watch watch;
	int link, child; /* child: -1: a daemon runs */
	cli_feed_landed *landed;
	void *arg;
	struct flight flights[CLI_FEED_WINDOW];
	unsigned under_way;
	uint64_t tags;
	bool is_lost;
	/* of the slot being written */
	uint64_t slot, acked;
	bool is_slot_open, is_slot_gone;
	struct buf out;
};

/* ---- what comes ------------------------------------------------------------------------------ */

static struct flight *flight_of(struct cli_feed *f, uint64_t tag)
{
	struct flight *flight = &f->flights[tag % CLI_FEED_WINDOW];

	return flight->is_open && flight->tag == tag ? flight : NULL;
}

static void land(struct cli_feed *f, uint64_t tag, enum cli_feed_outcome outcome, struct str text)
{
	struct flight *flight = flight_of(f, tag);

	if (!flight)
		return;
	flight->is_open = false;
	f->under_way--;
	f->landed(f->arg, flight->cookie, outcome, text);
}

static void refused(struct cli_feed *f, const struct ipc_frame *frame)
{
	struct ipc_refusal r;
	char text[IPC_REPLY_TEXT + 32];

	if (frame->tag == f->slot)
		f->is_slot_gone = true;
	if (!ipc_refusal_decode(frame->payload, &r))
		r = (struct ipc_refusal){ 451, STR("4.3.0"), STR("refused") };
	(void)snprintf(text, sizeof text, "%u %.*s %.*s", r.code, STR_ARG(r.esc), STR_ARG(r.text));
	land(f, frame->tag, CLI_FEED_REFUSED, str_of(text));
}

static void acked(struct cli_feed *f, const struct ipc_frame *frame)
{
	struct wire w = { .rest = frame->payload };
	uint64_t taken = wire_get_u64(&w);

	if (!wire_is_end(&w) || frame->tag != f->slot)
		return;
	f->is_slot_open = true;
	f->acked = taken;
}

static void came(void *owner, const struct ipc_frame *frame)
{
	struct cli_feed *f = owner;

	if (frame->type == IPC_DURABLE)
		land(f, frame->tag, frame->flags & IPC_KNOWN ? CLI_FEED_KNOWN : CLI_FEED_STORED,
		     STR_NONE);
	else if (frame->type == IPC_REFUSED || frame->type == IPC_SLOT_REFUSED)
		refused(f, frame);
	else if (frame->type == IPC_SLOT_ACK)
		acked(f, frame);
	net_loop_stop(f->loop);
}

static void writable(void *owner)
{
	struct cli_feed *f = owner;

	net_loop_stop(f->loop);
}

static void broken(void *owner, const struct fault *why)
{
	struct cli_feed *f = owner;

	(void)fprintf(stderr, "moongate: the channel to the spool broke: %s\n", why->text);
	f->is_lost = true;
	net_loop_stop(f->loop);
}

static const struct ipc_channel_ops channel_ops = { came, writable, broken };

/* last_words - a chunk of the control socket, or plain text of our child */
static void last_words(struct str text)
{
	struct str rest = text, words;
	unsigned code;

	if (admin_wire_chunk_take(&rest, &code, &words) == STEP_DONE)
		text = words;
	if (text.n)
		(void)fprintf(stderr, "%.*s", STR_ARG(text));
	else
		(void)fprintf(stderr,
			      "moongate: the daemon is gone; go on with the same command\n");
}

static void link_ended(struct net_watch *w, int events)
{
	struct cli_feed *f = container_of(w, struct cli_feed, watch);
	char text[LINK_MAX];
	ssize_t n = read(f->link, text, sizeof text);

	(void)events;
	if (n < 0 && errno == EINTR)
		return;
	net_watch_want(&f->watch, 0);
	last_words((struct str){ text, n > 0 ? (size_t)n : 0 });
	f->is_lost = true;
	net_loop_stop(f->loop);
}

/* turn - until something came */
static void turn(struct cli_feed *f)
{
	net_loop_run(f->loop);
}

/* ---- a daemon that runs ---------------------------------------------------------------------- */

static bool take_fds(struct msghdr *msg, struct ipc_channel_fds *fds)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(msg);
	int got[3];

	if (!head || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof got))
		return false;
	memcpy(got, CMSG_DATA(head), sizeof got);
	*fds = (struct ipc_channel_fds){ got[0], got[1], got[2] };
	return true;
}

/* receive_channel - the answer: a channel, or why not */
static int receive_channel(int link, struct ipc_channel_fds *fds)
{
	char text[LINK_MAX];
	struct iovec part = { text, sizeof text };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} room;
	struct msghdr msg = { .msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = room.bytes,
			      .msg_controllen = sizeof room.bytes };
	ssize_t n;

	do
		n = recvmsg(link, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n > 0 && take_fds(&msg, fds))
		return 0;
	last_words((struct str){ text, n > 0 ? (size_t)n : 0 });
	return EX_TEMPFAIL;
}

static int ask_daemon(int link, struct ipc_channel_fds *fds)
{
	static const struct str words[] = { STR("spool"), STR("carry"), STR(MOONGATE_VERSION) };
	char bytes[256];
	struct buf b = { .p = bytes, .cap = sizeof bytes, .max = sizeof bytes };
	struct str request;

	(void)admin_wire_request(&b, words, COUNT(words));
	request = buf_str(&b);
	if (send(link, request.p, request.n, MSG_NOSIGNAL) != (ssize_t)request.n) {
		(void)fprintf(stderr, "moongate: the daemon is gone, try again\n");
		return EX_TEMPFAIL;
	}
	return receive_channel(link, fds);
}

/* connect_daemon - the socket, -1 when no daemon is there; *code when there is one that we may not
 * ask */
static int connect_daemon(const char *path, int *code)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)str_copy(to.sun_path, sizeof to.sun_path, str_of(path));
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	if (errno == EACCES || errno == EPERM) {
		(void)fprintf(stderr, "moongate: %s: %s\n", path, strerror(errno));
		*code = EX_NOPERM;
	}
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* ---- none that runs -------------------------------------------------------------------------- */

static int await_child(int link)
{
	char text[LINK_MAX];
	ssize_t n;

	do
		n = read(link, text, sizeof text);
	while (n < 0 && errno == EINTR);
	if (n > 0 && str_eq((struct str){ text, (size_t)n }, STR("ready\n")))
		return 0;
	(void)fprintf(stderr, "%.*s", n > 0 ? (int)n : 0, text);
	return EX_TEMPFAIL;
}

static int start_child(struct cli_feed *f, const struct cli *c, struct ipc_channel_fds *fds)
{
	static struct settings settings;
	int pair[2], code = EX_OSERR;
	struct arena arena;
	struct fault why;

	arena_init(&arena, CLI_SETTINGS_MEMORY);
	if (!cli_settings(c, &settings, &arena)) {
		code = EX_CONFIG;
	} else if (ipc_channel_make(fds, RING, &why) < 0 ||
		   socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		(void)fprintf(stderr, "moongate: no memory for a channel\n");
	} else {
		f->child = cli_store_fork(&settings, pair, fds);
		(void)close(pair[1]);
		f->link = pair[0];
		code = f->child < 0 ? EX_OSERR : await_child(f->link);
	}
	arena_fini(&arena);
	return code;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int connect_either(struct cli_feed *f, const struct cli *c, struct ipc_channel_fds *fds)
{
	char path[4096];
	int code = 0;

	if (!cli_control_path(c, path, sizeof path))
		return EX_CONFIG;
	f->link = connect_daemon(path, &code);
	if (f->link >= 0)
		return ask_daemon(f->link, fds);
	return code ? code : start_child(f, c, fds);
}

struct cli_feed *cli_feed_open(const struct cli *c, cli_feed_landed *landed, void *arg, int *code)
{
	struct ipc_channel_fds fds = { -1, -1, -1 };
	struct cli_feed *f = calloc(1, sizeof *f);
	struct fault why;

	if (!f)
		abort();
	f->link = f->child = -1;
	f->landed = landed;
	f->arg = arg;
	*code = connect_either(f, c, &fds);
	if (*code) {
		f->is_lost = true;
		(void)cli_feed_close(&f);
		return NULL;
	}
	rnd_init();
	buf_init(&f->out, IPC_FRAME_MAX);
	f->loop = net_loop_new();
	f->channel = ipc_channel_open(f->loop, &fds, IPC_END_A, &channel_ops, f, &why);
	if (!f->channel)
		abort(); /* what we made, or the master: whole by construction */
	net_watch_init(&f->watch, f->loop, f->link, link_ended);
	net_watch_want(&f->watch, EV_READ);
	return f;
}

int cli_feed_close(struct cli_feed **fp)
{
	struct cli_feed *f = *fp;
	int status = 0, code;

	*fp = NULL;
	if (!f)
		return 0;
	while (!f->is_lost && f->under_way > 0)
		turn(f);
	code = f->is_lost ? EX_TEMPFAIL : 0;
	if (f->channel) {
		net_watch_want(&f->watch, 0);
		ipc_channel_close(&f->channel);
	}
	if (f->link >= 0)
		(void)close(f->link);
	while (f->child > 0 && waitpid(f->child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (f->loop)
		net_loop_free(&f->loop);
	buf_fini(&f->out);
	free(f);
	return code;
}

/* ---- what goes ------------------------------------------------------------------------------- */

static bool send_frame(struct cli_feed *f, unsigned type, uint64_t tag, struct str payload)
{
	struct ipc_frame head = { .type = (uint16_t)type, .tag = tag };

	while (!f->is_lost && !ipc_channel_send(f->channel, &head, &payload, 1))
		turn(f);
	return !f->is_lost;
}

static bool open_slot(struct cli_feed *f, uint64_t tag, uint64_t length)
{
	f->slot = tag;
	f->acked = 0;
	f->is_slot_open = f->is_slot_gone = false;
	buf_reset(&f->out);
	(void)wire_u64(&f->out, length);
	if (!send_frame(f, IPC_SLOT_OPEN, tag, buf_str(&f->out)))
		return false;
	while (!f->is_lost && !f->is_slot_open && !f->is_slot_gone)
		turn(f);
	return f->is_slot_open && !f->is_lost;
}

/* stream - the body into a slot; false: the slot was refused, the body cannot be read, or the other
 * side is gone */
static bool stream(struct cli_feed *f, const struct cli_feed_message *m, uint64_t tag)
{
	static char piece[CLI_FEED_PIECE];
	uint64_t sent = 0;

	if (!open_slot(f, tag, m->body_length))
		return false;
	while (sent < m->body_length && !f->is_slot_gone) {
		uint64_t left = m->body_length - sent;
		size_t n = left < sizeof piece ? (size_t)left : sizeof piece;

		while (!f->is_lost && !f->is_slot_gone && sent + n - f->acked > IPC_SLOT_WINDOW)
			turn(f);
		if (m->read(m->arg, sent, piece, n) < 0) {
			(void)send_frame(f, IPC_SLOT_ABORT, tag, STR_NONE);
			return false;
		}
		if (!send_frame(f, IPC_SLOT_DATA, tag, (struct str){ piece, n }))
			return false;
		sent += n;
	}
	return !f->is_slot_gone;
}

/* take_flight - its tag; waits while all places are taken */
static uint64_t take_flight(struct cli_feed *f, uint64_t cookie)
{
	uint64_t tag = ++f->tags;
	struct flight *flight = &f->flights[tag % CLI_FEED_WINDOW];

	while (!f->is_lost && flight->is_open)
		turn(f);
	if (f->is_lost)
		return 0;
	*flight = (struct flight){ tag, cookie, true };
	f->under_way++;
	return tag;
}

static void submit(struct cli_feed *f, const struct cli_feed_message *m, uint64_t tag)
{
	struct str payload;

	buf_reset(&f->out);
	if (!ipc_carry_encode(&f->out, &m->carry) ||
	    buf_len(&f->out) > ipc_channel_max(f->channel)) {
		land(f, tag, CLI_FEED_REFUSED, STR("header, recipients and notes are too large"));
		return;
	}
	payload = buf_str(&f->out);
	(void)send_frame(f, IPC_CARRY, tag, payload);
}

int cli_feed_put(struct cli_feed *f, struct cli_feed_message *m, uint64_t cookie)
{
	static char body[IPC_BODY_INLINE];
	struct ipc_submit *s = &m->carry.submit;
	uint64_t tag = take_flight(f, cookie);
	bool good = tag != 0;

	s->is_slot = m->body_length > IPC_BODY_INLINE;
	s->slot = tag;
	s->slot_length = m->body_length;
	s->body = (struct str){ body, (size_t)m->body_length };
	if (good && s->is_slot)
		good = stream(f, m, tag);
	else if (good)
		good = m->read(m->arg, 0, body, s->body.n) == 0;
	if (good)
		submit(f, m, tag);
	else if (!f->is_lost)
		land(f, tag, CLI_FEED_REFUSED, STR("its body cannot be read"));
	return f->is_lost ? -1 : 0;
}
