/*
 * address - the mailboxes and paths of SMTP.
 *
 * What        RFC 5321 4.1.2: Reverse-path, Forward-path, Mailbox; quoted local parts, address
 *             literals, source routes (read and dropped), the null path, <postmaster>. And the one
 *             spelling of a mailbox that may be compared.
 * Why         RFC 5322 addresses (comments, folding, groups, obsolete forms) are another grammar
 *             and never mean a recipient.
 * Invariants  a parsed address passes every limit below; its parts are slices of what was parsed.
 *             Bytes from 0x80 on have a verdict of their own until SMTPUTF8 is spoken.
 * Ownership   borrows from the text it was parsed from; address_copy puts it into an arena.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include "arena.h"

#define ADDRESS_LOCAL 64                /* octets as written, RFC 5321 4.5.3.1.1 */
#define ADDRESS_DOMAIN 255              /* 4.5.3.1.2 */
#define ADDRESS_LABEL 63                /* RFC 1035 2.3.4 */
#define ADDRESS_PATH 256                /* with '<', '>' and a source route, 4.5.3.1.3 */
#define ADDRESS_TEXT (ADDRESS_PATH - 2) /* so a mailbox has at most these */

enum address_verdict {
	ADDRESS_OK,
	ADDRESS_SYNTAX,
	ADDRESS_LOCAL_LONG,
	ADDRESS_DOMAIN_LONG,            /* the domain or one of its labels */
	ADDRESS_PATH_LONG,
	ADDRESS_8BIT,                   /* legal only with SMTPUTF8 */
	ADDRESS_VERDICTS
};

enum address_kind {
	ADDRESS_NULL,                   /* <> */
	ADDRESS_POSTMASTER,             /* <postmaster>, without a domain */
	ADDRESS_MAILBOX,
};

enum address_domain {
	ADDRESS_DOMAIN_NONE,
	ADDRESS_DOMAIN_NAME,
	ADDRESS_DOMAIN_IPV4,            /* [192.0.2.1] */
	ADDRESS_DOMAIN_IPV6,            /* [IPv6:2001:db8::1] */
	ADDRESS_DOMAIN_GENERAL,         /* [tag:content] */
};

struct address {
	enum address_kind kind;
	enum address_domain domain_kind;
	struct str text;                /* local@domain as written; empty: the null path */
	struct str local;               /* as written, a quoted one with its quotes */
	struct str domain;              /* as written, a literal with its brackets */
};

/* What may stand between '<' and '>' besides a mailbox. */
enum address_path { ADDRESS_REVERSE /* nothing */, ADDRESS_FORWARD /* postmaster */ };

/* address_take - consume a path, '<' to '>', from the front; anything but OK leaves `in` alone */
enum address_verdict address_take(struct str *in, enum address_path path, struct address *out);

/*
 * address_parse - the whole of text is a mailbox, without '<' and '>': for settings, maps and
 * policies
 */
enum address_verdict address_parse(struct str text, struct address *out);

/*
 * address_domain_parse - the whole of text is a Domain or an address literal: for HELO, EHLO and
 * settings
 */
enum address_verdict address_domain_parse(struct str text, enum address_domain *kind);

/* a few words for a reply: "syntax error in address" */
const char *address_reason(enum address_verdict verdict);

/*
 * address_write - the canonical text: quotes only where they are needed, the domain and the local
 * part "postmaster" in lower case. Returns its length; no NUL. Equal mailboxes have equal texts (an
 * IPv6 literal keeps its spelling, but for case).
 */
size_t address_write(const struct address *a, char text[ADDRESS_TEXT]);

/* address_unquoted - the local part without quotes and backslashes; returns its length */
size_t address_unquoted(const struct address *a, char local[ADDRESS_LOCAL]);

/*
 * address_copy - canonical text in the arena, and slices into it; false: the arena's cap is reached
 */
bool address_copy(struct arena *arena, const struct address *a, struct address *out);

/* Would a careless relay route by it? '%', '!' or '@' in the unquoted local part. */
bool address_has_routing(const struct address *a);
/* the domain is an address literal */
bool address_is_literal(const struct address *a);
bool address_is_eq(const struct address *a, const struct address *b);

#endif
