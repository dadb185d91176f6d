#define _GNU_SOURCE /* MSG_CMSG_CLOEXEC */
#include "loader.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapshot.h"
#include "step.h"

/*
 * The child sends one message at its end: the lines of errors and notes, and with them the memfd
 * when there is one. When it dies before that, the message is the end of file.
 */
#define LINK        3 /* the child's end */
#define MESSAGE     (64 * 1024)
#define CUT         "moongate: and more\n"
#define CPU_SECONDS 60
#define MEMORY      ((rlim_t)4 << 30)
#define FILES       64

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void limit(int what, rlim_t most)
{
	struct rlimit r;

	if (getrlimit(what, &r) < 0)
		return;
	if (r.rlim_max == RLIM_INFINITY || r.rlim_max > most)
		r.rlim_max = most;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(what, &r);
}

/* files - at most so many open, of as many as the process was given: that may be taken back */
static void files(rlim_t most)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	r.rlim_cur = most < r.rlim_max ? most : r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

/* confine - a policy that loops or grows for ever ends this process and nothing else */
static void confine(void)
{
	limit(RLIMIT_CPU, CPU_SECONDS);
#ifndef MOONGATE_INSTRUMENTED
	limit(RLIMIT_AS, MEMORY); /* sanitizers map terabytes that they never touch */
#endif
	limit(RLIMIT_FSIZE, SNAPSHOT_MAX + 4096); /* the memfd is a file too */
	files(FILES);
	limit(RLIMIT_CORE, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

/* whole_lines - as much of them as a message takes */
static struct str whole_lines(struct str lines, size_t most)
{
	if (lines.n <= most)
		return lines;
	lines = str_head(lines, most);
	return str_head(lines, (size_t)(str_rfind(lines, '\n') + 1));
}

static int send_result(int link, struct str lines, int fd)
{
	struct str head = whole_lines(lines, MESSAGE - sizeof CUT),
		   tail = head.n < lines.n ? STR(CUT) : STR("");
	struct iovec parts[] = {
		{ (char *)"=", 1 }, /* so that an empty message is no end of file */
		{ (void *)(uintptr_t)head.p, head.n },
		{ (void *)(uintptr_t)tail.p, tail.n },
	};
	union control control = { { 0 } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = COUNT(parts) };

	if (fd >= 0) {
		/*
		 * What this user's processes have on its way anywhere is counted against our limit:
		 * with the one of the load a busy host would refuse this one.
		 */
		files(RLIM_INFINITY);
		control.align = (struct cmsghdr){ CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
		m.msg_control = &control;
		m.msg_controllen = sizeof control.bytes;
	}
	return sendmsg(link, &m, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static _Noreturn void child(const char *settings_path, const unsigned char *secret, int link)
{
	struct buf errors;
	sigset_t none;
	int fd;

	if (link != LINK && dup2(link, LINK) < 0)
		_exit(71);
	(void)syscall(SYS_close_range, LINK + 1, ~0U, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	confine();
	buf_init(&errors, 1024 * 1024);
	fd = loader_run(settings_path, secret, &errors);
	_exit(send_result(LINK, buf_str(&errors), fd) < 0 ? 71 : 0);
}

int loader_spawn(const char *settings_path, const unsigned char *secret, int *pid,
		 struct fault *why)
{
	int link[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		return fault_sys(why, "socket pair of the loader");
	*pid = fork();
	if (*pid == 0)
		child(settings_path, secret, link[1]);
	(void)close(link[1]);
	if (*pid > 0)
		return link[0];
	(void)fault_sys(why, "fork the loader");
	(void)close(link[0]);
	return -1;
}

/* fd_of - the descriptor that came along, or -1 */
static int fd_of(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

int loader_collect(int fd, struct buf *errors)
{
	char *text = malloc(MESSAGE);
	struct iovec part = { text, MESSAGE };
	union control control;
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control.bytes,
	};
	int memfd = -1;
	ssize_t n;

	if (!text)
		abort();
	do
		n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		memfd = fd_of(&m);
		(void)buf_add(errors, (struct str){ text + 1, (size_t)n - 1 });
	}
	if (memfd < 0 && n <= 1)
		(void)buf_add(errors, STR("moongate: loading the settings took too much time or "
					  "memory, or was killed\n"));
	free(text);
	return memfd;
}
