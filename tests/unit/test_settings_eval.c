#include "settings_eval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "settings_lua.h"
#include "settings_schema.h"
#include "step.h"

#define MEMORY (64 * 1024 * 1024)
#define LISTEN "listen = '127.0.0.1:2525', policy = 'p.lua', "

struct load {
	struct arena arena;
	struct settings_source source;
	struct settings settings;
	struct buf report;
	bool good;
};

static char folder[] = "/tmp/moongate-test-XXXXXX";

static int begin(void **state)
{
	(void)state;
	return mkdtemp(folder) ? chdir(folder) : -1;
}

static int end(void **state)
{
	(void)state;
	(void)unlink("moongate.lua");
	return chdir("/") < 0 ? -1 : rmdir(folder);
}

static void put(const char *text, size_t n)
{
	int fd = open("moongate.lua", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	(void)close(fd);
}

static struct load *load_bytes(const char *text, size_t n, const char *path)
{
	struct load *l = calloc(1, sizeof *l);

	assert_non_null(l);
	put(text, n);
	arena_init(&l->arena, MEMORY);
	buf_init(&l->report, MEMORY);
	l->good = settings_source_read(&l->source, str_of(path), &l->arena) &&
		  settings_eval(&l->settings, &l->source);
	settings_source_report(&l->source, &l->report);
	assert_true(buf_byte(&l->report, '\0'));
	return l;
}

static struct load *load(const char *text)
{
	return load_bytes(text, strlen(text), "moongate.lua");
}

static void done(struct load *l)
{
	buf_fini(&l->report);
	arena_fini(&l->arena);
	free(l);
}

static void expect(const char *text, bool good, const char *report)
{
	struct load *l = load(text);

	if (l->good != good || strcmp(buf_str(&l->report).p, report) != 0)
		fail_msg("%s\ngave %s:\n%snot\n%s", text, l->good ? "good" : "bad",
			 buf_str(&l->report).p, report);
	done(l);
}

/* ---- each type, each error, with its place --------------------------------------------------- */

static const struct {
	const char *entry;   /* of the returned table, behind LISTEN, in line 2 from column 1 */
	const char *problem; /* behind "moongate.lua:2:"; NULL: good */
} entries[] = {
	/* text */
	{ "user = 'mail'", NULL },
	{ "user = 5", "1: user: expected a string, found the number 5" },
	{ "user = {}", "1: user: expected a string, found a table" },
	{ "user = 'a\\nb'", "1: user: contains the control character 0x0a" },
	{ "hostname = 'mx.example.org'", NULL },
	{ "hostname = '[192.0.2.1]'", NULL },
	{ "hostname = 'a..b'", "1: hostname: expected a string with a host name, found \"a..b\"" },
	{ "hostname = ''", "1: hostname: expected a string with a host name, found \"\"" },
	{ "spool = true", "1: spool: expected a string with a path, found true" },
	/* words */
	{ "events = { to = 'syslog', level = 'warn' }", NULL },
	{ "events = { to = 'none' }", NULL },
	{ "events = { to = 'syslog:/run/log' }", NULL },
	{ "events = { to = 'kafka' }",
	  "12: events.to: expected \"stdout\", \"syslog\", \"syslog:/path\", \"none\" or "
	  "\"file:PATH\", found \"kafka\"" },
	{ "events = { level = 'loud' }",
	  "12: events.level: expected \"debug\", \"info\", \"warn\" or \"error\", found \"loud\"" },
	/* booleans */
	{ "events = { to = 'file:' }",
	  "12: events.to: expected \"stdout\", \"syslog\", \"syslog:/path\", \"none\" or "
	  "\"file:PATH\", found \"file:\"" },
	{ "events = { to = 'syslog:x' }",
	  "12: events.to: expected \"stdout\", \"syslog\", \"syslog:/path\", \"none\" or "
	  "\"file:PATH\", found \"syslog:x\"" },
	{ "events = { to = 'syslog:/' }",
	  "12: events.to: expected \"stdout\", \"syslog\", \"syslog:/path\", \"none\" or "
	  "\"file:PATH\", found \"syslog:/\"" },
	{ "routing_characters = true", NULL },
	{ "routing_characters = 'false'", NULL },
	{ "routing_characters = 1",
	  "1: routing_characters: expected true or false, found the number 1" },
	{ "routing_characters = 'yes'",
	  "1: routing_characters: expected true or false, found \"yes\"" },
	/* counts */
	{ "limits = { recipients = 100 }", NULL },
	{ "limits = { recipients = '100' }", NULL },
	{ "limits = { recipients = 100.0 }", NULL },
	{ "limits = { recipients = 0 }", "12: limits.recipients: must be between 1 and 1000" },
	{ "limits = { recipients = 1001 }", "12: limits.recipients: must be between 1 and 1000" },
	{ "limits = { recipients = -1 }",
	  "12: limits.recipients: expected a whole number, found the number -1" },
	{ "limits = { recipients = 1.5 }",
	  "12: limits.recipients: expected a whole number, found the number 1.5" },
	{ "limits = { recipients = 'many' }",
	  "12: limits.recipients: expected a whole number, found \"many\"" },
	{ "limits = { recipients = true }",
	  "12: limits.recipients: expected a whole number, found true" },
	/* sizes */
	{ "limits = { message = '25MiB' }", NULL },
	{ "limits = { message = 26214400 }", NULL },
	{ "limits = { message = '25MB' }", "12: limits.message: expected a size like \"25MiB\", or "
					   "a number of bytes, found \"25MB\"" },
	{ "limits = { message = '5GiB' }", "12: limits.message: must be between 64KiB and 4GiB" },
	{ "limits = { message = {} }", "12: limits.message: expected a size like \"25MiB\", or a "
				       "number of bytes, found a table" },
	/* durations */
	{ "drain = '1h'", NULL },
	{ "drain = 0.5", NULL },
	{ "drain = 0", NULL },
	{ "drain = 3600", NULL },
	{ "drain = -1", "1: drain: expected a duration like \"5m\" or \"1h30m\", or a number of "
			"seconds, found the number -1" },
	{ "drain = '1 h'", "1: drain: expected a duration like \"5m\" or \"1h30m\", or a number of "
			   "seconds, found \"1 h\"" },
	{ "drain = '2h'", "1: drain: must be between 0s and 1h" },
	{ "drain = 1/0",
	  "1: drain: expected a duration like \"5m\" or \"1h30m\", or a number of seconds, "
	  "found the number inf" },
	{ "drain = false", "1: drain: expected a duration like \"5m\" or \"1h30m\", or a number of "
			   "seconds, found false" },
	/* lists of domains */
	{ "domains = { 'example.com', 'Example.ORG' }", NULL },
	{ "domains = 'example.com'", NULL },
	{ "domains = {}", NULL },
	{ "domains = { 'example.com', 5 }",
	  "28: domains: expected a list of domain names, found the number 5" },
	{ "domains = { 'example.com', 'b c' }", "28: domains: \"b c\" is not a domain name" },
	{ "domains = { a = 'example.com' }",
	  "1: domains: expected a list of domain names, found the key `a`" },
	{ "domains = { [1] = 'a', [9] = 'b' }",
	  "1: domains: expected a list of domain names without gaps" },
	{ "domains = { 'a', nil, 'c' }",
	  "1: domains: expected a list of domain names without gaps" },
	{ "domains = 5", "1: domains: expected a list of domain names, found the number 5" },
	{ "domains = '*'", "1: domains: \"*\" is not a domain name" },
	{ "relay = { domains = { 'a.example', '*' }, to = '127.0.0.1:25' }",
	  "11: relay.domains: \"*\" stands for all domains: it must stand alone" },
	/* maps */
	{ "route = { ['Example.com'] = '127.0.0.1:25', ['*'] = 'lmtp:unix:/x' }", NULL },
	{ "route = { ['example.com'] = 5 }",
	  "11: route: expected a table of domains and next hops, found the number 5" },
	{ "route = { 'x' }", "1: route: expected a table of domains and next hops, found \"x\"" },
	{ "route = { ['a b'] = '127.0.0.1:25' }", "11: route: \"a b\" is not a domain name" },
	{ "route = 'x'", "1: route: expected a table of domains and next hops, found \"x\"" },
	{ "maps = { recipients = 'r.txt' }", NULL },
	{ "maps = { ['azAZ09_-.'] = 'r.txt' }", NULL },
	{ "maps = { ['a@'] = 'r.txt' }",
	  "10: maps: \"a@\" is not a name: letters, digits, \"_\", \"-\" and \".\" only" },
	{ "maps = { [''] = 'r.txt' }", "10: maps: a name has between 1 and 64 bytes" },
	{ "maps = { m012345678901234567890123456789012345678901234567890123456789012 = 'r.txt' }",
	  NULL },
	{ "maps = { m0123456789012345678901234567890123456789012345678901234567890123 = 'r.txt' }",
	  "10: maps: a name has between 1 and 64 bytes" },
	{ "maps = { ['a b'] = 'r.txt' }",
	  "10: maps: \"a b\" is not a name: letters, digits, \"_\", \"-\" and \".\" only" },
	/* groups and unknown names */
	{ "limits = 5", "1: limits: expected a table" },
	{ "lisen = 5", "1: unknown setting `lisen`; did you mean `listen`?" },
	{ "limits = { mesage = 5 }",
	  "12: unknown setting `limits.mesage`; did you mean `limits.message`?" },
	{ "recipients = 5", "1: unknown setting `recipients`; did you mean `limits.recipients`?" },
	{ "limit = {}", "1: unknown setting `limit`; did you mean `limits`?" },
	{ "zzzzzz = 5", "1: unknown setting `zzzzzz`" },
	{ "limits = { zzzzzz = 5 }", "12: unknown setting `limits.zzzzzz`" },
	{ "5", "1: expected `name = value`, found a value without a name" },
	{ "limits = { 5 }", "12: limits: expected `name = value`, found a value without a name" },
	{ "[true] = 5", "" },
	/* across settings */
	{ "retry = { first = '4h', longest = '4h', expire = '4h' }", NULL },
	{ "retry = { first = '5h' }",
	  "11: retry.first (5h) must not be longer than retry.longest (4h)" },
	{ "timeouts = { data = '30m', session = '10m' }",
	  "14: timeouts.data (30m) must not be longer than timeouts.session (10m)" },
	{ "store = { segment = 1048577 }", "11: store.segment: must be a multiple of 4KiB" },
};

static void every_entry_is_taken_or_named_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(entries); i++) {
		const char *problem = entries[i].problem;
		char text[512], report[512] = "";

		(void)snprintf(text, sizeof text, "return { " LISTEN "\n%s }", entries[i].entry);
		if (problem && *problem)
			(void)snprintf(report, sizeof report, "moongate.lua:2:%s\n", problem);
		else if (problem)
			(void)snprintf(report, sizeof report, "%s\n",
				       "moongate.lua:1:1: expected `name = value`, found a value "
				       "without a name");
		expect(text, !problem, report);
	}
}

static const struct {
	const char *text, *report;
} listeners[] = {
	{ "return { policy = 'p' }",
	  "moongate.lua:1:1: listen: at least one address is needed, like \"127.0.0.1:2525\"\n" },
	{ "return { policy = 'p', listen = {} }",
	  "moongate.lua:1:24: listen: at least one address is needed, like \"127.0.0.1:2525\"\n" },
	{ "return { policy = 'p', listen = 5 }",
	  "moongate.lua:1:24: listen: expected a list of addresses, or of { address =, name = }, "
	  "found the number 5\n" },
	{ "return { policy = 'p', listen = { 'x:1', '127.0.0.1:1025', 5 } }",
	  "moongate.lua:1:35: listen: \"x:1\" is not an address: expected 127.0.0.1:25, "
	  "[2001:db8::1]:25 or unix:/path\n"
	  "moongate.lua:1:60: listen: expected a list of addresses, or of { address =, name = }, "
	  "found the number 5\n" },
	{ "return { policy = 'p', listen = { { address = '127.0.0.1:1025', name = 'a b' } } }",
	  "moongate.lua:1:35: listen: \"a b\" is not a name: letters, digits, \"_\", \"-\" and "
	  "\".\" only\n" },
	{ "return { policy = 'p', listen = { { adress = '127.0.0.1:1025' } } }",
	  "moongate.lua:1:35: listen: a listener needs an `address`\n"
	  "moongate.lua:1:37: listen: a listener has `address`, `name`, `tls`, `tls_floor`, "
	  "`tls_ciphers` "
	  "and `client_certificates`, not `adress`\n" },
	{ "return { policy = 'p', listen = { { address = '127.0.0.1:1025', tls = 'ssl' } } }",
	  "moongate.lua:1:65: listen: tls: expected \"starttls\", \"required\", \"implicit\" or "
	  "\"off\", found \"ssl\"\n" },
	{ "return { policy = 'p', listen = { { address = '127.0.0.1:1025', tls_floor = '1.1' } } }",
	  "moongate.lua:1:65: listen: tls_floor: expected \"1.2\" or \"1.3\", found \"1.1\"\n" },
	{ "return { policy = 'p', listen = { { address = '127.0.0.1:1025', tls_ciphers = 'a b' } } "
	  "}",
	  "moongate.lua:1:65: listen: tls_ciphers: expected names with \":\" between, found "
	  "\"a b\"\n" },
	{ "return { policy = 'p', listen = { { address = '127.0.0.1:1025', tls = 'implicit' } } }",
	  "moongate.lua:1:35: listen: 127.0.0.1:1025 is to speak TLS, and there is no certificate: "
	  "tls = { certificates = { { cert = ..., key = ... } } }\n" },
	{ "return { policy = 'p', listen = { { address = '127.0.0.1:1025', client_certificates = "
	  "'require' } } }",
	  "moongate.lua:1:35: listen: 127.0.0.1:1025 asks for client certificates: tls.authorities "
	  "must name those who sign them\n" },
	{ "return { policy = 'p', listen = '127.0.0.1:1025', tls = { certificates = { { cert = 'c' "
	  "} "
	  "} } }",
	  "moongate.lua:1:76: tls.certificates: a certificate has `cert` and `key`, both are "
	  "needed\n" },
	{ "return { policy = 'p', listen = '127.0.0.1:1025', tls = { certificates = 'c' } }",
	  "moongate.lua:1:59: tls.certificates: expected a list of { cert =, key = }, found "
	  "\"c\"\n" },
	{ "return { policy = 'p', listen = { { address = 5 } } }",
	  "moongate.lua:1:35: listen: a listener needs an `address`\n"
	  "moongate.lua:1:37: listen: `address` must be a string\n" },
	{ "return { policy = 'p', listen = { '127.0.0.1:1025', '127.0.0.1:1025' } }",
	  "moongate.lua:1:53: listen: 127.0.0.1:1025 is there twice\n" },
	{ "return { policy = 'p', listen = { { address = '[::1]:1025', name = 'a' }, { address = "
	  "'[::1]:1026', name = 'a' } } }",
	  "moongate.lua:1:75: listen: two listeners are named a\n" },
};

static void every_listener_is_taken_or_named_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(listeners); i++)
		expect(listeners[i].text, false, listeners[i].report);
}

static void an_open_relay_is_refused(void **state)
{
	(void)state;
	expect("return { listen = { '127.0.0.1:2525', '[::1]:2525', 'unix:/run/x' }, relay = { "
	       "domains = '*', to = "
	       "'127.0.0.1:2526' } }",
	       true, "");
	expect("return { relay = { domains = '*', to = '127.0.0.1:2526' },\nlisten = { "
	       "'127.0.0.1:2525', '0.0.0.0:2525' } }",
	       false,
	       "moongate.lua:2:30: listen: 0.0.0.0:2525 can be reached from outside: with "
	       "relay.domains = \"*\" this would be an "
	       "open relay; only loopback addresses and Unix sockets may have that\n");
	expect("return { listen = '[2001:db8::1]:2525', relay = { domains = { '*' }, to = "
	       "'127.0.0.1:2526' } }",
	       false,
	       "moongate.lua:1:10: listen: [2001:db8::1]:2525 can be reached from outside: with "
	       "relay.domains = \"*\" this would "
	       "be an open relay; only loopback addresses and Unix sockets may have that\n");
	expect("return { listen = '0.0.0.0:2525', relay = { domains = { 'example.com' }, to = "
	       "'127.0.0.1:2526' } }",
	       true, "");
}

static void what_is_only_strange_is_a_note(void **state)
{
	(void)state;
	expect("return { listen = '127.0.0.1:25', policy = 'p' }", true,
	       "moongate.lua:1:10: note: listen: 127.0.0.1:25 is below port 1024: it takes root, "
	       "CAP_NET_BIND_SERVICE or a "
	       "service manager\n");
	expect("return { listen = '127.0.0.1:2525' }", true,
	       "moongate.lua:1:1: note: no relay.domains and no policy: no mail will be "
	       "accepted\n");
	expect("return { listen = '127.0.0.1:2525', relay = { domains = 'a.example' } }", true,
	       "moongate.lua:1:47: note: relay.domains: there is no relay.to, no route and no "
	       "policy: their mail has no way to "
	       "go, and will be refused\n");
}

/* ---- the file as a program ------------------------------------------------------------------- */

static const struct {
	const char *text, *report;
} programs[] = {
	{ "return {", "moongate.lua:1: unexpected symbol near <eof>\n" },
	{ "return {\n listen = = 5 }", "moongate.lua:2: unexpected symbol near '='\n" },
	{ "return 5", "moongate.lua: must end with `return { ... }`\n" },
	{ "", "moongate.lua: must end with `return { ... }`\n" },
	{ "return {}, {}", "moongate.lua: must end with `return { ... }`\n" },
	{ "\nx = 5", "moongate.lua:2: `x` would be a global: write `local x`, or put it into the "
		     "returned table\n" },
	{ "return { listen = os.getenv('X') }",
	  "moongate.lua:1: `os` is not defined: there are env(name, default) and list(text), "
	  "nothing else\n" },
	{ "return { listen = require 'x' }", "moongate.lua:1: `require` is not defined: there are "
					     "env(name, default) and list(text), nothing else\n" },
	{ "local s = ''\nreturn { listen = s:rep(5) }",
	  "moongate.lua:2: attempt to index a string value (local 's')\n" },
	{ "return { listen = nil .. 'x' }",
	  "moongate.lua:1: attempt to concatenate a nil value\n" },
	{ "\nwhile true do end", "moongate.lua:2: runs for too long: more than 1000000 steps\n" },
	{ "local s = 'xxxxxxxx' while true do s = s .. s end",
	  "moongate.lua: not enough memory\n" },
	{ "local function f() return f() + 1 end return f()", "moongate.lua: not enough memory\n" },
	{ "return { listen = env(5, 6, {}) .. env() }",
	  "moongate.lua:1: bad argument #1 to 'env' (string expected, got no value)\n" },
};

static void a_program_that_fails_says_where(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(programs); i++) {
		struct load *l = load(programs[i].text);
		size_t n =
			strlen(programs[i].report) - 1; /* Lua appends a traceback to one of them */

		assert_false(l->good);
		if (strncmp(buf_str(&l->report).p, programs[i].report, n) != 0)
			fail_msg("%s\ngave %snot\n%s", programs[i].text, buf_str(&l->report).p,
				 programs[i].report);
		done(l);
	}
}

static void bytecode_is_refused(void **state)
{
	static const char dumped[] = "\033LuaT\0\x19\x93\r\n\x1a\n";
	struct load *l = load_bytes(dumped, sizeof dumped - 1, "moongate.lua");

	(void)state;
	assert_false(l->good);
	assert_non_null(strstr(buf_str(&l->report).p, "attempt to load a binary chunk"));
	done(l);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	struct load *l = load_bytes("", 0, "none.lua");

	(void)state;
	assert_false(l->good);
	assert_string_equal(buf_str(&l->report).p,
			    "none.lua: cannot be opened: No such file or directory\n");
	done(l);
	l = load_bytes("", 0, "/");
	assert_string_equal(buf_str(&l->report).p, "/: must be a file of at most 1048576 bytes\n");
	done(l);
}

static void the_environment_is_read(void **state)
{
	struct load *l;

	(void)state;
	assert_int_equal(setenv("MOONGATE_TEST_A", "127.0.0.1:2525, [::1]:2526\tunix:/x", 1), 0);
	assert_int_equal(setenv("MOONGATE_TEST_B", "", 1), 0);
	assert_int_equal(setenv("MOONGATE_TEST_C", "77", 1), 0);
	assert_int_equal(unsetenv("MOONGATE_TEST_D"), 0);
	l = load("return { listen = list(env('MOONGATE_TEST_A')), user = env('MOONGATE_TEST_B', "
		 "'nobody'),\n"
		 "limits = { recipients = env('MOONGATE_TEST_C', 5), hops = env('MOONGATE_TEST_D', "
		 "70) },\n"
		 "domains = list(env('MOONGATE_TEST_D')), policy = 'p', spool = "
		 "env('MOONGATE_TEST_D') }");
	if (!l->good)
		fail_msg("%s", buf_str(&l->report).p);
	assert_int_equal(l->settings.nlisten, 3);
	assert_true(str_eq(l->settings.listen[2].address, STR("unix:/x")));
	assert_true(str_eq(l->settings.user, STR("nobody")));
	assert_int_equal(l->settings.limits.recipients, 77);
	assert_int_equal(l->settings.limits.hops, 70);
	assert_int_equal(l->settings.ndomains, 0);
	assert_true(str_eq(l->settings.spool, STR("/var/spool/moongate")));
	done(l);
}

static void lists_and_strings_have_their_bounds(void **state)
{
	struct buf text;
	struct load *l;

	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		buf_init(&text, MEMORY);
		assert_true(buf_add(&text, STR("return { policy = 'p', listen = {")));
		for (unsigned i = 0; i < SETTINGS_LISTENERS + extra; i++)
			assert_true(buf_printf(&text, "'127.0.0.1:%u',", 2000 + i));
		assert_true(buf_add(&text, STR("}, user = '")));
		for (unsigned i = 0; i < SETTINGS_TEXT + extra; i++)
			assert_true(buf_byte(&text, 'x'));
		assert_true(buf_add(&text, STR("' }")));
		l = load_bytes(buf_str(&text).p, buf_len(&text), "moongate.lua");
		assert_int_equal(l->good, !extra);
		assert_int_equal(l->settings.nlisten, extra ? 0 : SETTINGS_LISTENERS);
		if (extra) {
			assert_non_null(
				strstr(buf_str(&l->report).p, "listen: at most 32, found 33\n"));
			assert_non_null(strstr(buf_str(&l->report).p,
					       "user: must have at most 1024 bytes, has 1025\n"));
		}
		done(l);
		buf_fini(&text);
	}
}

static void a_file_in_the_root_has_a_folder_too(void **state)
{
	struct load *l = load_bytes("", 0, "/nonexistent.lua");

	(void)state;
	assert_true(str_eq(l->source.folder, STR("/")));
	assert_true(str_eq(settings_source_path(&l->source, STR("x/y")), STR("/x/y")));
	assert_true(str_eq(settings_source_path(&l->source, STR("././x")), STR("/x")));
	assert_true(str_eq(settings_source_path(&l->source, STR("/z")), STR("/z")));
	assert_true(str_eq(settings_source_path(&l->source, STR(".")), STR("/")));
	assert_int_equal(settings_source_path(&l->source, STR("")).n, 0);
	assert_true(str_eq(settings_source_shown(&l->source, STR("/x/y")), STR("/x/y")));
	done(l);
	l = load_bytes("", 0, "../nowhere/m.lua");
	assert_true(str_has_suffix(l->source.folder, STR("/../nowhere")));
	assert_true(str_eq(
		settings_source_shown(&l->source, settings_source_path(&l->source, STR("p.lua"))),
		STR("../nowhere/p.lua")));
	done(l);
}

static void values_arrive_in_their_units(void **state)
{
	struct load *l =
		load("return { " LISTEN
		     "drain = 1.5, timeouts = { command = '1m30s' }, limits = { message = '1MiB', "
		     "memory = 2097152 }, domains = { 'A.Example' }, route = { ['B.Example'] = "
		     "'127.0.0.1:25', "
		     "['*'] = '127.0.0.1:26' } }");

	(void)state;
	assert_true(l->good);
	assert_int_equal(l->settings.drain, 1500000);
	assert_int_equal(l->settings.timeouts.command, 90000000);
	assert_int_equal(l->settings.limits.message, 1048576);
	assert_int_equal(l->settings.limits.memory, 2097152);
	assert_true(str_eq(l->settings.domains[0], STR("a.example")));
	assert_true(str_eq(l->settings.route[0].key, STR("*")));
	assert_true(str_eq(l->settings.route[1].key, STR("b.example")));
	assert_true(str_eq(l->settings.listen[0].name, STR("127.0.0.1:2525")));
	assert_true(l->settings.edges >= 1 && l->settings.delivers >= 1 &&
		    l->settings.hostname.n > 0);
	done(l);
}

static void paths_are_relative_to_the_file(void **state)
{
	struct load *l = load("return { listen = '127.0.0.1:2525', policy = 'a/p.lua', spool = "
			      "'/abs', control = './c.sock', "
			      "maps = { m = 'm.txt' }, events = { to = 'file:e.log' } }");
	char want[128];

	(void)state;
	assert_true(l->good);
	(void)snprintf(want, sizeof want, "%s/a/p.lua", folder);
	assert_true(str_eq(l->settings.policy, str_of(want)));
	assert_true(str_eq(settings_source_shown(&l->source, l->settings.policy), STR("a/p.lua")));
	assert_true(str_eq(settings_source_shown(&l->source, STR("/abs")), STR("/abs")));
	assert_true(str_eq(l->settings.spool, STR("/abs")));
	(void)snprintf(want, sizeof want, "%s/c.sock", folder);
	assert_true(str_eq(l->settings.control, str_of(want)));
	(void)snprintf(want, sizeof want, "%s/m.txt", folder);
	assert_true(str_eq(l->settings.maps[0].value, str_of(want)));
	(void)snprintf(want, sizeof want, "file:%s/e.log", folder);
	assert_true(str_eq(l->settings.events.to, str_of(want)));
	done(l);
}

/* Nor is such a key found: the tokenizer does not undo escapes. */
static void a_control_byte_never_reaches_the_terminal(void **state)
{
	(void)state;
	expect("return { " LISTEN "\n['a\\nb\\27'] = 5 }", false,
	       "moongate.lua:1:1: unknown setting `a?b?`\n");
}

static void all_problems_come_in_the_order_of_the_file(void **state)
{
	(void)state;
	expect("return {\n\tdrain = {},\n\tlisten = 5,\n\tlimits = { hops = 'x',\n\t\terrors = 'y' "
	       "},\n\tlisen = 1,\n}",
	       false,
	       "moongate.lua:2:2: drain: expected a duration like \"5m\" or \"1h30m\", or a number "
	       "of seconds, found a table\n"
	       "moongate.lua:3:2: listen: expected a list of addresses, or of { address =, name = "
	       "}, found the number 5\n"
	       "moongate.lua:4:13: limits.hops: expected a whole number, found \"x\"\n"
	       "moongate.lua:5:3: limits.errors: expected a whole number, found \"y\"\n"
	       "moongate.lua:6:2: unknown setting `lisen`; did you mean `listen`?\n");
}

static void more_problems_than_fit_are_counted(void **state)
{
	struct buf text;
	struct load *l;

	(void)state;
	buf_init(&text, MEMORY);
	assert_true(buf_add(&text, STR("return { domains = {")));
	for (unsigned i = 0; i < SETTINGS_PROBLEMS + 7; i++)
		assert_true(buf_add(&text, STR("\n'a b',")));
	assert_true(buf_add(&text, STR("} }")));
	l = load_bytes(buf_str(&text).p, buf_len(&text), "moongate.lua");
	assert_false(l->good);
	assert_int_equal(l->source.nerrors, SETTINGS_PROBLEMS + 7);
	assert_non_null(strstr(buf_str(&l->report).p, "moongate.lua: and 7 more\n"));
	done(l);
	buf_fini(&text);
}

static void the_schema_holds_its_own_defaults(void **state)
{
	(void)state;
	for (unsigned i = 0; i < settings_schema_count; i++) {
		const struct setting *row = &settings_schema[i];
		struct settings s = { 0 };
		struct fault why;

		assert_ptr_equal(setting_find(str_of(row->path)), row);
		assert_non_null(row->help);
		assert_non_null(setting_expected(row->type));
		if (row->preset)
			assert_int_equal(setting_parse(row, &s, str_of(row->preset), &why), 0);
	}
	assert_null(setting_find(STR("limits")));
	assert_true(setting_is_group(STR("limits")));
	assert_false(setting_is_group(STR("listen")));
	assert_false(setting_is_group(STR("")));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_entry_is_taken_or_named_with_its_place),
		cmocka_unit_test(every_listener_is_taken_or_named_with_its_place),
		cmocka_unit_test(an_open_relay_is_refused),
		cmocka_unit_test(what_is_only_strange_is_a_note),
		cmocka_unit_test(a_program_that_fails_says_where),
		cmocka_unit_test(bytecode_is_refused),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
		cmocka_unit_test(the_environment_is_read),
		cmocka_unit_test(lists_and_strings_have_their_bounds),
		cmocka_unit_test(a_file_in_the_root_has_a_folder_too),
		cmocka_unit_test(values_arrive_in_their_units),
		cmocka_unit_test(paths_are_relative_to_the_file),
		cmocka_unit_test(a_control_byte_never_reaches_the_terminal),
		cmocka_unit_test(all_problems_come_in_the_order_of_the_file),
		cmocka_unit_test(more_problems_than_fit_are_counted),
		cmocka_unit_test(the_schema_holds_its_own_defaults),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
