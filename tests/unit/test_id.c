#include "id.h"

#include "check.h"
#include "rnd.h"

TEST(text_and_bytes_are_the_same_id)
{
	for (int i = 0; i < 1000; i++) {
		char text[ID_TEXT + 1];
		struct id id, back;

		rnd_fill(id.b, sizeof id.b);
		id_text(&id, text);
		CHECK_INT(i, strlen(text), ID_TEXT);
		assert_true(id_parse(str_of(text), &back));
		assert_true(id_is_eq(&id, &back));
	}
}

TEST(time_and_edge_are_inside)
{
	struct id id = id_make(UINT64_C(1790000000123456), 0xbeef);

	assert_true(id_time(&id) == UINT64_C(1790000000123000));
	assert_int_equal(id_edge(&id), 0xbeef);
}

TEST(text_sorts_by_time)
{
	char before[ID_TEXT + 1], text[ID_TEXT + 1];
	struct id id = id_make(0, 9);

	id_text(&id, before);
	for (uint64_t ms = 1; ms < UINT64_C(1) << 47; ms = ms * 3 + 1) {
		id = id_make(ms * 1000, 0);
		id_text(&id, text);
		CHECK(ms, strcmp(before, text) < 0);
		memcpy(before, text, sizeof text);
	}
}

TEST(known_ids_have_known_texts)
{
	static const struct {
		struct id id;
		struct str text;
	} table[] = {
		{ { { 0 } }, STR("00000000000000000000000000") },
		{ { { [15] = 1 } }, STR("00000000000000000000000001") },
		{ { { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
		      255 } },
		  STR("7zzzzzzzzzzzzzzzzzzzzzzzzz") },
		{ { { 0x80 } }, STR("40000000000000000000000000") },
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		char text[ID_TEXT + 1];

		CHECK_STR(i, str_of(id_text(&table[i].id, text)), table[i].text);
	}
}

TEST(parsing_is_kind_to_people_and_strict_to_the_rest)
{
	static const struct {
		struct str text;
		bool ok;
	} table[] = {
		{ STR("01ARZ3NDEKTSV4RRFFQ69G5FAV"), true },
		{ STR("oilARZ3NDEKTSV4RRFFQ69G5FA"), true },
		{ STR("01arz3ndektsv4rrffq69g5fau"), false },
		{ STR("81arz3ndektsv4rrffq69g5fav"), false },
		{ STR("01arz3ndektsv4rrffq69g5fa"), false },
		{ STR("01arz3ndektsv4rrffq69g5favv"), false },
		{ STR("01arz3ndektsv4rrffq69g5fa\0"), false },
		{ STR(""), false },
		{ STR("-1arz3ndektsv4rrffq69g5fav"), false },
	};
	struct id a, b;

	for (size_t i = 0; i < COUNT(table); i++)
		CHECK_INT(i, id_parse(table[i].text, &a), table[i].ok);
	assert_true(id_parse(STR("oIl00000000000000000000000"), &a));
	assert_true(id_parse(STR("01100000000000000000000000"), &b));
	assert_true(id_is_eq(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_bytes_are_the_same_id),
		cmocka_unit_test(time_and_edge_are_inside),
		cmocka_unit_test(text_sorts_by_time),
		cmocka_unit_test(known_ids_have_known_texts),
		cmocka_unit_test(parsing_is_kind_to_people_and_strict_to_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
