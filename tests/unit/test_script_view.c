/* layer: script */
/* What handlers see and change: every field, every method, handles that are over, vars. */
#define _GNU_SOURCE
#include "script_rig.h"

static struct rig r;

static int begin(void **state)
{
	(void)state;
	rig_init(&r);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_fini(&r);
	return 0;
}

static void policy(const char *text)
{
	char all[8192];

	(void)snprintf(all, sizeof all, "local gate = require 'moongate'\n%s", text);
	rig_policy(&r, all);
}

/* run - a handler with that body must not fail */
static void run(size_t row, enum policy_hook hook, const char *body)
{
	char text[4096];

	(void)snprintf(text, sizeof text,
		       "gate.on('%s', { name = 'x' }, function(a, b, c)\n%s\nend)",
		       policy_hook_name[hook], body);
	policy(text);
	buf_reset(&r.log);
	(void)rig_ask(&r, hook);
	if (r.q.verdict.failed || rig_says(&r.log, "policy.error"))
		fail_msg("row %zu: %s: %.*s", row, body, STR_ARG(buf_str(&r.log)));
}

/* refuse - a handler with that body fails with that message */
static void refuse(size_t row, enum policy_hook hook, const char *body, const char *message)
{
	char text[4096];

	(void)snprintf(text, sizeof text,
		       "gate.on('%s', { name = 'x' }, function(a, b, c)\n%s\nend)",
		       policy_hook_name[hook], body);
	policy(text);
	buf_reset(&r.log);
	(void)rig_ask(&r, hook);
	if (!rig_says(&r.log, message))
		fail_msg("row %zu: %s: \"%s\" is not in: %.*s", row, body, message,
			 STR_ARG(buf_str(&r.log)));
}

static const struct {
	enum policy_hook hook;
	const char *expression, *want;
} fields[] = {
	{ HOOK_CONNECT, "a.peer.ip", "192.0.2.7" },
	{ HOOK_CONNECT, "a.peer.port", "4321" },
	{ HOOK_CONNECT, "a.server.ip", "192.0.2.1" },
	{ HOOK_CONNECT, "a.server.port", "25" },
	{ HOOK_CONNECT, "a.listener", "mx" },
	{ HOOK_CONNECT, "a.helo", "client.example" },
	{ HOOK_CONNECT, "a.is_esmtp", "false" },
	{ HOOK_CONNECT, "a.is_local", "false" },
	{ HOOK_CONNECT, "a.is_trusted", "false" },
	{ HOOK_CONNECT, "a.trust_reason", "nil" },
	{ HOOK_CONNECT, "a.messages", "0" },
	{ HOOK_CONNECT, "a.errors", "0" },
	{ HOOK_CONNECT, "a.started", "0.0" },
	{ HOOK_CONNECT, "#a.id", "26" },
	{ HOOK_CONNECT, "a.peer == a.peer", "true" },
	{ HOOK_TLS, "a.tls.version", "TLSv1.3" },
	{ HOOK_TLS, "a.tls.cipher", "TLS_AES_128_GCM_SHA256" },
	{ HOOK_TLS, "a.tls.name", "mx.example.com" },
	{ HOOK_TLS, "a.tls.is_resumed", "false" },
	{ HOOK_TLS, "a.tls == a.tls", "true" },
	{ HOOK_TLS, "a.tls.certificate.subject", "CN=client.example" },
	{ HOOK_TLS, "a.tls.certificate.fingerprint", "00ff" },
	{ HOOK_TLS, "a.tls.certificate.is_verified", "false" },
	{ HOOK_TLS, "a.tls.certificate.problem", "self-signed certificate" },
	{ HOOK_MAIL, "a.conn.tls.version", "TLSv1.3" },
	{ HOOK_MAIL, "#a.id", "26" },
	{ HOOK_MAIL, "a.sender", "alice@example.net" },
	{ HOOK_MAIL, "a.sender_localpart", "alice" },
	{ HOOK_MAIL, "a.sender_domain", "example.net" },
	{ HOOK_MAIL, "a.sender_original", "Alice@example.net" },
	{ HOOK_MAIL, "a.helo", "client.example" },
	{ HOOK_MAIL, "a.peer_ip", "192.0.2.7" },
	{ HOOK_MAIL, "a.listener", "mx" },
	{ HOOK_MAIL, "a.conn.peer.ip", "192.0.2.7" },
	{ HOOK_MAIL, "a.size", "0" },
	{ HOOK_MAIL, "a.is_8bit", "false" },
	{ HOOK_MAIL, "a.is_trusted", "false" },
	{ HOOK_MAIL, "a.trust_reason", "nil" },
	{ HOOK_MAIL, "a.created", "0.0" },
	{ HOOK_MAIL, "#a.rcpts", "1" },
	{ HOOK_MAIL, "a.rcpts[1].address", "bob+tag@example.org" },
	{ HOOK_RCPT, "b == a.rcpts[1]", "true" },
	{ HOOK_RCPT, "b.tx == a", "true" },
	{ HOOK_RCPT, "b.address", "bob+tag@example.org" },
	{ HOOK_RCPT, "b.localpart", "bob+tag" },
	{ HOOK_RCPT, "b.domain", "example.org" },
	{ HOOK_RCPT, "b.original", "Bob+tag@example.org" },
	{ HOOK_RCPT, "b.is_permitted", "false" },
	{ HOOK_RCPT, "b.next_hop", "nil" },
	{ HOOK_RCPT, "b.attempts", "0" },
	{ HOOK_MESSAGE, "b.size", "100" },
	{ HOOK_MESSAGE, "b.hops", "1" },
	{ HOOK_MESSAGE, "b.is_complete", "true" },
	{ HOOK_MESSAGE, "b.header_size > 50", "true" },
	{ HOOK_MESSAGE, "b.tx == a", "true" },
	{ HOOK_MESSAGE, "b:header('subject')", "=?x?= hello  world" },
	{ HOOK_MESSAGE, "b:header('SUBJECT', 2)", "nil" },
	{ HOOK_MESSAGE, "b:header('x-a', 2)", "2" },
	{ HOOK_MESSAGE, "table.concat(b:headers('X-A'), ',')", "1,2" },
	{ HOOK_MESSAGE, "#b:headers('nothing')", "0" },
	{ HOOK_MESSAGE,
	  "(function() local t = {} for n, v in b:fields() do t[#t + 1] = n .. '=' .. v end return "
	  "table.concat(t, ';') end)()",
	  "Received=from a\tby b;Subject==?x?= hello  world;X-A=1;x-a=2" },
	{ HOOK_MESSAGE, "b:slice(0, 6)", "a body" },
	{ HOOK_MESSAGE, "b:slice(2)", "body\r\n" },
	{ HOOK_MESSAGE, "b:slice(1000, 10)", "" },
	{ HOOK_MESSAGE, "b:slice(math.maxinteger)", "" },
	{ HOOK_MESSAGE_RCPT, "c:header('x-a')", "1" },
	{ HOOK_ROUTE, "a.conn", "nil" },
	{ HOOK_ROUTE, "a.helo", "client.example" },
	{ HOOK_RESULT, "b.destination", "smtp:192.0.2.9:25" },
	{ HOOK_RESULT, "b.next_hop", "smtp:192.0.2.9:25" },
	{ HOOK_RESULT, "b.peer", "nil" },
	{ HOOK_RESULT, "b.number", "2" },
	{ HOOK_RESULT, "c.outcome", "deferred" },
	{ HOOK_RESULT, "c.code", "451" },
	{ HOOK_RESULT, "c.status", "4.2.0" },
	{ HOOK_RESULT, "c.text", "later" },
	{ HOOK_RESULT, "c.age", "0.0" },
	{ HOOK_RESULT, "c.rcpt.address", "bob+tag@example.org" },
	{ HOOK_BOUNCE, "b.to", "alice@example.net" },
	{ HOOK_BOUNCE, "b.failures[1].rcpt.domain", "example.org" },
	{ HOOK_BOUNCE, "#b.failures", "1" },
	{ HOOK_DISCONNECT, "a.peer.ip", "192.0.2.7" },
	{ HOOK_CONNECT, "tostring(a)", "conn" },
	{ HOOK_MAIL, "tostring(a) .. tostring(a.vars)", "txvars" },
	{ HOOK_MAIL, "getmetatable(a)", "false" },
};

TEST(every_field_has_its_value)
{
	for (size_t i = 0; i < COUNT(fields); i++) {
		char body[1024];

		(void)snprintf(body, sizeof body,
			       "local got = tostring(%s) if got ~= %s%s%s then error(got) end",
			       fields[i].expression, "[==[", fields[i].want, "]==]");
		if (fields[i].want[0] && strchr(fields[i].want, '\r'))
			(void)snprintf(body, sizeof body,
				       "if %s ~= 'body\\r\\n' then error('x') end",
				       fields[i].expression);
		run(i, fields[i].hook, body);
	}
}

static const struct {
	enum policy_hook hook;
	const char *body, *message;
} mistakes[] = {
	{ HOOK_MAIL, "return a.sendr",
	  "tx has no field \\\"sendr\\\"; did you mean \\\"sender\\\"?" },
	{ HOOK_MAIL, "a:ad_header('x', 'y')", "did you mean \\\"add_header\\\"?" },
	{ HOOK_MAIL, "return a[1]", "tx has no field [number]" },
	{ HOOK_MAIL, "return a.zzzzzzzzzzzz", "tx has no field \\\"zzzzzzzzzzzz\\\"" },
	{ HOOK_MAIL, "a.sender = 'x'", "the fields of tx are read only" },
	{ HOOK_MAIL, "a.peer = 'x'", "the fields of tx are read only" },
	{ HOOK_CONNECT, "return a.peer.prot",
	  "peer has no field \\\"prot\\\"; did you mean \\\"port\\\"?" },
	{ HOOK_MAIL, "a.add_header('x', 'y')", "tx expected, got string" },
	{ HOOK_MAIL, "a.add_header(a.conn, 'x', 'y')", "tx expected, got conn" },
	{ HOOK_MAIL, "a:add_header('X Y', '1')", "is not a header name" },
	{ HOOK_MAIL, "a:add_header('X-Y', 'a\\r\\nb')", "one line without CR, LF and NUL" },
	{ HOOK_MAIL, "a:add_header('X-Y', 'a\\0b')", "one line without CR, LF and NUL" },
	{ HOOK_MAIL, "a:add_header('X-Y')", "string expected, got no value" },
	{ HOOK_MAIL, "a:add_header('X-Y', ('x '):rep(20000))", "a header value of 40000 bytes" },
	{ HOOK_MAIL, "a:remove_header('X-Y', -1)", "counted from 1" },
	{ HOOK_MAIL, "a:set_sender('not an address')", "is not an address" },
	{ HOOK_MAIL, "a:add_rcpt('')", "is not an address" },
	{ HOOK_MAIL, "for i = 1, 600 do a:add_header('X', 'y') end", "more than 512 edits" },
	{ HOOK_MAIL, "a.vars.x = function() end",
	  "vars keep strings, numbers, booleans and lists of strings, no function" },
	{ HOOK_MAIL, "a.vars.x = { 1 }", "item 1 is a number" },
	{ HOOK_MAIL, "a.vars.x = { 'a', y = 'b' }", "without other keys" },
	{ HOOK_MAIL, "a.vars.x = ('x'):rep(20000)", "16384 bytes in all" },
	{ HOOK_MAIL, "a.vars.x = { ('x'):rep(20000) }", "16384 bytes" },
	{ HOOK_MAIL, "a.vars[('n'):rep(65)] = 1", "names of at most 64" },
	{ HOOK_MAIL, "a.vars[1] = 1", "vars have names, got [number]" },
	{ HOOK_MAIL, "for i = 1, 65 do a.vars['k' .. i] = i end", "at most 64 names" },
	{ HOOK_RCPT, "b:route('nowhere')", "is not a next hop" },
	{ HOOK_RCPT, "b:remove()", "return a verdict instead" },
	{ HOOK_RCPT, "b:set_address('x')", "is not an address" },
	{ HOOK_MESSAGE, "return b:slice(-1)", "an offset from 0 on" },
	{ HOOK_MESSAGE, "return b:slice(0, 100000)", "at most 65536" },
	{ HOOK_MESSAGE, "return b:header('x', 0)", "counted from 1" },
	{ HOOK_ROUTE, "a:add_header('x', 'y')", "the message is stored" },
	{ HOOK_ROUTE, "a:set_sender('a@b.c')", "the message is stored" },
	{ HOOK_ROUTE, "b:permit()", "the message is stored" },
	{ HOOK_RESULT, "c:retry_in('0s')", "one second at the earliest" },
	{ HOOK_RESULT, "c:retry_in('x')", "is no duration" },
};

TEST(mistakes_are_explained)
{
	for (size_t i = 0; i < COUNT(mistakes); i++)
		refuse(i, mistakes[i].hook, mistakes[i].body, mistakes[i].message);
}

TEST(edits_reach_the_envelope_when_the_handler_returns)
{
	struct header_edit *e;

	run(0, HOOK_RCPT,
	    "a:set_sender('new@example.com') a:add_rcpt('carol@example.org') a:add_header('X-A', "
	    "'end')\n"
	    "a:prepend_header('X-B', 'top') a:set_header('Subject', 'new') a:remove_header('X-C') "
	    "a:remove_header('X-D', 2)\n"
	    "b:permit() b:set_address('robert@example.org') b:route('smtp:192.0.2.1:25') "
	    "b:add_header('X-Mine', '1')\n"
	    "assert(a.sender == 'alice@example.net' and #a.rcpts == 1 and b.next_hop == nil)");
	CHECK_STR(0, r.tx.sender.text, STR("new@example.com"));
	CHECK_STR(0, r.tx.sender.domain, STR("example.com"));
	CHECK_INT(0, r.tx.nrcpts, 2);
	CHECK_STR(0, r.tx.rcpts[1]->address.text, STR("carol@example.org"));
	CHECK(0, r.tx.rcpts[1]->is_permitted && r.tx.rcpts[1]->state == RCPT_ACCEPTED &&
			 r.tx.rcpts[1]->original.n == 0);
	CHECK(0, r.rcpt->is_permitted);
	CHECK_STR(0, r.rcpt->address.text, STR("robert@example.org"));
	CHECK_STR(0, r.rcpt->route, STR("smtp:192.0.2.1:25"));
	CHECK_INT(0, r.rcpt->edits->kind, HEADER_ADD_END);
	e = r.tx.edits;
	CHECK_INT(1, e->kind, HEADER_ADD_END);
	e = e->next;
	CHECK_INT(2, e->kind, HEADER_ADD_TOP);
	e = e->next;
	CHECK_INT(3, e->kind, HEADER_REPLACE);
	CHECK_STR(3, e->value, STR("new"));
	e = e->next;
	CHECK_INT(4, e->kind, HEADER_REMOVE);
	CHECK_INT(4, e->nth, 0);
	e = e->next;
	CHECK_INT(5, e->nth, 2);
	CHECK(5, !e->next);
	r.rcpt->state = RCPT_ACCEPTED;
	run(1, HOOK_MESSAGE,
	    "assert(a.sender == 'new@example.com' and #a.rcpts == 2)\n"
	    "assert(a:remove_rcpt('CAROL@example.org') and not "
	    "a:remove_rcpt('nobody@example.org'))\n"
	    "a:set_sender('')");
	CHECK_INT(1, r.tx.rcpts[1]->state, RCPT_REMOVED);
	CHECK_INT(1, r.tx.sender.text.n, 0);
	run(2, HOOK_MESSAGE, "assert(#a.rcpts == 1) a:remove_rcpt(a.rcpts[1])");
	CHECK_INT(2, r.rcpt->state, RCPT_REMOVED);
	run(3, HOOK_RESULT, "c:retry_in('5m') c.rcpt:route('192.0.2.3:25')");
	CHECK_INT(3, r.result.retry_us, 300000000);
	CHECK_STR(3, r.rcpt->route, STR("192.0.2.3:25"));
}

TEST(vars_keep_their_types_and_cross_generations)
{
	run(0, HOOK_MAIL,
	    "a.vars.s = 'a\\0b' a.vars.i = math.mininteger a.vars.n = 0.5 a.vars.b = false "
	    "a.vars.t = true\n"
	    "a.vars.l = { 'x', '', 'y\\n' } a.vars.gone = 1 a.vars.gone = nil a.vars.empty = {} "
	    "a.vars.f = 1.0\n"
	    "a.conn.vars.c = 'conn'");
	run(1, HOOK_RCPT,
	    "local v = a.vars\n"
	    "assert(v.s == 'a\\0b' and v.i == math.mininteger and v.n == 0.5 and v.b == false and "
	    "v.t == true)\n"
	    "assert(#v.l == 3 and v.l[1] == 'x' and v.l[2] == '' and v.l[3] == 'y\\n' and v.gone "
	    "== nil and #v.empty == 0)\n"
	    "assert(math.type(v.f) == 'float' and a.conn.vars.c == 'conn')\n"
	    "local n = 0 for k, x in pairs(v) do n = n + 1 v[k] = nil end assert(n == 8 and "
	    "next({}) == nil)\n"
	    "for k in pairs(v) do error(k) end b.vars.r = 1 assert(b.vars.r == 1 and v.r == nil)");
	CHECK(1, r.tx.vars.is_changed);
}

static const char *const keeping =
	"local kept, peer, vars, rcpt, iterate\n"
	"gate.on('rcpt', { name = 'k' }, function(tx, rc) kept = tx rcpt = rc vars = tx.vars end)\n"
	"gate.on('message', { name = 'm' }, function(tx, msg) iterate = msg:fields() iterate() "
	"end)\n"
	"gate.on('ehlo', { name = 'c' }, function(conn) peer = conn.peer end)\n"
	"gate.on('connect', { name = 'x' }, function() return kept.sender end)\n"
	"gate.on('mail', { name = 'y' }, function(tx) tx:add_header('X', vars.x) end)\n"
	"gate.on('data', { name = 'z' }, function() rcpt:permit() end)\n"
	"gate.on('headers', { name = 'w' }, function() return peer.ip end)\n"
	"gate.on('message_rcpt', { name = 'v' }, function() return iterate() end)\n";

TEST(handles_of_what_is_over_say_so)
{
	policy(keeping);
	(void)rig_ask(&r, HOOK_RCPT);
	(void)rig_ask(&r, HOOK_MESSAGE);
	(void)rig_ask(&r, HOOK_EHLO);
	rig_tx_end(&r);
	policy_handles_cut(&r.conn.handles);
	rig_tx(&r);
	CHECK_INT(0, rig_ask(&r, HOOK_CONNECT)->kind, VERDICT_DEFER);
	rig_expect(&r.log, "the transaction is over");
	CHECK_INT(1, rig_ask(&r, HOOK_MAIL)->kind, VERDICT_DEFER);
	rig_expect(&r.log, "these vars are over");
	CHECK_INT(2, rig_ask(&r, HOOK_DATA)->kind, VERDICT_DEFER);
	rig_expect(&r.log, "the recipient's transaction is over");
	CHECK_INT(3, rig_ask(&r, HOOK_HEADERS)->kind, VERDICT_DEFER);
	rig_expect(&r.log, "the connection is closed");
	CHECK_INT(4, rig_ask(&r, HOOK_MESSAGE_RCPT)->kind, VERDICT_DEFER);
	rig_expect(&r.log, "the message is over");
}

TEST(another_transaction_cannot_be_changed)
{
	struct policy_tx mine, *other;

	policy("local kept gate.on('rcpt', { name = 'k' }, function(tx, rc) kept = kept or tx "
	       "end)\n"
	       "gate.on('mail', { name = 'y' }, function() kept:add_header('X', 'y') end)");
	(void)rig_ask(&r, HOOK_RCPT);
	mine = r.tx;
	policy_tx_init(&r.tx, &r.conn, &r.arena);
	other = arena_alloc(&r.arena, sizeof *other);
	*other = r.tx;
	list_init(&other->handles);
	r.tx = mine;
	/* the handle points to r.tx; ask about the other one */
	(void)rig_begin(&r, HOOK_EHLO);
	r.q = (struct policy_question){
		.hook = HOOK_MAIL,
		.generation = r.set.active,
		.arena = &r.arena,
		.conn = &r.conn,
		.tx = other,
		.answered = rig_answered,
	};
	CHECK_INT(0, policy_ask(&r.q), STEP_DONE);
	CHECK_INT(0, r.q.verdict.kind, VERDICT_DEFER);
	rig_expect(&r.log, "only the transaction that this handler was called for");
	policy_tx_fini(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(every_field_has_its_value),
		T(mistakes_are_explained),
		T(edits_reach_the_envelope_when_the_handler_returns),
		T(vars_keep_their_types_and_cross_generations),
		T(handles_of_what_is_over_say_so),
		T(another_transaction_cannot_be_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
