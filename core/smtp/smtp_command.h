/*
 * smtp_command - what a line from a client means.
 *
 * What        verb, argument, path, parameters; or the first thing that is wrong with it, as a
 *             flaw.
 * Why         grammar is decided here, order and policy elsewhere: parsing looks at nothing but
 *             the line and our offers.
 * Invariants  every line gives a command. Without a flaw: all bytes printable ASCII, the argument
 *             fits the verb's grammar, path and params are filled for MAIL and RCPT. More spaces
 *             than the grammar has are tolerated behind the verb, between parameters and at the
 *             end of the line; around the colon of FROM: and TO: there are none (RFC 5321 3.3).
 * Ownership   slices borrow from the line.
 * Bounds      the line's length; SMTP_PARAMS.
 * Read next   smtp_server.c, which answers it.
 */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "address.h"
#include "smtp_params.h"

/* clang-format off */
enum smtp_verb {
	VERB_UNKNOWN,             /* 500 */
	VERB_FOREIGN,             /* another protocol: GET, POST, CONNECT... */
	VERB_HELO, VERB_EHLO, VERB_LHLO,
	VERB_MAIL, VERB_RCPT, VERB_DATA,
	VERB_RSET, VERB_NOOP, VERB_VRFY, VERB_EXPN, VERB_HELP, VERB_QUIT,
	VERB_STARTTLS,
	VERB_AUTH, VERB_BDAT,     /* of extensions: 502 as long as they are not offered */
	VERB_OTHER,               /* a verb of some RFC that is never spoken here: 502 */
	VERBS
};

enum smtp_flaw {
	FLAW_NONE,
	FLAW_BYTES,               /* control bytes, or bytes from 0x80 on */
	FLAW_NO_ARGUMENT,         /* one is needed */
	FLAW_ARGUMENT,            /* none is allowed */
	FLAW_KEYWORD,             /* not "FROM:" or "TO:" */
	FLAW_SPACE,               /* a space behind the colon */
	FLAW_SENDER,              /* the path of MAIL; `why` says more */
	FLAW_RECIPIENT,           /* the path of RCPT */
	FLAW_8BIT,                /* a path that needs SMTPUTF8 */
	FLAW_PARAMS,              /* not key=value, too many, twice, or not the value it must have */
	FLAW_PARAM_UNKNOWN,
	FLAWS
};
/* clang-format on */

struct smtp_command {
	enum smtp_verb verb;
	enum smtp_flaw flaw;
	const char *why;          /* a few words about the flaw, static; or NULL */
	struct str argument;      /* behind the verb, without spaces at both ends */
	bool is_domain;           /* HELO, EHLO, LHLO: a Domain or an address literal */
	bool has_routing;         /* RCPT: '%', '!' or '@' in the local part */
	struct address path;
	struct smtp_params params;
};

void smtp_command_parse(struct str line, const struct smtp_offers *offers,
                        struct smtp_command *out);

const char *smtp_verb_name(enum smtp_verb verb); /* "MAIL"; "command": it has no name of its own */

#endif
