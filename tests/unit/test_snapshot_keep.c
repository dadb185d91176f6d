#define _GNU_SOURCE
#include "snapshot_keep.h"

#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot.h"

/* What was kept comes back whole, or is refused; there is no third. */

static char dir[64], file[128];

static int begin(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/moongate-keep-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(file, sizeof file, "%s/" SNAPSHOT_KEPT, dir);
	return 0;
}

static int end(void **state)
{
	(void)state;
	(void)unlink(file);
	return rmdir(dir); /* nothing else was left there */
}

static int sealed(const char *settings)
{
	struct fault why;
	struct buf b;
	int fd;

	buf_init(&b, 65536);
	assert_true(snapshot_add(&b, SNAPSHOT_SETTINGS, STR(""), str_of(settings)));
	fd = snapshot_seal(buf_str(&b), &why);
	assert_true(fd >= 0);
	buf_fini(&b);
	return fd;
}

static void keep(const char *settings)
{
	struct fault why;
	int fd = sealed(settings);

	assert_int_equal(snapshot_keep(dir, fd, &why), 0);
	assert_true(close(fd) == 0);
}

/* kept - the settings that come back; false: refused */
static bool kept(const char *settings)
{
	struct snapshot s;
	struct fault why;
	int fd = snapshot_kept(dir, &why);
	bool good;

	if (fd < 0)
		return false;
	good = snapshot_map(fd, &s, &why) == 0;
	if (good) {
		assert_true(
			str_eq(snapshot_find(&s, SNAPSHOT_SETTINGS, STR("")), str_of(settings)));
		snapshot_unmap(&s);
	}
	(void)close(fd);
	return good;
}

TEST(what_is_kept_comes_back_and_the_latest_wins)
{
	struct stat st;

	assert_false(kept("none"));
	keep("first\n");
	assert_true(kept("first\n"));
	keep("second\n");
	assert_true(kept("second\n"));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

TEST(what_a_killed_writer_left_is_in_nobodys_way)
{
	char half[160];
	int fd;

	(void)snprintf(half, sizeof half, "%s.new", file);
	fd = open(half, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "half", 4), 4);
	(void)close(fd);
	assert_false(kept("none"));
	keep("whole\n");
	assert_true(kept("whole\n"));
	assert_int_equal(access(half, F_OK), -1);
}

TEST(damage_anywhere_is_refused)
{
	struct stat st;
	int fd;

	keep("settings\n");
	fd = open(file, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t at = 0; at < st.st_size; at++) {
		char byte;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte = (char)(byte ^ 0x20);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		assert_false(kept("settings\n"));
		byte = (char)(byte ^ 0x20);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_true(kept("settings\n"));
	for (off_t n = st.st_size - 1; n >= 0; n--) {
		assert_int_equal(ftruncate(fd, n), 0);
		assert_false(kept("settings\n"));
	}
	(void)close(fd);
}

TEST(a_directory_that_is_not_there_is_said)
{
	struct fault why = { 0 };
	int fd = sealed("x\n");

	assert_int_equal(snapshot_keep("/nowhere/at/all", fd, &why), -1);
	assert_non_null(strstr(why.text, "/nowhere/at/all"));
	assert_int_equal(snapshot_kept("/nowhere/at/all", &why), -1);
	assert_non_null(strstr(why.text, "/nowhere/at/all/last-good"));
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_kept_comes_back_and_the_latest_wins, begin,
						end),
		cmocka_unit_test_setup_teardown(what_a_killed_writer_left_is_in_nobodys_way, begin,
						end),
		cmocka_unit_test_setup_teardown(damage_anywhere_is_refused, begin, end),
		cmocka_unit_test(a_directory_that_is_not_there_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
