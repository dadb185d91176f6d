/*
 * smtp_client_core - what every phase of the client needs: the setter, replies, and results. For
 * smtp_client*.c only.
 *
 * Invariants  a reply that decides several recipients stays in hand until the sweep is over; a
 *             session ends in one place.
 */
#ifndef SMTP_CLIENT_CORE_H
#define SMTP_CLIENT_CORE_H

#include "smtp_client.h"

void smtp_client_enter(struct smtp_client *c, enum smtp_client_phase phase);
enum smtp_stage smtp_client_stage(const struct smtp_client *c);
struct smtp_client_todo smtp_client_todo_of(const struct smtp_client *c,
                                            enum smtp_client_what what);
enum smtp_outcome smtp_client_outcome(int code);
void smtp_client_say(struct buf *out, struct str verb, struct str argument);

void smtp_client_sweep(struct smtp_client *c, enum smtp_outcome outcome);
bool smtp_client_sweep_next(struct smtp_client *c, struct smtp_client_todo *out);
struct smtp_client_todo smtp_client_result(struct smtp_client *c, unsigned rcpt,
                                           enum smtp_outcome outcome, enum smtp_stage stage);
struct smtp_client_todo smtp_client_settle(struct smtp_client *c);

void smtp_client_end(struct smtp_client *c, enum smtp_outcome outcome);
void smtp_client_end_ours(struct smtp_client *c, const char *esc, struct str why);
bool smtp_client_is_early(struct smtp_client *c, struct str *in);
enum step smtp_client_reply(struct smtp_client *c, struct str *in);

#endif
