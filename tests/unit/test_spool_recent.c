#include "spool_recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "rnd.h"

static struct id id_of(uint32_t n)
{
	struct id id = { { 0 } };

	memcpy(id.b, &n, sizeof n);
	return id;
}

static void the_latest_ids_are_known_and_older_ones_give_way(void **state)
{
	struct spool_recent r;
	struct fault why;

	(void)state;
	assert_int_equal(spool_recent_init(&r, 100, &why), 0);
	for (uint32_t i = 0; i < 1000; i++) {
		struct id id = id_of(i), first = id_of(i < 99 ? 0 : i - 99), gone = id_of(i - 100);

		spool_recent_add(&r, &id);
		assert_true(spool_recent_has(&r, &id));
		assert_true(spool_recent_has(&r, &first));
		if (i >= 100)
			assert_false(spool_recent_has(&r, &gone));
	}
	spool_recent_fini(&r);
}

static void an_id_added_twice_takes_one_place(void **state)
{
	struct spool_recent r;
	struct fault why;

	(void)state;
	assert_int_equal(spool_recent_init(&r, 2, &why), 0);
	for (int i = 0; i < 5; i++)
		spool_recent_add(&r, &(struct id){ { 1 } });
	spool_recent_add(&r, &(struct id){ { 2 } });
	assert_true(spool_recent_has(&r, &(struct id){ { 1 } }));
	spool_recent_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_latest_ids_are_known_and_older_ones_give_way),
		cmocka_unit_test(an_id_added_twice_takes_one_place),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
