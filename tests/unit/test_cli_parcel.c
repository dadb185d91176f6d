#include "cli_parcel.h"

#include "check.h"

#define ENVELOPE                                                                                   \
	"id: 01m00000000000000000000000\nfrom: a@b.org\ncreated: 1700000000000000\n"               \
	"rcpt: c@d.org\nrcpt: e@d.org\nrcpt: f@d.org\n"

static struct arena arena;
static struct cli_parcel got;
static struct fault why;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static int read_text(const char *text)
{
	arena_reset(&arena);
	return cli_parcel_read(str_of(text), &arena, &got, &why);
}

TEST(what_is_written_reads_back)
{
	static const uint8_t done[] = { 1 }, failed[] = { 4 };
	struct cli_parcel p = { .variant = 3,
				.size = 1000,
				.header = 20,
				.sum = { 1, 2, 3, 255 },
				.envelope = STR(ENVELOPE),
				.recipients = 3,
				.state = { done, failed, STR("\2\0\0\xff\0 blob") } };
	struct buf b;

	assert_true(id_parse(STR("01m00000000000000000000000"), &p.id));
	buf_init(&b, CLI_PARCEL_JSON);
	assert_true(cli_parcel_write(&b, &p));
	if (cli_parcel_read(buf_str(&b), &arena, &got, &why) < 0)
		fail_msg("%s", why.text);
	assert_true(got.has_id && got.has_size && got.has_sum && got.has_header);
	assert_true(id_is_eq(&got.id, &p.id));
	CHECK_INT(0, got.variant, 3);
	CHECK_INT(0, got.size, 1000);
	CHECK_INT(0, got.header, 20);
	assert_memory_equal(got.sum, p.sum, sizeof p.sum);
	CHECK_STR(0, got.envelope, p.envelope);
	CHECK_INT(0, got.recipients, 3);
	CHECK_INT(0, got.state.done[0], 1);
	CHECK_INT(0, got.state.failed[0], 4);
	CHECK_STR(0, got.state.blob, p.state.blob);
	/* and who reads it is told of the recipient that is left alone */
	assert_non_null(strstr(b.p + b.head, "\"to\":[\"e@d.org\"]"));
	buf_fini(&b);
}

static const struct {
	const char *text, *complaint;
} wrong[] = {
	{ "", "line 1" },
	{ "[]", "`to`" },
	{ "{}", "`to`" },
	{ "{\"to\":[]}", "`to`" },
	{ "{\"to\":[1]}", "`to`" },
	{ "{\"to\":\"a@b\"}", "`to`" },
	{ "{\"to\":[\"a@b\"],\"to\":[\"c@d\"]}", "duplicate" },
	{ "{\"to\":[\"a@b\"],\"from\":1}", "`from`" },
	{ "{\"to\":[\"a@b\"],\"id\":\"x\"}", "`id`" },
	{ "{\"to\":[\"a@b\"],\"size\":-1}", "`size`" },
	{ "{\"to\":[\"a@b\"],\"variant\":65536}", "`variant`" },
	{ "{\"to\":[\"a@b\"],\"moongate\":2}", "`moongate`" },
	{ "{\"to\":[\"a@b\"],\"blake2b\":\"00\"}", "`blake2b`" },
	{ "{\"envelope\":\"nonsense\"}", "" },
	{ "{\"id\":\"01m00000000000000000000001\",\"envelope\":\"id: "
	  "01m00000000000000000000000\\nfrom: a@b\\nrcpt: c@d\\n\"}",
	  "`id`" },
	{ "{\"id\":\"01m00000000000000000000000\",\"envelope\":\"id: "
	  "01m00000000000000000000000\\nfrom: a@b\\nrcpt: c@d\\n\",\"done\":[1]}",
	  "`done`" },
	{ "{\"id\":\"01m00000000000000000000000\",\"envelope\":\"id: "
	  "01m00000000000000000000000\\nfrom: a@b\\nrcpt: c@d\\n\",\"progress\":\"%\"}",
	  "`progress`" },
};

TEST(a_mistake_is_named)
{
	for (size_t i = 0; i < COUNT(wrong); i++) {
		CHECK_INT(i, read_text(wrong[i].text), -1);
		if (!strstr(why.text, wrong[i].complaint))
			fail_msg("row %zu: '%s' does not name %s", i, why.text, wrong[i].complaint);
	}
}

TEST(an_envelope_is_composed_from_addresses)
{
	CHECK_INT(0,
		  read_text("{\"from\":\"a@B.ORG\",\"to\":[\"c@D.org\",\"e@f.org\"],\"other\":{}}"),
		  0);
	CHECK_INT(0, got.recipients, 0);
	CHECK_INT(0, cli_parcel_compose(&got, true, &arena, &why), 0);
	CHECK_INT(0, got.recipients, 2);
	assert_non_null(strstr(got.envelope.p, "from: a@b.org\n8bit: 1\n"));
	assert_non_null(strstr(got.envelope.p, "rcpt: c@d.org\nrcpt: e@f.org\n"));
	CHECK_INT(1, read_text("{\"from\":\"\",\"to\":[\"c\"]}"), 0);
	CHECK_INT(1, cli_parcel_compose(&got, false, &arena, &why), -1);
	assert_non_null(strstr(why.text, "`c`"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_reads_back, begin, end),
		cmocka_unit_test_setup_teardown(a_mistake_is_named, begin, end),
		cmocka_unit_test_setup_teardown(an_envelope_is_composed_from_addresses, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
