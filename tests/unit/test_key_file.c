/* Key files on the disk: who may read them, what is said about bad ones, how they grow. */
#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "rnd.h"

static char folder[] = "/tmp/moongate-key.XXXXXX", path[128];
static struct spool_keys *keys;
static struct fault why;

static int begin(void **state)
{
	(void)state;
	(void)unlink(path);
	return 0;
}

static struct str here(void)
{
	return str_of(path);
}

static void write_text(const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static struct spool_key make(void)
{
	struct spool_key key;

	spool_key_make(&key);
	assert_int_equal(key_file_make(path, &key, -1, &why), 0);
	return key;
}

TEST(a_new_file_is_private_and_is_read_again)
{
	struct spool_key key = make(), second;
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(key_file_read(here(), keys, &why), 0);
	assert_int_equal(keys->n, 1);
	assert_memory_equal(&keys->at[0], &key, sizeof key);
	assert_int_equal(key_file_make(path, &key, -1, &why), -1);
	assert_int_equal(why.sys, EEXIST);
	spool_key_make(&second);
	assert_int_equal(key_file_add(path, &second, &why), 0);
	assert_int_equal(key_file_read(here(), keys, &why), 0);
	assert_int_equal(keys->n, 2);
	assert_memory_equal(spool_keys_current(keys), &second, sizeof second);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

TEST(a_line_without_an_end_is_no_trap_for_the_next_key)
{
	struct spool_key key = make();
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 1), 0);
	spool_key_make(&key);
	assert_int_equal(key_file_add(path, &key, &why), 0);
	assert_int_equal(key_file_read(here(), keys, &why), 0);
	assert_int_equal(keys->n, 2);
}

TEST(what_others_may_read_is_refused)
{
	static const mode_t modes[] = { 0644, 0640, 0604, 0660 };

	make();
	for (size_t i = 0; i < COUNT(modes); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		CHECK_INT(i, key_file_read(here(), keys, &why), -1);
		CHECK(i, strstr(why.text, "chmod 600"));
	}
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(key_file_read(here(), keys, &why), 0);
}

TEST(a_bad_file_is_named_with_its_line)
{
	char long_text[SPOOL_KEYS_FILE + 2];

	assert_int_equal(key_file_read(here(), keys, &why), -1);
	assert_int_equal(why.sys, ENOENT);
	assert_non_null(strstr(why.text, path));
	write_text("# nothing\nhello\n", 0600);
	assert_int_equal(key_file_read(here(), keys, &why), -1);
	assert_non_null(strstr(why.text, ": line 2: expected"));
	memset(long_text, '#', sizeof long_text);
	long_text[sizeof long_text - 1] = '\0';
	write_text(long_text, 0600);
	assert_int_equal(key_file_read(here(), keys, &why), -1);
	assert_non_null(strstr(why.text, "bytes"));
	assert_int_equal(key_file_read(str_of(folder), keys, &why), -1);
	assert_non_null(strstr(why.text, "not a regular file"));
}

TEST(a_credential_is_found_where_the_service_manager_put_it)
{
	char found[KEY_FILE_PATH];

	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(key_file_read(STR("credential:key"), keys, &why), -1);
	assert_non_null(strstr(why.text, "LoadCredential=key"));
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	make();
	assert_int_equal(chmod(path, 0440), 0); /* its rights are not in the mode */
	assert_int_equal(key_file_path(STR("credential:key"), found, &why), 0);
	assert_string_equal(found, path);
	assert_int_equal(key_file_read(STR("credential:key"), keys, &why), 0);
	assert_int_equal(key_file_read(STR("credential:../key"), keys, &why), -1);
	assert_int_equal(key_file_read(STR("credential:"), keys, &why), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_new_file_is_private_and_is_read_again, begin),
		cmocka_unit_test_setup(a_line_without_an_end_is_no_trap_for_the_next_key, begin),
		cmocka_unit_test_setup(what_others_may_read_is_refused, begin),
		cmocka_unit_test_setup(a_bad_file_is_named_with_its_line, begin),
		cmocka_unit_test_setup(a_credential_is_found_where_the_service_manager_put_it,
				       begin),
	};
	int rc;

	rnd_init();
	keys = spool_keys_new();
	if (!mkdtemp(folder))
		return 1;
	(void)snprintf(path, sizeof path, "%s/key", folder);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	(void)rmdir(folder);
	spool_keys_free(&keys);
	return rc;
}
