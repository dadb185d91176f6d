/*
 * net_address - where a socket is, or goes to.
 *
 * What        "127.0.0.1:25", "[2001:db8::1]:25", "unix:/path" to a socket address and back.
 * Invariants  numeric only, never a look-up. IPv4-mapped IPv6 is shown and treated as IPv4. What
 *             the kernel could not tell (n is 0) is shown as "unknown" and is not local.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fault.h"
#include "str.h"

struct net_address {
	socklen_t n;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
};

#define NET_ADDRESS_TEXT 128

/* -1: `why` says what was expected. Port 0 is accepted: the kernel chooses. A path is absolute. */
int net_address_parse(struct str text, struct net_address *out, struct fault *why);
const char *net_address_text(const struct net_address *a, char text[NET_ADDRESS_TEXT]);
/* Only the host: "127.0.0.1", "2001:db8::1", "unix". */
const char *net_address_host(const struct net_address *a, char text[NET_ADDRESS_TEXT]);
uint16_t net_address_port(const struct net_address *a); /* 0 for a Unix socket */
bool net_address_is_local(const struct net_address *a); /* loopback or a Unix socket */

#endif
