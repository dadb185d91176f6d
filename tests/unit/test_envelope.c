#include "envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "step.h"

static const char hostile[] = "a%b\r\nfrom: x\n\x7f\xff\0rcpt: evil@example.org";

static void same_str(struct str got, struct str want)
{
	assert_int_equal(got.n, want.n);
	if (want.n)
		assert_memory_equal(got.p, want.p, want.n);
}

static void same(const struct envelope *got, const struct envelope *want)
{
	assert_true(id_is_eq(&got->id, &want->id));
	assert_int_equal(got->variant, want->variant);
	assert_int_equal(got->is_8bit, want->is_8bit);
	assert_int_equal(got->created_us, want->created_us);
	assert_int_equal(got->ttl_us, want->ttl_us);
	same_str(got->sender, want->sender);
	same_str(got->helo, want->helo);
	same_str(got->peer, want->peer);
	same_str(got->listener, want->listener);
	same_str(got->generation, want->generation);
	same_str(got->reason, want->reason);
	same_str(got->bucket, want->bucket);
	same_str(got->rule, want->rule);
	same_str(got->vars, want->vars);
	assert_int_equal(got->nrcpts, want->nrcpts);
	for (unsigned i = 0; i < want->nrcpts; i++) {
		same_str(got->rcpts[i].address, want->rcpts[i].address);
		same_str(got->rcpts[i].original, want->rcpts[i].original);
		same_str(got->rcpts[i].route, want->rcpts[i].route);
		same_str(got->rcpts[i].vars, want->rcpts[i].vars);
	}
}

static void returns_as_written(const struct envelope *e)
{
	struct arena arena;
	struct envelope back;
	struct fault why = { 0 };
	struct buf b;

	arena_init(&arena, 4 << 20);
	buf_init(&b, 4 << 20);
	assert_true(envelope_write(&b, e));
	if (envelope_read(buf_str(&b), &arena, &back, &why) < 0)
		fail_msg("%s", why.text);
	same(&back, e);
	for (size_t i = 0; i < buf_len(&b); i++)
		assert_true(buf_str(&b).p[i] == '\n' ||
			    (buf_str(&b).p[i] >= 0x20 && buf_str(&b).p[i] < 0x7f));
	buf_fini(&b);
	arena_fini(&arena);
}

static struct envelope sample(struct envelope_rcpt *rcpts, unsigned n)
{
	struct envelope e = {
		.variant = 7,
		.sender = STR("a@example.org"),
		.is_8bit = true,
		.created_us = UINT64_MAX,
		.helo = { hostile, sizeof hostile - 1 },
		.peer = STR("2001:db8::1"),
		.listener = STR("mx"),
		.generation = STR("42/ab12cd34"),
		.reason = STR(" spaces "),
		.bucket = STR("spam: 100%"),
		.rule = STR("known-recipients"),
		.ttl_us = 5,
		.vars = { hostile, sizeof hostile - 1 },
		.rcpts = rcpts,
		.nrcpts = n,
	};

	assert_true(id_parse(STR("01h455vb4pex5vsknk084sn02q"), &e.id));
	return e;
}

static void an_envelope_comes_back_as_it_was_written(void **state)
{
	struct envelope_rcpt rcpts[] = {
		{ STR("b@example.net"),
		  STR("B@Example.NET"),
		  STR("smtp:192.0.2.1:25"),
		  { hostile, sizeof hostile - 1 } },
		{ .address = STR("\"odd local\"@example.net") },
		{ .address = STR("c@example.net"), .route = STR("lmtp:unix:/run/lmtp") },
	};
	struct envelope e = sample(rcpts, COUNT(rcpts));

	(void)state;
	returns_as_written(&e);
}

static void the_null_sender_is_kept_apart_from_no_sender(void **state)
{
	struct envelope_rcpt rcpts[] = { { .address = STR("b@example.net") } };
	struct envelope e = { .rcpts = rcpts, .nrcpts = 1 };

	(void)state;
	returns_as_written(&e);
}

static void every_bound_can_be_reached_and_not_passed(void **state)
{
	struct envelope_rcpt *rcpts = calloc(ENVELOPE_RCPTS + 1, sizeof *rcpts);
	char *vars = malloc(ENVELOPE_VARS + 1);
	struct envelope e = sample(rcpts, ENVELOPE_RCPTS);
	struct buf b;

	(void)state;
	memset(vars, 0xff, ENVELOPE_VARS + 1);
	for (unsigned i = 0; i <= ENVELOPE_RCPTS; i++)
		rcpts[i].address = (struct str){ vars, 1 + i };
	e.vars = (struct str){ vars, ENVELOPE_VARS };
	rcpts[0].vars = e.vars;
	returns_as_written(&e);

	buf_init(&b, 16 << 20);
	assert_true(buf_add(&b, STR("before")));
	e.vars.n++;
	assert_false(envelope_write(&b, &e));
	e.vars.n--;
	rcpts[1].address = (struct str){ vars, ENVELOPE_VALUE + 1 };
	assert_false(envelope_write(&b, &e));
	rcpts[1].address = STR("x");
	e.nrcpts++;
	assert_false(envelope_write(&b, &e));
	e.nrcpts = 0;
	assert_false(envelope_write(&b, &e));
	same_str(buf_str(&b), STR("before"));
	buf_fini(&b);
	free(vars);
	free(rcpts);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	struct envelope_rcpt rcpts[] = { { .address = STR("b@example.net") } };
	struct envelope e = sample(rcpts, 1);
	struct buf whole, b;

	(void)state;
	buf_init(&whole, 1 << 20);
	assert_true(envelope_write(&whole, &e));
	for (size_t max = 0; max < buf_len(&whole); max++) {
		buf_init(&b, max);
		assert_false(envelope_write(&b, &e));
		assert_int_equal(buf_len(&b), 0);
		buf_fini(&b);
	}
	buf_fini(&whole);
}

#define HEAD "id: 01h455vb4pex5vsknk084sn02q\n"

static const struct {
	struct str text;
	const char *why; /* NULL: good */
} texts[] = {
	{ STR(HEAD "from: \nrcpt: a@b\n"), NULL },
	{ STR(HEAD "from: \nnew-key: 1\nrcpt: a@b\nrcpt-new: 2\n"), NULL },
	{ STR(HEAD "from: %41%4a\nrcpt: a@b\n"), NULL },
	{ STR("rcpt: a@b\n" HEAD "from: \n"), NULL },
	{ STR(""), "id: missing" },
	{ STR("from: \nrcpt: a@b\n"), "id: missing" },
	{ STR(HEAD "rcpt: a@b\n"), "from: missing" },
	{ STR(HEAD "from: \n"), "no recipient" },
	{ STR(HEAD "from: \nrcpt: \n"), "rcpt: empty" },
	{ STR(HEAD "from: \nrcpt: a@b"), "the last line has no end" },
	{ STR(HEAD "from: \nrcpt:a@b\n"), "a line that is not \"key: value\"" },
	{ STR(HEAD "from: \n\nrcpt: a@b\n"), "a line that is not \"key: value\"" },
	{ STR(HEAD "from: %4\nrcpt: a@b\n"), "from: bad value" },
	{ STR(HEAD "from: %\nrcpt: a@b\n"), "from: bad value" },
	{ STR(HEAD "from: %4g\nrcpt: a@b\n"), "from: bad value" },
	{ STR(HEAD "from: \nfrom: \nrcpt: a@b\n"), "from: twice" },
	{ STR(HEAD "from: \nrcpt: a@b\nroute: x\nroute: y\n"), "route: twice" },
	{ STR(HEAD "from: \nrcpt: a@b\nroute: x\nrcpt: c@d\nroute: y\n"), NULL },
	{ STR(HEAD "from: \nvariant: 65536\nrcpt: a@b\n"), "variant: bad value" },
	{ STR(HEAD "from: \n8bit: 2\nrcpt: a@b\n"), "8bit: bad value" },
	{ STR(HEAD "from: \ncreated: -1\nrcpt: a@b\n"), "created: bad value" },
	{ STR(HEAD "from: \nttl: 18446744073709551616\nrcpt: a@b\n"), "ttl: bad value" },
	{ STR("id: x\nfrom: \nrcpt: a@b\n"), "id: bad value" },
};

static void what_is_no_envelope_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct arena arena;
		struct envelope e;
		struct fault why = { 0 };
		int rc;

		arena_init(&arena, 64 * 1024);
		rc = envelope_read(texts[i].text, &arena, &e, &why);
		if ((rc == 0) != !texts[i].why ||
		    strcmp(why.text, texts[i].why ? texts[i].why : ""))
			fail_msg("%zu: %d \"%s\"", i, rc, why.text);
		arena_fini(&arena);
	}
}

static void an_arena_without_room_is_a_fault(void **state)
{
	struct arena arena;
	struct envelope e;
	struct fault why;

	(void)state;
	arena_init(&arena, 16);
	assert_int_equal(envelope_read(texts[0].text, &arena, &e, &why), -1);
	arena_fini(&arena);
}

static void too_many_recipients_are_a_fault(void **state)
{
	struct arena arena;
	struct envelope e;
	struct fault why;
	struct buf b;

	(void)state;
	arena_init(&arena, 1 << 20);
	buf_init(&b, 1 << 20);
	assert_true(buf_add(&b, STR(HEAD "from: \n")));
	for (int i = 0; i <= ENVELOPE_RCPTS; i++)
		assert_true(buf_add(&b, STR("rcpt: a@b\n")));
	assert_int_equal(envelope_read(buf_str(&b), &arena, &e, &why), -1);
	assert_string_equal(why.text, "more than 1000 recipients");
	buf_fini(&b);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_envelope_comes_back_as_it_was_written),
		cmocka_unit_test(the_null_sender_is_kept_apart_from_no_sender),
		cmocka_unit_test(every_bound_can_be_reached_and_not_passed),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(what_is_no_envelope_is_named),
		cmocka_unit_test(an_arena_without_room_is_a_fault),
		cmocka_unit_test(too_many_recipients_are_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
