#include "loader_tree.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"

static char folder[] = "/tmp/moongate-tree-XXXXXX";

/* ---- a folder --------------------------------------------------------------------------------- */

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static int remove_all(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static int begin(void **state)
{
	(void)state;
	memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
	return mkdtemp(folder) ? chdir(folder) : -1;
}

static int end(void **state)
{
	(void)state;
	return chdir("/") < 0 ? -1 : remove_all();
}

static struct str absolute(const char *name, char path[128])
{
	(void)snprintf(path, 128, "%s/%s", folder, name);
	return str_of(path);
}

static int load(struct loader_tree *t, const char *entry, const char *without, struct fault *why)
{
	char a[128], b[128];

	return loader_tree_read(t, absolute(entry, a), absolute(without, b), why);
}

/* names - "main lists.local ..." */
static const char *names(const struct loader_tree *t)
{
	static char text[1024];
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < t->n; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", n ? " " : "",
				      STR_ARG(t->files[i].name));
	return text;
}

static void refused(const char *entry, const char *complaint)
{
	struct loader_tree t;
	struct fault why = { 0 };

	assert_int_equal(load(&t, entry, "moongate.lua", &why), -1);
	if (!strstr(why.text, complaint))
		fail_msg("%s\nnot %s", why.text, complaint);
	loader_tree_fini(&t);
}

/* ---- the samples ------------------------------------------------------------------------------ */

TEST(every_lua_file_is_a_module_named_by_its_path)
{
	struct loader_tree t;
	struct fault why = { 0 };

	assert_int_equal(mkdir("lists", 0700) | mkdir("lists/deep-er", 0700), 0);
	put("policy.lua", "return 1");
	put("moongate.lua", "settings");
	put("helper_2.lua", "");
	put("lists/local.lua", "return 'local'");
	put("lists/deep-er/x.lua", "return 'x'");
	if (load(&t, "policy.lua", "moongate.lua", &why) < 0)
		fail_msg("%s", why.text);
	assert_string_equal(names(&t), "helper_2 lists.deep-er.x lists.local main");
	CHECK_STR(0, t.files[0].text, STR(""));
	CHECK_STR(2, t.files[2].text, STR("return 'local'"));
	CHECK_STR(3, t.files[3].text, STR("return 1"));
	assert_true(str_has_suffix(t.files[3].path, STR("/policy.lua")));
	loader_tree_fini(&t);
	assert_null(t.files);
}

TEST(what_require_cannot_say_is_left_out)
{
	struct loader_tree t;
	struct fault why = { 0 };

	assert_int_equal(mkdir(".git", 0700) | mkdir("a.b", 0700) | mkdir("dir.lua", 0700) |
				 mkdir("sub", 0700),
			 0);
	put("policy.lua", "");
	put("notes.txt", "");
	put(".hidden.lua", "");
	put(".#policy.lua", "");
	put("policy.lua~", "");
	put("1st.lua", "");
	put("a b.lua", "");
	put("a.b.lua", "");
	put(".lua", "");
	put(".git/x.lua", "");
	put("a.b/x.lua", "");
	put("dir.lua/x.lua", "");
	put("sub/ok.lua", "");
	assert_int_equal(symlink("sub", "linked"), 0);
	assert_int_equal(symlink("..", "sub/up"), 0);
	if (load(&t, "policy.lua", "moongate.lua", &why) < 0)
		fail_msg("%s", why.text);
	assert_string_equal(names(&t), "main sub.ok");
	loader_tree_fini(&t);
}

TEST(an_entry_may_have_any_name_and_be_a_link)
{
	static const char *const entries[] = { "my policy", ".policy.lua", "link.lua", "k8s.lua" };

	assert_int_equal(mkdir("..data", 0700), 0);
	put("my policy", "return 'it'");
	put(".policy.lua", "return 'it'");
	put("..data/k8s.lua", "return 'it'");
	assert_int_equal(symlink("my policy", "link.lua") | symlink("..data/k8s.lua", "k8s.lua"),
			 0);
	for (size_t i = 0; i < COUNT(entries); i++) {
		struct loader_tree t;
		struct fault why = { 0 };

		if (load(&t, entries[i], "moongate.lua", &why) < 0)
			fail_msg("%s: %s", entries[i], why.text);
		CHECK_INT(i, t.n, i < 2 ? 3 : 2);
		for (unsigned k = 0; k < t.n; k++)
			if (str_eq(t.files[k].name, STR("main")))
				CHECK_STR(i, t.files[k].text, STR("return 'it'"));
		loader_tree_fini(&t);
	}
}

TEST(the_settings_are_left_out_by_whatever_name_they_are_reached)
{
	struct loader_tree t;
	struct fault why = { 0 };

	put("policy.lua", "");
	put("moongate.lua", "");
	assert_int_equal(symlink("moongate.lua", "other.lua"), 0);
	assert_int_equal(load(&t, "policy.lua", "other.lua", &why), 0);
	assert_string_equal(names(&t), "main");
	loader_tree_fini(&t);
}

TEST(what_cannot_be_is_named)
{
	static char big[LOADER_FILE + 2];
	char path[64] = "d";

	refused("policy.lua", "/policy.lua: No such file or directory");
	refused("none/policy.lua", "/none: No such file or directory");
	assert_int_equal(mkdir("policy.lua", 0700), 0);
	refused("policy.lua", "/policy.lua: is not a regular file");
	assert_int_equal(rmdir("policy.lua"), 0);
	put("policy.lua", "");
	put("main.lua", "");
	refused("policy.lua", "/main.lua: the module `main` is the entry file, ");
	assert_int_equal(unlink("main.lua"), 0);
	memset(big, 'x', sizeof big - 1);
	put("big.lua", big);
	refused("policy.lua", "/big.lua: has 1048577 bytes, at most 1048576 are read");
	assert_int_equal(unlink("big.lua"), 0);
	assert_int_equal(symlink("nowhere", "dangling.lua"), 0);
	refused("policy.lua", "/dangling.lua: No such file or directory");
	assert_int_equal(unlink("dangling.lua"), 0);
	for (unsigned i = 0; i <= LOADER_DEPTH; i++) {
		assert_int_equal(mkdir(path, 0700), 0);
		str_copy(path + strlen(path), sizeof path - strlen(path), STR("/d"));
	}
	refused("policy.lua", ": more than 8 folders deep");
}

TEST(too_many_files_are_refused)
{
	put("policy.lua", "");
	for (unsigned i = 0; i < LOADER_FILES; i++) {
		char name[32];

		(void)snprintf(name, sizeof name, "m%u.lua", i);
		put(name, "");
	}
	refused("policy.lua", ": more than 1000 files below this folder");
}

TEST(too_many_bytes_are_refused)
{
	static char big[LOADER_FILE + 1];

	memset(big, 'x', LOADER_FILE);
	for (unsigned i = 0; i < LOADER_TREE_BYTES / LOADER_FILE; i++) {
		char name[32];

		(void)snprintf(name, sizeof name, "m%u.lua", i);
		put(name, big);
	}
	refused("m0.lua", ": no room for another 1048576 bytes");
}

/* ---- half-edited ------------------------------------------------------------------------------ */

static _Noreturn void edit_for_ever(void)
{
	const struct timespec rest = { 0, 2000000 };

	for (unsigned version = 1;; version++) {
		char text[32];

		(void)snprintf(text, sizeof text, "%u", version);
		put("a.new", text);
		(void)rename("a.new", "a.lua");
		put("b.new", text);
		(void)rename("b.new", "b.lua");
		if (version % 8 == 0)
			(void)nanosleep(&rest, NULL);
	}
}

/* An editor writes a and then b: who reads them at rest sees a equal to b, or one ahead. */
TEST(a_tree_that_is_being_edited_is_read_at_rest_or_not_at_all)
{
	pid_t editor;
	int status;

	put("a.lua", "0");
	put("b.lua", "0");
	editor = fork();
	if (editor == 0)
		edit_for_ever();
	for (unsigned i = 0; i < 30; i++) {
		struct loader_tree t;
		struct fault why = { 0 };
		uint64_t a = 0, b = 0;

		if (load(&t, "a.lua", "moongate.lua", &why) < 0) {
			CHECK(i, strstr(why.text, "keeps changing") ||
					 strstr(why.text, "No such file"));
			loader_tree_fini(&t);
			continue;
		}
		assert_string_equal(names(&t), "b main");
		assert_true(str_u64(t.files[1].text, UINT32_MAX, &a) &&
			    str_u64(t.files[0].text, UINT32_MAX, &b));
		CHECK(i, a == b || a == b + 1);
		loader_tree_fini(&t);
	}
	(void)kill(editor, SIGKILL);
	assert_int_equal(waitpid(editor, &status, 0), editor);
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(every_lua_file_is_a_module_named_by_its_path),
		FOLDER_TEST(what_require_cannot_say_is_left_out),
		FOLDER_TEST(an_entry_may_have_any_name_and_be_a_link),
		FOLDER_TEST(the_settings_are_left_out_by_whatever_name_they_are_reached),
		FOLDER_TEST(what_cannot_be_is_named),
		FOLDER_TEST(too_many_files_are_refused),
		FOLDER_TEST(too_many_bytes_are_refused),
		FOLDER_TEST(a_tree_that_is_being_edited_is_read_at_rest_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
