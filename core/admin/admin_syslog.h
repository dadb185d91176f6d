/*
 * admin_syslog - one event line as one RFC 5424 message.
 *
 * What        SYSLOG-MSG in front of the JSON line: facility mail, severity, time and message id
 *             from the line's own fields.
 * Invariants  the header is made of printable ASCII whatever the line holds; the line itself is
 *             JSON, one line by construction.
 */
#ifndef ADMIN_SYSLOG_H
#define ADMIN_SYSLOG_H

#include <sys/types.h>

#include "buf.h"

#define ADMIN_SYSLOG_PATH   "/dev/log"
#define ADMIN_SYSLOG_HOST   255 /* RFC 5424 6.2.4 */
#define ADMIN_SYSLOG_HEADER 512

struct admin_syslog {
	char hostname[ADMIN_SYSLOG_HOST + 1];
	int pid;
};

void admin_syslog_init(struct admin_syslog *s, struct str hostname);
/* admin_syslog_header - everything before the line, with its last blank; returns its length */
size_t admin_syslog_header(const struct admin_syslog *s, struct str line,
			   char header[ADMIN_SYSLOG_HEADER]);
/* admin_syslog_send - one datagram; -1 and errno */
ssize_t admin_syslog_send(const struct admin_syslog *s, int fd, struct str line);

#endif
