#include "net_pass.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

bool net_pass(int to, struct str bytes, const int *fds, unsigned nfds)
{
	struct iovec part = { (void *)(uintptr_t)bytes.p, bytes.n };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(NET_PASS * sizeof(int))];
	} room = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = room.bytes,
			      .msg_controllen = CMSG_SPACE(nfds * sizeof(int)) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	assert(nfds > 0 && nfds <= NET_PASS);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(head), fds, nfds * sizeof(int));
	return sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)bytes.n;
}
