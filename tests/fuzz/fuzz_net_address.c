/* layer: net */
#include "net_address.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* What is an address is shown as one, and what is shown is the same place. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n ? n : 1), text[NET_ADDRESS_TEXT], again[NET_ADDRESS_TEXT],
	     host[NET_ADDRESS_TEXT];
	struct net_address a, b;
	struct fault why = { 0 };

	if (!copy)
		abort();
	if (n)
		memcpy(copy, data, n);
	if (net_address_parse((struct str){ copy, n }, &a, &why) == 0) {
		check(net_address_parse(str_of(net_address_text(&a, text)), &b, &why) == 0);
		check(strcmp(text, net_address_text(&b, again)) == 0);
		check(net_address_host(&a, host) && host[0]);
		check(net_address_port(&a) == net_address_port(&b));
		check(net_address_is_local(&a) == net_address_is_local(&b));
	} else {
		check(why.text[0]);
	}
	free(copy);
	return 0;
}
