/* The holes of lua-embedding.md 1.3 and DESIGN 4.4, one row each, and that what is left works. */
#define _GNU_SOURCE
#include "script_rig.h"

#include "clock.h"

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

/* ask - the body runs in a handler; what it did is in r.log and the verdict */
static void ask(const char *body)
{
	char text[4096];

	r.options.cpu_us = 2000000;

	(void)snprintf(text, sizeof text,
		       "local gate = require 'moongate' gate.on('mail', { name = 'x' }, "
		       "function(tx)\n%s\nend)",
		       body);
	rig_policy(&r, text);
	buf_reset(&r.log);
	(void)rig_ask(&r, HOOK_MAIL);
}

/* What may not be there, or only in a tame form. The expression must be false or nil. */
static const char *const absent[] = {
	"rawget(_G, 'io')",
	"rawget(_G, 'package')",
	"rawget(_G, 'coroutine')",
	"pcall(function() return io end)",
	"pcall(function() return package end)",
	"pcall(function() return coroutine end)",
	"pcall(function() return load end)",
	"pcall(function() return loadfile end)",
	"pcall(function() return dofile end)",
	"pcall(function() return loadstring end)",
	"pcall(function() return warn end)",
	"os.execute",
	"os.exit",
	"os.getenv",
	"os.remove",
	"os.rename",
	"os.tmpname",
	"os.setlocale",
	"os.clock",
	"debug.getinfo",
	"debug.sethook",
	"debug.getregistry",
	"debug.getmetatable",
	"debug.setmetatable",
	"debug.getlocal",
	"debug.upvalueid",
	"debug.getupvalue",
	"debug.setuservalue",
	"string.dump",
	"('').dump",
	"getmetatable('')",
	"getmetatable(_G)",
	"getmetatable(string)",
	"getmetatable(tx)",
	"getmetatable(gate)",
	"pcall(setmetatable, {}, { __gc = function() end })",
	"pcall(setmetatable, _G, {})",
	"pcall(setmetatable, string, {})",
	"pcall(setmetatable, gate, {})",
	"pcall(rawset, _G, 'x', 1)",
	"pcall(rawset, string, 'rep', nil)",
	"pcall(rawset, gate, 'on', nil)",
	"pcall(rawset, tx, 'sender', 1)",
	"pcall(setmetatable, tx, {})",
	"pcall(function() x = 1 end)",
	"pcall(function() string.rep = nil end)",
	"pcall(function() gate.reject = nil end)",
	"pcall(function() print = nil end)",
	"pcall(function() math.pi = 3 end)",
	"pcall(function() os.time = nil end)",
	"pcall(function() _G.y = 1 end)",
	"pcall(function() _ENV.y = 1 end)",
	"pcall(collectgarbage)",
	"pcall(collectgarbage, 'stop')",
	"pcall(collectgarbage, 'collect')",
	"pcall(require, 'io')",
	"pcall(require, 'os')",
	"pcall(require, '../etc/passwd')",
	"pcall(string.rep, 'x', 1e9)",
	"pcall(string.rep, 'x', 1e6, 'yy')",
	"pcall(string.rep, ('x'):rep(1000), 2000)",
	"pcall(table.move, {}, 1, 2e8, 2)",
	"pcall(table.move, {}, 1, math.maxinteger, 2)",
	"pcall(table.move, {}, math.mininteger, math.maxinteger, 1)",
	"pcall(table.concat, {}, '', 1, 1e9)",
	"pcall(table.concat, setmetatable({}, { __len = function() return 1e15 end }))",
	"pcall(table.unpack, {}, 1, 1e9)",
	"pcall(table.unpack, {}, math.mininteger, math.maxinteger)",
	"pcall(table.insert, setmetatable({}, { __len = function() return 1e15 end }), 1, 1)",
	"pcall(table.remove, setmetatable({}, { __len = function() return 1e15 end }), 1)",
	"pcall(table.sort, setmetatable({}, { __len = function() return 1e9 end }))",
	"(function() local t = {} for k = 0, 61 do t[1 << k] = 1 end return #t > 1e9 and "
	"pcall(table.insert, t, 1, 1) end)()",
	"(function() local t = {} for k = 0, 61 do t[1 << k] = 1 end return #t > 1e9 and "
	"pcall(table.sort, t) end)()",
	"(function() local t, s = {}, ('x'):rep(1e6) for i = 1, 1000 do t[i] = s end return "
	"pcall(table.sort, t) end)()",
	"pcall(error)",
	"pcall(xpcall)",
};

TEST(what_is_dangerous_is_gone)
{
	for (size_t i = 0; i < COUNT(absent); i++) {
		char body[1024];
		uint64_t before = clock_mono();

		(void)snprintf(body, sizeof body, "if (%s) then error('it is there') end",
			       absent[i]);
		ask(body);
		if (r.q.verdict.failed)
			fail_msg("row %zu: %s: %.*s", i, absent[i], STR_ARG(buf_str(&r.log)));
		CHECK(i, clock_mono() - before < 3000000);
	}
}

static const char *const sound[] = {
	"('x'):rep(3) == 'xxx' and ('x'):rep(2, '-') == 'x-x' and ('x'):rep(0) == '' and "
	"(''):rep(1e18) == ''",
	"('x'):rep(-1) == '' and ('ab'):rep(1) == 'ab'",
	"('%5.1f|%q|%s'):format(1.25, 'a', tx) == '  1.2|\"a\"|tx'",
	"table.concat({ 1, 2, 3 }, ',', 2) == '2,3'",
	"select('#', table.unpack({ 1, 2, 3 })) == 3 and table.unpack({ 1, 2, 3 }, 2, 2) == 2",
	"(function() local t = { 3, 1, 2 } table.sort(t) return t[1] == 1 and t[3] == 3 end)()",
	"(function() local t = { 'b', 'a' } table.sort(t, function(a, b) return a > b end) return "
	"t[1] == 'b' end)()",
	"(function() local t = { 1, 2 } table.insert(t, 1, 0) table.insert(t, 3) return "
	"table.remove(t, 1) == 0 and #t == 3 end)()",
	"table.move({ 1, 2, 3 }, 2, 3, 1)[1] == 2",
	"#table.pack(1, 2) == 2",
	"math.floor(1.5) == 1 and math.type(1) == 'integer'",
	"utf8.len('äö') == 2 and utf8.char(228) == 'ä'",
	"os.time { year = 2026, month = 11, day = 24, hour = 0 } == 1795478400",
	"os.time { year = 2026, month = 11, day = 24 } == 1795478400 + 12 * 3600",
	"os.date('%Y-%m-%d %H:%M', 1795478400) == '2026-11-24 00:00' and os.date('!%H', 0) == '00'",
	"os.date('*t', 0).year == 1970 and math.abs(os.time() - gate.now()) < 5",
	"not pcall(os.time, {}) and not pcall(os.date, '%Ez') and not pcall(os.date, '%c', "
	"math.maxinteger)",
	"os.difftime(3, 1) == 2",
	"collectgarbage('count') > 10",
	"select(2, xpcall(function() error('a', 0) end, function(m) return m .. 'b' end)) == 'ab'",
	"select('#', xpcall(function(...) return ... end, print, 1, nil, 3)) == 4",
	"(function() local ok, e = xpcall(error, function(m) return { m } end, 'x') return not ok "
	"and e[1] == 'x' end)()",
	"(function() local ok, e = pcall(xpcall, error, function() error('in handler', 0) end) "
	"return not ok and e == 'in handler' end)()",
	"xpcall(function() gate.sleep(0.001) return true end, print)",
	"select(2, xpcall(function() gate.sleep(0.001) error('x', 0) end, function(m) "
	"gate.sleep(0.001) return m .. 'y' end)) == 'xy'",
	"debug.traceback('x'):find('stack traceback', 1, true)",
	"setmetatable({}, { __index = { a = 1 } }).a == 1 and getmetatable(setmetatable({}, { "
	"__metatable = 5 })) == 5",
	"(function() local n = 0 for w in ('a b c'):gmatch('%a') do n = n + 1 end return n == 3 "
	"end)()",
	"type(_G) == 'table' and _G.string == string and _ENV == _G and _G._G == _G",
	"rawequal(tx, tx) and rawlen({ 1 }) == 1 and rawget({ a = 1 }, 'a') == 1 and rawset({}, "
	"'a', 2).a == 2",
	"tostring(nil) == 'nil' and tonumber('0x10') == 16 and tonumber('z', 36) == 35",
	"#string.pack('i4', 7) == 4 and string.unpack('i4', string.pack('i4', 7)) == 7",
	"gate.seconds('1h30m') == 5400 and gate.seconds('500ms') == 0.5 and gate.seconds(7) == 7 "
	"and gate.seconds('2w') == 1209600",
	"not pcall(gate.seconds, '') and not pcall(gate.seconds, '5') and not pcall(gate.seconds, "
	"'m5') and not pcall(gate.seconds, 0/0)",
	"next(_G) == nil and next(string) == nil",
};

TEST(what_is_left_works)
{
	for (size_t i = 0; i < COUNT(sound); i++) {
		char body[1024];

		(void)snprintf(body, sizeof body, "assert(%s)", sound[i]);
		ask(body);
		if (r.q.verdict.failed)
			fail_msg("row %zu: %s: %.*s", i, sound[i], STR_ARG(buf_str(&r.log)));
	}
}

TEST(print_and_log_are_lines_of_the_log)
{
	ask("print('a', 1, nil, tx) gate.log('warn', 'careful', { n = 1, s = 'x\\n', b = true, f = "
	    "0.5 }) gate.log('plain')\n"
	    "gate.log('error', ('y'):rep(5000)) gate.log('text', { n = 2 })");
	CHECK(0, !r.q.verdict.failed);
	rig_expect(&r.log, "\"text\":\"a 1 nil tx\"");
	rig_expect(&r.log, "\"event\":\"policy.log\",\"role\":\"none\",\"index\":0,\"rule\":\"x\","
			   "\"hook\":\"mail\",\"generation\":\"7/01234567\"");
	rig_expect(&r.log, "\"level\":\"warn\"");
	rig_expect(&r.log, "\"s\":\"x\\n\"");
	rig_expect(&r.log, "\"text\":\"plain\"");
	rig_expect(&r.log, "\"fields\":{\"n\":2}");
	CHECK(0, !rig_says(&r.log, "yyyyyyyyyy\",\"yy"));
}

TEST(log_lines_of_one_handler_are_bounded)
{
	size_t lines = 0;

	ask("for i = 1, 1000 do gate.log('line') end");
	for (struct str rest = buf_str(&r.log), line; str_take(&rest, '\n', &line);)
		lines++;
	CHECK_INT(0, lines, 32);
	rig_expect(&r.log, "\"last\":true");
}

static const struct {
	const char *call, *message;
} wrong_logs[] = {
	{ "gate.log()", "string expected" },
	{ "gate.log('loud', 'x')", "\\\"loud\\\" is no level" },
	{ "gate.log('x', { y = {} })", "field \\\"y\\\" is a table" },
	{ "gate.log('x', { 1 })", "fields have names" },
	{ "gate.log('x', 5)", "table expected" },
	{ "local t = {} for i = 1, 17 do t['k' .. i] = i end gate.log('x', t)",
	  "more than 16 fields" },
};

TEST(wrong_logs_are_explained)
{
	for (size_t i = 0; i < COUNT(wrong_logs); i++) {
		ask(wrong_logs[i].call);
		CHECK(i, r.q.verdict.failed);
		rig_expect(&r.log, wrong_logs[i].message);
	}
}

TEST(writing_a_global_is_explained_with_name_and_line)
{
	ask("\ncuonter = 1");
	rig_expect(&r.log,
		   "policy.lua:3: cannot set \\\"cuonter\\\": globals are read only after loading");
	ask("\nstring.x = 1");
	rig_expect(&r.log,
		   "policy.lua:3: cannot set \\\"x\\\": libraries are read only after loading");
	ask("\ngate.x = 1");
	rig_expect(&r.log, "policy.lua:3: cannot set \\\"x\\\": the module moongate is read only "
			   "after loading");
	ask("\nreturn strin.x");
	rig_expect(&r.log,
		   "policy.lua:3: there is no global \\\"strin\\\"; did you mean \\\"string\\\"?");
}

/* Patterns, sorting, comparing: none of it may run much longer than the budget. */
static const char *const bombs[] = {
	"(('a'):rep(200)):find('a*a*a*b')",
	"(('a'):rep(400)):match('a*a*a*a*b')",
	"(('a'):rep(100000)):gsub('a*b', '')",
	"for _ in (('a'):rep(100000)):gmatch('a-a-b') do end",
	"(('a'):rep(1000000)):find(('a'):rep(500000) .. 'b', 1, true)",
	"(('a'):rep(1000000)):find('[' .. ('b'):rep(1000000) .. ']')",
	"(('a'):rep(1000000)):find('[' .. ('b'):rep(100000) .. ']*c')",
	"(('('):rep(100000)):find('%b()')",
	"(('a'):rep(300)):find(('a?'):rep(150) .. ('a'):rep(150))",
	"(('x'):rep(100000)):find('(.-)(.-)(.-)%1%2%3y')",
	"(('a b '):rep(100000)):gsub('%f[%a]%a*%f[%A]%s*$', '')",
	"('a'):find(('('):rep(10000))",
	"('a'):find(('a-'):rep(10000))",
};

TEST(pattern_bombs_fizzle_out)
{
	r.options.memory = 32 << 20;
	for (size_t i = 0; i < COUNT(bombs); i++) {
		char body[512];
		uint64_t before = clock_mono();

		(void)snprintf(body, sizeof body, "pcall(function() %s%s end)",
			       strstr(bombs[i], "for ") ? "" : "return ", bombs[i]);
		ask(body);
		CHECK(i, clock_mono() - before < 3000000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(what_is_dangerous_is_gone),
		T(what_is_left_works),
		T(print_and_log_are_lines_of_the_log),
		T(log_lines_of_one_handler_are_bounded),
		T(wrong_logs_are_explained),
		T(writing_a_global_is_explained_with_name_and_line),
		T(pattern_bombs_fizzle_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
