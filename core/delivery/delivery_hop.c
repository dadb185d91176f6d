/*
 * next-hop    = [ "smtp:" / "lmtp:" ] place / "maildir:" path           ; core/policy/policy_hop.c
 * path        = "/" *( byte / placeholder )
 * placeholder = "{local}" / "{domain}" / "{address}"
 */
#include "delivery_hop.h"

#include "policy_edit.h"
#include "step.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

_Static_assert(DELIVERY_HOP_TEXT > POLICY_NEXT_HOP, "what a policy may say has room here");

static const struct str scheme[HOP_KINDS] = {
	[HOP_SMTP] = { "smtp:", 5 },
	[HOP_LMTP] = { "lmtp:", 5 },
	[HOP_MAILDIR] = { "maildir:", 8 },
};

enum placeholder { PLACE_LOCAL, PLACE_DOMAIN, PLACE_ADDRESS, PLACES };

static const struct str place_name[PLACES] = {
	[PLACE_LOCAL] = { "{local}", 7 },
	[PLACE_DOMAIN] = { "{domain}", 8 },
	[PLACE_ADDRESS] = { "{address}", 9 },
};

/* place_take - the placeholder at the front; PLACES: there is none */
static enum placeholder place_take(struct str *text)
{
	for (enum placeholder p = 0; p < PLACES; p++)
		if (str_has_prefix(*text, place_name[p])) {
			*text = str_drop(*text, place_name[p].n);
			return p;
		}
	return PLACES;
}

static int check_places(struct str path, struct fault *why)
{
	for (ptrdiff_t at; (at = str_find(path, '{')) >= 0;) {
		path = str_drop(path, (size_t)at);
		if (place_take(&path) == PLACES)
			return fault_set(
				why, "\"%.*s\": a Maildir knows {local}, {domain} and {address}",
				STR_ARG(str_head(path, 80)));
	}
	return 0;
}

/* has_port - an IPv6 address stands in brackets, its colons are its own */
static bool has_port(struct str place)
{
	ptrdiff_t bracket = str_rfind(place, ']');

	return str_find(str_drop(place, bracket < 0 ? 0 : (size_t)bracket), ':') >= 0;
}

static int parse_place(struct str place, struct net_address *out, struct fault *why)
{
	char text[DELIVERY_HOP_TEXT + sizeof "127.0.0.1:25"];
	struct str host = place;
	int n;

	if (str_has_prefix(place, STR("unix:")))
		return net_address_parse(place, out, why);
	if (str_has_iprefix(place, STR("localhost")))
		host = str_drop(place, strlen("localhost"));
	n = snprintf(text, sizeof text, "%s%.*s%s", host.n < place.n ? "127.0.0.1" : "",
		     STR_ARG(host), has_port(place) ? "" : ":25");
	assert(n > 0 && (size_t)n < sizeof text);
	return net_address_parse((struct str){ text, (size_t)n }, out, why);
}

int delivery_hop_parse(struct str text, struct delivery_hop *out, struct fault *why)
{
	*out = (struct delivery_hop){ .kind = HOP_SMTP };
	if (!policy_next_hop_is_valid(text, why))
		return -1;
	for (enum hop_kind kind = 0; kind < HOP_KINDS; kind++)
		if (str_has_prefix(text, scheme[kind])) {
			out->kind = kind;
			text = str_drop(text, scheme[kind].n);
			break;
		}
	if (out->kind != HOP_MAILDIR)
		return parse_place(text, &out->address, why);
	out->path = text;
	return check_places(text, why);
}

struct str delivery_hop_key(const struct delivery_hop *hop, char text[DELIVERY_HOP_TEXT])
{
	char place[NET_ADDRESS_TEXT];
	struct str rest = hop->kind == HOP_MAILDIR ? hop->path
						   : str_of(net_address_text(&hop->address, place));
	int n = snprintf(text, DELIVERY_HOP_TEXT, "%s%.*s", scheme[hop->kind].p, STR_ARG(rest));

	assert(n > 0 && n < DELIVERY_HOP_TEXT);
	return (struct str){ text, (size_t)n };
}

struct path {
	char *to;
	size_t n;
	bool is_full;
};

static void path_byte(struct path *p, char c)
{
	p->is_full |= p->n == DELIVERY_MAILBOX;
	if (!p->is_full)
		p->to[p->n++] = c;
}

/*
 * path_name - bytes that a peer may have chosen become part of one name
 *
 * Whatever is not plain becomes %XX, '%' too: two mailboxes never share a path, and no path is
 * "..", hidden or deeper. Upper case is folded, because people write their own address both ways
 * and expect one mailbox.
 */
static void path_name(struct path *p, struct str s)
{
	static const char hex[] = "0123456789ABCDEF";

	if (s.n == 0) /* ""@example.org: "{local}.." must not become ".." */
		path_byte(p, '%');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
				(c > ' ' && c < 0x7f && strchr("@+=_-", c)) || (c == '.' && i > 0);

		if (c >= 'A' && c <= 'Z') {
			path_byte(p, (char)(c | 0x20));
		} else if (is_plain) {
			path_byte(p, (char)c);
		} else {
			path_byte(p, '%');
			path_byte(p, hex[c >> 4]);
			path_byte(p, hex[c & 15]);
		}
	}
}

static void path_place(struct path *p, enum placeholder place, const struct address *rcpt)
{
	char local[ADDRESS_LOCAL];

	if (place != PLACE_DOMAIN)
		path_name(p, (struct str){ local, address_unquoted(rcpt, local) });
	if (place == PLACE_ADDRESS)
		path_byte(p, '@');
	if (place != PLACE_LOCAL)
		path_name(p, rcpt->domain);
}

struct str delivery_hop_mailbox(const struct delivery_hop *hop, const struct address *rcpt,
				char path[DELIVERY_MAILBOX])
{
	struct path p = { .to = path };
	struct str rest = hop->path;

	assert(hop->kind == HOP_MAILDIR);
	while (rest.n > 0) {
		enum placeholder place = place_take(&rest);

		if (place != PLACES) {
			path_place(&p, place, rcpt);
		} else {
			path_byte(&p, rest.p[0]);
			rest = str_drop(rest, 1);
		}
	}
	return p.is_full ? STR_NONE : (struct str){ path, p.n };
}

struct str delivery_hop_root(const struct delivery_hop *hop)
{
	ptrdiff_t place = str_find(hop->path, '{');
	struct str root = place < 0 ? hop->path : str_head(hop->path, (size_t)place);

	assert(hop->kind == HOP_MAILDIR);
	if (place >= 0)
		root = str_head(root, (size_t)str_rfind(root, '/') + 1);
	while (root.n > 1 && root.p[root.n - 1] == '/')
		root.n--;
	return root;
}
