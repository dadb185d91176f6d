/*
 * next-hop = [ "smtp:" / "lmtp:" ] place / "maildir:" path
 * place    = host [ ":" port ] / "unix:" path
 * host     = IPv4 / "[" IPv6 "]" / "localhost"         ; names need DNS, which nobody asks here
 * path     = "/" *byte                                 ; printable, without "/../"
 */
#include "policy_edit.h"

#include "address.h"

#include <string.h>

#define UNIX_PATH 107 /* sun_path, with its NUL */
#define PORT_MOST 65535

static bool refuse(struct fault *why, struct str text, const char *because)
{
	(void)fault_set(why,
			"\"%.*s\" is not a next hop: %s; like \"smtp:192.0.2.1:25\", "
			"\"[2001:db8::1]:25\", \"lmtp:unix:/path\", "
			"\"maildir:/path\"",
			STR_ARG(str_head(text, 80)), because);
	return false;
}

static bool path_is_valid(struct str path, size_t most)
{
	struct str rest = path, part;
	bool more = true;

	if (path.n < 2 || path.n > most || path.p[0] != '/')
		return false;
	for (size_t i = 0; i < path.n; i++)
		if ((unsigned char)path.p[i] < ' ' || path.p[i] == 0x7f)
			return false;
	while (more) {
		more = str_take(&rest, '/', &part);
		if (!more)
			part = rest;
		if (str_eq(part, STR("..")))
			return false;
	}
	return true;
}

static bool literal_is_valid(struct str before, struct str ip, enum address_domain want)
{
	char text[ADDRESS_DOMAIN];
	enum address_domain kind;
	size_t n = 0;

	if (before.n + ip.n + 1 > sizeof text)
		return false;
	memcpy(text, before.p, before.n);
	n = before.n;
	if (ip.n)
		memcpy(text + n, ip.p, ip.n);
	n += ip.n;
	text[n++] = ']';
	return address_domain_parse((struct str){ text, n }, &kind) == ADDRESS_OK && kind == want;
}

/*
 * place_split - host and port; an IPv6 address stands in brackets, so that its colons are its own
 */
static bool place_split(struct str text, struct str *host, struct str *port)
{
	ptrdiff_t end = text.n && text.p[0] == '[' ? str_find(text, ']') : -1;
	ptrdiff_t colon = str_find(str_drop(text, end < 0 ? 0 : (size_t)end), ':');

	if (text.n && text.p[0] == '[' && end < 0)
		return false;
	if (end > 0 && colon > 1)
		return false;
	*host = colon < 0 ? text : str_head(text, (size_t)colon + (end < 0 ? 0 : (size_t)end));
	*port = colon < 0 ? STR("25") : str_drop(text, host->n + 1);
	return true;
}

static bool host_is_valid(struct str host)
{
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		return literal_is_valid(STR("[IPv6:"), (struct str){ host.p + 1, host.n - 2 },
					ADDRESS_DOMAIN_IPV6);
	return str_ieq(host, STR("localhost")) ||
	       literal_is_valid(STR("["), host, ADDRESS_DOMAIN_IPV4);
}

bool policy_next_hop_is_valid(struct str text, struct fault *why)
{
	struct str rest = text, host, port;
	uint64_t number;

	if (text.n > POLICY_NEXT_HOP)
		return refuse(why, text, "it is too long");
	if (str_has_prefix(rest, STR("maildir:")))
		return path_is_valid(str_drop(rest, 8), POLICY_NEXT_HOP) ||
		       refuse(why, text, "a Maildir has an absolute path");
	if (str_has_prefix(rest, STR("smtp:")) || str_has_prefix(rest, STR("lmtp:")))
		rest = str_drop(rest, 5);
	if (str_has_prefix(rest, STR("unix:")))
		return path_is_valid(str_drop(rest, 5), UNIX_PATH) ||
		       refuse(why, text, "a Unix socket has an absolute path of at most 107 bytes");
	if (!place_split(rest, &host, &port) || !host_is_valid(host))
		return refuse(why, text,
			      "its host is no IPv4 address, [IPv6 address] or \"localhost\"");
	if (!str_u64(port, PORT_MOST, &number) || number == 0)
		return refuse(why, text, "its port is not between 1 and 65535");
	return true;
}
