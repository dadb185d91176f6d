#include "address.h"

#include <string.h>

/* clang-format off */
static const char *const reasons[ADDRESS_VERDICTS] = {
	[ADDRESS_OK]          = "address is well formed",
	[ADDRESS_SYNTAX]      = "syntax error in address",
	[ADDRESS_LOCAL_LONG]  = "local part is longer than 64 octets",
	[ADDRESS_DOMAIN_LONG] = "domain is longer than 255 octets, or a label longer than 63",
	[ADDRESS_PATH_LONG]   = "path is longer than 256 octets",
	[ADDRESS_8BIT]        = "address holds bytes outside ASCII",
};
/* clang-format on */

const char *address_reason(enum address_verdict verdict)
{
	return reasons[verdict];
}

/* ---- characters */

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(unsigned char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Let-dig = ALPHA / DIGIT */
static bool is_let_dig(unsigned char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_ldh(unsigned char c)
{
	return is_let_dig(c) || c == '-';
}

/* atext of RFC 5322 3.2.3 */
static bool is_atext(unsigned char c)
{
	return is_let_dig(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* dcontent = %d33-90 / %d94-126 */
static bool is_dcontent(unsigned char c)
{
	return c > ' ' && c < 0x7f && (c < '[' || c > ']');
}

static bool is_visible(unsigned char c)
{
	return c >= ' ' && c < 0x7f;
}

static size_t span(struct str s, bool (*is)(unsigned char))
{
	size_t n = 0;

	while (n < s.n && is((unsigned char)s.p[n]))
		n++;
	return n;
}

static bool at(struct str s, char c)
{
	return s.n > 0 && *s.p == c;
}

static bool take_char(struct str *s, char c)
{
	bool is_there = at(*s, c);

	if (is_there)
		*s = str_drop(*s, 1);
	return is_there;
}

/* between - what was consumed of `before` to leave `after` */
static struct str between(struct str before, struct str after)
{
	return str_head(before, before.n - after.n);
}

/* stumble - the verdict where the grammar ends but the text goes on */
static enum address_verdict stumble(struct str rest)
{
	return rest.n && (unsigned char)*rest.p >= 0x80 ? ADDRESS_8BIT : ADDRESS_SYNTAX;
}

/* ---- local part */

/* Dot-string = Atom *("." Atom)   Atom = 1*atext */
static enum address_verdict take_dot_string(struct str *s)
{
	do {
		size_t n = span(*s, is_atext);

		*s = str_drop(*s, n);
		if (n == 0 || (s->n && (unsigned char)*s->p >= 0x80))
			return stumble(*s);
	} while (take_char(s, '.'));
	return ADDRESS_OK;
}

/*
 * Quoted-string  = DQUOTE *QcontentSMTP DQUOTE
 * QcontentSMTP   = qtextSMTP / quoted-pairSMTP
 * quoted-pairSMTP = %d92 %d32-126
 * qtextSMTP      = %d32-33 / %d35-91 / %d93-126
 */
static enum address_verdict take_quoted_string(struct str *s)
{
	if (!take_char(s, '"'))
		return ADDRESS_SYNTAX;
	while (!take_char(s, '"')) {
		(void)take_char(s, '\\');
		if (!s->n || !is_visible((unsigned char)*s->p))
			return stumble(*s);
		*s = str_drop(*s, 1);
	}
	return ADDRESS_OK;
}

/* Local-part = Dot-string / Quoted-string */
static enum address_verdict take_local(struct str *s, struct str *local)
{
	struct str before = *s;
	enum address_verdict verdict = at(*s, '"') ? take_quoted_string(s) : take_dot_string(s);

	*local = between(before, *s);
	if (verdict == ADDRESS_OK && local->n > ADDRESS_LOCAL)
		verdict = ADDRESS_LOCAL_LONG;
	return verdict;
}

/* ---- domain */

/*
 * Domain     = sub-domain *("." sub-domain)
 * sub-domain = Let-dig [Ldh-str]
 * Ldh-str    = *( ALPHA / DIGIT / "-" ) Let-dig
 */
static enum address_verdict take_name(struct str *s, struct str *domain)
{
	struct str before = *s;
	bool is_long = false;

	do {
		size_t n = span(*s, is_ldh);

		if (n == 0 || *s->p == '-' || s->p[n - 1] == '-')
			return stumble(str_drop(*s, n));
		is_long = is_long || n > ADDRESS_LABEL;
		*s = str_drop(*s, n);
	} while (take_char(s, '.'));
	*domain = between(before, *s);
	if (s->n && (unsigned char)*s->p >= 0x80)
		return ADDRESS_8BIT;
	return is_long || domain->n > ADDRESS_DOMAIN ? ADDRESS_DOMAIN_LONG : ADDRESS_OK;
}

/* IPv4-address-literal = Snum 3("."  Snum)   Snum = 1*3DIGIT, 0 to 255 */
static bool is_ipv4(struct str s)
{
	for (int i = 0; i < 4; i++) {
		size_t n = span(s, is_digit);
		uint64_t value;

		if (n > 3 || !str_u64(str_head(s, n), 255, &value))
			return false;
		s = str_drop(s, n);
		if (i < 3 && !take_char(&s, '.'))
			return false;
	}
	return s.n == 0;
}

/*
 * IPv6-addr = IPv6-full / IPv6-comp / IPv6v4-full / IPv6v4-comp
 * IPv6-full = IPv6-hex 7(":" IPv6-hex)   IPv6-hex = 1*4HEXDIG
 * IPv6-comp = [IPv6-hex *5(":" IPv6-hex)] "::" [IPv6-hex *5(":" IPv6-hex)]   "::" stands for two
 * groups at least The v4 forms end with an IPv4 address in place of two groups.
 */
static bool is_ipv6(struct str s)
{
	bool has_gap = str_has_prefix(s, STR("::"));
	unsigned groups = 0;

	if (has_gap)
		s = str_drop(s, 2);
	while (s.n) {
		size_t n = span(s, is_hex);

		if (is_ipv4(s)) {
			groups += 2;
			break;
		}
		if (n == 0 || n > 4)
			return false;
		groups++;
		s = str_drop(s, n);
		if (s.n && (!take_char(&s, ':') || s.n == 0))
			return false;
		if (at(s, ':')) {
			if (has_gap)
				return false;
			has_gap = take_char(&s, ':');
		}
	}
	return has_gap ? groups <= 6 : groups == 8;
}

/*
 * General-address-literal = Standardized-tag ":" 1*dcontent   Standardized-tag = Ldh-str
 * No tag but IPv6 is registered. One of hexadecimal digits only is an IPv6 address without its tag:
 * refused.
 */
static bool is_general(struct str s)
{
	size_t n = span(s, is_ldh);

	return n > span(s, is_hex) && s.p[n - 1] != '-' && s.n > n + 1 && s.p[n] == ':';
}

/*
 * address-literal = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal )
 * "]"
 */
static enum address_verdict take_literal(struct str *s, enum address_domain *kind)
{
	static const struct str ipv6 = { "IPv6:", 5 };
	struct str inside;

	if (!take_char(s, '['))
		return stumble(*s);
	inside = str_head(*s, span(*s, is_dcontent));
	*s = str_drop(*s, inside.n);
	if (!take_char(s, ']'))
		return stumble(*s);
	if (is_ipv4(inside))
		*kind = ADDRESS_DOMAIN_IPV4;
	else if (str_has_iprefix(inside, ipv6) && is_ipv6(str_drop(inside, ipv6.n)))
		*kind = ADDRESS_DOMAIN_IPV6;
	else if (!str_has_iprefix(inside, ipv6) && is_general(inside))
		*kind = ADDRESS_DOMAIN_GENERAL;
	else
		return ADDRESS_SYNTAX;
	return ADDRESS_OK;
}

static enum address_verdict take_domain(struct str *s, struct str *domain,
					enum address_domain *kind)
{
	struct str before = *s;
	enum address_verdict verdict;

	if (!at(*s, '[')) {
		*kind = ADDRESS_DOMAIN_NAME;
		return take_name(s, domain);
	}
	verdict = take_literal(s, kind);
	*domain = between(before, *s);
	return verdict == ADDRESS_OK && domain->n > ADDRESS_DOMAIN ? ADDRESS_DOMAIN_LONG : verdict;
}

/* ---- mailbox and path */

/*
 * take_mailbox - Mailbox = Local-part "@" ( Domain / address-literal ); with `path` FORWARD also
 * "postmaster"
 */
static enum address_verdict take_mailbox(struct str *s, enum address_path path, struct address *out)
{
	struct str before = *s;
	enum address_verdict verdict = take_local(s, &out->local);

	out->kind = ADDRESS_MAILBOX;
	if (verdict != ADDRESS_OK)
		return verdict;
	if (take_char(s, '@'))
		verdict = take_domain(s, &out->domain, &out->domain_kind);
	else if (path == ADDRESS_FORWARD && str_ieq(out->local, STR("postmaster")))
		out->kind = ADDRESS_POSTMASTER;
	else
		verdict = stumble(*s);
	out->text = between(before, *s);
	return verdict;
}

/*
 * A-d-l     = At-domain *( "," At-domain )   At-domain = "@" Domain
 * RFC 5321 appendix C: accepted and ignored.
 */
static enum address_verdict take_route(struct str *s)
{
	enum address_verdict verdict;
	struct str domain;

	do {
		if (!take_char(s, '@'))
			return stumble(*s);
		verdict = take_name(s, &domain);
		if (verdict != ADDRESS_OK)
			return verdict;
	} while (take_char(s, ','));
	return take_char(s, ':') ? ADDRESS_OK : stumble(*s);
}

/* Path = "<" [ A-d-l ":" ] Mailbox ">"   Reverse-path = Path / "<>" */
enum address_verdict address_take(struct str *in, enum address_path path, struct address *out)
{
	struct str s = *in;
	struct address address = { .kind = ADDRESS_NULL };
	enum address_verdict verdict = ADDRESS_OK;
	bool has_route;

	if (!take_char(&s, '<'))
		return stumble(s);
	has_route = at(s, '@');
	if (has_route)
		verdict = take_route(&s);
	if (verdict == ADDRESS_OK && (path == ADDRESS_FORWARD || has_route || !at(s, '>')))
		verdict = take_mailbox(&s, has_route ? ADDRESS_REVERSE : path, &address);
	if (verdict != ADDRESS_OK)
		return verdict;
	if (!take_char(&s, '>'))
		return stumble(s);
	if (between(*in, s).n > ADDRESS_PATH)
		return ADDRESS_PATH_LONG;
	*in = s;
	*out = address;
	return ADDRESS_OK;
}

enum address_verdict address_parse(struct str text, struct address *out)
{
	struct address address = { .kind = ADDRESS_NULL };
	enum address_verdict verdict = take_mailbox(&text, ADDRESS_REVERSE, &address);

	if (verdict == ADDRESS_OK && text.n)
		verdict = stumble(text);
	if (verdict == ADDRESS_OK && address.text.n > ADDRESS_TEXT)
		verdict = ADDRESS_PATH_LONG;
	if (verdict == ADDRESS_OK)
		*out = address;
	return verdict;
}

enum address_verdict address_domain_parse(struct str text, enum address_domain *kind)
{
	enum address_domain found;
	struct str domain;
	enum address_verdict verdict = take_domain(&text, &domain, &found);

	if (verdict == ADDRESS_OK && text.n)
		verdict = stumble(text);
	if (verdict == ADDRESS_OK)
		*kind = found;
	return verdict;
}

/* ---- the canonical spelling */

size_t address_unquoted(const struct address *a, char local[ADDRESS_LOCAL])
{
	struct str s = a->local;
	size_t n = 0;

	if (!at(s, '"')) {
		memcpy(local, s.n ? s.p : "", s.n);
		return s.n;
	}
	for (size_t i = 1; i + 1 < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		local[n++] = s.p[i];
	}
	return n;
}

static bool is_dot_string(struct str s)
{
	return take_dot_string(&s) == ADDRESS_OK && s.n == 0;
}

static size_t lower(char *to, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + ('a' - 'A')) : s.p[i];
	return s.n;
}

static size_t quote(char *to, struct str s)
{
	size_t n = 0;

	to[n++] = '"';
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			to[n++] = '\\';
		to[n++] = s.p[i];
	}
	to[n++] = '"';
	return n;
}

/*
 * write_local - RFC 5321 4.1.2: the same string quoted and not is the same local part; 4.5.1:
 * postmaster has no case
 */
static size_t write_local(const struct address *a, char *to)
{
	char bytes[ADDRESS_LOCAL];
	struct str local = { bytes, address_unquoted(a, bytes) };

	if (!is_dot_string(local))
		return quote(to, local);
	if (str_ieq(local, STR("postmaster")))
		return lower(to, local);
	memcpy(to, local.p, local.n);
	return local.n;
}

/* write_domain - the content of a general literal may have case, so it keeps it */
static size_t write_domain(const struct address *a, char *to)
{
	if (a->domain_kind == ADDRESS_DOMAIN_GENERAL) {
		memcpy(to, a->domain.p, a->domain.n);
		return a->domain.n;
	}
	lower(to, a->domain);
	if (a->domain_kind == ADDRESS_DOMAIN_IPV6)
		memcpy(to, "[IPv6:", 6);
	return a->domain.n;
}

size_t address_write(const struct address *a, char text[ADDRESS_TEXT])
{
	size_t n = 0;

	if (a->kind == ADDRESS_NULL)
		return 0;
	n += write_local(a, text);
	if (a->kind == ADDRESS_POSTMASTER)
		return n;
	text[n++] = '@';
	return n + write_domain(a, text + n);
}

bool address_copy(struct arena *arena, const struct address *a, struct address *out)
{
	char text[ADDRESS_TEXT];
	struct str copy = arena_str(arena, (struct str){ text, address_write(a, text) });

	if (!copy.p)
		return false;
	*out = (struct address){
		.kind = a->kind, .domain_kind = a->domain_kind, .text = copy, .local = copy
	};
	if (a->kind == ADDRESS_MAILBOX) {
		out->local = str_head(copy, copy.n - a->domain.n - 1);
		out->domain = str_drop(copy, copy.n - a->domain.n);
	}
	return true;
}

bool address_has_routing(const struct address *a)
{
	char local[ADDRESS_LOCAL];

	return str_find_any((struct str){ local, address_unquoted(a, local) }, "%!@") >= 0;
}

bool address_is_literal(const struct address *a)
{
	return at(a->domain, '[');
}

bool address_is_eq(const struct address *a, const struct address *b)
{
	char left[ADDRESS_TEXT], right[ADDRESS_TEXT];
	size_t n = address_write(a, left), m = address_write(b, right);

	return a->kind == b->kind && str_eq((struct str){ left, n }, (struct str){ right, m });
}
