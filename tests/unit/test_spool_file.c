#include "spool_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "clock.h"
#include "rnd.h"
#include "spool_world.h"

/* The real thing: files in a folder of their own, threads, the same owner as on the memory disk. */

static struct world w;
static char dir[64];
static struct spool_file *disk;

static void remove_all(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char inner[512];

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
		if (unlink(inner) < 0)
			remove_all(inner);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static int begin(void **state)
{
	struct fault why;

	(void)state;
	snprintf(dir, sizeof dir, "%s/moongate-spool.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	disk = spool_file_new(dir, true, &why);
	world_init(&w);
	w.options.file = disk;
	w.options.threads = 3;
	w.options.slots = 8;
	w.options.segments = 64;
	w.options.segment_size = 1 << 20;
	return disk && world_open(&w) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	world_fini(&w);
	spool_file_free(&disk);
	remove_all(dir);
	return 0;
}

static void turn_until_answered(void)
{
	bool waiting = true;

	while (waiting) {
		waiting = false;
		spool_turn(w.spool, clock_mono());
		for (unsigned i = 0; i < w.nletters; i++)
			waiting |= w.letters[i].answer == LETTER_WAITING;
	}
}

static void letters_survive_on_a_real_disk(void **state)
{
	const char *wrong;

	(void)state;
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 100; i++) {
			while (!world_send(&w, (size_t)(i * 37 % 6000)))
				spool_turn(w.spool, clock_mono());
			if (i % 10 == 0)
				spool_turn(w.spool, clock_mono());
		}
		turn_until_answered();
		for (unsigned i = 0; i < w.nletters; i++)
			if (w.letters[i].is_live && i % 3 == 0)
				world_touch(&w, &w.letters[i]);
			else if (w.letters[i].is_live && i % 3 == 1)
				world_done(&w, &w.letters[i]);
	}
	world_settle(&w);
	for (unsigned i = 0; i < w.nletters; i++)
		assert_int_equal(w.letters[i].answer, LETTER_DURABLE);
	spool_close(&w.spool);
	assert_true(world_open(&w));
	wrong = world_check(&w);
	if (wrong)
		fail_msg("%s", wrong);
	assert_int_equal(w.damages, 0);
	assert_int_equal(w.failures, 0);
}

static void moved(void *arg)
{
	(void)arg;
}

static void a_big_body_survives_on_a_real_disk(void **state)
{
	static char chunk[100000], back[100000];
	struct spool_refusal why;
	struct spool_slot *slot = spool_slot_open(w.spool, moved, NULL, &why);
	struct letter *l = world_letter(&w, 0);
	struct spool_variant v = { .handle = &l->handle };
	struct spool_read read = {
		.handle = &l->handle, .to = back, .length = sizeof back, .done = world_read_done
	};
	unsigned reads = world_reads_done;

	(void)state;
	memset(chunk, 'm', sizeof chunk);
	for (int i = 0; i < 50; i++) {
		while (spool_slot_room(slot) < sizeof chunk)
			spool_turn(w.spool, clock_mono());
		spool_slot_append(w.spool, slot, (struct str){ chunk, sizeof chunk });
	}
	v.accept = (struct spool_accept){ .recipients = 3,
					  .envelope = STR("big\n"),
					  .nextents = 1,
					  .extents = { { NULL, 0, spool_slot_length(slot) } } };
	world_answer_to(&w, l);
	l->submit.variants = &v;
	l->submit.nvariants = 1;
	l->submit.slot = slot;
	assert_true(spool_submit(w.spool, &l->submit));
	turn_until_answered();
	assert_int_equal(l->answer, LETTER_DURABLE);
	spool_close(&w.spool);
	assert_true(world_open(&w));
	assert_int_equal(l->found, 1);
	read.offset = 49 * sizeof chunk;
	if (spool_read(w.spool, &read) == STEP_MORE)
		while (world_reads_done == reads)
			spool_turn(w.spool, clock_mono());
	assert_memory_equal(back, chunk, sizeof back);
}

static uint64_t size_of(const char *name)
{
	struct stat st;
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* A big segment is there at once, with its first piece; the rest is filled ahead of the tail. */
static void a_new_segment_is_filled_piece_by_piece(void **state)
{
	const uint64_t piece = 16 << 20, whole = 40 << 20;

	(void)state;
	spool_close(&w.spool);
	remove_all(dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	spool_file_free(&disk);
	disk = spool_file_new(dir, true, &w.why);
	w.options.file = disk;
	w.options.segment_size = whole;
	assert_true(world_open(&w));
	assert_int_equal(size_of("seg/00000001"), piece);
	world_send(&w, 100);
	turn_until_answered();
	assert_int_equal(w.letters[0].handle.segment, 1);
	while (size_of("seg/00000001") < whole)
		spool_turn(w.spool, clock_mono());
	while (size_of("seg/00000002") < piece)
		spool_turn(w.spool, clock_mono());
	assert_int_equal(size_of("seg/00000002"), piece);
}

static void a_spool_belongs_to_one_process(void **state)
{
	struct spool_file *other;
	struct spool_options o = w.options;
	struct fault why;

	(void)state;
	other = spool_file_new(dir, false, &why);
	assert_non_null(other);
	o.file = other;
	assert_null(spool_open(&o, &why));
	assert_non_null(strstr(why.text, "in use"));
	spool_file_free(&other);
}

static void a_folder_that_is_not_there_is_named(void **state)
{
	struct fault why;

	(void)state;
	assert_null(spool_file_new("/nonexistent/spool", false, &why));
	assert_non_null(strstr(why.text, "/nonexistent/spool"));
	assert_null(spool_file_new("/nonexistent/spool", true, &why));
}

static void the_operations_do_what_the_calls_do(void **state)
{
	struct spool_space space;
	char bytes[8];
	int fd = disk->open(disk, "corrupt/x", SPOOL_FILE_MAKE);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(spool_file_write_all(disk, fd, "hello", 5, 3), 0);
	assert_int_equal(disk->size(disk, fd), 8);
	assert_int_equal(spool_file_read_all(disk, fd, bytes, 8, 0), 0);
	assert_memory_equal(bytes + 3, "hello", 5);
	assert_int_equal(spool_file_read_all(disk, fd, bytes, 8, 1), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(disk->sync(disk, fd), 0);
	assert_int_equal(disk->forget(disk, fd), 0);
	assert_int_equal(disk->push(disk, fd, 0, 8), 0);
	assert_int_equal(disk->reserve(disk, fd, 0, 8192), 0);
	assert_int_equal(disk->size(disk, fd), 8);
	assert_int_equal(disk->truncate(disk, fd, 2), 0);
	assert_int_equal(disk->size(disk, fd), 2);
	assert_int_equal(disk->close(disk, fd), 0);
	assert_int_equal(disk->open(disk, "corrupt/none", SPOOL_FILE_READ), -1);
	assert_int_equal(disk->sync_dir(disk, "corrupt"), 0);
	assert_int_equal(disk->sync_dir(disk, "none"), -1);
	assert_int_equal(disk->mkdir(disk, "corrupt"), 0);
	assert_int_equal(disk->space(disk, &space), 0);
	assert_true(space.bytes > 0 && space.inodes > 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(letters_survive_on_a_real_disk),         T(a_big_body_survives_on_a_real_disk),
		T(a_new_segment_is_filled_piece_by_piece), T(a_spool_belongs_to_one_process),
		T(a_folder_that_is_not_there_is_named),    T(the_operations_do_what_the_calls_do),
	};

	rnd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
