/*
 * master - binds ports, starts and watches the roles, keeps the committed snapshot; never reads a
 * byte from a peer.
 *
 * What        the process that `moongate serve` becomes. Roles are forked and executed anew (fresh
 *             addresses after every crash), get their
 *             descriptors over their link, and are replaced with back-off when they end.
 * Why         whatever happens to one role, the others go on and the rules stay those that were
 *             committed.
 * Invariants  a reload changes every role or none. A role that (re)starts gets the committed
 *             snapshot. The master never waits.
 * Read next   master_role.c starts and watches; master_reload.c changes the rules; master_upgrade.c
 *             hands over to a new program, master_successor.c takes over; master_request.c
 *             answers the operator.
 */
#ifndef MASTER_H
#define MASTER_H

#include "counter.h"
#include "ipc_channel.h"
#include "net_listen.h"
#include "role_link.h"
#include "role_secrets.h"
#include "settings.h"
#include "snapshot.h"
#include "spool_key.h"

#define MASTER_ROLES           128
#define MASTER_HISTORY         4 /* snapshots kept for rollback, the active one too */
#define MASTER_BACKOFF_LONGEST (5 * CLOCK_SECOND)
#define MASTER_STEADY          (10 * CLOCK_SECOND) /* who lived that long restarts at once */
#define MASTER_PREPARE         (10 * CLOCK_SECOND) /* for all roles to load a snapshot */
#define MASTER_LOAD                                                                                \
	(60 * CLOCK_SECOND) /* for the loader: it has CPU time of its own to be cut by */
#define MASTER_LOCK (10 * CLOCK_SECOND) /* for the spool's lock: longer than ROLE_ORPHAN */
/* the same, as a successor: as long as the predecessor takes */
#define MASTER_LOCK_SUCCESSOR (180 * CLOCK_SECOND)
#define MASTER_STOP           (3 * CLOCK_SECOND) /* from STOP to SIGKILL */

struct master;

/* WAITING: ready, but for a lock that a predecessor holds */
enum master_role_state {
	MASTER_ROLE_DOWN,
	MASTER_ROLE_STARTING,
	MASTER_ROLE_WAITING,
	MASTER_ROLE_READY
};

struct master_role {
	struct master *master;
	enum role_kind kind;
	unsigned index, slot;
	enum master_role_state state;
	int pid, link;
	struct net_watch watch;
	struct net_timer restart;
	uint64_t started_us, backoff_us;
	unsigned restarts;
	bool is_prepared, is_idle,
		is_aborted; /* of the running reload; after DRAIN; by the watchdog */
	bool is_leaving;    /* for the one of our successor */
};

struct master_listener {
	char name[128];
	char address[NET_ADDRESS_TEXT];
	int fd;
	bool is_new; /* opened for a reload that is not committed yet */
};

struct master_snapshot {
	int fd;
	unsigned number, of; /* the generation; the one it repeats after a rollback, or itself */
	char hash[17];
	uint64_t wall_us;
	struct snapshot map;
	struct arena arena;
	struct settings settings;
};

enum master_phase { MASTER_STARTING, MASTER_SERVING, MASTER_DRAINING, MASTER_STOPPING };
extern const char *const master_phase_name[];

struct master_options {
	const char *settings_path;
	const char *last_known_good; /* a directory with rules to fall back to at boot; or NULL */
	const char
		*program;  /* argv[0]: with a slash in it, the path where a new version will lie */
	bool is_successor; /* executed by a running master, which is at ROLE_LINK_FD */
};

struct master {
	const char *settings_path;
	char program[4096];
	struct net_loop *loop;
	enum master_phase phase;
	int exe; /* our own program, to be executed for every role */
	int slab_fd;
	struct counter_slab *slabs;
	struct master_role roles[MASTER_ROLES];
	unsigned nroles;
	struct master_listener listeners[SETTINGS_LISTENERS];
	unsigned nlisteners;
	int control_fd;                           /* the listening control socket; -1: none */
	char control_path[128], spool_path[4096]; /* of the predecessor */
	struct spool_keys *keys, *next_keys; /* of the spool; NULL: none; of the running reload */
	struct role_secrets *secrets;        /* for the edges alone */
	struct master_snapshot *history[MASTER_HISTORY]; /* [0] is the committed one */
	unsigned next_number;
	struct net_watch signals;
	struct net_timer tick, deadline;
	uint64_t started_us;
	bool announced;
	int keeper; /* the child that writes the committed snapshot; 0: none */
	bool is_keep_due;
	char refusal[1024];             /* why the rules are the last known good ones */
	size_t refusal_n;               /* 0: they are those of the settings */
	enum role_kind draining;        /* who drains now: edges, then deliver, then the spool */
	struct master_reload *reload;   /* NULL: none ran yet */
	struct master_upgrade *upgrade; /* NULL: none ran yet */
	struct net_watch predecessor;
	bool is_successor, is_proved;
	bool is_held;      /* the predecessor still takes all sessions */
	bool is_succeeded; /* somebody else is the service now */
	int exit_code;
};

/* master_serve - the life of the master; the exit code */
int master_serve(const struct master_options *options);

/* master_role.c */
void master_role_add(struct master *m, enum role_kind kind, unsigned index);
void master_role_start(struct master_role *r);
void master_role_ended(struct master *m, int pid, int status);
void master_role_watchdog(struct master *m);
int master_role_tell(struct master_role *r, const struct role_message *message);
void master_tell_all(struct master *m, enum role_kind kind,
		     enum role_word word); /* ROLE_KINDS: everybody */
struct master_role *master_role_find(struct master *m, enum role_kind kind, unsigned index);
bool master_all_ready(const struct master *m);

/* master_listen.c */
int master_listen_open(struct master *m, const struct settings *s, struct fault *why);
void master_listen_commit(struct master *m, const struct settings *s);
void master_listen_abort(struct master *m);
int master_listen_control(struct master *m, const struct settings *s, struct fault *why);
void master_listen_give(struct master *m, struct master_role *edge);
void master_listen_give_control(struct master_role *control);

/* master_reload.c */
struct master_snapshot *master_snapshot_take(int fd, unsigned number,
					     struct fault *why); /* takes fd */
void master_snapshot_free(struct master_snapshot **s);
void master_reload_begin(struct master *m, uint64_t tag, bool has_asker);
void master_rollback_begin(struct master *m, uint64_t tag, bool has_asker);
void master_reload_word(struct master_role *r,
			const struct role_message *word); /* PREPARED, FAILED */
bool master_reload_runs(const struct master *m);
void master_reload_role_ended(struct master *m, const struct master_role *r);

/* master_keys.c */
/* what the settings name, into next_keys */
int master_keys_read(struct master *m, const struct settings *s, struct fault *why);
bool master_keys_have_changed(const struct master *m);
void master_keys_commit(struct master *m);
void master_keys_abort(struct master *m);
/* to the spool; for other roles it does nothing */
void master_keys_give(struct master_role *r, const struct spool_keys *keys);

/* master_keep.c */
void master_keep(struct master *m);
bool master_keep_reaped(struct master *m, int pid, int status);
int master_kept_take(struct master *m, const char *dir, struct str refusal, struct fault *why);
void master_kept_say(const struct master *m);

/* master_request.c */
void master_request(struct master *m, const struct role_message *request);
void master_answer(struct master *m, uint64_t tag, unsigned code, struct str text);

/* master_operator.c */
void master_operator_comes(struct master *m, uint64_t tag, struct str version);
void master_operator_leaves(struct master *m);

/* master.c */
void master_drain(struct master *m);
void master_stop(struct master *m, int exit_code);
void master_word(struct master_role *r, const struct role_message *word);
void master_ready(struct master_role *r);
void master_announce(struct master *m); /* if all is ready: it serves */

#endif
