#include "queue_index.h"

#include "check.h"
#include "rnd.h"

#define MANY 3000

static struct queue_message *add(struct queue_index *x, unsigned i, unsigned nrcpts)
{
	struct id id = { { 0 } };
	struct queue_message *m;

	memcpy(id.b, &i, sizeof i);
	m = queue_message_new(&id, 0, (uint16_t)nrcpts, 1);
	queue_message_add(x, m);
	return m;
}

TEST(a_message_costs_what_was_promised)
{
	assert_true(sizeof(struct queue_message) <= 200);
	assert_true(sizeof(struct queue_rcpt) <= 16);
}

TEST(what_waits_comes_out_by_its_time_whatever_else_is_taken_out)
{
	static struct queue_message *all[MANY];
	struct queue_index x;
	uint32_t last = 0;
	unsigned n = 0;

	queue_index_init(&x);
	for (unsigned i = 0; i < MANY; i++) {
		all[i] = add(&x, i, 1);
		all[i]->job.due = (uint32_t)rnd_below(500) + 1;
		queue_job_place(&x, &all[i]->job, PLACE_WAITING);
	}
	for (unsigned i = 0; i < MANY; i += 3)
		queue_job_place(&x, &all[i]->job, i % 2 ? PLACE_HELD : PLACE_UNROUTED);
	for (struct queue_job *j; (j = queue_heap_first(&x)); n++) {
		CHECK(n, j->due >= last);
		last = j->due;
		queue_job_place(&x, j, PLACE_LEASED);
	}
	assert_int_equal(n, MANY - MANY / 3);
	assert_int_equal(x.held, MANY / 6);
	queue_index_fini(&x);
}

TEST(a_destination_goes_with_its_last_job_and_lease)
{
	struct queue_index x;
	struct queue_destination *d;
	struct queue_message *m;

	queue_index_init(&x);
	m = add(&x, 1, 2);
	d = queue_destination_get(&x, STR("k"), STR("h"), 3);
	assert_ptr_equal(d, queue_destination_get(&x, STR("k"), STR("h"), 3));
	assert_ptr_not_equal(d, queue_destination_get(&x, STR("k"), STR("other"), 3));
	queue_destination_release(&x, queue_destination_get(&x, STR("k"), STR("other"), 3));
	assert_true(d->deliver < 3);
	queue_job_route(&x, &m->job, d);
	queue_job_place(&x, &m->job, PLACE_READY);
	d->active++;
	queue_message_remove(&x, m);
	assert_int_equal(x.destinations.count, 1);
	assert_true(list_is_empty(&d->ready));
	d->active--;
	queue_destination_release(&x, d);
	assert_int_equal(x.destinations.count, 0);
	assert_null(queue_destination_get(&x, STR_NONE, STR("h"), 1));
	queue_index_fini(&x);
}

TEST(variants_are_found_each_and_by_any)
{
	struct queue_index x;
	struct id id = { { 7 } }, other = { { 8 } };

	queue_index_init(&x);
	for (uint16_t i = 1; i < 4; i++)
		queue_message_add(&x, queue_message_new(&id, i, 1, 1));
	assert_null(queue_message_find(&x, &id, 0));
	assert_int_equal(queue_message_find(&x, &id, 3)->variant, 3);
	assert_true(queue_message_is_known(&x, &id));
	assert_false(queue_message_is_known(&x, &other));
	queue_index_fini(&x);
}

TEST(words_are_kept_legible_and_each_by_itself)
{
	struct queue_index x;
	struct queue_message *m;

	queue_index_init(&x);
	m = add(&x, 1, 1);
	queue_message_remember(m, STR("bad\x1b[2J\xff"), STR_NONE);
	queue_message_remember(m, STR_NONE, STR("vars\0with"));
	assert_string_equal(m->extra->last, "bad?[2J?");
	assert_int_equal(m->extra->nvars, 9);
	queue_message_remember(m, STR("new"), STR_NONE);
	assert_int_equal(m->extra->nvars, 9);
	queue_index_fini(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_costs_what_was_promised),
		cmocka_unit_test(what_waits_comes_out_by_its_time_whatever_else_is_taken_out),
		cmocka_unit_test(a_destination_goes_with_its_last_job_and_lease),
		cmocka_unit_test(variants_are_found_each_and_by_any),
		cmocka_unit_test(words_are_kept_legible_and_each_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
