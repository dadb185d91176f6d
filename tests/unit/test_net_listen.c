#include "net_listen.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "log.h"
#include "turns.h"

static char place[64]; /* "unix:/tmp/..." */
static const char *const path = place + 5;

struct door {
	struct net_listen *l;
	struct net_address at;
	unsigned accepted, pause_after, close_after;
};

static void accepted(void *owner, int fd)
{
	struct door *d = owner;

	d->accepted++;
	close(fd);
	if (d->accepted == d->pause_after)
		net_listen_pause(d->l);
	if (d->accepted == d->close_after)
		net_listen_close(&d->l);
}

static void open_at(struct net_loop *loop, struct door *d, const char *text)
{
	struct fault why = { 0 };
	int fd;

	memset(d, 0, sizeof *d);
	assert_int_equal(net_address_parse(str_of(text), &d->at, &why), 0);
	fd = net_listen_open(&d->at, &why);
	if (fd < 0)
		fail_msg("%s", why.text);
	d->at.n = sizeof d->at.u;
	assert_int_equal(getsockname(fd, &d->at.u.any, &d->at.n), 0);
	d->l = net_listen_new(loop, fd, accepted, d);
}

static int knock(const struct door *d)
{
	int fd = socket(d->at.u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &d->at.u.any, d->at.n), 0);
	return fd;
}

static int begin(void **state)
{
	clock_stop();
	*state = net_loop_new();
	snprintf(place, sizeof place, "unix:/tmp/test_net_listen.%d.sock", (int)getpid());
	unlink(path);
	return 0;
}

static int end(void **state)
{
	net_loop_free((struct net_loop **)state);
	unlink(path);
	return *state != NULL;
}

TEST(who_connects_is_accepted_on_every_family)
{
	const char *const places[] = { "127.0.0.1:0", "[::1]:0", place };

	for (size_t i = 0; i < COUNT(places); i++) {
		struct door d;
		int fds[3];

		open_at(*state, &d, places[i]);
		for (size_t k = 0; k < COUNT(fds); k++)
			fds[k] = knock(&d);
		UNTIL(*state, d.accepted == COUNT(fds));
		for (size_t k = 0; k < COUNT(fds); k++)
			close(fds[k]);
		net_listen_close(&d.l);
		net_listen_close(&d.l);
		turn(*state);
	}
}

TEST(a_turn_accepts_a_bounded_number)
{
	int fds[NET_ACCEPTS + 5];
	struct door d;

	open_at(*state, &d, "127.0.0.1:0");
	for (size_t k = 0; k < COUNT(fds); k++)
		fds[k] = knock(&d);
	turn(*state);
	assert_int_equal(d.accepted, NET_ACCEPTS);
	turn(*state);
	assert_int_equal(d.accepted, COUNT(fds));
	for (size_t k = 0; k < COUNT(fds); k++)
		close(fds[k]);
	net_listen_close(&d.l);
}

TEST(a_pause_leaves_the_queue_to_the_others_at_once)
{
	struct door d;
	int fds[3];

	open_at(*state, &d, "127.0.0.1:0");
	d.pause_after = 1;
	for (size_t k = 0; k < COUNT(fds); k++)
		fds[k] = knock(&d);
	turn(*state);
	turn(*state);
	assert_int_equal(d.accepted, 1);
	net_listen_resume(d.l);
	turn(*state);
	assert_int_equal(d.accepted, COUNT(fds));
	for (size_t k = 0; k < COUNT(fds); k++)
		close(fds[k]);
	net_listen_close(&d.l);
}

TEST(an_owner_may_close_the_listener_inside_accepted)
{
	struct door d;
	int fds[3];

	open_at(*state, &d, "127.0.0.1:0");
	d.close_after = 2;
	for (size_t k = 0; k < COUNT(fds); k++)
		fds[k] = knock(&d);
	turn(*state);
	turn(*state);
	assert_int_equal(d.accepted, 2);
	assert_null(d.l);
	for (size_t k = 0; k < COUNT(fds); k++)
		close(fds[k]);
}

static unsigned lines;

static bool count_line(void *owner, struct str line)
{
	(void)owner, (void)line;
	lines++;
	return true;
}

TEST(without_descriptors_it_rests_instead_of_spinning)
{
	struct rlimit limit, none;
	struct door d;
	int fd;

	log_sink(count_line, NULL);
	open_at(*state, &d, "127.0.0.1:0");
	fd = knock(&d);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 5; i++)
		turn(*state);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(lines, 1);
	turn(*state);
	assert_int_equal(d.accepted, 0);
	clock_ahead_us += NET_ACCEPT_REST + 1000;
	UNTIL(*state, d.accepted == 1);
	close(fd);
	net_listen_close(&d.l);
	log_sink(NULL, NULL);
}

TEST(a_stale_socket_path_is_replaced_and_a_live_one_is_not)
{
	struct door d, second;
	struct net_address at;
	struct fault why;
	int fd;

	open_at(*state, &d, place);
	net_listen_close(&d.l); /* the path stays, as after a kill */
	turn(*state);
	open_at(*state, &second, place);
	assert_int_equal(net_address_parse(str_of(place), &at, NULL), 0);
	assert_int_equal(net_listen_open(&at, &why), -1);
	assert_non_null(strstr(why.text, "another process"));
	fd = knock(&second);
	UNTIL(*state, second.accepted == 2); /* the other's attempt, and ours */
	close(fd);
	net_listen_close(&second.l);
}

TEST(what_is_not_a_socket_stays_where_it_is)
{
	struct net_address at;
	struct fault why;
	struct stat st;
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fclose(file);
	assert_int_equal(net_address_parse(str_of(place), &at, NULL), 0);
	assert_int_equal(net_listen_open(&at, &why), -1);
	assert_non_null(strstr(why.text, "not a socket"));
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

TEST(an_address_in_use_says_so)
{
	struct fault why;
	struct door d;

	open_at(*state, &d, "127.0.0.1:0");
	assert_int_equal(net_listen_open(&d.at, &why), -1);
	assert_int_equal(why.sys, EADDRINUSE);
	assert_non_null(strstr(why.text, "127.0.0.1:"));
	net_listen_close(&d.l);
}

TEST(both_families_listen_on_one_port)
{
	struct net_address six = { 0 };
	struct fault why;
	struct door d;
	int fd;

	open_at(*state, &d, "0.0.0.0:0");
	assert_int_equal(net_address_parse(STR("[::]:0"), &six, NULL), 0);
	six.u.in6.sin6_port = d.at.u.in.sin_port;
	fd = net_listen_open(&six, &why);
	assert_true(fd >= 0);
	close(fd);
	net_listen_close(&d.l);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(who_connects_is_accepted_on_every_family),
		LOOP_TEST(a_turn_accepts_a_bounded_number),
		LOOP_TEST(a_pause_leaves_the_queue_to_the_others_at_once),
		LOOP_TEST(an_owner_may_close_the_listener_inside_accepted),
		LOOP_TEST(without_descriptors_it_rests_instead_of_spinning),
		LOOP_TEST(a_stale_socket_path_is_replaced_and_a_live_one_is_not),
		LOOP_TEST(what_is_not_a_socket_stays_where_it_is),
		LOOP_TEST(an_address_in_use_says_so),
		LOOP_TEST(both_families_listen_on_one_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
