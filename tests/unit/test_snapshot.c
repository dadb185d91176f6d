#define _GNU_SOURCE
#include "snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "step.h"

#define MOST 65536

static const struct {
	enum snapshot_kind kind;
	struct str name, data;
} sample[] = {
	{ SNAPSHOT_SETTINGS, { "", 0 }, { "hostname mx.example.org\n", 24 } },
	{ SNAPSHOT_SOURCE, { "main", 4 }, { "policy.lua\0return 1\n", 20 } },
	{ SNAPSHOT_SOURCE, { "lists.local", 11 }, { "x\0", 2 } },
	{ SNAPSHOT_MAP, { "recipients", 10 }, { "0123456789abcdef", 16 } },
	{ SNAPSHOT_ORDER, { "", 0 }, { "", 0 } },
};

static void fill(struct buf *b)
{
	buf_init(b, MOST);
	for (size_t i = 0; i < COUNT(sample); i++)
		assert_true(snapshot_add(b, sample[i].kind, sample[i].name, sample[i].data));
}

static int sealed_sample(void)
{
	struct fault why = { 0 };
	struct buf b;
	int fd;

	fill(&b);
	fd = snapshot_seal(buf_str(&b), &why);
	assert_true(fd >= 0);
	buf_fini(&b);
	return fd;
}

/* sealed - any bytes at all as a sealed memfd */
static int sealed(const char *p, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	return fd;
}

static void what_was_added_is_found(void **state)
{
	int fd = sealed_sample();
	struct fault why = { 0 };
	struct snapshot s;

	(void)state;
	assert_int_equal(snapshot_map(fd, &s, &why), 0);
	assert_int_equal(s.nsections, COUNT(sample));
	assert_int_equal(strlen(s.hash), 16);
	for (size_t i = 0; i < COUNT(sample); i++) {
		struct str got = snapshot_find(&s, sample[i].kind, sample[i].name);

		assert_non_null(got.p);
		assert_true(str_eq(got, sample[i].data));
		assert_int_equal((uintptr_t)got.p % 16, 0);
	}
	assert_null(snapshot_find(&s, SNAPSHOT_MAP, STR("senders")).p);
	assert_null(snapshot_find(&s, SNAPSHOT_SOURCE, STR("recipients")).p);
	snapshot_unmap(&s);
	assert_null(s.p);
	(void)close(fd);
}

static void the_walk_shows_every_section_in_order(void **state)
{
	int fd = sealed_sample();
	enum snapshot_kind kind;
	struct str name, data;
	struct snapshot s;
	size_t at = 0, n = 0;

	(void)state;
	assert_int_equal(snapshot_map(fd, &s, NULL), 0);
	for (; snapshot_next(&s, &at, &kind, &name, &data); n++) {
		assert_int_equal(kind, sample[n].kind);
		assert_true(str_eq(name, sample[n].name));
		assert_true(str_eq(data, sample[n].data));
	}
	assert_int_equal(n, COUNT(sample));
	snapshot_unmap(&s);
	(void)close(fd);
}

static void the_same_content_has_the_same_hash(void **state)
{
	int one = sealed_sample(), two = sealed_sample(), three;
	struct snapshot a, b, c;
	struct buf other;

	(void)state;
	buf_init(&other, MOST);
	assert_true(
		snapshot_add(&other, SNAPSHOT_SETTINGS, STR(""), STR("hostname mx.example.net\n")));
	three = snapshot_seal(buf_str(&other), NULL);
	assert_int_equal(snapshot_map(one, &a, NULL) | snapshot_map(two, &b, NULL) |
				 snapshot_map(three, &c, NULL),
			 0);
	assert_string_equal(a.hash, b.hash);
	assert_string_not_equal(a.hash, c.hash);
	snapshot_unmap(&a);
	snapshot_unmap(&b);
	snapshot_unmap(&c);
	buf_fini(&other);
	(void)close(one);
	(void)close(two);
	(void)close(three);
}

static void nobody_can_write_to_it(void **state)
{
	int fd = sealed_sample();

	(void)state;
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 10), -1);
	assert_ptr_equal(mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	(void)close(fd);
}

static void one_that_is_not_sealed_is_refused(void **state)
{
	int from = sealed_sample(), fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char bytes[MOST];
	ssize_t n = pread(from, bytes, sizeof bytes, 0);
	struct fault why = { 0 };
	struct snapshot s;

	(void)state;
	assert_int_equal(write(fd, bytes, (size_t)n), n);
	assert_int_equal(snapshot_map(fd, &s, &why), -1);
	assert_string_equal(why.text, "the snapshot is not sealed");
	(void)close(from);
	(void)close(fd);
}

static void any_flipped_bit_and_any_cut_is_noticed(void **state)
{
	int from = sealed_sample();
	char bytes[MOST];
	ssize_t n = pread(from, bytes, sizeof bytes, 0);
	struct snapshot s;

	(void)state;
	for (ssize_t i = 0; i < n; i++) {
		int fd;

		bytes[i] = (char)(bytes[i] ^ 1 << i % 8);
		fd = sealed(bytes, (size_t)n);
		assert_int_equal(snapshot_map(fd, &s, NULL), -1);
		(void)close(fd);
		bytes[i] = (char)(bytes[i] ^ 1 << i % 8);
	}
	for (size_t cut = 0; cut < (size_t)n; cut++) {
		int fd = sealed(bytes, cut);

		assert_int_equal(snapshot_map(fd, &s, NULL), -1);
		(void)close(fd);
	}
	(void)close(from);
}

/* With the right hash: what a bug in the writer, or a hostile loader, could make. */
static void sections_that_make_no_sense_are_not_sealed(void **state)
{
	struct buf b;
	size_t n;

	(void)state;
	fill(&b);
	n = buf_len(&b);
	for (size_t cut = 1; cut < n; cut++) {
		struct str head = { buf_str(&b).p, cut };
		int fd = snapshot_seal(head, NULL);

		if (fd >= 0) /* cut between two sections */
			(void)close(fd);
		else
			continue;
		assert_int_equal(cut % 16, 0);
	}
	for (size_t i = 0; i < 16; i++) { /* kind, name length, data length of the first section */
		b.p[b.head + i] = (char)0xff;
		assert_int_equal(snapshot_seal(buf_str(&b), NULL), -1);
		buf_reset(&b);
		buf_fini(&b);
		fill(&b);
	}
	buf_fini(&b);
}

/* What would make two snapshots of the same content differ, or hide something, is refused. */
static void padding_is_zero(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, MOST);
	assert_true(snapshot_add(&b, SNAPSHOT_ORDER, STR("abc"), STR("defg")));
	for (size_t i = 16; i < 48; i++) {
		char kept = b.p[b.head + i];
		int fd;

		b.p[b.head + i] = 'x';
		fd = snapshot_seal(buf_str(&b), NULL);
		assert_int_equal(fd >= 0, i < 19 || (i >= 32 && i < 36)); /* name, data */
		if (fd >= 0)
			(void)close(fd);
		b.p[b.head + i] = kept;
	}
	buf_fini(&b);
}

static void bounds_are_kept(void **state)
{
	static const char name[1025];
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct fault why = { 0 };
	struct snapshot s;
	struct buf b;

	(void)state;
	buf_init(&b, MOST);
	assert_true(snapshot_add(&b, SNAPSHOT_MAP, (struct str){ name, 1024 }, STR("")));
	assert_false(snapshot_add(&b, SNAPSHOT_MAP, (struct str){ name, 1025 }, STR("")));
	buf_fini(&b);
	buf_init(&b, 1024 * 1024);
	for (unsigned i = 0; i <= SNAPSHOT_SECTIONS; i++)
		assert_true(snapshot_add(&b, SNAPSHOT_ORDER, STR(""), STR("")));
	assert_int_equal(snapshot_seal(buf_str(&b), &why), -1);
	assert_string_equal(why.text, "a snapshot holds at most 4096 sections");
	buf_fini(&b);
	assert_int_equal(ftruncate(fd, (off_t)SNAPSHOT_MAX + 1), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	assert_int_equal(snapshot_map(fd, &s, &why), -1);
	assert_string_equal(why.text, "a snapshot of 1073741825 bytes");
	(void)close(fd);
}

static void a_full_buffer_takes_no_half_section(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_true(snapshot_add(&b, SNAPSHOT_ORDER, STR(""), STR("1234")));
	assert_int_equal(buf_len(&b), 32);
	assert_false(snapshot_add(&b, SNAPSHOT_SOURCE, STR("main"),
				  STR("0123456789012345678901234567890123456789")));
	assert_int_equal(buf_len(&b), 32);
	buf_fini(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_found),
		cmocka_unit_test(the_walk_shows_every_section_in_order),
		cmocka_unit_test(the_same_content_has_the_same_hash),
		cmocka_unit_test(nobody_can_write_to_it),
		cmocka_unit_test(one_that_is_not_sealed_is_refused),
		cmocka_unit_test(any_flipped_bit_and_any_cut_is_noticed),
		cmocka_unit_test(sections_that_make_no_sense_are_not_sealed),
		cmocka_unit_test(padding_is_zero),
		cmocka_unit_test(bounds_are_kept),
		cmocka_unit_test(a_full_buffer_takes_no_half_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
