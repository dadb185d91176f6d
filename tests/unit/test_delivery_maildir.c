#include "delivery_rig.h"

#include "delivery_body.h"

#include "maildir_serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

/* The helper at the other end of a channel, in the same loop; its disk fails on demand. */
static struct {
	struct maildir_serve *serve;
	struct ipc_channel *helper, *client;
	char root[64];
	int fail_writes; /* errno of every write; 0: none */
} box;

static ssize_t box_write(int fd, const void *bytes, size_t n)
{
	errno = box.fail_writes;
	return box.fail_writes ? -1 : write(fd, bytes, n);
}

static void helper_frame(void *owner, const struct ipc_frame *frame)
{
	(void)owner;
	maildir_serve_frame(box.serve, 3, frame);
}

static void helper_writable(void *owner)
{
	(void)owner;
	maildir_serve_writable(box.serve, 3);
}

static void client_frame(void *owner, const struct ipc_frame *frame)
{
	(void)owner;
	delivery_maildir_frame(rig.delivery, frame);
}

static void client_writable(void *owner)
{
	(void)owner;
	delivery_maildir_writable(rig.delivery);
}

static void open_helper(size_t ring)
{
	static const struct maildir_disk disk = { box_write, fsync, linkat, mkdirat };
	static const struct ipc_channel_ops helper_ops = { helper_frame, helper_writable,
							   rig_broken };
	static const struct ipc_channel_ops client_ops = { client_frame, client_writable,
							   rig_broken };
	struct str root = str_of(box.root);
	struct ipc_channel_fds fds, other;
	struct fault why;

	assert_int_equal(ipc_channel_make(&fds, ring, &why), 0);
	other = (struct ipc_channel_fds){ dup(fds.memory), dup(fds.wake_a), dup(fds.wake_b) };
	box.serve = maildir_serve_new(&root, 1, &disk);
	box.helper = ipc_channel_open(rig.loop, &fds, IPC_END_A, &helper_ops, NULL, &why);
	box.client = ipc_channel_open(rig.loop, &other, IPC_END_B, &client_ops, NULL, &why);
	assert_true(box.helper && box.client);
	maildir_serve_channel(box.serve, 3, box.helper);
	delivery_maildir_channel(rig.delivery, box.client);
}

static void close_helper(void)
{
	if (rig.delivery)
		delivery_maildir_channel(rig.delivery, NULL);
	maildir_serve_free(&box.serve);
	ipc_channel_close(&box.helper);
	ipc_channel_close(&box.client);
}

static void remove_tree(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		(void)unlinkat(at, name, 0);
		return;
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(fd, e->d_name);
	closedir(dir);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

static int up(void **state)
{
	rig_up(state);
	memset(&box, 0, sizeof box);
	strcpy(box.root, "/tmp/moongate-box-XXXXXX");
	assert_non_null(mkdtemp(box.root));
	open_helper(4 << 20);
	return 0;
}

static int down(void **state)
{
	delivery_free(&rig.delivery);
	close_helper();
	remove_tree(AT_FDCWD, box.root);
	return rig_down(state);
}

static const char *hop(const char *rest)
{
	static char text[256];

	(void)snprintf(text, sizeof text, "maildir:%s%s", box.root, rest);
	return text;
}

/* only_file - the content of the one file in a directory below the root; the caller frees it */
static struct str only_file(const char *path)
{
	char full[PATH_MAX];
	struct str all = STR_NONE;
	struct dirent *e;
	struct stat st;
	DIR *dir;
	int fd;

	(void)snprintf(full, sizeof full, "%s%s", box.root, path);
	dir = opendir(full);
	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		assert_null(all.p);
		fd = openat(dirfd(dir), e->d_name, O_RDONLY);
		assert_int_equal(fstat(fd, &st), 0);
		all = (struct str){ malloc((size_t)st.st_size + 1), (size_t)st.st_size };
		assert_int_equal(read(fd, (char *)(uintptr_t)all.p, all.n), st.st_size);
		close(fd);
	}
	closedir(dir);
	return all;
}

static unsigned count(const char *path)
{
	char full[PATH_MAX];
	unsigned n = 0;
	DIR *dir;

	(void)snprintf(full, sizeof full, "%s%s", box.root, path);
	dir = opendir(full);
	for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
		n += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static const struct ipc_outcome_of *one(struct rig_lease lease)
{
	static uint64_t tag;

	lease.tag = ++tag;
	if (!lease.sender)
		lease.sender = "s@example.org";
	if (!lease.rcpts[0])
		lease.rcpts[0] = "ann@example.net";
	rig_send(&lease);
	rig_run(rig.nresults + 1);
	return rig_of(tag)->outcomes;
}

static struct str big(size_t n)
{
	char *text = malloc(n);

	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)(i * 7 + i / 1000);
	return (struct str){ text, n };
}

TEST(each_recipient_finds_the_message_in_a_mailbox_of_its_own)
{
	const struct ipc_outcome_of *o =
		one((struct rig_lease){ .hop = hop("/{domain}/{local}"),
					.rcpts = { "ann@example.net", "Bob@example.net" },
					.body = STR(".\r\nx\0\xff\r\n") });
	struct str got;

	assert_int_equal(o[0].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(o[1].outcome, IPC_OUTCOME_DONE);
	got = only_file("/example.net/ann/new");
	CHECK_STR(0, got,
		  STR("Return-Path: <s@example.org>\r\nDelivered-To: ann@example.net\r\nSubject: "
		      "hi\r\n\r\n.\r\nx\0\xff\r\n"));
	heap_free(got);
	got = only_file("/example.net/bob/new");
	assert_true(rig_has(got, "Delivered-To: Bob@example.net\r\n"));
	heap_free(got);
	assert_true(rig_logged("\"outcome\":\"delivered\""));
}

TEST(the_null_sender_is_an_empty_return_path)
{
	struct str got;

	assert_int_equal(one((struct rig_lease){ .hop = hop("/box"), .sender = "" })->outcome,
			 IPC_OUTCOME_DONE);
	got = only_file("/box/new");
	assert_true(str_has_prefix(got, STR("Return-Path: <>\r\n")));
	heap_free(got);
}

TEST(a_big_message_passes_through_the_window)
{
	static const size_t rings[] = { 4 << 20, 256 * 1024 };

	for (size_t i = 0; i < COUNT(rings); i++) {
		struct str body = big((3 << 20) + 17), got;
		char path[16];

		close_helper();
		open_helper(rings[i]);
		(void)snprintf(path, sizeof path, "/box%zu", i);
		CHECK_INT(i, one((struct rig_lease){ .hop = hop(path), .body = body })->outcome,
			  IPC_OUTCOME_DONE);
		strcat(path, "/new");
		got = only_file(path);
		CHECK(i, str_has_suffix(got, body));
		heap_free(got);
		heap_free(body);
	}
}

TEST(many_at_once_all_arrive)
{
	for (uint64_t tag = 1; tag <= 100; tag++) {
		char path[32];

		(void)snprintf(path, sizeof path, "/many/%llu", (unsigned long long)tag);
		rig_send(&(struct rig_lease){ .tag = tag,
					      .hop = hop(path),
					      .sender = "s@example.org",
					      .rcpts = { "a@example.net" },
					      .body = STR("x\r\n") });
	}
	rig_run(100);
	for (uint64_t tag = 1; tag <= 100; tag++)
		assert_int_equal(rig_of(tag)->outcomes[0].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(count("/many"), 100);
}

TEST(the_same_message_twice_is_there_once)
{
	assert_int_equal(one((struct rig_lease){ .hop = hop("/box") })->outcome, IPC_OUTCOME_DONE);
	assert_int_equal(one((struct rig_lease){ .hop = hop("/box") })->outcome, IPC_OUTCOME_DONE);
	assert_int_equal(count("/box/new"), 1);
	assert_true(rig_logged("was there already"));
}

TEST(a_full_disk_is_tried_again)
{
	const struct ipc_outcome_of *o;

	box.fail_writes = ENOSPC;
	o = one((struct rig_lease){ .hop = hop("/box"),
				    .rcpts = { "a@example.net", "b@example.net" } });
	assert_int_equal(o[0].outcome, IPC_OUTCOME_DEFER);
	assert_int_equal(o[1].outcome, IPC_OUTCOME_DEFER);
	assert_true(str_has_prefix(o[0].text, STR("4.3.1 ")));
	assert_int_equal(count("/box/new") + count("/box/tmp"), 0);
	box.fail_writes = EDQUOT;
	assert_true(
		str_has_prefix(one((struct rig_lease){ .hop = hop("/box") })->text, STR("4.2.2 ")));
	box.fail_writes = 0;
	assert_int_equal(one((struct rig_lease){ .hop = hop("/box") })->outcome, IPC_OUTCOME_DONE);
}

TEST(a_path_outside_waits_for_the_operator)
{
	const struct ipc_outcome_of *o =
		one((struct rig_lease){ .hop = "maildir:/tmp/elsewhere/{local}" });

	assert_int_equal(o->outcome, IPC_OUTCOME_DEFER);
	assert_true(str_has_prefix(o->text, STR("4.3.5 /tmp/elsewhere/ann is not below")));
	assert_false(rig_of(rig.results[0].tag)->has_bounce);
}

TEST(a_helper_that_died_is_waited_for)
{
	struct str body = big(600 * 1024);

	ipc_channel_pause(box.helper);
	rig_send(&(struct rig_lease){
		.tag = 9001, .hop = hop("/small"), .sender = "", .rcpts = { "a@example.net" } });
	rig_send(&(struct rig_lease){ .tag = 9002,
				      .hop = hop("/big"),
				      .sender = "",
				      .rcpts = { "a@example.net" },
				      .body = body });
	rig_turns(20000);
	assert_true(rig.reads <= (IPC_SLOT_WINDOW + DELIVERY_BODY_AHEAD) / IPC_READ_MAX + 1);
	close_helper();
	rig_turns(20000);
	assert_int_equal(rig.nresults, 0);
	open_helper(4 << 20);
	rig_run(2);
	assert_int_equal(rig_of(9001)->outcomes[0].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(rig_of(9002)->outcomes[0].outcome, IPC_OUTCOME_DONE);
	assert_int_equal(count("/small/new") + count("/big/new"), 2);
	heap_free(body);
}

static bool has_begun(void)
{
	return !maildir_serve_is_idle(box.serve);
}

static bool is_over(void)
{
	return maildir_serve_is_idle(box.serve);
}

TEST(what_the_spool_forgot_is_aborted)
{
	struct str body = big(600 * 1024);

	rig.is_unreadable = true;
	assert_int_equal(one((struct rig_lease){ .hop = hop("/box"), .body = body })->outcome,
			 IPC_OUTCOME_DEFER);
	rig.is_unreadable = false;
	ipc_channel_pause(rig.spool); /* the READ is not answered */
	rig_send(&(struct rig_lease){ .tag = 9001,
				      .hop = hop("/box"),
				      .sender = "",
				      .rcpts = { "a@example.net" },
				      .body = body });
	rig_until(has_begun);
	rig_channel();
	rig_until(is_over);
	assert_int_equal(count("/box/tmp") + count("/box/new"), 0);
	heap_free(body);
}

TEST(a_hostile_client_gets_no_further_than_its_own_files)
{
	struct str nothing = STR_NONE, junk = STR("junk");

	for (unsigned i = 0; i < 200; i++) {
		uint16_t types[] = { IPC_MAILDIR_BEGIN, IPC_MAILDIR_DATA, IPC_MAILDIR_END,
				     IPC_MAILDIR_ABORT, 7 };

		assert_true(ipc_channel_send(
			box.client, &(struct ipc_frame){ .type = types[i % 5], .tag = i / 5 },
			i % 2 ? &nothing : &junk, 1));
	}
	rig_turns(20000);
	assert_true(maildir_serve_is_idle(box.serve));
	assert_int_equal(count(""), 0);
	assert_int_equal(one((struct rig_lease){ .hop = hop("/box") })->outcome, IPC_OUTCOME_DONE);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(each_recipient_finds_the_message_in_a_mailbox_of_its_own),
		RUN(the_null_sender_is_an_empty_return_path),
		RUN(a_big_message_passes_through_the_window),
		RUN(many_at_once_all_arrive),
		RUN(the_same_message_twice_is_there_once),
		RUN(a_full_disk_is_tried_again),
		RUN(a_path_outside_waits_for_the_operator),
		RUN(a_helper_that_died_is_waited_for),
		RUN(what_the_spool_forgot_is_aborted),
		RUN(a_hostile_client_gets_no_further_than_its_own_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
