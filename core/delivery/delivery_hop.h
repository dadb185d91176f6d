/*
 * delivery_hop - where a recipient goes next, as text and decoded.
 *
 * What        "smtp:192.0.2.1:25", "lmtp:unix:/path", "maildir:/srv/{domain}/{local}" to
 *             something that can be connected to or written to; and the one spelling of it that
 *             serves as the queue's key.
 * Why         192.0.2.1, 192.0.2.1:25 and smtp:192.0.2.1:25 share one pool of connections and one
 *             bound of concurrency.
 * Invariants  the grammar is that of policy_next_hop_is_valid: what a policy or a setting may say
 *             can be decoded here. Names need DNS and are refused, but for localhost. A
 *             placeholder cannot leave its directory: what stands for it has no '/', does not
 *             begin with '.', and differs for different mailboxes.
 * Ownership   path borrows from the text that was parsed.
 */
#ifndef DELIVERY_HOP_H
#define DELIVERY_HOP_H

#include "address.h"
#include "fault.h"
#include "net_address.h"

#define DELIVERY_HOP_TEXT 257 /* the longest next hop, and NUL */
#define DELIVERY_PORT     25
#define DELIVERY_MAILBOX  1024 /* bytes of a path with its placeholders filled in */

enum hop_kind { HOP_SMTP, HOP_LMTP, HOP_MAILDIR, HOP_KINDS };

struct delivery_hop {
	enum hop_kind kind;
	struct net_address address; /* SMTP, LMTP */
	struct str path;            /* MAILDIR, placeholders included */
};

int delivery_hop_parse(struct str text, struct delivery_hop *out, struct fault *why);
struct str delivery_hop_key(const struct delivery_hop *hop, char text[DELIVERY_HOP_TEXT]);

/*
 * delivery_hop_mailbox - the path for one recipient; empty: it would be too long. Upper case
 * becomes lower case.
 */
struct str delivery_hop_mailbox(const struct delivery_hop *hop, const struct address *rcpt,
				char path[DELIVERY_MAILBOX]);

/*
 * delivery_hop_root - the directory that holds every mailbox of this next hop: what the maildir
 * helper is confined to
 */
struct str delivery_hop_root(const struct delivery_hop *hop);

#endif
