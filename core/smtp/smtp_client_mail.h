/*
 * smtp_client_mail - one mail through an established session: is it fit, MAIL, RCPT, DATA, the
 * final replies. For smtp_client.c only.
 *
 * Where a function answers true, *out is something to do.
 */
#ifndef SMTP_CLIENT_MAIL_H
#define SMTP_CLIENT_MAIL_H

#include "smtp_client.h"

bool smtp_client_mail_begin(struct smtp_client *c, struct smtp_client_todo *out);
bool smtp_client_mail_next(struct smtp_client *c, struct str *in, struct buf *buf,
                           struct smtp_client_todo *out);
bool smtp_client_mail_final(struct smtp_client *c, struct smtp_client_todo *out);
void smtp_client_mail_early(struct smtp_client *c);

/* smtp_client_mail_owed - the recipient whose final reply comes next; n: none */
unsigned smtp_client_mail_owed(const struct smtp_client *c);

#endif
