#include "policy_edit.h"

#include "check.h"

static struct arena arena;
static struct policy_conn conn;
static struct policy_tx tx;
static struct policy_rcpt *rcpt;
static struct fault why;

static int begin(void **state)
{
	struct policy_address address;

	(void)state;
	arena_init(&arena, 1 << 20);
	policy_conn_init(&conn, &arena);
	policy_tx_init(&tx, &conn, &arena);
	assert_true(policy_address_copy(&arena, STR("alice@example.net"), &tx.sender));
	assert_true(policy_address_copy(&arena, STR("bob@example.org"), &address));
	rcpt = policy_rcpt_add(&tx, address);
	rcpt->state = RCPT_ACCEPTED;
	return 0;
}

static int end(void **state)
{
	(void)state;
	policy_tx_fini(&tx);
	policy_conn_fini(&conn);
	arena_fini(&arena);
	return 0;
}

static int add_header(const char *name, const char *value)
{
	return policy_edit_header(&tx, NULL,
				  &(struct header_edit){ .kind = HEADER_ADD_END,
							 .name = str_of(name),
							 .value = str_of(value) },
				  &why);
}

TEST(staged_edits_are_seen_after_apply_and_in_order)
{
	CHECK_INT(0, policy_edit_sender(&tx, STR("\"carol\"@EXAMPLE.com"), &why), 0);
	CHECK_INT(0, policy_edit_rcpt_add(&tx, STR("dave@example.org"), &why), 0);
	CHECK_INT(0, policy_edit_rcpt_add(&tx, STR("erin@example.org"), &why), 0);
	CHECK_INT(0, policy_edit_rcpt_set(rcpt, STR("robert@example.org"), &why), 0);
	CHECK_INT(0, policy_edit_rcpt_set(rcpt, STR("rob@example.org"), &why), 0);
	CHECK_INT(0, add_header("X-A", "1"), 0);
	CHECK_INT(0, add_header("X-B", "2"), 0);
	CHECK_STR(1, tx.sender.text, STR("alice@example.net"));
	CHECK_INT(1, tx.nrcpts, 1);
	CHECK_INT(1, tx.nstaged, 7);
	policy_edits_apply(&tx);
	CHECK_STR(2, tx.sender.text, STR("carol@example.com"));
	CHECK_INT(2, tx.nrcpts, 3);
	CHECK_STR(2, tx.rcpts[2]->address.text, STR("erin@example.org"));
	CHECK_INT(2, tx.rcpts[2]->index, 2);
	CHECK_STR(2, rcpt->address.text, STR("rob@example.org"));
	CHECK_STR(2, tx.edits->name, STR("X-A"));
	CHECK_STR(2, tx.edits->next->name, STR("X-B"));
	CHECK(2, !tx.staged && tx.nstaged == 0 && tx.nedits == 7);
	policy_edits_apply(&tx);
	CHECK_INT(3, tx.nrcpts, 3);
}

TEST(dropped_edits_leave_no_trace)
{
	CHECK_INT(0, policy_edit_sender(&tx, STR(""), &why), 0);
	CHECK_INT(0, policy_edit_rcpt_add(&tx, STR("dave@example.org"), &why), 0);
	CHECK_INT(0, policy_edit_rcpt_permit(rcpt, &why), 0);
	policy_edits_drop(&tx);
	policy_edits_apply(&tx);
	CHECK_STR(0, tx.sender.text, STR("alice@example.net"));
	CHECK(0, tx.nrcpts == 1 && !rcpt->is_permitted && tx.nedits == 0);
}

TEST(what_is_wrong_is_refused_with_a_reason)
{
	CHECK_INT(0, policy_edit_sender(&tx, STR("nobody"), &why), -1);
	CHECK_INT(1, policy_edit_sender(&tx, STR("a@b.c\r\nX: y"), &why), -1);
	CHECK_INT(2, policy_edit_rcpt_add(&tx, STR(""), &why), -1);
	CHECK_INT(3, add_header("X:Y", "1"), -1);
	CHECK_INT(4, add_header("X-Y", "1\n2"), -1);
	CHECK_INT(5, policy_edit_rcpt_route(rcpt, STR("nowhere"), &why), -1);
	CHECK_INT(6, policy_edit_retry(&tx, &(struct policy_result){ 0 }, 0, &why), -1);
	CHECK_INT(7, policy_edit_retry(&tx, &(struct policy_result){ 0 }, UINT64_MAX, &why), -1);
	CHECK_INT(8, tx.nstaged, 0);
	tx.conn = NULL;
	CHECK_INT(9, policy_edit_sender(&tx, STR("a@b.c"), &why), -1);
	CHECK_INT(10, add_header("X-Y", "1"), -1);
	CHECK_INT(11, policy_edit_rcpt_remove(rcpt, &why), -1);
	CHECK_INT(12, policy_edit_rcpt_route(rcpt, STR("192.0.2.1:25"), &why), 0);
	rcpt->state = RCPT_ASKED;
	tx.conn = &conn;
	CHECK_INT(13, policy_edit_rcpt_remove(rcpt, &why), -1);
}

TEST(edits_are_bounded_staged_and_applied_together)
{
	for (unsigned i = 0; i < POLICY_EDITS; i++) {
		CHECK_INT(i, add_header("X", "y"), 0);
		if (i == POLICY_EDITS / 2)
			policy_edits_apply(&tx);
	}
	CHECK_INT(0, add_header("X", "y"), -1);
	policy_edits_drop(&tx);
	CHECK_INT(1, add_header("X", "y"), 0);
}

TEST(recipients_are_bounded_staged_ones_too)
{
	struct policy_address address = rcpt->address;

	while (tx.nrcpts < POLICY_RCPTS - 2)
		assert_non_null(policy_rcpt_add(&tx, address));
	CHECK_INT(0, policy_edit_rcpt_add(&tx, STR("a@example.org"), &why), 0);
	CHECK_INT(1, policy_edit_rcpt_add(&tx, STR("b@example.org"), &why), 0);
	CHECK_INT(2, policy_edit_rcpt_add(&tx, STR("c@example.org"), &why), -1);
	policy_edits_apply(&tx);
	CHECK_INT(3, tx.nrcpts, POLICY_RCPTS);
	CHECK(4, !policy_rcpt_add(&tx, address));
}

TEST(an_arena_that_is_full_refuses_edits_and_breaks_nothing)
{
	size_t first = arena.used;
	unsigned refused = 0;

	for (size_t cap = first; cap < first + 8192; cap += 16) {
		arena.cap = cap;
		refused += policy_edit_sender(&tx, STR("carol@example.com"), &why) < 0;
		refused += policy_edit_rcpt_add(&tx, STR("dave@example.org"), &why) < 0;
		refused += add_header("X-A", "a value") < 0;
		refused += policy_edit_rcpt_route(rcpt, STR("192.0.2.1:25"), &why) < 0;
		if (cap % 64 == 0)
			policy_edits_apply(&tx);
		else
			policy_edits_drop(&tx);
	}
	CHECK(0, refused > 10);
}

TEST(handles_are_cut_when_their_object_ends)
{
	struct policy_handle a = { .target = &tx }, b = { .target = rcpt };

	list_append(&tx.handles, &a.node);
	list_append(&rcpt->handles, &b.node);
	policy_tx_fini(&tx);
	CHECK(0, !a.target && !b.target);
	CHECK(0, a.node.next == &a.node);
	policy_tx_init(&tx, &conn, &arena);
	memset(&tx.handles, 0, sizeof tx.handles);
	policy_handles_cut(&tx.handles);
	CHECK(1, list_is_empty(&tx.handles));
}

static const struct {
	const char *text, *canonical, *local, *domain;
} addresses[] = {
	{ "Bob@EXAMPLE.org", "Bob@example.org", "Bob", "example.org" },
	{ "\"bob\"@example.org", "bob@example.org", "bob", "example.org" },
	{ "\"a b\"@example.org", "\"a b\"@example.org", "a b", "example.org" },
	{ "\"a\\\"b\"@example.org", "\"a\\\"b\"@example.org", "a\"b", "example.org" },
	{ "x@[192.0.2.1]", "x@[192.0.2.1]", "x", "[192.0.2.1]" },
};

TEST(addresses_have_one_spelling_and_parts)
{
	struct policy_address got;

	for (size_t i = 0; i < COUNT(addresses); i++) {
		CHECK(i, policy_address_copy(&arena, str_of(addresses[i].text), &got));
		CHECK_STR(i, got.text, str_of(addresses[i].canonical));
		CHECK_STR(i, got.local, str_of(addresses[i].local));
		CHECK_STR(i, got.domain, str_of(addresses[i].domain));
	}
	CHECK(0, !policy_address_copy(&arena, STR(""), &got) &&
			 !policy_address_copy(&arena, STR("x"), &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(staged_edits_are_seen_after_apply_and_in_order),
		T(dropped_edits_leave_no_trace),
		T(what_is_wrong_is_refused_with_a_reason),
		T(edits_are_bounded_staged_and_applied_together),
		T(recipients_are_bounded_staged_ones_too),
		T(an_arena_that_is_full_refuses_edits_and_breaks_nothing),
		T(handles_are_cut_when_their_object_ends),
		T(addresses_have_one_spelling_and_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
