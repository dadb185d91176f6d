/* Loading: what is reported and where, modules, gate.use, the order, freezing. */
#define _GNU_SOURCE
#include "script_rig.h"

#include "script_ready.h"

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

/* refused - a load of that entry fails with exactly these lines */
static void refused(size_t row, const char *text, const char *lines)
{
	r.options.nsources = 0;
	buf_reset(&r.errors);
	rig_source(&r, "main", "/etc/moongate/policy.lua", text);
	CHECK_INT(row, rig_load(&r), -1);
	if (!str_eq(buf_str(&r.errors), str_of(lines)))
		fail_msg("row %zu: %s\ngives\n%.*snot\n%s", row, text, STR_ARG(buf_str(&r.errors)),
			 lines);
}

#define G "local gate = require 'moongate'\n"
#define P "/etc/moongate/policy.lua"

static const struct {
	const char *text, *lines;
} broken[] = {
	{ "x = = 1", P ":1:1: unexpected symbol near '='\n" },
	{ "\n\nif x then", P ":3:1: 'end' expected near <eof>\n" },
	{ "\x1bLua", P ":1:1: attempt to load a binary chunk (mode is 't')\n" },
	{ "error('no')", P ":1:1: no\n" },
	{ "error('no', 0)", P ":1:1: no\n" },
	{ "error({})", P ":1:1: error() was called with a table instead of a text\n" },
	{ "\nlocal x = y.z", P ":2:11: there is no global \"y\"\n" },
	{ "\nlocal x = prnt(1)",
	  P ":2:11: there is no global \"prnt\"; did you mean \"print\"?\n" },
	{ "require 'nothing'", P ":1:10: module \"nothing\" was not found\n" },
	{ "require 'moongat'",
	  P ":1:10: module \"moongat\" was not found; did you mean \"moongate\"?\n" },
	{ "require 'main'", P ":1:10: module \"main\" requires itself by way of others\n" },
	{ G "gate.on('recpt', function() end)",
	  P ":2:10: there is no hook \"recpt\"; did you mean \"rcpt\"?\n" },
	{ G "gate.on('rcpt', { pririty = 1 }, function() end)",
	  P ":2:19: gate.on: unknown option \"pririty\"; did you mean \"priority\"?\n" },
	{ G "gate.on('rcpt', { priority = 5000 }, function() end)",
	  P ":2:1: priority: an integer from 0 to 1000\n" },
	{ G "gate.on('rcpt', { priority = 0.5 }, function() end)",
	  P ":2:1: priority: an integer from 0 to 1000\n" },
	{ G "gate.on('rcpt', { timeout = '5 minutes' }, function() end)", P
	  ":2:30: timeout: \"5 minutes\" is no duration; write it like \"500ms\", \"2s\", \"5m\", "
	  "\"1h30m\", \"35d\"\n" },
	{ G "gate.on('rcpt', { timeout = '1h' }, function() end)",
	  P ":2:1: timeout: from 1 ms to 10 minutes\n" },
	{ G "gate.on('rcpt', { timeout = {} }, function() end)", P
	  ":2:1: timeout: a duration like \"5m\" or a number of seconds is expected, got table\n" },
	{ G "gate.on('rcpt', { on_error = 'accept' }, function() end)",
	  P ":2:31: on_error: \"accept\" is not known\n" },
	{ G "gate.on('bounce', { on_error = 'reject' }, function() end)",
	  P ":2:33: on_error: \"reject\" is no verdict at \"bounce\"\n" },
	{ G "gate.on('rcpt', { mode = 'monitr' }, function() end)",
	  P ":2:27: mode: \"monitr\" is not known; did you mean \"monitor\"?\n" },
	{ G "gate.on('rcpt', { name = 'a b' }, function() end)",
	  P ":2:1: name: printable characters without blanks\n" },
	{ G "gate.on('rcpt', { name = ('x'):rep(64) }, function() end)",
	  P ":2:1: name: 1..63 characters\n" },
	{ G "gate.on('rcpt', { listener = 5 }, function() end)",
	  P ":2:1: listener: a name or a list of names, got number\n" },
	{ G "gate.on('rcpt', { listener = {} }, function() end)",
	  P ":2:1: listener: 1..32 names\n" },
	{ G "gate.on('rcpt', { skip_trusted = 1 }, function() end)",
	  P ":2:1: skip_trusted: true or false is expected, got number\n" },
	{ G "gate.on('rcpt')",
	  P ":2:1: gate.on(hook, [options,] function): got (string, nil, nil)\n" },
	{ G "gate.on(function() end)", P ":2:1: gate.on(hook, [options,] function): the hook is a "
					 "name like \"rcpt\", got function\n" },
	{ G "gate.on('rcpt', 'x', function() end)",
	  P ":2:1: gate.on(hook, [options,] function): got (string, string, function)\n" },
	{ G "gate.on('rcpt', { name = 'x' }, function() end)\ngate.on('rcpt', { name = 'x', "
	    "priority = 1 }, function() end)",
	  P ":3:27: the name \"x\" is taken at \"rcpt\" by " P
	    ":2; give one of them another name\n" },
	{ G "gate.on('recpt', function() end)\ngate.map('nobody')\ngate.on('x', 5)",
	  P ":2:10: there is no hook \"recpt\"; did you mean \"rcpt\"?\n" P
	    ":3:11: no map \"nobody\" in the settings\n" P ":4:10: there is no hook \"x\"\n" },
	{ G "gate.sleep(1)",
	  P ":2:1: gate.sleep waits: call it inside a handler, not while the file loads\n" },
	{ G "gate.use('nothing')",
	  P ":2:11: gate.use(\"nothing\"): policy \"nothing\" was not found\n" },
	{ G "gate.use('recipient')",
	  P ":2:11: gate.use(\"recipient\"): policy \"recipient\" was not "
	    "found; did you mean \"recipients\"?\n" },
	{ G "gate.use('recipients')", P ":2:11: gate.use(\"recipients\"): map: this option must be "
					"given: name of the map in the settings\n" },
	{ G "gate.use('headers', { subject_tg = 'x' })",
	  P ":2:11: gate.use(\"headers\"): subject_tg: there is no such option; did you mean "
	    "\"subject_tag\"?\n" },
	{ G "gate.use('headers', { subject_tag = 5 })",
	  P ":2:11: gate.use(\"headers\"): subject_tag: a string is expected, got a number\n" },
	{ G "gate.use('headers', { remove = { 1 } })",
	  P ":2:11: gate.use(\"headers\"): remove: a list of strings is expected, item 1 is a "
	    "number\n" },
	{ G "gate.use('headers', { add = { 'x' } })",
	  P ":2:11: gate.use(\"headers\"): add[1] is not { \"Name\", \"value\" }\n" },
	{ G "gate.use('recipients', { map = 'nobody' })",
	  P ":2:33: no map \"nobody\" in the settings\n" },
	{ G "gate.use('senders')",
	  P ":2:11: gate.use(\"senders\"): give it a map, allow or deny\n" },
	{ G "gate.use('first', {})",
	  P ":2:11: gate.use(\"first\"): this policy takes no options\n" },
	{ G "gate.use(5)",
	  P ":2:1: gate.use(name [, options]): a name and a table are expected\n" },
	{ G "while true do end",
	  P ":2:1: loading took more CPU time than it may; do work in a handler\n" },
	{ G "while true do pcall(function() while true do end end) end",
	  P ":2:1: loading took more CPU time than it may; do work in a handler\n" },
	{ G "local t = {} while true do t[#t + 1] = {} end", P ":1:1: not enough memory\n" },
};

TEST(every_problem_has_its_file_and_line)
{
	for (size_t i = 0; i < COUNT(broken); i++) {
		r.options.load_us = strstr(broken[i].lines, "CPU time") ? 50000 : 5000000;
		refused(i, broken[i].text, broken[i].lines);
	}
}

TEST(syntax_errors_of_all_files_are_reported_at_once)
{
	rig_source(&r, "main", "policy.lua", "require 'a'");
	rig_source(&r, "a", "lib/a.lua", "x = = 1");
	rig_source(&r, "b", "lib/b.lua", "\ny = = 1");
	CHECK_INT(0, rig_load(&r), -1);
	CHECK_STR(0, buf_str(&r.errors),
		  STR("lib/a.lua:1:1: unexpected symbol near '='\n"
		      "lib/b.lua:2:1: unexpected symbol near '='\n"
		      "policy.lua:1:10: module \"a\" does not compile\n"));
}

TEST(long_paths_are_shown_whole)
{
	static const char path[] = "/a/very/long/path/that/lua/would/cut/to/its/end/because/it/has/"
				   "more/than/sixty/bytes/policy.lua";

	rig_source(&r, "main", path,
		   "\nlocal gate = require 'moongate' gate.on('x', function() end)\nx = = 1");
	CHECK_INT(0, rig_load(&r), -1);
	CHECK(0, str_has_prefix(buf_str(&r.errors), str_of(path)));
	CHECK(0, str_has_prefix(str_drop(buf_str(&r.errors), sizeof path - 1), STR(":3:1: ")));
}

TEST(modules_run_once_and_see_each_other)
{
	rig_source(&r, "main", "policy.lua",
		   "local gate = require 'moongate' local a, b = require 'a', require 'b'\n"
		   "assert(a.n == 1 and b.a == a and require 'a' == a and require 'none' == true)\n"
		   "gate.on('mail', { name = 'x' }, function() assert(require 'a' == a) return "
		   "gate.reject(550, a.text) end)");
	rig_source(&r, "a", "a.lua",
		   "\xef\xbb\xbf"
		   "n = (rawget(_G, 'n') or 0) + 1 return { n = n, text = ... }");
	rig_source(&r, "b", "b.lua", "return { a = require 'a' }");
	rig_source(&r, "none", "none.lua", "");
	if (rig_load(&r) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&r.errors)));
	(void)rig_ask(&r, HOOK_MAIL);
	CHECK_STR(0, r.q.verdict.text, STR("a"));
}

TEST(a_module_cannot_be_loaded_by_a_handler)
{
	rig_source(&r, "main", "policy.lua",
		   "local gate = require 'moongate' gate.on('mail', { name = 'x' }, function() "
		   "require 'a' end)");
	rig_source(&r, "a", "a.lua", "");
	CHECK_INT(0, rig_load(&r), 0);
	CHECK_INT(0, rig_ask(&r, HOOK_MAIL)->kind, VERDICT_DEFER);
	rig_expect(&r.log, "modules are loaded at the top level of a file");
}

TEST(a_policy_of_ones_own_is_used_like_a_ready_one)
{
	rig_source(&r, "main", "policy.lua",
		   "local gate = require 'moongate'\n"
		   "gate.use('mine', { text = 'hi', wait = '1m', name = 'first' })\n"
		   "gate.use('mine', { priority = 100, mode = 'monitor', how = 'slow' })");
	rig_source(&r, "mine", "mine.lua",
		   "local gate = require 'moongate'\n"
		   "return { options = { text = { type = 'string', default = 'none' }, wait = { "
		   "type = 'duration', default = 5 },\n"
		   "  how = { type = 'choice', words = { 'slow', 'fast' }, default = 'fast' } },\n"
		   "setup = function(on, o) on('mail', function() return gate.reject(550, o.text "
		   ".. o.wait .. o.how) end) end }");
	if (rig_load(&r) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&r.errors)));
	(void)rig_ask(&r, HOOK_MAIL);
	CHECK_STR(0, r.q.verdict.text, STR("hi60fast"));
	CHECK_STR(0, r.q.verdict.rule, STR("first"));
	rig_expect(&r.log, "none5slow");
	rig_expect(&r.log, "\"rule\":\"mine\"");
}

TEST(a_name_that_is_ready_and_ones_own_must_be_said_whole)
{
	static const char *const own =
		"local gate = require 'moongate' return { setup = function(on)\n"
		"on('mail', function() return gate.reject(550, 'own') end) end }";
	static const char *const text = "local gate = require 'moongate' gate.use('%s')";
	char main_text[128];

	(void)snprintf(main_text, sizeof main_text, text, "headers");
	rig_source(&r, "main", "policy.lua", main_text);
	rig_source(&r, "headers", "headers.lua", own);
	CHECK_INT(0, rig_load(&r), -1);
	rig_expect(&r.errors, "policy.lua:1:43: gate.use(\"headers\"): there is a ready policy "
			      "\"headers\" and a file of your own");
	(void)snprintf(main_text, sizeof main_text, text, "site.headers");
	r.options.nsources = 0;
	rig_source(&r, "main", "policy.lua", main_text);
	rig_source(&r, "headers", "headers.lua", own);
	CHECK_INT(1, rig_load(&r), 0);
	(void)rig_ask(&r, HOOK_MAIL);
	CHECK_STR(1, r.q.verdict.text, STR("own"));
	(void)snprintf(main_text, sizeof main_text, text, "policies.headers");
	r.options.nsources = 0;
	rig_source(&r, "main", "policy.lua", main_text);
	rig_source(&r, "headers", "headers.lua", own);
	CHECK_INT(2, rig_load(&r), 0);
	CHECK_INT(2, r.g->hooks, 1u << HOOK_MESSAGE);
}

TEST(the_order_is_printed)
{
	struct buf out;

	buf_init(&out, 4096);
	rig_policy(&r, "local gate = require 'moongate'\n"
		       "gate.on('rcpt', function() end)\n"
		       "gate.on('rcpt', { name = 'b', priority = 9, mode = 'monitor', listener = { "
		       "'x', 'y' }, timeout = 2 }, function() end)\n"
		       "gate.on('connect', { name = 'c', on_error = 'pass', skip_trusted = true }, "
		       "function() end)");
	CHECK(0, script_order(r.g, &out));
	CHECK_STR(0, buf_str(&out),
		  STR("connect\n"
		      "   500  c                                policy.lua:4 skip_trusted "
		      "on_error=pass timeout=10s\n"
		      "rcpt\n"
		      "     9  b                                policy.lua:3 monitor listener=x,y "
		      "timeout=2s\n"
		      "   500  policy.lua:2                     policy.lua:2 timeout=10s\n"));
	buf_fini(&out);
}

TEST(a_check_needs_no_loop_and_every_ready_policy_compiles)
{
	r.options.loop = NULL;
	rig_policy(&r, "local gate = require 'moongate' gate.on('mail', function() gate.sleep(1) "
		       "end) print('not shown')");
	CHECK(0, !rig_says(&r.log, "not shown"));
	CHECK(0, script_ready[0].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(every_problem_has_its_file_and_line),
		T(syntax_errors_of_all_files_are_reported_at_once),
		T(long_paths_are_shown_whole),
		T(modules_run_once_and_see_each_other),
		T(a_module_cannot_be_loaded_by_a_handler),
		T(a_policy_of_ones_own_is_used_like_a_ready_one),
		T(a_name_that_is_ready_and_ones_own_must_be_said_whole),
		T(the_order_is_printed),
		T(a_check_needs_no_loop_and_every_ready_policy_compiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
