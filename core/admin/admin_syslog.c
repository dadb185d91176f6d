#include "admin_syslog.h"

#include "step.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FACILITY_MAIL 2
#define FRONT         256 /* bytes of a line in which its first fields are */
#define MSGID         32  /* RFC 5424 6.2.7 */
#define TIMESTAMP     32

void admin_syslog_init(struct admin_syslog *s, struct str hostname)
{
	*s = (struct admin_syslog){ .pid = (int)getpid() };
	(void)str_copy(s->hostname, sizeof s->hostname, hostname);
}

/* field - the value of a string field among the first of a line that log.c wrote; empty when it is
 * not there */
static struct str field(struct str line, const char *key)
{
	struct str front = str_head(line, FRONT), value;
	size_t n = strlen(key);

	for (size_t i = 0; i + n <= front.n; i++) {
		if (memcmp(front.p + i, key, n) != 0)
			continue;
		front = str_drop(front, i + n);
		return str_take(&front, '"', &value) ? value : STR_NONE;
	}
	return STR_NONE;
}

/* token_of - at most `most` bytes of PRINTUSASCII, or the NILVALUE */
static void token_of(struct str s, char *to, size_t most)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n < most; i++)
		if (s.p[i] > ' ' && s.p[i] < 0x7f)
			to[n++] = s.p[i];
	if (n == 0)
		to[n++] = '-';
	to[n] = '\0';
}

static unsigned severity_of(struct str line)
{
	static const struct {
		const char *level;
		unsigned severity;
	} levels[] = { { "debug", 7 }, { "info", 6 }, { "warn", 4 }, { "error", 3 } };
	struct str level = field(line, "\"level\":\"");

	for (size_t i = 0; i < COUNT(levels); i++)
		if (str_eq(level, str_of(levels[i].level)))
			return levels[i].severity;
	return 6;
}

/*
 * HEADER          = PRI VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID
 * SYSLOG-MSG      = HEADER SP STRUCTURED-DATA [SP MSG]                    ; RFC 5424, 6
 */
size_t admin_syslog_header(const struct admin_syslog *s, struct str line,
			   char header[ADMIN_SYSLOG_HEADER])
{
	char time[TIMESTAMP + 1], host[ADMIN_SYSLOG_HOST + 1], event[MSGID + 1];
	int n;

	token_of(field(line, "\"time\":\""), time, TIMESTAMP);
	token_of(str_of(s->hostname), host, ADMIN_SYSLOG_HOST);
	token_of(field(line, "\"event\":\""), event, MSGID);
	n = snprintf(header, ADMIN_SYSLOG_HEADER, "<%u>1 %s %s moongate %d %s - ",
		     FACILITY_MAIL * 8 + severity_of(line), time, host, s->pid, event);
	return n > 0 ? (size_t)n : 0;
}

ssize_t admin_syslog_send(const struct admin_syslog *s, int fd, struct str line)
{
	char header[ADMIN_SYSLOG_HEADER];
	struct iovec parts[] = {
		{ header, admin_syslog_header(s, line, header) },
		{ (void *)(uintptr_t)line.p, line.n },
	};
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = COUNT(parts) };

	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}
