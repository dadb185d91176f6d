#define _GNU_SOURCE
#include "loader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "settings.h"
#include "snapshot.h"
#include "state_map.h"

#define ERRORS (1024 * 1024)
#define POLICY                                                                                     \
	"local gate = require 'moongate'\n"                                                        \
	"local recipients = gate.map('recipients')\n"                                              \
	"gate.on('rcpt', { name = 'known-recipients' }, function(tx, rcpt)\n"                      \
	"\tif not recipients:get(rcpt.address) then return gate.reject(550, '5.1.1', 'no') end\n"  \
	"\trcpt:permit()\nend)\n"
#define SETTINGS                                                                                   \
	"return {\n\tlisten = '127.0.0.1:2525', policy = 'policy.lua',\n"                          \
	"\tmaps = { recipients = 'r.txt' }, route = { ['*'] = '127.0.0.1:2526' } }\n"

static char folder[] = "/tmp/moongate-load-XXXXXX";

/* ---- a folder --------------------------------------------------------------------------------- */

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static int begin(void **state)
{
	(void)state;
	memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	put("moongate.lua", SETTINGS);
	put("policy.lua", POLICY);
	put("r.txt", "a@example.com\nb@example.com yes\n");
	return 0;
}

static int end(void **state)
{
	static const char *const files[] = { "moongate.lua", "policy.lua", "r.txt", "other.lua",
					     "policy_test.lua" };

	(void)state;
	for (size_t i = 0; i < COUNT(files); i++)
		(void)unlink(files[i]);
	return chdir("/") < 0 ? -1 : rmdir(folder);
}

static int run(struct buf *errors)
{
	int fd;

	buf_init(errors, ERRORS);
	fd = loader_run("moongate.lua", NULL, errors);
	assert_true(buf_byte(errors, '\0'));
	return fd;
}

/* good - and the notes are these */
static int good(const char *notes)
{
	struct buf errors;
	int fd = run(&errors);

	if (fd < 0 || strcmp(buf_str(&errors).p, notes) != 0)
		fail_msg("%snot %s", buf_str(&errors).p, notes);
	buf_fini(&errors);
	return fd;
}

static void refused(const char *lines)
{
	struct buf errors;
	int fd = run(&errors);

	if (fd >= 0 || strncmp(buf_str(&errors).p, lines, strlen(lines)) != 0)
		fail_msg("%d:\n%snot\n%s", fd, buf_str(&errors).p, lines);
	buf_fini(&errors);
}

/* ---- what goes in ----------------------------------------------------------------------------- */

TEST(everything_that_rules_is_in_the_snapshot)
{
	int fd = good("");
	struct snapshot s;
	struct fault why = { 0 };
	struct settings settings;
	struct state_map map;
	struct arena arena;
	struct str value, source;

	assert_int_equal(snapshot_map(fd, &s, &why), 0);
	arena_init(&arena, ERRORS);
	assert_int_equal(settings_read(&settings, snapshot_find(&s, SNAPSHOT_SETTINGS, STR("")),
				       &arena, &why),
			 0);
	CHECK_STR(0, settings.listen[0].address, STR("127.0.0.1:2525"));
	assert_int_equal(
		state_map_open(snapshot_find(&s, SNAPSHOT_MAP, STR("recipients")), &map, &why), 0);
	assert_true(state_map_find(&map, STR("b@EXAMPLE.com"), &value));
	CHECK_STR(1, value, STR("yes"));
	source = snapshot_find(&s, SNAPSHOT_SOURCE, STR("main"));
	CHECK_STR(2, source, STR("policy.lua\0" POLICY));
	assert_null(snapshot_find(&s, SNAPSHOT_SOURCE, STR("moongate")).p);
	source = snapshot_find(&s, SNAPSHOT_ORDER, STR(""));
	assert_true(source.n > 0 && memmem(source.p, source.n, "known-recipients", 16));
	assert_int_equal(s.nsections, 4);
	snapshot_unmap(&s);
	arena_fini(&arena);
	(void)close(fd);
}

TEST(without_a_policy_there_is_a_snapshot_too)
{
	struct snapshot s;
	int fd;

	put("moongate.lua", "return { listen = '127.0.0.1:2525', relay = { domains = 'a.example', "
			    "to = '127.0.0.1:26' } }");
	fd = good("");
	assert_int_equal(snapshot_map(fd, &s, NULL), 0);
	CHECK_STR(0, snapshot_find(&s, SNAPSHOT_ORDER, STR("")), STR("no policy\n"));
	snapshot_unmap(&s);
	(void)close(fd);
}

TEST(the_same_files_make_the_same_snapshot)
{
	int a = good(""), b = good("");
	struct snapshot one, two;

	assert_int_equal(snapshot_map(a, &one, NULL) | snapshot_map(b, &two, NULL), 0);
	assert_string_equal(one.hash, two.hash);
	snapshot_unmap(&one);
	snapshot_unmap(&two);
	(void)close(a);
	(void)close(b);
}

/* ---- what is refused --------------------------------------------------------------------------- */

TEST(problems_are_named_with_file_and_line)
{
	put("moongate.lua", "return {\n\tlisen = 1,\n\tlisten = '127.0.0.1:x' }");
	refused("moongate.lua:2:2: unknown setting `lisen`; did you mean `listen`?\n"
		"moongate.lua:3:2: listen: \"127.0.0.1:x\" is not an address");
	put("moongate.lua", SETTINGS);
	put("policy.lua", "local x =\n= 5");
	refused("policy.lua:2:1: unexpected symbol near '='\n");
	put("policy.lua", "local gate = require 'moongate'\n\ngate.on('recpt', function() end)");
	refused("policy.lua:3:10: there is no hook \"recpt\"");
	put("policy.lua", POLICY);
	put("other.lua", "\n\n x");
	refused("other.lua:3:2: syntax error near <eof>\n");
}

TEST(the_policy_is_tried_although_the_settings_are_wrong)
{
	put("moongate.lua",
	    "return { lisen = 1, listen = '127.0.0.1:2525', policy = 'policy.lua' }");
	put("policy.lua", "local x = = 5\nx()");
	refused("moongate.lua:1:10: unknown setting `lisen`; did you mean `listen`?\n"
		"policy.lua:1:1: unexpected symbol near '='\n");
}

TEST(files_that_are_not_there_are_named_at_their_setting)
{
	assert_int_equal(unlink("r.txt") | unlink("policy.lua"), 0);
	refused("moongate.lua:2:29: policy: policy.lua: No such file or directory\n"
		"moongate.lua:3:11: maps: r.txt: No such file or directory\n");
}

TEST(a_map_that_contradicts_itself_is_refused)
{
	put("r.txt", "a@example.com one\nb@example.com\na@example.com two\n");
	refused("r.txt:3: ");
}

TEST(a_policy_that_never_ends_is_refused)
{
	put("moongate.lua", "return { listen = '127.0.0.1:2525', policy = 'policy.lua', budget = { "
			    "load = '100ms' } }");
	put("policy.lua", "while true do pcall(function() while true do end end) end");
	refused("policy.lua:1:1: ");
}

TEST(a_policy_that_takes_all_memory_is_refused)
{
	put("moongate.lua", "return { listen = '127.0.0.1:2525', policy = 'policy.lua', budget = { "
			    "memory = '1MiB' } }");
	put("policy.lua", "local t = {} for i = 1, 1e9 do t[i] = { i } end");
	refused("");
}

TEST(notes_do_not_refuse)
{
	int fd;

	put("moongate.lua", "return { listen = '127.0.0.1:25', policy = 'policy.lua', maps = { "
			    "recipients = 'r.txt' } }");
	fd = good(
		"moongate.lua:1:10: note: listen: 127.0.0.1:25 is below port 1024: it takes root, "
		"CAP_NET_BIND_SERVICE or a service manager\n");
	(void)close(fd);
}

/* ---- the policy's own tests --------------------------------------------------------------------- */

/* Each with the line of the complaint behind "policy_test.lua:1:", or NULL: it passes. */
static const struct {
	const char *test, *complaint;
} cases[] = {
	{ "{ name = 'x', from = 'a@b.example', to = 'b@example.com', message = 'A: 1\\n\\nb\\n', "
	  "expect = { reply = '250 2.6.0', stage = 'message', state = 'queue', "
	  "sender = 'a@b.example', rcpts = { 'b@example.com' }, header = { A = '1', B = false, "
	  "Received = true } } }",
	  NULL },
	{ "{ name = 'x', to = 'nobody@example.com', expect = { reply = '550 5.1.1', stage = "
	  "'rcpt', "
	  "rule = 'known-recipients', state = 'nothing', sender = 'nobody', rcpts = {} } }",
	  NULL },
	{ "{ name = 'x', to = { 'b@example.com', 'nobody@example.com' }, expect = { replies = { "
	  "['b@example.com'] = '250', ['nobody@example.com'] = '550' }, "
	  "rcpts = { 'b@example.com' } } }",
	  NULL },
	{ "{ name = 'x', ip = '2001:db8::1', helo = 'h.example', to = 'b@example.com', "
	  "expect = '250' }",
	  NULL },
	{ "{ name = 'x', to = 'b@example.com', expect = '550' }",
	  "9: \"x\": expected a reply that begins with \"550\", heard \"250 2.6.0" },
	{ "{ name = 'x', to = 'b@example.com', expect = { stage = 'rcpt' } }",
	  "56: \"x\": expected \"rcpt\", found \"message\"" },
	{ "{ name = 'x', to = 'b@example.com', expect = { header = { A = '1' } } }",
	  "56: \"x\": A: expected \"1\", found \"\"" },
	{ "{ name = 'x', to = 'b@example.com', expect = { header = { Received = false } } }",
	  "56: \"x\": Received is there" },
	{ "{ name = 'x', to = 'b@example.com', expect = { rcpts = {} } }",
	  "56: \"x\": 1 would get it, not 0" },
	{ "{ name = 'x', to = 'b@example.com', expect = { rcpts = { 'eve@example.com' } } }",
	  "56: \"x\": \"eve@example.com\" would not get it" },
	{ "{ name = 'x', to = 'b@example.com', expect = { rule = 'r' } }",
	  "56: \"x\": expected \"r\", found \"\"" },
	{ "{ name = 'x', tto = 'b@example.com', expect = '250' }",
	  "23: \"x\": there is no `tto`; did you mean `to`?" },
	{ "{ name = 'x', to = 5, expect = '250' }", "23: \"x\": an address, or a list of them" },
	{ "{ name = 'x', helo = 5, expect = '250' }",
	  "23: \"x\": helo: a string is expected, found a number" },
	{ "{ name = 'x', to = 'b@example.com' }", "9: \"x\": it expects nothing" },
	{ "5", "9: \"a case\": expected a table, found a number" },
};

TEST(the_tests_of_a_policy_pass_or_refuse_it)
{
	char text[1024], lines[512];

	for (size_t i = 0; i < COUNT(cases); i++) {
		(void)snprintf(text, sizeof text, "return {%s}", cases[i].test);
		put("policy_test.lua", text);
		if (!cases[i].complaint) {
			(void)close(good(""));
			continue;
		}
		(void)snprintf(lines, sizeof lines, "policy_test.lua:1:%s", cases[i].complaint);
		refused(lines);
	}
	put("policy_test.lua", "return { =");
	refused("policy_test.lua:1:");
}

TEST(every_case_is_told)
{
	struct buf told, errors;
	struct trial_count n;

	buf_init(&told, ERRORS);
	buf_init(&errors, ERRORS);
	put("policy_test.lua", "return { { name = 'one', to = 'b@example.com', expect = '250' },\n"
			       "{ name = 'two', to = 'b@example.com', expect = '251' } }");
	n = loader_test("moongate.lua", &told, &errors);
	assert_int_equal(n.passed, 1);
	assert_int_equal(n.failed, 1);
	CHECK_STR(0, buf_str(&told), STR("ok policy_test.lua: one\nnot ok policy_test.lua: two\n"));
	assert_true(str_has_prefix(buf_str(&errors), STR("policy_test.lua:2:")));
	buf_fini(&told);
	buf_fini(&errors);
}

/* A handler that sleeps takes no time, one that waits for nothing is 451, and a big body streams. */
TEST(waits_and_big_messages_are_tried_too)
{
	static char text[300 * 1024];
	size_t n;

	put("policy.lua", "local gate = require 'moongate'\n"
			  "gate.on('rcpt', function(tx, rcpt) gate.sleep('5m') rcpt:permit() end)\n"
			  "gate.on('message', function(tx, msg)\n"
			  "if tx.sender == 'a@b.example' then coroutine.yield() end end)");
	n = (size_t)snprintf(text, sizeof text,
			     "return { { name = 'x', from = 'a@b.example', to = 'b@example.com', "
			     "expect = '451' }, { name = 'big', to = 'b@example.com', expect = "
			     "'250', message = [[A: 1\n\n");
	while (n < sizeof text - 1000)
		n += (size_t)snprintf(text + n, sizeof text - n,
				      "a line of a message that is not small at all, indeed\n");
	(void)snprintf(text + n, sizeof text - n, "]] } }");
	put("policy_test.lua", text);
	(void)close(good(""));
}

/* ---- in a child -------------------------------------------------------------------------------- */

static int spawn(struct buf *errors)
{
	struct fault why = { 0 };
	int pid, status, memfd, fd = loader_spawn("moongate.lua", NULL, &pid, &why);
	struct pollfd p = { fd, POLLIN, 0 };

	assert_true(fd >= 0);
	assert_int_equal(poll(&p, 1, 60000), 1);
	buf_init(errors, ERRORS);
	memfd = loader_collect(fd, errors);
	assert_true(buf_byte(errors, '\0'));
	(void)close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return memfd;
}

TEST(a_child_gives_the_same_snapshot)
{
	struct snapshot here, there;
	struct buf errors;
	int a = good(""), b = spawn(&errors);

	assert_true(b >= 0);
	assert_string_equal(buf_str(&errors).p, "");
	assert_int_not_equal(fcntl(b, F_GETFD) & FD_CLOEXEC, 0);
	assert_int_equal(snapshot_map(a, &here, NULL) | snapshot_map(b, &there, NULL), 0);
	assert_string_equal(here.hash, there.hash);
	snapshot_unmap(&here);
	snapshot_unmap(&there);
	buf_fini(&errors);
	(void)close(a);
	(void)close(b);
}

TEST(a_child_gives_the_same_problems)
{
	struct buf errors;

	put("moongate.lua", "return { lisen = 1, listen = '127.0.0.1:2525', policy = 'p' }");
	assert_int_equal(spawn(&errors), -1);
	assert_string_equal(buf_str(&errors).p,
			    "moongate.lua:1:10: unknown setting `lisen`; did you mean `listen`?\n"
			    "moongate.lua:1:48: policy: p: No such file or directory\n");
	buf_fini(&errors);
}

TEST(more_problems_than_a_message_holds_are_cut_at_a_line)
{
	struct buf text, errors;
	struct str rest, line = STR("");

	buf_init(&text, ERRORS);
	assert_true(buf_add(&text, STR("return { route = {")));
	for (unsigned i = 0; i < 200; i++) {
		assert_true(buf_printf(&text, "\n['%03u", i));
		for (unsigned k = 0; k < 40; k++)
			assert_true(buf_add(&text, STR("0123456789")));
		assert_true(buf_add(&text, STR("'] = '127.0.0.1:25',")));
		assert_true(buf_printf(&text, "['x%u'] = '", i));
		for (unsigned k = 0; k < 90; k++)
			assert_true(buf_add(&text, STR("0123456789")));
		assert_true(buf_add(&text, STR("',")));
	}
	assert_true(buf_add(&text, STR("} }\0")));
	put("moongate.lua", buf_str(&text).p);
	assert_int_equal(spawn(&errors), -1);
	rest = str_head(buf_str(&errors), buf_len(&errors) - 1);
	for (unsigned i = 0; str_take(&rest, '\n', &line); i++)
		CHECK(i, str_has_prefix(line, STR("moongate")));
	assert_int_equal(rest.n, 0);
	buf_fini(&text);
	buf_fini(&errors);
}

TEST(a_child_that_died_is_said)
{
	struct buf errors;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	(void)close(pair[1]);
	buf_init(&errors, ERRORS);
	assert_int_equal(loader_collect(pair[0], &errors), -1);
	CHECK_STR(0, buf_str(&errors),
		  STR("moongate: loading the settings took too much time or memory, or was "
		      "killed\n"));
	buf_fini(&errors);
	(void)close(pair[0]);
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(everything_that_rules_is_in_the_snapshot),
		FOLDER_TEST(without_a_policy_there_is_a_snapshot_too),
		FOLDER_TEST(the_same_files_make_the_same_snapshot),
		FOLDER_TEST(problems_are_named_with_file_and_line),
		FOLDER_TEST(the_policy_is_tried_although_the_settings_are_wrong),
		FOLDER_TEST(files_that_are_not_there_are_named_at_their_setting),
		FOLDER_TEST(a_map_that_contradicts_itself_is_refused),
		FOLDER_TEST(a_policy_that_never_ends_is_refused),
		FOLDER_TEST(a_policy_that_takes_all_memory_is_refused),
		FOLDER_TEST(notes_do_not_refuse),
		FOLDER_TEST(waits_and_big_messages_are_tried_too),
		FOLDER_TEST(every_case_is_told),
		FOLDER_TEST(the_tests_of_a_policy_pass_or_refuse_it),
		FOLDER_TEST(a_child_gives_the_same_snapshot),
		FOLDER_TEST(a_child_gives_the_same_problems),
		FOLDER_TEST(more_problems_than_a_message_holds_are_cut_at_a_line),
		FOLDER_TEST(a_child_that_died_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
