/* layer: daemon */
#include "cli_parcel.h"

#include <stdlib.h>
#include <string.h>

#include "cli_tar.h"

#define ROOM (8 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* What reads writes, and what was written reads the same. */
static void side_file(struct str text)
{
	struct cli_parcel p, back;
	struct arena arena;
	struct fault why;
	struct buf b;

	arena_init(&arena, ROOM);
	buf_init(&b, ROOM);
	if (cli_parcel_read(text, &arena, &p, &why) == 0) {
		if (!p.envelope.n && cli_parcel_compose(&p, false, &arena, &why) < 0)
			goto out;
		check(cli_parcel_write(&b, &p));
		check(cli_parcel_read(buf_str(&b), &arena, &back, &why) == 0);
		check(str_eq(p.envelope, back.envelope) && p.recipients == back.recipients);
		check(str_eq(p.state.blob, back.state.blob));
	}
out:
	buf_fini(&b);
	arena_fini(&arena);
}

/* What is a head of ours has ours as its only spelling of name and size. */
static void tar_head(const uint8_t *data)
{
	char head[CLI_TAR_BLOCK];
	struct cli_tar_entry e, back;

	memcpy(head, data, sizeof head);
	if (cli_tar_get(head, &e) != STEP_DONE || e.size > CLI_TAR_SIZE)
		return;
	cli_tar_put(head, &e, 0);
	check(cli_tar_get(head, &back) == STEP_DONE);
	check(strcmp(e.name, back.name) == 0 && e.size == back.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	if (n)
		memcpy(copy, data, n);
	side_file((struct str){ copy, n });
	if (n >= CLI_TAR_BLOCK)
		tar_head(data);
	free(copy);
	return 0;
}
