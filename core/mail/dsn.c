#include "dsn.h"

#include "date.h"
#include "header.h"

#include <stdio.h>
#include <string.h>

#define BOUNDARY     (ID_TEXT + 16)
#define FIELD_PREFIX 32 /* "smtp; ", "rfc822; " */
#define QP_LINE      76 /* RFC 2045 6.7 (5) */

/* ---- status codes */

/* one number of a status code: 1*3DIGIT without leading zeros (RFC 3463 2) */
static bool take_number(struct str *text, uint16_t *out)
{
	uint64_t value;
	size_t n = 0;

	while (n < text->n && text->p[n] >= '0' && text->p[n] <= '9')
		n++;
	if (n > 3 || (n > 1 && *text->p == '0') || !str_u64(str_head(*text, n), 999, &value))
		return false;
	*text = str_drop(*text, n);
	*out = (uint16_t)value;
	return true;
}

static bool take_dot(struct str *text)
{
	bool is_there = str_has_prefix(*text, STR("."));

	*text = str_drop(*text, is_there);
	return is_there;
}

/* status-code = class "." subject "." detail   class = "2" / "4" / "5" */
bool dsn_status_take(struct str *text, struct dsn_status *out)
{
	struct str s = *text;
	uint16_t of_class, subject, detail;

	if (!take_number(&s, &of_class) || !take_dot(&s) || !take_number(&s, &subject) ||
	    !take_dot(&s) || !take_number(&s, &detail))
		return false;
	if (of_class != 2 && of_class != 4 && of_class != 5)
		return false;
	if (s.n && *s.p != ' ')
		return false;
	*text = str_drop(s, 1);
	*out = (struct dsn_status){ (uint8_t)of_class, subject, detail };
	return true;
}

bool dsn_status_parse(struct str text, struct dsn_status *out)
{
	return str_find(text, ' ') < 0 && dsn_status_take(&text, out);
}

/* ---- lines */

/* clean - printable ASCII on one line, whatever a peer said; cut at `most` */
static struct str clean(struct str s, char *to, size_t most)
{
	s = str_head(str_trim(s), most);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool is_blank = c == '\t' || c == '\r' || c == '\n';

		to[i] = is_blank ? ' ' : c < ' ' || c > '~' ? '?' : (char)c;
	}
	return str_trim((struct str){ to, s.n });
}

static bool add_field(struct buf *b, const char *name, const char *prefix, struct str value)
{
	char text[FIELD_PREFIX + DSN_DIAGNOSTIC];
	size_t n = strlen(prefix);

	memcpy(text, prefix, n);
	value = clean(value, text + n, DSN_DIAGNOSTIC);
	if (value.n) /* trimmed at its front: close the gap */
		memmove(text + n, value.p, value.n);
	return header_write(b, str_of(name), (struct str){ text, n + value.n });
}

/* A field that says nothing is left out. */
static bool add_optional(struct buf *b, const char *name, const char *prefix, struct str value)
{
	return value.n == 0 || add_field(b, name, prefix, value);
}

static bool add_date(struct buf *b, const char *name, uint64_t wall_us)
{
	char text[DATE_TEXT];

	return wall_us == 0 || add_field(b, name, "", str_of(date_write(wall_us, text)));
}

/* ---- boundary */

static bool has(struct str s, struct str needle)
{
	for (ptrdiff_t at; s.n >= needle.n && (at = str_find(s, *needle.p)) >= 0;
	     s = str_drop(s, (size_t)at + 1))
		if (str_has_prefix(str_drop(s, (size_t)at), needle))
			return true;
	return false;
}

/*
 * make_boundary - only the original's header may hold a line that begins with it; our own lines
 * cannot
 */
static struct str make_boundary(const struct dsn *d, char text[BOUNDARY])
{
	char id[ID_TEXT + 1];
	struct str boundary;
	unsigned n = 0;

	id_text(&d->id, id);
	do
		boundary =
			(struct str){ text, (size_t)snprintf(text, BOUNDARY, "=_%s.%u", id, n++) };
	while (has(d->header, boundary));
	return boundary;
}

static bool add_part(struct buf *b, struct str boundary, const char *type)
{
	return buf_printf(b, "\r\n--%.*s\r\nContent-Type: %s\r\n", STR_ARG(boundary), type);
}

/* ---- the message's own header */

static bool has_action(const struct dsn *d, enum dsn_action action)
{
	for (unsigned i = 0; i < d->nrcpts; i++)
		if (d->rcpts[i].action == action)
			return true;
	return false;
}

static bool add_top(struct buf *b, const struct dsn *d, struct str boundary)
{
	bool is_failure = has_action(d, DSN_FAILED);
	char text[BOUNDARY + 80], host[DSN_DIAGNOSTIC], id[ID_TEXT + 1];
	struct str clean_host = clean(d->host, host, 255);
	int n = snprintf(text, sizeof text,
			 "multipart/report; report-type=delivery-status; boundary=\"%.*s\"",
			 STR_ARG(boundary));

	return buf_printf(b, "From: Mail Delivery System <MAILER-DAEMON@%.*s>\r\n",
			  STR_ARG(clean_host)) &&
	       buf_printf(b, "To: <%.*s>\r\n", STR_ARG(d->to)) &&
	       add_field(b, "Subject", "",
			 is_failure ? STR("Undelivered mail returned to sender")
				    : STR("Delivery of your mail is delayed")) &&
	       add_date(b, "Date", d->wall_us) &&
	       buf_printf(b, "Message-ID: <%s@%.*s>\r\n", id_text(&d->id, id),
			  STR_ARG(clean_host)) &&
	       add_field(b, "Auto-Submitted", "", STR("auto-replied")) &&
	       add_field(b, "MIME-Version", "", STR("1.0")) &&
	       add_field(b, "Content-Type", "", (struct str){ text, (size_t)n });
}

/* ---- for people */

static const char *const introductions[] = {
	[DSN_FAILED] = "Your message could not be delivered to the following recipients.\r\n"
		       "It will not be tried again.\r\n",
	[DSN_DELAYED] = "Your message has not yet been delivered to the following recipients.\r\n"
			"This is a warning only: it will be tried again by itself.\r\n",
};

static bool add_people_of(struct buf *b, const struct dsn *d, enum dsn_action action)
{
	bool fits = !has_action(d, action) || buf_printf(b, "\r\n%s", introductions[action]);

	for (unsigned i = 0; fits && i < d->nrcpts; i++) {
		const struct dsn_rcpt *r = &d->rcpts[i];
		char final[DSN_DIAGNOSTIC], reason[DSN_DIAGNOSTIC];
		struct str who = clean(r->final, final, sizeof final);
		struct str why = clean(r->diagnostic, reason, sizeof reason);

		if (r->action == action)
			fits = buf_printf(b, "\r\n    <%.*s>\r\n        %.*s\r\n", STR_ARG(who),
					  STR_ARG(why));
	}
	return fits;
}

static bool add_people(struct buf *b, const struct dsn *d, struct str boundary)
{
	char host[DSN_DIAGNOSTIC];
	struct str clean_host = clean(d->host, host, 255);

	return add_part(b, boundary, "text/plain; charset=us-ascii") &&
	       buf_printf(b, "\r\nThis is the mail gateway at %.*s.\r\n", STR_ARG(clean_host)) &&
	       add_people_of(b, d, DSN_FAILED) && add_people_of(b, d, DSN_DELAYED) &&
	       buf_add(b, STR("\r\nThe header of your message follows below.\r\n"));
}

/* ---- for programs */

/*
 * per-message-fields = [ original-envelope-id-field CRLF ] reporting-mta-field CRLF
 *                      [ dsn-gateway-field CRLF ] [ received-from-mta-field CRLF ]
 *                      [ arrival-date-field CRLF ]
 *                      *( extension-field CRLF )
 */
static bool add_message_fields(struct buf *b, const struct dsn *d)
{
	return add_optional(b, "Original-Envelope-Id", "", d->envelope_id) &&
	       add_field(b, "Reporting-MTA", "dns; ", d->host) &&
	       add_date(b, "Arrival-Date", d->arrived_us) &&
	       add_optional(b, "X-Moongate-Id", "", d->original_id);
}

/*
 * per-recipient-fields = [ original-recipient-field CRLF ] final-recipient-field CRLF
 *                        action-field CRLF status-field CRLF [ remote-mta-field CRLF ]
 *                        [ diagnostic-code-field CRLF ] [ last-attempt-date-field CRLF ]
 *                        [ final-log-id-field CRLF ] [ will-retry-until-field CRLF ]
 *                        *( extension-field CRLF )
 */
static bool add_rcpt_fields(struct buf *b, const struct dsn_rcpt *r)
{
	struct str none = r->action == DSN_FAILED ? STR("5.0.0") : STR("4.0.0");
	struct dsn_status status;

	return buf_add(b, STR("\r\n")) && add_optional(b, "Original-Recipient", "", r->original) &&
	       add_field(b, "Final-Recipient", "rfc822; ", r->final) &&
	       add_field(b, "Action", "",
			 r->action == DSN_FAILED ? STR("failed") : STR("delayed")) &&
	       add_field(b, "Status", "",
			 dsn_status_parse(r->status, &status) ? r->status : none) &&
	       add_optional(b, "Remote-MTA", "dns; ", r->remote_mta) &&
	       add_optional(b, "Diagnostic-Code", r->is_reply ? "smtp; " : "x-moongate; ",
			    r->diagnostic) &&
	       add_date(b, "Last-Attempt-Date", r->attempted_us) &&
	       (r->action == DSN_FAILED || add_date(b, "Will-Retry-Until", r->retry_until_us));
}

static bool add_programs(struct buf *b, const struct dsn *d, struct str boundary)
{
	bool fits = add_part(b, boundary, "message/delivery-status") && buf_add(b, STR("\r\n")) &&
		    add_message_fields(b, d);

	for (unsigned i = 0; fits && i < d->nrcpts; i++)
		fits = add_rcpt_fields(b, &d->rcpts[i]);
	return fits;
}

/* ---- what it is about */

/* cut - as many whole fields as fit */
static struct str cut(struct str header)
{
	struct str rest = header;
	struct header_field field;
	size_t n = 0;

	while (header_take(&rest, &field) && n + field.whole.n <= DSN_HEADER)
		n += field.whole.n;
	return str_head(header, n);
}

/* is_plain - printable ASCII, no line too long for SMTP, and every line ends with CRLF */
static bool is_plain(struct str header)
{
	while (header.n) {
		ptrdiff_t n = str_find(header, '\r');

		if (n < 0 || n > HEADER_LINE ||
		    !str_has_prefix(str_drop(header, (size_t)n), STR("\r\n")))
			return false;
		for (ptrdiff_t i = 0; i < n; i++)
			if (header.p[i] != '\t' && (header.p[i] < ' ' || header.p[i] > '~'))
				return false;
		header = str_drop(header, (size_t)n + 2);
	}
	return true;
}

/*
 * add_quoted_printable - RFC 2045 6.7: blanks at a line's end are encoded, soft line breaks keep
 * lines within QP_LINE
 */
static bool add_quoted_printable(struct buf *b, struct str s)
{
	size_t column = 0;
	bool fits = true;

	while (fits && s.n) {
		unsigned char c = (unsigned char)*s.p;
		bool is_last = str_has_prefix(str_drop(s, 1), STR("\r\n"));
		bool is_literal =
			(c > ' ' && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !is_last);

		if (str_has_prefix(s, STR("\r\n"))) {
			fits = buf_add(b, STR("\r\n"));
			s = str_drop(s, 2);
			column = 0;
			continue;
		}
		if (column + (is_literal ? 1 : 3) > QP_LINE - 1) {
			fits = buf_add(b, STR("=\r\n"));
			column = 0;
		}
		fits = fits && (is_literal ? buf_byte(b, (char)c) : buf_printf(b, "=%02X", c));
		column += is_literal ? 1 : 3;
		s = str_drop(s, 1);
	}
	return fits;
}

static bool add_original(struct buf *b, const struct dsn *d, struct str boundary)
{
	struct str header = cut(d->header);
	bool fits = add_part(b, boundary, "text/rfc822-headers");

	if (is_plain(header))
		fits = fits && buf_add(b, STR("\r\n")) && buf_add(b, header);
	else
		fits = fits &&
		       buf_add(b, STR("Content-Transfer-Encoding: quoted-printable\r\n\r\n")) &&
		       add_quoted_printable(b, header);
	return fits && buf_printf(b, "\r\n--%.*s--\r\n", STR_ARG(boundary));
}

bool dsn_write(struct buf *b, const struct dsn *d)
{
	size_t before = buf_len(b);
	char text[BOUNDARY];
	struct str boundary = make_boundary(d, text);
	bool fits = add_top(b, d, boundary) && add_people(b, d, boundary) &&
		    add_programs(b, d, boundary) && add_original(b, d, boundary);

	if (!fits)
		b->tail = b->head + before;
	return fits;
}
