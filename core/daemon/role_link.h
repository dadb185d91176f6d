/*
 * role_link - the words between the master and a role.
 *
 * What        one SOCK_SEQPACKET pair per role; a message is a word, small numbers, a text, and up
 *             to 3 descriptors.
 * Why         packets need no framing, descriptors travel with the word they belong to, and the end
 *             of one side is seen by the other.
 * Invariants  never blocks: a peer that lets its socket fill up is stuck, and is treated so.
 *             Descriptors are close-on-exec.
 * Bounds      ROLE_TEXT bytes of text; longer answers go in several.
 */
#ifndef ROLE_LINK_H
#define ROLE_LINK_H

#include "fault.h"
#include "step.h"
#include "str.h"

#define ROLE_LINK_FD 3
#define ROLE_TEXT    (16 * 1024)
#define ROLE_FDS     3
#define ROLE_INDEXES 65 /* of one kind; the last one of edges is the operator */

/* clang-format off */
enum role_kind { ROLE_SPOOL, ROLE_CONTROL, ROLE_MAILDIR, ROLE_DELIVER, ROLE_EDGE, ROLE_KINDS };

struct role_peer { enum role_kind kind; unsigned index; };

enum role_word {
	/* between a master and its successor, which may be of another version: these six and struct head stay as they are */
	WORD_HERITAGE,          /* -> successor; fds: a listening socket; text: its address, or the path of the control socket, then a is 1 */
	WORD_BEGIN,             /* -> all of the above were sent; a: number of the next generation; text: the spool directory */
	WORD_PROVED,            /* <- all is ready, but for the spool's lock */
	WORD_ACCEPT,            /* -> take sessions: we take no more */
	WORD_SERVING,           /* <- the spool is ours; text: version */
	WORD_REFUSED,           /* <- text: why not, lines */
	/* master -> role */
	WORD_SLAB,              /* fds: shared counters of all roles; a: own slot; b: number of slots; text: role names, NUL-separated */
	WORD_SNAPSHOT,          /* fds: the committed snapshot; a: generation */
	WORD_KEYS,              /* spool alone: struct spool_keys as text; before START, or before PREPARE when they changed */
	WORD_CHANNEL,           /* fds: memory, wake_a, wake_b; peer; a: enum ipc_end of the receiver; no fds: the operator left */
	WORD_LISTENER,          /* fds: a listening socket; text: name */
	WORD_LISTENER_GONE,     /* text: name */
	WORD_SECRETS,           /* edge: text: a struct role_secrets */
	WORD_START,             /* all of the above were sent; a: how long a lock may be waited for, us */
	WORD_PREPARE,           /* fds: a snapshot; a: generation */
	WORD_COMMIT,            /* what was prepared is now the truth */
	WORD_ABORT,
	WORD_DRAIN,             /* a: 1: take nothing new, but tell nobody to leave yet; 0 follows */
	WORD_STOP,
	WORD_REOPEN,            /* control: reopen event files */
	WORD_ANSWER,            /* control: to a REQUEST; a: its tag; b: exit code, 255: more follows; text; or fds, for who asked */
	WORD_EVENT,             /* control: a line of the master's own; text */
	/* role -> master */
	WORD_WAITING,           /* started, but for the lock of somebody who is about to leave; READY comes */
	WORD_READY,
	WORD_PREPARED,          /* a: generation */
	WORD_FAILED,            /* a: generation (0: start); text: lines */
	WORD_IDLE,
	WORD_BROKEN,            /* peer: wrote nonsense into its ring */
	WORD_REQUEST,           /* control: a: tag; text: words separated by NUL */
	WORDS
};
/* clang-format on */

extern const char *const role_name[ROLE_KINDS];

struct role_message {
	enum role_word word;
	struct role_peer peer;
	uint64_t a, b;
	struct str text; /* received: valid until the next receive */
	int fds[ROLE_FDS];
	unsigned nfds;
};

bool role_find(struct str name, enum role_kind *out);

/* role_send - -1 when the peer is gone or stuck; descriptors stay the caller's */
int role_send(int link, const struct role_message *m, struct fault *why);

/*
 * role_receive - DONE: m is filled, its fds are the caller's; MORE: nothing there; ERROR: the peer
 * is gone or talks nonsense
 */
enum step role_receive(int link, struct role_message *m);

#endif
