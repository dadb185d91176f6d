#include "queue_index.h"

#include <malloc.h>

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

#ifdef __SANITIZE_ADDRESS__
#define IS_ACCOUNTED false /* the sanitizer's allocator tells nothing of ours */
#else
#define IS_ACCOUNTED true
#endif

static size_t in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* cost - bytes per message, of which all wait for their next attempt after the same failure */
static double cost(unsigned messages, unsigned nrcpts)
{
	struct queue_index x;
	size_t before = in_use(), after;

	queue_index_init(&x);
	for (unsigned i = 0; i < messages; i++) {
		struct queue_message *m = add(&x, i, nrcpts);

		queue_say(&x, m, SAID_LAST, STR("4.4.1 connection refused"));
		queue_job_route(&x, &m->job, queue_destination_get(&x, STR("k"), STR("h"), 1));
		m->job.due = i;
		queue_job_place(&x, &m->job, PLACE_WAITING);
	}
	after = in_use();
	queue_index_fini(&x);
	return (double)(after - before) / messages;
}

TEST(a_message_costs_what_was_promised)
{
	double one = cost(1000000, 1), few = cost(1000, 1), many = cost(1000, 1000);

	if (!IS_ACCOUNTED)
		return;
	print_message("%.1f bytes a message, %.1f a further recipient\n", one, (many - few) / 999);
	assert_true(one <= QUEUE_MESSAGE_BYTES);
	assert_true(many <= few + 48 + 999 * QUEUE_RCPT_BYTES); /* 48: apart, and rounded up */
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
	assert_true(d->ready.count == 0);
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
	queue_say(&x, m, SAID_LAST, STR("bad\x1b[2J\xff"));
	queue_say(&x, m, SAID_VARS, STR("vars\0with"));
	CHECK_STR(0, queue_said(m, SAID_LAST), STR("bad?[2J?"));
	CHECK_STR(0, queue_said(m, SAID_VARS), STR("vars\0with"));
	queue_say(&x, m, SAID_LAST, STR("new"));
	CHECK_STR(1, queue_said(m, SAID_LAST), STR("new"));
	CHECK_STR(1, queue_said(m, SAID_VARS), STR("vars\0with"));
	queue_say(&x, m, SAID_VARS, STR_NONE);
	queue_say(&x, m, SAID_LAST, STR_NONE);
	assert_null(m->note);
	queue_index_fini(&x);
}

TEST(what_is_said_of_many_is_stored_once_and_goes_with_the_last_of_them)
{
	struct queue_message *all[100];
	struct queue_index x;
	char text[QUEUE_LAST];

	queue_index_init(&x);
	for (unsigned i = 0; i < COUNT(all); i++) {
		all[i] = add(&x, i, 1);
		queue_say(&x, all[i], SAID_LAST, STR("4.4.1 no answer"));
	}
	assert_int_equal(x.notes.count, 1);
	for (unsigned i = 1; i < COUNT(all); i++)
		queue_message_remove(&x, all[i]);
	assert_int_equal(x.notes.count, 1);
	CHECK_STR(0, queue_said(all[0], SAID_LAST), STR("4.4.1 no answer"));
	for (unsigned i = 0; i < QUEUE_NOTES + 9; i++) {
		struct queue_message *m = add(&x, 1000 + i, 1);

		(void)snprintf(text, sizeof text, "a text that is long, and a number: %u", i);
		queue_say(&x, m, SAID_LAST, str_of(text));
	}
	assert_true(x.notes.count <= QUEUE_NOTES + 1); /* those beyond are one: they are cut */
	queue_index_fini(&x);
	assert_int_equal(x.notes.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_costs_what_was_promised),
		cmocka_unit_test(what_waits_comes_out_by_its_time_whatever_else_is_taken_out),
		cmocka_unit_test(a_destination_goes_with_its_last_job_and_lease),
		cmocka_unit_test(variants_are_found_each_and_by_any),
		cmocka_unit_test(words_are_kept_legible_and_each_by_itself),
		cmocka_unit_test(
			what_is_said_of_many_is_stored_once_and_goes_with_the_last_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
