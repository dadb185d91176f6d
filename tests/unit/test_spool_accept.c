#include "spool_accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "step.h"

static const uint8_t done[] = { 0x05, 0x01 }, failed[] = { 0x02, 0x00 };

static struct spool_accept sample(void)
{
	struct spool_accept a = {
		.recipients = 9,
		.envelope = STR("sender: a@example.org\nrcpt: b@example.net\n"),
		.header = STR("Subject: hello\r\n"),
		.state = { done, failed, STR("due 17") },
		.nextents = 3,
		.extents = { { NULL, 10, 90 }, { "footer", 0, 6 }, { NULL, 0, 5 } },
		.slot = 12,
		.slot_length = 100,
	};

	memset(a.slot_sum, 0xab, sizeof a.slot_sum);
	return a;
}

static void same_str(struct str got, struct str want)
{
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, want.n);
}

static bool reads(const char *bytes, size_t n, struct spool_accept *a)
{
	char *copy = malloc(n ? n : 1);
	bool good;

	memcpy(copy, bytes, n);
	good = spool_accept_get((struct str){ copy, n }, a);
	free(copy);
	return good;
}

static void a_message_comes_back_as_written(void **state)
{
	struct spool_accept a = sample(), got;
	size_t n = spool_accept_size(&a);
	char *bytes = malloc(n);

	(void)state;
	spool_accept_put(bytes, &a);
	assert_true(spool_accept_get((struct str){ bytes, n }, &got));
	assert_int_equal(got.recipients, 9);
	same_str(got.envelope, a.envelope);
	same_str(got.header, a.header);
	same_str(got.state.blob, a.state.blob);
	assert_memory_equal(got.state.done, done, 2);
	assert_memory_equal(got.state.failed, failed, 2);
	assert_int_equal(got.body_length, 101);
	assert_int_equal(got.nextents, 3);
	assert_null(got.extents[0].p);
	assert_int_equal(got.extents[0].offset, 10);
	assert_memory_equal(got.extents[1].p, "footer", 6);
	assert_int_equal(got.slot, 12);
	assert_memory_equal(got.slot_sum, a.slot_sum, SPOOL_SUM);
	free(bytes);
}

static void a_message_cut_at_any_length_is_refused(void **state)
{
	struct spool_accept a = sample(), got;
	size_t n = spool_accept_size(&a);
	char *bytes = malloc(n + 1);

	(void)state;
	spool_accept_put(bytes, &a);
	bytes[n] = 0;
	for (size_t cut = 0; cut < n; cut++)
		assert_false(reads(bytes, cut, &got));
	assert_true(reads(bytes, n, &got));
	assert_false(reads(bytes, n + 1, &got));
	free(bytes);
}

/* With a valid checksum and any byte changed the numbers may lie: what decodes must still lie
 * within the bytes. */
static void a_message_that_lies_never_reaches_outside_itself(void **state)
{
	struct spool_accept a = sample(), got;
	size_t n = spool_accept_size(&a);
	char *bytes = malloc(n);
	char sink = 0;

	(void)state;
	spool_accept_put(bytes, &a);
	for (size_t i = 0; i < n; i++)
		for (int value = 0; value < 256; value += 5) {
			char was = bytes[i];

			bytes[i] = (char)value;
			if (spool_accept_get((struct str){ bytes, n }, &got)) {
				struct spool_extent piece;
				uint64_t at = 0;

				while (spool_accept_piece(&got, at, &piece)) {
					if (piece.p)
						sink ^= piece.p[0] ^ piece.p[piece.length - 1];
					else
						assert_true(piece.offset + piece.length <=
							    got.slot_length);
					at += piece.length;
				}
				assert_int_equal(at, got.body_length);
			}
			bytes[i] = was;
		}
	print_message("%d\n", sink); /* so that the bytes are really read */
	free(bytes);
}

static void bounds_are_kept_when_writing(void **state)
{
	struct spool_accept a;

	(void)state;
	a = sample();
	a.recipients = 0;
	assert_int_equal(spool_accept_size(&a), 0);
	a = sample();
	a.header.n = SPOOL_HEADER_MAX + 1;
	assert_int_equal(spool_accept_size(&a), 0);
	a = sample();
	a.envelope.n = SPOOL_ENVELOPE_MAX + 1;
	assert_int_equal(spool_accept_size(&a), 0);
	a = sample();
	a.state.blob.n = SPOOL_BLOB_MAX + 1;
	assert_int_equal(spool_accept_size(&a), 0);
	a = sample();
	a.extents[0].length = 91; /* behind the end of the slot */
	assert_int_equal(spool_accept_size(&a), 0);
	a = sample();
	a.slot = 0;
	assert_int_equal(spool_accept_size(&a), 0);
	a = sample();
	a.extents[1].length = 0;
	assert_int_equal(spool_accept_size(&a), 0);
}

static void the_body_is_walked_piece_by_piece(void **state)
{
	struct spool_accept a = sample();
	struct spool_extent piece;

	(void)state;
	assert_true(spool_accept_piece(&a, 0, &piece));
	assert_int_equal(piece.offset, 10);
	assert_int_equal(piece.length, 90);
	assert_true(spool_accept_piece(&a, 91, &piece));
	assert_memory_equal(piece.p, "ooter", 5);
	assert_true(spool_accept_piece(&a, 100, &piece));
	assert_int_equal(piece.offset, 4);
	assert_int_equal(piece.length, 1);
	assert_false(spool_accept_piece(&a, 101, &piece));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_comes_back_as_written),
		cmocka_unit_test(a_message_cut_at_any_length_is_refused),
		cmocka_unit_test(a_message_that_lies_never_reaches_outside_itself),
		cmocka_unit_test(bounds_are_kept_when_writing),
		cmocka_unit_test(the_body_is_walked_piece_by_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
