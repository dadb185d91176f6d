#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS */
#include "snapshot.h"

#include "step.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The memfd, all numbers little-endian as this machine writes them (it never leaves the machine):
 *
 *      header  64 bytes: what struct header says; the hash covers the bytes before it and all
 *      sections section  16 bytes: what struct section says; name; zeros up to 16; data; zeros up
 *      to 16 ...
 *
 * Data begins on 16 bytes, so that the image of a map can be used where it lies.
 */
#define ALIGN          16
#define NAME_MAX_BYTES 1024
#define DIGEST         32
#define HASH_BYTES     8 /* of the digest: what people see */
#define SEALS          (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const char magic[8] = "MGSNAP\1\n";

struct header {
	char magic[8];
	uint64_t length; /* of all sections */
	uint32_t nsections, zero[3];
	unsigned char digest[DIGEST];
};
_Static_assert(sizeof(struct header) == 64, "header");

struct section {
	uint32_t kind, name;
	uint64_t data;
};
_Static_assert(sizeof(struct section) == ALIGN, "section");

static size_t padding(size_t n)
{
	return (ALIGN - n % ALIGN) % ALIGN;
}

bool snapshot_add(struct buf *b, enum snapshot_kind kind, struct str name, struct str data)
{
	static const char zeros[ALIGN];
	struct section s = { .kind = kind, .name = (uint32_t)name.n, .data = data.n };

	if (name.n > NAME_MAX_BYTES || data.n > buf_room(b) ||
	    buf_room(b) - data.n < sizeof s + name.n + 2 * ALIGN)
		return false;
	return buf_add(b, (struct str){ (const char *)&s, sizeof s }) && buf_add(b, name) &&
	       buf_add(b, (struct str){ zeros, padding(name.n) }) && buf_add(b, data) &&
	       buf_add(b, (struct str){ zeros, padding(data.n) });
}

static void digest_of(unsigned char out[DIGEST], const struct header *h, struct str sections)
{
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, NULL, 0, DIGEST);
	(void)crypto_generichash_update(&state, (const unsigned char *)h,
					offsetof(struct header, digest));
	(void)crypto_generichash_update(&state, (const unsigned char *)sections.p, sections.n);
	(void)crypto_generichash_final(&state, out, DIGEST);
}

static bool is_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* section_take - consume one section; ERROR: not what snapshot_add writes; MORE: none is left */
static enum step section_take(struct str *rest, enum snapshot_kind *kind, struct str *name,
			      struct str *data)
{
	struct section s;
	size_t head;

	if (rest->n == 0)
		return STEP_MORE;
	if (rest->n < sizeof s)
		return STEP_ERROR;
	memcpy(&s, rest->p, sizeof s);
	if (s.kind >= SNAPSHOT_KINDS || s.name > NAME_MAX_BYTES)
		return STEP_ERROR;
	head = sizeof s + s.name + padding(s.name);
	if (head > rest->n || s.data > rest->n - head || padding(s.data) > rest->n - head - s.data)
		return STEP_ERROR;
	*kind = s.kind;
	*name = (struct str){ rest->p + sizeof s, s.name };
	*data = (struct str){ rest->p + head, s.data };
	if (!is_zero(name->p + s.name, padding(s.name)) ||
	    !is_zero(data->p + s.data, padding(s.data)))
		return STEP_ERROR;
	*rest = str_drop(*rest, head + s.data + padding(s.data));
	return STEP_DONE;
}

/* sections_count - how many well-formed sections there are, or -1 */
static long sections_count(struct str rest)
{
	enum snapshot_kind kind;
	struct str name, data;
	enum step step;
	long n = 0;

	while ((step = section_take(&rest, &kind, &name, &data)) == STEP_DONE)
		n++;
	return step == STEP_MORE && n <= SNAPSHOT_SECTIONS ? n : -1;
}

static int write_all(int fd, struct str s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0)
			return -1;
		s = str_drop(s, (size_t)n);
	}
	return 0;
}

int snapshot_seal(struct str sections, struct fault *why)
{
	struct header h = { .length = sections.n };
	long n = sections_count(sections);
	int fd = -1;

	if (n < 0)
		return fault_set(why, "a snapshot holds at most %d sections", SNAPSHOT_SECTIONS);
	memcpy(h.magic, magic, sizeof magic);
	h.nsections = (uint32_t)n;
	digest_of(h.digest, &h, sections);
	fd = memfd_create("moongate-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fault_sys(why, "memfd of the snapshot");
	if (write_all(fd, (struct str){ (const char *)&h, sizeof h }) < 0 ||
	    write_all(fd, sections) < 0 || fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0) {
		(void)fault_sys(why, "write the snapshot");
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* snapshot_check - everything in it makes sense; then nothing needs checking again, since nobody
 * can change it */
static int snapshot_check(struct snapshot *s, struct fault *why)
{
	struct str sections = { s->p + sizeof(struct header), s->n - sizeof(struct header) };
	unsigned char digest[DIGEST];
	struct header h;

	memcpy(&h, s->p, sizeof h);
	if (memcmp(h.magic, magic, sizeof magic) != 0)
		return fault_set(why, "not a snapshot of this version");
	if (h.length != sections.n)
		return fault_set(why, "the snapshot has %zu bytes of sections and claims %llu",
				 sections.n, (unsigned long long)h.length);
	digest_of(digest, &h, sections);
	if (memcmp(digest, h.digest, DIGEST) != 0)
		return fault_set(why, "the snapshot does not match its hash");
	if (sections_count(sections) != (long)h.nsections)
		return fault_set(why, "the snapshot's sections are not well formed");
	s->nsections = h.nsections;
	(void)sodium_bin2hex(s->hash, sizeof s->hash, digest, HASH_BYTES);
	return 0;
}

int snapshot_map(int fd, struct snapshot *out, struct fault *why)
{
	struct snapshot s = { 0 };
	struct stat st;
	void *p;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return fault_set(why, "the snapshot is not sealed");
	if (fstat(fd, &st) < 0)
		return fault_sys(why, "size of the snapshot");
	if (st.st_size < (off_t)sizeof(struct header) || st.st_size > (off_t)SNAPSHOT_MAX)
		return fault_set(why, "a snapshot of %lld bytes", (long long)st.st_size);
	s.n = (size_t)st.st_size;
	p = mmap(NULL, s.n, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return fault_sys(why, "map the snapshot");
	s.p = p;
	if (snapshot_check(&s, why) < 0) {
		snapshot_unmap(&s);
		return -1;
	}
	*out = s;
	return 0;
}

void snapshot_unmap(struct snapshot *s)
{
	if (s->p)
		(void)munmap((void *)(uintptr_t)s->p, s->n);
	*s = (struct snapshot){ 0 };
}

bool snapshot_next(const struct snapshot *s, size_t *at, enum snapshot_kind *kind, struct str *name,
		   struct str *data)
{
	struct str rest = str_drop((struct str){ s->p, s->n }, sizeof(struct header) + *at);
	size_t before = rest.n;

	if (section_take(&rest, kind, name, data) != STEP_DONE)
		return false;
	*at += before - rest.n;
	return true;
}

struct str snapshot_find(const struct snapshot *s, enum snapshot_kind kind, struct str name)
{
	enum snapshot_kind found;
	struct str its_name, data;
	size_t at = 0;

	while (snapshot_next(s, &at, &found, &its_name, &data))
		if (found == kind && str_eq(its_name, name))
			return data;
	return STR_NONE;
}
