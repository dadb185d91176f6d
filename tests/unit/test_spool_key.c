/* The key file, and data keys in the headers of segments. */
#include "spool_key.h"

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "rnd.h"
#include "spool_vault.h"

/* file_of - n new keys, as lines */
static struct str file_of(char *to, unsigned n)
{
	struct spool_key key;

	for (unsigned i = 0; i < n; i++) {
		spool_key_make(&key);
		spool_key_line(&key, to + (size_t)i * SPOOL_KEY_LINE);
	}
	return (struct str){ to, (size_t)n * SPOOL_KEY_LINE };
}

TEST(keys_come_back_in_their_order_and_the_last_is_current)
{
	char text[4 * SPOOL_KEY_LINE + 64];
	struct spool_keys *k = spool_keys_new();
	struct str file = file_of(text, 3);
	struct fault why;
	char name[SPOOL_KEY_NAME];

	assert_int_equal(spool_keys_parse(k, file, &why), 0);
	assert_int_equal(k->n, 3);
	assert_ptr_equal(spool_keys_current(k), &k->at[2]);
	for (unsigned i = 0; i < 3; i++) {
		spool_key_name(k->at[i].id, name);
		assert_memory_equal(name, text + (size_t)i * SPOOL_KEY_LINE, 16);
		assert_ptr_equal(spool_keys_find(k, k->at[i].id), &k->at[i]);
	}
	/* without the last line's end it is the same file */
	assert_int_equal(spool_keys_parse(k, str_head(file, file.n - 1), &why), 0);
	assert_int_equal(k->n, 3);
	spool_keys_free(&k);
	assert_null(k);
}

TEST(comments_and_empty_lines_are_passed_over)
{
	char text[SPOOL_KEY_LINE + 64] = "# keys\n\n  # more\r\n";
	struct spool_keys *k = spool_keys_new();
	size_t n = strlen(text);
	struct fault why;

	file_of(text + n, 1);
	assert_int_equal(spool_keys_parse(k, (struct str){ text, n + SPOOL_KEY_LINE }, &why), 0);
	assert_int_equal(k->n, 1);
	spool_keys_free(&k);
}

TEST(a_bad_line_is_named)
{
	char good[(SPOOL_KEYS_MAX + 1) * SPOOL_KEY_LINE], bad[2 * SPOOL_KEY_LINE + 8];
	struct spool_keys *k = spool_keys_new();
	struct str file = file_of(good, SPOOL_KEYS_MAX + 1);
	struct fault why;

	assert_int_equal(spool_keys_parse(k, file, &why), -1);
	assert_non_null(strstr(why.text, "line 17: more than 16 keys"));
	assert_int_equal(k->n, 0);
	for (size_t at = 0; at < SPOOL_KEY_LINE - 1; at++) {
		memcpy(bad, good, 2 * SPOOL_KEY_LINE);
		bad[SPOOL_KEY_LINE + at] = bad[SPOOL_KEY_LINE + at] == 'a' ? 'b' : 'a';
		CHECK(at, spool_keys_parse(k, (struct str){ bad, 2 * SPOOL_KEY_LINE }, &why) < 0);
		CHECK(at, strstr(why.text, "line 2: "));
	}
	for (size_t n = 1; n < SPOOL_KEY_LINE - 1; n++)
		CHECK(n, spool_keys_parse(k, (struct str){ good, n }, &why) < 0);
	memcpy(bad, good, SPOOL_KEY_LINE);
	memcpy(bad + SPOOL_KEY_LINE, good, SPOOL_KEY_LINE);
	assert_int_equal(spool_keys_parse(k, (struct str){ bad, 2 * SPOOL_KEY_LINE }, &why), -1);
	assert_non_null(strstr(why.text, "line 2: the same key"));
	assert_int_equal(spool_keys_parse(k, STR("# none\n"), &why), -1);
	assert_non_null(strstr(why.text, "no key"));
	spool_keys_free(&k);
}

/* Wrapping */

static struct spool_header header_of(uint32_t number)
{
	return (struct spool_header){ .number = number, .epoch = 77, .salt = 88, .size = 1 << 20 };
}

TEST(a_data_key_comes_back_through_the_header_on_disk)
{
	unsigned char data[SPOOL_CIPHER_KEY] = { 5, 6 }, got[SPOOL_CIPHER_KEY];
	struct spool_keys *k = spool_keys_new();
	struct spool_header h = header_of(4), read;
	char bytes[SPOOL_HEADER_SIZE];

	k->n = 2;
	spool_key_make(&k->at[0]);
	spool_key_make(&k->at[1]);
	assert_null(spool_key_of(&h));
	assert_int_equal(spool_key_unwrap(k, &h, got), SPOOL_KEY_NONE);
	for (unsigned i = 0; i < 2; i++) {
		spool_key_wrap(&k->at[i], data, &h);
		spool_header_put(bytes, &h);
		assert_true(spool_header_get(bytes, &read));
		assert_memory_equal(spool_key_of(&read), k->at[i].id, SPOOL_KEY_ID);
		assert_int_equal(spool_key_unwrap(k, &read, got), SPOOL_KEY_OPEN);
		assert_memory_equal(got, data, sizeof data);
	}
	k->n = 1;
	assert_int_equal(spool_key_unwrap(k, &read, got), SPOOL_KEY_MISSING);
	assert_int_equal(spool_key_unwrap(NULL, &read, got), SPOOL_KEY_MISSING);
	spool_keys_free(&k);
}

TEST(a_wrapped_key_opens_in_its_own_header_alone)
{
	unsigned char data[SPOOL_CIPHER_KEY] = { 5 }, got[SPOOL_CIPHER_KEY];
	struct spool_keys *k = spool_keys_new();
	struct spool_header h = header_of(4), other;

	k->n = 1;
	spool_key_make(&k->at[0]);
	spool_key_wrap(&k->at[0], data, &h);
	other = h;
	other.number++;
	assert_int_equal(spool_key_unwrap(k, &other, got), SPOOL_KEY_WRONG);
	other = h;
	other.epoch++;
	assert_int_equal(spool_key_unwrap(k, &other, got), SPOOL_KEY_WRONG);
	other = h;
	other.salt++;
	assert_int_equal(spool_key_unwrap(k, &other, got), SPOOL_KEY_WRONG);
	for (size_t at = 0; at < 88; at++) {
		if (at > 0 && at < 8)
			continue; /* zero, for later */
		other = h;
		other.key[at] ^= 4;
		CHECK(at, spool_key_unwrap(k, &other, got) != SPOOL_KEY_OPEN);
	}
	spool_keys_free(&k);
}

TEST(nothing_of_it_is_in_a_child)
{
	struct spool_keys *k = spool_keys_new();
	int pid, status;

	k->n = 1;
	spool_key_make(&k->at[0]);
	pid = fork();
	if (pid == 0)
		_exit(k->n == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(k->n, 1);
	spool_keys_free(&k);
}

TEST(places_in_a_vault_do_not_move)
{
	static struct spool_vault v;
	static const unsigned numbers[] = { 0, 1, 255, 256, 65535 };
	unsigned char *places[COUNT(numbers)];

	for (size_t i = 0; i < COUNT(numbers); i++) {
		places[i] = spool_vault_at(&v, numbers[i]);
		memset(places[i], (int)i + 1, SPOOL_CIPHER_KEY);
	}
	for (size_t i = 0; i < COUNT(numbers); i++) {
		CHECK(i, spool_vault_at(&v, numbers[i]) == places[i]);
		CHECK_INT(i, places[i][0], i + 1);
		CHECK_INT(i, places[i][SPOOL_CIPHER_KEY - 1], i + 1);
	}
	spool_vault_wipe(&v, 1);
	assert_int_equal(places[1][0], 0);
	assert_int_equal(places[0][0], 1);
	assert_int_equal(places[2][0], 3);
	spool_vault_wipe(&v, 3000); /* nothing there */
	spool_vault_fini(&v);
	assert_null(v.groups[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_come_back_in_their_order_and_the_last_is_current),
		cmocka_unit_test(comments_and_empty_lines_are_passed_over),
		cmocka_unit_test(a_bad_line_is_named),
		cmocka_unit_test(a_data_key_comes_back_through_the_header_on_disk),
		cmocka_unit_test(a_wrapped_key_opens_in_its_own_header_alone),
		cmocka_unit_test(nothing_of_it_is_in_a_child),
		cmocka_unit_test(places_in_a_vault_do_not_move),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
