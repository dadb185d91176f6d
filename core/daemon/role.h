/*
 * role - one process of the gateway, seen from inside.
 *
 * What        the kinds, their names, the state every role has (loop, link to the master, settings,
 *             log sink), and the ops that
 *             make an edge an edge.
 * Why         start, reload, drain and the master's death are the same for all; they are written
 *             once, here.
 * Invariants  nothing from a peer is read before the sandbox is closed. A role never outlives its
 *             master by more than
 *             ROLE_ORPHAN. Settings and snapshot change only in commit.
 * Ownership   `struct role` lives as long as the process.
 * Read next   role_link.h, the words between master and role; role_edge.c for the shortest complete
 *             one.
 */
#ifndef ROLE_H
#define ROLE_H

#include "counter.h"
#include "ipc_channel.h"
#include "queue.h"
#include "role_link.h"
#include "settings.h"
#include "snapshot.h"

#define ROLE_ORPHAN         (5 * CLOCK_SECOND)
#define ROLE_SETTINGS_BYTES (8 * 1024 * 1024)

struct role_state {      /* one committed or prepared state of the rules */
	int fd;          /* the snapshot; -1: none */
	unsigned number; /* of the generation */
	struct snapshot snapshot;
	struct arena arena;
	struct settings settings;
};

struct role;

struct role_ops {
	/*
	 * Everything is there but the channels' peers: open what is needed, role_enter_sandbox(),
	 * be ready: DONE; MORE: role_ready() or role_failed() comes later.
	 */
	enum step (*start)(struct role *r, struct fault *why);
	/* A channel to a peer, the first one or a replacement; takes c. NULL: the operator left. */
	void (*channel)(struct role *r, struct role_peer peer, struct ipc_channel *c);
	void (*frame)(struct role *r, struct role_peer peer, const struct ipc_frame *frame);
	void (*writable)(struct role *r, struct role_peer peer);
	/* Reload: -1 with lines in errors refuses; then commit or abort follows. */
	int (*prepare)(struct role *r, struct role_state *next, struct buf *errors);
	void (*commit)(struct role *r); /* r->state is the new one already */
	void (*abort)(struct role *r);
	void (*listener)(struct role *r, struct str name, int fd); /* takes fd */
	void (*listener_gone)(struct role *r, struct str name);
	void (*word)(struct role *r,
		     const struct role_message *m); /* REOPEN, ANSWER, EVENT; KEYS */
	/* then role_idle() when nothing is left; twice when r->is_gentle the first time */
	void (*drain)(struct role *r);
	void (*stop)(
		struct role *r); /* now: flush what must be flushed; the process exits after it */
};

struct role {
	enum role_kind kind;
	unsigned index;
	const struct role_ops *ops;
	void *self; /* the kind's own */
	struct net_loop *loop;
	struct net_watch link;
	struct net_timer beat, orphan, drained;
	bool (*is_idle)(const struct role *r); /* while draining: is nothing left to do? */
	struct role_state state, next;
	struct ipc_channel *events; /* to control; NULL: standard error */
	uint64_t patience_us;       /* how long start may wait for a lock */
	bool is_draining;
	bool is_gentle; /* so far: who is at rest may stay */
	bool is_orphan; /* the master is gone */
};

extern const struct role_ops role_edge_ops, role_spool_ops, role_deliver_ops, role_control_ops,
	role_maildir_ops;

/* role_spool.c: as the settings say; file and owner are the caller's to fill in */
struct queue_options role_spool_queue_options(const struct settings *s);
struct spool_options role_spool_options(const struct settings *s);

/* role_main - the whole life of a role process; fd 3 is the link */
int role_main(const char *name, unsigned index);

int role_enter_sandbox(struct role *r, struct fault *why);
void role_ready(struct role *r);
/* role_failed - what start could not do: says why, and ends the process */
_Noreturn void role_failed(struct role *r, const struct fault *why);
void role_idle(struct role *r); /* tells the master that nothing is left to do */
/* role_drain_until - look again and again, and tell the master when it is so */
void role_drain_until(struct role *r, bool (*is_idle)(const struct role *r));
void role_tell(struct role *r, const struct role_message *m); /* to the master */

#endif
