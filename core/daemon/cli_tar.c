#include "cli_tar.h"

#include <stdio.h>
#include <string.h>

/* name 100, mode 8, uid 8, gid 8, size 12, mtime 12, checksum 8, type 1, link 100, magic 6, version
 * 2, user 32, group 32, device 16, prefix 155, zero 12; numbers as octal digits */
enum { MODE = 100, UID = 108, GID = 116, SIZE = 124, MTIME = 136, SUM = 148, TYPE = 156 };
enum { MAGIC = 257, SUM_END = 156 };

static void put_octal(char *to, unsigned digits, uint64_t value)
{
	for (unsigned i = digits; i > 0; i--, value >>= 3)
		to[i - 1] = (char)('0' + (value & 7));
}

/* sum_of - of all bytes, those of the checksum itself taken as blanks */
static unsigned sum_of(const char head[CLI_TAR_BLOCK])
{
	unsigned sum = 0;

	for (unsigned i = 0; i < CLI_TAR_BLOCK; i++)
		sum += i >= SUM && i < SUM_END ? ' ' : (unsigned char)head[i];
	return sum;
}

void cli_tar_put(char head[CLI_TAR_BLOCK], const struct cli_tar_entry *e, uint64_t mtime)
{
	memset(head, 0, CLI_TAR_BLOCK);
	memcpy(head, e->name, strnlen(e->name, CLI_TAR_NAME));
	put_octal(head + MODE, 7, 0600);
	put_octal(head + UID, 7, 0);
	put_octal(head + GID, 7, 0);
	put_octal(head + SIZE, 11, e->size);
	put_octal(head + MTIME, 11, mtime);
	head[TYPE] = '0';
	memcpy(head + MAGIC, "ustar\00000", 8);
	put_octal(head + SUM, 6, sum_of(head));
	head[SUM + 7] = ' ';
}

/* get_octal - digits, perhaps with blanks before and behind */
static bool get_octal(const char *from, unsigned n, uint64_t *out)
{
	unsigned i = 0, digits = 0;

	*out = 0;
	while (i < n && from[i] == ' ')
		i++;
	for (; i < n && from[i] >= '0' && from[i] <= '7'; i++, digits++)
		*out = *out << 3 | (uint64_t)(from[i] - '0');
	return digits > 0 && (i == n || from[i] == ' ' || from[i] == '\0');
}

enum step cli_tar_get(const char head[CLI_TAR_BLOCK], struct cli_tar_entry *e)
{
	static const char empty[CLI_TAR_BLOCK];
	uint64_t sum;

	if (memcmp(head, empty, CLI_TAR_BLOCK) == 0)
		return STEP_MORE;
	if (!get_octal(head + SUM, SUM_END - SUM, &sum) || sum != sum_of(head) ||
	    !get_octal(head + SIZE, 12, &e->size))
		return STEP_ERROR;
	memcpy(e->name, head, CLI_TAR_NAME);
	e->name[CLI_TAR_NAME] = '\0';
	e->is_file = head[TYPE] == '0' || head[TYPE] == '\0';
	return STEP_DONE;
}

uint64_t cli_tar_padded(uint64_t size)
{
	return (size + CLI_TAR_BLOCK - 1) & ~(uint64_t)(CLI_TAR_BLOCK - 1);
}
