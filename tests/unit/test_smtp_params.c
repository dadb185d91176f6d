#include "check.h"
#include "smtp_params.h"

#define ALL SMTP_OFFER_ALL
#define NO_SIZE (SMTP_OFFER_ALL & ~SMTP_OFFER(SMTP_EXTENSION_SIZE))

static const struct {
	struct str text;
	enum smtp_params_of verb;
	uint32_t offers;
	enum smtp_params_verdict want;
	uint64_t size;
	enum smtp_body body;
	unsigned n;
} samples[] = {
	{ STR(""), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_OK, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" "), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_OK, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" SIZE=1000"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_OK, 1000, SMTP_BODY_7BIT, 1 },
	{ STR(" size=1000 body=8bitmime"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_OK, 1000, SMTP_BODY_8BITMIME, 2 },
	{ STR("  BODY=7BIT   SIZE=0 "), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_OK, 0, SMTP_BODY_7BIT, 2 },
	{ STR(" SIZE=99999999999999999999"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_OK, UINT64_MAX, SMTP_BODY_7BIT, 1 },
	{ STR(" SIZE=18446744073709551615"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_OK, UINT64_MAX, SMTP_BODY_7BIT, 1 },
	{ STR(" SIZE=000000000000000000001"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_VALUE, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" SIZE=-1"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_VALUE, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" SIZE=1k"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_VALUE, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" SIZE"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_VALUE, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" SIZE="), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_SYNTAX, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" SIZE=1=2"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_SYNTAX, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" BODY=BINARYMIME"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_VALUE, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" BODY"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_VALUE, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" SIZE=1 Size=1"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_TWICE, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" FOO=1 FOO=1"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_TWICE, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" FOO"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_UNKNOWN, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" SIZE=1 X-Y=z"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_UNKNOWN, 1, SMTP_BODY_7BIT, 2 },
	{ STR(" SIZE=1"), SMTP_PARAMS_MAIL, NO_SIZE, SMTP_PARAMS_UNKNOWN, 0, SMTP_BODY_7BIT, 1 },
	{ STR(" SIZE=1"), SMTP_PARAMS_RCPT, ALL, SMTP_PARAMS_UNKNOWN, 0, SMTP_BODY_7BIT, 1 },
	{ STR("SIZE=1"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_SYNTAX, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" =1"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_SYNTAX, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" -A=1"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_SYNTAX, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" A_B=1"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_SYNTAX, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" A=\x01"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_SYNTAX, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" A=\xff"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_SYNTAX, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" A\tB"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_SYNTAX, 0, SMTP_BODY_7BIT, 0 },
	{ STR(" A B C D E F G H I J K L M N O P Q"), SMTP_PARAMS_MAIL, ALL, SMTP_PARAMS_MANY, 0, SMTP_BODY_7BIT, 16 },
};

TEST(each_sample_has_its_answer)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct smtp_offers offers = { samples[i].offers, 0 };
		struct str copy = heap_copy(samples[i].text);
		struct smtp_params p;

		CHECK_INT(i, smtp_params_parse(copy, samples[i].verb, &offers, &p), samples[i].want);
		CHECK_INT(i, p.n, samples[i].n);
		if (samples[i].want == SMTP_PARAMS_OK) {
			CHECK_INT(i, p.size, samples[i].size);
			CHECK_INT(i, p.body, samples[i].body);
		}
		heap_free(copy);
	}
}

TEST(parameters_are_kept_as_given)
{
	struct smtp_offers offers = { SMTP_OFFER_ALL, 0 };
	struct smtp_params p;

	assert_int_equal(smtp_params_parse(STR(" Body=8BitMime"), SMTP_PARAMS_MAIL, &offers, &p), SMTP_PARAMS_OK);
	CHECK_STR(0, p.list[0].key, STR("Body"));
	CHECK_STR(0, p.list[0].value, STR("8BitMime"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sample_has_its_answer),
		cmocka_unit_test(parameters_are_kept_as_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
