/* layer: daemon */
#define _GNU_SOURCE
#include "snapshot.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* read_all - every byte of every section, which lie one behind the other */
static unsigned read_all(const struct snapshot *s)
{
	enum snapshot_kind kind;
	struct str name, data;
	size_t at = 0;
	unsigned sum = 0, sections = 0;

	for (; snapshot_next(s, &at, &kind, &name, &data); sections++) {
		check(kind < SNAPSHOT_KINDS);
		check(name.p >= s->p && name.p + name.n <= s->p + s->n);
		check(data.p >= s->p && data.p + data.n <= s->p + s->n &&
		      (data.p - s->p) % 16 == 0);
		for (size_t i = 0; i < data.n; i++)
			sum += (unsigned char)data.p[i];
		check(snapshot_find(s, kind, name).p != NULL);
	}
	check(sections == s->nsections);
	return sum;
}

/* The first bit says whether the bytes are a whole file, or sections that get a right header. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str bytes = { (const char *)data + 1, n - 1 };
	struct snapshot s;
	int fd;

	if (n == 0)
		return 0;
	if (data[0] & 1) {
		fd = snapshot_seal(bytes, NULL);
	} else {
		fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		check(fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n);
		check(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
	}
	if (fd < 0)
		return 0;
	if (snapshot_map(fd, &s, NULL) == 0) {
		(void)read_all(&s);
		snapshot_unmap(&s);
	} else {
		check(!(data[0] & 1));
	}
	(void)close(fd);
	return 0;
}
