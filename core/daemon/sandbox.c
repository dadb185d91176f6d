#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Which call is allowed to whom. A call is here because a test dies without it; PROT_EXEC, execve,
 * fork, ptrace and the
 * opening of files by the roles that face the network are nowhere.
 */
#define BIT(kind) (1u << (kind))
#define ALL       (BIT(ROLE_KINDS) - 1)
#define NETWORK   (BIT(ROLE_EDGE) | BIT(ROLE_DELIVER))
#define SCRIPTED  (BIT(ROLE_EDGE) | BIT(ROLE_DELIVER))
#define FILES     (BIT(ROLE_SPOOL) | BIT(ROLE_MAILDIR) | BIT(ROLE_CONTROL))
#define DISK      (BIT(ROLE_SPOOL) | BIT(ROLE_MAILDIR))

struct rule {
	int call;
	unsigned roles;
};

/* clang-format off */
static const struct rule rules[] = {
	/* memory and time */
	{ SCMP_SYS(brk), ALL }, { SCMP_SYS(munmap), ALL }, { SCMP_SYS(mremap), ALL }, { SCMP_SYS(madvise), ALL },
	{ SCMP_SYS(clock_gettime), ALL }, { SCMP_SYS(gettimeofday), ALL }, { SCMP_SYS(getrandom), ALL },
	/* the loop */
	{ SCMP_SYS(epoll_wait), ALL }, { SCMP_SYS(epoll_pwait), ALL }, { SCMP_SYS(epoll_ctl), ALL }, { SCMP_SYS(epoll_create1), ALL },
	{ SCMP_SYS(timerfd_settime), ALL }, { SCMP_SYS(timerfd_create), ALL },
	{ SCMP_SYS(read), ALL }, { SCMP_SYS(write), ALL }, { SCMP_SYS(writev), ALL }, { SCMP_SYS(close), ALL },
	{ SCMP_SYS(fstat), ALL },
	/* the link to the master, descriptors in messages */
	{ SCMP_SYS(recvmsg), ALL }, { SCMP_SYS(sendmsg), ALL },
	/* the end of a process: assert, abort, signals */
	{ SCMP_SYS(exit), ALL }, { SCMP_SYS(exit_group), ALL }, { SCMP_SYS(rt_sigreturn), ALL }, { SCMP_SYS(rt_sigprocmask), ALL },
	{ SCMP_SYS(rt_sigaction), ALL }, { SCMP_SYS(tgkill), ALL }, { SCMP_SYS(gettid), ALL }, { SCMP_SYS(getpid), ALL },
	{ SCMP_SYS(restart_syscall), ALL }, { SCMP_SYS(futex), ALL },
	/* sockets of peers */
	{ SCMP_SYS(accept4), BIT(ROLE_EDGE) | BIT(ROLE_CONTROL) },
	{ SCMP_SYS(sendto), NETWORK | BIT(ROLE_CONTROL) }, { SCMP_SYS(recvfrom), NETWORK | BIT(ROLE_CONTROL) },
	{ SCMP_SYS(shutdown), NETWORK | BIT(ROLE_CONTROL) }, { SCMP_SYS(setsockopt), NETWORK | BIT(ROLE_CONTROL) },
	{ SCMP_SYS(getsockopt), NETWORK | BIT(ROLE_CONTROL) }, { SCMP_SYS(getpeername), NETWORK | BIT(ROLE_CONTROL) },
	{ SCMP_SYS(getsockname), NETWORK | BIT(ROLE_CONTROL) }, { SCMP_SYS(connect), BIT(ROLE_DELIVER) | BIT(ROLE_CONTROL) }, { SCMP_SYS(bind), BIT(ROLE_DELIVER) },
	/* the CPU-time tick of policies */
	{ SCMP_SYS(setitimer), SCRIPTED }, { SCMP_SYS(timer_create), SCRIPTED }, { SCMP_SYS(timer_settime), SCRIPTED },
	{ SCMP_SYS(timer_delete), SCRIPTED }, { SCMP_SYS(getrusage), SCRIPTED }, { SCMP_SYS(clock_getres), SCRIPTED },
	/* files */
	{ SCMP_SYS(openat), FILES }, { SCMP_SYS(newfstatat), FILES }, { SCMP_SYS(lseek), FILES },
	{ SCMP_SYS(unlink), BIT(ROLE_CONTROL) }, { SCMP_SYS(unlinkat), FILES }, { SCMP_SYS(fdatasync), DISK }, { SCMP_SYS(fsync), DISK },
	{ SCMP_SYS(mkdir), DISK }, { SCMP_SYS(mkdirat), DISK }, { SCMP_SYS(rename), DISK }, { SCMP_SYS(renameat), DISK },
	{ SCMP_SYS(renameat2), DISK }, { SCMP_SYS(linkat), DISK }, { SCMP_SYS(unlink), DISK }, { SCMP_SYS(getdents64), DISK },
	{ SCMP_SYS(pread64), DISK }, { SCMP_SYS(pwrite64), DISK }, { SCMP_SYS(preadv), DISK }, { SCMP_SYS(preadv2), DISK },
	{ SCMP_SYS(pwritev), DISK }, { SCMP_SYS(pwritev2), DISK }, { SCMP_SYS(ftruncate), DISK }, { SCMP_SYS(fallocate), DISK },
	{ SCMP_SYS(fadvise64), DISK }, { SCMP_SYS(sync_file_range), DISK }, { SCMP_SYS(flock), DISK }, { SCMP_SYS(fstatfs), DISK },
	{ SCMP_SYS(statfs), DISK }, { SCMP_SYS(fchmod), DISK }, { SCMP_SYS(faccessat), DISK }, { SCMP_SYS(faccessat2), DISK },
	/* keys stay in memory */
	{ SCMP_SYS(mlock), BIT(ROLE_SPOOL) }, { SCMP_SYS(munlock), BIT(ROLE_SPOOL) },
	/* threads, in the spool alone; clone is restricted to them below */
	{ SCMP_SYS(set_robust_list), BIT(ROLE_SPOOL) }, { SCMP_SYS(rseq), BIT(ROLE_SPOOL) }, { SCMP_SYS(eventfd2), BIT(ROLE_SPOOL) },
	{ SCMP_SYS(sched_yield), BIT(ROLE_SPOOL) }, { SCMP_SYS(clock_nanosleep), BIT(ROLE_SPOOL) },
	{ SCMP_SYS(poll), BIT(ROLE_SPOOL) }, { SCMP_SYS(sched_getaffinity), BIT(ROLE_SPOOL) }, { SCMP_SYS(prctl), BIT(ROLE_SPOOL) },
};

#ifdef MOONGATE_INSTRUMENTED
/* What sanitizers and coverage need at run time and at exit: their reports, their shadow memory, their files. */
static const int wider[] = {
	SCMP_SYS(mmap), SCMP_SYS(mprotect), SCMP_SYS(fcntl), SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(lseek),
	SCMP_SYS(newfstatat), SCMP_SYS(sched_yield), SCMP_SYS(sigaltstack), SCMP_SYS(prlimit64), SCMP_SYS(getrlimit), SCMP_SYS(ioctl),
	SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(ptrace), SCMP_SYS(prctl), SCMP_SYS(wait4), SCMP_SYS(getppid), SCMP_SYS(getuid),
	SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(process_vm_readv), SCMP_SYS(getdents), SCMP_SYS(getdents64), SCMP_SYS(stat),
	SCMP_SYS(unlink), SCMP_SYS(ftruncate), SCMP_SYS(mkdir), SCMP_SYS(access), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(personality), SCMP_SYS(getcwd), SCMP_SYS(uname), SCMP_SYS(sched_getaffinity), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep), SCMP_SYS(msync), SCMP_SYS(pipe2), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(sysinfo), SCMP_SYS(getrusage),
};
#endif
/* clang-format on */

/* libseccomp's own macros leave a field out */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static int allow(scmp_filter_ctx c, int call)
{
	int rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 0);

	return rc == -EEXIST ? 0 : rc;
}

/*
 * allow_sockets - deliver opens streams, control a datagram socket to syslog; nobody else opens any
 */
static int allow_sockets(scmp_filter_ctx c, enum role_kind kind)
{
	static const int families[] = { AF_INET, AF_INET6, AF_UNIX };
	int rc = 0;

	for (size_t i = 0; rc == 0 && kind == ROLE_DELIVER && i < COUNT(families); i++)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	if (kind == ROLE_CONTROL)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				      SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	return rc;
}

#ifdef MOONGATE_INSTRUMENTED
static int allow_narrow(scmp_filter_ctx c, enum role_kind kind)
{
	int rc = 0;

	(void)kind;
	for (size_t i = 0; rc == 0 && i < COUNT(wider); i++)
		rc = allow(c, wider[i]);
	return rc;
}
#else
/*
 * allow_fcntl - but not F_SETFL: the eventfds of a channel are one file for both ends, and a
 * hijacked role
 * could make its neighbour's reads block
 */
static int allow_fcntl(scmp_filter_ctx c)
{
	static const int commands[] = { F_GETFL, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_GET_SEALS };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < COUNT(commands); i++)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				      SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
	return rc;
}

/* allow_fstat - glibc's fstat() is a newfstatat() of an empty path */
static int allow_fstat(scmp_filter_ctx c)
{
	return seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
				SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
}

/* allow_memory - mapping, but nothing that can be run */
static int allow_memory(scmp_filter_ctx c)
{
	int rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				  SCMP_A2(SCMP_CMP_MASKED_EQ, 4 /* PROT_EXEC */, 0));

	if (rc == 0)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0));
	return rc;
}

/*
 * allow_threads - clone for a thread of this process; clone3 cannot be looked into, glibc falls
 * back to clone
 */
static int allow_threads(scmp_filter_ctx c)
{
	int rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

	if (rc == 0)
		rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return rc;
}

static int allow_narrow(scmp_filter_ctx c, enum role_kind kind)
{
	int rc = allow_memory(c);

	if (rc == 0)
		rc = allow_fcntl(c);
	if (rc == 0 && (kind == ROLE_EDGE || kind == ROLE_DELIVER))
		rc = allow_fstat(c);
	if (rc == 0 && kind == ROLE_SPOOL)
		rc = allow_threads(c);
	return rc;
}
#endif

static int add_rules(scmp_filter_ctx c, enum role_kind kind)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < COUNT(rules); i++)
		if (rules[i].roles & BIT(kind))
			rc = allow(c, rules[i].call);
	if (rc == 0)
		rc = allow_narrow(c, kind);
	if (rc == 0)
		rc = allow_sockets(c, kind);
	return rc;
}

static int enter_seccomp(enum role_kind kind, struct fault *why)
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc = -ENOMEM;

	if (c)
		rc = add_rules(c, kind);
	if (rc == 0)
		rc = seccomp_load(c);
	seccomp_release(c);
	if (rc == 0)
		return 0;
	return fault_set(why, "cannot load the list of system calls: %s", strerror(-rc));
}

#ifndef MOONGATE_INSTRUMENTED
/* ---- Landlock -------------------------------------------------------------------------------- */

#define READ_ACCESS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_ACCESS                                                                               \
	(READ_ACCESS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |             \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                            \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK)
#define HANDLED                                                                                    \
	(WRITE_ACCESS | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                            \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)

static int allow_below(int ruleset, const char *path)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = WRITE_ACCESS };
	int rc;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return -1;
	rc = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return rc;
}

/*
 * enter_landlock - no file at all for the roles that face the network; the spool has its directory
 * (its working directory
 * by now). Control and maildir get their paths from settings that may change, so seccomp and the
 * user's rights bound them.
 */
static int enter_landlock(enum role_kind kind, struct fault *why)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = HANDLED };
	int ruleset, rc = 0;

	if (kind == ROLE_CONTROL || kind == ROLE_MAILDIR)
		return 0;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	if (ruleset < 0) /* not in this kernel, or not switched on: seccomp stands alone */
		return 0;
	if (kind == ROLE_SPOOL)
		rc = allow_below(ruleset, ".");
	if (rc == 0)
		rc = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
	close(ruleset);
	if (rc < 0)
		return fault_sys(why, "landlock");
	return 0;
}
#endif

int sandbox_enter(enum role_kind kind, const struct settings *s, struct fault *why)
{
	(void)s;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fault_sys(why, "no_new_privs");
#ifndef MOONGATE_INSTRUMENTED
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) <
	    0) /* no core with mail in it, no ptrace by our own user */
		return fault_sys(why, "cannot become undumpable");
	if (enter_landlock(kind, why) < 0)
		return -1;
#endif
	return enter_seccomp(kind, why);
}
