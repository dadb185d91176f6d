/* layer: mail */
#include "dsn.h"

#include "header.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every line is printable ASCII, short enough, and ends with CRLF. */
static void check_lines(struct str message)
{
	struct str line;

	while (str_take(&message, '\n', &line)) {
		assert(line.n <= HEADER_LINE + 1 && str_has_suffix(line, STR("\r")));
		for (size_t i = 0; i + 1 < line.n; i++)
			assert(line.p[i] == '\t' || (line.p[i] >= ' ' && line.p[i] <= '~'));
	}
	assert(message.n == 0);
}

static size_t delimiters(struct str message)
{
	struct str line;
	size_t n = 0;

	while (str_take(&message, '\n', &line))
		n += str_has_prefix(line, STR("--=_"));
	return n;
}

/*
 * The same hostile bytes as a peer's reply, as a name, and as the original's header: the report has
 * its three parts.
 */
static void check_report(struct str bytes)
{
	struct dsn_rcpt rcpt = {
		.final = bytes,
		.original = bytes,
		.status = bytes,
		.remote_mta = bytes,
		.diagnostic = bytes,
		.is_reply = true,
	};
	struct dsn d = {
		.host = bytes,
		.to = STR("a@b"),
		.wall_us = 1,
		.envelope_id = bytes,
		.header = bytes,
		.rcpts = &rcpt,
		.nrcpts = 1,
	};
	struct header_scan scan;
	struct buf b;

	buf_init(&b, 64 * 1024 + bytes.n * 16);
	assert(dsn_write(&b, &d));
	check_lines(buf_str(&b));
	header_scan_init(&scan);
	assert(header_scan(&scan, buf_str(&b)) == STEP_DONE && scan.fields == 8 &&
	       scan.body == scan.end + 2);
	if (str_find(bytes, '-') < 0) /* a header may hold lines that look like another boundary */
		assert(delimiters(buf_str(&b)) == 4);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	struct str text = { copy, size }, rest = text;
	struct dsn_status status;

	assert(copy);
	if (size)
		memcpy(copy, data, size);
	if (dsn_status_take(&rest, &status))
		assert(rest.n < text.n && status.subject <= 999 && status.detail <= 999);
	else
		assert(rest.n == text.n);
	check_report(text);
	free(copy);
	return 0;
}
