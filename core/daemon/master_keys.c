/* The spool's master keys: read here, while the rights for it are there, and given to the spool
 * role alone. They are no part of the snapshot, which every role sees. */
#include "master.h"

#include <errno.h>
#include <string.h>

#include "key_file.h"
#include "log.h"

/* keep - on a reload the file cannot be read any more by who we are now: those that we have stay */
static struct spool_keys *keep(const struct master *m, const struct fault *why)
{
	struct spool_keys *keys = spool_keys_new();

	log_fault(LOG_LEVEL_WARN, "spool.keys_kept", "the keys read at the start stay", why);
	*keys = *m->keys;
	return keys;
}

int master_keys_read(struct master *m, const struct settings *s, struct fault *why)
{
	struct spool_keys *keys;

	if (!s->spool_key.n)
		return 0;
	keys = spool_keys_new();
	if (key_file_read(s->spool_key, keys, why) < 0) {
		spool_keys_free(&keys);
		if (why->sys != EACCES || !m->keys)
			return -1;
		keys = keep(m, why);
	}
	spool_keys_free(&m->next_keys);
	m->next_keys = keys;
	return 0;
}

bool master_keys_have_changed(const struct master *m)
{
	return m->next_keys && (!m->keys || memcmp(m->keys, m->next_keys, sizeof *m->keys) != 0);
}

void master_keys_commit(struct master *m)
{
	if (!m->next_keys)
		return;
	spool_keys_free(&m->keys);
	m->keys = m->next_keys;
	m->next_keys = NULL;
}

void master_keys_abort(struct master *m)
{
	spool_keys_free(&m->next_keys);
}

void master_keys_give(struct master_role *r, const struct spool_keys *keys)
{
	if (keys && r->kind == ROLE_SPOOL)
		(void)master_role_tell(r, &(struct role_message){
						  .word = WORD_KEYS,
						  .text = { (const char *)keys, sizeof *keys },
					  });
}
