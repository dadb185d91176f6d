#include "cli_tar.h"

#include "check.h"

static const struct {
	const char *name;
	uint64_t size, padded;
} samples[] = {
	{ "a.eml", 0, 0 },  { "01m00000000000000000000000.0.json", 1, 512 },    { "b", 512, 512 },
	{ "c", 513, 1024 }, { "d", CLI_TAR_SIZE, UINT64_C(0100000000000) },
};

TEST(what_is_put_is_got)
{
	char head[CLI_TAR_BLOCK];
	struct cli_tar_entry got;

	for (size_t i = 0; i < COUNT(samples); i++) {
		struct cli_tar_entry e = { .size = samples[i].size };

		str_copy(e.name, sizeof e.name, str_of(samples[i].name));
		cli_tar_put(head, &e, 1700000000);
		CHECK_INT(i, cli_tar_get(head, &got), STEP_DONE);
		CHECK_STR(i, str_of(got.name), str_of(samples[i].name));
		CHECK_INT(i, got.size, samples[i].size);
		CHECK_INT(i, cli_tar_padded(got.size), samples[i].padded);
		CHECK(i, got.is_file);
	}
}

TEST(any_changed_byte_of_a_head_is_seen)
{
	struct cli_tar_entry e = { .name = "a.eml", .size = 7 }, got;
	char head[CLI_TAR_BLOCK];

	for (size_t i = 0; i < CLI_TAR_BLOCK; i++) {
		cli_tar_put(head, &e, 0);
		head[i] ^= 1;
		/* the blank behind the checksum says nothing */
		CHECK_INT(i, cli_tar_get(head, &got), i == 155 ? STEP_DONE : STEP_ERROR);
	}
}

TEST(an_empty_block_is_the_end)
{
	char head[CLI_TAR_BLOCK] = { 0 };
	struct cli_tar_entry got;

	CHECK_INT(0, cli_tar_get(head, &got), STEP_MORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_got),
		cmocka_unit_test(any_changed_byte_of_a_head_is_seen),
		cmocka_unit_test(an_empty_block_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
