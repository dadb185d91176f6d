#define _GNU_SOURCE
#include "cli.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin_wire.h"
#include "buf.h"
#include "check.h"

#define OUTPUT (64 * 1024 * 1024)

static char folder[] = "/tmp/moongate-ask-XXXXXX", path[64];
static int listener = -1;

static int begin(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof path, "%s/c.sock", folder);
	str_copy(at.sun_path, sizeof at.sun_path, str_of(path));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(listener, (const struct sockaddr *)&at, sizeof at) < 0 ? -1
									   : listen(listener, 8);
}

static int end(void **state)
{
	(void)state;
	(void)close(listener);
	(void)unlink(path);
	return rmdir(folder);
}

/* ---- a command line in a child, and a daemon here ---------------------------------------------- */

#define WORD(text) ((char *)(uintptr_t)(text)) /* argv is not const, and not written */

struct asker {
	pid_t pid;
	int out; /* its standard output */
};

static struct asker ask(const char *socket_path, const char *const *words, int nwords)
{
	char *argv[16] = { WORD("moongate"), WORD("--control"), WORD(socket_path) };
	struct asker a;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	for (int i = 0; i < nwords; i++)
		argv[3 + i] = WORD(words[i]);
	(void)fflush(NULL);
	a.pid = fork();
	if (a.pid == 0) {
		int quiet = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)dup2(quiet, STDIN_FILENO);
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)dup2(quiet, STDERR_FILENO);
		_exit(cli_main(3 + nwords, argv));
	}
	(void)close(ends[1]);
	a.out = ends[0];
	return a;
}

static int over(struct asker *a, struct buf *out)
{
	int status;
	ssize_t n;

	buf_init(out, OUTPUT);
	while ((n = read(a->out, buf_space(out, 65536), 65536)) > 0)
		buf_wrote(out, (size_t)n);
	(void)close(a->out);
	assert_int_equal(waitpid(a->pid, &status, 0), a->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int serve(struct str want)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char got[ADMIN_REQUEST];
	size_t n = 0;
	ssize_t more = 1;

	assert_true(fd >= 0);
	while (more > 0 && n < want.n) {
		more = read(fd, got + n, sizeof got - n);
		n += more > 0 ? (size_t)more : 0;
	}
	CHECK_STR(0, ((struct str){ got, n }), want);
	return fd;
}

static void reply(int fd, struct str s)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		s = str_drop(s, (size_t)n);
	}
}

#define ASK(...)                                                                                   \
	ask(path, (const char *[]){ __VA_ARGS__ },                                                 \
	    (int)(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)))

/* ---- the samples ------------------------------------------------------------------------------- */

static const struct {
	struct str answer;
	int code;
	const char *text;
} answers[] = {
	{ STR("0 3\nok\n"), 0, "ok\n" },
	{ STR("1 0\n"), 1, "" },
	{ STR("75 9\nnot now.\n"), 75, "not now.\n" },
	{ STR("255 2\nab255 0\n255 1\nc0 1\nd"), 0, "abcd" },
	{ STR("0 1\nx0 1\ny"), 0, "x" }, /* nothing follows the last chunk */
	{ STR(""), 74, "" },
	{ STR("255 2\nab"), 74, "ab" }, /* cut short: said, and what came is shown */
	{ STR("0 5\nab"), 74, "" },
	{ STR("nonsense"), 74, "" },
	{ STR("0 99999999999\n"), 74, "" },
};

TEST(the_answer_is_copied_and_its_code_is_ours)
{
	for (size_t i = 0; i < COUNT(answers); i++) {
		struct asker a = ASK("queue", "list");
		int fd = serve(STR("queue\0list\n"));
		struct buf out;

		reply(fd, answers[i].answer);
		(void)close(fd);
		CHECK_INT(i, over(&a, &out), answers[i].code);
		CHECK_STR(i, buf_str(&out), str_of(answers[i].text));
		buf_fini(&out);
	}
}

TEST(how_the_answer_arrives_changes_nothing)
{
	static const struct str answer = STR("255 5\nhello255 0\n3 6\n world");

	for (size_t cut = 1; cut < answer.n; cut++) {
		bool is_json = cut % 2; /* words are told as JSON to whoever wants that */
		struct asker a = is_json ? ASK("status", "--json") : ASK("status");
		int fd = serve(is_json ? STR("status\0--json\n") : STR("status\n"));
		struct buf out;

		reply(fd, str_head(answer, cut));
		reply(fd, str_drop(answer, cut));
		(void)close(fd);
		CHECK_INT(cut, over(&a, &out), 3);
		CHECK_STR(cut, buf_str(&out),
			  is_json ? STR("{\"exit\":3,\"text\":\"hello world\"}\n")
				  : STR("hello world"));
		buf_fini(&out);
	}
}

TEST(words_go_as_they_stand)
{
	struct asker a = ASK("queue", "retry", "a b", "--reroute");
	int fd = serve(STR("queue\0retry\0a b\0--reroute\n"));
	struct buf out;

	reply(fd, STR("0 0\n"));
	assert_int_equal(over(&a, &out), 0);
	(void)close(fd);
	buf_fini(&out);
	a = ASK("queue", "show", "a\nb");
	assert_int_equal(over(&a, &out), 64); /* could not be sent */
	buf_fini(&out);
}

/* The daemon is not held up by a pager that shows the first page: it gets rid of its answer while nobody reads ours. */
TEST(a_long_answer_is_taken_while_our_reader_waits)
{
	static char piece[60000], frame[60016];
	struct asker a = ASK("queue", "list");
	int fd = serve(STR("queue\0list\n")), n;
	unsigned pieces = 300;
	struct buf out;

	memset(piece, 'x', sizeof piece);
	n = snprintf(frame, sizeof frame, "255 %zu\n", sizeof piece);
	memcpy(frame + n, piece, sizeof piece);
	for (unsigned i = 0; i < pieces; i++)
		reply(fd, (struct str){ frame,
					(size_t)n + sizeof piece }); /* hangs if it is not taken */
	reply(fd, STR("0 0\n"));
	(void)close(fd);
	assert_int_equal(over(&a, &out), 0);
	assert_int_equal(buf_len(&out), pieces * sizeof piece);
	buf_fini(&out);
}

TEST(no_daemon_is_69_and_no_right_is_77)
{
	char none[80];
	const char *const words[] = { "status" };
	struct asker a;
	struct buf out;

	(void)snprintf(none, sizeof none, "%s/none.sock", folder);
	a = ask(none, words, 1);
	assert_int_equal(over(&a, &out), 69);
	buf_fini(&out);
	a = ask("/a/path/that/is/much/too/long/for/a/unix/socket/since/those/have/at/most/one/"
		"hundred/and/eight/bytes/"
		"with/their/nul",
		words, 1);
	assert_int_equal(over(&a, &out), 78);
	buf_fini(&out);
}

TEST(dropping_everything_wants_to_be_meant)
{
	struct asker a = ASK("queue", "drop", "all");
	struct buf out;
	int fd;

	assert_int_equal(over(&a, &out), 64);
	buf_fini(&out);
	a = ASK("queue", "drop", "all", "--yes");
	fd = serve(STR("queue\0drop\0all\n"));
	reply(fd, STR("0 0\n"));
	(void)close(fd);
	assert_int_equal(over(&a, &out), 0);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_is_copied_and_its_code_is_ours),
		cmocka_unit_test(how_the_answer_arrives_changes_nothing),
		cmocka_unit_test(words_go_as_they_stand),
		cmocka_unit_test(a_long_answer_is_taken_while_our_reader_waits),
		cmocka_unit_test(no_daemon_is_69_and_no_right_is_77),
		cmocka_unit_test(dropping_everything_wants_to_be_meant),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
