/*
 * policy_view - what a handler sees: connection, transaction, recipient, message, attempt, bounce.
 *
 * What        plain structs that session and delivery fill and own; the bridge reads them, and
 *             changes them only through policy_edit.h.
 * Why         one view for both ends: a delivery hook reads tx.helo as an edge hook does, from what
 *             was stored.
 * Ownership   strings live in the connection's or transaction's arena. The bridge's handles link
 *             themselves into `handles` and are cut (target NULL) by policy_handles_cut when the
 *             object ends; using a cut one is an error in Lua, never a crash.
 * Bounds      POLICY_RCPTS recipients; vars: POLICY_VARS keys, POLICY_VARS_BYTES bytes.
 */
#ifndef POLICY_VIEW_H
#define POLICY_VIEW_H

#include "header.h"
#include "id.h"
#include "policy.h"
#include "policy_vars.h"

#define POLICY_RCPTS 1000

/* One per Lua handle, embedded in it. */
struct policy_handle {
	struct list node;
	void *target;
};

void policy_handles_cut(struct list *handles);

struct policy_tls {
	struct str version, cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256"; empty: plain text */
	struct str name;            /* the host name that the client asked for (SNI); empty: none */
	bool is_resumed;
	/* Of the client's certificate; an empty fingerprint: it showed none. */
	struct str fingerprint, subject;
	bool is_verified;
	struct str problem; /* why it is not verified */
};

struct policy_conn {
	struct id id;
	struct str listener;          /* its name in settings */
	struct str peer_ip, local_ip; /* text; "unix" for a Unix socket */
	uint16_t peer_port, local_port;
	struct str helo;                     /* as given; empty before HELO */
	bool is_esmtp, is_trusted, is_local; /* is_local: loopback or Unix socket */
	struct policy_tls tls;
	struct str trust_reason, trust_rule;
	unsigned messages, errors;
	uint64_t started_us; /* wall */
	struct arena *arena;
	struct policy_vars vars;
	struct list handles;
};

struct policy_address {
	struct str text;          /* local@domain in canonical form; empty: the null sender */
	struct str local, domain; /* parts of it; local unquoted */
};

enum rcpt_state { RCPT_ASKED, RCPT_ACCEPTED, RCPT_REFUSED, RCPT_REMOVED };

struct policy_rcpt {
	struct policy_tx *tx;
	unsigned index;
	enum rcpt_state state;
	struct policy_address address; /* as edited */
	struct str original;           /* as the client gave it; empty: added by policy */
	bool is_permitted;
	struct str route;          /* next hop chosen by policy; empty: none */
	struct verdict verdict;    /* of this copy: HOLD, QUARANTINE, DISCARD, late refusals */
	struct header_edit *edits; /* header edits of this copy alone (message_rcpt) */
	unsigned attempts;         /* deliver */
	struct policy_vars vars;
	struct list handles;
};

struct policy_schedule { /* how a message is tried again, in microseconds; 0: as before */
	uint64_t first, longest, expire;
};

struct policy_tx {
	struct id id;
	struct policy_conn *conn; /* NULL in deliver */
	struct policy_generation *generation;
	struct str helo, peer_ip, listener; /* copies: present at both ends */
	struct policy_address sender;       /* as edited */
	struct str sender_original;
	uint64_t size; /* declared by SIZE=, then the real one; 0 unknown */
	bool is_8bit, is_trusted;
	struct str trust_reason, trust_rule;
	struct policy_rcpt **rcpts;
	unsigned nrcpts, room;           /* room: of the list; policy_rcpt_add makes it */
	struct header_edit *edits;       /* applied to every copy, in order */
	uint64_t created_us;             /* wall */
	struct policy_schedule schedule; /* what a delivery hook chose */
	struct arena *arena;
	struct policy_vars vars;
	struct list handles;
	struct policy_edit *staged; /* see policy_edit.h */
	unsigned nstaged, nedits;   /* staged; applied so far */
};

struct policy_msg {
	struct policy_tx *tx;
	struct str header; /* the original block: each field with its CRLF, no empty line */
	struct str body;   /* what of it is in memory: all up to 64 KiB, else its beginning */
	uint64_t size;     /* header, empty line and body; what came so far at `headers` */
	bool is_complete;
	unsigned hops; /* Received fields */
	struct list handles;
};

struct policy_attempt {
	struct str destination;    /* the key */
	struct str next_hop, peer; /* as routed; the address that answered, or empty */
	unsigned number;           /* 1 for the first */
	struct list handles;
};

enum attempt_outcome { ATTEMPT_DELIVERED, ATTEMPT_DEFERRED, ATTEMPT_FAILED, ATTEMPT_OUTCOMES };
extern const char *const attempt_outcome_name[ATTEMPT_OUTCOMES];

struct policy_result {
	struct policy_rcpt *rcpt;
	enum attempt_outcome outcome;
	uint16_t code; /* 0: no reply came */
	struct str esc, text;
	uint64_t age_us;   /* of the message */
	uint64_t retry_us; /* 0: the schedule decides; set by result:retry_in() */
	struct list handles;
};

struct policy_bounce {
	struct str to; /* the original sender */
	struct policy_result **failures;
	unsigned nfailures;
	struct list handles;
};

/*
 * Begin and end of life. Init zeroes, tx takes helo, peer and listener from conn; fini cuts the
 * handles and frees the vars, of the recipients too; everything else dies with the arena.
 */
void policy_conn_init(struct policy_conn *c, struct arena *arena);
void policy_conn_fini(struct policy_conn *c);
void policy_tx_init(struct policy_tx *tx, struct policy_conn *conn, struct arena *arena);
void policy_tx_fini(struct policy_tx *tx);

struct policy_rcpt *policy_rcpt_add(struct policy_tx *tx,
				    struct policy_address address); /* NULL: a bound was reached */
/*
 * For policy_edit.c: one that is not in the list yet, with room kept for it and `ahead` others;
 * then into the list.
 */
struct policy_rcpt *policy_rcpt_make(struct policy_tx *tx, struct policy_address address,
				     unsigned ahead);
void policy_rcpt_link(struct policy_rcpt *r);
bool policy_address_copy(struct arena *a, struct str text,
			 struct policy_address *out); /* parse a mailbox; false: bad or no room */

#endif
