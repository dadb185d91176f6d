#include "smtp_stuff.h"

#include "smtp_data.h"
#include "check.h"

static const struct {
	struct str message, wire;       /* an empty wire: flawed */
} samples[] = {
	{ STR(""), STR(".\r\n") },
	{ STR("a\r\n"), STR("a\r\n.\r\n") },
	{ STR("no end"), STR("no end\r\n.\r\n") },
	{ STR(".\r\n"), STR("..\r\n.\r\n") },
	{ STR("."), STR("..\r\n.\r\n") },
	{ STR(".a\r\n..b\r\nc.d\r\n.e"), STR("..a\r\n...b\r\nc.d\r\n..e\r\n.\r\n") },
	{ STR("a\r\n\r\n.\r\n\r\n"), STR("a\r\n\r\n..\r\n\r\n.\r\n") },
	{ STR("\r\n"), STR("\r\n.\r\n") },
	{ STR("a\n.\nb\r\n"), STR("") },
	{ STR("a\n.\r\nb\r\n"), STR("") },
	{ STR("a\r\n.\nb\r\n"), STR("") },
	{ STR("a\r.\rb\r\n"), STR("") },
	{ STR("a\r\n.\rb\r\n"), STR("") },
	{ STR("a\r\r\nb\r\n"), STR("") },
	{ STR("a\0b\r\n"), STR("") },
	{ STR("a\r"), STR("") },
	{ STR("\n"), STR("") },
};

struct wire {
	char p[128];
	size_t n;
};

static void add(struct wire *w, struct str s)
{
	assert_true(w->n + s.n <= sizeof w->p);
	if (s.n)
		memcpy(w->p + w->n, s.p, s.n);
	w->n += s.n;
}

static void feed(struct smtp_stuff *s, struct wire *w, struct str piece)
{
	struct str whole = heap_copy(piece), in = whole, out;

	while (smtp_stuff_next(s, &in, &out))
		add(w, out);
	assert_true(in.n == 0 || s->is_flawed);
	heap_free(whole);
}

TEST(each_sample_cut_anywhere_has_its_answer)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct str in = samples[i].message;

		for (size_t a = 0; a <= in.n; a++) {
			for (size_t b = a; b <= in.n; b++) {
				struct wire w = { .n = 0 };
				struct smtp_stuff s;
				struct str end;

				smtp_stuff_init(&s);
				feed(&s, &w, str_head(in, a));
				feed(&s, &w, str_head(str_drop(in, a), b - a));
				feed(&s, &w, str_drop(in, b));
				end = s.is_flawed ? STR_NONE : smtp_stuff_end(&s);
				add(&w, end);
				CHECK_INT(i, s.is_flawed, samples[i].wire.n == 0);
				CHECK_INT(i, end.n == 0, samples[i].wire.n == 0);
				if (samples[i].wire.n)
					CHECK_STR(i, ((struct str){ w.p, w.n }), samples[i].wire);
			}
		}
	}
}

TEST(the_decoder_gives_the_message_back)
{
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct str in = samples[i].wire, out;
		struct wire message = { .n = 0 };
		struct smtp_data d;

		if (in.n == 0)
			continue;
		smtp_data_init(&d, SMTP_DATA_LINE, UINT64_MAX);
		while (smtp_data_next(&d, &in, &out))
			add(&message, out);
		assert_true(smtp_data_is_over(&d) && in.n == 0 && !d.flaw);
		CHECK_STR(i, str_head((struct str){ message.p, message.n }, samples[i].message.n), samples[i].message);
		assert_true(message.n == samples[i].message.n || message.n == samples[i].message.n + 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sample_cut_anywhere_has_its_answer),
		cmocka_unit_test(the_decoder_gives_the_message_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
