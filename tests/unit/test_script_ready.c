/* layer: script */
/* The ready policies do what their first lines say. */
#define _GNU_SOURCE
#include "script_rig.h"

static struct rig r;
static struct buf image;

static int begin(void **state)
{
	(void)state;
	rig_init(&r);
	buf_init(&image, STATE_MAP_IMAGE);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_fini(&r);
	buf_fini(&image);
	return 0;
}

static void map(const char *text)
{
	struct buf errors;

	buf_init(&errors, 4096);
	buf_reset(&image);
	if (state_map_compile(STR("m.txt"), str_of(text), &image, &errors) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	r.maps[0] = (struct script_map){ STR("m"), buf_str(&image) };
	r.options.nmaps = 1;
}

static void use(const char *call)
{
	char text[1024];

	(void)snprintf(text, sizeof text, "local gate = require 'moongate'\ngate.use(%s)", call);
	rig_policy(&r, text);
}

static void rcpt(const char *address)
{
	rig_tx_end(&r);
	rig_tx(&r);
	assert_true(policy_address_copy(&r.arena, str_of(address), &r.rcpt->address));
	(void)rig_ask(&r, HOOK_RCPT);
}

static void mail(const char *address)
{
	rig_tx_end(&r);
	rig_tx(&r);
	if (*address)
		assert_true(policy_address_copy(&r.arena, str_of(address), &r.tx.sender));
	else
		r.tx.sender = (struct policy_address){ 0 };
	(void)rig_ask(&r, HOOK_MAIL);
}

TEST(first_refuses_a_domain_and_accepts_for_ours)
{
	use("'first'");
	mail("x@spam.example");
	CHECK_INT(0, r.q.verdict.code, 550);
	mail("x@example.net");
	CHECK_INT(1, r.q.verdict.kind, VERDICT_PASS);
	rcpt("a@example.com");
	CHECK_INT(2, r.q.verdict.kind, VERDICT_ACCEPT);
	rcpt("a@example.org");
	CHECK_INT(3, r.q.verdict.kind, VERDICT_PASS);
}

TEST(recipients_knows_who_exists)
{
	static const struct {
		const char *address;
		enum verdict_kind kind;
		unsigned code;
		bool is_permitted;
		const char *text;
	} rows[] = {
		{ "alice@example.org", VERDICT_PASS, 0, true, NULL },
		{ "Alice@example.org", VERDICT_PASS, 0, true, NULL },
		{ "alice+lists@example.org", VERDICT_PASS, 0, true, NULL },
		{ "bob@example.org", VERDICT_REJECT, 550, false, "moved away" },
		{ "bob+x@example.org", VERDICT_REJECT, 550, false, "moved away" },
		{ "carol@example.org", VERDICT_DEFER, 451, false, NULL },
		{ "dave@example.org", VERDICT_DISCARD, 0, false, NULL },
		{ "nobody@example.org", VERDICT_REJECT, 550, false, "unknown" },
		{ "anybody@example.com", VERDICT_PASS, 0, true, NULL },
		{ "anybody@elsewhere.example", VERDICT_PASS, 0, false, NULL },
		{ "odd@example.org", VERDICT_DEFER, 451, false, NULL },
	};

	map("alice@example.org\nbob@example.org reject moved away\ncarol@example.org "
	    "defer\ndave@example.org DISCARD\n"
	    "@example.com ok\nodd@example.org what\n");
	use("'recipients', { map = 'm', domains = { 'example.org', 'Example.com' }, text = "
	    "'unknown' }");
	for (size_t i = 0; i < COUNT(rows); i++) {
		rcpt(rows[i].address);
		CHECK_INT(i, r.q.verdict.kind, rows[i].kind);
		CHECK_INT(i, r.q.verdict.code, rows[i].code);
		CHECK_INT(i, r.rcpt->is_permitted, rows[i].is_permitted);
		if (rows[i].text)
			CHECK_STR(i, r.q.verdict.text, str_of(rows[i].text));
	}
	CHECK(COUNT(rows), r.q.verdict.failed);
	rig_expect(&r.log, "the map says \\\"what\\\" for odd@example.org");
}

TEST(senders_are_trusted_or_refused)
{
	static const struct {
		const char *address;
		enum verdict_kind kind;
		unsigned code;
		bool is_trusted;
	} rows[] = {
		{ "friend@example.net", VERDICT_PASS, 0, true },
		{ "foe@example.net", VERDICT_REJECT, 550, false },
		{ "x@bad.example", VERDICT_DEFER, 451, false },
		{ "x@other.example", VERDICT_PASS, 0, false },
		{ "", VERDICT_REJECT, 550, false },
	};
	struct buf second;
	struct buf errors;

	map("friend@example.net\n");
	buf_init(&second, STATE_MAP_IMAGE);
	buf_init(&errors, 4096);
	CHECK_INT(0,
		  state_map_compile(STR("n"),
				    STR("foe@example.net reject go away\n@bad.example "
					"defer\n<>\nfriend@example.net\n"),
				    &second, &errors),
		  0);
	r.maps[1] = (struct script_map){ STR("n"), buf_str(&second) };
	r.options.nmaps = 2;
	use("'senders', { allow = 'm', deny = 'n' }");
	for (size_t i = 0; i < COUNT(rows); i++) {
		mail(rows[i].address);
		CHECK_INT(i, r.q.verdict.kind, rows[i].kind);
		CHECK_INT(i, r.q.verdict.code, rows[i].code);
		CHECK_INT(i, r.tx.is_trusted, rows[i].is_trusted);
	}
	CHECK_STR(0, r.q.verdict.text, STR("this sender is not welcome here"));
	buf_fini(&second);
	buf_fini(&errors);
}

TEST(headers_are_rewritten)
{
	struct buf out;

	buf_init(&out, 4096);
	use("'headers', { remove = { 'x-a' }, set = { ['X-Origin'] = 'edge' }, add = { { 'X-End', "
	    "'1' } },\n"
	    "prepend = { { 'X-Top', '2' } }, subject_tag = '[ext]' }");
	CHECK_INT(0, rig_ask(&r, HOOK_MESSAGE)->kind, VERDICT_PASS);
	CHECK(0, header_edit(r.msg.header, r.tx.edits, &out));
	CHECK_STR(0, buf_str(&out),
		  STR("X-Top: 2\r\nReceived: from a\r\n\tby b\r\nSubject: [ext] =?x?= hello  "
		      "world\r\n"
		      "X-Origin: edge\r\nX-End: 1\r\n"));
	buf_fini(&out);
	rig_tx_end(&r);
	rig_tx(&r);
	r.msg.header = STR("Subject: [ext] hello\r\n");
	use("'headers', { subject_tag = '[ext]' }");
	CHECK_INT(1, rig_ask(&r, HOOK_MESSAGE)->kind, VERDICT_PASS);
	CHECK(1, !r.tx.edits);
}

TEST(domains_are_routed)
{
	static const struct {
		const char *address, *hop;
	} rows[] = {
		{ "a@example.org", "smtp:192.0.2.1:25" },
		{ "a@mail.example.net", "192.0.2.2:25" },
		{ "a@very.deep.example.net", "192.0.2.2:25" },
		{ "a@example.net", "" },
		{ "a@mapped.example", "lmtp:unix:/run/lmtp" },
		{ "a@x.sub.mapped.example", "maildir:/var/mail" },
		{ "a@nowhere.example", "" },
	};

	map("mapped.example lmtp:unix:/run/lmtp\n.sub.mapped.example "
	    "maildir:/var/mail\nbroken.example\n");
	use("'domains', { map = 'm', routes = { ['example.org'] = 'smtp:192.0.2.1:25', "
	    "['.example.net'] = '192.0.2.2:25' } }");
	for (size_t i = 0; i < COUNT(rows); i++) {
		rcpt(rows[i].address);
		CHECK_INT(i, r.q.verdict.kind, VERDICT_PASS);
		CHECK_STR(i, r.rcpt->route, str_of(rows[i].hop));
		CHECK_INT(i, r.rcpt->is_permitted, rows[i].hop[0] != '\0');
	}
	rcpt("a@broken.example");
	CHECK(0, r.q.verdict.failed);
	use("'domains', { map = 'm', permit = false }");
	rcpt("a@mapped.example");
	CHECK(0, !r.rcpt->is_permitted && r.rcpt->route.n > 0);
}

TEST(maps_answer_value_true_or_nil)
{
	map("with value here\nwithout\n");
	rig_policy(&r, "local gate = require 'moongate' local m = gate.map('m')\n"
		       "gate.on('mail', { name = 'x' }, function()\n"
		       "  assert(m:get('WITH') == 'value here' and m:get('without') == true and "
		       "m:get('none') == nil)\n"
		       "  assert(m:has('with') == true and m:has('none') == false and tostring(m) "
		       "== 'map')\n"
		       "  assert(not pcall(m.get, m, nil) and not pcall(m.get, m, 5) and not "
		       "pcall(m.get, {}, 'x'))\n"
		       "  assert(not pcall(gate.map, 'nowhere'))\n"
		       "  return gate.accept() end)");
	CHECK_INT(0, rig_ask(&r, HOOK_MAIL)->kind, VERDICT_ACCEPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(first_refuses_a_domain_and_accepts_for_ours),
		T(recipients_knows_who_exists),
		T(senders_are_trusted_or_refused),
		T(headers_are_rewritten),
		T(domains_are_routed),
		T(maps_answer_value_true_or_nil),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
