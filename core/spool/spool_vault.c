#include "spool_vault.h"

#include <assert.h>
#include <sodium.h>

void spool_vault_fini(struct spool_vault *v)
{
	for (size_t i = 0; i < COUNT(v->groups); i++) {
		spool_secret_free(v->groups[i]);
		v->groups[i] = NULL;
	}
}

static size_t place_of(unsigned number)
{
	return (size_t)(number % SPOOL_VAULT_GROUP) * SPOOL_CIPHER_KEY;
}

unsigned char *spool_vault_at(struct spool_vault *v, unsigned number)
{
	unsigned char **group = &v->groups[number / SPOOL_VAULT_GROUP];

	assert(number < SPOOL_VAULT_MOST);
	if (!*group)
		*group = spool_secret_new(SPOOL_VAULT_GROUP * (size_t)SPOOL_CIPHER_KEY);
	return *group + place_of(number);
}

void spool_vault_wipe(struct spool_vault *v, unsigned number)
{
	unsigned char *group = v->groups[number / SPOOL_VAULT_GROUP];

	if (group)
		sodium_memzero(group + place_of(number), SPOOL_CIPHER_KEY);
}
