/*
 * smtp_server - the receiving side of RFC 5321 (and of LMTP, RFC 2033) as a pure state machine.
 *
 * What        one event goes in (a command, a verdict, the end of data, a limit), one thing to do
 *             comes out.
 * Why         no socket, clock or allocation: a dialogue on paper is a test.
 * Invariants  every command earns exactly one reply; no command is taken while a question is
 *             open; BODY implies an accepted recipient; the only road to 250 behind the data is
 *             smtp_server_durable(). Several events of a session at once cannot be: each call
 *             returns what to do before the next is allowed.
 * Ownership   embedded by value in its session; nothing to release. `host`, limits and texts are
 *             borrowed.
 * Bounds      struct smtp_limits; a limit that is reached earns 421, and the session is over.
 * Read next   session/session.c, which carries out each smtp_todo; tests/dialogue/README.md,
 *             sessions on paper.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "smtp_command.h"
#include "smtp_data.h"
#include "smtp_line.h"

struct smtp_limits {
	uint32_t commands;         /* per session */
	uint32_t errors;           /* per session: commands answered for their form or order */
	uint32_t refusals;         /* per session: senders and recipients refused for good */
	uint32_t junk;             /* NOOP, RSET, VRFY, HELP, another EHLO; a message makes up */
	uint32_t messages;         /* per session: MAIL accepted */
	uint32_t recipients;       /* per message: accepted; then 452 4.5.3 */
	uint64_t size;             /* octets of a message, announced as SIZE; 0: none */
	bool routing;              /* % ! @ in a recipient's local part are for policy to judge */
};

/*
 * 20 errors, 100 refusals, 100 junk commands, 10,000 commands, 1,000 messages, 1,000 recipients,
 * 50 MiB, no routing
 */
extern const struct smtp_limits smtp_limits_default;

/* clang-format off */
enum smtp_phase {
	SMTP_GREETING,             /* connected, nothing said */
	SMTP_START,                /* 220 said */
	SMTP_READY,                /* hello said, no transaction */
	SMTP_MAIL,                 /* sender accepted */
	SMTP_RCPT,                 /* and at least one recipient */
	SMTP_BODY,                 /* 354 said; octets of the message come */
	SMTP_ENDED,                /* the message is whole; its replies are owed */
	SMTP_SECURING,             /* the handshake of TLS runs: no word is understood */
	SMTP_DENIED,               /* refused at connect or behind the handshake: waits for QUIT (RFC 5321 3.1) */
	SMTP_OVER,                 /* nothing is said any more */
	SMTP_PHASES
};

enum smtp_question {
	SMTP_ASK_NONE, SMTP_ASK_CONNECT, SMTP_ASK_HELLO, SMTP_ASK_MAIL, SMTP_ASK_RCPT, SMTP_ASK_DATA,
	SMTP_ASK_MESSAGE,
	SMTP_ASK_STARTTLS,         /* of the driver: can TLS begin now? */
	SMTP_ASK_TLS               /* it has begun: smtp_server_secured() */
};

enum smtp_tls {
	SMTP_TLS_OFF,
	SMTP_TLS_OFFERED,          /* STARTTLS (RFC 3207) */
	SMTP_TLS_REQUIRED,         /* and no mail without it: 530 */
	SMTP_TLS_IMPLICIT,         /* from the first byte (RFC 8314); the greeting comes behind it */
};

enum smtp_what {
	SMTP_ASK,                  /* `asking` says what: smtp_server_verdict() answers */
	SMTP_REPLY,                /* smtp_server_write(), go on with the next command */
	SMTP_REPLY_BODY,           /* smtp_server_write(), then the octets of the message come */
	SMTP_REPLY_SECURE,         /* smtp_server_write(), then the handshake; smtp_server_secured() when it is over */
	SMTP_SECURE,               /* the same, with nothing to write */
	SMTP_NOTHING,              /* go on with the next command */
	SMTP_REPLY_CLOSE,          /* smtp_server_write(), then close */
	SMTP_CLOSE,                /* close without a word */
};
/* clang-format on */

struct smtp_todo {
	enum smtp_what what;
	uint16_t code;
	uint32_t times;            /* how often it is said: once, but for LMTP behind the data */
	bool is_hello;             /* the reply lists what is offered */
	struct str esc, text;
};

/* What policy says. code 0: yes. 4xx, 5xx: no. is_drop: and close. */
struct smtp_verdict {
	uint16_t code;
	bool is_drop;
	struct str esc, text;      /* empty: a default */
};

enum smtp_stop { SMTP_STOP_TIMEOUT, SMTP_STOP_DRAIN, SMTP_STOP_TROUBLE, SMTP_STOPS };

struct smtp_server {
	enum smtp_phase phase;
	enum smtp_question asking;
	enum smtp_verb verb;       /* whose question is open */
	enum smtp_verb hello;      /* the hello that was accepted; VERB_UNKNOWN: none yet */
	bool is_lmtp;
	enum smtp_tls tls;
	bool is_secure;            /* the handshake is over */
	struct {
		uint16_t code;     /* 0: nothing */
		char esc[12];
		struct str text;
	} denial;                  /* not said yet; `text` is borrowed until the end */
	uint32_t recipients;       /* accepted in this transaction */
	uint32_t owed;             /* replies behind the data: 1, or one per recipient in LMTP */
	uint32_t commands, errors, refusals, junk, messages;
	struct smtp_offers offers; /* of our EHLO; policy may clear bits while ASK_HELLO is open */
	const struct smtp_limits *limits;
	struct str host;
};

void smtp_server_init(struct smtp_server *s, struct str host, const struct smtp_limits *limits,
                      bool is_lmtp);

/* Before connect; OFF unless it is called. In the midst of a session: from the next MAIL on. */
void smtp_server_tls(struct smtp_server *s, enum smtp_tls tls);

struct smtp_todo smtp_server_connect(struct smtp_server *s); /* first; asks ASK_CONNECT */
/* What smtp_command_parse() is to know now: nothing before EHLO. */
const struct smtp_offers *smtp_server_offers(const struct smtp_server *s);
struct smtp_todo smtp_server_command(struct smtp_server *s, const struct smtp_command *c);
/* Instead of a command: bytes that are no line. */
struct smtp_todo smtp_server_line(struct smtp_server *s, enum smtp_line_flaw flaw);
struct smtp_todo smtp_server_verdict(struct smtp_server *s, const struct smtp_verdict *v);

/*
 * In SECURING, when the handshake is over: what was known of the client is forgotten (RFC 3207
 * 4.2). Asks ASK_TLS, or says what was refused at connect.
 */
struct smtp_todo smtp_server_secured(struct smtp_server *s);

/* In BODY, when smtp_data is over: asks ASK_MESSAGE, or refuses a flawed message at once. */
struct smtp_todo smtp_server_end(struct smtp_server *s, enum smtp_data_flaw flaw);
/*
 * Answers ASK_MESSAGE with 250: only behind a durable commit, or where a rule discards. LMTP: for
 * the next recipient.
 */
struct smtp_todo smtp_server_durable(struct smtp_server *s, struct str text);

/* At any time, a question open or not (cancel it first): 421 and close. */
struct smtp_todo smtp_server_stop(struct smtp_server *s, enum smtp_stop why);
struct smtp_todo smtp_server_abort(struct smtp_server *s);

/*
 * smtp_server_write - the reply of a todo; false: `out` is too full, call again with the same
 * todo when it has room
 */
bool smtp_server_write(const struct smtp_server *s, struct smtp_todo *todo, struct buf *out);
#define SMTP_SERVER_ROOM 2048 /* one reply is sure to fit, with a text of at most 400 bytes */

void smtp_server_check(const struct smtp_server *s); /* asserts what is true in its phase */
const char *smtp_phase_name(enum smtp_phase phase);

#endif
