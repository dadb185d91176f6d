#include "delivery_cause.h"

#include "check.h"

static const struct {
	bool is_reply, by_policy;
	uint16_t code;
	struct str esc, text;
	enum ipc_cause want;
} samples[] = {
	{ true, false, 450, STR("4.2.0"), STR("<a@b>: Greylisted, see http://..."),
	  IPC_CAUSE_GREYLIST },
	{ true, false, 451, STR("4.7.1"), STR("Try again later"), IPC_CAUSE_GREYLIST },
	{ true, false, 421, STR("4.7.1"), STR("GRAYLISTING in action"), IPC_CAUSE_GREYLIST },
	{ true, false, 421, STR("4.7.1"), STR("too many connections"), IPC_CAUSE_RATE },
	{ true, false, 421, STR(""), STR("closing"), IPC_CAUSE_RATE },
	{ true, false, 450, STR("4.7.28"), STR("unusual rate of mail"), IPC_CAUSE_RATE },
	{ true, false, 451, STR("4.7.650"), STR("temporarily rate limited"), IPC_CAUSE_RATE },
	{ true, false, 451, STR("4.3.2"), STR("busy"), IPC_CAUSE_RATE },
	{ true, false, 452, STR("4.2.2"), STR("mailbox full"), IPC_CAUSE_OTHER },
	{ true, true, 452, STR("4.2.2"), STR("mailbox full"), IPC_CAUSE_OTHER },
	{ false, true, 451, STR("4.7.1"), STR("not now"), IPC_CAUSE_POLICY },
	{ false, false, 0, STR("4.4.1"), STR("connection refused"), IPC_CAUSE_CONNECT },
	{ false, false, 0, STR("4.4.3"), STR("no DNS"), IPC_CAUSE_CONNECT },
	{ false, false, 0, STR("4.4.2"), STR("no answer in time"), IPC_CAUSE_BROKEN },
	{ false, false, 0, STR("4.3.1"), STR("no memory"), IPC_CAUSE_OTHER },
	{ false, false, 0, STR(""), STR(""), IPC_CAUSE_OTHER },
};

TEST(each_failure_has_its_class)
{
	for (size_t i = 0; i < COUNT(samples); i++)
		CHECK_INT(i,
			  delivery_cause(samples[i].is_reply, samples[i].by_policy, samples[i].code,
					 samples[i].esc, samples[i].text),
			  samples[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_failure_has_its_class) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
