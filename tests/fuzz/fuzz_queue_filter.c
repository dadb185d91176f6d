/* layer: queue */
#include "queue_filter.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Words with a NUL between them: a filter or a complaint; what it is asked about, it answers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct envelope_rcpt rcpt = { .address = STR("a@b.example") };
	struct envelope envelope = { .sender = STR("x@y"), .rcpts = &rcpt, .nrcpts = 1 };
	struct queue_way way = { STR("waiting"), STR("smtp:127.0.0.1:25"), 3 };
	struct queue_filter f = { .n = 0 };
	char why[QUEUE_FILTER_WHY], *copy = malloc(n ? n : 1);
	struct str text, word;

	if (!copy)
		abort();
	if (n)
		memcpy(copy, data, n);
	text = (struct str){ copy, n };
	while (str_take(&text, '\0', &word)) {
		memset(why, 'x', sizeof why);
		if (!queue_filter_add(&f, word, why) && !memchr(why, '\0', sizeof why))
			abort();
	}
	(void)queue_filter_takes(&f, &(struct queue_brief){ &way, 1, STR("why"), STR("b"), 7 });
	(void)queue_filter_takes_deep(&f, &(struct queue_deep){ &envelope, text, 9 });
	free(copy);
	return 0;
}
