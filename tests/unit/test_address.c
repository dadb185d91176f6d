#include "address.h"

#include "corpus.h"

#define L64     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"
#define L63     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define ISEMAIL CORPUS_ROOT "addresses/isemail-tests.xml"
#define FLANKER CORPUS_ROOT "addresses/flanker-mailbox_"

/* clang-format off */
static const struct {
	struct str in;
	enum address_path path;
	enum address_verdict want;
	struct str canonical, rest;
} paths[] = {
	{ STR("<>"),                      ADDRESS_REVERSE, ADDRESS_OK,     STR(""), STR("") },
	{ STR("<>"),                      ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<a@b>"),                   ADDRESS_REVERSE, ADDRESS_OK,     STR("a@b"), STR("") },
	{ STR("<a@b> SIZE=1"),            ADDRESS_FORWARD, ADDRESS_OK,     STR("a@b"), STR(" SIZE=1") },
	{ STR("<a@b>>"),                  ADDRESS_FORWARD, ADDRESS_OK,     STR("a@b"), STR(">") },
	{ STR("<Postmaster>"),            ADDRESS_FORWARD, ADDRESS_OK,     STR("postmaster"), STR("") },
	{ STR("<postmaster>"),            ADDRESS_REVERSE, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<\"postmaster\">"),        ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<POSTMASTER@Ex.Org>"),     ADDRESS_FORWARD, ADDRESS_OK,     STR("postmaster@ex.org"), STR("") },
	{ STR("<root>"),                  ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<@r.example:a@b>"),        ADDRESS_FORWARD, ADDRESS_OK,     STR("a@b"), STR("") },
	{ STR("<@r,@s.example:a@b>"),     ADDRESS_REVERSE, ADDRESS_OK,     STR("a@b"), STR("") },
	{ STR("<@r:postmaster>"),         ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<@r:>"),                   ADDRESS_REVERSE, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<@r a@b>"),                ADDRESS_REVERSE, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<@r,s:a@b>"),              ADDRESS_REVERSE, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<@[1.2.3.4]:a@b>"),        ADDRESS_REVERSE, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("a@b"),                     ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR(" <a@b>"),                  ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<a@b"),                    ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<<a@b>>"),                 ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("< a@b>"),                  ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<a@b >"),                  ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<a @b>"),                  ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<Joe <a@b>>"),             ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<\"a>b\"@c>"),             ADDRESS_FORWARD, ADDRESS_OK,     STR("\"a>b\"@c"), STR("") },
	{ STR("<a@b\0>"),                 ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<\xc3\xbc@b>"),            ADDRESS_FORWARD, ADDRESS_8BIT,   STR_NONE, STR_NONE },
	{ STR("<a\xc3\xbc@b>"),           ADDRESS_FORWARD, ADDRESS_8BIT,   STR_NONE, STR_NONE },
	{ STR("<\"\xc3\xbc\"@b>"),        ADDRESS_FORWARD, ADDRESS_8BIT,   STR_NONE, STR_NONE },
	{ STR("<a@b\xc3\xbc.example>"),   ADDRESS_FORWARD, ADDRESS_8BIT,   STR_NONE, STR_NONE },
	{ STR("<a@\xc3\xbc.example>"),    ADDRESS_FORWARD, ADDRESS_8BIT,   STR_NONE, STR_NONE },
	{ STR("<@\xc3\xbc:a@b>"),         ADDRESS_FORWARD, ADDRESS_8BIT,   STR_NONE, STR_NONE },
	{ STR("<a b@\xc3\xbc>"),          ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<" L64 "@b>"),             ADDRESS_FORWARD, ADDRESS_OK,     STR(L64 "@b"), STR("") },
	{ STR("<" L64 "x@b>"),            ADDRESS_FORWARD, ADDRESS_LOCAL_LONG, STR_NONE, STR_NONE },
	{ STR("<a@" L63 ">"),             ADDRESS_FORWARD, ADDRESS_OK,     STR("a@" L63), STR("") },
	{ STR("<a@" L64 ">"),             ADDRESS_FORWARD, ADDRESS_DOMAIN_LONG, STR_NONE, STR_NONE },
	{ STR("<a@" L63 "." L63 "." L63 "." L63 ".b>"), ADDRESS_FORWARD, ADDRESS_DOMAIN_LONG, STR_NONE, STR_NONE },
	{ STR("<" L64 "@" L63 "." L63 "." L63 ">"),     ADDRESS_FORWARD, ADDRESS_PATH_LONG, STR_NONE, STR_NONE },
	{ STR("<@" L63 "." L63 ":a@" L63 "." L63 ">"),  ADDRESS_FORWARD, ADDRESS_PATH_LONG, STR_NONE, STR_NONE },
	{ STR(""),                        ADDRESS_FORWARD, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
	{ STR("<"),                       ADDRESS_REVERSE, ADDRESS_SYNTAX, STR_NONE, STR_NONE },
};

/* Two spellings of the same mailbox, and the one that is kept. */
static const struct { struct str in, canonical, unquoted; bool routing, literal; } mailboxes[] = {
	{ STR("a.b@X.Example"),         STR("a.b@x.example"),     STR("a.b"),   false, false },
	{ STR("\"a.b\"@x.example"),     STR("a.b@x.example"),     STR("a.b"),   false, false },
	{ STR("\"\\a\\.\\b\"@x"),       STR("a.b@x"),             STR("a.b"),   false, false },
	{ STR("A.b@x"),                 STR("A.b@x"),             STR("A.b"),   false, false },
	{ STR("\"\"@x"),                STR("\"\"@x"),            STR(""),      false, false },
	{ STR("\"a..b\"@x"),            STR("\"a..b\"@x"),        STR("a..b"),  false, false },
	{ STR("\".a\"@x"),              STR("\".a\"@x"),          STR(".a"),    false, false },
	{ STR("\"a b\"@x"),             STR("\"a b\"@x"),         STR("a b"),   false, false },
	{ STR("\"a\\ b\"@x"),           STR("\"a b\"@x"),         STR("a b"),   false, false },
	{ STR("\"a\\\"b\\\\\"@x"),      STR("\"a\\\"b\\\\\"@x"),  STR("a\"b\\"), false, false },
	{ STR("\"post\\master\"@x"),    STR("postmaster@x"),      STR("postmaster"), false, false },
	{ STR("u%h@x"),                 STR("u%h@x"),             STR("u%h"),   true,  false },
	{ STR("h!u@x"),                 STR("h!u@x"),             STR("h!u"),   true,  false },
	{ STR("\"u@h\"@x"),             STR("\"u@h\"@x"),         STR("u@h"),   true,  false },
	{ STR("\"u\\%h\"@x"),           STR("u%h@x"),             STR("u%h"),   true,  false },
	{ STR("a@[192.0.2.1]"),         STR("a@[192.0.2.1]"),     STR("a"),     false, true },
	{ STR("a@[ipV6:2001:DB8::1]"),  STR("a@[IPv6:2001:db8::1]"), STR("a"),  false, true },
	{ STR("a@[x-Tag:SoMe]"),        STR("a@[x-Tag:SoMe]"),    STR("a"),     false, true },
};

static const struct {
	struct str in;
	enum address_verdict want;
	enum address_domain kind;
} domains[] = {
	{ STR("mail.example.org"),      ADDRESS_OK, ADDRESS_DOMAIN_NAME },
	{ STR("localhost"),             ADDRESS_OK, ADDRESS_DOMAIN_NAME },
	{ STR("3com.x--y"),             ADDRESS_OK, ADDRESS_DOMAIN_NAME },
	{ STR("192.0.2.1"),             ADDRESS_OK, ADDRESS_DOMAIN_NAME },      /* grammar: labels may be digits */
	{ STR("mail.example.org."),     ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR(".example.org"),          ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("a..b"),                  ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("-a.b"),                  ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("a-.b"),                  ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("a_b.c"),                 ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("a b"),                   ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR(""),                      ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[192.0.2.1]"),           ADDRESS_OK, ADDRESS_DOMAIN_IPV4 },
	{ STR("[192.0.2.001]"),         ADDRESS_OK, ADDRESS_DOMAIN_IPV4 },
	{ STR("[192.0.2.0001]"),        ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[192.0.2.256]"),         ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[192.0.2]"),             ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[192.0.2.1.]"),          ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[192.0.2.1"),            ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[192.0.2.1]x"),          ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[]"),                    ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6:::]"),             ADDRESS_OK, ADDRESS_DOMAIN_IPV6 },
	{ STR("[IPv6:::1]"),            ADDRESS_OK, ADDRESS_DOMAIN_IPV6 },
	{ STR("[IPv6:1::]"),            ADDRESS_OK, ADDRESS_DOMAIN_IPV6 },
	{ STR("[IPv6:1:2:3:4:5:6:7:8]"), ADDRESS_OK, ADDRESS_DOMAIN_IPV6 },
	{ STR("[IPv6:1:2:3:4:5:6:7]"),  ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6:1:2:3:4:5:6:7:8:9]"), ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6:1:2:3::4:5:6]"),   ADDRESS_OK, ADDRESS_DOMAIN_IPV6 },
	{ STR("[IPv6:1:2:3::4:5:6:7]"), ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },   /* "::" stands for two groups at least */
	{ STR("[IPv6:1::2::3]"),        ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6:1:::3]"),          ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6:1:]"),             ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6::1]"),             ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6:12345::]"),        ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6:::ffff:192.0.2.1]"), ADDRESS_OK, ADDRESS_DOMAIN_IPV6 },
	{ STR("[IPv6:1:2:3:4:5:6:192.0.2.1]"), ADDRESS_OK, ADDRESS_DOMAIN_IPV6 },
	{ STR("[IPv6:192.0.2.1::]"),    ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6:1:2:3:4:5:6:7:192.0.2.1]"), ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[IPv6:]"),               ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[2001:db8::1]"),         ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },   /* lost its tag */
	{ STR("[x400:c=de]"),           ADDRESS_OK, ADDRESS_DOMAIN_GENERAL },
	{ STR("[x400:]"),               ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[x-:y]"),                ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[tag:a b]"),             ADDRESS_SYNTAX, ADDRESS_DOMAIN_NONE },
	{ STR("[tag:\xc3\xbc]"),        ADDRESS_8BIT, ADDRESS_DOMAIN_NONE },
};
/* clang-format on */

TEST(a_path_is_consumed_whole_or_not_at_all)
{
	for (size_t i = 0; i < COUNT(paths); i++) {
		struct str bytes = heap_copy(paths[i].in), in = bytes;
		char text[ADDRESS_TEXT];
		struct address a;

		CHECK_INT(i, address_take(&in, paths[i].path, &a), paths[i].want);
		if (paths[i].want == ADDRESS_OK) {
			CHECK_STR(i, in, paths[i].rest);
			CHECK_STR(i, ((struct str){ text, address_write(&a, text) }),
				  paths[i].canonical);
		} else {
			CHECK(i, in.p == bytes.p && in.n == bytes.n);
		}
		heap_free(bytes);
	}
}

/* No shorter text of a path is one: whatever was cut off was needed. */
TEST(a_path_cut_short_is_never_accepted)
{
	for (size_t i = 0; i < COUNT(paths); i++) {
		size_t whole = paths[i].in.n - paths[i].rest.n;

		if (paths[i].want != ADDRESS_OK)
			continue;
		for (size_t n = 0; n < whole; n++) {
			struct str bytes = heap_copy(str_head(paths[i].in, n)), in = bytes;
			struct address a;

			CHECK(i, address_take(&in, paths[i].path, &a) != ADDRESS_OK);
			heap_free(bytes);
		}
	}
}

/* make_path - "<local@domain>" of n bytes: the domain, which has room, is as long as need be */
static struct str make_path(size_t n, char path[ADDRESS_PATH + 2])
{
	memset(path, 'x', n);
	path[0] = '<';
	memcpy(path + 40, "@", 1);
	for (size_t i = 100; i < n - 10; i += 60)
		path[i] = '.';
	path[n - 1] = '>';
	return (struct str){ path, n };
}

TEST(a_path_has_256_octets_and_not_one_more)
{
	for (size_t n = ADDRESS_PATH - 1; n <= ADDRESS_PATH + 1; n++) {
		enum address_verdict want = n > ADDRESS_PATH ? ADDRESS_PATH_LONG : ADDRESS_OK;
		char path[ADDRESS_PATH + 2];
		struct str whole = make_path(n, path), in = whole;
		struct address a;

		CHECK_INT(n, address_take(&in, ADDRESS_FORWARD, &a), want);
		CHECK_INT(n, address_parse(str_head(str_drop(whole, 1), n - 2), &a), want);
	}
}

TEST(one_mailbox_has_one_canonical_text)
{
	for (size_t i = 0; i < COUNT(mailboxes); i++) {
		char text[ADDRESS_TEXT], local[ADDRESS_LOCAL];
		struct address a, again;
		struct str canonical;

		CHECK_INT(i, address_parse(mailboxes[i].in, &a), ADDRESS_OK);
		canonical = (struct str){ text, address_write(&a, text) };
		CHECK_STR(i, canonical, mailboxes[i].canonical);
		CHECK_STR(i, ((struct str){ local, address_unquoted(&a, local) }),
			  mailboxes[i].unquoted);
		CHECK_INT(i, address_has_routing(&a), mailboxes[i].routing);
		CHECK_INT(i, address_is_literal(&a), mailboxes[i].literal);
		CHECK_INT(i, address_parse(canonical, &again), ADDRESS_OK);
		CHECK(i, address_is_eq(&a, &again));
	}
}

TEST(a_copy_has_the_canonical_parts)
{
	struct address a, copy;
	struct arena arena;
	struct str in = STR("<\"a.b\"@X.Example>"), null = STR("<>"),
		   postmaster = STR("<PostMaster>");

	arena_init(&arena, 256);
	assert_int_equal(address_take(&in, ADDRESS_REVERSE, &a), ADDRESS_OK);
	assert_true(address_copy(&arena, &a, &copy));
	CHECK_STR(0, copy.text, STR("a.b@x.example"));
	CHECK_STR(1, copy.local, STR("a.b"));
	CHECK_STR(2, copy.domain, STR("x.example"));
	assert_int_equal(address_take(&null, ADDRESS_REVERSE, &a), ADDRESS_OK);
	assert_true(address_copy(&arena, &a, &copy));
	assert_int_equal(copy.kind, ADDRESS_NULL);
	assert_int_equal(copy.text.n + copy.local.n + copy.domain.n, 0);
	assert_int_equal(address_take(&postmaster, ADDRESS_FORWARD, &a), ADDRESS_OK);
	assert_true(address_copy(&arena, &a, &copy));
	CHECK_STR(3, copy.local, STR("postmaster"));
	assert_int_equal(copy.domain.n, 0);
	arena_fini(&arena);
	arena_init(&arena, 4);
	assert_false(address_copy(&arena, &a, &copy));
	arena_fini(&arena);
}

TEST(different_mailboxes_differ)
{
	static const struct {
		struct str a, b;
	} pairs[] = {
		{ STR("a@x"), STR("A@x") },
		{ STR("a@x"), STR("a@y") },
		{ STR("a@[1.2.3.4]"), STR("a@1.2.3.4") },
		{ STR("\"a b\"@x"), STR("ab@x") },
	};

	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct address a, b;

		CHECK_INT(i, address_parse(pairs[i].a, &a), ADDRESS_OK);
		CHECK_INT(i, address_parse(pairs[i].b, &b), ADDRESS_OK);
		CHECK(i, !address_is_eq(&a, &b));
	}
}

TEST(domains_and_literals_are_told_apart)
{
	for (size_t i = 0; i < COUNT(domains); i++) {
		struct str in = heap_copy(domains[i].in);
		enum address_domain kind = ADDRESS_DOMAIN_NONE;

		CHECK_INT(i, address_domain_parse(in, &kind), domains[i].want);
		CHECK_INT(i, kind, domains[i].kind);
		heap_free(in);
	}
}

TEST(every_verdict_has_its_reason)
{
	for (int i = 0; i < ADDRESS_VERDICTS; i++)
		CHECK(i, address_reason((enum address_verdict)i) &&
				 strlen(address_reason((enum address_verdict)i)) > 5);
}

/* ---- corpora */

/* between_tags - the text of <tag>, and *xml behind it; .p is NULL when there is none */
static struct str between_tags(struct str *xml, const char *open, const char *close)
{
	const char *from = strstr(xml->p, open), *to = from ? strstr(from, close) : NULL;
	struct str text;

	if (!to)
		return STR_NONE;
	from += strlen(open);
	text = (struct str){ from, (size_t)(to - from) };
	*xml = str_drop(*xml, (size_t)(to - xml->p));
	return text;
}

/*
 * decode - the entities of that file; U+2400 to U+241F are pictures of the control bytes that are
 * meant
 */
static size_t decode(struct str s, char *to)
{
	static const struct {
		struct str entity;
		char c;
	} entities[] = {
		{ STR("&amp;"), '&' },
		{ STR("&lt;"), '<' },
		{ STR("&gt;"), '>' },
		{ STR("&quot;"), '"' },
	};
	size_t n = 0;

	while (s.n) {
		size_t taken = 1;
		char c = *s.p;

		for (size_t i = 0; i < COUNT(entities); i++) {
			if (str_has_prefix(s, entities[i].entity)) {
				c = entities[i].c;
				taken = entities[i].entity.n;
			}
		}
		if (str_has_prefix(s, STR("&#x"))) {
			unsigned long code = strtoul(s.p + 3, NULL, 16);

			c = code >= 0x2400 ? (char)(code - 0x2400) : (char)code;
			taken = (size_t)str_find(s, ';') + 1;
		}
		to[n++] = c;
		s = str_drop(s, taken);
	}
	return n;
}

/*
 * RFC 5321 is the smaller grammar: CFWS and the obsolete forms of RFC 5322 exist in a message's
 * header only, and its limits on length are our limits. So by category, without exceptions: these
 * three are mailboxes of SMTP.
 */
static bool is_smtp_category(struct str category)
{
	static const struct str good[] = { STR("ISEMAIL_VALID_CATEGORY"), STR("ISEMAIL_DNSWARN"),
					   STR("ISEMAIL_RFC5321") };

	for (size_t i = 0; i < COUNT(good); i++)
		if (str_eq(category, good[i]))
			return true;
	return false;
}

TEST(isemail_vectors_are_judged_by_their_category)
{
	struct str file = corpus_read(ISEMAIL), xml;
	char *text;
	size_t n = 0;

	if (!file.p)
		corpus_missing(ISEMAIL);
	text = malloc(file.n + 1);
	assert_non_null(text);
	str_copy(text, file.n + 1, file);
	xml = str_of(text);
	for (struct str id; (id = between_tags(&xml, "<test id=\"", "\"")).p; n++) {
		char bytes[1024];
		struct str address = between_tags(&xml, "<address>", "</address>");
		struct str category = between_tags(&xml, "<category>", "</category>"), in;
		struct address a;

		assert_true(address.n < sizeof bytes);
		in = heap_copy((struct str){ bytes, decode(address, bytes) });
		CHECK_INT(strtoul(id.p, NULL, 10), address_parse(in, &a) == ADDRESS_OK,
			  is_smtp_category(category));
		heap_free(in);
	}
	assert_true(n > 150);
	free(text);
	heap_free(file);
}

/* Lines of the two lists that RFC 5321 judges otherwise than the list does. */
static const struct {
	struct str line, reason;
} exceptions[] = {
	{ STR("bob@under_scope"), STR("an underscore is no letter, digit or hyphen") },
	{ STR("Bill Gates <\"billy\"@retired.Micr!osoft99.com>"),
	  STR("'!' is no letter, digit or hyphen") },
	{ STR("first.last@[IPv6:1111:2222:3333::4444:5555:12.34.56.78]"),
	  STR("'::' stands for two groups at least") },
	{ STR("first.last@[IPv6:1111:2222:3333::4444:5555:6666:7777]"),
	  STR("'::' stands for two groups at least") },
	{ STR("first.last@[IPv6:::a2:a3:a4:b1:b2:b3:b4]"),
	  STR("'::' stands for two groups at least") },
	{ STR("first.last@[IPv6:a1:a2:a3:a4:b1:b2:b3::]"),
	  STR("'::' stands for two groups at least") },
	{ STR("first.last@[IPv6:::a2:a3:a4:b1:ffff:11.22.33.44]"),
	  STR("'::' stands for two groups at least") },
	{ STR("first.last@[IPv6:a1:a2:a3:a4:b1::11.22.33.44]"),
	  STR("'::' stands for two groups at least") },
	{ STR("(this is a comment) test@example.com"), STR("comments are for headers") },
	{ STR("(this is a comment)test@example.com"), STR("comments are for headers") },
	{ STR("test@example.com(this is a comment)"), STR("comments are for headers") },
	{ STR("test@example.com (this is a comment)"), STR("comments are for headers") },
	{ STR("test@xn--example.com"), STR("grammar does not ask whether Punycode decodes") },
};

static bool is_exception(struct str line)
{
	for (size_t i = 0; i < COUNT(exceptions); i++)
		if (str_eq(line, exceptions[i].line))
			return true;
	return false;
}

/*
 * flanker_line - the address on a line: behind a display name, or in a comment that says "domain
 * literal"; empty: none
 */
static struct str flanker_line(struct str line)
{
	if (str_has_prefix(line, STR("# first.last@[")))
		line = str_drop(line, 2);
	else if (str_has_prefix(line, STR("#")) || str_has_prefix(line, STR(" ")))
		return STR_NONE;
	for (size_t i = 0; i + 3 < line.n; i++)
		if (memcmp(line.p + i, "   #", 4) == 0 || memcmp(line.p + i, "    ", 4) == 0)
			line = str_head(line, i);
	return str_trim(line);
}

static struct str in_angles(struct str line)
{
	ptrdiff_t at = str_rfind(line, '<');

	if (at <= 0 || line.p[at - 1] != ' ' || !str_has_suffix(line, STR(">")))
		return line;
	return str_head(str_drop(line, (size_t)at + 1), line.n - (size_t)at - 2);
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

static void judge(const char *path, enum address_verdict verdict)
{
	struct str file = corpus_read(path), rest = file, line;
	size_t n = 0;

	if (!file.p)
		corpus_missing(path);
	for (size_t i = 1; str_take(&rest, '\n', &line); i++) {
		struct address a;

		line = flanker_line(line);
		if (line.n == 0)
			continue;
		n++;
		if (!is_ascii(line)) /* for SMTPUTF8 */
			CHECK_INT(i, address_parse(line, &a), ADDRESS_8BIT);
		else
			CHECK_INT(i,
				  (address_parse(in_angles(line), &a) == ADDRESS_OK) ==
					  (verdict == ADDRESS_OK),
				  !is_exception(line));
	}
	assert_true(n > 80);
	heap_free(file);
}

TEST(flankers_valid_mailboxes_are_accepted_but_for_the_listed)
{
	judge(FLANKER "valid.txt", ADDRESS_OK);
}

TEST(flankers_invalid_mailboxes_are_refused_but_for_the_listed)
{
	judge(FLANKER "invalid.txt", ADDRESS_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_is_consumed_whole_or_not_at_all),
		cmocka_unit_test(a_path_cut_short_is_never_accepted),
		cmocka_unit_test(a_path_has_256_octets_and_not_one_more),
		cmocka_unit_test(one_mailbox_has_one_canonical_text),
		cmocka_unit_test(a_copy_has_the_canonical_parts),
		cmocka_unit_test(different_mailboxes_differ),
		cmocka_unit_test(domains_and_literals_are_told_apart),
		cmocka_unit_test(every_verdict_has_its_reason),
		cmocka_unit_test(isemail_vectors_are_judged_by_their_category),
		cmocka_unit_test(flankers_valid_mailboxes_are_accepted_but_for_the_listed),
		cmocka_unit_test(flankers_invalid_mailboxes_are_refused_but_for_the_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
