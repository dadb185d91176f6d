/* layer: smtp */
#include "smtp_command.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void lies_within(struct str part, struct str whole)
{
	check(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		check(s.p[i] >= ' ' && s.p[i] <= '~');
}

/* What a command without a flaw promises. */
static void keeps_its_word(const struct smtp_command *c, struct str line, uint32_t offered)
{
	lies_within(c->argument, line);
	if (c->verb == VERB_UNKNOWN || c->verb == VERB_FOREIGN || c->verb == VERB_OTHER)
		return;
	is_plain(c->argument);
	if (c->verb != VERB_MAIL && c->verb != VERB_RCPT)
		return;
	lies_within(c->path.text, line);
	check(c->path.text.n <= ADDRESS_TEXT && c->path.local.n <= ADDRESS_LOCAL && c->path.domain.n <= ADDRESS_DOMAIN);
	check(c->path.kind == ADDRESS_NULL ? c->verb == VERB_MAIL : c->path.local.n > 0);
	check(str_find(c->path.text, '\r') < 0 && str_find(c->path.text, '\n') < 0);
	check(c->params.n <= SMTP_PARAMS);
	for (unsigned i = 0; i < c->params.n; i++) {
		lies_within(c->params.list[i].key, line);
		lies_within(c->params.list[i].value, line);
	}
	check(c->params.n == 0 || (c->verb == VERB_MAIL && offered));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct smtp_offers all = { SMTP_OFFER_ALL, 0 }, none = { 0 };
	struct smtp_command c, again;
	char *copy = malloc(n ? n : 1);
	struct str line = { copy, n };

	check(copy);
	memcpy(copy, data, n);
	smtp_command_parse(line, &all, &c);
	check(c.verb < VERBS && c.flaw < FLAWS);
	if (!c.flaw)
		keeps_its_word(&c, line, all.set);
	smtp_command_parse(line, &none, &again);
	check(again.verb == c.verb);
	check(again.flaw == c.flaw || c.verb == VERB_MAIL || c.verb == VERB_RCPT);
	if (!again.flaw)
		keeps_its_word(&again, line, none.set);
	free(copy);
	return 0;
}
