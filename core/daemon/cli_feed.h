/*
 * cli_feed - the operator's way into a queue, for messages that were in one before.
 *
 * What        a channel to the spool of the running daemon, which control socket and master bring
 *             about; or, where none runs, to a child of ours that opens the spool under its lock
 *             and owner's rights. Either way: put messages, hear what became of them.
 * Why         one protocol, the one that edges speak (ipc/ipc_carry.h): the same bounds, the same
 *             promise. landed() says STORED only when the message would survive a power cut.
 * Invariants  at most CLI_FEED_WINDOW messages are under way. landed() runs inside put and close.
 *             A body longer than IPC_BODY_INLINE streams, CLI_FEED_PIECE bytes at a time.
 * Fails       the other side is gone: put says -1, what it was said in; what had not landed may be
 *             there or not, and is KNOWN when it comes again.
 */
#ifndef CLI_FEED_H
#define CLI_FEED_H

#include "cli.h"
#include "ipc_carry.h"

#define CLI_FEED_WINDOW 128
#define CLI_FEED_PIECE  (32 * 1024)

struct cli_feed;

enum cli_feed_outcome { CLI_FEED_STORED, CLI_FEED_KNOWN, CLI_FEED_REFUSED };

struct cli_feed_message {
	struct ipc_carry carry; /* its body is filled in by put */
	uint64_t body_length;
	/* -1: it cannot be read, and was said */
	int (*read)(void *arg, uint64_t offset, char *to, size_t n);
	void *arg;
};

/* text: why it was refused */
typedef void cli_feed_landed(void *arg, uint64_t cookie, enum cli_feed_outcome outcome,
			     struct str text);

/* NULL: why was said, *code is the exit code */
struct cli_feed *cli_feed_open(const struct cli *c, cli_feed_landed *landed, void *arg, int *code);
/* Everything of m is copied. -1: the other side is gone. */
int cli_feed_put(struct cli_feed *f, struct cli_feed_message *m, uint64_t cookie);
/* Waits for what is under way; 0, or the exit code when the other side was gone before. */
int cli_feed_close(struct cli_feed **f);

/* cli_store.c: run the spool of these settings in a child of ours, which talks over fds, is ready,
 * or complains, on link[1], and ends when link[0] is closed; returns its pid */
int cli_store_fork(const struct settings *s, const int link[2], struct ipc_channel_fds *fds);

/* cli_lock.c: who holds the lock of that spool, as "process 123 (moongate)"; false: nobody known */
bool cli_lock_holder(const char *directory, char *out, size_t size);

#endif
