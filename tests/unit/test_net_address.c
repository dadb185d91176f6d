#include "net_address.h"

#include "check.h"

TEST(addresses_are_read_and_shown)
{
	static const struct {
		struct str in;
		const char *text, *host; /* NULL: not an address */
		uint16_t port;
		bool is_local;
	} samples[] = {
		{ STR("127.0.0.1:25"), "127.0.0.1:25", "127.0.0.1", 25, true },
		{ STR("127.255.1.2:1"), "127.255.1.2:1", "127.255.1.2", 1, true },
		{ STR("192.0.2.1:65535"), "192.0.2.1:65535", "192.0.2.1", 65535, false },
		{ STR("0.0.0.0:0"), "0.0.0.0:0", "0.0.0.0", 0, false },
		{ STR("[::1]:25"), "[::1]:25", "::1", 25, true },
		{ STR("[2001:DB8:0::1]:587"), "[2001:db8::1]:587", "2001:db8::1", 587, false },
		{ STR("[::]:25"), "[::]:25", "::", 25, false },
		{ STR("[::ffff:192.0.2.7]:25"), "192.0.2.7:25", "192.0.2.7", 25, false },
		{ STR("[::ffff:127.0.0.1]:25"), "127.0.0.1:25", "127.0.0.1", 25, true },
		{ STR("unix:/run/x.sock"), "unix:/run/x.sock", "unix", 0, true },
		{ STR("unix:/a:b"), "unix:/a:b", "unix", 0, true },
		{ STR(""), NULL, NULL, 0, false },
		{ STR("25"), NULL, NULL, 0, false },
		{ STR(":25"), NULL, NULL, 0, false },
		{ STR("127.0.0.1"), NULL, NULL, 0, false },
		{ STR("127.0.0.1:"), NULL, NULL, 0, false },
		{ STR("127.0.0.1:65536"), NULL, NULL, 0, false },
		{ STR("127.0.0.1:-1"), NULL, NULL, 0, false },
		{ STR("127.1:25"), NULL, NULL, 0, false },
		{ STR("127.0.0.1 :25"), NULL, NULL, 0, false },
		{ STR("localhost:25"), NULL, NULL, 0, false },
		{ STR("::1:25"), NULL, NULL, 0, false },
		{ STR("[127.0.0.1]:25"), NULL, NULL, 0, false },
		{ STR("[::1:25"), NULL, NULL, 0, false },
		{ STR("[]:25"), NULL, NULL, 0, false },
		{ STR("[:25"), NULL, NULL, 0, false },
		{ STR("[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:25"), NULL,
		  NULL, 0, false },
		{ STR("127.0.0.1\0:25"), NULL, NULL, 0, false },
		{ STR("unix:"), NULL, NULL, 0, false },
		{ STR("unix:x.sock"), NULL, NULL, 0, false },
		{ STR("unix:/x\0y"), NULL, NULL, 0, false },
	};

	for (size_t i = 0; i < COUNT(samples); i++) {
		struct str in = heap_copy(samples[i].in);
		char text[NET_ADDRESS_TEXT], host[NET_ADDRESS_TEXT];
		struct net_address a;
		struct fault why = { 0 };
		int rc = net_address_parse(in, &a, &why);

		heap_free(in);
		CHECK_INT(i, rc, samples[i].text ? 0 : -1);
		CHECK_INT(i, why.text[0] != '\0', rc < 0);
		if (rc < 0)
			continue;
		CHECK_STR(i, str_of(net_address_text(&a, text)), str_of(samples[i].text));
		CHECK_STR(i, str_of(net_address_host(&a, host)), str_of(samples[i].host));
		CHECK_INT(i, net_address_port(&a), samples[i].port);
		CHECK_INT(i, net_address_is_local(&a), samples[i].is_local);
	}
}

TEST(a_path_as_long_as_the_kernel_takes_is_taken_and_no_longer)
{
	char path[200] = "unix:/", text[NET_ADDRESS_TEXT];
	size_t most = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
	struct net_address a;

	memset(path + 6, 'x', sizeof path - 6);
	assert_int_equal(net_address_parse((struct str){ path, 5 + most }, &a, NULL), 0);
	CHECK_STR(0, str_of(net_address_text(&a, text)), ((struct str){ path, 5 + most }));
	assert_int_equal(net_address_parse((struct str){ path, 6 + most }, &a, NULL), -1);
	assert_int_equal(net_address_parse((struct str){ path, sizeof path }, &a, NULL), -1);
}

TEST(what_the_kernel_did_not_tell_is_unknown)
{
	struct net_address nobody = { 0 },
			   unbound = { .n = sizeof(sa_family_t), .u.any.sa_family = AF_UNIX };
	char text[NET_ADDRESS_TEXT];

	assert_string_equal(net_address_text(&nobody, text), "unknown");
	assert_string_equal(net_address_host(&nobody, text), "unknown");
	assert_int_equal(net_address_port(&nobody), 0);
	assert_false(net_address_is_local(&nobody));
	assert_string_equal(net_address_text(&unbound, text), "unix:");
	assert_true(net_address_is_local(&unbound));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_shown),
		cmocka_unit_test(a_path_as_long_as_the_kernel_takes_is_taken_and_no_longer),
		cmocka_unit_test(what_the_kernel_did_not_tell_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
