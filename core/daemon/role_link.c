#include "role_link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

const char *const role_name[ROLE_KINDS] = {
	[ROLE_SPOOL] = "spool",     [ROLE_CONTROL] = "control", [ROLE_MAILDIR] = "maildir",
	[ROLE_DELIVER] = "deliver", [ROLE_EDGE] = "edge",
};

struct head {
	uint32_t word, kind, index, nfds;
	uint64_t a, b;
};

union ancillary {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(ROLE_FDS * sizeof(int))];
};

bool role_find(struct str name, enum role_kind *out)
{
	for (unsigned i = 0; i < ROLE_KINDS; i++)
		if (str_eq(name, str_of(role_name[i]))) {
			*out = (enum role_kind)i;
			return true;
		}
	return false;
}

static void attach_fds(struct msghdr *msg, union ancillary *room, const struct role_message *m)
{
	struct cmsghdr *c;

	memset(room, 0, sizeof *room);
	msg->msg_control = room->bytes;
	msg->msg_controllen = CMSG_SPACE(m->nfds * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(m->nfds * sizeof(int));
	memcpy(CMSG_DATA(c), m->fds, m->nfds * sizeof(int));
}

int role_send(int link, const struct role_message *m, struct fault *why)
{
	struct head head = {
		(uint32_t)m->word, (uint32_t)m->peer.kind, m->peer.index, m->nfds, m->a, m->b
	};
	struct str text = str_head(m->text, ROLE_TEXT);
	struct iovec parts[2] = { { &head, sizeof head }, { (void *)(uintptr_t)text.p, text.n } };
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2 };
	union ancillary room;

	if (m->nfds)
		attach_fds(&msg, &room, m);
	if (sendmsg(link, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return fault_sys(why, "cannot send word %u to a role", (unsigned)m->word);
	return 0;
}

/* take_fds - the descriptors that came, exactly as many as the head announced */
static bool take_fds(struct msghdr *msg, struct role_message *m, unsigned announced)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	size_t n = 0;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(m->fds, CMSG_DATA(c), n * sizeof(int));
	}
	m->nfds = (unsigned)n;
	if (n == announced && !(msg->msg_flags & (MSG_CTRUNC | MSG_TRUNC)))
		return true;
	for (size_t i = 0; i < n; i++)
		close(m->fds[i]);
	m->nfds = 0;
	return false;
}

enum step role_receive(int link, struct role_message *m)
{
	static char text[ROLE_TEXT];
	struct head head;
	struct iovec parts[2] = { { &head, sizeof head }, { text, sizeof text } };
	union ancillary room;
	struct msghdr msg = { .msg_iov = parts,
			      .msg_iovlen = 2,
			      .msg_control = room.bytes,
			      .msg_controllen = sizeof room.bytes };
	ssize_t n;

	do
		n = recvmsg(link, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return STEP_MORE;
	*m = (struct role_message){ 0 };
	if (n < (ssize_t)sizeof head || !take_fds(&msg, m, head.nfds))
		return STEP_ERROR;
	if (head.word >= WORDS || head.kind >= ROLE_KINDS) {
		for (unsigned i = 0; i < m->nfds; i++)
			close(m->fds[i]);
		return STEP_ERROR;
	}
	m->word = (enum role_word)head.word;
	m->peer = (struct role_peer){ (enum role_kind)head.kind, head.index };
	m->a = head.a;
	m->b = head.b;
	m->text = (struct str){ text, (size_t)n - sizeof head };
	return STEP_DONE;
}
