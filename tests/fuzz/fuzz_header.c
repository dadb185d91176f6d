/* layer: mail */
#include "header.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* scan - in steps of `by` bytes, each in a copy of its own */
static enum step scan(struct header_scan *s, struct str message, size_t by)
{
	enum step step = STEP_MORE;

	header_scan_init(s);
	for (size_t n = by; step == STEP_MORE && n < message.n; n += by) {
		char *copy = malloc(n);

		assert(copy);
		memcpy(copy, message.p, n);
		step = header_scan(s, (struct str){ copy, n });
		free(copy);
	}
	return step == STEP_MORE ? header_scan_finish(s, message) : step;
}

static void check_fields(struct str block, unsigned want)
{
	struct header_field field;
	struct str rest = block;
	size_t total = 0;
	unsigned n = 0;

	while (header_take(&rest, &field)) {
		assert(field.name.n > 0 && field.whole.n > field.name.n + field.value.n);
		total += field.whole.n;
		n++;
	}
	assert(n == want && total == block.n);
}

static void check_edits(struct str block, struct arena *a)
{
	struct header_edit edits[3] = {
		{ .kind = HEADER_REMOVE, .name = STR("A"), .nth = 2, .next = &edits[1] },
		{ .kind = HEADER_REPLACE, .name = STR("B"), .value = STR("x"), .next = &edits[2] },
		{ .kind = HEADER_ADD_TOP, .name = STR("C"), .value = STR("y") },
	};
	unsigned as = header_count(block, STR("a"));
	struct header_field field;
	struct buf out;

	buf_init(&out, block.n + 256);
	assert(header_edit(block, NULL, &out) && str_eq(buf_str(&out), block));
	buf_reset(&out);
	assert(header_edit(block, edits, &out));
	assert(header_count(buf_str(&out), STR("A")) == as - (as >= 2));
	assert(header_count(buf_str(&out), STR("B")) == 1);
	assert(header_find(buf_str(&out), STR("C"), 1, &field) &&
	       str_eq(header_unfold(a, field.value), STR("y")));
	buf_fini(&out);
}

/* The whole input is a value too: what may be written reads back as it was. */
static void check_value(struct str value, struct arena *a)
{
	struct header_field field;
	struct str block;
	struct buf out;

	if (!header_value_is_valid(value))
		return;
	buf_init(&out, value.n * 4 + 256);
	assert(header_write(&out, STR("X"), value));
	block = buf_str(&out);
	assert(header_take(&block, &field) && block.n == 0);
	assert(str_eq(header_unfold(a, field.value), str_trim(value)));
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	struct str message = { copy, size };
	struct header_scan whole, steps;
	enum step step;
	struct arena a;

	assert(copy);
	if (size)
		memcpy(copy, data, size);
	arena_init(&a, SIZE_MAX);
	step = scan(&whole, message, size + 1);
	assert(step == scan(&steps, message, size > 4096 ? 997 : 1 + size % 7));
	assert(whole.fault == steps.fault);
	if (step == STEP_DONE) {
		struct str block = str_head(message, whole.end);

		assert(whole.end == steps.end && whole.body == steps.body &&
		       whole.fields == steps.fields);
		check_fields(block, whole.fields);
		check_edits(block, &a);
	}
	check_value(message, &a);
	arena_fini(&a);
	free(copy);
	return 0;
}
