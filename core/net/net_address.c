#include "net_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static sa_family_t family_of(const struct net_address *a)
{
	return a->n < sizeof(sa_family_t) ? AF_UNSPEC : a->u.any.sa_family;
}

static bool is_mapped(const struct net_address *a)
{
	return family_of(a) == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr);
}

static struct in_addr mapped_of(const struct net_address *a)
{
	struct in_addr v4;

	memcpy(&v4, a->u.in6.sin6_addr.s6_addr + 12, sizeof v4);
	return v4;
}

static int wrong(struct str text, struct fault *why)
{
	return fault_set(
		why,
		"\"%.*s\" is not an address: expected 127.0.0.1:25, [2001:db8::1]:25 or unix:/path",
		STR_ARG(str_head(text, 200)));
}

static int parse_unix(struct str path, struct net_address *out, struct fault *why)
{
	if (path.n == 0 || path.p[0] != '/' || str_find(path, '\0') >= 0)
		return fault_set(why, "\"unix:%.*s\": the path of a socket must be absolute",
				 STR_ARG(str_head(path, 200)));
	if (path.n >= sizeof out->u.un.sun_path)
		return fault_set(why, "\"unix:%.*s\": the path of a socket has at most %zu bytes",
				 STR_ARG(str_head(path, 200)), sizeof out->u.un.sun_path - 1);
	out->u.un.sun_family = AF_UNIX;
	memcpy(out->u.un.sun_path, path.p, path.n);
	out->n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
	return 0;
}

static bool parse_host(struct str host, uint16_t port, struct net_address *out)
{
	bool is_six = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	char text[INET6_ADDRSTRLEN];

	if (is_six)
		host = str_head(str_drop(host, 1), host.n - 2);
	if (host.n >= sizeof text || str_find(host, '\0') >= 0)
		return false;
	str_copy(text, sizeof text, host);
	if (is_six) {
		out->u.in6.sin6_family = AF_INET6;
		out->u.in6.sin6_port = htons(port);
		out->n = sizeof out->u.in6;
		return inet_pton(AF_INET6, text, &out->u.in6.sin6_addr) == 1;
	}
	out->u.in.sin_family = AF_INET;
	out->u.in.sin_port = htons(port);
	out->n = sizeof out->u.in;
	return inet_pton(AF_INET, text, &out->u.in.sin_addr) == 1;
}

int net_address_parse(struct str text, struct net_address *out, struct fault *why)
{
	ptrdiff_t colon = str_rfind(text, ':');
	uint64_t port;

	memset(out, 0, sizeof *out);
	if (str_has_prefix(text, STR("unix:")))
		return parse_unix(str_drop(text, 5), out, why);
	if (colon < 0 || !str_u64(str_drop(text, (size_t)colon + 1), UINT16_MAX, &port) ||
	    !parse_host(str_head(text, (size_t)colon), (uint16_t)port, out)) {
		out->n = 0;
		return wrong(text, why);
	}
	return 0;
}

static const char *word(char text[NET_ADDRESS_TEXT], struct str s)
{
	str_copy(text, NET_ADDRESS_TEXT, s);
	return text;
}

const char *net_address_host(const struct net_address *a, char text[NET_ADDRESS_TEXT])
{
	struct in_addr v4;

	switch (family_of(a)) {
	case AF_INET:
		return inet_ntop(AF_INET, &a->u.in.sin_addr, text, NET_ADDRESS_TEXT);
	case AF_INET6:
		if (!is_mapped(a))
			return inet_ntop(AF_INET6, &a->u.in6.sin6_addr, text, NET_ADDRESS_TEXT);
		v4 = mapped_of(a);
		return inet_ntop(AF_INET, &v4, text, NET_ADDRESS_TEXT);
	case AF_UNIX:
		return word(text, STR("unix"));
	}
	return word(text, STR("unknown"));
}

/*
 * path_of - peers that did not bind have no path; the kernel need not terminate one of full
 * length
 */
static struct str path_of(const struct net_address *a)
{
	size_t n = a->n - offsetof(struct sockaddr_un, sun_path);
	const char *path = a->u.un.sun_path;

	if (a->n <= offsetof(struct sockaddr_un, sun_path) || path[0] == '\0')
		return STR_NONE;
	return (struct str){
		path, strnlen(path, n < sizeof a->u.un.sun_path ? n : sizeof a->u.un.sun_path)
	};
}

const char *net_address_text(const struct net_address *a, char text[NET_ADDRESS_TEXT])
{
	char host[NET_ADDRESS_TEXT];

	switch (family_of(a)) {
	case AF_INET:
	case AF_INET6:
		net_address_host(a, host);
		snprintf(text, NET_ADDRESS_TEXT, strchr(host, ':') ? "[%.100s]:%u" : "%.100s:%u",
			 host, (unsigned)net_address_port(a));
		return text;
	case AF_UNIX:
		snprintf(text, NET_ADDRESS_TEXT, "unix:%.*s", STR_ARG(path_of(a)));
		return text;
	}
	return word(text, STR("unknown"));
}

uint16_t net_address_port(const struct net_address *a)
{
	switch (family_of(a)) {
	case AF_INET:
		return ntohs(a->u.in.sin_port);
	case AF_INET6:
		return ntohs(a->u.in6.sin6_port);
	}
	return 0;
}

static bool is_loopback(struct in_addr v4)
{
	return ntohl(v4.s_addr) >> 24 == 127;
}

bool net_address_is_local(const struct net_address *a)
{
	switch (family_of(a)) {
	case AF_INET:
		return is_loopback(a->u.in.sin_addr);
	case AF_INET6:
		return is_mapped(a) ? is_loopback(mapped_of(a))
				    : IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr);
	case AF_UNIX:
		return true;
	}
	return false;
}
