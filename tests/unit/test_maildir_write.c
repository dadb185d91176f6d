#include "maildir_write.h"

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A disk whose calls fail on demand: the n-th of them, with an errno; short writes when `most` is
 * set.
 */
static struct {
	int calls, fail_at, error;
	size_t most;
} faulty;

static bool is_failing(void)
{
	if (++faulty.calls != faulty.fail_at)
		return false;
	errno = faulty.error;
	return true;
}

static ssize_t faulty_write(int fd, const void *bytes, size_t n)
{
	if (is_failing())
		return -1;
	return write(fd, bytes, faulty.most && n > faulty.most ? faulty.most : n);
}

static int faulty_fsync(int fd)
{
	return is_failing() ? -1 : fsync(fd);
}

static int faulty_linkat(int from, const char *name, int to, const char *as, int flags)
{
	return is_failing() ? -1 : linkat(from, name, to, as, flags);
}

static int faulty_mkdirat(int fd, const char *name, mode_t mode)
{
	return is_failing() ? -1 : mkdirat(fd, name, mode);
}

static const struct maildir_disk disk = { faulty_write, faulty_fsync, faulty_linkat,
					  faulty_mkdirat };

static char root[64];
static struct maildir_roots roots;

/* remove_tree - links are removed, not followed */
static void remove_tree(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		(void)unlinkat(at, name, 0);
		return;
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(fd, e->d_name);
	closedir(dir);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

static int set_up(void **state)
{
	struct fault why;

	(void)state;
	strcpy(root, "/tmp/moongate-maildir-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	memset(&faulty, 0, sizeof faulty);
	maildir_roots_init(&roots, &disk);
	return maildir_roots_add(&roots, str_of(root), &why);
}

static int tear_down(void **state)
{
	(void)state;
	maildir_roots_fini(&roots);
	remove_tree(AT_FDCWD, root);
	return 0;
}

static struct str below(const char *path)
{
	static char text[PATH_MAX];

	(void)snprintf(text, sizeof text, "%s%s", root, path);
	return str_of(text);
}

static unsigned entries(const char *path)
{
	DIR *dir = opendir(below(path).p);
	unsigned n = 0;

	if (!dir)
		return 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static struct str content(const char *path)
{
	static char text[256 * 1024];
	int fd = open(below(path).p, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);

	if (fd >= 0)
		close(fd);
	return (struct str){ text, n > 0 ? (size_t)n : 0 };
}

static int deliver(const char *mailbox, const char *name, struct str bytes)
{
	struct maildir_write w;
	struct fault why = { 0 };
	int rc = maildir_write_begin(&w, &roots, below(mailbox), str_of(name), &why);

	if (rc == 0)
		rc = maildir_write_data(&w, bytes, &why);
	if (rc == 0)
		rc = maildir_write_end(&w, &why);
	if (rc < 0)
		assert_true(why.text[0]);
	assert_int_equal(w.phase, MAILDIR_CLOSED);
	return rc;
}

static const struct str message = STR("Subject: x\r\n\r\n.\r\nFrom the sea\0\xff\r\n");

TEST(what_was_written_is_in_new_byte_for_byte)
{
	faulty.most = 5;
	assert_int_equal(deliver("/example.org/ann", "1.one", message), 0);
	CHECK_STR(0, content("/example.org/ann/new/1.one"), message);
	assert_int_equal(entries("/example.org/ann/tmp"), 0);
	assert_int_equal(entries("/example.org/ann/cur"), 0);
	assert_int_equal(entries("/example.org/ann"), 3);
}

TEST(the_root_itself_can_be_the_mailbox)
{
	assert_int_equal(deliver("", "1.one", message), 0);
	assert_int_equal(deliver("/", "1.two", message), 0);
	assert_int_equal(entries("/new"), 2);
}

TEST(nothing_is_in_new_before_the_end)
{
	struct maildir_write w;
	struct fault why;

	assert_int_equal(maildir_write_begin(&w, &roots, below("/ann"), STR("1.one"), &why), 0);
	assert_int_equal(maildir_write_data(&w, message, &why), 0);
	assert_int_equal(entries("/ann/new"), 0);
	assert_int_equal(entries("/ann/tmp"), 1);
	maildir_write_abort(&w);
	maildir_write_abort(&w);
	assert_int_equal(entries("/ann/new") + entries("/ann/tmp"), 0);
}

TEST(a_second_delivery_of_the_same_name_is_done_and_changes_nothing)
{
	struct maildir_write w;
	struct fault why;

	assert_int_equal(deliver("/ann", "1.one", message), 0);
	assert_int_equal(maildir_write_begin(&w, &roots, below("/ann"), STR("1.one"), &why), 0);
	assert_int_equal(maildir_write_data(&w, STR("other"), &why), 0);
	assert_int_equal(maildir_write_end(&w, &why), 0);
	assert_true(w.was_there);
	CHECK_STR(0, content("/ann/new/1.one"), message);
	assert_int_equal(entries("/ann/new"), 1);
	assert_int_equal(entries("/ann/tmp"), 0);
}

TEST(no_path_and_no_link_leads_out)
{
	static const char *const outside[] = {
		"/../elsewhere", "/a/../../elsewhere", "/./a",    "-elsewhere",
		"/link",         "/link/deeper",       "/a/link",
	};

	assert_int_equal(symlink("/tmp", below("/link").p), 0);
	assert_int_equal(mkdir(below("/a").p, 0700), 0);
	assert_int_equal(symlink("..", below("/a/link").p), 0);
	for (size_t i = 0; i < COUNT(outside); i++)
		CHECK_INT(i, deliver(outside[i], "1.one", message), -1);
	assert_int_equal(mkdir(below("/ann").p, 0700), 0);
	assert_int_equal(symlink("/tmp", below("/ann/new").p), 0);
	assert_int_equal(deliver("/ann", "1.one", message), -1);
}

TEST(a_name_that_is_no_name_is_refused)
{
	static const char *const names[] = { "", ".hidden", "a/b", "a b", "../x", "\x80" };
	char name[MAILDIR_NAME + 1];

	for (size_t i = 0; i < COUNT(names); i++)
		CHECK_INT(i, deliver("/ann", names[i], message), -1);
	memset(name, 'a', sizeof name);
	name[MAILDIR_NAME] = '\0';
	assert_int_equal(deliver("/ann", name, message), -1);
	name[MAILDIR_NAME - 1] = '\0';
	assert_int_equal(deliver("/ann", name, message), 0);
}

TEST(too_deep_is_refused)
{
	char path[3 * MAILDIR_DEPTH + 16] = "";

	for (unsigned i = 0; i < MAILDIR_DEPTH + 2; i++)
		strcat(path, "/d");
	assert_int_equal(deliver(path, "1.one", message), -1);
}

/*
 * Every call on the way fails once: the file is there whole and the call says so, or it is not
 * there; never a part.
 */
TEST(whatever_fails_leaves_all_or_nothing)
{
	for (int i = 1;; i++) {
		char mailbox[32];
		int rc;

		(void)snprintf(mailbox, sizeof mailbox, "/box%d", i);
		faulty.calls = 0;
		faulty.fail_at = i;
		faulty.error = i % 2 ? ENOSPC : EIO;
		rc = deliver(mailbox, "1.one", message);
		strcat(mailbox, "/new/1.one");
		if (content(mailbox).n > 0 || rc == 0)
			CHECK_STR(i, content(mailbox), message);
		if (faulty.calls < i) {
			assert_int_equal(rc, 0);
			assert_true(i > 8);
			break;
		}
		assert_int_equal(rc, -1);
		mailbox[strlen(mailbox) - strlen("/new/1.one")] = '\0';
		faulty.fail_at = 0;
		CHECK_INT(i, deliver(mailbox, "1.one", message), 0); /* and it can be mended */
		strcat(mailbox, "/tmp");
		CHECK_INT(i, entries(mailbox), 0);
	}
}

TEST(a_root_that_is_not_there_yet_is_tried_again)
{
	struct maildir_roots late;
	struct maildir_write w;
	struct fault why;
	char path[128];

	(void)snprintf(path, sizeof path, "%s/not/yet", root);
	maildir_roots_init(&late, &disk);
	assert_int_equal(maildir_roots_add(&late, str_of(path), &why), 0);
	assert_int_equal(maildir_roots_add(&late, str_of(path), &why), 0);
	assert_int_equal(late.n, 1);
	assert_int_equal(maildir_roots_add(&late, STR("/"), &why), -1);
	assert_int_equal(maildir_roots_add(&late, STR("relative"), &why), -1);
	assert_int_equal(maildir_write_begin(&w, &late, str_of(path), STR("1.one"), &why), -1);
	assert_int_equal(mkdir(below("/not").p, 0700), 0);
	assert_int_equal(maildir_write_begin(&w, &late, str_of(path), STR("1.one"), &why), 0);
	maildir_write_abort(&w);
	maildir_roots_fini(&late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_in_new_byte_for_byte, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_root_itself_can_be_the_mailbox, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_in_new_before_the_end, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_second_delivery_of_the_same_name_is_done_and_changes_nothing, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(no_path_and_no_link_leads_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_name_that_is_no_name_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(too_deep_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(whatever_fails_leaves_all_or_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_root_that_is_not_there_yet_is_tried_again, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
