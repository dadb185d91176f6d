/* layer: smtp */
#include "smtp_line.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* naive - the answer octet by octet: what is known when the first n octets are there */
static enum step naive(const char *p, size_t n, size_t max, enum smtp_line_flaw *flaw)
{
	for (size_t i = 0; i < n; i++) {
		bool was_cr = i > 0 && p[i - 1] == '\r';

		if (was_cr && p[i] == '\n')
			return STEP_DONE;
		*flaw = was_cr ? SMTP_LINE_BARE_CR : p[i] == '\n' ? SMTP_LINE_BARE_LF : p[i] == '\0' ? SMTP_LINE_NUL : SMTP_LINE_CLEAN;
		if (!*flaw && i + 1 == max)
			*flaw = SMTP_LINE_TOO_LONG;
		if (*flaw)
			return STEP_ERROR;
	}
	return STEP_MORE;
}

static void skips_to_the_end(struct str in)
{
	size_t budget = in.n / 2;
	struct str before = in;
	enum step got = smtp_line_skip(&in, &budget);

	check(before.n - in.n + budget == before.n / 2);
	if (got == STEP_DONE)
		check(memcmp(in.p - 2, "\r\n", 2) == 0);
	if (got == STEP_MORE)
		check(in.n == 0 || (in.n == 1 && in.p[0] == '\r'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t max = n > 0 ? 2 + data[0] % 32 : 2, length = n > 0 ? n - 1 : 0;
	enum step last = STEP_MORE;

	for (size_t cut = 0; cut <= length && last == STEP_MORE; cut++) {
		char *copy = malloc(cut ? cut : 1);
		struct str in = { copy, cut };
		enum smtp_line_flaw flaw = SMTP_LINE_CLEAN;
		struct smtp_line line;

		check(copy);
		memcpy(copy, data + (n > 0), cut);
		last = smtp_line_take(&in, max, &line);
		check(last == naive(copy, cut, max, &flaw) && line.flaw == flaw);
		check(in.n == (last == STEP_DONE ? 0 : cut));
		check(last != STEP_DONE || line.text.n + 2 == cut);
		if (cut == length || last != STEP_MORE)
			skips_to_the_end((struct str){ copy, cut });
		free(copy);
	}
	return 0;
}
