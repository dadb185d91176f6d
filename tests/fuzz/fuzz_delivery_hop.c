/* layer: delivery */
#include "delivery_hop.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* check_path - below its root, and no component that leads elsewhere or hides */
static void check_path(const struct delivery_hop *hop, struct str path)
{
	struct str root = delivery_hop_root(hop), rest, part;

	assert(root.n > 0 && root.p[0] == '/' && str_has_prefix(path, root));
	if (str_find(hop->path, '{') < 0)
		return;
	rest = str_drop(path, root.n);
	for (bool more = true; more;) {
		more = str_take(&rest, '/', &part);
		if (!more)
			part = rest;
		assert(!str_eq(part, STR("..")));
	}
}

/* The input is a next hop, a NUL, a mailbox. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[DELIVERY_HOP_TEXT], again_text[DELIVERY_HOP_TEXT], path[DELIVERY_MAILBOX];
	char *copy = malloc(size ? size : 1);
	struct str all = { copy, size }, first;
	struct delivery_hop hop, again;
	struct address rcpt;
	struct fault why;

	if (size)
		memcpy(copy, data, size);
	if (!str_take(&all, '\0', &first)) {
		first = all;
		all = STR_NONE;
	}
	if (delivery_hop_parse(first, &hop, &why) == 0) {
		struct str key = delivery_hop_key(&hop, text);

		assert(delivery_hop_parse(key, &again, &why) == 0);
		assert(str_eq(key, delivery_hop_key(&again, again_text)));
		if (hop.kind == HOP_MAILDIR && address_parse(all, &rcpt) == ADDRESS_OK) {
			struct str mailbox = delivery_hop_mailbox(&hop, &rcpt, path);

			if (mailbox.n)
				check_path(&hop, mailbox);
		}
	}
	free(copy);
	return 0;
}
