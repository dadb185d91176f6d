/*
 * policy_edit - what a handler may change, checked here, staged until it returns normally.
 *
 * What        named operations on the transaction; each is validated when it is called and applied
 *             by policy_edits_apply in the order of the calls, or dropped whole by
 *             policy_edits_drop.
 * Why         Lua cannot invent a state that core has not checked, and a handler that fails has
 *             changed nothing.
 * Invariants  addresses parse as RFC 5321 mailboxes, header names and values as RFC 5322 fields
 *             without bare CR, LF or NUL, routes as next hops. Reads show the envelope as edited so
 *             far (after apply) and the original message.
 * Bounds      POLICY_EDITS staged and applied edits per transaction.
 * Fails       -1 and `why` with a text for the policy's author: nothing was staged.
 */
#ifndef POLICY_EDIT_H
#define POLICY_EDIT_H

#include "fault.h"
#include "policy_view.h"

#define POLICY_EDITS        512
#define POLICY_HEADER_VALUE (16 * 1024)
#define POLICY_NEXT_HOP     256
#define POLICY_RETRY_LEAST  UINT64_C(1000000)
#define POLICY_RETRY_MOST   (UINT64_C(30) * 86400 * 1000000)
#define POLICY_EXPIRE_MOST  (UINT64_C(60) * 86400 * 1000000)

int policy_edit_sender(struct policy_tx *tx, struct str address,
		       struct fault *why); /* "" is the null sender */
int policy_edit_rcpt_add(struct policy_tx *tx, struct str address,
			 struct fault *why); /* permitted by being added */
int policy_edit_rcpt_remove(struct policy_rcpt *r, struct fault *why);
int policy_edit_rcpt_set(struct policy_rcpt *r, struct str address, struct fault *why);
int policy_edit_rcpt_permit(struct policy_rcpt *r, struct fault *why);
int policy_edit_rcpt_route(struct policy_rcpt *r, struct str next_hop, struct fault *why);
/* rcpt NULL: every copy; else this recipient's copy alone. */
int policy_edit_header(struct policy_tx *tx, struct policy_rcpt *rcpt,
		       const struct header_edit *edit, struct fault *why);
int policy_edit_retry(struct policy_tx *tx, struct policy_result *result, uint64_t after_us,
		      struct fault *why);

/* in deliver: from now on, for all recipients of the message */
int policy_edit_schedule(struct policy_tx *tx, const struct policy_schedule *schedule,
			 struct fault *why);

void policy_edits_apply(struct policy_tx *tx);
void policy_edits_drop(struct policy_tx *tx);

/*
 * policy_hop.c: "smtp:192.0.2.1:25", "lmtp:unix:/path", "maildir:/path" and the short
 * "192.0.2.1:25"; false: why says what is expected.
 */
bool policy_next_hop_is_valid(struct str text, struct fault *why);

#endif
