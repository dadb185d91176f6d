#include "admin_events.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "buf.h"
#include "counter.h"
#include "turns.h"

#define LINE_LONG 20000

static char folder[] = "/tmp/moongate-events-XXXXXX", file[64], other[64], file_to[80],
	    other_to[80];
static struct counter_slab slab;

static int folder_begin(void **state)
{
	(void)state;
	counter_attach(&slab);
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(file, sizeof file, "%s/events", folder);
	(void)snprintf(other, sizeof other, "%s/other", folder);
	(void)snprintf(file_to, sizeof file_to, "file:%s", file);
	(void)snprintf(other_to, sizeof other_to, "file:%s", other);
	return 0;
}

static int folder_end(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int begin(void **state)
{
	*state = net_loop_new();
	return *state ? 0 : -1;
}

static int end(void **state)
{
	struct net_loop *loop = *state;

	net_loop_free(&loop);
	(void)unlink(file);
	(void)unlink(other);
	return 0;
}

/* content - of a file, at most what fits */
static struct str content(const char *path)
{
	static char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);

	if (fd >= 0)
		(void)close(fd);
	return (struct str){ text, n < 0 ? 0 : (size_t)n };
}

static off_t file_size(void)
{
	struct stat st;

	return stat(file, &st) < 0 ? 0 : st.st_size;
}

static bool holds(const char *path, const char *text)
{
	return str_eq(content(path), str_of(text));
}

/* ---- files ------------------------------------------------------------------------------------ */

TEST(lines_go_to_a_file_in_order)
{
	struct admin_events *e = admin_events_new(*state, str_of(file_to), STR("mx"));

	admin_events_line(e, STR("{\"a\":1}"));
	admin_events_line(e, STR("{\"a\":2}"));
	assert_true(holds(file, "")); /* one write at the end of the turn */
	UNTIL(*state, holds(file, "{\"a\":1}\n{\"a\":2}\n"));
	admin_events_line(e, STR("{\"a\":3}"));
	admin_events_free(&e); /* what waits goes before the end */
	assert_true(holds(file, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"));
	assert_null(e);
	admin_events_free(&e);
}

TEST(a_file_is_appended_to)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct admin_events *e;

	assert_int_equal(write(fd, "before\n", 7), 7);
	(void)close(fd);
	e = admin_events_new(*state, str_of(file_to), STR("mx"));
	admin_events_line(e, STR("after"));
	admin_events_free(&e);
	assert_true(holds(file, "before\nafter\n"));
}

TEST(a_file_that_was_moved_away_is_begun_anew_when_told)
{
	struct admin_events *e = admin_events_new(*state, str_of(file_to), STR("mx"));

	admin_events_line(e, STR("one"));
	UNTIL(*state, holds(file, "one\n"));
	assert_int_equal(rename(file, other), 0);
	admin_events_line(e, STR("two"));
	UNTIL(*state, holds(other, "one\ntwo\n"));
	admin_events_line(e, STR("three")); /* was logged before: belongs to the old file */
	admin_events_reopen(e);
	admin_events_line(e, STR("four"));
	UNTIL(*state, holds(file, "four\n"));
	assert_true(holds(other, "one\ntwo\nthree\n"));
	admin_events_free(&e);
}

TEST(a_file_that_cannot_be_opened_is_tried_again)
{
	struct admin_events *e;
	int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC), kept = dup(STDERR_FILENO);

	assert_int_equal(mkdir(file, 0700), 0); /* something in the way */
	(void)dup2(quiet, STDERR_FILENO);       /* it is said there, once */
	e = admin_events_new(*state, str_of(file_to), STR("mx"));
	(void)dup2(kept, STDERR_FILENO);
	admin_events_line(e, STR("one"));
	turn(*state);
	assert_int_equal(rmdir(file), 0);
	admin_events_line(e, STR("two"));
	clock_ahead_us += 1100000;
	UNTIL(*state, holds(file, "one\ntwo\n"));
	admin_events_free(&e);
	(void)close(quiet);
	(void)close(kept);
}

TEST(another_sink_takes_what_comes_from_then_on)
{
	struct admin_events *e = admin_events_new(*state, STR("none"), STR("mx"));

	admin_events_line(e, STR("nowhere"));
	turn(*state);
	admin_events_to(e, str_of(file_to));
	admin_events_line(e, STR("one"));
	UNTIL(*state, holds(file, "one\n"));
	admin_events_to(e, str_of(file_to)); /* the same: nothing happens */
	admin_events_to(e, str_of(other_to));
	admin_events_line(e, STR("two"));
	UNTIL(*state, holds(other, "two\n"));
	assert_true(holds(file, "one\n"));
	admin_events_to(e, STR("none"));
	admin_events_line(e, STR("three"));
	admin_events_free(&e);
	assert_true(holds(other, "two\n"));
}

TEST(what_waits_has_a_bound_and_the_rest_is_counted)
{
	static char big[32 * 1024];
	struct admin_events *e = admin_events_new(*state, str_of(file_to), STR("mx"));
	uint64_t before = slab.counters[COUNTER_EVENTS_DROPPED];
	unsigned fit = ADMIN_EVENTS_WAITING / (sizeof big + 1);
	struct stat st;

	memset(big, 'x', sizeof big);
	for (unsigned i = 0; i < fit + 5; i++)
		admin_events_line(e, (struct str){ big, sizeof big });
	assert_int_equal(slab.counters[COUNTER_EVENTS_DROPPED] - before, 5);
	admin_events_free(&e);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, (off_t)fit * (off_t)(sizeof big + 1));
}

/* ---- standard output --------------------------------------------------------------------------- */

/* redirect - standard output goes to fd; the former is returned */
static int redirect(int fd)
{
	int kept = dup(STDOUT_FILENO);

	(void)fflush(stdout);
	assert_true(kept >= 0 && dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
	return kept;
}

static void restore(int kept)
{
	assert_int_equal(dup2(kept, STDOUT_FILENO), STDOUT_FILENO);
	(void)close(kept);
}

/* stuck - fill a standard output that nobody reads, then read it: whole lines, in order, the rest counted */
static void stuck(struct net_loop *loop, int from, int to)
{
	static char line[1000];
	uint64_t before = slab.counters[COUNTER_EVENTS_DROPPED];
	unsigned sent = 6 * 1024, seen = 0;
	struct admin_events *e;
	struct buf got;
	int kept = redirect(to);

	e = admin_events_new(loop, STR("stdout"), STR("mx"));
	for (unsigned i = 0; i < sent; i++) {
		memset(line, 'x', sizeof line);
		(void)snprintf(line, sizeof line, "%u ", i);
		line[strlen(line)] = 'x';
		admin_events_line(e, (struct str){ line, sizeof line });
		if (i % 64 == 0)
			turn(loop); /* would hang here if it blocked */
	}
	assert_true(slab.counters[COUNTER_EVENTS_DROPPED] > before);
	buf_init(&got, 16 * 1024 * 1024);
	for (unsigned idle = 0; idle < 100; idle++) {
		ssize_t n = read(from, buf_space(&got, 65536), 65536);

		if (n > 0)
			buf_wrote(&got, (size_t)n);
		if (n > 0)
			idle = 0;
		turn(loop);
	}
	admin_events_free(&e);
	restore(kept);
	for (struct str rest = buf_str(&got), one; str_take(&rest, '\n', &one); seen++) {
		struct str number;
		uint64_t i = 0;

		CHECK(seen, one.n == sizeof line && str_take(&one, ' ', &number) &&
				    str_u64(number, sent, &i));
		CHECK_INT(seen, i, seen);
	}
	assert_int_equal(seen, sent - (slab.counters[COUNTER_EVENTS_DROPPED] - before));
	buf_fini(&got);
}

TEST(a_pipe_that_nobody_reads_drops_and_never_blocks)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	stuck(*state, ends[0], ends[1]);
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* others share it: untouched */
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* Standard output may belong to somebody else, and then cannot be opened anew: small writes, when
 * there is room. */
TEST(a_pipe_that_may_not_be_opened_drops_and_never_blocks)
{
	int ends[2];

	if (geteuid() != 0) {
		print_message("not root: left out\n");
		return;
	}
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(seteuid(65534), 0);
	stuck(*state, ends[0], ends[1]);
	assert_int_equal(seteuid(0), 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

TEST(a_sink_that_is_stuck_can_be_left)
{
	static char line[LINE_LONG];
	struct admin_events *e;
	int ends[2], kept;

	assert_int_equal(pipe(ends), 0);
	kept = redirect(ends[1]);
	e = admin_events_new(*state, STR("stdout"), STR("mx"));
	memset(line, 'x', sizeof line);
	for (unsigned i = 0; i < 10; i++)
		admin_events_line(e, (struct str){ line, sizeof line });
	turn(*state);
	turn(*state);
	admin_events_to(e, str_of(file_to)); /* the line that was cut is dropped */
	admin_events_line(e, STR("last"));
	UNTIL(*state, file_size() > 0);
	assert_int_equal(file_size() % (LINE_LONG + 1), sizeof "last");
	admin_events_to(e, STR("stdout"));
	admin_events_to(e, str_of(other_to));
	admin_events_line(e, STR("other"));
	UNTIL(*state, holds(other, "other\n"));
	admin_events_free(&e);
	restore(kept);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

TEST(a_socket_that_nobody_reads_drops_and_never_blocks)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	stuck(*state, ends[0], ends[1]);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

TEST(a_reader_that_left_is_no_end_of_ours)
{
	struct admin_events *e;
	int ends[2], kept, quiet = open("/dev/null", O_WRONLY | O_CLOEXEC),
			   errors = dup(STDERR_FILENO);

	assert_int_equal(pipe(ends), 0);
	kept = redirect(ends[1]);
	(void)close(ends[0]);
	e = admin_events_new(*state, STR("stdout"), STR("mx"));
	(void)dup2(quiet, STDERR_FILENO);
	admin_events_line(e, STR("lost"));
	turn(*state);
	turn(*state);
	clock_ahead_us += 1100000;
	turn(*state);
	turn(*state);
	(void)dup2(errors, STDERR_FILENO);
	admin_events_to(e, str_of(file_to));
	admin_events_line(e, STR("found"));
	UNTIL(*state, holds(file, "lost\nfound\n"));
	admin_events_free(&e);
	restore(kept);
	(void)close(ends[1]);
	(void)close(quiet);
	(void)close(errors);
}

TEST(standard_output_that_is_a_file_is_shared_with_others)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600), kept = redirect(fd);
	struct admin_events *e = admin_events_new(*state, STR("stdout"), STR("mx"));

	admin_events_line(e, STR("ours"));
	turn(*state);
	assert_int_equal(write(fd, "theirs\n", 7), 7);
	admin_events_line(e, STR("ours again"));
	admin_events_free(&e);
	restore(kept);
	assert_true(holds(file, "ours\ntheirs\nours again\n"));
	(void)close(fd);
}

/* ---- the system's log -------------------------------------------------------------------------- */

static int log_open_at(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	str_copy(at.sun_path, sizeof at.sun_path, str_of(path));
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

TEST(the_log_gets_one_datagram_a_line_and_a_full_one_gets_them_later)
{
	char to[96], text[512];
	int fd = log_open_at(file);
	struct admin_events *e;
	unsigned got = 0;

	(void)snprintf(to, sizeof to, "syslog:%s", file);
	e = admin_events_new(*state, str_of(to), STR("mx.example.org"));
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof text, "{\"level\":\"warn\",\"n\":%u}", i);
		admin_events_line(e, str_of(text));
		turn(*state);
	}
	for (unsigned turns = 0; got < 1000 && turns < TURNS; turns++) {
		ssize_t n = recv(fd, text, sizeof text - 1, 0);
		char want[64];

		if (n < 0) {
			turn(*state);
			continue;
		}
		text[n] = '\0';
		(void)snprintf(want, sizeof want, " - {\"level\":\"warn\",\"n\":%u}", got++);
		CHECK(got, str_has_prefix(str_of(text), STR("<20>1 - mx.example.org moongate ")));
		CHECK(got, str_has_suffix(str_of(text), str_of(want)));
	}
	assert_int_equal(got, 1000);
	admin_events_free(&e);
	(void)close(fd);
}

TEST(a_log_that_comes_later_gets_what_waited)
{
	int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC), errors = dup(STDERR_FILENO), fd;
	struct admin_events *e;
	char to[96], text[512];

	(void)snprintf(to, sizeof to, "syslog:%s", file);
	(void)dup2(quiet, STDERR_FILENO);
	e = admin_events_new(*state, str_of(to), STR("mx"));
	admin_events_line(e, STR("one"));
	turn(*state);
	fd = log_open_at(file);
	clock_ahead_us += 1100000;
	UNTIL(*state, recv(fd, text, sizeof text, 0) > 0);
	(void)close(fd); /* the log is restarted */
	(void)unlink(file);
	admin_events_line(e, STR("two"));
	turn(*state);
	fd = log_open_at(file);
	(void)dup2(errors, STDERR_FILENO);
	clock_ahead_us += 1100000;
	UNTIL(*state, recv(fd, text, sizeof text, 0) > 0);
	admin_events_free(&e);
	(void)close(fd);
	(void)close(quiet);
	(void)close(errors);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(lines_go_to_a_file_in_order),
		LOOP_TEST(a_file_is_appended_to),
		LOOP_TEST(a_file_that_was_moved_away_is_begun_anew_when_told),
		LOOP_TEST(a_file_that_cannot_be_opened_is_tried_again),
		LOOP_TEST(another_sink_takes_what_comes_from_then_on),
		LOOP_TEST(what_waits_has_a_bound_and_the_rest_is_counted),
		LOOP_TEST(a_pipe_that_nobody_reads_drops_and_never_blocks),
		LOOP_TEST(a_pipe_that_may_not_be_opened_drops_and_never_blocks),
		LOOP_TEST(a_sink_that_is_stuck_can_be_left),
		LOOP_TEST(a_socket_that_nobody_reads_drops_and_never_blocks),
		LOOP_TEST(a_reader_that_left_is_no_end_of_ours),
		LOOP_TEST(standard_output_that_is_a_file_is_shared_with_others),
		LOOP_TEST(the_log_gets_one_datagram_a_line_and_a_full_one_gets_them_later),
		LOOP_TEST(a_log_that_comes_later_gets_what_waited),
	};

	return cmocka_run_group_tests(tests, folder_begin, folder_end);
}
