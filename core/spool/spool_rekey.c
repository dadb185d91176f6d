#include "spool_core.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLANK = 256 * 1024 };

static const size_t sealed_size = SPOOL_BLOCK + SPOOL_BODY_MAX;

int spool_rekey_init(struct spool *sp, struct fault *why)
{
	if (!sp->o.keys)
		return sp->o.is_sealing ? fault_set(why, "there is no key to seal with") : 0;
	sp->rekey.keys = spool_keys_new();
	*sp->rekey.keys = *sp->o.keys;
	sp->o.keys = NULL; /* borrowed for the call alone */
	if (!sp->o.is_sealing)
		return 0;
	sp->rekey.sealed =
		mmap(NULL, sealed_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sp->rekey.sealed != MAP_FAILED)
		return 0;
	sp->rekey.sealed = NULL;
	return fault_sys(why, "reserving %zu bytes for sealing", sealed_size);
}

void spool_rekey_fini(struct spool *sp)
{
	if (sp->rekey.sealed)
		munmap(sp->rekey.sealed, sealed_size);
	sp->rekey.sealed = NULL;
	spool_vault_fini(&sp->rekey.segments);
	spool_vault_fini(&sp->rekey.slots);
	spool_keys_free(&sp->rekey.keys);
}

/* Data keys */

static void wrap_new(struct spool *sp, struct spool_header *h)
{
	unsigned char data[SPOOL_CIPHER_KEY];

	randombytes_buf(data, sizeof data);
	spool_key_wrap(spool_keys_current(sp->rekey.keys), data, h);
	sodium_memzero(data, sizeof data);
}

void spool_rekey_fresh(struct spool *sp, struct spool_header *h)
{
	if (sp->o.is_sealing)
		wrap_new(sp, h);
}

void spool_rekey_take(struct spool *sp, struct spool_segment *s)
{
	unsigned char *place;

	s->key = NULL;
	if (!spool_key_of(&s->header)) {
		spool_vault_wipe(&sp->rekey.segments, s->number);
		return;
	}
	place = spool_vault_at(&sp->rekey.segments, s->number);
	if (spool_key_unwrap(sp->rekey.keys, &s->header, place) == SPOOL_KEY_OPEN)
		s->key = place;
}

const unsigned char *spool_rekey_slot(struct spool *sp, unsigned number, const unsigned char *key)
{
	unsigned char *place = spool_vault_at(&sp->rekey.slots, number);

	if (key)
		memcpy(place, key, SPOOL_CIPHER_KEY);
	else
		randombytes_buf(place, SPOOL_CIPHER_KEY);
	return place;
}

/* What is wanted */

static bool is_current(const struct spool *sp, const struct spool_segment *s)
{
	return memcmp(spool_key_of(&s->header), spool_keys_current(sp->rekey.keys)->id,
		      SPOOL_KEY_ID) == 0;
}

bool spool_rekey_is_ready(const struct spool *sp, const struct spool_segment *s)
{
	return (s->key != NULL) == sp->o.is_sealing &&
	       (s->key || !spool_key_of(&s->header)); /* a key that nobody has any more */
}

static bool is_wanted(const struct spool *sp, const struct spool_segment *s)
{
	switch (s->state) {
	case SPOOL_SEGMENT_FREE:
		return !spool_rekey_is_ready(sp, s) || (s->key && !is_current(sp, s));
	case SPOOL_SEGMENT_CURRENT:
	case SPOOL_SEGMENT_CLOSED:
	case SPOOL_SEGMENT_SUSPECT:
		return s->key && !is_current(sp, s);
	case SPOOL_SEGMENT_MAKING:
	case SPOOL_SEGMENT_FREEING:
	case SPOOL_SEGMENT_BROKEN:
		break;
	}
	return false;
}

/* On a thread */

static int blank(struct spool_file *f, int fd, uint64_t upto)
{
	static const char zeros[BLANK];

	for (uint64_t at = SPOOL_BLOCK; at < upto; at += BLANK) {
		size_t n = upto - at < BLANK ? (size_t)(upto - at) : BLANK;

		if (spool_file_write_all(f, fd, zeros, n, at) < 0)
			return -1;
	}
	return f->sync(f, fd);
}

static int rewrite(struct spool *sp)
{
	struct spool_rekey *y = &sp->rekey;
	char path[24];
	int fd, saved, rc = 0;

	/* A descriptor of its own: the kernel tells of a lost write once per open file, and it must
	 * tell the committer. */
	spool_segment_path(path, y->next.number);
	fd = sp->file->open(sp->file, path, SPOOL_FILE_WRITE);
	if (fd < 0)
		return -1;
	if (y->is_blanking)
		rc = blank(sp->file, fd, y->segment->filled);
	if (rc == 0)
		rc = spool_segment_write_header(sp->file, fd, 0, &y->next);
	saved = errno;
	sp->file->close(sp->file, fd);
	errno = saved;
	return rc;
}

static void work(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, rekey.job);

	sp->rekey.error = rewrite(sp) < 0 ? errno : 0;
}

/* On the loop */

static void done(struct spool_job *job)
{
	struct spool *sp = container_of(job, struct spool, rekey.job);
	struct spool_rekey *y = &sp->rekey;
	struct spool_segment *s = y->segment;
	struct fault why;

	y->is_busy = false;
	s->readers--;
	sp->supply.may_reclaim = true;
	errno = y->error;
	if (y->error) {
		fault_sys(&why, "writing the key of segment %u", s->number);
		sp->o.owner.failed(sp->o.owner.arg, "spool.rekey", &why);
		y->after = sp->now + SPOOL_RETRY_US;
		return;
	}
	s->header = y->next;
	spool_rekey_take(sp, s);
}

/* begin - a living segment keeps its data key; a free one gets its own, or none */
static void begin(struct spool *sp, struct spool_segment *s)
{
	struct spool_rekey *y = &sp->rekey;

	y->next = s->header;
	y->is_blanking =
		s->state == SPOOL_SEGMENT_FREE && sp->o.is_sealing && !spool_key_of(&s->header);
	if (!spool_rekey_is_ready(sp, s) && s->state == SPOOL_SEGMENT_FREE) {
		memset(y->next.key, 0, sizeof y->next.key);
		spool_rekey_fresh(sp, &y->next);
	} else {
		spool_key_wrap(spool_keys_current(sp->rekey.keys), s->key, &y->next);
	}
	y->segment = s;
	y->is_busy = true;
	s->readers++;
	y->job.work = work;
	y->job.done = done;
	spool_pool_put(&sp->pool, SPOOL_LANE_FILES, &y->job);
}

static bool is_waiting(const struct spool *sp)
{
	for (unsigned i = 1; i <= sp->nsegments; i++)
		if (sp->segments[i] && is_wanted(sp, sp->segments[i]))
			return true;
	return false;
}

void spool_rekey_turn(struct spool *sp)
{
	struct spool_rekey *y = &sp->rekey;

	if (y->is_busy || sp->now < y->after)
		return;
	for (unsigned i = 1; i <= sp->nsegments && !y->is_busy; i++)
		if (sp->segments[i] && is_wanted(sp, sp->segments[i]))
			begin(sp, sp->segments[i]);
}

uint64_t spool_rekey_timer(const struct spool *sp)
{
	return !sp->rekey.is_busy && sp->rekey.after > sp->now && is_waiting(sp) ? sp->rekey.after
										 : SPOOL_NEVER;
}

unsigned spool_rekey_jobs(const struct spool *sp)
{
	return sp->rekey.is_busy;
}

/* Other master keys */

static int suffices(const struct spool_keys *keys, const struct spool_header *h, struct fault *why)
{
	const unsigned char *id = spool_key_of(h);
	char name[SPOOL_KEY_NAME];

	if (!id || (keys && spool_keys_find(keys, id)))
		return 0;
	spool_key_name(id, name);
	return fault_set(why,
			 "segment %u of the spool is still sealed with key %s: keep its line until "
			 "`moongate spool key status` says that nothing needs it",
			 h->number, name);
}

int spool_rekey_suffices(const struct spool *sp, const struct spool_keys *keys, struct fault *why)
{
	if (sp->o.is_sealing && !keys)
		return fault_set(why, "there is no key to seal with");
	for (unsigned i = 1; i <= sp->nsegments; i++)
		if (sp->segments[i] && (sp->segments[i]->key || sp->segments[i]->fd < 0) &&
		    suffices(keys, &sp->segments[i]->header, why) < 0)
			return -1;
	if (sp->rekey.is_busy && suffices(keys, &sp->rekey.next, why) < 0)
		return -1;
	return sp->supply.is_freeing ? suffices(keys, &sp->supply.next, why) : 0;
}

void spool_rekey(struct spool *sp, const struct spool_keys *keys)
{
	if (!keys) {
		spool_keys_free(&sp->rekey.keys);
		return;
	}
	if (!sp->rekey.keys)
		sp->rekey.keys = spool_keys_new();
	*sp->rekey.keys = *keys;
}
