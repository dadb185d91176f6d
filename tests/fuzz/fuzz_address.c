/* layer: mail */
#include "address.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * What was accepted has a canonical text; that text is accepted, is its own canonical text, and
 * means the same mailbox.
 */
static void check_canonical(const struct address *a)
{
	char text[ADDRESS_TEXT], again_text[ADDRESS_TEXT];
	struct str canonical = { text, address_write(a, text) };
	struct address again;

	assert(a->text.n <= ADDRESS_TEXT && canonical.n <= a->text.n);
	assert(a->local.n <= ADDRESS_LOCAL && a->domain.n <= ADDRESS_DOMAIN);
	for (size_t i = 0; i < canonical.n; i++)
		assert(canonical.p[i] >= ' ' && canonical.p[i] <= '~');
	(void)address_has_routing(a);
	if (a->kind != ADDRESS_MAILBOX)
		return;
	assert(address_parse(canonical, &again) == ADDRESS_OK);
	assert(str_eq(canonical, (struct str){ again_text, address_write(&again, again_text) }));
	assert(address_is_eq(a, &again) && again.domain_kind == a->domain_kind);
	assert(address_is_literal(a) == (a->domain_kind != ADDRESS_DOMAIN_NAME));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	struct str text = { copy, size }, in = text;
	enum address_domain kind;
	struct address a;

	assert(copy);
	if (size)
		memcpy(copy, data, size);
	if (address_take(&in, ADDRESS_REVERSE, &a) == ADDRESS_OK)
		check_canonical(&a);
	else
		assert(in.p == text.p && in.n == text.n);
	in = text;
	if (address_take(&in, ADDRESS_FORWARD, &a) == ADDRESS_OK) {
		assert(a.kind != ADDRESS_NULL && text.n - in.n <= ADDRESS_PATH);
		check_canonical(&a);
	}
	if (address_parse(text, &a) == ADDRESS_OK)
		check_canonical(&a);
	(void)address_domain_parse(text, &kind);
	free(copy);
	return 0;
}
