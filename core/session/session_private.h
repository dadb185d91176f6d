/*
 * session_private - what the files of core/session share, and nobody else sees.
 *
 * What        the session, as long as its connection and its last question; the server, which owns
 *             all of them.
 * Invariants  by state, atop session.c; session_check() asserts them.
 * Ownership   a session dies at the end of the turn in which `disconnect` was answered.
 * Bounds      the numbers below; session_tx.h.
 */
#ifndef SESSION_PRIVATE_H
#define SESSION_PRIVATE_H

#include "session_tx.h"

#define SESSION_OUT    (16 * 1024)
#define SESSION_ARENA  (16 * 1024) /* what policy says about a connection */
#define SESSION_SPARES 64          /* sessions, transactions kept for reuse */

enum session_state {
	SESSION_READING,
	SESSION_BODY,
	SESSION_ASKING,
	SESSION_SECURING,
	SESSION_SPOOLING,
	SESSION_LEAVING,
	SESSION_DEAD,
	SESSION_STATES
};

struct session {
	struct list node;
	struct session_server *server;
	struct session_config *config;
	struct net_conn *conn; /* NULL from LEAVING on */
	enum session_state state;
	struct smtp_server smtp;
	bool is_skipping;      /* to the end of a line that was too long */
	size_t skip;           /* budget for that */
	const char *stage;     /* the verb that is dealt with, for the events */
	struct session_tx *tx; /* NULL outside a transaction */
	struct policy_conn view;
	struct policy_question question;
	struct policy_generation *pin; /* of a question about the connection */
	struct tls *tls;               /* for the handshake that is about to begin; else NULL */
	bool is_trusted_at_connect;    /* what a hello earned is forgotten with it */
	struct net_deferred death;
	struct arena arena;
	struct session_cause cause;   /* of the last no outside a transaction */
	uint64_t began_us;            /* monotonic */
	uint64_t bytes_in, bytes_out; /* from LEAVING on */
	const char *end;              /* how it ended */
	unsigned accepted, refused;   /* messages */
	char generation[32];          /* the last one that was asked about the connection */
	char helo[ADDRESS_DOMAIN + 1];
	char peer_ip[64], local_ip[64];
};

struct session_server {
	struct net_loop *loop;
	struct policy_set *policies;
	struct session_config *config;
	struct list sessions, dying; /* dying: until the end of the turn */
	struct list spare_sessions, spare_txs;
	unsigned count, nspare_sessions, nspare_txs;
	unsigned sending;      /* sessions in BODY or SPOOLING */
	struct list listeners; /* names; sessions borrow them */
	bool is_draining;
	struct buf line; /* the command that is looked at */
	uint64_t memory; /* charged by transactions */

	enum ipc_room room;        /* what the spool takes, as it said last */
	struct ipc_channel *spool; /* borrowed; NULL: gone */
	uint64_t tags;
	struct map by_tag;
	struct list waiting; /* transactions, by the time they began to wait */
	/* transactions at rest, whose slot is given up when the channel has room */
	struct list aborts;
	struct net_timer patience;
	struct buf text, frame; /* scratch of one submission */
	struct envelope_rcpt rcpts[ENVELOPE_RCPTS];
};

extern const char *const session_state_name[SESSION_STATES];
extern const char *const session_outcome_name[SESSION_OUTCOMES];

/* ---- session.c: states, bytes, commands, the end */

/* peer NULL: who the socket says */
struct session *session_new(struct session_server *server, int fd, struct str listener,
			    const struct net_address *peer);
void session_free(struct session **s);
void session_enter(struct session *s, enum session_state state);
void session_pump(struct session *s);
/*
 * session_do - carry out what the machine says; `by` is the no behind it, or NULL: the machine's
 * own
 */
void session_do(struct session *s, struct smtp_todo todo, const struct session_refusal *by);
void session_stop(struct session *s, enum smtp_stop why, const char *end); /* 421 */
void session_drain(struct session *s);                  /* the same, when nothing is under way */
void session_leave(struct session *s, const char *end); /* closes, and asks `disconnect` */
void session_bury(struct session *s);                   /* it was answered */
void session_check(const struct session *s);

/* ---- session_ask.c: questions and pins */

enum step session_ask(struct session *s, enum policy_hook hook, struct policy_rcpt *rcpt);
void session_unask(struct session *s); /* cancel what is open, let go of the pin */

/* ---- session_tls.c: the way from plain text to TLS */

bool session_tls_open(struct session *s);   /* at birth; false: the session is over */
void session_tls_answer(struct session *s); /* ASK_STARTTLS */
void session_tls_begin(struct session *s);  /* what was said leaves, then the handshake comes */
void session_tls_secured(void *owner);      /* it is over */
/* It failed, or the connection ended in the midst of it. */
void session_tls_ended(struct session *s, enum net_end end, const struct fault *why);
/* At MAIL: what the listener asks for may be another by now. */
void session_tls_renew(struct session *s);

/* ---- session_verdict.c: what an answer means */

void session_decided(struct session *s); /* the verdict is in s->question */
/* one that is illegal at its hook becomes 451 */
void session_verdict_settle(struct policy_question *q);
struct session_refusal session_refusal_own(const char *stage, unsigned code, const char *esc,
					   const char *text);
struct smtp_verdict session_verdict_smtp(const struct verdict *v); /* code 0: yes */

/* ---- session_rcpt.c: sender and recipients */

/* MAIL; false: no memory */
bool session_rcpt_begin(struct session *s, const struct smtp_command *c);
/* NULL: no memory */
struct policy_rcpt *session_rcpt_add(struct session *s, const struct smtp_command *c);
/* refused unasked */
void session_rcpt_note(struct session *s, const struct smtp_command *c,
		       const struct smtp_todo *said);
/*
 * session_rcpt_judge - what our own rules say where no handler refused; without a stage it is yes
 */
struct session_refusal session_rcpt_judge(struct session *s, struct policy_rcpt *r);
bool session_rcpt_overrules(const struct session *s, const struct policy_rcpt *r,
			    const struct verdict *v);

/* ---- session_server.c: what waits for the spool */

void session_server_wait(struct session_tx *tx); /* idempotent */
void session_server_unwait(struct session_tx *tx);
void session_server_tag(struct session_tx *tx); /* idempotent */
void session_server_untag(struct session_tx *tx);

/* ---- session_event.c */

void session_event_session(const struct session *s);

#endif
