#include "received.h"

#include "date.h"

#include <string.h>

#define HELO_MOST 255 /* of what the client said */
#define NAME_MOST 255

/*
 * add_clean - only what a Domain or an address literal is made of: no blank, parenthesis,
 * semicolon, quote
 */
static bool add_clean(struct buf *b, struct str s, size_t most)
{
	static const char others[] = ".-_:[]";
	char text[HELO_MOST];

	s = str_head(s, most);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool is_alnum =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		text[i] = is_alnum || memchr(others, c, sizeof others - 1) ? c : '?';
	}
	return buf_add(b, s.n ? (struct str){ text, s.n } : STR("unknown"));
}

/*
 * TCP-info = address-literal / ( Domain FWS address-literal ); a Unix socket has none: a plain
 * comment
 */
static bool add_peer(struct buf *b, const struct received *r)
{
	bool is_ipv6 = str_find(r->peer_ip, ':') >= 0;

	if (r->peer_ip.n == 0)
		return buf_add(b, STR("(unix socket)"));
	return buf_add(b, STR("(")) && add_clean(b, r->peer_name, NAME_MOST) &&
	       buf_add(b, is_ipv6 ? STR(" [IPv6:") : STR(" [")) &&
	       add_clean(b, r->peer_ip, NAME_MOST) && buf_add(b, STR("])"));
}

/*
 * Time-stamp-line = "Received:" FWS Stamp <CRLF>
 * Stamp           = From-domain By-domain Opt-info [CFWS] ";" FWS date-time
 * From-domain     = "FROM" FWS Extended-Domain
 * By-domain       = CFWS "BY" FWS Extended-Domain
 * Opt-info        = [Via] [With] [ID] [For] [Additional-Registered-Clauses]
 */
static bool add_stamp(struct buf *b, const struct received *r)
{
	char id[ID_TEXT + 1], date[DATE_TEXT];

	return buf_add(b, STR("Received: from ")) && add_clean(b, r->helo, HELO_MOST) &&
	       buf_add(b, STR("\r\n\t")) && add_peer(b, r) && buf_add(b, STR("\r\n\tby ")) &&
	       add_clean(b, r->host, NAME_MOST) &&
	       buf_printf(b, " with %.*s id %s", STR_ARG(r->protocol), id_text(r->id, id)) &&
	       (r->tls_version.n == 0 ||
		buf_printf(b, "\r\n\t(version=%.*s cipher=%.*s)", STR_ARG(r->tls_version),
			   STR_ARG(r->tls_cipher))) &&
	       (r->rcpt.n == 0 || buf_printf(b, "\r\n\tfor <%.*s>", STR_ARG(r->rcpt))) &&
	       buf_printf(b, ";\r\n\t%s\r\n", date_write(r->wall_us, date));
}

bool received_write(struct buf *b, const struct received *r)
{
	size_t before = buf_len(b);
	bool fits = add_stamp(b, r);

	if (!fits)
		b->tail = b->head + before;
	return fits;
}

/* Return-path-line = "Return-Path:" FWS Reverse-path <CRLF> */
bool received_return_path(struct buf *b, struct str sender)
{
	return buf_printf(b, "Return-Path: <%.*s>\r\n", STR_ARG(sender));
}
