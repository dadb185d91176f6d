/* layer: spool */
/* A sealed spool as a whole: what is on the disk, which keys it needs, how they change. */
#define _GNU_SOURCE /* memmem */
#include "spool_world.h"

#include <errno.h>

#include "check.h"
#include "spool_cipher.h"
#include "spool_core.h"
#include "spool_replay.h"
#include "spool_segment.h"

static struct world w;

static int begin(void **state)
{
	(void)state;
	world_is_sealed = true;
	world_init(&w);
	return world_open(&w) ? 0 : -1;
}

static int begin_plain(void **state)
{
	(void)state;
	world_is_sealed = false;
	world_init(&w);
	return world_open(&w) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	world_fini(&w);
	return 0;
}

static void reopen(void)
{
	const char *wrong;

	world_kill(&w);
	assert_true(world_open(&w));
	wrong = world_check(&w);
	if (wrong)
		fail_msg("%s", wrong);
}

/* Letters hold these: header, envelope, body. */
static unsigned marks_on_disk(void)
{
	static const char *const marks[] = { "Subject: a letter", "number: ", "fghijklmno",
					     "hijklmnop" };
	unsigned found = 0;

	for (unsigned f = 0; f < w.disk.nfiles; f++)
		for (size_t m = 0; m < COUNT(marks); m++)
			found += w.disk.files[f].size > 0 &&
				 memmem(w.disk.files[f].now, w.disk.files[f].size, marks[m],
					strlen(marks[m])) != NULL;
	return found;
}

static struct memory_file *segment(unsigned number)
{
	char path[24];

	spool_segment_path(path, number);
	return memory_disk_find(&w.disk, path);
}

static const unsigned char *key_on_disk(unsigned number)
{
	static struct spool_header h;
	struct memory_file *f = segment(number);

	if (!f || spool_header_pick((char *)f->now, &h) < 0)
		return NULL;
	return spool_key_of(&h);
}

/* keys - a new set with the world's key and `more` new ones behind it */
static struct spool_keys *keys_with(unsigned more)
{
	struct spool_keys *k = spool_keys_new();

	*k = *w.keys;
	while (more--)
		spool_key_make(&k->at[k->n++]);
	return k;
}

static unsigned segments_of(const struct spool_key *key)
{
	unsigned n = 0;

	for (unsigned i = 1; i <= 8; i++) {
		const unsigned char *id = key_on_disk(i);

		n += id && memcmp(id, key->id, SPOOL_KEY_ID) == 0;
	}
	return n;
}

/* mail - letters, states, one finished and one reported */
static void mail(unsigned n)
{
	struct letter *first = world_send(&w, 3000);

	world_settle(&w);
	for (unsigned i = 0; i < n; i++)
		assert_non_null(world_send(&w, 500 + 700 * i));
	world_settle(&w);
	world_touch(&w, first);
	world_done(&w, &w.letters[w.nletters - 1]);
	assert_non_null(world_bounce(&w, &w.letters[w.nletters - 2], false));
	world_settle(&w);
}

TEST(nothing_of_a_message_is_on_the_disk_in_plain)
{
	mail(6);
	assert_int_equal(marks_on_disk(), 0);
	reopen();
	segment(1)->now[SPOOL_BLOCK + SPOOL_BATCH_HEAD + SPOOL_RECORD_HEAD + 500] ^= 1;
	memory_disk_burn(&w.disk);
	world_kill(&w);
	assert_true(world_open(&w));
	assert_int_equal(w.damages, 1);
	assert_int_equal(w.copies, 1);
	assert_int_equal(marks_on_disk(), 0);
}

TEST(a_plain_spool_shows_that_the_marks_would_be_found)
{
	mail(6);
	assert_int_equal(marks_on_disk(), 4);
}

TEST(without_its_key_it_does_not_open_and_nothing_is_written)
{
	struct spool_keys *other = spool_keys_new();
	char name[SPOOL_KEY_NAME];
	unsigned unsynced;

	mail(3);
	world_kill(&w);
	unsynced = memory_disk_unsynced(&w.disk);
	spool_key_name(w.keys->at[0].id, name);
	other->n = 1;
	spool_key_make(&other->at[0]);
	w.options.keys = other;
	assert_false(world_open(&w));
	assert_non_null(strstr(w.why.text, name));
	assert_non_null(strstr(w.why.text, "not in the key file"));
	w.options.keys = NULL;
	w.options.is_sealing = false;
	assert_false(world_open(&w));
	assert_non_null(strstr(w.why.text, name));
	assert_non_null(strstr(w.why.text, "spool_key"));
	assert_int_equal(memory_disk_unsynced(&w.disk), unsynced);
	w.options.keys = w.keys;
	w.options.is_sealing = true;
	reopen();
	spool_keys_free(&other);
}

TEST(sealing_needs_a_key)
{
	world_kill(&w);
	w.options.keys = NULL;
	assert_false(world_open(&w));
	assert_non_null(strstr(w.why.text, "no key to seal with"));
}

/* Damage and forgery: sums can be mended by anybody, the authenticator cannot */

static size_t record_of(const struct letter *l)
{
	return l->handle.offset;
}

static void resum(unsigned number, size_t at)
{
	struct spool_header h;
	char *bytes = (char *)segment(number)->now;

	assert_true(spool_header_pick(bytes, &h) >= 0);
	spool_record_sum(bytes + at, spool_seed(h.epoch, h.salt));
	memory_disk_burn(&w.disk);
}

TEST(a_changed_record_is_named_and_the_others_live)
{
	struct letter *a = world_send(&w, 300), *b = world_send(&w, 300);
	size_t at;

	world_settle(&w);
	at = record_of(a);
	world_kill(&w);
	segment(1)->now[at + SPOOL_RECORD_HEAD + 150] ^= 1;
	resum(1, at);
	assert_true(world_open(&w));
	assert_int_equal(a->found, 0);
	assert_int_equal(b->found, 1);
	assert_int_equal(w.damages, 1);
	assert_string_equal(w.last_damage, "a message that cannot be read");
}

TEST(a_plain_record_is_not_accepted_in_a_sealed_segment)
{
	struct letter *a = world_send(&w, 300);
	struct spool_accept forged = { .recipients = 3, .envelope = STR("number: 0\n") };
	size_t at;

	world_settle(&w);
	at = record_of(a);
	world_kill(&w);
	spool_accept_put((char *)segment(1)->now + at + SPOOL_RECORD_HEAD, &forged);
	spool_put16((char *)segment(1)->now + at + 6, 0);
	resum(1, at);
	assert_true(world_open(&w));
	assert_int_equal(a->found, 0);
	assert_int_equal(w.damages, 1);
	assert_string_equal(w.last_damage, "a plain record in a sealed segment");
}

TEST(records_cannot_change_places)
{
	struct letter *a = world_send(&w, 300), *b = world_send(&w, 300);
	uint8_t *bytes, kept[SPOOL_RECORD_HEAD + 512];
	size_t x, y, n;

	world_settle(&w);
	x = record_of(a);
	y = record_of(b);
	n = y - x;
	assert_true(n <= sizeof kept);
	world_kill(&w);
	bytes = segment(1)->now;
	/* the payloads alone: heads stay where the LSN and ordinal belong */
	memcpy(kept, bytes + x + SPOOL_RECORD_HEAD, n - SPOOL_RECORD_HEAD);
	memmove(bytes + x + SPOOL_RECORD_HEAD, bytes + y + SPOOL_RECORD_HEAD,
		n - SPOOL_RECORD_HEAD);
	memcpy(bytes + y + SPOOL_RECORD_HEAD, kept, n - SPOOL_RECORD_HEAD);
	resum(1, x);
	resum(1, y);
	assert_true(world_open(&w));
	assert_int_equal(a->found + b->found, 0);
	assert_int_equal(w.damages, 2);
}

/* Without a key */

static unsigned locked, opened, damages;

static int see(void *arg, const struct spool_replay_view *v)
{
	(void)arg;
	locked += v->is_locked;
	opened += !v->is_locked;
	return 0;
}

static void hurt(void *arg, const struct spool_damage *d)
{
	(void)arg, (void)d;
	damages++;
}

static int look(bool is_checking, const struct spool_keys *keys, struct fault *why)
{
	struct spool_replay *r = spool_replay_new(&w.disk.file, why);
	int rc;

	locked = opened = damages = 0;
	r->is_checking = is_checking;
	r->keys = keys;
	r->damage = hurt;
	assert_int_equal(spool_replay_open(r, why), 0);
	assert_int_equal(spool_replay_run(r, why), 0);
	rc = spool_replay_each(r, see, NULL, why);
	spool_replay_free(&r);
	return rc;
}

TEST(who_checks_needs_no_key)
{
	struct fault why;
	unsigned living = 0;

	mail(4);
	for (unsigned i = 0; i < w.nletters; i++)
		living += w.letters[i].is_live;
	world_kill(&w);
	assert_int_equal(look(true, NULL, &why), 0);
	assert_int_equal(locked, living);
	assert_int_equal(opened + damages, 0);
	assert_int_equal(look(true, w.keys, &why), 0);
	assert_int_equal(opened, living);
	assert_int_equal(locked + damages, 0);
	assert_int_equal(look(false, NULL, &why), -1);
	assert_non_null(strstr(why.text, "--key"));
	segment(1)->now[SPOOL_BLOCK + SPOOL_BATCH_HEAD + SPOOL_RECORD_HEAD + 500] ^= 1;
	memory_disk_burn(&w.disk);
	assert_int_equal(look(true, NULL, &why), 0);
	assert_int_equal(damages, 1);
}

/* On and off */

TEST(turned_on_plain_messages_stay_and_what_is_freed_is_blanked)
{
	mail(3);
	world_kill(&w);
	world_seal(&w);
	reopen();
	assert_true(marks_on_disk() > 0);
	for (unsigned i = 0; i < w.nletters; i++)
		if (w.letters[i].is_live)
			world_done(&w, &w.letters[i]);
	world_settle(&w);
	mail(3);
	for (unsigned i = 0; i < 10; i++)
		world_settle(&w);
	assert_int_equal(marks_on_disk(), 0);
	reopen();
}

TEST(turned_off_sealed_messages_stay_and_new_ones_are_plain)
{
	mail(2);
	world_kill(&w);
	w.options.is_sealing = false;
	reopen();
	mail(2);
	assert_true(marks_on_disk() > 0);
	assert_true(segments_of(&w.keys->at[0]) > 0);
	reopen();
}

TEST(slots_of_both_kinds_come_back_whole_whatever_is_written_now)
{
	struct letter *plain = world_send_slot(&w, 3000), *sealed;

	world_settle(&w);
	world_kill(&w);
	world_seal(&w);
	reopen();
	sealed = world_send_slot(&w, 3000);
	world_settle(&w);
	for (int is_sealing = 1; is_sealing >= 0; is_sealing--) {
		w.options.is_sealing = is_sealing;
		world_crash(&w, 0);
		reopen();
		assert_int_equal(plain->found, 1);
		assert_int_equal(sealed->found, 1);
		assert_int_equal(w.damages, 0);
	}
	assert_null(spool_slot_key(spool_slots_get(w.spool, plain->handle.slot)));
	assert_non_null(spool_slot_key(spool_slots_get(w.spool, sealed->handle.slot)));
}

/* Rotation */

static void rotate(struct spool_keys *k)
{
	struct fault why;

	assert_int_equal(spool_rekey_suffices(w.spool, k, &why), 0);
	spool_rekey(w.spool, k);
	for (unsigned i = 0; i < 12; i++)
		world_settle(&w);
}

TEST(rotation_wraps_every_segment_anew_and_the_old_key_can_go)
{
	struct spool_keys *k = keys_with(1);

	mail(6);
	assert_true(segments_of(&k->at[0]) >= 2);
	rotate(k);
	assert_int_equal(segments_of(&k->at[0]), 0);
	assert_true(segments_of(&k->at[1]) >= 2);
	mail(2);
	k->at[0] = k->at[1];
	k->n = 1;
	w.options.keys = k;
	reopen();
	world_kill(&w);
	spool_keys_free(&k);
}

TEST(a_key_in_use_is_not_given_up)
{
	struct spool_keys *k = keys_with(1);
	struct fault why;
	char name[SPOOL_KEY_NAME];

	mail(2);
	k->at[0] = k->at[1];
	k->n = 1;
	spool_key_name(w.keys->at[0].id, name);
	assert_int_equal(spool_rekey_suffices(w.spool, k, &why), -1);
	assert_non_null(strstr(why.text, name));
	assert_int_equal(spool_rekey_suffices(w.spool, NULL, &why), -1);
	spool_keys_free(&k);
}

TEST(a_header_that_cannot_be_written_is_tried_again)
{
	struct spool_keys *k = keys_with(1);
	struct fault why;

	mail(2);
	assert_int_equal(spool_rekey_suffices(w.spool, k, &why), 0);
	w.disk.fail_at = w.disk.calls + 2;
	w.disk.fail_errno = EIO;
	spool_rekey(w.spool, k);
	world_turn(&w, 2);
	assert_int_equal(w.failures, 1);
	w.now = spool_next_timer(w.spool);
	for (unsigned i = 0; i < 12; i++)
		world_settle(&w);
	assert_int_equal(segments_of(&k->at[0]), 0);
	spool_keys_free(&k);
}

/* The power goes off before every call of a rotation, with nothing, everything or some of what was
 * not synced kept: both keys open what is left. */
TEST(a_crash_at_any_call_of_a_rotation_loses_nothing)
{
	static const uint64_t keeps[] = { 0, UINT64_MAX, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa };
	struct spool_keys *k = keys_with(1);
	static struct world before;
	unsigned calls;

	mail(4);
	world_kill(&w);
	world_init(&before);
	world_save(&before, &w);
	assert_true(world_open(&w));
	calls = w.disk.calls;
	rotate(k);
	calls = w.disk.calls - calls;
	world_kill(&w);
	for (unsigned at = 1; at <= calls; at++)
		for (size_t i = 0; i < COUNT(keeps); i++) {
			struct spool_keys *old = w.keys;

			w.keys = NULL;
			world_fini(&w);
			world_init(&w);
			spool_keys_free(&w.keys);
			w.keys = old;
			w.options.keys = w.keys;
			world_save(&w, &before);
			assert_true(world_open(&w));
			w.disk.off_at = w.disk.calls + at;
			spool_rekey(w.spool, k);
			for (unsigned t = 0; t < 12; t++)
				spool_settle(w.spool, w.now += 1000);
			world_crash(&w, keeps[i]);
			w.options.keys = k;
			reopen();
			world_settle(&w);
			reopen();
			world_kill(&w);
		}
	world_fini(&before);
	spool_keys_free(&k);
}

/* Shredding: what the headers on the disk can still open */

static bool any_key_opens(const char *record, uint32_t number, uint64_t epoch)
{
	bool opens = false;

	for (unsigned i = 1; i <= 8; i++)
		for (unsigned c = 0; segment(i) && c < 2; c++) {
			unsigned char data[SPOOL_CIPHER_KEY];
			struct spool_cipher cipher = { data, number, epoch };
			struct spool_record r;
			struct spool_header h;
			char copy[4096];

			if (!spool_header_get((char *)segment(i)->now + c * SPOOL_HEADER_COPY,
					      &h) ||
			    spool_key_unwrap(w.keys, &h, data) != SPOOL_KEY_OPEN)
				continue;
			memcpy(copy, record, sizeof copy);
			spool_record_peek(copy, &r);
			opens |= spool_cipher_open(&cipher, &r);
		}
	return opens;
}

TEST(what_lies_in_a_freed_segment_can_never_be_opened)
{
	struct letter *l = world_send(&w, 2000), *other;
	struct spool_header h;
	char record[4096];
	unsigned number, turns = 0;

	world_settle(&w);
	number = l->handle.segment;
	assert_true(spool_header_pick((char *)segment(number)->now, &h) >= 0);
	memcpy(record, segment(number)->now + record_of(l), sizeof record);
	assert_true(any_key_opens(record, number, h.epoch));
	world_done(&w, l);
	while (any_key_opens(record, number, h.epoch)) {
		assert_true(turns++ < 200);
		other = world_send(&w, WORLD_BODY);
		world_settle(&w);
		if (other && other->answer == LETTER_DURABLE)
			world_done(&w, other);
		world_settle(&w);
	}
	/* durably: after a crash that keeps nothing of what was not synced too */
	world_crash(&w, 0);
	assert_false(any_key_opens(record, number, h.epoch));
}

int main(void)
{
#define SEALED(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define PLAIN(name)  cmocka_unit_test_setup_teardown(name, begin_plain, end)
	const struct CMUnitTest tests[] = {
		SEALED(nothing_of_a_message_is_on_the_disk_in_plain),
		PLAIN(a_plain_spool_shows_that_the_marks_would_be_found),
		SEALED(without_its_key_it_does_not_open_and_nothing_is_written),
		SEALED(sealing_needs_a_key),
		SEALED(a_changed_record_is_named_and_the_others_live),
		SEALED(a_plain_record_is_not_accepted_in_a_sealed_segment),
		SEALED(records_cannot_change_places),
		SEALED(who_checks_needs_no_key),
		PLAIN(turned_on_plain_messages_stay_and_what_is_freed_is_blanked),
		PLAIN(slots_of_both_kinds_come_back_whole_whatever_is_written_now),
		SEALED(turned_off_sealed_messages_stay_and_new_ones_are_plain),
		SEALED(rotation_wraps_every_segment_anew_and_the_old_key_can_go),
		SEALED(a_key_in_use_is_not_given_up),
		SEALED(a_header_that_cannot_be_written_is_tried_again),
		SEALED(a_crash_at_any_call_of_a_rotation_loses_nothing),
		SEALED(what_lies_in_a_freed_segment_can_never_be_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
