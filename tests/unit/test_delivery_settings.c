#include "delivery_settings.h"

#include "check.h"

static const struct str ours[] = { STR("example.org"), STR("example.net") };
static const struct delivery_route routes[] = {
	{ STR("example.net"), STR("lmtp:unix:/net") },
	{ STR("*"), STR("smtp:192.0.2.9:25") },
	{ STR("example.net"), STR("smtp:192.0.2.8:25") },
};

/* clang-format off */
static const struct {
	struct delivery_options o;
	struct str domain, next_hop;
} rows[] = {
	{ { .routes = routes, .nroutes = 3 }, STR("Example.NET"), STR("lmtp:unix:/net") },
	{ { .routes = routes, .nroutes = 3 }, STR("example.org"), STR("smtp:192.0.2.9:25") },
	{ { .routes = routes, .nroutes = 1 }, STR("example.org"), STR("") },
	{ { .relay_domains = ours, .nrelay_domains = 2 }, STR("example.org"), STR("") },
	{ { .relay_domains = ours, .nrelay_domains = 2, .relay_to = STR("192.0.2.1") }, STR("EXAMPLE.org"), STR("192.0.2.1") },
	{ { .relay_domains = ours, .nrelay_domains = 2, .relay_to = STR("192.0.2.1") }, STR("sub.example.org"), STR("") },
	{ { .relay_domains = ours, .nrelay_domains = 2, .relay_to = STR("192.0.2.1"), .routes = routes, .nroutes = 3 },
	  STR("example.net"), STR("lmtp:unix:/net") },
	{ { .relay_domains = ours, .nrelay_domains = 2, .relay_to = STR("192.0.2.1"), .routes = routes, .nroutes = 3 },
	  STR("example.com"), STR("smtp:192.0.2.9:25") },
	{ { .relay_all = true, .relay_to = STR("192.0.2.1"), .routes = routes, .nroutes = 3 }, STR("x.com"), STR("192.0.2.1") },
	{ { .relay_all = true, .relay_to = STR("192.0.2.1"), .routes = routes, .nroutes = 3 }, STR("example.net"),
	  STR("lmtp:unix:/net") },
};
/* clang-format on */

TEST(own_route_then_relay_then_any)
{
	struct delivery_settings s;

	delivery_settings_init(&s, &rows[0].o);
	for (size_t i = 0; i < COUNT(rows); i++) {
		delivery_settings_set(&s, &rows[i].o);
		CHECK_STR(i, delivery_settings_route(&s, rows[i].domain), rows[i].next_hop);
	}
	delivery_settings_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_route_then_relay_then_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
