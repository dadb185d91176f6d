#include "tls_tickets.h"

#include "check.h"

static struct tls_ticket_key key_of(const struct tls_tickets *t, const char *listener, bool former)
{
	struct tls_ticket_key k;

	tls_tickets_key(t, str_of(listener), former, &k);
	return k;
}

static bool is_same(struct tls_ticket_key a, struct tls_ticket_key b)
{
	return memcmp(&a, &b, sizeof a) == 0;
}

TEST(who_got_the_state_once_has_the_keys_of_all)
{
	struct tls_tickets master, edge;

	tls_tickets_init(&master, 5 * TLS_TICKET_PERIOD + 7);
	edge = master;
	tls_tickets_advance(&master, 9 * TLS_TICKET_PERIOD);
	for (uint64_t p = 5; p <= 9; p++)
		tls_tickets_advance(&edge, p * TLS_TICKET_PERIOD + 1);
	assert_memory_equal(&master, &edge, sizeof edge);
	CHECK(0, is_same(key_of(&master, "mx", false), key_of(&edge, "mx", false)));
}

TEST(a_key_is_former_for_one_period_and_then_nothing)
{
	struct tls_tickets t;
	struct tls_ticket_key first;

	tls_tickets_init(&t, 0);
	first = key_of(&t, "mx", false);
	tls_tickets_advance(&t, TLS_TICKET_PERIOD - 1);
	CHECK(0, is_same(first, key_of(&t, "mx", false)));
	tls_tickets_advance(&t, TLS_TICKET_PERIOD);
	CHECK(1, is_same(first, key_of(&t, "mx", true)));
	CHECK(2, !is_same(first, key_of(&t, "mx", false)));
	tls_tickets_advance(&t, 2 * TLS_TICKET_PERIOD);
	CHECK(3, !is_same(first, key_of(&t, "mx", true)));
}

TEST(a_clock_that_runs_backwards_changes_nothing)
{
	struct tls_tickets t, before;

	tls_tickets_init(&t, 9 * TLS_TICKET_PERIOD);
	before = t;
	tls_tickets_advance(&t, 0);
	assert_memory_equal(&t, &before, sizeof t);
}

TEST(listeners_share_nothing)
{
	struct tls_tickets t;
	struct tls_ticket_key a, b;

	tls_tickets_init(&t, 0);
	a = key_of(&t, "mx", false);
	b = key_of(&t, "submission", false);
	CHECK(0, memcmp(a.name, b.name, sizeof a.name) != 0);
	CHECK(1, memcmp(a.cipher, b.cipher, sizeof a.cipher) != 0);
	CHECK(2, memcmp(a.mac, b.mac, sizeof a.mac) != 0);
	CHECK(3, memcmp(a.cipher, a.mac, sizeof a.mac) != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_got_the_state_once_has_the_keys_of_all),
		cmocka_unit_test(a_key_is_former_for_one_period_and_then_nothing),
		cmocka_unit_test(a_clock_that_runs_backwards_changes_nothing),
		cmocka_unit_test(listeners_share_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
